//! A run under way: stages carried out and judged, each on disk before the next begins.

use super::check::{Plan, StagePlan};
use super::evidence::{draw, source_of, Evidence};
use super::folder::{Folder, DRAWS, LOOKS, METRICS, PAGE, REPORT, RESOLVED, RUN_JSON};
use super::journal::{Journal, What};
use super::models::Models;
use super::on_record::{sealed, written};
use super::pictures::{self, Found};
use super::recorder::Recorder;
use super::report::{Record, StageRecord, Status};
use super::spec::{MethodSpec, Spec};
use super::stage_keeper::{add, cost_since, draws_as_parts, spent, StageKeeper};
use super::watcher::Watcher;
use crate::checksum;
use crate::error::{Error, Result};
use crate::evaluate::certificate::Verdict;
use crate::evaluate::draws::WeightedDraws;
use crate::evaluate::parameters::Parameter;
use crate::evaluate::spread::Spread;
use crate::report::{page, Looks, Sources};
use crate::target::Evaluations;
use crate::train::{StopReason, Trained};
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A run under way.
pub(super) struct Course<'a> {
    pub record: Record,
    /// Where it is kept; a run without a folder leaves nothing on disk.
    pub folder: Option<&'a Folder>,
    pub journal: Journal<'a>,
    pub interrupt: &'a AtomicBool,
    pub watcher: &'a mut dyn Watcher,
    pub models: Models,
    pub evidence: Option<Evidence>,
    /// The student's draws on which its certificate rests.
    pub judged_by: Option<WeightedDraws>,
    /// What its pictures are made of.
    looks: Looks,
    /// Files that are written under their next names, and take their places together with the record.
    pending: Vec<&'static str>,
}

impl<'a> Course<'a> {
    pub fn new(
        record: Record,
        folder: Option<&'a Folder>,
        journal: Journal<'a>,
        interrupt: &'a AtomicBool,
        watcher: &'a mut dyn Watcher,
    ) -> Self {
        let (models, pending) = (Models::default(), Vec::new());
        let (evidence, judged_by, looks) = (None, None, Looks::default());
        Self { record, folder, journal, interrupt, watcher, models, evidence, judged_by, looks, pending }
    }

