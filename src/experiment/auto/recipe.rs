//! What is tried: flows and stages by what is known of a target, and in which order.

use super::super::check::Plan;
use super::super::spec::{Against, MethodSpec, Spec, StageSpec, StudentSpec};
use super::super::stages::Auto;
use super::modes::Modes;
use super::symptom::Symptom;
use crate::flow::{BaseConfig, FlowConfig, MixtureBase, StudentTBase};
use crate::sampler::SmcSettings;
use crate::target::Survey;
use crate::train::{Gradient, Replay, Rounds, Schedule, Settings, Until};
use crate::transformer::{MixtureCdfSettings, Transformer};

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

/// What is known of the target.
pub(super) struct Situation {
    dim: usize,
    /// Modes that climbs from far and near have reached, and whether normal densities say something of half of them, or much.
    modes_of_survey: usize,
    normal: bool,
    described: bool,
    /// Whether these are likely all.
    complete: bool,
    /// The flow that the experiment names, which is kept then.
    given: Option<FlowConfig>,
    /// Whether there are draws from elsewhere, which show the modes.
    has_data: bool,
    /// The most evaluations of the target.
    budget: Option<u64>,
    /// ESS/N below which a student is of no use.
    worth: f64,
    /// The modes that draws belong to.
    pub modes: Option<Modes>,
}

/// ESS/N of Laplace's approximation below which a mode says little of the mass around it.
const SAYS_LITTLE: f64 = 0.05;
/// The same of modes at which a mixture may begin in many coordinates, or one of many components in few.
const SAYS_MUCH: f64 = 0.1;
/// Modes from which, in many coordinates, there are too many for few draws to show.
const MANY: usize = 8;
/// Modes that a mixture has as components, at most: the labels of four groups can be exchanged in so many ways.
const MOST_COMPONENTS: usize = 24;
/// Draws by which a student is judged, at least, however small the budget is.
const FEWEST_DRAWS: u64 = 2_000;
/// Coordinates up to which components of a mixture cover what no smooth map does.
const PLANE: usize = 3;
/// Coordinates up to which draws need few.
const FEW: usize = 8;
/// Coordinates beyond which splines are many enough with small networks, and their noise asks for smaller steps.
const SEVERAL: usize = 40;
/// ESS/N that is enough there: a bit above what is trusted, beyond which each hundredth is dear.
const ENOUGH_OF_SEVERAL: f64 = 0.81;

impl Situation {
    pub fn of(base: &Plan, auto: Auto) -> Self {
        let survey = base.survey.as_ref();
        let modes_of_survey = survey.map_or(0, |survey| survey.weighty().count());
        let half_have = |least: f64| {
            survey.is_some_and(|survey| {
                let good = survey.weighty().filter(|mode| mode.ess >= least).count();
                2 * good >= modes_of_survey
            })
        };
        let (normal, described) = (half_have(SAYS_LITTLE), half_have(SAYS_MUCH));
        let given = match &base.spec.student {
            Some(StudentSpec::Flow(flow)) => Some(flow.clone()),
            _ => None,
        };
        let complete = survey.is_some_and(Survey::is_complete);
        let has_data = base.data.is_some();
        let (dim, budget, worth) = (base.dim, auto.evaluations, super::worth(auto));
        Self { dim, modes_of_survey, normal, described, complete, given, has_data, budget, worth, modes: None }
    }

    /// As many as there are modes, where these are all, few, and as good as normal, so that a mixture may begin there. In many coordinates
    /// modes that do not describe what is around them are points of a landscape, and climbs come to few of them.
    fn components(&self) -> Option<usize> {
        let few = (2..=MOST_COMPONENTS).contains(&self.modes_of_survey) && self.dim > 1;
        let normal = if self.dim > FEW || self.modes_of_survey > MANY { self.described } else { self.normal };
        (few && normal && self.complete && !self.has_data).then_some(self.modes_of_survey)
    }

