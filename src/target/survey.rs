//! What a few thousand evaluations tell of a density: its modes, and the normal approximation that describes it best.

use super::laplace::normal_at;
use super::mode::{walk, Mode};
use super::{evaluate_in_pieces, Density, Faults};
use crate::cholesky;
use crate::seed::Stream;
use rayon::prelude::*;
use std::f64::consts::TAU;

/// A normal approximation of a density.
#[derive(Debug, Clone, PartialEq)]
pub struct Approximation {
    /// Its mean.
    pub mean: Vec<f64>,
    /// Its covariance, row-major: the inverse of −∇∇ log γ at the mean.
    pub covariance: Vec<f64>,
    /// Laplace's log Z: log γ at the mean, and the volume of the covariance.
    pub laplace: f64,
    /// log Z by importance sampling from it; with a few draws it is low where the approximation misses most of the density.
    pub log_evidence: f64,
    /// ESS/N of those draws.
    pub ess: f64,
    /// Whether its mean is a mode.
    pub at_mode: bool,
}

impl Approximation {
    /// `count` draws of it, row-major; none if its covariance is no covariance.
    pub fn draws(&self, count: usize, stream: &Stream) -> Vec<f64> {
        cholesky::regularised(&self.covariance, self.mean.len())
            .map_or_else(|_| Vec::new(), |(factor, _)| cholesky::normals(&factor, &self.mean, count, stream).0)
    }

    /// Whether `point` is so many standard deviations away that it is another mode.
    fn is_apart_from(&self, point: &[f64]) -> bool {
        let dim = self.mean.len();
        cholesky::regularised(&self.covariance, dim)
            .is_ok_and(|(factor, _)| distance(&cholesky::inverse(&factor, dim), &self.mean, point) >= APART)
    }
}

/// What [`survey`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Distinct modes, the one of the largest evidence first.
    pub modes: Vec<Approximation>,
    /// Climbs that ended at each of them.
    pub arrivals: Vec<usize>,
    /// The approximation of the largest evidence, at a mode or on the way to one; none if no climb could begin or nothing could be
    /// approximated.
    pub best: Option<Approximation>,
    /// Climbs.
    pub starts: usize,
    /// Why the last climb that did not arrive did not.
    pub fault: Option<String>,
}

/// Modes whose evidence is less than that of the largest by more nats have no part in a density, as far as normal approximations tell, …
const FAR_BELOW: f64 = 20.0;
/// … and by more than this, where they say something of both: a part of a hundred-thousandth, …
const BELOW_ABOUT: f64 = 11.5;
/// … and by more than this, where they describe both: a part of a thousandth.
const BELOW: f64 = 7.0;
/// ESS/N from which a normal approximation describes a mode.
const DESCRIBES: f64 = 0.3;

impl Survey {
    /// Modes that have a part in the density.
    pub fn weighty(&self) -> impl Iterator<Item = &Approximation> {
        let most = self.best.as_ref().map_or(f64::INFINITY, |best| best.log_evidence.max(best.laplace));
        let of_best = self.best.as_ref().map_or(0.0, |best| best.ess);
        self.modes.iter().filter(move |mode| {
            let far = match mode.ess.min(of_best) {
                ess if ess > DESCRIBES => BELOW,
                ess if ess >= POOR => BELOW_ABOUT,
                _ => FAR_BELOW,
            };
            mode.log_evidence.max(mode.laplace) > most - far
        })
    }

    /// Modes of `other`, as far as normal densities describe them, that are none of these: away from each of them, or each of them away from
    /// where they are (a spike within a wide mode).
    pub fn lacks<'a>(&'a self, other: &'a Survey) -> impl Iterator<Item = &'a Approximation> {
        let apart = |known: &Approximation, new: &Approximation| {
            known.is_apart_from(&new.mean) || new.is_apart_from(&known.mean)
        };
        other.modes.iter().filter(|new| new.ess >= POOR).filter(move |new| self.modes.iter().all(|k| apart(k, new)))
    }

    /// Whether climbs have come to every mode so often that few are left to be found.
    pub fn is_complete(&self) -> bool {
        let arrived: usize = self.arrivals.iter().sum();
        self.modes.len() < MOST_MODES && 3 * self.modes.len() <= arrived
    }
}

