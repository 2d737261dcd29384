//! One island of tempered sequential Monte Carlo: from a base to the target along γ^β · base^(1 − β).

use super::base::Component;
use super::hamiltonian::{Move, Moved, HALVINGS_AT_WALLS, MOST_HALVINGS};
use super::path::{Particles, Path};
use super::resampling::{next_step, systematic};
use super::{Shape, SmcSettings};
use crate::seed::{open_unit, Stream};
use crate::target::{Density, Fatal};

/// What one island found.
pub(super) struct Island {
    /// Particles of equal weight in the user's coordinates: this many snapshots of all of them, one after the other.
    pub points: Vec<f64>,
    /// The estimate of log Z, whose exponential is unbiased but for the adaptation.
    pub log_z: f64,
    /// The relative variance of the estimate of Z that the descent of the particles gives: Σ ((descendants of a first particle − 1) / N)²
    /// (Chan and Lai 2013; Lee and Whiteley 2018).
    pub variance: f64,
    /// Steps of temperature.
    pub temperatures: usize,
    /// First particles that still have descendants.
    pub ancestors: usize,
    /// The mean acceptance at β = 1.
    pub acceptance: f64,
    pub evaluations: usize,
    pub failed: usize,
    /// Evaluations of moves at β = 1, and those of them that failed.
    pub at_target: (usize, usize),
    /// How much of the particles' largest log weights at β = 1 a round of moves leaves: their rank correlation before and after (the
    /// largest of the snapshots).
    pub memory: f64,
    /// Whether the path reached β = 1.
    pub arrived: bool,
}

/// Steps of temperature after which a path is given up.
const MOST_TEMPERATURES: usize = 400;

/// The acceptance of orbits with undivided steps to which step sizes are steered (0.65 is best for a round normal in many dimensions,
/// Beskos et al. 2013; more is safer).
const ACCEPTANCE: f64 = 0.75;

/// The time that a move lasts, in units of the coordinates' standard deviations: about a quarter of a period.
const DURATION: f64 = 1.5;

/// Steps of a move, at most, before a stretch makes them finer.
const MOST_STEPS: usize = 24;

/// Stretches of an orbit, at most. More of them fit the steps more closely to each place, but any of them may find no way back.
const MOST_STRETCHES: usize = 4;

/// A round of moves goes on until the particles' log densities relative to the base, which decide their weights, correlate with those at its
/// beginning by less than this.
const MEMORY: f64 = 0.25;

/// And [`memory_of_the_largest`] has to be less than this.
const MEMORY_OF_LARGEST: f64 = 0.4;

/// A round whose particles remember after so many more moves …
const SETTLED: usize = 5;
/// … at least this part of what they did has nothing more to forget.
const STILL: f64 = 0.97;

/// Moves of a round, at most, in units of what was asked for.
const MOST_ROUNDS: usize = 12;

/// Jumps after each move, where there is anywhere to jump to: they take one evaluation each, an orbit many.
const JUMPS: usize = 2;

/// The largest share of lost orbits that is put down to the target rather than to the step.
const MOST_LOST: f64 = 0.7;

/// What is adapted from move to move: the step size by acceptance, and how often it may be halved by what halving is good for. A target
/// that changes its scale from place to place (a funnel) makes use of every halving; where the density jumps, no step is short enough, and
/// halving only costs.
struct Tuning {
    step: f64,
    halvings: usize,
}

impl Tuning {
    /// How a move at β is made: its stretches and the leapfrog steps of each.
    fn plan<'a>(&self, beta: f64, metric: &'a Shape) -> Move<'a> {
        let steps = ((DURATION / self.step).ceil() as usize).clamp(1, MOST_STEPS);
        let stretches = steps.min(MOST_STRETCHES);
        let (leapfrogs, halvings) = (steps.div_ceil(stretches), self.halvings);
        Move { beta, step: self.step, stretches, leapfrogs, halvings, metric }
    }

    fn adapt(&mut self, moved: &Moved) {
        // A shorter step is no help against walls and jumps, unless nearly all meet them.
        let acceptance = moved.plain / (1.0 - moved.lost.min(MOST_LOST));
        self.step = (self.step * (1.2 * (acceptance - ACCEPTANCE)).exp()).clamp(1e-6, DURATION);
        if 3 * moved.finest >= moved.hopeless && moved.hopeless > 0 {
            self.halvings = (self.halvings + 1).min(MOST_HALVINGS);
        } else if 10 * moved.finest < moved.hopeless {
            self.halvings = (self.halvings - 1).max(HALVINGS_AT_WALLS);
        }
    }
}

