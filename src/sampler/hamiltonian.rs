//! One Hamiltonian move of many particles along a tempered path, with steps as fine as each place of an orbit needs.

use super::path::{Particles, Path, PIECE};
use super::Shape;
use crate::seed::Stream;
use crate::target::Fatal;
use rayon::prelude::*;

/// How a move is made.
pub(super) struct Move<'a> {
    /// The inverse temperature β.
    pub beta: f64,
    /// The length of a step in units of `metric`.
    pub step: f64,
    /// The number of stretches of an orbit, each of which finds the fineness of its steps.
    pub stretches: usize,
    /// The number of leapfrog steps of a stretch, before they are made finer.
    pub leapfrogs: usize,
    /// How often they may be halved, at most.
    pub halvings: usize,
    /// The covariance M Mᵀ of z, by which momenta are turned into velocities: dz = M p, dp = Mᵀ ∇.
    pub metric: &'a Shape,
}

/// What became of a move.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// The mean acceptance probability, and zero where an orbit has no reverse.
    pub acceptance: f64,
    /// The mean of the acceptance probability times the share of an orbit's stretches that were not made finer: what the step is judged by.
    pub plain: f64,
    /// The share of orbits given up at a wall, or where halving has turned out to be of no use.
    pub lost: f64,
    /// Stretches that needed the most halvings, and those that were given up though their energy was finite.
    pub finest: usize,
    pub hopeless: usize,
    /// Evaluations of the density.
    pub evaluations: usize,
    /// Those that failed.
    pub failed: usize,
}

/// Random numbers of a row besides its momenta: two give the exponential number that accepts, two the one that varies the step.
const EXTRA: usize = 4;

/// The shortest step of a row at random, as a share of the common one.
const SHORTEST: f64 = 0.15;

/// A stretch along which the energy ranges over more than this is made in twice as many leapfrog steps of half the length.
const MOST_ENERGY: f64 = 1.0;

/// How often steps are halved, at most.
pub(super) const MOST_HALVINGS: usize = 9;

/// How often where the stretch meets a point without density: there may be a wall, which no step is short enough for. Also the least that
/// [`Move::halvings`] can be.
pub(super) const HALVINGS_AT_WALLS: usize = 2;

/// Where rows stand: positions, momenta, log γ and its gradient.
#[derive(Clone, Default)]
struct Phase {
    z: Vec<f64>,
    momenta: Vec<f64>,
    values: Vec<f64>,
    gradients: Vec<f64>,
}

/// An orbit of every row of a piece.
struct Orbits {
    ends: Phase,
    /// Rows whose orbit has a reverse.
    alive: Vec<bool>,
    /// Stretches of each row that were not made finer.
    plain: Vec<usize>,
    lost: usize,
    finest: usize,
    hopeless: usize,
    evaluations: usize,
    failed: usize,
}

/// What became of rows that leapt together: how far their energies ranged.
struct Leapt {
    lowest: Vec<f64>,
    highest: Vec<f64>,
    evaluations: usize,
    failed: usize,
}

impl Leapt {
    fn range(&self, k: usize) -> f64 {
        self.highest[k] - self.lowest[k]
    }
}

/// What a row makes of a stretch that was tried.
#[derive(PartialEq)]
enum Trial {
    Good,
    TooCoarse,
    Hopeless,
}

impl Trial {
    /// Of a stretch along which the energy ranged that far, where at most `most` halvings are made.
    fn of(range: f64, halvings: usize, most: usize) -> Self {
        if range <= MOST_ENERGY {
            Trial::Good
        } else if halvings >= most || (halvings >= HALVINGS_AT_WALLS && !range.is_finite()) {
            Trial::Hopeless
        } else {
            Trial::TooCoarse
        }
    }
}

