//! One island of tempered sequential Monte Carlo: from a normal base to the target along γ^β · base^(1 − β).

use super::hamiltonian::{Move, Particles, Path};
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
    /// Steps of temperature.
    pub temperatures: usize,
    /// First particles that still have descendants.
    pub ancestors: usize,
    /// The mean acceptance at β = 1.
    pub acceptance: f64,
    pub evaluations: usize,
    pub failed: usize,
    /// Whether the path reached β = 1.
    pub arrived: bool,
}

/// Steps of temperature after which a path is given up.
const MOST_TEMPERATURES: usize = 400;

/// The acceptance to which step sizes are steered (0.65 is best for a round normal in many dimensions, Beskos et al. 2013; more is safer).
const ACCEPTANCE: f64 = 0.75;

/// The time that a move lasts, in units of the coordinates' standard deviations: about a quarter of a period.
const DURATION: f64 = 1.5;

/// Leapfrog steps of a move, at most.
const MOST_LEAPFROGS: usize = 24;

/// The step size adapted by acceptance, from move to move.
struct StepSize(f64);

impl StepSize {
    fn leapfrogs(&self) -> usize {
        ((DURATION / self.0).ceil() as usize).clamp(1, MOST_LEAPFROGS)
    }

    fn adapt(&mut self, acceptance: f64) {
        self.0 = (self.0 * (1.2 * (acceptance - ACCEPTANCE)).exp()).clamp(1e-6, DURATION);
    }
}

/// Runs one island from N(m, L Lᵀ) of `shape` (Del Moral, Doucet and Jasra 2006), temperatures by conditional ESS (Zhou, Johansen and
/// Aston 2016), and `snapshots` sets of particles at the end.
pub(super) fn island(
    density: &dyn Density,
    shape: &Shape,
    settings: &SmcSettings,
    snapshots: usize,
    stream: &Stream,
) -> Result<Island, Fatal> {
    let (dim, n) = (shape.dim(), settings.particles);
    let path = Path { density, shape, log_det: shape.log_det() };
    let mut particles = Particles { z: vec![0.0; n * dim], values: vec![0.0; n], gradients: vec![0.0; n * dim] };
    stream.child("base").normals(0, dim, &mut particles.z);
    let mut failed = path.refresh(&mut particles)?;
    let (mut evaluations, mut beta, mut log_z, mut temperatures) = (n, 0.0, 0.0, 0);
    let mut origins: Vec<u32> = (0..n as u32).collect();
    let mut step = StepSize(0.5);
    let resampling = stream.child("resampling");
    let constant = 0.5 * dim as f64 * std::f64::consts::TAU.ln();
    while beta < 1.0 && temperatures < MOST_TEMPERATURES {
        let differences: Vec<f64> = particles
            .z
            .chunks_exact(dim)
            .zip(&particles.values)
            .map(|(z, value)| value + constant + 0.5 * z.iter().map(|z| z * z).sum::<f64>())
            .collect();
        let largest = differences.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            break;
        }
        let change = next_step(&differences, 1.0 - beta, settings.keep);
        let weights: Vec<f64> = differences.iter().map(|d| (change * (d - largest)).exp()).collect();
        log_z += change * largest + (weights.iter().sum::<f64>() / n as f64).ln();
        beta = if change >= 1.0 - beta { 1.0 } else { beta + change };
        let chosen = systematic(&weights, n, open_unit(&mut resampling.row(temperatures as u64)));
        particles = particles.chosen(&chosen, dim);
        origins = chosen.iter().map(|&place| origins[place]).collect();
        let scales = scales_of(&particles.z, dim);
        for k in 0..settings.moves {
            let how = Move { beta, step: step.0, leapfrogs: step.leapfrogs(), scales: &scales };
            let noise = stream.child(&format!("move {temperatures} {k}"));
            let moved = path.carry_on(&mut particles, &how, &noise)?;
            step.adapt(moved.acceptance);
            evaluations += moved.evaluations;
            failed += moved.failed;
        }
        temperatures += 1;
    }
    let mut points = Vec::with_capacity(snapshots * n * dim);
    let mut acceptance = 0.0;
    let moves = snapshots * settings.moves;
    // At the target the duplicates of the last resampling move apart, and particles that are to be kept apart move once more.
    for k in 0..moves {
        let scales = scales_of(&particles.z, dim);
        let how = Move { beta, step: step.0, leapfrogs: step.leapfrogs(), scales: &scales };
        let moved = path.carry_on(&mut particles, &how, &stream.child(&format!("last {k}")))?;
        step.adapt(moved.acceptance);
        acceptance += moved.acceptance / moves as f64;
        evaluations += moved.evaluations;
        failed += moved.failed;
        if (k + 1) % settings.moves == 0 {
            let start = points.len();
            points.resize(start + n * dim, 0.0);
            shape.apply(&particles.z, &mut points[start..]);
        }
    }
    origins.sort_unstable();
    origins.dedup();
    let arrived = beta >= 1.0;
    Ok(Island { points, log_z, temperatures, ancestors: origins.len(), acceptance, evaluations, failed, arrived })
}

impl Particles {
    /// The particles at the places of `chosen`.
    fn chosen(&self, chosen: &[usize], dim: usize) -> Self {
        let rows = |from: &[f64]| chosen.iter().flat_map(|&r| from[r * dim..(r + 1) * dim].iter().copied()).collect();
        Self {
            z: rows(&self.z),
            values: chosen.iter().map(|&r| self.values[r]).collect(),
            gradients: rows(&self.gradients),
        }
    }
}

/// The standard deviation of each coordinate.
fn scales_of(z: &[f64], dim: usize) -> Vec<f64> {
    let n = (z.len() / dim) as f64;
    let mut mean = vec![0.0; dim];
    z.chunks_exact(dim).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, z)| *m += z / n));
    let mut variance = vec![0.0; dim];
    for row in z.chunks_exact(dim) {
        variance.iter_mut().zip(row).zip(&mean).for_each(|((v, z), m)| *v += (z - m).powi(2) / n);
    }
    variance.iter().map(|v| v.sqrt().max(1e-12)).collect()
}
