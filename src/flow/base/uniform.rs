//! Uniform bases: of an interval, and of the circle.

use super::settings::BaseSettings;
use super::Base;
use crate::transformer::Domain;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, SQRT_2};
use std::sync::Arc;

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

/// What is written for a uniform density on the circle: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CircleBase;

impl CircleBase {
    /// The base as it is written.
    pub const EXAMPLE: &'static str = "Circle";
}

impl BaseSettings for CircleBase {
    fn fault(&self) -> Option<String> {
        None
    }

    fn domain(&self) -> Domain {
        Domain::Circle
    }

    fn build(&self, dim: usize, _: &[Vec<f64>]) -> Arc<dyn Base> {
        Arc::new(Uniform::circle(dim))
    }
}

/// What is written for a uniform density between ±`limit`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Interval", deny_unknown_fields, default)]
pub struct IntervalBase {
    /// Half the length of the interval.
    pub limit: f64,
}

impl Default for IntervalBase {
    fn default() -> Self {
        Self { limit: 1.0 }
    }
}

impl IntervalBase {
    /// The base as it is written, every field shown with its default.
    pub const EXAMPLE: &'static str = "Interval(limit: 1.0)";
}

impl BaseSettings for IntervalBase {
    fn fault(&self) -> Option<String> {
        (!(0.1..=100.0).contains(&self.limit))
            .then(|| format!("limit is {}; a number from 0.1 to 100 is right", self.limit))
    }

    fn domain(&self) -> Domain {
        Domain::Interval(self.limit)
    }

    fn build(&self, dim: usize, _: &[Vec<f64>]) -> Arc<dyn Base> {
        Arc::new(Uniform::interval(dim, self.limit))
    }
}

impl Base for Uniform {
    fn dim(&self) -> usize {
        self.dim
    }

    fn is_everywhere(&self) -> bool {
        false
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
