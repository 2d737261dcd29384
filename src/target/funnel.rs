//! Neal's funnel: a density whose scale varies over several orders of magnitude.

use super::banana::normal_pair;
use super::{each_row, Density, Fatal, Faults, Sampler};
use rand::RngCore;
use std::f64::consts::TAU;

/// v ~ N(0, 3²) and xᵢ given v ~ N(0, eᵛ) (variance), i = 1 .. dim − 1 (Neal 2003); normalised.
#[derive(Debug, Clone, Copy)]
pub struct Funnel {
    dim: usize,
}

const SCALE: f64 = 3.0;

impl Funnel {
    /// A funnel on R^`dim`, v first.
    ///
    /// # Errors
    /// If `dim` is below 2 or beyond 65536.
    pub fn new(dim: usize) -> Result<Self, String> {
        if !(2..=65_536).contains(&dim) {
            return Err(format!("dim is {dim}; 2 to 65536 is right"));
        }
        Ok(Self { dim })
    }
}

impl Density for Funnel {
    fn dim(&self) -> usize {
        self.dim
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let others = (self.dim - 1) as f64;
        let constant = -0.5 * self.dim as f64 * TAU.ln() - SCALE.ln();
        each_row(self.dim, points, values, gradients, faults, |x, gradient| {
            let (v, precision) = (x[0], (-x[0]).exp());
            // x² eᵛ⁻ as (x e^{−v/2})², which overflows later; where it does the density is zero.
            let half = (-0.5 * v).exp();
            let squares: f64 = x[1..].iter().map(|x| (x * half).powi(2)).filter(|square| !square.is_nan()).sum();
            let value = constant - 0.5 * (v / SCALE).powi(2) - 0.5 * others * v - 0.5 * squares;
            if let Some(gradient) = gradient {
                if value == f64::NEG_INFINITY {
                    gradient.fill(0.0);
                } else {
                    gradient[0] = -v / (SCALE * SCALE) - 0.5 * others + 0.5 * squares;
                    for (g, x) in gradient[1..].iter_mut().zip(&x[1..]) {
                        *g = if *x == 0.0 { 0.0 } else { -x * precision };
                    }
                }
            }
            value
        });
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        std::iter::once("v".to_string()).chain((1..self.dim).map(|i| format!("x{i}"))).collect()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Funnel {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        for pair in point.chunks_mut(2) {
            let z = normal_pair(rng);
            pair.copy_from_slice(&z[..pair.len()]);
        }
        point[0] *= SCALE;
        let scale = (0.5 * point[0]).exp();
        point[1..].iter_mut().for_each(|x| *x *= scale);
    }
}
