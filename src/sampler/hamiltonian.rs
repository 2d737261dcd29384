//! One Hamiltonian move of many particles along a tempered path.

use super::Shape;
use crate::seed::Stream;
use crate::target::{Density, Fatal, Faults};
use rayon::prelude::*;

/// The path γ^β · base^(1 − β) in the coordinates z of a base that is N(0, I) there: x = m + L z.
pub(super) struct Path<'a> {
    pub density: &'a dyn Density,
    pub shape: &'a Shape,
    /// ln det L.
    pub log_det: f64,
}

/// Particles in the coordinates of the base, with log γ (as a density over z) and its gradient.
#[derive(Debug, Clone, Default)]
pub(super) struct Particles {
    pub z: Vec<f64>,
    pub values: Vec<f64>,
    pub gradients: Vec<f64>,
}

/// How a move is made.
pub(super) struct Move<'a> {
    /// The inverse temperature β.
    pub beta: f64,
    /// The length of a leapfrog step in units of `scales`.
    pub step: f64,
    /// The number of leapfrog steps.
    pub leapfrogs: usize,
    /// The standard deviation of each coordinate of z.
    pub scales: &'a [f64],
}

/// What became of a move.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// The mean acceptance probability.
    pub acceptance: f64,
    /// Evaluations of the density.
    pub evaluations: usize,
    /// Those that failed.
    pub failed: usize,
}

/// Particles that one thread carries through a whole move; the same as a piece of `target::evaluate_in_pieces`.
const PIECE: usize = 64;

/// Random numbers of a row besides its momenta: two give the uniform number that accepts, two the one that varies the step.
const EXTRA: usize = 4;

/// The shortest step of a row, as a share of the common one. The target's scale may differ from place to place; a few short steps
/// everywhere let all places move.
const SHORTEST: f64 = 0.15;

