//! What is known of a target, and what is tried next by it.

use super::super::check::Plan;
use super::super::spec::StudentSpec;
use super::super::stages::Auto;
use super::modes::Modes;
use super::recipe::Kind;
use super::symptom::Symptom;
use crate::flow::FlowConfig;
use crate::target::Survey;

/// What is known of the target.
pub(super) struct Situation {
    pub dim: usize,
    /// Modes that climbs from far and near have reached, and whether normal densities say something of half of them, or much.
    pub modes_of_survey: usize,
    pub normal: bool,
    pub described: bool,
    /// Whether these are likely all.
    pub complete: bool,
    /// Whether a mixture that began at them has come to next to nothing.
    pub misleading: bool,
    /// The flow that the experiment names, which is kept then.
    pub given: Option<FlowConfig>,
    /// Whether there are draws from elsewhere, which show the modes.
    pub has_data: bool,
    /// The most evaluations of the target.
    pub budget: Option<u64>,
    /// ESS/N below which a student is not what is asked for.
    pub asked: f64,
    /// The modes that draws belong to.
    pub modes: Option<Modes>,
}

/// ESS/N of Laplace's approximation below which a mode says little of the mass around it.
const SAYS_LITTLE: f64 = 0.05;
/// The same of modes at which a mixture may begin in many coordinates, or one of many components in few.
const SAYS_MUCH: f64 = 0.1;
/// Modes that a mixture has as components, at most: the labels of four groups can be exchanged in so many ways.
const MOST_COMPONENTS: usize = 24;
/// Modes from which, in many coordinates, there are too many for few draws to show.
pub(super) const MANY: usize = 8;
/// Coordinates up to which draws need few.
pub(super) const FEW: usize = 8;

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
        let (dim, budget, asked) = (base.dim, auto.evaluations, super::asked(auto));
        let misleading = false;
        Self {
            dim,
            modes_of_survey,
            normal,
            described,
            complete,
            misleading,
            given,
            has_data,
            budget,
            asked,
            modes: None,
        }
    }

    /// What an attempt came to has a say in those that follow.
    pub fn hear_of(&mut self, kind: Kind, ess: Option<f64>) {
        self.misleading |= kind == Kind::Mixture && !ess.is_some_and(|ess| ess >= SAYS_LITTLE);
    }

    /// As many as there are modes, where these are all, few, and as good as normal, so that a mixture may begin there. In many coordinates
    /// modes that do not describe what is around them are points of a landscape, and climbs come to few of them.
    pub fn components(&self) -> Option<usize> {
        let few = (2..=MOST_COMPONENTS).contains(&self.modes_of_survey) && self.dim > 1;
        let normal = if self.dim > FEW || self.modes_of_survey > MANY { self.described } else { self.normal };
        (few && normal && self.complete && !self.misleading && !self.has_data).then_some(self.modes_of_survey)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{BaseConfig, MixtureBase};

    /// Of three modes that climbs have come to often enough, in so many coordinates; how well normal densities describe them.
    fn situation(dim: usize, normal: bool, described: bool) -> Situation {
        Situation {
            dim,
            modes_of_survey: 3,
            normal,
            described,
            complete: true,
            misleading: false,
            given: None,
            has_data: false,
            budget: None,
            asked: 0.8,
            modes: None,
        }
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
    fn splines_leave_modes_at_which_a_mixture_came_to_nothing() {
        let uneven = Symptom { uneven: true, ..Symptom::default() };
        let after = |ess: f64| {
            let mut situation = situation(5, true, false);
            situation.hear_of(Kind::Mixture, Some(ess));
            assert_eq!(situation.next(&[Kind::Mixture], &uneven), Some(Kind::Splines));
            situation.flow(Kind::Splines).base
        };
        assert_eq!(after(0.4), BaseConfig::Mixture(MixtureBase { components: 3 }));
        assert_eq!(after(0.04), BaseConfig::Normal);
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
