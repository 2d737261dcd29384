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

/// The shortest step of a row at random, as a share of the common one.
const SHORTEST: f64 = 0.15;

/// A trajectory along which the energy changes by more than this is tried again with a step of a third.
const MOST_ENERGY: f64 = 1.0;

/// How often a row tries again.
const MOST_TRIES: usize = 6;

/// The factor of the step from try to try.
const SHORTER: f64 = 1.0 / 3.0;

/// Where rows stand: positions, momenta, log γ and its gradient.
#[derive(Clone, Default)]
struct Phase {
    z: Vec<f64>,
    momenta: Vec<f64>,
    values: Vec<f64>,
    gradients: Vec<f64>,
}

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
        let moved: Vec<Result<(f64, usize, usize), Fatal>> = pieces
            .map(|(piece, ((z, values), gradients))| {
                self.carry_piece(z, values, gradients, how, (noise, (piece * PIECE) as u64))
            })
            .collect();
        let mut total = Moved::default();
        for piece in moved {
            let (acceptance, evaluations, failed) = piece?;
            total.acceptance += acceptance / n as f64;
            total.evaluations += evaluations;
            total.failed += failed;
        }
        Ok(total)
    }

    /// Moves one piece of rows.
    ///
    /// The target's scale may differ from place to place, so every row chooses its step: the common one, made shorter at random, and
    /// divided by three until the energy changes by at most [`MOST_ENERGY`] along the trajectory. The move stands only if its reverse
    /// would have chosen the same step, which makes it reversible (Bouchard-Côté and others' autoMALA; Biron-Lattes et al. 2024).
    fn carry_piece(
        &self,
        z: &mut [f64],
        values: &mut [f64],
        gradients: &mut [f64],
        how: &Move,
        (noise, first): (&Stream, u64),
    ) -> Result<(f64, usize, usize), Fatal> {
        let (dim, rows) = (self.shape.dim(), values.len());
        let mut random = vec![0.0; rows * (dim + EXTRA)];
        noise.normals(first, dim + EXTRA, &mut random);
        let exponential = |pair: &[f64]| 0.5 * (pair[0] * pair[0] + pair[1] * pair[1]);
        let extra = |row: usize| &random[row * (dim + EXTRA) + dim..(row + 1) * (dim + EXTRA)];
        let steps: Vec<f64> =
            (0..rows).map(|r| how.step * 1.1 * SHORTEST.powf((-3.0 * exponential(&extra(r)[2..])).exp())).collect();
        let start = Phase {
            momenta: random.chunks_exact(dim + EXTRA).flat_map(|row| row[..dim].iter().copied()).collect(),
            z: z.to_vec(),
            values: values.to_vec(),
            gradients: gradients.to_vec(),
        };
        let before = start.energies(dim, how.beta);
        let (mut acceptance, mut evaluations, mut failed) = (0.0, 0, 0);
        // Forward: each row's try, where it ends, and what the energy did.
        let mut waiting: Vec<usize> = (0..rows).collect();
        let mut settled: Vec<(usize, usize, f64)> = Vec::new();
        let mut ends = start.clone();
        for attempt in 0..MOST_TRIES {
            let mut there = start.rows(&waiting, dim);
            failed += self.leap(&mut there, how, |k| steps[waiting[k]] * SHORTER.powi(attempt as i32))?;
            evaluations += waiting.len() * how.leapfrogs;
            let after = there.energies(dim, how.beta);
            let mut again = Vec::new();
            for (k, &row) in waiting.iter().enumerate() {
                let change = after[k] - before[row];
                if attempt == 0 && change.is_finite() {
                    acceptance += (-change).exp().min(1.0);
                }
                if change.abs() <= MOST_ENERGY {
                    ends.set_row(row, &there, k, dim);
                    settled.push((row, attempt, change));
                } else if before[row].is_finite() {
                    again.push(row);
                }
            }
            waiting = again;
        }
        // Backward: rows that took a shorter step must have had to from their end, too.
        let mut refused = vec![false; rows];
        for attempt in 0..MOST_TRIES {
            let back: Vec<usize> =
                settled.iter().filter(|(.., tries, _)| *tries > attempt).map(|(row, ..)| *row).collect();
            let back: Vec<usize> = back.into_iter().filter(|&row| !refused[row]).collect();
            if back.is_empty() {
                break;
            }
            let mut there = ends.rows(&back, dim);
            there.momenta.iter_mut().for_each(|p| *p = -*p);
            let from = there.energies(dim, how.beta);
            failed += self.leap(&mut there, how, |k| steps[back[k]] * SHORTER.powi(attempt as i32))?;
            evaluations += back.len() * how.leapfrogs;
            for (k, after) in there.energies(dim, how.beta).into_iter().enumerate() {
                refused[back[k]] |= (after - from[k]).abs() <= MOST_ENERGY;
            }
        }
        for (row, _, change) in settled {
            if !refused[row] && change < exponential(extra(row)) {
                let of_row = row * dim..(row + 1) * dim;
                z[of_row.clone()].copy_from_slice(&ends.z[of_row.clone()]);
                gradients[of_row.clone()].copy_from_slice(&ends.gradients[of_row]);
                values[row] = ends.values[row];
            }
        }
        Ok((acceptance, evaluations, failed))
    }

    /// Leapfrog steps of all rows of `phase`, row k with step `step(k)`. Returns the number of failed evaluations.
    fn leap(&self, phase: &mut Phase, how: &Move, step: impl Fn(usize) -> f64) -> Result<usize, Fatal> {
        let (dim, beta) = (self.shape.dim(), how.beta);
        let steps: Vec<f64> = (0..phase.values.len()).map(step).collect();
        let kick = |phase: &mut Phase, factor: f64| {
            let rows = phase.momenta.chunks_exact_mut(dim).zip(phase.gradients.chunks_exact(dim));
            for (((p, g), z), step) in rows.zip(phase.z.chunks_exact(dim)).zip(&steps) {
                for i in 0..dim {
                    p[i] += factor * step * how.scales[i] * (beta * g[i] - (1.0 - beta) * z[i]);
                }
            }
        };
        let mut failed = 0;
        kick(phase, 0.5);
        for leapfrog in 1..=how.leapfrogs {
            for ((z, p), step) in phase.z.chunks_exact_mut(dim).zip(phase.momenta.chunks_exact(dim)).zip(&steps) {
                z.iter_mut().zip(p).zip(how.scales).for_each(|((z, p), scale)| *z += step * scale * p);
            }
            failed += self.evaluate(&phase.z, &mut phase.values, &mut phase.gradients)?;
            kick(phase, if leapfrog == how.leapfrogs { 0.5 } else { 1.0 });
        }
        Ok(failed)
    }
}

