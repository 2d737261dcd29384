//! What is tried: flows and stages by what is known of a target.

use super::super::check::Plan;
use super::super::spec::{Against, MethodSpec, Spec, StageSpec};
use super::situation::{Situation, FEW, MANY};
use super::symptom::Symptom;
use crate::flow::{BaseConfig, FlowConfig, MixtureBase, StudentTBase};
use crate::sampler::SmcSettings;
use crate::train::{Gradient, Replay, Rounds, Schedule, Settings, Until};
use crate::transformer::{MixtureCdfSettings, SplineSettings, Transformer};

/// Ways to a student, from the cheapest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Affine layers by reverse KL alone.
    Plain,
    /// The same over a mixture of the modes that are known.
    Mixture,
    /// Two linear layers over a base with tails.
    Tails,
    /// The same with small networks.
    BentTails,
    /// Maps that bend each variable by reverse KL alone: splines, or from 9 to 40 coordinates the cumulative distributions of mixtures, which are
    /// smoother and learn from fewer slopes.
    Splines,
    /// The same for longer, in larger batches.
    LongSplines,
    /// Draws of the target by tempering, to which the student is fitted first and from which it may not stray.
    Draws,
    /// The same with more draws and longer.
    MoreDraws,
}

impl Kind {
    /// About how often it asks the target in training or for draws.
    pub fn evaluations(self) -> f64 {
        match self {
            Kind::Plain | Kind::Mixture | Kind::Tails | Kind::BentTails => 1e5,
            Kind::Splines | Kind::Draws => 2e6,
            Kind::LongSplines => 6e6,
            Kind::MoreDraws => 2e7,
        }
    }
}

/// One way, with why it is taken.
pub(super) struct Recipe {
    kind: Kind,
    walls: bool,
    pub why: String,
}

/// Draws by which a student is judged, at least, however small the budget is.
const FEWEST_DRAWS: u64 = 2_000;
/// Coordinates up to which components of a mixture cover what no smooth map does.
const PLANE: usize = 3;
/// Coordinates beyond which splines are many enough with small networks, and their noise asks for smaller steps.
const SEVERAL: usize = 40;
/// ESS/N that is enough there: a bit above what is trusted, beyond which each hundredth is dear.
const ENOUGH_OF_SEVERAL: f64 = 0.81;

impl Situation {
    /// The recipe of this kind.
    pub fn recipe(&self, kind: Kind, symptom: &Symptom) -> Recipe {
        let because =
            if *symptom == Symptom::default() { String::new() } else { format!(", since {}", symptom.words()) };
        let what = match kind {
            Kind::Plain => match self.modes_of_survey {
                0 => "affine layers by reverse KL: no mode has much mass around it".to_string(),
                _ => "affine layers by reverse KL: one mode was found".to_string(),
            },
            Kind::Mixture => {
                format!(
                    "affine layers over a mixture of the {} modes that were found, by reverse KL",
                    self.modes_of_survey
                )
            }
            Kind::Tails => "linear layers over a Student-t base by reverse KL".into(),
            Kind::BentTails => "affine layers over a Student-t base by reverse KL".into(),
            Kind::Splines if self.components().is_some() => {
                format!("{} over the same mixture by reverse KL", self.bends())
            }
            Kind::Splines if self.modes_of_survey > 1 => {
                let which = "there are several modes, but they do not describe the density around them";
                format!("{} by reverse KL: {which}", self.bends())
            }
            Kind::Splines => format!("{} by reverse KL", self.bends()),
            Kind::LongSplines => format!("{} by reverse KL for longer, in larger batches", self.bends()),
            Kind::Draws if self.has_data => "a fit to the data, and reverse KL beside it".into(),
            Kind::Draws if self.modes_of_survey > 1 => {
                format!("draws by tempering, and a fit to them: {} modes were found", self.modes_of_survey)
            }
            Kind::Draws => "draws by tempering, and a fit to them".into(),
            Kind::MoreDraws if self.modes.is_none() => {
                format!(
                    "many draws by tempering, and a long fit to them: {} climbs found as many modes",
                    self.modes_of_survey
                )
            }
            Kind::MoreDraws => "more draws by tempering, and a longer fit to them".into(),
        };
        Recipe { kind, walls: symptom.walls, why: what + &because }
    }

