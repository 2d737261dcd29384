//! Neal's funnel: a density whose scale varies over several orders of magnitude.

use super::{Density, Pointwise, Sampler, TargetSettings};
use crate::seed::normal_pair;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::Path;

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

/// What is written for `Funnel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Funnel", deny_unknown_fields)]
pub struct FunnelSettings {
    /// The number of coordinates, the one that sets the scale included.
    #[serde(default = "ten")]
    pub dim: usize,
}

fn ten() -> usize {
    10
}

impl TargetSettings for FunnelSettings {
    const EXAMPLE: &'static str = "Funnel(dim: 10)";
    const ABOUT: &'static str = "scales over several orders of magnitude (Neal 2003)";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(Funnel::new(self.dim)?))
    }
}

impl Pointwise for Funnel {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let others = (self.dim - 1) as f64;
        let constant = -0.5 * self.dim as f64 * TAU.ln() - SCALE.ln();
        // e^{−v} in four factors, one at a time: no product overflows unless what it stands for does. Where it does, or where
        // a factor does, the density is zero.
        let (v, quarter) = (x[0], (-0.25 * x[0]).exp());
        let squares: f64 = x[1..].iter().map(|x| (x * quarter * quarter).powi(2)).sum();
        if let Some(gradient) = gradient {
            gradient[0] = -v / (SCALE * SCALE) - 0.5 * others + 0.5 * squares;
            let precise = |x: &f64| x * quarter * quarter * quarter * quarter;
            gradient[1..].iter_mut().zip(&x[1..]).for_each(|(g, x)| *g = -precise(x));
        }
        constant - 0.5 * (v / SCALE).powi(2) - 0.5 * others * v - 0.5 * squares
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
