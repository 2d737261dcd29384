//! The tempered path between a base and a density, and the particles that walk along it.

use super::base::{Base, Component};
use super::Shape;
use crate::target::{Density, Fatal, Faults};
use rayon::prelude::*;

/// The path γ^β · base^(1 − β) in the coordinates z of the base: x = m + L z.
pub(super) struct Path<'a> {
    pub density: &'a dyn Density,
    pub shape: &'a Shape,
    pub base: Base,
    /// Where particles jump to, where anything is known of the density.
    pub jumps: Option<Base>,
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

/// Particles that one thread carries through a whole move; the same as a piece of `target::evaluate_in_pieces`.
pub(super) const PIECE: usize = 64;

impl<'a> Path<'a> {
    pub fn new(density: &'a dyn Density, shape: &'a Shape, components: &[Component]) -> Self {
        let (base, jumps) = (Base::with(components, shape), Base::of_jumps(components, shape));
        Self { density, shape, base, jumps, log_det: shape.log_det() }
    }

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

    /// log γ − log base of each particle.
    pub fn differences(&self, particles: &Particles) -> Vec<f64> {
        let rows = particles.z.chunks_exact(self.shape.dim()).zip(&particles.values);
        rows.map(|(z, value)| value - self.base.log_density(z)).collect()
    }
}

impl Particles {
    /// The particles at the places of `chosen`.
    pub fn chosen(&self, chosen: &[usize], dim: usize) -> Self {
        let rows = |from: &[f64]| chosen.iter().flat_map(|&r| from[r * dim..(r + 1) * dim].iter().copied()).collect();
        Self {
            z: rows(&self.z),
            values: chosen.iter().map(|&r| self.values[r]).collect(),
            gradients: rows(&self.gradients),
        }
    }
}