/// Steps of a climb, at most: one that takes longer has no mode before it.
const MOST_STEPS: usize = 250;
/// Draws by which an approximation is judged.
const DRAWS: usize = 64;
/// A mode whose approximation has less ESS/N does not describe the density around it, …
pub(super) const POOR: f64 = 0.1;
/// … and the points that this many climbs came by are tried too, …
const TRAILS: usize = 3;
/// … so many of each, at distances that double.
const TRIED: usize = 8;
/// Modes that are nearer than this, in units of the standard deviations around the higher one, are one.
const APART: f64 = 1.0;
/// A step of Newton's method at the end of a climb that is longer, in standard deviations, says that it has not arrived.
const FINAL: f64 = 0.1;
/// Modes beyond this number are not told apart any more.
pub(super) const MOST_MODES: usize = 64;

/// Climbs from each of `starts` by a quasi-Newton method, tells the modes apart by the curvature at them, and judges the normal approximation at
/// each by a few draws of it. Where none is good (a density that grows without bound, or whose mode is a spike beside its mass), points on
/// the way are tried too: among the normal approximations along a climb there is one of the largest evidence (Pathfinder: Zhang,
/// Carpenter, Gelman and Vehtari 2022; there with the curvature that the climb itself has seen).
pub fn survey(density: &dyn Density, starts: &[Vec<f64>], stream: &Stream) -> Survey {
    let mut search = Search::new(density, stream);
    search.climb(starts);
    search.judged()
}

/// [`survey`], and more climbs from around what it has found and farther away: a mode that is narrow beside the others is reached from few
/// places only. It goes on while it finds modes, and for as many climbs after the last one as make it likely that there are no more.
pub fn survey_around(density: &dyn Density, starts: &[Vec<f64>], stream: &Stream) -> Survey {
    let mut search = Search::new(density, stream);
    search.climb(starts);
    search.explore();
    search.judged()
}

/// A survey under way.
pub(super) struct Search<'a> {
    pub density: &'a dyn Density,
    stream: &'a Stream,
    pub found: Survey,
    pub precisions: Vec<Vec<f64>>,
    trails: Vec<Vec<Vec<f64>>>,
    /// Evaluations of climbs.
    pub spent: usize,
}

impl<'a> Search<'a> {
    fn new(density: &'a dyn Density, stream: &'a Stream) -> Self {
        let found = Survey { modes: Vec::new(), arrivals: Vec::new(), best: None, starts: 0, fault: None };
        Self { density, stream, found, precisions: Vec::new(), trails: Vec::new(), spent: 0 }
    }

    /// Randomness of its own.
    pub fn stream(&self, name: &str) -> Stream {
        self.stream.child(name)
    }

    /// Climbs from each of `starts`.
    pub fn climb(&mut self, starts: &[Vec<f64>]) {
        let climbs: Vec<_> = starts
            .par_iter()
            .map(|start| {
                let mut trail = Vec::new();
                (walk(self.density, start, MOST_STEPS, &mut trail), trail)
            })
            .collect();
        self.found.starts += starts.len();
        for (outcome, trail) in climbs {
            self.spent += outcome.as_ref().map_or(trail.len(), |mode| mode.evaluations);
            match outcome {
                Err(fault) => self.found.fault = Some(fault),
                Ok(mode) => self.arrive(&mode),
            }
            if !trail.is_empty() && self.trails.len() < TRAILS {
                self.trails.push(trail);
            }
        }
    }

    /// Which of the known modes a point is.
    fn known(&self, point: &[f64]) -> Option<usize> {
        let mut known = self.found.modes.iter().zip(&self.precisions);
        known.position(|(mode, precision)| distance(precision, &mode.mean, point) < APART)
    }

    /// A climb has ended at `mode`.
    fn arrive(&mut self, mode: &Mode) {
        if let Some(place) = self.known(&mode.point) {
            self.found.arrivals[place] += 1;
        } else if self.found.modes.len() < MOST_MODES {
            let judge = self.stream.child(&format!("mode {}", self.found.modes.len()));
            let judged = |mode: &Mode| approximation(self.density, &mode.point, mode.value, true, &judge);
            let new = judged(mode).and_then(|(approximation, precision)| {
                match self.nearer(mode, &approximation.covariance) {
                    // Where scales differ by much, rounding ends a climb before it has arrived.
                    Some(nearer) => match self.known(&nearer.point) {
                        Some(place) => Ok(Err(place)),
                        None => judged(&nearer).map(Ok),
                    },
                    None => Ok(Ok((approximation, precision))),
                }
            });
            match new {
                Ok(Ok((approximation, precision))) => {
                    self.found.modes.push(approximation);
                    self.found.arrivals.push(1);
                    self.precisions.push(precision);
                }
                Ok(Err(place)) => self.found.arrivals[place] += 1,
                Err(fault) => self.found.fault = Some(fault),
            }
        }
    }

