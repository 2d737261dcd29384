//! What an experiment file says, field by field, and its defaults.

use super::data_spec::DataSpec;
use super::given_settings;
use super::stages::{self, Stages};
use super::target_spec::TargetSpec;
use super::wording;
use crate::error::{Error, Result};
use crate::flow::FlowConfig;
use crate::intake;
use crate::sampler::{NutsSettings, SmcSettings};
use crate::shown;
use crate::train::{AnnealConfig, Divergence, Gradient, Settings};
use ron::error::{Position, SpannedError};
use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use ron::Options;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the experiment format.
pub const VERSION: u32 = 1;

/// Experiment files beyond this size are refused unread.
const LARGEST: u64 = 1 << 20;

/// An experiment as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The version of the format.
    #[serde(default = "version")]
    pub version: u32,
    /// The name of the run and of its folder; that of the file if left out.
    #[serde(default)]
    pub name: String,
    /// The seed of all randomness.
    #[serde(default = "seed")]
    pub seed: u64,
    /// The unnormalized density that is sampled from exactly, or that a student is trained against.
    #[serde(default)]
    pub target: Option<TargetSpec>,
    /// What the teacher is fitted to.
    #[serde(default)]
    pub data: Option<DataSpec>,
    /// The affine map between the user's coordinates and the flows'.
    #[serde(default)]
    pub whitening: Whitening,
    /// Places from which the target is climbed, too: values of its parameters, such as modes that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Vec<f64>>,
    /// The teacher's flow: log densities in one pass.
    #[serde(default)]
    pub teacher: Option<FlowConfig>,
    /// The student's flow: draws in one pass.
    #[serde(default)]
    pub student: Option<StudentSpec>,
    /// What is done, in order. Left out, `data` alone are fitted and distilled as suits their size ([`DefaultFit`](super::DefaultFit)), and a
    /// `target` is fitted until the verdict is good enough ([`Auto`](super::Auto)).
    #[serde(default)]
    pub stages: Stages,
    /// How the result is judged.
    #[serde(default)]
    pub evaluation: EvaluationSpec,
}

fn version() -> u32 {
    VERSION
}

fn seed() -> u64 {
    1
}

fn unit() -> f64 {
    1.0
}

/// What the affine map between the user's coordinates and the flows' is made from; it has a part in teacher and student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Whitening {
    /// By the data where there are any. Else by what a survey of the target finds: the normal approximation of the largest evidence, at a
    /// mode or on the way to one, or the moments of several modes; nothing where none is found.
    #[default]
    Auto,
    /// Shift and scale of the data's columns only, where there are data.
    None,
    /// Mode and curvature of the target.
    Laplace,
    /// Mean and covariance of the data that are fitted.
    Draws,
}

/// The student's flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum StudentSpec {
    /// The teacher's widths and depth with the layer orders reversed: the shape that can write the teacher's inverse exactly.
    LikeTeacher,
    /// A shape of its own.
    Flow(FlowConfig),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum StageSpec {
    /// Draw from the target with a sampler that knows nothing of any flow: a teacher's data where there are no others, and the draws
    /// against which the result is judged where the target has no exact ones.
    Sample {
        /// By which sampler.
        #[serde(default)]
        method: MethodSpec,
        /// How many draws are kept.
        #[serde(default = "fifty_thousand")]
        draws: usize,
    },
    /// Fit the teacher to the data.
    MaximumLikelihood(
        /// How.
        Settings,
    ),
    /// Fit a continuous teacher to the data by flow matching.
    FlowMatching(
        /// How.
        Settings,
    ),
    /// Train the student by forward KL alone: over fresh draws of the teacher, or over the data.
    ForwardKl {
        /// The density that the student is to match.
        against: Against,
        /// How.
        #[serde(default)]
        training: Settings,
    },
    /// Train the student by reverse KL, with some forward KL beside it where that has a weight.
    ReverseKl {
        /// The density that the student is to match.
        against: Against,
        /// Which gradient of the reverse KL is followed.
        #[serde(default)]
        gradient: Gradient,
        /// The weight of the reverse KL.
        #[serde(default = "unit")]
        reverse: f64,
        /// The weight of the forward KL, over fresh draws of the teacher or over the data.
        #[serde(default)]
        forward: f64,
        /// How the target comes forth from a broad base, if it is not there from the start.
        #[serde(default)]
        anneal: Option<AnnealConfig>,
        /// How.
        #[serde(default = "Settings::for_reverse_kl", deserialize_with = "given_settings::over_reverse_kl")]
        training: Settings,
    },
}

impl StageSpec {
    /// Whether it fits the teacher.
    pub fn fits_teacher(&self) -> bool {
        matches!(self, StageSpec::MaximumLikelihood(_) | StageSpec::FlowMatching(_))
    }

    /// Against what it trains the student, which distance it makes small, and how; nothing if it does not train the student.
    pub fn divergence(&self) -> Option<(Against, Divergence, Settings)> {
        match *self {
            StageSpec::Sample { .. } | StageSpec::MaximumLikelihood(_) | StageSpec::FlowMatching(_) => None,
            StageSpec::ForwardKl { against, training } => {
                Some((against, Divergence { reverse: 0.0, forward: 1.0, ..Divergence::default() }, training))
            }
            StageSpec::ReverseKl { against, gradient, reverse, forward, anneal, training } => {
                Some((against, Divergence { gradient, reverse, forward, anneal }, training))
            }
        }
    }
}

