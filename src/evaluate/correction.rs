//! Draws of the target from draws of a student: independence Metropolis–Hastings and sampling importance resampling.

use crate::error::{Error, Result};
use crate::flow::{FrozenModel, Method};
use crate::seed::{open_unit, Stream};
use crate::target::{evaluate_in_pieces, Density, Faults};
use std::f64::consts::TAU;

/// The student as a proposal, on request mixed with a broader one that keeps weights bounded in the tails: a normal distribution with the
/// mean and twice the deviations of the student's draws takes a share of the proposals (Owen and Zhou 2000).
pub struct Proposal<'a> {
    model: &'a FrozenModel<f64>,
    density: &'a dyn Density,
    stream: Stream,
    /// Share, mean and deviations of the defensive part.
    defensive: Option<(f64, Vec<f64>, Vec<f64>)>,
}

/// Draws from which the defensive part's moments are taken.
const MOMENTS_FROM: usize = 8192;

impl<'a> Proposal<'a> {
    /// A proposal of which `share` (0: none) is defensive.
    pub fn new(model: &'a FrozenModel<f64>, density: &'a dyn Density, share: f64, stream: Stream) -> Self {
        let defensive = (share > 0.0).then(|| {
            let dim = model.dim();
            let points = super::draws::draws_of(model, MOMENTS_FROM, &stream.child("moments"));
            let n = MOMENTS_FROM as f64;
            let (mut mean, mut deviations) = (vec![0.0; dim], vec![0.0; dim]);
            points.chunks_exact(dim).for_each(|x| mean.iter_mut().zip(x).for_each(|(m, x)| *m += x / n));
            for x in points.chunks_exact(dim) {
                deviations.iter_mut().zip(x).zip(&mean).for_each(|((d, x), m)| *d += (x - m).powi(2) / n);
            }
            deviations.iter_mut().for_each(|d| *d = 2.0 * d.sqrt().max(1e-12));
            (share, mean, deviations)
        });
        Self { model, density, stream, defensive }
    }

    /// Proposals of rows `first ..` with their log weights log γ − log q; a row that cannot be evaluated has the weight zero.
    ///
    /// # Errors
    /// If the density asks for the run to stop.
    pub fn draw(&self, first: u64, rows: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let dim = self.model.dim();
        let (mut points, mut log_q) = (vec![0.0; rows * dim], vec![0.0; rows]);
        self.model.draw(Method::Cached, &self.stream.child("noise"), first, &mut points, &mut log_q);
        if let Some((share, mean, deviations)) = &self.defensive {
            let choice = self.stream.child("choice");
            let mut z = vec![0.0; rows * dim];
            self.stream.child("broad").normals(first, dim, &mut z);
            for (row, (point, z)) in points.chunks_exact_mut(dim).zip(z.chunks_exact(dim)).enumerate() {
                if open_unit(&mut choice.row(first + row as u64)) < *share {
                    point
                        .iter_mut()
                        .zip(z)
                        .zip(mean.iter().zip(deviations))
                        .for_each(|((x, z), (m, d))| *x = m + d * z);
                }
            }
            self.model.log_prob(&points, &mut log_q);
            let constant: f64 = deviations.iter().map(|d| d.ln() + 0.5 * TAU.ln()).sum();
            for (log_q, x) in log_q.iter_mut().zip(points.chunks_exact(dim)) {
                let squares: f64 =
                    x.iter().zip(mean.iter().zip(deviations)).map(|(x, (m, d))| ((x - m) / d).powi(2)).sum();
                let (a, b) = ((1.0 - share).ln() + *log_q, share.ln() - 0.5 * squares - constant);
                *log_q = a.max(b) + (-(a - b).abs()).exp().ln_1p();
            }
        }
        let mut values = vec![0.0; rows];
        let mut faults = Faults::default();
        evaluate_in_pieces(self.density, &points, &mut values, None, &mut faults)
            .map_err(|fatal| Error::Target(fatal.0))?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        let log_weights = values.iter().zip(&log_q).map(|(value, q)| value - q);
        Ok((points, log_weights.map(|w| if w.is_nan() { f64::NEG_INFINITY } else { w }).collect()))
    }
}

/// A chain of independence Metropolis–Hastings (Tierney 1994; for flows Albergo, Kanwar and Shanahan 2019): it goes to a proposal with
/// probability min(1, w(new)/w(old)), else stays.
#[derive(Debug, Default)]
pub struct Chain {
    point: Vec<f64>,
    log_weight: Option<f64>,
    steps: u64,
    accepted: u64,
    /// Lengths of the stays so far, by their number: the sums of length and of its square.
    stays: (f64, f64),
    stay: f64,
}

impl Chain {
    /// Replaces each row of `points`, which are proposals, by the chain's place after it. `uniforms` has a row for each step.
    pub fn advance(&mut self, dim: usize, points: &mut [f64], log_weights: &[f64], uniforms: &Stream) {
        for (point, &log_weight) in points.chunks_exact_mut(dim).zip(log_weights) {
            let u = open_unit(&mut uniforms.row(self.steps));
            let goes = match self.log_weight {
                None => true,
                // From a place without weight it goes anywhere.
                Some(old) => old == f64::NEG_INFINITY || u.ln() < log_weight - old,
            };
            self.steps += 1;
            if goes {
                self.accepted += u64::from(self.log_weight.is_some());
                self.point.clear();
                self.point.extend_from_slice(point);
                self.log_weight = Some(log_weight);
                self.stays.0 += self.stay;
                self.stays.1 += self.stay * self.stay;
                self.stay = 1.0;
            } else {
                point.copy_from_slice(&self.point);
                self.stay += 1.0;
            }
        }
    }

    /// The share of proposals that were taken.
    pub fn acceptance(&self) -> f64 {
        self.accepted as f64 / (self.steps.max(2) - 1) as f64
    }

    /// The integrated autocorrelation time of a typical function: Σ stay² / Σ stay. Exact where a function's values at different places are
    /// independent; how many draws of the chain are worth one independent draw.
    pub fn autocorrelation_time(&self) -> f64 {
        let (sum, squares) = (self.stays.0 + self.stay, self.stays.1 + self.stay * self.stay);
        squares / sum
    }
}

/// Sampling importance resampling (Rubin 1987) in blocks: from each block of proposals a share `1 / oversampling`, chosen systematically
/// by weight.
pub fn resample(dim: usize, points: &[f64], log_weights: &[f64], rows: usize, u: f64) -> Option<Vec<f64>> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return None;
    }
    let weights: Vec<f64> = log_weights.iter().map(|w| (w - largest).exp()).collect();
    let chosen = crate::sampler::systematic(&weights, rows, u);
    Some(chosen.into_iter().flat_map(|row| points[row * dim..(row + 1) * dim].iter().copied()).collect())
}