    /// What bends the variables, where affine layers are not enough.
    fn bends(&self) -> &'static str {
        if self.dim > FEW && self.dim <= SEVERAL {
            "cumulative distributions of mixtures"
        } else {
            "splines"
        }
    }

    /// The flow that it trains, which is the one that the experiment names if it does.
    pub fn flow(&self, kind: Kind) -> FlowConfig {
        if let Some(given) = &self.given {
            return given.clone();
        }
        let plain = FlowConfig::default();
        let spline = Transformer::spline();
        let of_modes =
            self.components().map_or(BaseConfig::Normal, |components| BaseConfig::Mixture(MixtureBase { components }));
        match kind {
            Kind::Plain => plain,
            Kind::Mixture => FlowConfig { base: of_modes, ..plain },
            Kind::Tails | Kind::BentTails => {
                let hidden = if kind == Kind::Tails { Vec::new() } else { vec![32] };
                FlowConfig {
                    layers: 2.into(),
                    hidden,
                    base: BaseConfig::StudentT(StudentTBase { freedom: 1.5 }),
                    ..plain
                }
            }
            Kind::Splines | Kind::LongSplines if self.dim > SEVERAL => {
                FlowConfig { layers: 3.into(), hidden: vec![64], transformer: spline, base: of_modes, ..plain }
            }
            Kind::Splines | Kind::LongSplines if self.dim > FEW => {
                let transformer = Transformer::MixtureCdf(MixtureCdfSettings { components: 3, ..Default::default() });
                FlowConfig { layers: 4.into(), hidden: vec![96, 96], transformer, base: of_modes, ..plain }
            }
            Kind::Splines | Kind::LongSplines => {
                FlowConfig { layers: 3.into(), transformer: spline, base: of_modes, ..plain }
            }
            Kind::Draws | Kind::MoreDraws => {
                let (components, normal) = match &self.modes {
                    Some(modes) if modes.too_many && self.dim <= PLANE => (8, false),
                    // Many modes in several coordinates are mostly products of few in each, which splines follow.
                    Some(modes) if !modes.too_many && (modes.all.len() <= MANY || self.dim <= PLANE) => {
                        (modes.all.len(), modes.are_normal())
                    }
                    _ => (1, false),
                };
                let base =
                    if components > 1 { BaseConfig::Mixture(MixtureBase { components }) } else { BaseConfig::Normal };
                match (normal && components > 1, self.dim > FEW) {
                    (true, _) => FlowConfig { layers: 3.into(), base, ..plain },
                    (false, false) => FlowConfig { layers: 3.into(), base, transformer: spline, ..plain },
                    (false, true) => FlowConfig {
                        layers: 2.into(),
                        hidden: vec![32.max(self.dim.min(64))],
                        base,
                        // Two wells within the scale of a coordinate.
                        transformer: Transformer::Spline(SplineSettings { bins: 12, ..SplineSettings::default() }),
                        ..plain
                    },
                }
            }
        }
    }
}

impl Recipe {
    /// Whether it fits draws of the target, by tempering or from elsewhere.
    pub fn fits_draws(&self) -> bool {
        matches!(self.kind, Kind::Draws | Kind::MoreDraws)
    }

