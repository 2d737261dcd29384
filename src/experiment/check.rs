//! From what was written to what can be run: every fault of an experiment, found before anything is trained.

use super::data_spec::SourceSpec;
use super::default_fit::stages_of_given;
use super::default_fit::DefaultFit;
use super::domain;
use super::faults::{faults_of_flows, faults_of_header, faults_of_stages, faults_of_strata, refuse, resolve_flows};
use super::given_rows::{self, GivenRows};
use super::native::Native;
use super::paths::Asked;
use super::prepare::{self, Divided, Prepared};
use super::rows::{self, Rows};
use super::spec::{Against, MethodSpec, Spec, StageSpec, StudentSpec, Whitening};
use super::stages::{Auto, Stages};
use super::starts;
use super::whiten::{self, whiten, whiten_given, Whitened};
use crate::data::{self, Columns, Table};
use crate::error::{Error, Result};
use crate::flow::{FlowConfig, Space, Standardisation};
use crate::seed::Seed;
use crate::target::{Counted, Density, Survey};
use crate::train::{Divergence, Gradient, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An experiment that can be run.
#[derive(Clone)]
pub struct Plan<'t> {
    /// The experiment with every default written out.
    pub spec: Spec,
    /// The seed of all randomness.
    pub seed: Seed,
    /// The number of coordinates.
    pub dim: usize,
    /// Their names.
    pub names: Vec<String>,
    /// What the coordinates stand for in the user's table.
    pub columns: Columns,
    /// What a person should know of the table.
    pub table_notes: Vec<String>,
    /// The target.
    pub target: Option<Arc<Counted<'t>>>,
    /// The teacher's data, divided and in the user's units.
    pub data: Option<Divided>,
    /// What the models are given, where they are given something.
    pub given_rows: Option<GivenRows>,
    /// From the user's units to those that the flows see.
    pub standardisation: Standardisation,
    /// How they were whitened, for people.
    pub whitening_note: Option<String>,
    /// What was found of the target for that.
    pub survey: Option<Survey>,
    /// How long the program goes on by itself, where the stages are left to it.
    pub auto: Option<Auto>,
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
    /// The folder to which its paths are relative.
    pub folder: PathBuf,
    /// By what command it is carried out, if by one.
    pub asked: Asked,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StagePlan {
    /// Draw from the target.
    Sample(MethodSpec, usize),
    /// Fit the teacher to the data.
    FitTeacher(Settings),
    /// Fit a continuous teacher to the data by flow matching.
    MatchTeacher(Settings),
    /// Train the student.
    TrainStudent(Against, Divergence, Settings),
}

/// Whether nothing is said but that a student is to be trained against the target: everything is left to the program then.
fn says_nothing(stages: &[StageSpec]) -> bool {
    let plain = StageSpec::ReverseKl {
        against: Against::Target,
        gradient: Gradient::default(),
        reverse: 1.0,
        forward: 0.0,
        anneal: None,
        training: Settings::for_reverse_kl(),
    };
    stages == [plain]
}

/// The target as others see it.
fn density<'a>(target: &'a Option<Arc<Counted<'_>>>) -> Option<&'a dyn Density> {
    target.as_deref().map(|target| target as &dyn Density)
}

/// The columns of its points.
fn space_of(target: &dyn Density) -> Space {
    Space { given: target.given(), variables: target.dim() - target.given() }
}

impl StagePlan {
    /// From what was written.
    pub(super) fn of(stage: &StageSpec) -> Option<Self> {
        match stage {
            StageSpec::Sample { method, draws } => Some(StagePlan::Sample(*method, *draws)),
            StageSpec::MaximumLikelihood(settings) => Some(StagePlan::FitTeacher(*settings)),
            StageSpec::FlowMatching(settings) => Some(StagePlan::MatchTeacher(*settings)),
            StageSpec::ForwardKl { .. } | StageSpec::ReverseKl { .. } => {
                let (against, divergence, settings) = stage.divergence()?;
                Some(StagePlan::TrainStudent(against, divergence, settings))
            }
        }
    }

    /// What a person calls it.
    pub fn name(&self) -> &'static str {
        match self {
            StagePlan::Sample(MethodSpec::Smc(_), _) => "draws, tempered sequential Monte Carlo",
            StagePlan::Sample(MethodSpec::Nuts(_), _) => "draws, no-U-turn sampler",
            StagePlan::FitTeacher(_) => "teacher, maximum likelihood",
            StagePlan::MatchTeacher(_) => "teacher, flow matching",
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
            StagePlan::FitTeacher(settings)
            | StagePlan::MatchTeacher(settings)
            | StagePlan::TrainStudent(_, _, settings) => Some(settings),
        }
    }
}

