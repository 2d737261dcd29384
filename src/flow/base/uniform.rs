//! Uniform bases: of an interval, and of the circle.

use super::Base;
use std::f64::consts::{PI, SQRT_2};

/// Independent coordinates, uniform between ±`half`: of a circle wherever one looks (π is as good as −π, and 7 as 7 − 2π), of an interval with
/// nothing beyond.
#[derive(Debug, Clone)]
pub struct Uniform {
    dim: usize,
    half: f64,
    around: bool,
}

/// What rounding in single precision may add to a number at the end of an interval, relative to it.
const ROUNDING: f64 = 1e-6;

impl Uniform {
    /// Of the circle, in each of `dim` coordinates.
    pub fn circle(dim: usize) -> Self {
        Self { dim, half: PI, around: true }
    }

    /// Of the interval between ±`limit`, in each of `dim` coordinates.
    pub fn interval(dim: usize, limit: f64) -> Self {
        Self { dim, half: limit, around: false }
    }
}

impl Base for Uniform {
    fn dim(&self) -> usize {
        self.dim
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        z.iter_mut().zip(noise).for_each(|(z, n)| *z = self.half * libm::erf(n / SQRT_2));
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        let most = self.half * (1.0 + ROUNDING);
        if z.iter().all(|z| if self.around { z.is_finite() } else { z.abs() <= most }) {
            -(self.dim as f64) * (2.0 * self.half).ln()
        } else {
            f64::NEG_INFINITY
        }
    }

    fn score(&self, _z: &[f64], score: &mut [f64]) {
        score.fill(0.0);
    }
}
