//! From what was written to what can be run: every fault of an experiment, found before anything is trained.

use super::native::Native;
use super::prepare::{self, Divided, Prepared};
use super::spec::{Against, IndependentSpec, MethodSpec, SourceSpec, Spec, StageSpec, StudentSpec, Whitening, VERSION};
use super::whiten::{self, whiten};
use crate::data::{self, Table};
use crate::error::{Error, Result};
use crate::flow::{BaseConfig, FlowConfig, Standardisation};
use crate::seed::Seed;
use crate::target::Density;
use crate::train::{Divergence, Settings};
use std::path::Path;
use std::sync::Arc;

/// An experiment that can be run.
#[derive(Clone)]
pub struct Plan {
    /// The experiment with every default written out.
    pub spec: Spec,
    /// The seed of all randomness.
    pub seed: Seed,
    /// The number of coordinates.
    pub dim: usize,
    /// Their names.
    pub names: Vec<String>,
    /// The coordinates (by number) that are whole numbers in the user's data.
    pub integers: Vec<usize>,
    /// The target.
    pub target: Option<Arc<dyn Density>>,
    /// The teacher's data, divided and in the user's units.
    pub data: Option<Divided>,
    /// From the user's units to those that the flows see.
    pub standardisation: Standardisation,
    /// How they were whitened, for people.
    pub whitening_note: Option<String>,
    /// The teacher's shape.
    pub teacher: Option<FlowConfig>,
    /// The student's shape.
    pub student: Option<FlowConfig>,
    /// What is done, in order.
    pub stages: Vec<StagePlan>,
    /// Draws of the target from elsewhere.
    pub reference: Option<Table>,
    /// What of other people's code runs in it.
    pub native: Option<String>,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StagePlan {
    /// Draw from the target.
    Sample(MethodSpec, usize),
    /// Fit the teacher to the data.
    FitTeacher(Settings),
    /// Train the student.
    TrainStudent(Against, Divergence, Settings),
}

impl StagePlan {
    /// What a person calls it.
    pub fn name(&self) -> &'static str {
        match self {
            StagePlan::Sample(MethodSpec::Smc(_), _) => "draws, tempered sequential Monte Carlo",
            StagePlan::Sample(MethodSpec::Nuts(_), _) => "draws, no-U-turn sampler",
            StagePlan::FitTeacher(_) => "teacher, maximum likelihood",
            StagePlan::TrainStudent(against, Divergence { reverse, forward, .. }, _) => {
                match (against, *reverse > 0.0, *forward > 0.0) {
                    (Against::Teacher, true, false) => "student, reverse KL against the teacher",
                    (Against::Teacher, true, true) => "student, reverse and forward KL against the teacher",
                    (Against::Teacher, false, _) => "student, forward KL against the teacher",
                    (Against::Target, true, false) => "student, reverse KL against the target",
                    (Against::Target, true, true) => "student, reverse KL against the target and forward KL on data",
                    (Against::Target, false, _) => "student, forward KL on data",
                }
            }
        }
    }

    /// How it trains, if it does.
    pub fn settings(&self) -> Option<&Settings> {
        match self {
            StagePlan::Sample(..) => None,
            StagePlan::FitTeacher(settings) | StagePlan::TrainStudent(_, _, settings) => Some(settings),
        }
    }
}

/// The largest number of rows drawn or scored at once by an experiment.
const MOST_ROWS: usize = 100_000_000;

/// Exact draws that a preview makes do with; enough for the smallest shares of `validation` and `test` that anyone writes.
const PREVIEW_DRAWS: usize = 2_000;

impl Plan {
    /// Checks `spec`, which was read from `path`: builds the target, reads the data, resolves the flows. A target that runs code which
    /// the experiment names is refused.
    ///
    /// # Errors
    /// With all faults of the experiment, each naming its field, its value and what would be right.
    pub fn new(spec: Spec, path: &Path) -> Result<Self> {
        Self::with_permission(spec, path, Native::Refuse)
    }

