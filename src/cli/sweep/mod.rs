//! `flowdistill run --sweep`: many runs of one experiment, several at a time, and their table.

mod points;
mod table;

use super::figures::Format;
use super::run::Options;
use super::shard::Asked;
use super::{signals, Global};
use crate::durable;
use crate::error::{Error, Result};
use crate::experiment::{self, Folder, Keeping, Spec, LOG, RUN_JSON};
use crate::progress::{Console, Log};
use crate::shown::{self, say};
use points::{points, Point};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
pub use table::POINTS;
use table::{points_of, Table};

pub fn execute(options: &Options, every: Duration, global: &Global) -> Result<()> {
    let (spec, text) = options.source.spec(global)?;
    let all = points(&options.sweep)?;
    // What can be known of all of them is known before the first begins.
    for point in &all {
        point.of(&spec)?;
    }
    let folder = options.out.join(&spec.name);
    if folder.join(RUN_JSON).exists() {
        return Err(Error::input(&folder, "holds a run; another --out or --set name=… is right for a sweep"));
    }
    let shard = options.shard.map(Asked::shard).transpose()?;
    // Neighbours are alike, so shards take every n-th.
    let mine: Vec<&Point> = match shard {
        Some(shard) => all.iter().skip(shard.i as usize - 1).step_by(shard.n as usize).collect(),
        None => all.iter().collect(),
    };
    if options.dry_run {
        let listed: String = mine.iter().map(|point| format!("{}: {}\n", point.name, point.words())).collect();
        return super::print(&listed);
    }
    std::fs::create_dir_all(&folder).map_err(|error| Error::output(&folder, error))?;
    if folder.join(POINTS).exists() && points_of(&folder)? != all && !options.force {
        let message =
            "holds a sweep of other values; --force begins this one in its place, or another name or --out is right";
        return Err(Error::input(&folder, message));
    }
    let listed = serde_json::to_string_pretty(&all).map_err(Error::invalid)?;
    durable::write(&folder.join(POINTS), format!("{listed}\n").as_bytes())?;

    signals::listen((!global.quiet).then_some(FIRST))?;
    let faults = carry_out(&Sweep { options, every, spec: &spec, text: &text, folder: &folder, global }, &mine)?;
    if signals::STOP.load(Ordering::Relaxed) {
        return Err(signals::stopped(&format!("what had been reached was kept; go on with: {}", super::run::again())));
    }
    if shard.is_some() {
        if !global.quiet {
            say!("{} runs are done; when all are: flowdistill merge {}", mine.len(), folder.display());
        }
        return match faults.first() {
            None => Ok(()),
            Some((name, fault)) => {
                Err(Error::Unfinished(format!("{} runs failed, {name} for one: {fault}", faults.len())))
            }
        };
    }
    finish(&folder, &all, &faults, global)
}

/// Makes the table of the sweep in `folder` anew, from all that is there.
pub fn merge(folder: &Path, global: &Global) -> Result<()> {
    finish(folder, &points_of(folder)?, &[], global)
}

fn finish(folder: &Path, points: &[Point], faults: &[(String, String)], global: &Global) -> Result<()> {
    let table = Table::of(folder, points, faults);
    table.write(folder)?;
    match global.json {
        true => super::print(&table.written(Format::Json)?)?,
        false => {
            let (text, csv) = (table.written(Format::Markdown)?, folder.join(table::CSV));
            super::print(&format!("{text}\nThe table is in {}\n", csv.display()))?
        }
    }
    match table.unfinished {
        0 => Ok(()),
        left => Err(Error::Unfinished(format!(
            "{left} of {} runs are not finished; --resume goes on with them",
            points.len()
        ))),
    }
}

/// What is said at the first signal.
const FIRST: &str = "finishing this step of each run and keeping what there is (once more ends at once)";

struct Sweep<'a> {
    options: &'a Options,
    every: Duration,
    spec: &'a Spec,
    text: &'a str,
    folder: &'a Path,
    global: &'a Global,
}

/// Carries out `points`, so many at a time with their share of the threads; the faults of those that failed. Results do not depend on threads.
fn carry_out(sweep: &Sweep, points: &[&Point]) -> Result<Vec<(String, String)>> {
    let jobs = usize::from(sweep.options.jobs).min(points.len()).max(1);
    let threads = (rayon::current_num_threads() / jobs).max(1);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let faults = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Error::invalid(format!("cannot start threads: {error}")))?;
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            if signals::STOP.load(Ordering::Relaxed) {
                break;
            }
            let said = match pool.install(|| sweep.run(point)) {
                Ok(said) => said,
                Err(Error::Interrupted | Error::Stopped { .. }) => break,
                Err(error) => {
                    let fault = error.to_string();
                    faults.lock().unwrap_or_else(PoisonError::into_inner).push((point.name.clone(), fault.clone()));
                    format!("failed: {fault}")
                }
            };
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if !sweep.global.quiet {
                say!("{done} of {}: {}: {}", points.len(), point.words(), shown::error(&said));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(ended) => ended,
            Err(_) => Err(Error::Unfinished("a run of the sweep panicked".into())),
        })
    })?;
    Ok(faults.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Sweep<'_> {
    /// Carries out one run, or what is left of it; what it came to.
    fn run(&self, point: &Point) -> Result<String> {
        let Options { source, resume, extend, force, .. } = self.options;
        let plan = source.plan_of(point.of(self.spec)?, false)?;
        let folder = match resume {
            true => Folder::resume(self.folder, &point.name)?,
            false => Folder::create(self.folder, &point.name, *force)?,
        };
        if *resume && super::run::is_over(&plan, &folder, self.options)? {
            return Ok("finished before".into());
        }
        let keeping = Keeping { every: self.every, at_request: Some(&signals::KEEP), resume: *resume, extend: *extend };
        let watcher = &mut Console::new(true, false, Log::at(&folder.file(LOG)));
        let record = experiment::run_kept(&plan, self.text, &folder, keeping, &signals::STOP, watcher)?;
        let verdict = record.judgement().map_or("not judged", |judgement| judgement.verdict.words());
        let ess = record
            .scores
            .student
            .as_ref()
            .map_or(String::new(), |student| format!(", ESS/N {:.3}", student.reverse.ess));
        Ok(format!("{verdict}{ess}, {:.1} s", record.seconds))
    }
}