impl Phase {
    /// ½‖p‖² − log of the tempered density, without its constant.
    fn energies(&self, dim: usize, beta: f64) -> Vec<f64> {
        let halves = |row: &[f64]| row.iter().map(|x| 0.5 * x * x).sum::<f64>();
        let rows = self.z.chunks_exact(dim).zip(self.momenta.chunks_exact(dim)).zip(&self.values);
        rows.map(|((z, p), value)| halves(p) + (1.0 - beta) * halves(z) - beta * value).collect()
    }

    /// A copy of some rows.
    fn rows(&self, rows: &[usize], dim: usize) -> Self {
        let wide = |from: &[f64]| rows.iter().flat_map(|&r| from[r * dim..(r + 1) * dim].iter().copied()).collect();
        Self {
            z: wide(&self.z),
            momenta: wide(&self.momenta),
            values: rows.iter().map(|&r| self.values[r]).collect(),
            gradients: wide(&self.gradients),
        }
    }

    /// Makes `row` that of row `k` of another.
    fn set_row(&mut self, row: usize, other: &Self, k: usize, dim: usize) {
        let (to, from) = (row * dim..(row + 1) * dim, k * dim..(k + 1) * dim);
        self.z[to.clone()].copy_from_slice(&other.z[from.clone()]);
        self.momenta[to.clone()].copy_from_slice(&other.momenta[from.clone()]);
        self.gradients[to].copy_from_slice(&other.gradients[from]);
        self.values[row] = other.values[k];
    }
}