    /// Carries out these stages of `plan`.
    ///
    /// # Errors
    /// If one fails or diverges, or the user interrupts; what had been reached is on disk then.
    pub fn carry_out(&mut self, plan: &mut Cow<Plan>, places: Range<usize>) -> Result<()> {
        for place in places {
            let before = evaluations(plan);
            let steps = |stage: &StagePlan| stage.settings().map_or(0, |settings| settings.steps);
            self.watcher.outline(place, &plan.stages.iter().map(steps).collect::<Vec<_>>());
            if let StagePlan::Sample(method, draws) = plan.stages[place] {
                let found = self.draw(plan, &method, draws);
                let found = self.unless_interrupted(found)?;
                self.watcher.note(&found.summary());
                self.put(plan, place, before, None, Some(&found))?;
                plan.to_mut().take_draws(&found)?;
                self.evidence = Some(found);
                continue;
            }
            let trained = self.train(plan, place)?;
            let (reason, name) = (trained.reason, plan.stages[place].name());
            let refused = trained.refused.clone();
            self.record.status = match reason {
                StopReason::Interrupted => Status::Interrupted,
                StopReason::Diverged => Status::Diverged,
                _ => Status::Running,
            };
            self.put(plan, place, before, Some(trained), None)?;
            match reason {
                StopReason::Interrupted => return Err(Error::Interrupted),
                StopReason::Diverged => {
                    let why = refused.map_or(String::new(), |refused| format!(" ({refused})"));
                    let advice =
                        "a lower rate was tried, and the last good weights were kept; `whitening: Laplace`, a longer \
                                  rate.warm_up, or a target that is defined everywhere would help";
                    return Err(Error::Diverged(format!("{name}{why}: {advice}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn train(&mut self, plan: &Plan, place: usize) -> Result<Trained> {
        let stage = &plan.stages[place];
        let was_done = self.journal.is_behind();
        if was_done {
            self.watcher.note(&format!("{}: done before", stage.name()));
        } else {
            self.watcher.begin(stage.name(), stage.settings().map_or(0, |settings| settings.steps));
        }
        let target = plan.target.as_deref();
        let metrics = self.journal.metrics.clone();
        let mut recorder = Recorder { stage: stage.name(), metrics: &metrics, target, watcher: &mut *self.watcher };
        let mut keeper = StageKeeper::new(&mut self.journal, target);
        let trained = self.models.carry_out(plan, stage, self.interrupt, &mut recorder, &mut keeper);
        if !was_done {
            self.watcher.end();
        }
        let trained = trained?;
        if let Some(folder) = self.folder {
            let saved = self.models.save_next(stage, folder)?;
            saved.into_iter().for_each(|name| self.pend(name));
        }
        if trained.skipped_steps > 0 {
            let (skipped, lowered) = (trained.skipped_steps, trained.lowered);
            let helped = if lowered > 0 { format!("; the rate was lowered {lowered} times") } else { String::new() };
            let note = format!("{skipped} steps were skipped: their loss or gradient was not finite{helped}");
            self.watcher.note(&note);
        }
        Ok(trained)
    }

    /// Puts a stage on record, and the record on disk.
    fn put(
        &mut self,
        plan: &Plan,
        place: usize,
        before: Evaluations,
        trained: Option<Trained>,
        found: Option<&Evidence>,
    ) -> Result<()> {
        let attempt = Some(self.record.attempts.len()).filter(|_| plan.auto.is_some());
        self.record.stages.push(StageRecord {
            name: plan.stages[place].name().into(),
            attempt,
            trained,
            sampled: found.map(|found| found.drawn.clone()),
            target_evaluations: evaluations(plan) - before,
        });
        self.record.evaluations = evaluations(plan);
        self.write()
    }

    /// Compares the models with data, and gives the student a certificate, for which the target is asked at most so often if anything is
    /// said.
    ///
    /// # Errors
    /// If the target fails, or the user interrupts.
    pub fn judge(&mut self, plan: &Plan, most_evaluations: Option<u64>) -> Result<()> {
        self.models.compare_with_data(plan, &mut self.record);
        let evidence = self.evidence.as_ref();
        let scored =
            self.models.score(plan, evidence, most_evaluations, &mut self.record, self.interrupt, self.watcher);
        self.record.evaluations = evaluations(plan);
        self.judged_by = self.unless_interrupted(scored)?;
        let table = match (&self.judged_by, &self.models.student, &self.record.certificate) {
            (Some(draws), Some(student), Some(certificate)) => {
                let weigh = certificate.verdict == Verdict::Correctable;
                let student = student.freeze();
                let (rows, how) =
                    (draws.points.len() / student.dim(), if weigh { "weighted by importance" } else { "as they are" });
                (Parameter::table(&student, draws, weigh), format!("{rows} draws of the student, {how}"))
            }
            (None, None, _) => self.models.parameters_of_teacher(plan),
            _ => Default::default(),
        };
        (self.record.parameters, self.record.parameters_from) = table;
        Ok(())
    }

    /// Measures the speeds, if the experiment asks for them.
    ///
    /// # Errors
    /// If the user interrupts.
    pub fn compare(&mut self, plan: &Plan) -> Result<()> {
        if !plan.spec.evaluation.compare {
            return Ok(());
        }
        self.watcher.note("measuring speeds");
        self.models.compare(plan, &mut self.record);
        let wish = if self.interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) };
        self.unless_interrupted(wish)
    }

    /// Gathers what its pictures are made of, and keeps it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn picture(&mut self, plan: &Plan) -> Result<()> {
        self.record.weights = self.judged_by.as_ref().and_then(|draws| Spread::of(&draws.log_weights));
        let Some(folder) = self.folder else { return Ok(()) };
        self.looks = pictures::gather(&Found {
            plan: Some(plan),
            seed: plan.seed,
            teacher: self.models.teacher.as_ref(),
            student: self.models.student.as_ref(),
            judged_by: self.judged_by.as_ref(),
            draws: self.evidence.as_ref().map_or(&[][..], |found| found.drawn.draws.as_slice()),
            source: self.record.certificate.as_ref().and_then(|certificate| certificate.source.as_deref()),
        });
        self.record.picture_evaluations = self.looks.evaluated;
        if !self.looks.samples.is_empty() {
            pictures::write(&self.looks, &folder.next(LOOKS))?;
            self.pend(LOOKS);
        }
        Ok(())
    }

    /// The record of a run that has come to its end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<Record> {
        self.record.status = Status::Finished;
        self.write()?;
        Ok(self.record)
    }

    /// What a part of the run gave; one that was interrupted is put on record first.
    fn unless_interrupted<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if matches!(outcome, Err(Error::Interrupted)) {
            self.record.status = Status::Interrupted;
            self.write()?;
        }
        outcome
    }

    /// Writes the record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self) -> Result<()> {
        self.record.seconds = self.journal.seconds();
        let Some(folder) = self.folder else { return Ok(()) };
        self.journal.metrics.borrow_mut().flush()?;
        let mut names = std::mem::take(&mut self.pending);
        for name in &names {
            self.record.files.insert((*name).into(), checksum_of(&folder.next(name))?);
        }
        let markdown = self.record.to_markdown();
        let others = [(METRICS, self.journal.metrics.borrow().checksum()), (REPORT, checksum::of(markdown.as_bytes()))];
        self.record.files.extend(others.map(|(name, digits)| (name.to_string(), written(&digits))));
        let record = self.record.to_json();
        // A page without what cannot be read is better than none.
        let metrics = std::fs::read_to_string(folder.file(METRICS)).unwrap_or_default();
        let sources = Sources { record: &record, markdown: &markdown, metrics: &metrics, looks: Some(&self.looks) };
        folder.write_next(PAGE, &page(&sources))?;
        folder.write_next(REPORT, &markdown)?;
        folder.write_next(RUN_JSON, &sealed(record))?;
        // The record comes last: what it names is there by then.
        names.extend([PAGE, REPORT, RUN_JSON]);
        folder.publish(&names)?;
        // Whatever it is to replace is kept until a stage of it is there.
        match self.journal.found() {
            (0, _) => Ok(()),
            _ => folder.take_over(),
        }
    }