/// A sampler of the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum MethodSpec {
    /// Tempered sequential Monte Carlo: finds separate modes, knows log Z.
    Smc(
        /// How.
        SmcSettings,
    ),
    /// The no-U-turn sampler (a build with the feature `nuts`): long thin posteriors of one mode.
    Nuts(
        /// How.
        NutsSettings,
    ),
}

impl Default for MethodSpec {
    fn default() -> Self {
        MethodSpec::Smc(SmcSettings::default())
    }
}

fn fifty_thousand() -> usize {
    50_000
}

/// Where the certificate's independent look at the target comes from if there are neither exact draws nor a `Sample` stage nor a reference.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum IndependentSpec {
    /// Tempered sequential Monte Carlo with its defaults.
    #[default]
    Auto,
    /// The same, but never a `Sample` stage, since the student has learned from its draws: always draws of its own.
    Fresh,
    /// From nowhere: the verdict can then be no better than `not trusted`.
    None,
    /// Tempered sequential Monte Carlo, even where there is something else.
    Smc(
        /// How.
        SmcSettings,
    ),
}

/// What a student is trained against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Against {
    /// The fitted teacher.
    Teacher,
    /// The target density.
    Target,
}

/// How the result is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSpec {
    /// Draws of the student, and exact or teacher draws, over which its scores are taken.
    pub draws: usize,
    /// How often the target has been judged before in this run: each verdict is over draws of its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub judged: u64,
    /// A CSV or NPY file of draws of the target from elsewhere; relative to the experiment file.
    pub reference: Option<PathBuf>,
    /// Where the certificate's independent look at the target comes from.
    pub independent: IndependentSpec,
    /// Whether the speeds of teacher and student are measured at the end.
    pub compare: bool,
}

impl Default for EvaluationSpec {
    fn default() -> Self {
        Self { draws: 20_000, judged: 0, reference: None, independent: IndependentSpec::Auto, compare: false }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn options() -> Options {
    Options::default().with_default_extension(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES)
}

impl Spec {
    /// Reads an experiment file and returns it with its text.
    ///
    /// # Errors
    /// If it is missing, too large, or not an experiment; the error names line and column.
    pub fn read(path: &Path) -> Result<(Self, String)> {
        let text = intake::text(path, LARGEST)?;
        let mut spec = Self::parse(&text).map_err(|message| Error::input(path, message))?;
        if spec.name.is_empty() {
            spec.name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        }
        Ok((spec, text))
    }

    /// Reads the text of an experiment.
    ///
    /// # Errors
    /// With line and column, the line itself and a caret, what is wrong and what would be right.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let spec = Self::read_plain(text).map_err(|error| {
            let Position { line, col } = wording::place(&error);
            let source = text.lines().nth(line.saturating_sub(1)).unwrap_or("").replace('\t', " ");
            // Blanks before it are not what is wrong.
            let blanks = source.chars().skip(col.saturating_sub(1)).take_while(|c| *c == ' ').count();
            let column = if source.chars().count() > col + blanks { col + blanks } else { col };
            // A minified file may be one long line; its neighbourhood is enough.
            let from = column.saturating_sub(80);
            let near: String = source.chars().skip(from).take(120).collect();
            let before: String = near.chars().take(column.saturating_sub(from + 1)).collect();
            let gap = " ".repeat(shown::columns(&before));
            format!("line {line}, column {column}: {}\n  {near}\n  {gap}^", Self::fault(&error, text))
        })?;
        match stages::name_of(text).filter(|_| matches!(spec.stages, Stages::Auto(_))) {
            Some(name) if name != "Auto" => {
                let line = text.lines().position(|line| line.contains("stages")).map_or(1, |line| line + 1);
                Err(format!("line {line}: stages is `{name}`; a list of stages or `Auto()` is right"))
            }
            _ => Ok(spec),
        }
    }

    /// What is wrong with a text that is no experiment, without its place.
    pub(super) fn fault(error: &SpannedError, text: &str) -> String {
        wording::of_ron(error, text, |text| options().from_str::<Self>(text).err())
    }

    /// Reads a text without a word for people.
    pub(super) fn read_plain(text: &str) -> std::result::Result<Self, SpannedError> {
        options().from_str(text)
    }

    /// The experiment as RON, with every default written out.
    ///
    /// # Errors
    /// If a number cannot be written.
    pub fn to_ron(&self) -> Result<String> {
        let config = PrettyConfig::new().depth_limit(8).separate_tuple_members(true);
        let text = options().to_string_pretty(self, config).map_err(Error::invalid)?;
        // The writer marks a variant called `None` as no absence, which a reader of experiments needs not. Texts are written without line breaks,
        // so that a line which begins with a field begins outside of them.
        let plain = |line: &str| match line.trim_end_matches(',').strip_suffix(": r#None") {
            Some(field) if field.trim_start().chars().all(|c| c.is_alphanumeric() || c == '_') => {
                line.replace("r#", "")
            }
            _ => line.to_string(),
        };
        Ok(text.lines().map(|line| plain(line) + "\n").collect())
    }
}
