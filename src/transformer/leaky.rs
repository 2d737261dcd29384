//! The leaky rectifier: a fixed bend at zero.

use super::by_formula::{ByFormula, Shape};
use super::settings::{fault_of_scale, TransformerSettings};
use super::then_affine::{then_affine, ThenAffine};
use serde::{Deserialize, Serialize};

/// What is written for a fixed bend at zero ([`Leaky`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "LeakyRelu", deny_unknown_fields, default)]
pub struct LeakyReluSettings {
    /// The slope below zero.
    pub slope: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for LeakyReluSettings {
    fn default() -> Self {
        Self { slope: 0.1, max_scale: 1000.0 }
    }
}

impl TransformerSettings for LeakyReluSettings {
    type Map = ByFormula<ThenAffine<Leaky>>;
    const EXAMPLE: &'static str = "LeakyRelu(slope: 0.1, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        let right = self.slope.is_finite() && self.slope >= 1e-3 && self.slope <= 1e3;
        let of_slope = || (!right).then(|| format!("slope is {}; a number from 0.001 to 1000 is right", self.slope));
        fault_of_scale(self.max_scale).or_else(of_slope)
    }

    fn map(&self) -> Self::Map {
        then_affine(Leaky { slope: self.slope }, self.max_scale)
    }
}

/// S(x) = x above zero, slope · x below it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaky {
    /// The slope below zero, positive.
    pub slope: f64,
}

impl Shape for Leaky {
    fn parameters(&self) -> usize {
        0
    }

    fn at(&self, x: f64, _: &[f64]) -> (f64, f64) {
        if x < 0.0 {
            (self.slope * x, self.slope.ln())
        } else {
            (x, 0.0)
        }
    }

    fn slopes(&self, x: f64, theta: &[f64], _: &mut [f64], _: &mut [f64]) -> (f64, f64, f64) {
        let (value, log_slope) = self.at(x, theta);
        (value, log_slope, 0.0)
    }

    fn solve(&self, y: f64, _: &[f64]) -> f64 {
        if y < 0.0 {
            y / self.slope
        } else {
            y
        }
    }
}
