//! What a run has done, in the order in which it was done: a run that goes on takes from here what it would do again.
//!
//! A run follows from its experiment step by step. So it goes on by beginning anew, but whatever took long (a stage's training, draws of the
//! target) is read instead of done, as is whatever hung on the clock; a training that was cut goes on from its last step.

use super::check::Plan;
use super::folder::{names_in, Folder, CHECKPOINTS};
use super::identity::{seconds_since_1970, Difference, Identity};
use super::metrics::{Mark, Metrics};
use crate::error::{Error, Result};
use crate::params::{load_checkpoint, save_checkpoint, Parts};
use crate::sampler::Drawn;
use crate::target::Evaluations;
use crate::train::Trained;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a run keeps its state, and whether it goes on from one that was kept.
#[derive(Debug, Clone, Copy)]
pub struct Keeping<'a> {
    /// Time between two checkpoints of a training under way.
    pub every: Duration,
    /// Whoever sets this has a checkpoint written after the step at hand, which clears it.
    pub at_request: Option<&'a AtomicBool>,
    /// Whether to go on with what the folder holds.
    pub resume: bool,
    /// Whether stages may have become longer since.
    pub extend: bool,
}

impl Default for Keeping<'_> {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), at_request: None, resume: false, extend: false }
    }
}

/// Something that was done, or is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The run that it belongs to.
    id: String,
    /// Its place in the run.
    place: usize,
    /// Seconds of the run by then.
    seconds: f64,
    /// The evaluations of the target that it took, …
    pub evaluations: Evaluations,
    /// … and how long one thread was in it.
    pub nanoseconds: u64,
    /// How far the metrics had come.
    metrics: Mark,
    /// What it came to.
    pub what: What,
    /// The counters of the training, where it is one.
    pub counters: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum What {
    /// Something was decided by the clock.
    Decided(bool),
    /// Draws of the target.
    Sampled(Drawn),
    /// A training that has come to its end.
    Trained(Trained),
    /// A training that has not.
    UnderWay,
}

/// The file of what is under way.
const UNDER_WAY: &str = "now.ckpt";
/// What a checkpoint costs is at most this part of the time.
const MOST_COST: f64 = 0.01;

/// The journal of a run.
pub(super) struct Journal<'a> {
    folder: Option<&'a Folder>,
    keeping: Keeping<'a>,
    id: String,
    /// The place of what comes next.
    next: usize,
    /// How much is there.
    there: usize,
    under_way: bool,
    began: Instant,
    /// Seconds before that.
    before: f64,
    last: Instant,
    /// Seconds that the last checkpoint took.
    cost: f64,
    /// Shared with who records steps.
    pub metrics: Rc<RefCell<Metrics>>,
    pub started_unix: u64,
}

/// Whether `folder` holds the run of `plan` as it is; one that is longer only by what `extend` allows is not.
///
/// # Errors
/// With the first thing in which it differs.
pub fn is_run_of(plan: &Plan, folder: &Folder, extend: bool) -> Result<bool> {
    let Some(found) = Identity::read(folder)? else { return Ok(false) };
    refuse_others(folder, &found.differences(&Identity::of(plan)?), extend)
}

/// Whether nothing differs; an error with the first thing that may not.
fn refuse_others(folder: &Folder, differences: &[Difference], extend: bool) -> Result<bool> {
    match differences.iter().find(|it| !(extend && it.steps.is_some())) {
        None => Ok(differences.is_empty()),
        Some(first) => {
            let advice = match first.steps {
                Some(_) => "; --extend lets a stage take more steps",
                None => "; the same is right, or --force to begin anew",
            };
            let (path, words) = (folder.path().display(), &first.words);
            Err(Error::invalid(format!("{path} holds another run: {words}{advice}")))
        }
    }
}

impl<'a> Journal<'a> {
    /// Of a run that leaves nothing on disk.
    pub fn nowhere() -> Self {
        let now = Instant::now();
        Self {
            folder: None,
            keeping: Keeping::default(),
            id: String::new(),
            next: 0,
            there: 0,
            under_way: false,
            began: now,
            before: 0.0,
            last: now,
            cost: 0.0,
            metrics: Rc::new(RefCell::new(Metrics::nowhere())),
            started_unix: seconds_since_1970(),
        }
    }