impl Path<'_> {
    /// Moves all of `particles` by Hamiltonian dynamics (Duane et al. 1987; Neal 2011), which leaves γ^β · base^(1 − β) as it is. Row r
    /// uses row r of `noise` only.
    pub fn carry_on(&self, particles: &mut Particles, how: &Move, noise: &Stream) -> Result<Moved, Fatal> {
        let dim = self.shape.dim();
        let Particles { z, values, gradients } = particles;
        let n = values.len();
        let pieces = z.par_chunks_mut(PIECE * dim).zip(values.par_chunks_mut(PIECE));
        let pieces = pieces.zip(gradients.par_chunks_mut(PIECE * dim)).enumerate();
        let moved: Vec<Result<Moved, Fatal>> = pieces
            .map(|(piece, ((z, values), gradients))| {
                self.carry_piece(z, values, gradients, how, (noise, (piece * PIECE) as u64))
            })
            .collect();
        let mut total = Moved::default();
        for piece in moved {
            let piece = piece?;
            total.acceptance += piece.acceptance / n as f64;
            total.plain += piece.plain / n as f64;
            total.lost += piece.lost / n as f64;
            total.finest += piece.finest;
            total.hopeless += piece.hopeless;
            total.evaluations += piece.evaluations;
            total.failed += piece.failed;
        }
        Ok(total)
    }

    /// Moves one piece of rows; of shares, the sums.
    fn carry_piece(
        &self,
        z: &mut [f64],
        values: &mut [f64],
        gradients: &mut [f64],
        how: &Move,
        (noise, first): (&Stream, u64),
    ) -> Result<Moved, Fatal> {
        let (dim, rows) = (self.shape.dim(), values.len());
        let mut random = vec![0.0; rows * (dim + EXTRA)];
        noise.normals(first, dim + EXTRA, &mut random);
        let exponential = |pair: &[f64]| 0.5 * (pair[0] * pair[0] + pair[1] * pair[1]);
        let extra = |row: usize| &random[row * (dim + EXTRA) + dim..(row + 1) * (dim + EXTRA)];
        // A step made shorter at random, independently of where a row is, keeps orbits from closing on themselves.
        let steps: Vec<f64> =
            (0..rows).map(|r| how.step * 1.1 * SHORTEST.powf((-3.0 * exponential(&extra(r)[2..])).exp())).collect();
        let start = Phase {
            momenta: random.chunks_exact(dim + EXTRA).flat_map(|row| row[..dim].iter().copied()).collect(),
            z: z.to_vec(),
            values: values.to_vec(),
            gradients: gradients.to_vec(),
        };
        let before = self.energies(&start, how.beta);
        let orbits = self.orbits(start, how, &steps)?;
        let after = self.energies(&orbits.ends, how.beta);
        let Orbits { lost, finest, hopeless, evaluations, failed, .. } = orbits;
        let lost = lost as f64;
        let mut moved = Moved { lost, finest, hopeless, evaluations, failed, ..Moved::default() };
        for row in (0..rows).filter(|&row| orbits.alive[row]) {
            let change = after[row] - before[row];
            let acceptance = (-change).exp().min(1.0);
            moved.acceptance += acceptance;
            moved.plain += acceptance * orbits.plain[row] as f64 / how.stretches as f64;
            if change < exponential(extra(row)) {
                let of_row = row * dim..(row + 1) * dim;
                z[of_row.clone()].copy_from_slice(&orbits.ends.z[of_row.clone()]);
                gradients[of_row.clone()].copy_from_slice(&orbits.ends.gradients[of_row]);
                values[row] = orbits.ends.values[row];
            }
        }
        Ok(moved)
    }

    /// The orbit of every row. The target's scale may differ from place to place, so each stretch of an orbit is made in 2ᵏ times as many
    /// leapfrog steps, with the smallest k for which the energy ranges over at most [`MOST_ENERGY`] along it. An orbit is kept only if its
    /// reverse would choose the same k in every stretch. Then the whole map, with the momentum reversed at the end, is an involution that
    /// keeps volumes, as a Metropolis move needs. This is a deterministic form of the steps within orbits of Bou-Rabee, Carpenter, Kleppe
    /// and Liu (2025), who follow autoMALA (Biron-Lattes et al. 2024).
    fn orbits(&self, start: Phase, how: &Move, steps: &[f64]) -> Result<Orbits, Fatal> {
        let dim = self.shape.dim();
        let rows = start.values.len();
        let alive = self.energies(&start, how.beta).iter().map(|e| e.is_finite()).collect();
        let mut orbits = Orbits {
            ends: start,
            alive,
            plain: vec![0; rows],
            lost: 0,
            finest: 0,
            hopeless: 0,
            evaluations: 0,
            failed: 0,
        };
        for _ in 0..how.stretches {
            let mut waiting: Vec<usize> = (0..rows).filter(|&row| orbits.alive[row]).collect();
            // Row and halvings of the stretches that were divided.
            let mut divided: Vec<(usize, usize)> = Vec::new();
            for halvings in 0..=how.halvings {
                if waiting.is_empty() {
                    break;
                }
                let mut there = orbits.ends.rows(&waiting, dim);
                let leapt = self.stretch(&mut there, how, halvings, |k| steps[waiting[k]])?;
                orbits.failed += leapt.failed;
                orbits.evaluations += leapt.evaluations;
                let mut again = Vec::new();
                for (k, &row) in waiting.iter().enumerate() {
                    match Trial::of(leapt.range(k), halvings, how.halvings) {
                        Trial::Good => {
                            orbits.ends.set_row(row, &there, k, dim);
                            orbits.finest += usize::from(halvings == how.halvings);
                            if halvings == 0 {
                                orbits.plain[row] += 1;
                            } else {
                                divided.push((row, halvings));
                            }
                        }
                        Trial::TooCoarse => again.push(row),
                        Trial::Hopeless => {
                            orbits.alive[row] = false;
                            let wall = !leapt.range(k).is_finite();
                            orbits.hopeless += usize::from(!wall);
                            orbits.lost += usize::from(wall || how.halvings == HALVINGS_AT_WALLS);
                        }
                    }
                }
                waiting = again;
            }
            self.check_reverse(&mut orbits, &divided, how, steps)?;
        }
        Ok(orbits)
    }

    /// Gives up the rows of `divided` that would not have to halve the step as often on the way back.
    fn check_reverse(
        &self,
        orbits: &mut Orbits,
        divided: &[(usize, usize)],
        how: &Move,
        steps: &[f64],
    ) -> Result<(), Fatal> {
        let dim = self.shape.dim();
        for halvings in 0..how.halvings {
            let back = divided.iter().filter(|(row, most)| *most > halvings && orbits.alive[*row]);
            let back: Vec<usize> = back.map(|(row, _)| *row).collect();
            if back.is_empty() {
                break;
            }
            let mut there = orbits.ends.rows(&back, dim);
            there.momenta.iter_mut().for_each(|p| *p = -*p);
            let leapt = self.stretch(&mut there, how, halvings, |k| steps[back[k]])?;
            orbits.failed += leapt.failed;
            orbits.evaluations += leapt.evaluations;
            for (k, &row) in back.iter().enumerate() {
                orbits.alive[row] &= Trial::of(leapt.range(k), halvings, how.halvings) == Trial::TooCoarse;
            }
        }
        Ok(())
    }

    /// A stretch of an orbit in steps that were halved that often, of undivided length `step(k)` in row k.
    fn stretch(
        &self,
        phase: &mut Phase,
        how: &Move,
        halvings: usize,
        step: impl Fn(usize) -> f64,
    ) -> Result<Leapt, Fatal> {
        let finer = (1usize << halvings) as f64;
        self.leap(phase, how, how.leapfrogs << halvings, |k| step(k) / finer)
    }

    /// `leapfrogs` leapfrog steps of all rows of `phase`, each of row k `step(k)` long. Ends early if no row is good any more.
    fn leap(
        &self,
        phase: &mut Phase,
        how: &Move,
        leapfrogs: usize,
        step: impl Fn(usize) -> f64,
    ) -> Result<Leapt, Fatal> {
        let dim = self.shape.dim();
        let steps: Vec<f64> = (0..phase.values.len()).map(step).collect();
        let energies = self.kick(phase, how, &steps, [0.0, 0.5]);
        let mut velocities = vec![0.0; phase.z.len()];
        let mut leapt = Leapt { lowest: energies.clone(), highest: energies, evaluations: 0, failed: 0 };
        for leapfrog in 1..=leapfrogs {
            how.metric.turn(&phase.momenta, &mut velocities);
            for ((z, v), step) in phase.z.chunks_exact_mut(dim).zip(velocities.chunks_exact(dim)).zip(&steps) {
                z.iter_mut().zip(v).for_each(|(z, v)| *z += step * v);
            }
            leapt.failed += self.evaluate(&phase.z, &mut phase.values, &mut phase.gradients)?;
            leapt.evaluations += phase.values.len();
            let after = if leapfrog == leapfrogs { 0.0 } else { 0.5 };
            let mut good = false;
            for (k, energy) in self.kick(phase, how, &steps, [0.5, after]).into_iter().enumerate() {
                // A range that is too long stays as it is, so that what a row makes of it does not depend on how far others go.
                if leapt.range(k) <= MOST_ENERGY {
                    leapt.lowest[k] = leapt.lowest[k].min(energy);
                    leapt.highest[k] = leapt.highest[k].max(energy);
                    good |= leapt.range(k) <= MOST_ENERGY;
                }
            }
            if !good {
                break;
            }
        }
        Ok(leapt)
    }

    /// Adds these two shares of a step's impulse to the momenta; the energies between them.
    fn kick(&self, phase: &mut Phase, how: &Move, steps: &[f64], [before, after]: [f64; 2]) -> Vec<f64> {
        let dim = self.shape.dim();
        let mut forces = phase.gradients.clone();
        let mut log_bases = Vec::with_capacity(phase.values.len());
        let mut of_base = vec![0.0; dim];
        for (f, z) in forces.chunks_exact_mut(dim).zip(phase.z.chunks_exact(dim)) {
            log_bases.push(self.base.log_density_and_gradient(z, &mut of_base));
            f.iter_mut().zip(&of_base).for_each(|(f, g)| *f = how.beta * *f + (1.0 - how.beta) * g);
        }
        how.metric.pull_back(&mut forces);
        let rows = phase.momenta.chunks_exact_mut(dim).zip(forces.chunks_exact(dim)).zip(&phase.values);
        rows.zip(log_bases)
            .zip(steps)
            .map(|((((p, f), value), log_base), step)| {
                let mut squares = 0.0;
                for (p, f) in p.iter_mut().zip(f) {
                    let between = *p + before * step * f;
                    squares += between * between;
                    *p = between + after * step * f;
                }
                energy(squares, how.beta, log_base, *value)
            })
            .collect()
    }

    /// The energy of each row.
    fn energies(&self, phase: &Phase, beta: f64) -> Vec<f64> {
        let dim = self.shape.dim();
        let rows = phase.z.chunks_exact(dim).zip(phase.momenta.chunks_exact(dim)).zip(&phase.values);
        rows.map(|((z, p), value)| energy(p.iter().map(|p| p * p).sum(), beta, self.base.log_density(z), *value))
            .collect()
    }
}

/// ½‖p‖² − log of the tempered density.
fn energy(squares: f64, beta: f64, log_base: f64, value: f64) -> f64 {
    let energy = 0.5 * squares - (1.0 - beta) * log_base - beta * value;
    if energy.is_nan() {
        f64::INFINITY
    } else {
        energy
    }
}

impl Phase {
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

#[cfg(test)]
mod laws;
