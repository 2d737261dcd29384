//! Carries out a plan: stage after stage, each on disk before the next begins.

use super::auto;
use super::check::Plan;
use super::course::Course;
use super::folder::{Folder, INPUT, RESOLVED};
use super::journal::{Journal, Keeping};
use super::on_record::written;
use super::report::{Record, Scores, Status};
use super::verdict::AgainstData;
use super::watcher::Watcher;
use crate::checksum;
use crate::error::Result;
use crate::flow::Model;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Runs `plan` into `folder`; `input` is the experiment's text. Returns the record that was written.
///
/// # Errors
/// If a stage fails or diverges, or the user interrupts; what had been reached is on disk then.
pub fn run(
    plan: &Plan,
    input: &str,
    folder: &Folder,
    interrupt: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Record> {
    run_kept(plan, input, folder, Keeping::default(), interrupt, watcher)
}

/// [`run`] that keeps its state as `keeping` says, and goes on with the run that the folder holds if it says so: with the same results, bit for
/// bit, as if it had never been cut.
///
/// # Errors
/// As [`run`], and if the folder holds a run that differs, or one that cannot be gone on with.
pub fn run_kept(
    plan: &Plan,
    input: &str,
    folder: &Folder,
    keeping: Keeping,
    interrupt: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Record> {
    let journal = Journal::open(plan, folder, keeping)?;
    if let (1.., _) | (_, true) = journal.found() {
        watcher.note(&format!("going on after {:.0} s; what was done is read, not done again", journal.seconds()));
    }
    folder.write(INPUT, input)?;
    folder.write(RESOLVED, &resolved(plan)?)?;
    Ok(course_of(plan, Some((folder, journal)), interrupt, watcher)?.0)
}

/// The experiment with all that was left out, to run again from anywhere.
fn resolved(plan: &Plan) -> Result<String> {
    plan.spec.for_anywhere(&plan.folder).to_ron()
}

/// Carries out `plan`, into a folder or nowhere; the record and the student, if there is one.
pub(super) fn course_of(
    plan: &Plan,
    kept: Option<(&Folder, Journal)>,
    interrupt: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<(Record, Option<Model>)> {
    let (folder, journal) = match kept {
        Some((folder, journal)) => (Some(folder), journal),
        None => (None, Journal::nowhere()),
    };
    let files = match folder {
        Some(_) => BTreeMap::from([(RESOLVED.into(), written(&checksum::of(resolved(plan)?.as_bytes())))]),
        None => BTreeMap::new(),
    };
    let record = Record {
        name: plan.spec.name.clone(),
        seed: plan.seed.0,
        status: Status::Running,
        threads: rayon::current_num_threads(),
        started_unix: journal.started_unix,
        seconds: 0.0,
        stages: Vec::new(),
        findings: plan.findings().to_vec(),
        scores: Scores::default(),
        against_data: AgainstData::default(),
        among: None,
        certificate: None,
        throughput: Vec::new(),
        attempts: Vec::new(),
        evaluations: Default::default(),
        picture_evaluations: 0,
        modes: Vec::new(),
        parameters: Vec::new(),
        parameters_from: String::new(),
        weights: None,
        asked: plan.asked.clone(),
        coordinates: plan.names.clone(),
        inputs: plan.spec.inputs(&plan.folder),
        files,
    };
    if let Some(dropped) = plan.data.as_ref().map(|data| data.dropped).filter(|&dropped| dropped > 0) {
        watcher.note(&format!("{dropped} rows with a missing value were left out"));
    }
    plan.findings().iter().for_each(|finding| watcher.note(&finding.to_string()));
    plan.table_notes.iter().for_each(|note| watcher.note(note));
    if let Some(note) = &plan.whitening_note {
        watcher.note(note);
    }
    let mut course = Course::new(record, folder, journal, interrupt, watcher);
    match plan.auto {
        Some(auto) => auto::by_itself(plan, auto, &mut course)?,
        None => {
            let mut plan = Cow::Borrowed(plan);
            let whole = 0..plan.stages.len();
            course.carry_out(&mut plan, whole)?;
            course.judge(&plan, None)?;
            course.compare(&plan)?;
            course.picture(&plan)?;
        }
    }
    let student = course.models.student.take();
    Ok((course.finish()?, student))
}