/// What moves take from the particles.
#[derive(Debug, Clone, Copy)]
pub(super) enum Metric {
    /// The standard deviation of each coordinate: enough where the base is shaped like the target.
    Diagonal,
    /// The whole covariance matrix, for bases that know nothing of the target.
    Dense,
}

/// Particles under way.
struct Walk<'a> {
    metric: Metric,
    path: Path<'a>,
    particles: Particles,
    tuning: Tuning,
    /// Moves of a round, at least.
    moves: usize,
    evaluations: usize,
    failed: usize,
    /// Evaluations of moves at the target's own temperature, and those of them that failed.
    at_target: (usize, usize),
}

/// What a round of moves did.
struct Round {
    /// The mean acceptance.
    acceptance: f64,
    /// See [`memory_of_the_largest`].
    memory: f64,
}

impl Walk<'_> {
    /// The covariance of the particles, or their scales only where that is enough.
    fn metric(&self) -> Shape {
        let (z, dim, n) = (&self.particles.z, self.path.shape.dim(), self.particles.values.len());
        let diagonal = Shape::diagonal(dim, z);
        if matches!(self.metric, Metric::Diagonal) {
            return diagonal;
        }
        let dense = Shape::fit(dim, z, &vec![1.0 / n as f64; n], 1.0);
        // Of n independent points, − ln det of the correlation matrix is about dim²/2n by chance; correlations that are no more than twice
        // that are not worth their noise.
        if diagonal.log_det() - dense.log_det() > 0.5 * (dim * dim) as f64 / n as f64 {
            dense
        } else {
            diagonal
        }
    }

    /// Moves all particles until they have forgotten where they were, or a limit is reached.
    fn round(&mut self, beta: f64, noise: &Stream) -> Result<Round, Fatal> {
        let before = self.path.differences(&self.particles);
        let (mut acceptance, mut k) = (0.0, 0);
        let mut remembered: Vec<f64> = Vec::new();
        loop {
            let metric = self.metric();
            let how = self.tuning.plan(beta, &metric);
            let moved = self.path.carry_on(&mut self.particles, &how, &noise.child(&k.to_string()))?;
            self.tuning.adapt(&moved);
            acceptance += moved.acceptance;
            self.evaluations += moved.evaluations;
            self.failed += moved.failed;
            if beta >= 1.0 {
                self.at_target = (self.at_target.0 + moved.evaluations, self.at_target.1 + moved.failed);
            }
            for jump in 0..JUMPS {
                let stream = noise.child(&format!("{k} jump {jump}"));
                let (evaluations, failed) = self.path.jump(&mut self.particles, beta, &stream)?;
                self.evaluations += evaluations;
                self.failed += failed;
            }
            k += 1;
            if k < self.moves {
                continue;
            }
            let after = self.path.differences(&self.particles);
            let memory = memory_of_the_largest(&before, &after);
            let forgotten = memory < MEMORY_OF_LARGEST && correlation(&before, &after) < MEMORY;
            // Where modes are too far apart to mix, the largest weights are those of a mode, and more moves change nothing.
            let settled = self.moves > 1
                && remembered.len() >= SETTLED
                && memory > STILL * remembered[remembered.len() - SETTLED];
            remembered.push(memory);
            if forgotten || (settled && k >= 4 * self.moves) || k >= MOST_ROUNDS * self.moves {
                return Ok(Round { acceptance: acceptance / k as f64, memory });
            }
        }
    }
}