    /// The end of a climb from one step of Newton's method beyond `mode`, if that step is a long one: √(gᵀ Σ g) standard deviations.
    fn nearer(&self, mode: &Mode, covariance: &[f64]) -> Option<Mode> {
        let dim = mode.point.len();
        let (mut value, mut gradient) = ([0.0], vec![0.0; dim]);
        self.density.evaluate(&mode.point, &mut value, Some(&mut gradient), &mut Faults::default()).ok()?;
        let turned = |row: &[f64]| row.iter().zip(&gradient).map(|(c, g)| c * g).sum::<f64>();
        let step: Vec<f64> = covariance.chunks_exact(dim).map(turned).collect();
        let square: f64 = step.iter().zip(&gradient).map(|(s, g)| s * g).sum();
        let is_long = square > FINAL * FINAL;
        let beyond: Vec<f64> = mode.point.iter().zip(&step).map(|(x, s)| x + s).collect();
        let there = is_long.then(|| walk(self.density, &beyond, MOST_STEPS, &mut Vec::new()).ok())?;
        there.filter(|there| there.value > mode.value)
    }

    /// What was found, the best first.
    fn judged(self) -> Survey {
        let Self { density, stream, mut found, trails, .. } = self;
        let mut order: Vec<usize> = (0..found.modes.len()).collect();
        order.sort_by(|&a, &b| found.modes[b].log_evidence.total_cmp(&found.modes[a].log_evidence));
        found.modes = order.iter().map(|&k| found.modes[k].clone()).collect();
        found.arrivals = order.iter().map(|&k| found.arrivals[k]).collect();
        found.best = found.modes.first().cloned();
        if found.best.as_ref().is_none_or(|best| best.ess < POOR) {
            for (t, trail) in trails.iter().enumerate() {
                let mut places: Vec<usize> = (0..TRIED).map(|k| if k == 0 { 0 } else { 1 << (k - 1) }).collect();
                places.retain(|&place| place < trail.len());
                for place in places {
                    let (mut value, point) = ([0.0], &trail[place]);
                    let judge = stream.child(&format!("trail {t}.{place}"));
                    let asked = density.evaluate(point, &mut value, None, &mut Faults::default());
                    let candidate = asked.map_err(|fatal| fatal.0);
                    let candidate = candidate.and_then(|()| approximation(density, point, value[0], false, &judge));
                    let Ok((candidate, _)) = candidate else { continue };
                    if found.best.as_ref().is_none_or(|best| candidate.log_evidence > best.log_evidence) {
                        found.best = Some(candidate);
                    }
                }
            }
        }
        found.best = found.best.filter(|best| best.log_evidence.is_finite());
        found
    }
}

/// The normal approximation at `point` and its precision.
fn approximation(
    density: &dyn Density,
    point: &[f64],
    value: f64,
    at_mode: bool,
    stream: &Stream,
) -> Result<(Approximation, Vec<f64>), String> {
    let dim = point.len();
    let (covariance, laplace, _) = normal_at(density, point, value)?;
    let (factor, _) = cholesky::regularised(&covariance, dim)?;
    let half_log_det: f64 = factor.iter().step_by(dim + 1).map(|pivot| pivot.ln()).sum();
    let (draws, squares) = cholesky::normals(&factor, point, DRAWS, stream);
    let log_q = squares.iter().map(|square| -0.5 * square - half_log_det - 0.5 * dim as f64 * TAU.ln());
    let (mut values, mut faults) = (vec![0.0; DRAWS], Faults::default());
    evaluate_in_pieces(density, &draws, &mut values, None, &mut faults).map_err(|fatal| fatal.0)?;
    faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
    let log_weights: Vec<f64> =
        values.iter().zip(log_q).map(|(v, q)| if v.is_nan() { f64::NEG_INFINITY } else { v - q }).collect();
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut squares) = (0.0, 0.0);
    if largest.is_finite() {
        for log_weight in &log_weights {
            let weight = (log_weight - largest).exp();
            sum += weight;
            squares += weight * weight;
        }
    }
    let ess = if squares > 0.0 { sum * sum / (squares * DRAWS as f64) } else { 0.0 };
    let log_evidence = if sum > 0.0 { largest + (sum / DRAWS as f64).ln() } else { f64::NEG_INFINITY };
    let precision = cholesky::inverse(&factor, dim);
    let mean = point.to_vec();
    Ok((Approximation { mean, covariance, laplace, log_evidence, ess, at_mode }, precision))
}

/// √((a − b)ᵀ P (a − b)).
fn distance(precision: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let rows = precision.chunks_exact(apart.len()).zip(&apart);
    let square: f64 = rows.map(|(row, d)| d * row.iter().zip(&apart).map(|(p, d)| p * d).sum::<f64>()).sum();
    square.max(0.0).sqrt()
}