    /// The experiment, all of it written out.
    pub fn spec(&self, base: &Plan, situation: &Situation) -> Spec {
        let flow = situation.flow(self.kind);
        let components = match flow.base {
            BaseConfig::Mixture(MixtureBase { components }) => components,
            _ => 1,
        };
        let rate = |peak: f64| Schedule { peak, ..Schedule::default() };
        let against = Against::Target;
        let reverse_kl = |training: Settings| StageSpec::ReverseKl {
            against,
            gradient: Gradient::Path,
            reverse: 1.0,
            forward: 0.0,
            anneal: None,
            training,
        };
        let until = Some(Until { ess: 0.98, se: None });
        let small = base.dim <= 16;
        let stages = match self.kind {
            Kind::Plain | Kind::Mixture | Kind::Tails | Kind::BentTails => {
                let training = Settings::for_reverse_kl();
                let careful = self.kind == Kind::Mixture;
                let heavy = matches!(self.kind, Kind::Tails | Kind::BentTails);
                let mut training = if small && heavy {
                    // Slopes have heavy tails, too.
                    Settings { steps: 5_000, batch: 64, rate: rate(2e-3), ..training }
                } else if small {
                    // A component that is moved too fast leaves its mode.
                    Settings { rate: rate(if careful { 2e-3 } else { 5e-3 }), ..training }
                } else {
                    Settings {
                        steps: 5_500,
                        batch: 32,
                        rate: rate(if careful { 1e-3 } else { 2e-3 }),
                        until: Some(Until { ess: 0.97, se: None }),
                        rounds: Some(Rounds { first: 700, least: Some(situation.asked), ..Rounds::default() }),
                        replay: Some(Replay { times: 1, ..Replay::default() }),
                        ..training
                    }
                };
                training.batch = (training.batch * components).min(256).max(components);
                while situation.budget.is_some_and(|most| training.fresh_rows() > most / 2) && training.steps > 100 {
                    training.steps = training.steps * 3 / 4;
                }
                vec![reverse_kl(training)]
            }
            Kind::Splines | Kind::LongSplines => {
                let long = self.kind == Kind::LongSplines;
                // Few rows and many steps of a rate that falls once, from a slow start: the noise of a path gradient vanishes with the fit's faults. In
                // more coordinates a step takes long, and larger batches come to the same sooner.
                let (first, second, batch, peak) = match base.dim {
                    dim if dim > FEW && dim <= SEVERAL && long => (10_400, 10_400, 64, 1.5e-3),
                    dim if dim > FEW && dim <= SEVERAL => (10_400, 8_000, 32, 1.5e-3),
                    _ if long => (5_000, 7_000, 512, 2e-3),
                    dim if dim <= FEW => (8_000, 12_000, 64, 2e-3),
                    _ => (2_000, 3_500, 256, 1.5e-3),
                };
                let enough = match base.dim {
                    _ if small => 0.98,
                    dim if dim <= SEVERAL => ENOUGH_OF_SEVERAL,
                    _ => 0.9,
                };
                vec![reverse_kl(Settings {
                    steps: first + second,
                    batch: batch.max(components),
                    rate: Schedule { warm_up: if batch <= 64 { 100 } else { 0 }, ..rate(peak) },
                    average: 0.998,
                    until: Some(Until { ess: enough, se: None }),
                    rounds: Some(Rounds { first, second, longer: 1.0, wider: 1.0, least: None }),
                    ..Settings::default()
                })]
            }
            Kind::Draws | Kind::MoreDraws => {
                let more = self.kind == Kind::MoreDraws;
                let particles = if more { 4096 } else { 1024 };
                let draws = match (more, base.dim <= FEW) {
                    (false, _) => 24_000,
                    (true, true) => 100_000,
                    (true, false) => 200_000,
                };
                let batch = (if more { 512 } else { 256 }).max(2 * components);
                // Few draws do not hold a student that its own draws pull away; many do.
                let listens = self.walls || (base.dim > FEW && !more);
                let (forward, reverse) = (1.0, if listens { 0.1 } else { 1.0 });
                let steps = if more { 4_000 } else { 2_000 };
                // Slopes of draws between many wells are noise that only smaller steps average.
                let closing = if more && base.dim > FEW { 5e-4 } else { 1e-3 };
                let training = Settings { steps, batch, average: 0.998, clip: 100.0, ..Settings::default() };
                let method = MethodSpec::Smc(SmcSettings { particles, ..SmcSettings::default() });
                let sample = (!situation.has_data).then_some(StageSpec::Sample { method, draws });
                let fits = [
                    StageSpec::ForwardKl { against, training: Settings { rate: rate(3e-3), ..training } },
                    StageSpec::ReverseKl {
                        against,
                        gradient: Gradient::Path,
                        reverse,
                        forward,
                        anneal: None,
                        training: Settings { rate: rate(closing), until, ..training },
                    },
                ];
                sample.into_iter().chain(fits).collect()
            }
        };
        let mut spec = base.decided(flow, stages);
        if let Some(most) = situation.budget {
            spec.evaluation.draws = spec.evaluation.draws.min((most / 5).max(FEWEST_DRAWS) as usize);
        }
        spec
    }
}