    /// The same with a few exact draws in the place of many: enough to check and to time, too few to fit.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn preview(spec: Spec, path: &Path) -> Result<Self> {
        Self::preview_with_permission(spec, path, Native::Refuse)
    }

    /// [`Plan::new`], which may run code that the experiment names if `native` says so.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn with_permission(spec: Spec, path: &Path, native: Native) -> Result<Self> {
        Self::build_for(spec, path, usize::MAX, native)
    }

    /// [`Plan::preview`], which may run code that the experiment names if `native` says so.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn preview_with_permission(spec: Spec, path: &Path, native: Native) -> Result<Self> {
        Self::build_for(spec, path, PREVIEW_DRAWS, native)
    }

    /// [`Plan::new`] for a density of one's own, which takes the place of `spec.target`. Paths are relative to the current folder.
    ///
    /// # Errors
    /// As [`Plan::new`], and if the spec names a target too.
    pub fn for_density(spec: Spec, target: Box<dyn Density>) -> Result<Self> {
        if spec.target.is_some() {
            return Err(Error::invalid("target is given twice: in the experiment, and as a density"));
        }
        Self::build(spec, Path::new("experiment"), usize::MAX, Native::Refuse, Some(target))
    }

    fn build_for(spec: Spec, path: &Path, most_draws: usize, native: Native) -> Result<Self> {
        Self::build(spec, path, most_draws, native, None).map_err(|error| match error {
            Error::Invalid(message) => Error::input(path, message),
            other => other,
        })
    }

    fn build(
        mut spec: Spec,
        path: &Path,
        most_draws: usize,
        native: Native,
        given: Option<Box<dyn Density>>,
    ) -> Result<Self> {
        let mut faults = Vec::new();
        let folder = path.parent().unwrap_or(Path::new("."));
        refuse(path, spec.target.iter().filter_map(|target| target.forbidden(folder, native)).collect())?;
        let has_target = spec.target.is_some() || given.is_some();
        let target = given.map(Arc::from).or_else(|| match spec.target.as_ref()?.build(folder) {
            Ok(target) => Some(Arc::<dyn Density>::from(target)),
            Err(fault) => {
                faults.push(format!("target: {fault}"));
                None
            }
        });
        faults_of_header(&spec, has_target, &mut faults);
        faults_of_stages(&spec, has_target, &mut faults);
        let target_dim = target.as_ref().map(|target| target.dim());
        if spec.data.is_none() && !has_target {
            faults.push("neither `target` nor `data` is given; at least one is right".into());
        }
        // Flows of a known dimension are checked before any data is read, and faults so far are reported together.
        let (mut teacher, student) = resolve_flows(&spec, &mut faults);
        faults_of_strata(&spec, &student, &mut faults);
        if let Some(dim) = target_dim {
            faults_of_flows(&teacher, &student, &spec, dim, &mut faults);
        }
        refuse(path, faults)?;

        let seed = Seed(spec.seed);
        let data = spec.data.as_ref();
        let table = data.map(|data| {
            let (table, dropped) = prepare::read(data, folder, target.as_deref(), seed, most_draws)?;
            let drawn = matches!(data.source, SourceSpec::Draws { .. });
            if !data.integers.is_empty()
                && target.as_ref().is_some_and(|target| target.constraint().value_names().is_some())
            {
                let message = "data.integers with a target whose parameters have supports; one or the other is right";
                return Err(Error::invalid(message));
            }
            let table = if drawn { table } else { prepare::to_coordinates(target.as_deref(), table, "data")? };
            Ok::<_, Error>((table, dropped))
        });
        let table = table.transpose()?;
        let dim = table.as_ref().map(|(table, _)| table.dim()).or(target_dim).unwrap_or(0);
        let mut faults = Vec::new();
        if target_dim.is_none() {
            faults_of_flows(&teacher, &student, &spec, dim, &mut faults);
        } else if target_dim != Some(dim) {
            let right = target_dim.unwrap_or(0);
            faults.push(format!("data has {dim} columns and the target {right} coordinates; equal numbers are right"));
        }
        let reference =
            spec.evaluation.reference.as_ref().map(|file| data::read(&folder.join(file), None)).transpose()?;
        let reference = reference
            .map(|table| prepare::to_coordinates(target.as_deref(), table, "evaluation.reference"))
            .transpose()?;
        if let Some(found) = reference.as_ref().map(Table::dim).filter(|&found| found != dim) {
            faults.push(format!("evaluation.reference has {found} columns; {dim} are right"));
        }
        if let Some(data) = data {
            prepare::faults_of_columns(data, target.as_deref(), &mut faults);
        }
        refuse(path, faults)?;

        let names = match (&table, &target) {
            (Some((table, _)), _) => table.names.clone(),
            (None, Some(target)) => target.names(),
            (None, None) => Vec::new(),
        };
        let prepared = match (data, table) {
            (Some(data), Some((table, dropped))) => Some(prepare::prepare(data, table, dropped, seed)?),
            _ => None,
        };
        let (data, standardisation, integers) = match prepared {
            Some(Prepared { data, standardisation, integers }) => (Some(data), standardisation, integers),
            None => (None, Standardisation::identity(dim), Vec::new()),
        };
        let train = data.as_ref().map(|data| data.train.as_slice());
        let starts = if most_draws == usize::MAX { whiten::STARTS } else { 1 };
        // Draws that a stage is still to make are whitened by then.
        let sampled = spec.stages.iter().any(|stage| matches!(stage, StageSpec::Sample { .. }));
        let whitening = if train.is_none() && sampled && spec.whitening == Whitening::Draws {
            Whitening::None
        } else {
            spec.whitening
        };
        let (standardisation, whitening_note) =
            whiten(whitening, standardisation, target.as_deref(), train, &names, (seed, starts))?;
        if teacher.is_none() && spec.stages.iter().any(|stage| matches!(stage, StageSpec::MaximumLikelihood(_))) {
            teacher = Some(FlowConfig::default());
        }
        let stages = spec.stages.iter().filter_map(|stage| match stage {
            StageSpec::Sample { method, draws } => Some(StagePlan::Sample(*method, *draws)),
            StageSpec::MaximumLikelihood(settings) => Some(StagePlan::FitTeacher(*settings)),
            StageSpec::ForwardKl { .. } | StageSpec::ReverseKl { .. } => {
                let (against, divergence, settings) = stage.divergence()?;
                Some(StagePlan::TrainStudent(against, divergence, settings))
            }
        });
        let stages = stages.collect();
        let native = spec.target.as_ref().and_then(|target| target.native(folder));
        spec.teacher.clone_from(&teacher);
        Ok(Self {
            spec,
            seed,
            dim,
            names,
            integers,
            target,
            data,
            standardisation,
            whitening_note,
            teacher,
            student,
            stages,
            reference,
            native,
        })
    }

    /// What the student was last trained against.
    pub fn student_against(&self) -> Option<Against> {
        self.stages.iter().rev().find_map(|stage| match stage {
            StagePlan::TrainStudent(against, ..) => Some(*against),
            StagePlan::FitTeacher(_) | StagePlan::Sample(..) => None,
        })
    }
}

