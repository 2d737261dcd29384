//! A network of one hidden layer whose weights are positive: an increasing function of one number, and any such with enough units.

use super::by_formula::{sigmoid, ByFormula, Shape, MOST};
use super::settings::{fault_of_count, fault_of_scale, TransformerSettings};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::linear::bounded::{bounded, LOG_SCALE};
use serde::{Deserialize, Serialize};

/// What is written for a network with positive weights ([`MonotoneNet`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MonotoneNet", deny_unknown_fields, default)]
pub struct MonotoneNetSettings {
    /// The number of hidden units.
    pub units: usize,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for MonotoneNetSettings {
    fn default() -> Self {
        Self { units: 8, max_scale: 1000.0 }
    }
}

impl TransformerSettings for MonotoneNetSettings {
    type Map = ByFormula<ThenAffine<MonotoneNet>>;
    const EXAMPLE: &'static str = "MonotoneNet(units: 8, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale).or_else(|| fault_of_count("units", self.units, MOST))
    }

    fn map(&self) -> Self::Map {
        then_affine(MonotoneNet { units: self.units }, self.max_scale)
    }
}

/// S(x) = x + Σ a_k tanh-like steps: a_k (2 σ(b_k (x − c_k)) − 1), with positive heights a = softplus(raw) and rates b = eˢ. The parameters are raw
/// heights, raw rates, then places c around ones that are spread evenly. Its tails have the slope 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonotoneNet {
    /// The number of hidden units.
    pub units: usize,
}

/// Where the first and the last unit are at the start.
const SPREAD: f64 = 2.0;
/// What a raw height is at the start: a height of 0.1.
const LOW: f64 = -2.25;

/// ln(1 + eᶻ).
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// A unit at x: height, rate, σ and σ(1 − σ) of its argument, and what these depend on.
struct Unit {
    height: f64,
    d_height: f64,
    rate: f64,
    d_rate: f64,
    apart: f64,
    step: f64,
    slope: f64,
}

impl MonotoneNet {
    fn unit(&self, x: f64, theta: &[f64], k: usize) -> Unit {
        let n = self.units;
        let raw = theta[k] + LOW;
        let (log_rate, d_rate) = bounded(theta[n + k], LOG_SCALE);
        let place = if n == 1 { 0.0 } else { SPREAD * (2.0 * k as f64 / (n - 1) as f64 - 1.0) };
        let (rate, apart) = (log_rate.exp(), x - place - theta[2 * n + k]);
        let step = sigmoid(rate * apart);
        let slope = step * sigmoid(-rate * apart);
        Unit { height: softplus(raw), d_height: sigmoid(raw), rate, d_rate, apart, step, slope }
    }
}

impl Shape for MonotoneNet {
    fn parameters(&self) -> usize {
        3 * self.units
    }

    fn at(&self, x: f64, theta: &[f64]) -> (f64, f64) {
        let (mut value, mut slope) = (x, 1.0);
        for k in 0..self.units {
            let unit = self.unit(x, theta, k);
            value += unit.height * (2.0 * unit.step - 1.0);
            slope += 2.0 * unit.height * unit.rate * unit.slope;
        }
        (value, slope.ln())
    }

    fn slopes(&self, x: f64, theta: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> (f64, f64, f64) {
        let n = self.units;
        let (value, log_slope) = self.at(x, theta);
        let all = (-log_slope).exp();
        let mut bend = 0.0;
        for k in 0..n {
            let Unit { height, d_height, rate, d_rate, apart, step, slope } = self.unit(x, theta, k);
            // ∂ σ(1 − σ) along the argument.
            let turn = slope * (1.0 - 2.0 * step);
            (d_value[k], d_log_slope[k]) = ((2.0 * step - 1.0) * d_height, 2.0 * rate * slope * d_height * all);
            let along = rate * apart * d_rate;
            d_value[n + k] = 2.0 * height * slope * along;
            d_log_slope[n + k] = 2.0 * height * rate * (slope * d_rate + turn * along) * all;
            d_value[2 * n + k] = -2.0 * height * slope * rate;
            d_log_slope[2 * n + k] = -2.0 * height * rate * rate * turn * all;
            bend += 2.0 * height * rate * rate * turn * all;
        }
        (value, log_slope, bend)
    }
}