/// Exact draws that a preview makes do with; enough for the smallest shares of `validation` and `test` that anyone writes.
const PREVIEW_DRAWS: usize = 2_000;

impl<'t> Plan<'t> {
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
    pub fn for_density(spec: Spec, target: Box<dyn Density + 't>) -> Result<Self> {
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
        given: Option<Box<dyn Density + 't>>,
    ) -> Result<Self> {
        let mut faults = Vec::new();
        let folder = path.parent().unwrap_or(Path::new("."));
        refuse(path, spec.target.iter().filter_map(|target| target.forbidden(folder, native)).collect())?;
        let has_target = spec.target.is_some() || given.is_some();
        let target = given.or_else(|| match spec.target.as_ref()?.build(folder) {
            Ok(target) => Some(target),
            Err(fault) => {
                faults.push(format!("target: {fault}"));
                None
            }
        });
        let target = target.map(|target| Arc::new(Counted::new(domain::within(&spec, target))));
        let is_given = density(&target).filter(|target| target.given() > 0);
        if let Some(target) = is_given {
            if matches!(spec.stages, Stages::Auto(_)) || says_nothing(&spec.stages) {
                spec.stages = stages_of_given().into();
            }
            given_rows::faults_of_target(&spec, target, &mut faults);
        }
        let auto = match &spec.stages {
            Stages::Auto(auto) if has_target => Some(*auto),
            Stages::Listed(stages) if says_nothing(stages) && spec.student.is_none() && spec.data.is_none() => {
                Some(Auto::default()).filter(|_| spec.whitening == Whitening::Auto)
            }
            _ => None,
        };
        if auto.is_some() {
            spec.stages = Stages::Auto(auto.unwrap_or_default());
        }
        let by_itself = spec.stages.is_empty() && spec.data.is_some() && !has_target;
        if by_itself {
            // Their sizes come with the table.
            spec.stages = DefaultFit::of(1, 1).stages().into();
            spec.student.get_or_insert(StudentSpec::LikeTeacher);
        }
        domain::faults(&spec, &mut faults);
        faults_of_header(&spec, has_target, &mut faults);
        faults_of_stages(&spec, has_target, &mut faults);
        let target_dim = target.as_ref().map(|target| target.dim());
        if spec.data.is_none() && !has_target {
            faults.push("neither `target` nor `data` is given; at least one is right".into());
        }
        // Flows of a known dimension are checked before any data is read, and faults so far are reported together.
        let (mut teacher, mut student) = resolve_flows(&spec, &mut faults);
        faults_of_strata(&spec, &student, &mut faults);
        if let Some(target) = density(&target) {
            faults_of_flows(&teacher, &student, &spec, space_of(target), &mut faults);
        }
        refuse(path, faults)?;

        let seed = Seed(spec.seed);
        let data = match (is_given, &spec.data) {
            (Some(target), Some(data)) => Some(given_rows::of_target(data, target)),
            _ => spec.data.clone(),
        };
        let data = data.as_ref();
        let rows = data.map(|data| {
            let mut rows = rows::read(data, folder, density(&target), seed, most_draws)?;
            if is_given.is_none() && !matches!(data.source, SourceSpec::Draws { .. }) {
                rows.table = prepare::to_coordinates(density(&target), rows.table, "data")?;
            }
            Ok::<_, Error>(rows)
        });
        let mut rows: Option<Rows> = rows.transpose()?;
        let mut contexts = None;
        if let (Some(target), Some(data)) = (is_given, data) {
            contexts = rows.take().map(|rows| given_rows::contexts(rows, target, data, seed)).transpose()?;
        }
        let data = data.filter(|_| is_given.is_none());
        let given = rows.as_ref().map(|rows| rows.given);
        let dim = rows.as_ref().map(|rows| rows.table.dim()).or(target_dim).unwrap_or(0);
        let mut faults = Vec::new();
        if let (true, Some(data), Some(rows)) = (by_itself, data, &rows) {
            let fitted = (1.0 - data.validation - data.test) * rows.table.len() as f64;
            let fit = DefaultFit::of(fitted as usize, dim - rows.given);
            spec.stages = fit.stages().into();
            spec.teacher.get_or_insert_with(|| fit.teacher());
            (teacher, student) = resolve_flows(&spec, &mut faults);
        }
        if target_dim.is_none() {
            let given = given.unwrap_or(0);
            faults_of_flows(&teacher, &student, &spec, Space { given, variables: dim - given }, &mut faults);
        } else if target_dim != Some(dim) {
            let right = target_dim.unwrap_or(0);
            faults.push(format!("data has {dim} columns and the target {right} coordinates; equal numbers are right"));
        }
        let reference =
            spec.evaluation.reference.as_ref().map(|file| data::read(&folder.join(file), None)).transpose()?;
        let reference = reference
            .map(|table| prepare::to_coordinates(density(&target), table, "evaluation.reference"))
            .transpose()?;
        if let Some(found) = reference.as_ref().map(Table::dim).filter(|&found| found != dim) {
            faults.push(format!("evaluation.reference has {found} columns; {dim} are right"));
        }
        if let Some(data) = data {
            prepare::faults_of_columns(data, density(&target), &mut faults);
        }
        refuse(path, faults)?;

        let names = match (&rows, &target) {
            (Some(rows), _) => rows.table.names.clone(),
            (None, Some(target)) => target.names(),
            (None, None) => Vec::new(),
        };
        let prepared = match (data, rows) {
            (Some(data), Some(rows)) => Some(prepare::prepare(data, rows, seed)?),
            _ => None,
        };
        let (data, standardisation, columns, table_notes) = match prepared {
            Some(Prepared { data, standardisation, columns, notes }) => (Some(data), standardisation, columns, notes),
            None => (None, Standardisation::identity(dim), Columns::default(), Vec::new()),
        };
        let given_rows = match (&data, given.filter(|&given| given > 0)) {
            (Some(data), Some(given)) => Some(GivenRows::of(given, data, dim)),
            _ => contexts,
        };
        let train = data.as_ref().map(|data| data.by_weight(dim));
        if let Some(data) = &data {
            let rows = [&data.train, &data.validation, &data.test];
            rows.iter().try_for_each(|rows| domain::check_rows(&spec, rows, &names))?;
        }
        let starts = if most_draws == usize::MAX { whiten::STARTS } else { 1 };
        // Draws that a stage is still to make are whitened by then.
        let sampled = spec.stages.iter().any(|stage| matches!(stage, StageSpec::Sample { .. }));
        let later = train.is_none() && sampled && spec.whitening == Whitening::Draws;
        let whitening = if later || domain::is_bounded(&spec) { Whitening::None } else { spec.whitening };
        let near = starts::coordinates(&spec.starts, density(&target), train.is_some(), whitening)?;
        let Whitened { standardisation, note: whitening_note, survey } = match (is_given, &given_rows) {
            (Some(target), Some(rows)) => whiten_given(whitening, target, rows, seed)?,
            _ => whiten(whitening, standardisation, density(&target), train.as_deref(), &names, (seed, starts, &near))?,
        };
        drop(train);
        if teacher.is_none() && spec.stages.iter().any(StageSpec::fits_teacher) {
            teacher = Some(FlowConfig::default());
        }
        let stages = spec.stages.iter().filter_map(StagePlan::of).collect();
        let native = spec.target.as_ref().and_then(|target| target.native(folder));
        spec.teacher.clone_from(&teacher);
        Ok(Self {
            spec,
            seed,
            dim,
            names,
            columns,
            table_notes,
            target,
            data,
            given_rows,
            standardisation,
            whitening_note,
            survey,
            auto,
            teacher,
            student,
            stages,
            reference,
            native,
            folder: folder.to_path_buf(),
            asked: Asked::default(),
        })
    }

    /// What the student was last trained against.
    pub fn student_against(&self) -> Option<Against> {
        self.stages.iter().rev().find_map(|stage| match stage {
            StagePlan::TrainStudent(against, ..) => Some(*against),
            _ => None,
        })
    }
}