    /// Of `plan` in `folder`: new, or that which is there if `keeping` says so.
    ///
    /// # Errors
    /// If the folder holds another run or one that cannot be gone on with, or cannot be written.
    pub fn open(plan: &Plan, folder: &'a Folder, keeping: Keeping<'a>) -> Result<Self> {
        let now = Identity::of(plan)?;
        let found = if keeping.resume { Identity::read(folder)? } else { None };
        let mut journal = Self { folder: Some(folder), keeping, ..Self::nowhere() };
        let mut mark = None;
        match found {
            Some(found) => {
                journal.id.clone_from(&found.id);
                journal.started_unix = found.started_unix;
                let differences = found.differences(&now);
                let same = refuse_others(folder, &differences, keeping.extend)?;
                mark = journal.survey()?;
                if !same {
                    if let Some(first) = differences.iter().filter_map(|it| it.steps).min() {
                        mark = journal.extend_from(first, mark)?;
                    }
                    now.of_run(found).write(folder)?;
                }
            }
            None => {
                journal.drop_from(0)?;
                journal.id.clone_from(&now.id);
                journal.started_unix = now.started_unix;
                now.write(folder)?;
            }
        }
        journal.metrics = Rc::new(RefCell::new(Metrics::open(folder, mark.as_ref())?));
        Ok(journal)
    }

    /// Whether anything is kept on disk.
    pub fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Seconds that the run has taken, before and now.
    pub fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Whether something comes next that was done before.
    pub fn is_behind(&self) -> bool {
        self.next < self.there
    }