    /// Keeps the experiment that repeats what is being done, whose paths are relative to `place`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_spec(&mut self, spec: &Spec, place: &Path) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        folder.write_next(RESOLVED, &spec.for_anywhere(place).to_ron()?)?;
        self.pend(RESOLVED);
        Ok(())
    }

    /// Has a file that is written under its next name take its place with the next record.
    pub fn pend(&mut self, name: &'static str) {
        if !self.pending.contains(&name) {
            self.pending.push(name);
        }
    }

    /// Draws of the target, or those of before.
    fn draw(&mut self, plan: &Plan, method: &MethodSpec, draws: usize) -> Result<Evidence> {
        let target = plan.target.as_deref();
        let found = match self.journal.recall()? {
            Some((entry, mut parts)) => {
                let (What::Sampled(mut drawn), Some(draws)) = (entry.what, parts.doubles.remove("draws")) else {
                    return Err(Error::invalid("the checkpoints are not those of this run"));
                };
                drawn.draws = draws;
                add(target, (entry.evaluations, entry.nanoseconds));
                Evidence { source: source_of(method), drawn }
            }
            None => {
                let before = spent(target);
                let found = draw(plan, (method, draws), self.interrupt, self.watcher)?;
                let (cost, parts) = (cost_since(target, before), draws_as_parts(&found.drawn.draws));
                self.journal.put(What::Sampled(found.drawn.clone()), None, &parts, cost)?;
                found
            }
        };
        if let Some(folder) = self.folder {
            found.write(plan, &folder.next(DRAWS))?;
            self.pend(DRAWS);
        }
        Ok(found)
    }
}

/// The checksum of a file, as it is on record.
fn checksum_of(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::unread(path, error))?;
    Ok(written(&checksum::of(&bytes)))
}

/// How often the plan's target has been asked.
pub(super) fn evaluations(plan: &Plan) -> Evaluations {
    plan.target.as_ref().map(|target| target.evaluations()).unwrap_or_default()
}
