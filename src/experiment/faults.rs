//! What is wrong with an experiment as written, each fault naming its field, its value and what would be right.

use super::budget;
use super::check::StagePlan;
use super::data_spec::SourceSpec;
use super::rows;
use super::spec::{Against, IndependentSpec, MethodSpec, Spec, StageSpec, StudentSpec, VERSION};
use super::stages::Stages;
use crate::error::{Error, Result};
use crate::flow::{BaseConfig, FlowConfig, MixtureBase, Space};
use crate::train::{FlowMatching, Settings};
use std::path::Path;

/// The largest number of rows drawn or scored at once by an experiment.
const MOST_ROWS: usize = 100_000_000;

/// More stages than this are taken for a slip of the pen.
const MOST_STAGES: usize = 1_000;

/// One error with all faults, or none.
pub(super) fn refuse(path: &Path, faults: Vec<String>) -> Result<()> {
    match faults.len() {
        0 => Ok(()),
        1 => Err(Error::input(path, &faults[0])),
        n => Err(Error::input(path, format!("{n} faults\n  {}", faults.join("\n  ")))),
    }
}

pub(super) fn faults_of_header(spec: &Spec, has_target: bool, faults: &mut Vec<String>) {
    if spec.version != VERSION {
        faults.push(format!("version is {}; {VERSION} is right", spec.version));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if spec.name.is_empty() || spec.name.len() > 100 || spec.name.starts_with('.') || !spec.name.chars().all(legal) {
        faults.push(format!(
            "name is {:?}; 1 to 100 letters, digits, `_`, `-` and `.` (not at the start) are right: it names a folder",
            spec.name
        ));
    }
    let draws = spec.evaluation.draws;
    if !(100..=MOST_ROWS).contains(&draws) {
        faults.push(format!("evaluation.draws is {draws}; 100 to {MOST_ROWS} is right"));
    }
    if let IndependentSpec::Smc(settings) = &spec.evaluation.independent {
        faults.extend(settings.faults().into_iter().map(|fault| format!("evaluation.independent: {fault}")));
    }
    if let Some(data) = &spec.data {
        for (name, share) in [("validation", data.validation), ("test", data.test)] {
            if !(share.is_finite() && share > 0.0 && share < 0.9) {
                faults.push(format!("data.{name} is {share}; a share above 0 and below 0.9 is right"));
            }
        }
        faults.extend(rows::faults(data));
        if let Some(rows) = data.source.drawn().filter(|rows| !(10..=MOST_ROWS).contains(rows)) {
            faults.push(format!("data.source.rows is {rows}; 10 to {MOST_ROWS} is right"));
        }
        if matches!(data.source, SourceSpec::Draws { .. }) && !has_target {
            faults.push("data.source is `Draws` but there is no `target` to draw from".into());
        }
    }
}

pub(super) fn faults_of_stages(spec: &Spec, has_target: bool, faults: &mut Vec<String>) {
    if let Stages::Auto(auto) = &spec.stages {
        faults.extend(auto.faults());
    }
    if spec.stages.len() > MOST_STAGES {
        faults.push(format!("stages lists {}; at most {MOST_STAGES} are right", spec.stages.len()));
        return;
    }
    let (mut teacher_fitted, mut sampled) = (false, false);
    for (i, stage) in spec.stages.iter().enumerate() {
        let at = format!("stages[{i}]");
        let settings = match stage {
            StageSpec::Sample { method, draws } => {
                if !has_target {
                    faults.push(format!("{at} draws from the target, but there is no `target`"));
                }
                if sampled {
                    faults.push(format!("{at} draws a second time; one such stage is right"));
                }
                if !(100..=MOST_ROWS).contains(draws) {
                    faults.push(format!("{at}.draws is {draws}; 100 to {MOST_ROWS} is right"));
                }
                let of_method = match method {
                    MethodSpec::Smc(settings) => settings.faults(),
                    MethodSpec::Nuts(settings) => settings.faults(),
                };
                faults.extend(of_method.into_iter().map(|fault| format!("{at}.method: {fault}")));
                if matches!(method, MethodSpec::Nuts(_)) && cfg!(not(feature = "nuts")) {
                    faults.push(format!(
                        "{at}.method is `Nuts`, but this build has not the feature `nuts`; `Smc` is right"
                    ));
                }
                sampled = true;
                continue;
            }
            StageSpec::MaximumLikelihood(settings) | StageSpec::FlowMatching(settings) => {
                if spec.data.is_none() && !sampled {
                    faults.push(format!(
                        "{at} fits the teacher, but there is neither `data` nor a stage `Sample` before it"
                    ));
                }
                if teacher_fitted {
                    faults.push(format!("{at} fits the teacher a second time; one such stage is right"));
                }
                teacher_fitted = true;
                *settings
            }
            StageSpec::ForwardKl { .. } | StageSpec::ReverseKl { .. } => {
                let Some((against, divergence, training)) = stage.divergence() else { continue };
                faults.extend(divergence.faults().into_iter().map(|fault| format!("{at}: {fault}")));
                if matches!(stage, StageSpec::ReverseKl { reverse: 0.0, .. }) {
                    faults.push(format!("{at}: reverse is 0; for the forward KL alone a stage `ForwardKl` is right"));
                }
                if against == Against::Target && divergence.forward > 0.0 && spec.data.is_none() && !sampled {
                    faults.push(format!(
                        "{at}: forward KL (of weight {}) needs draws, but there is neither `data` nor a stage `Sample` before it",
                        divergence.forward
                    ));
                }
                if against == Against::Teacher && !teacher_fitted {
                    faults.push(format!("{at} trains against the teacher, but no stage before it fits one"));
                }
                if against == Against::Target && !has_target {
                    faults.push(format!("{at} trains against the target, but there is no `target`"));
                }
                training
            }
        };
        faults.extend(settings.faults().into_iter().map(|fault| format!("{at}: {fault}")));
        let on_rows = match stage.divergence() {
            None => true,
            Some((against, divergence, _)) => divergence.reverse == 0.0 && against == Against::Target,
        };
        if settings.until.is_some() && on_rows {
            faults.push(format!(
                "{at}: until is given, but there is no density to weigh draws with where it trains on rows; `patience` is right"
            ));
        }
    }
}

/// The flows that the stages need, with defaults and `LikeTeacher` written out.
pub(super) fn resolve_flows(spec: &Spec, faults: &mut Vec<String>) -> (Option<FlowConfig>, Option<FlowConfig>) {
    let fits_teacher = spec.stages.iter().any(StageSpec::fits_teacher);
    let by_itself = matches!(spec.stages, Stages::Auto(_));
    let trains_student = by_itself || spec.stages.iter().any(|stage| stage.divergence().is_some());
    if spec.teacher.is_some() && !fits_teacher {
        faults.push("teacher is given but no stage fits it".into());
    }
    if spec.student.is_some() && !trains_student {
        faults.push("student is given but no stage trains it".into());
    }
    let teacher = fits_teacher.then(|| spec.teacher.clone().unwrap_or_default());
    let student = match (&spec.student, trains_student) {
        (_, false) => None,
        (Some(StudentSpec::Flow(flow)), _) => Some(flow.clone()),
        (Some(StudentSpec::LikeTeacher), _) => match &teacher {
            // What is wrong with the teacher is reported as such.
            Some(teacher) => Some(teacher.reversed()),
            None => {
                faults.push("student is `LikeTeacher` but no stage fits a teacher".into());
                None
            }
        },
        (None, _) => Some(FlowConfig::default()),
    };
    (teacher, student)
}

pub(super) fn faults_of_flows(
    teacher: &Option<FlowConfig>,
    student: &Option<FlowConfig>,
    spec: &Spec,
    space: Space,
    faults: &mut Vec<String>,
) {
    if let Some(teacher) = teacher {
        faults.extend(teacher.faults(space).into_iter().map(|fault| format!("teacher.{fault}")));
        let matches = spec.stages.iter().any(|stage| matches!(stage, StageSpec::FlowMatching(_)));
        let fault = if matches { FlowMatching::fault(teacher, space) } else { None };
        faults.extend(fault.map(|fault| format!("teacher.{fault}")));
    }
    if let (Some(student), false) = (student, matches!(spec.student, Some(StudentSpec::LikeTeacher))) {
        faults.extend(student.faults(space).into_iter().map(|fault| format!("student.{fault}")));
    }
    if faults.is_empty() {
        faults.extend(faults_of_recomputing(spec, [teacher, student], space));
    }
    // Sizes that are wrong in themselves would only be named twice.
    if faults.is_empty() {
        faults.extend(budget::fault(spec, teacher, student, space));
    }
}

/// Stages that would find points again in layers that do not give them back in one pass.
fn faults_of_recomputing(spec: &Spec, [teacher, student]: [&Option<FlowConfig>; 2], space: Space) -> Vec<String> {
    let of_stage = |(i, stage): (usize, &StageSpec)| {
        let settings = *StagePlan::of(stage)?.settings().filter(|settings| settings.recompute)?;
        let flow = if stage.fits_teacher() { teacher } else { student };
        let fault = flow.as_ref()?.fault_of_recomputing(space).filter(|_| settings.recompute)?;
        let name = if stage.fits_teacher() { "teacher" } else { "student" };
        Some(format!("stages[{i}]: {}", fault.replace("but layer", &format!("but the {name}'s layer"))))
    };
    spec.stages.iter().enumerate().filter_map(of_stage).collect()
}

/// Batches that are too small for every component of a student's base to have a row.
pub(super) fn faults_of_strata(spec: &Spec, student: &Option<FlowConfig>, faults: &mut Vec<String>) {
    let Some(BaseConfig::Mixture(MixtureBase { components })) = student.as_ref().map(|student| student.base) else {
        return;
    };
    for (i, stage) in spec.stages.iter().enumerate() {
        if let Some((_, _, Settings { batch, .. })) = stage.divergence() {
            if batch < components {
                faults.push(format!(
                    "stages[{i}]: batch is {batch}; at least {components}, one row for each component of the base, is right"
                ));
            }
        }
    }
}