/// Runs one island from the base of `shape` with `components` (Del Moral, Doucet and Jasra 2006), temperatures by conditional ESS (Zhou, Johansen and
/// Aston 2016), and `snapshots` sets of particles at the end.
pub(super) fn island(
    density: &dyn Density,
    (shape, components): (&Shape, &[Component]),
    settings: &SmcSettings,
    metric: Metric,
    snapshots: usize,
    stream: &Stream,
) -> Result<Island, Fatal> {
    let (dim, n) = (shape.dim(), settings.particles);
    let path = Path::new(density, shape, components);
    let mut particles = Particles { z: vec![0.0; n * dim], values: vec![0.0; n], gradients: vec![0.0; n * dim] };
    path.base.draw(&stream.child("base"), &mut particles.z);
    let failed = path.refresh(&mut particles)?;
    let mut walk = Walk {
        metric,
        path,
        particles,
        tuning: Tuning { step: 0.5, halvings: 4 },
        moves: settings.moves,
        evaluations: n,
        failed,
        at_target: (0, 0),
    };
    let (mut beta, mut log_z, mut temperatures) = (0.0, 0.0, 0);
    let mut origins: Vec<u32> = (0..n as u32).collect();
    let resampling = stream.child("resampling");
    while beta < 1.0 && temperatures < MOST_TEMPERATURES {
        let differences = walk.path.differences(&walk.particles);
        let largest = differences.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            break;
        }
        let change = next_step(&differences, 1.0 - beta, settings.keep);
        let weights: Vec<f64> = differences.iter().map(|d| (change * (d - largest)).exp()).collect();
        log_z += change * largest + (weights.iter().sum::<f64>() / n as f64).ln();
        beta = if change >= 1.0 - beta { 1.0 } else { beta + change };
        let chosen = systematic(&weights, n, open_unit(&mut resampling.row(temperatures as u64)));
        walk.particles = walk.particles.chosen(&chosen, dim);
        origins = chosen.iter().map(|&place| origins[place]).collect();
        walk.round(beta, &stream.child(&format!("moves {temperatures}")))?;
        temperatures += 1;
    }
    let mut points = Vec::with_capacity(snapshots * n * dim);
    let (mut acceptance, mut memory) = (0.0, 0.0f64);
    // At the target the duplicates of the last resampling move apart, and particles that are to be kept apart move once more.
    for snapshot in 0..snapshots {
        let round = walk.round(beta, &stream.child(&format!("last {snapshot}")))?;
        acceptance += round.acceptance / snapshots as f64;
        memory = memory.max(round.memory);
        let start = points.len();
        points.resize(start + n * dim, 0.0);
        shape.apply(&walk.particles.z, &mut points[start..]);
    }
    let mut descendants = vec![0u32; n];
    origins.iter().for_each(|&origin| descendants[origin as usize] += 1);
    let variance = descendants.iter().map(|&d| ((f64::from(d) - 1.0) / n as f64).powi(2)).sum();
    let ancestors = descendants.iter().filter(|&&d| d > 0).count();
    let (arrived, evaluations, failed, at_target) = (beta >= 1.0, walk.evaluations, walk.failed, walk.at_target);
    Ok(Island {
        points,
        log_z,
        temperatures,
        ancestors,
        variance,
        acceptance,
        evaluations,
        failed,
        at_target,
        memory,
        arrived,
    })
}

/// What the largest log weights remember of themselves: the rank correlation of those before a round of moves with those after it, over the
/// half that was largest before. They decide log Z, and a narrow neck that holds them may be stuck while the rest moves freely. Ranks, for
/// in heavy tails a few particles would decide a plain correlation.
fn memory_of_the_largest(before: &[f64], after: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_unstable_by(|&a, &b| before[b].total_cmp(&before[a]));
    order.truncate(before.len() / 2);
    let (first, last) = (order.first().map_or(0.0, |&r| before[r]), order.last().map_or(0.0, |&r| before[r]));
    if first - last <= 1e-9 * (1.0 + first.abs()) {
        // All weigh the same, so nothing hangs on where they are.
        return 0.0;
    }
    let ranks_of = |of: &[f64]| ranks(&order.iter().map(|&row| of[row]).collect::<Vec<_>>());
    correlation(&ranks_of(before), &ranks_of(after))
}

/// The place of each value in their order.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    order.into_iter().enumerate().for_each(|(rank, place)| ranks[place] = rank as f64);
    ranks
}

/// The correlation of two lists, over the places where both are finite.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let pairs = || a.iter().zip(b).filter(|(a, b)| a.is_finite() && b.is_finite());
    let n = pairs().count() as f64;
    let (mean_a, mean_b) = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / n, y + b / n));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        aa += (a - mean_a).powi(2);
        bb += (b - mean_b).powi(2);
        ab += (a - mean_a) * (b - mean_b);
    }
    ab / (aa * bb).sqrt().max(f64::MIN_POSITIVE)
}
