//! The modes that draws of a target belong to.

use super::super::check::Plan;
use crate::error::Result;
use crate::evaluate::draws::WeightedDraws;
use crate::flow::{Standardisation, Standardised};
use crate::target::{survey, Approximation};

/// Distinct modes, in the coordinates of the plan that found them.
#[derive(Debug, Clone)]
pub(super) struct Modes {
    /// The modes.
    pub all: Vec<Approximation>,
    /// Whether climbs from draws end at so many places that these are no modes but points of a ridge, or more than can be told apart.
    pub too_many: bool,
    /// The coordinates that they are in.
    standardisation: Standardisation,
}

/// Draws from which is climbed.
const CLIMBS: usize = 400;
/// The same where curvatures are large matrices.
const FEW_CLIMBS: usize = 64;
/// Coordinates from which they are.
const LARGE: usize = 16;
/// Modes beyond this number are too many.
const MOST: usize = 60;
/// ESS/N of Laplace's approximation from which a mode is as good as normal.
const NORMAL: f64 = 0.7;

impl Modes {
    /// The modes that the draws which `plan` holds belong to.
    pub fn of_draws(plan: &Plan) -> Result<Self> {
        let dim = plan.dim;
        let climbs = if dim > LARGE { FEW_CLIMBS } else { CLIMBS };
        let rows = plan.data.as_ref().map_or(&[][..], |data| &data.train);
        let count = rows.len() / dim;
        let mut starts = Vec::new();
        for k in 0..climbs.min(count) {
            let mut point = rows[k * count / climbs.min(count) * dim..][..dim].to_vec();
            plan.standardisation.apply(&mut point, &mut [0.0]);
            starts.push(point);
        }
        let Some(target) = &plan.target else {
            return Ok(Self { all: Vec::new(), too_many: false, standardisation: plan.standardisation.clone() });
        };
        let target = Standardised { target: target.as_ref(), standardisation: &plan.standardisation };
        let found = survey(&target, &starts, &plan.seed.stream("auto/modes"));
        let arrived: usize = found.arrivals.iter().sum();
        let distinct = found.modes.len();
        let too_many = distinct > MOST || (distinct > 4 && 3 * distinct > arrived);
        Ok(Self { all: found.modes, too_many, standardisation: plan.standardisation.clone() })
    }

    /// Those of the survey, where it has found several and likely all.
    pub fn of_survey(plan: &Plan) -> Option<Self> {
        let all = Some(plan.modes()).filter(|modes| !modes.is_empty())?;
        Some(Self { all, too_many: false, standardisation: Standardisation::identity(plan.dim) })
    }

    /// For people.
    pub fn summary(&self) -> String {
        match (self.all.len(), self.too_many) {
            (_, true) => "climbs from the draws end at too many places to count".into(),
            (1, _) => "climbs from the draws end at one mode".into(),
            (count, _) => format!("climbs from the draws end at {count} modes"),
        }
    }

    /// Whether normal components describe them.
    pub fn are_normal(&self) -> bool {
        let good = self.all.iter().filter(|mode| mode.ess > NORMAL).count();
        2 * good > self.all.len()
    }

    /// Where they are, in the user's coordinates; none if they are too many.
    pub fn in_user_coordinates(&self) -> Vec<Vec<f64>> {
        let points = self.all.iter().filter(|_| !self.too_many).map(|mode| {
            let mut point = mode.mean.clone();
            self.standardisation.undo(&mut point, &mut [0.0]);
            point
        });
        points.collect()
    }

    /// The share of each of the weighted draws of a student: of those that are nearest to it, in units of the standard deviations there.
    pub fn masses(&self, draws: &WeightedDraws) -> Vec<f64> {
        let mut masses = vec![0.0; self.all.len()];
        let dim = self.standardisation.shift.len();
        let mut points = draws.points.clone();
        let rows = points.len() / dim;
        self.standardisation.apply(&mut points, &mut vec![0.0; rows]);
        let largest = draws.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for (point, log_weight) in points.chunks_exact(dim).zip(&draws.log_weights) {
            let distance = |mode: &Approximation| -> f64 {
                let scales = mode.covariance.iter().step_by(dim + 1);
                point.iter().zip(&mode.mean).zip(scales).map(|((x, m), v)| (x - m).powi(2) / v).sum()
            };
            let nearest =
                (0..self.all.len()).min_by(|&a, &b| distance(&self.all[a]).total_cmp(&distance(&self.all[b])));
            let weight = (log_weight - largest).exp();
            if let Some(place) = nearest.filter(|_| weight.is_finite()) {
                masses[place] += weight;
                total += weight;
            }
        }
        masses.iter_mut().for_each(|mass| *mass /= total);
        masses
    }
}