    /// How much was done before: whole things, and whether one was under way.
    pub fn found(&self) -> (usize, bool) {
        (self.there, self.under_way)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder?.file(CHECKPOINTS).join(name))
    }

    fn name_of(place: usize) -> String {
        format!("{place:04}.ckpt")
    }

    /// A checkpoint of this run, if there is one and it is whole. One that the system cannot read now may be whole: that is an error.
    fn read(&self, name: &str) -> Result<Option<(Entry, Parts)>> {
        let Some(path) = self.path(name) else { return Ok(None) };
        match load_checkpoint::<Entry>(&path) {
            Ok(found) => Ok(Some(found).filter(|(entry, _)| entry.id == self.id)),
            Err(Error::Input { .. }) => Ok(None),
            Err(Error::Unread { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds out how much is there, whole and of this run, and removes the rest; where the metrics had come to.
    fn survey(&mut self) -> Result<Option<Mark>> {
        let Some(folder) = self.folder else { return Ok(None) };
        let mut mark = None;
        while let Some((entry, _)) = self.read(&Self::name_of(self.there))? {
            if entry.place != self.there || !Metrics::begins_with(folder, &entry.metrics)? {
                break;
            }
            (mark, self.before) = (Some(entry.metrics), entry.seconds);
            self.there += 1;
        }
        self.drop_entries_from(self.there)?;
        let under_way = self.read(UNDER_WAY)?.map(|(entry, _)| entry).filter(|entry| entry.place == self.there);
        let goes_on = match &under_way {
            Some(entry) => Metrics::begins_with(folder, &entry.metrics)?,
            None => false,
        };
        match under_way.filter(|_| goes_on) {
            Some(entry) => {
                (mark, self.before) = (Some(entry.metrics), entry.seconds);
                self.under_way = true;
            }
            None => self.remove(UNDER_WAY)?,
        }
        Ok(mark)
    }

    /// Has the stage at `place` go on beyond its end, and forgets what came after it.
    fn extend_from(&mut self, place: usize, mark: Option<Mark>) -> Result<Option<Mark>> {
        if place >= self.there {
            return Ok(mark);
        }
        if self.under_way {
            self.remove(UNDER_WAY)?;
            self.under_way = false;
        }
        self.drop_entries_from(place + 1)?;
        let Some((entry, parts)) = self.read(&Self::name_of(place))? else { return Ok(mark) };
        let entry = Entry { what: What::UnderWay, ..entry };
        let mark = entry.metrics.clone();
        if let Some(path) = self.path(UNDER_WAY) {
            save_checkpoint(&path, &entry, &parts)?;
        }
        self.drop_entries_from(place)?;
        (self.there, self.before, self.under_way) = (place, entry.seconds, true);
        Ok(Some(mark))
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.path(name) {
            Some(path) => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::output(&path, error)),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Removes what was done from `first` on, the last of it first, so that what is left is always without a gap.
    fn drop_entries_from(&self, first: usize) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let names = names_in(&folder.file(CHECKPOINTS))?;
        let place_of = |name: &String| name.strip_suffix(".ckpt")?.parse().ok();
        let mut places: Vec<usize> = names.iter().filter_map(place_of).collect();
        places.retain(|&place| place >= first);
        places.sort_unstable();
        places.into_iter().rev().try_for_each(|place| self.remove(&Self::name_of(place)))
    }

    fn drop_from(&self, first: usize) -> Result<()> {
        self.drop_entries_from(first)?;
        self.remove(UNDER_WAY)
    }

    /// What comes next, if it was done before.
    ///
    /// # Errors
    /// If it has been damaged since the run began.
    pub fn recall(&mut self) -> Result<Option<(Entry, Parts)>> {
        if !self.is_behind() {
            return Ok(None);
        }
        let name = Self::name_of(self.next);
        let found = self.read(&name)?.ok_or_else(|| Error::invalid(format!("checkpoint {name} is gone or damaged")))?;
        self.next += 1;
        Ok(Some(found))
    }

    /// The training that comes next, if it was cut.
    ///
    /// # Errors
    /// If it has been damaged since the run began, or cannot be read.
    pub fn recall_under_way(&mut self) -> Result<Option<(Entry, Parts)>> {
        if !self.under_way || self.is_behind() {
            return Ok(None);
        }
        self.under_way = false;
        let found = self.read(UNDER_WAY)?;
        found.map(Some).ok_or_else(|| Error::invalid(format!("checkpoint {UNDER_WAY} is gone or damaged")))
    }

    fn entry(&self, what: What, counters: Option<String>, cost: (Evaluations, u64)) -> Result<Entry> {
        Ok(Entry {
            id: self.id.clone(),
            place: self.next,
            seconds: self.seconds(),
            evaluations: cost.0,
            nanoseconds: cost.1,
            metrics: self.metrics.borrow_mut().mark()?,
            what,
            counters,
        })
    }

    /// Keeps what was done, at the cost of so many evaluations in so many nanoseconds.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, what: What, counters: Option<String>, parts: &Parts, cost: (Evaluations, u64)) -> Result<()> {
        if let Some(path) = self.path(&Self::name_of(self.next)) {
            save_checkpoint(&path, &self.entry(what, counters, cost)?, parts)?;
            self.remove(UNDER_WAY)?;
        }
        self.next += 1;
        self.there = self.next;
        self.last = Instant::now();
        Ok(())
    }

    /// Keeps the state of a training under way.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_under_way(&mut self, counters: String, parts: &Parts, cost: (Evaluations, u64)) -> Result<()> {
        let begun = Instant::now();
        if let Some(path) = self.path(UNDER_WAY) {
            save_checkpoint(&path, &self.entry(What::UnderWay, Some(counters), cost)?, parts)?;
        }
        self.last = Instant::now();
        self.cost = begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// Whether the state of a training should be kept now.
    pub fn is_due(&self) -> bool {
        let asked = self.keeping.at_request.is_some_and(|flag| {
            // Most of the time nobody has asked, and looking is cheaper than taking.
            flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed)
        });
        let since = self.last.elapsed();
        let due = since >= self.keeping.every && since.as_secs_f64() * MOST_COST >= self.cost;
        self.folder.is_some() && (asked || due)
    }

    /// What was decided before, or what `decide` says now.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub fn decided(&mut self, decide: impl FnOnce(&Self) -> bool) -> Result<bool> {
        if let Some((entry, _)) = self.recall()? {
            return match entry.what {
                What::Decided(decided) => Ok(decided),
                _ => Err(Error::invalid("the checkpoints are not those of this run")),
            };
        }
        let decided = decide(self);
        self.put(What::Decided(decided), None, &Parts::default(), Default::default())?;
        Ok(decided)
    }
}
