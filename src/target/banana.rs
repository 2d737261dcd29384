//! The banana: a normal distribution bent along a parabola.

use super::settings::fieldless;
use super::{Pointwise, Sampler};
use crate::seed::normal_pair;
use rand::RngCore;

/// log γ(x) = −½ (x₁/10)² − ½ (x₂ + 0.03 x₁² − 3)² (Haario, Saksman and Tamminen 1999); log Z = ln 20π.
#[derive(Debug, Clone, Copy, Default)]
pub struct Banana;

const SCALE: f64 = 10.0;
const BEND: f64 = 0.03;
const OFFSET: f64 = 3.0;

fieldless! {
    BananaSettings = "Banana", "a curved ridge (Haario, Saksman and Tamminen 1999)", Banana;
}

impl Pointwise for Banana {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let across = x[1] + BEND * x[0] * x[0] - OFFSET;
        if let Some(gradient) = gradient {
            gradient[0] = -x[0] / (SCALE * SCALE) - across * 2.0 * BEND * x[0];
            gradient[1] = -across;
        }
        -0.5 * (x[0] / SCALE).powi(2) - 0.5 * across * across
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some((std::f64::consts::TAU * SCALE).ln())
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Banana {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        let [z1, z2] = normal_pair(rng);
        point[0] = SCALE * z1;
        point[1] = z2 + OFFSET - BEND * point[0] * point[0];
    }
}
