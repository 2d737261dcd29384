//! Many wells: pairs of coordinates, each with two modes of unequal weight, so that modes double with every pair.

use super::{Density, Pointwise, Sampler, TargetSettings};
use crate::seed::{normal_pair, open_unit};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::Path;

/// log γ(x) = Σ_pairs [−a⁴ + 6a² + ½a − ½b²] with (a, b) consecutive coordinates (Noé et al. 2019; Midgley et al. 2023).
#[derive(Debug, Clone, Copy)]
pub struct ManyWell {
    dim: usize,
}

/// ∫ e^{−a⁴+6a²+½a} da, by quadrature (`tests/target.rs` repeats it).
const WELL: f64 = 11_784.509_27;

impl ManyWell {
    /// On R^`dim`.
    ///
    /// # Errors
    /// If `dim` is odd, 0 or beyond 65536.
    pub fn new(dim: usize) -> Result<Self, String> {
        if dim == 0 || dim % 2 == 1 || dim > 65_536 {
            return Err(format!("dim is {dim}; an even number from 2 to 65536 is right"));
        }
        Ok(Self { dim })
    }
}

fn well(a: f64) -> f64 {
    // a²(6 − a²) + ½a overflows only where the density is zero.
    a * a * (6.0 - a * a) + 0.5 * a
}

/// What is written for `ManyWell`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "ManyWell", deny_unknown_fields)]
pub struct ManyWellSettings {
    /// The number of coordinates; even.
    #[serde(default = "thirty_two")]
    pub dim: usize,
}

fn thirty_two() -> usize {
    32
}

impl TargetSettings for ManyWellSettings {
    const EXAMPLE: &'static str = "ManyWell(dim: 32)";
    const ABOUT: &'static str = "modes that double with every second coordinate (Noé et al. 2019)";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(ManyWell::new(self.dim)?))
    }
}

impl Pointwise for ManyWell {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        if let Some(gradient) = gradient {
            for (g, pair) in gradient.chunks_exact_mut(2).zip(x.chunks_exact(2)) {
                g[0] = pair[0] * (12.0 - 4.0 * pair[0] * pair[0]) + 0.5;
                g[1] = -pair[1];
            }
        }
        x.chunks_exact(2).map(|pair| well(pair[0]) - 0.5 * pair[1] * pair[1]).sum()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(self.dim as f64 / 2.0 * (WELL.ln() + 0.5 * TAU.ln()))
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for ManyWell {
    /// Each a by rejection from 0.2 N(−1.7, 0.5²) + 0.8 N(1.7, 0.5²), which 3 · `WELL` times covers e^{−a⁴+6a²+½a}.
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        let normal = |a: f64, mean: f64| (-0.5 * ((a - mean) / 0.5).powi(2)).exp() / (0.5 * TAU.sqrt());
        for pair in point.chunks_exact_mut(2) {
            loop {
                let [z, b] = normal_pair(rng);
                let a = 0.5 * z + if open_unit(rng) < 0.2 { -1.7 } else { 1.7 };
                let proposed = 0.2 * normal(a, -1.7) + 0.8 * normal(a, 1.7);
                if open_unit(rng) * 3.0 * WELL * proposed < well(a).exp() {
                    (pair[0], pair[1]) = (a, b);
                    break;
                }
            }
        }
    }
}