/// One error with all faults, or none.
fn refuse(path: &Path, faults: Vec<String>) -> Result<()> {
    match faults.len() {
        0 => Ok(()),
        1 => Err(Error::input(path, &faults[0])),
        n => Err(Error::input(path, format!("{n} faults\n  {}", faults.join("\n  ")))),
    }
}

fn faults_of_header(spec: &Spec, has_target: bool, faults: &mut Vec<String>) {
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
        if let SourceSpec::Draws { rows } = data.source {
            if !(10..=MOST_ROWS).contains(&rows) {
                faults.push(format!("data.source.rows is {rows}; 10 to {MOST_ROWS} is right"));
            }
            if !has_target {
                faults.push("data.source is `Draws` but there is no `target` to draw from".into());
            }
        }
    }
}

fn faults_of_stages(spec: &Spec, has_target: bool, faults: &mut Vec<String>) {
    if spec.stages.is_empty() {
        faults.push("stages is empty; at least one stage is right".into());
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
            StageSpec::MaximumLikelihood(settings) => {
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
    }
}

/// The flows that the stages need, with defaults and `LikeTeacher` written out.
fn resolve_flows(spec: &Spec, faults: &mut Vec<String>) -> (Option<FlowConfig>, Option<FlowConfig>) {
    let fits_teacher = spec.stages.iter().any(|stage| matches!(stage, StageSpec::MaximumLikelihood(_)));
    let trains_student = spec.stages.iter().any(|stage| stage.divergence().is_some());
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
            // What is wrong with the teacher is reported as such; nothing of its sizes is made before.
            Some(teacher) => Some(if teacher.faults(1).is_empty() { teacher.reversed() } else { teacher.clone() }),
            None => {
                faults.push("student is `LikeTeacher` but no stage fits a teacher".into());
                None
            }
        },
        (None, _) => Some(FlowConfig::default()),
    };
    (teacher, student)
}

fn faults_of_flows(
    teacher: &Option<FlowConfig>,
    student: &Option<FlowConfig>,
    spec: &Spec,
    dim: usize,
    faults: &mut Vec<String>,
) {
    if let Some(teacher) = teacher {
        faults.extend(teacher.faults(dim).into_iter().map(|fault| format!("teacher.{fault}")));
    }
    if let (Some(student), false) = (student, matches!(spec.student, Some(StudentSpec::LikeTeacher))) {
        faults.extend(student.faults(dim).into_iter().map(|fault| format!("student.{fault}")));
    }
}

/// Batches that are too small for every component of a student's base to have a row.
fn faults_of_strata(spec: &Spec, student: &Option<FlowConfig>, faults: &mut Vec<String>) {
    let Some(BaseConfig::Mixture { components }) = student.as_ref().map(|student| student.base) else { return };
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