    /// What to try next, if anything.
    pub fn next(&self, tried: &[Kind], symptom: &Symptom) -> Option<Kind> {
        use Kind::{BentTails, Draws, LongSplines, Mixture, MoreDraws, Plain, Splines, Tails};
        let several = self.modes_of_survey > 1;
        let order: &[Kind] = if tried.is_empty() {
            match (several, self.normal) {
                _ if self.has_data => &[Draws],
                (true, true) if self.dim > FEW && self.modes_of_survey >= MANY && !self.complete => &[MoreDraws],
                _ if self.components().is_some() => &[Mixture],
                (true, _) if self.dim > FEW && !self.described => &[Splines],
                (true, true) => &[Draws],
                (true, false) => &[Splines],
                // One affine coordinate can only be normal.
                _ if self.dim == 1 => &[Splines],
                _ => &[Plain],
            }
        } else if tried.contains(&Draws) || tried.contains(&MoreDraws) {
            &[MoreDraws]
        } else if tried.contains(&Mixture) {
            if (symptom.uneven || symptom.fringe) && !symptom.missing {
                &[Splines, Draws]
            } else {
                &[Draws]
            }
        } else if symptom.heavy {
            // A scale's funnel and a bent ridge look like heavy tails, and tempering takes tens of millions of evaluations.
            &[Tails, BentTails, Splines, Draws]
        } else if symptom.walls {
            &[Draws]
        } else if symptom.missing || symptom.fringe {
            // Two linear layers are soon tried.
            &[Tails, Draws]
        } else if symptom.uneven && self.modes_of_survey <= 1 {
            &[Splines, LongSplines, Draws]
        } else if symptom.uneven || symptom.diverged.is_some() {
            &[Splines, Draws]
        } else {
            &[]
        };
        order.iter().copied().find(|kind| !tried.contains(kind))
    }

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

    fn flow(&self, kind: Kind) -> FlowConfig {
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
                        transformer: spline,
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
                        rounds: Some(Rounds { first: 700, least: Some(situation.worth), ..Rounds::default() }),
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
                let (forward, reverse) = if self.walls || base.dim > FEW { (1.0, 0.1) } else { (1.0, 1.0) };
                let steps = if more { 4_000 } else { 2_000 };
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
                        training: Settings { rate: rate(1e-3), until, ..training },
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three modes that climbs have come to often enough, in so many coordinates; how well normal densities describe them.
    fn situation(dim: usize, normal: bool, described: bool) -> Situation {
        let (given, has_data, budget, worth, modes) = (None, false, None, 0.75, None);
        Situation { dim, modes_of_survey: 3, normal, described, complete: true, given, has_data, budget, worth, modes }
    }

    #[test]
    fn a_mixture_begins_at_modes_only_where_these_stand_for_the_density() {
        let first = |of: Situation| of.next(&[], &Symptom::default());
        assert_eq!(first(situation(64, true, true)), Some(Kind::Mixture));
        // A landscape: its few modes say next to nothing of it, and more draws of it than can be had would be needed.
        assert_eq!(first(situation(64, true, false)), Some(Kind::Splines));
        // In few coordinates bent modes are covered by components all the same.
        assert_eq!(first(situation(2, true, false)), Some(Kind::Mixture));
        assert_eq!(first(situation(2, false, false)), Some(Kind::Splines));
        let unknown = Situation { complete: false, ..situation(4, true, true) };
        assert_eq!(first(unknown), Some(Kind::Draws));
        // Four groups whose labels can be exchanged; many modes that normal densities say little of.
        let exchanged = Situation { modes_of_survey: 24, ..situation(11, true, true) };
        assert_eq!(first(exchanged), Some(Kind::Mixture));
        let bent = Situation { modes_of_survey: 24, ..situation(6, true, false) };
        assert_eq!(first(bent), Some(Kind::Draws));
    }

    #[test]
    fn a_fringe_around_a_mixture_is_bent_and_a_lost_part_is_sampled() {
        let next = |of: Symptom| situation(5, true, true).next(&[Kind::Mixture], &of);
        assert_eq!(next(Symptom { fringe: true, ..Symptom::default() }), Some(Kind::Splines));
        assert_eq!(next(Symptom { missing: true, uneven: true, ..Symptom::default() }), Some(Kind::Draws));
    }

    #[test]
    fn what_looks_like_tails_is_bent_before_the_target_is_sampled() {
        let heavy = Symptom { heavy: true, uneven: true, ..Symptom::default() };
        let next = |tried: &[Kind]| situation(5, false, false).next(tried, &heavy);
        assert_eq!(next(&[Kind::Plain]), Some(Kind::Tails));
        assert_eq!(next(&[Kind::Plain, Kind::Tails, Kind::BentTails]), Some(Kind::Splines));
        assert_eq!(next(&[Kind::Plain, Kind::Tails, Kind::BentTails, Kind::Splines]), Some(Kind::Draws));
    }
}