impl Path<'_> {
    /// Fills log γ and its gradient at `z`; −∞ and 0 where the density is zero or fails. Returns the number of failures.
    pub fn evaluate(&self, z: &[f64], values: &mut [f64], gradients: &mut [f64]) -> Result<usize, Fatal> {
        let mut x = vec![0.0; z.len()];
        self.shape.apply(z, &mut x);
        let mut faults = Faults::default();
        self.density.evaluate(&x, values, Some(gradients), &mut faults)?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        let dim = self.shape.dim();
        self.shape.pull_back(gradients);
        for (value, gradient) in values.iter_mut().zip(gradients.chunks_exact_mut(dim)) {
            *value += self.log_det;
            if !value.is_finite() || gradient.iter().any(|g| !g.is_finite()) {
                // A density of +∞ at a point has no place in a weight.
                *value = if *value == f64::INFINITY || value.is_nan() { f64::NEG_INFINITY } else { *value };
                gradient.fill(0.0);
            }
        }
        Ok(faults.rows().len())
    }

    /// Evaluates all of `particles`, in parallel.
    pub fn refresh(&self, particles: &mut Particles) -> Result<usize, Fatal> {
        let dim = self.shape.dim();
        let Particles { z, values, gradients } = particles;
        let pieces = z.par_chunks(PIECE * dim).zip(values.par_chunks_mut(PIECE));
        let pieces = pieces.zip(gradients.par_chunks_mut(PIECE * dim));
        let failed: Vec<Result<usize, Fatal>> =
            pieces.map(|((z, values), gradients)| self.evaluate(z, values, gradients)).collect();
        failed.into_iter().sum()
    }

    /// Moves all of `particles` by Hamiltonian dynamics (Duane et al. 1987; Neal 2011), which leaves γ^β · base^(1 − β) as it is. Row r
    /// uses row r of `noise` only.
    pub fn carry_on(&self, particles: &mut Particles, how: &Move, noise: &Stream) -> Result<Moved, Fatal> {
        let dim = self.shape.dim();
        let Particles { z, values, gradients } = particles;
        let n = values.len();
        let pieces = z.par_chunks_mut(PIECE * dim).zip(values.par_chunks_mut(PIECE));
        let pieces = pieces.zip(gradients.par_chunks_mut(PIECE * dim)).enumerate();
        let moved: Vec<Result<(f64, usize), Fatal>> = pieces
            .map(|(piece, ((z, values), gradients))| {
                self.carry_piece(z, values, gradients, how, (noise, (piece * PIECE) as u64))
            })
            .collect();
        let mut total = Moved { evaluations: n * how.leapfrogs, ..Moved::default() };
        for piece in moved {
            let (acceptance, failed) = piece?;
            total.acceptance += acceptance / n as f64;
            total.failed += failed;
        }
        Ok(total)
    }

    fn carry_piece(
        &self,
        z: &mut [f64],
        values: &mut [f64],
        gradients: &mut [f64],
        how: &Move,
        (noise, first): (&Stream, u64),
    ) -> Result<(f64, usize), Fatal> {
        let (dim, beta) = (self.shape.dim(), how.beta);
        let rows = values.len();
        let mut random = vec![0.0; rows * (dim + EXTRA)];
        noise.normals(first, dim + EXTRA, &mut random);
        let mut momenta: Vec<f64> = random.chunks_exact(dim + EXTRA).flat_map(|row| row[..dim].to_vec()).collect();
        let exponential = |pair: &[f64]| 0.5 * (pair[0] * pair[0] + pair[1] * pair[1]);
        let steps: Vec<f64> = random
            .chunks_exact(dim + EXTRA)
            .map(|row| how.step * 1.1 * SHORTEST.powf((-3.0 * exponential(&row[dim + 2..])).exp()))
            .collect();
        let energy = |z: &[f64], value: f64, momentum: &[f64]| {
            let kinetic: f64 = momentum.iter().map(|p| 0.5 * p * p).sum();
            let base: f64 = z.iter().map(|z| 0.5 * z * z).sum();
            kinetic + (1.0 - beta) * base - beta * value
        };
        let each = |z: &[f64], values: &[f64], momenta: &[f64]| -> Vec<f64> {
            let rows = z.chunks_exact(dim).zip(values).zip(momenta.chunks_exact(dim));
            rows.map(|((z, value), p)| energy(z, *value, p)).collect()
        };
        let before = each(z, values, &momenta);
        let (mut to, mut to_values, mut to_gradients) = (z.to_vec(), values.to_vec(), gradients.to_vec());
        let mut failed = 0;
        let kick = |to: &[f64], gradients: &[f64], momenta: &mut [f64], factor: f64| {
            for (row, step) in steps.iter().enumerate() {
                for i in 0..dim {
                    let at = row * dim + i;
                    let slope = beta * gradients[at] - (1.0 - beta) * to[at];
                    momenta[at] += factor * step * how.scales[i] * slope;
                }
            }
        };
        kick(&to, &to_gradients, &mut momenta, 0.5);
        for leapfrog in 1..=how.leapfrogs {
            for (row, step) in steps.iter().enumerate() {
                for i in 0..dim {
                    to[row * dim + i] += step * how.scales[i] * momenta[row * dim + i];
                }
            }
            failed += self.evaluate(&to, &mut to_values, &mut to_gradients)?;
            kick(&to, &to_gradients, &mut momenta, if leapfrog == how.leapfrogs { 0.5 } else { 1.0 });
        }
        let after = each(&to, &to_values, &momenta);
        let mut acceptance = 0.0;
        for row in 0..rows {
            let loss = after[row] - before[row];
            acceptance += if loss.is_finite() { (-loss).exp().min(1.0) } else { 0.0 };
            let threshold = exponential(&random[row * (dim + EXTRA) + dim..][..2]);
            if loss.is_finite() && loss < threshold {
                let row_of = row * dim..(row + 1) * dim;
                z[row_of.clone()].copy_from_slice(&to[row_of.clone()]);
                gradients[row_of.clone()].copy_from_slice(&to_gradients[row_of]);
                values[row] = to_values[row];
            }
        }
        Ok((acceptance, failed))
    }
}
