//! The log odds of a mixture's distribution function (Ho, Chen, Srinivas, Duan and Abbeel 2019, Flow++).

use super::by_formula::{log_sigmoid, sigmoid, softmax, ByFormula, Shape, MOST};
use super::settings::{fault_of_count, fault_of_scale, TransformerSettings};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::linear::bounded::{bounded, LOG_SCALE};
use serde::{Deserialize, Serialize};

/// What is written for the log odds of the distribution function of a mixture of logistic distributions ([`MixtureCdf`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MixtureCdf", deny_unknown_fields, default)]
pub struct MixtureCdfSettings {
    /// The number of components.
    pub components: usize,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for MixtureCdfSettings {
    fn default() -> Self {
        Self { components: 8, max_scale: 1000.0 }
    }
}

impl TransformerSettings for MixtureCdfSettings {
    type Map = ByFormula<ThenAffine<MixtureCdf>>;
    const EXAMPLE: &'static str = "MixtureCdf(components: 8, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale).or_else(|| fault_of_count("components", self.components, MOST))
    }

    fn map(&self) -> Self::Map {
        then_affine(MixtureCdf { components: self.components }, self.max_scale)
    }
}

/// S(x) = ln F − ln(1 − F) with F = Σ π_k σ((x − μ_k)/s_k). The parameters are the logits of π, then μ around places that are spread evenly, then ln s.
///
/// All is computed by shares of F, of 1 − F and of the density, which are well behaved however far out x is; there S is a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureCdf {
    /// The number of components.
    pub components: usize,
}

/// Where the first and the last component are at the start.
const SPREAD: f64 = 2.0;

/// A component at x: ln π, z, ln σ(z), ln σ(−z), 1/s and the slope of ln s by its raw value.
#[derive(Clone, Copy, Default)]
struct Part {
    log_weight: f64,
    weight: f64,
    z: f64,
    log_below: f64,
    log_above: f64,
    rate: f64,
    log_scale: f64,
    slope: f64,
}

fn log_sum(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + terms.map(|term| (term - most).exp()).sum::<f64>().ln()
}

impl MixtureCdf {
    fn parts(&self, x: f64, theta: &[f64], parts: &mut [Part; MOST]) {
        let n = self.components;
        let mut weights = [0.0; MOST];
        softmax(&theta[..n], &mut weights[..n]);
        for k in 0..n {
            let place = if n == 1 { 0.0 } else { SPREAD * (2.0 * k as f64 / (n - 1) as f64 - 1.0) };
            let (log_scale, slope) = bounded(theta[2 * n + k], LOG_SCALE);
            let rate = (-log_scale).exp();
            let z = (x - place - theta[n + k]) * rate;
            let weight = weights[k].max(f64::MIN_POSITIVE);
            parts[k] = Part {
                log_weight: weight.ln(),
                weight,
                z,
                log_below: log_sigmoid(z),
                log_above: log_sigmoid(-z),
                rate,
                log_scale,
                slope,
            };
        }
    }

    /// ln F, ln(1 − F) and ln f.
    fn logs(parts: &[Part]) -> [f64; 3] {
        [
            log_sum(parts.iter().map(|part| part.log_weight + part.log_below)),
            log_sum(parts.iter().map(|part| part.log_weight + part.log_above)),
            log_sum(parts.iter().map(|part| part.log_weight + part.log_below + part.log_above - part.log_scale)),
        ]
    }
}

impl Shape for MixtureCdf {
    fn parameters(&self) -> usize {
        3 * self.components
    }

    fn at(&self, x: f64, theta: &[f64]) -> (f64, f64) {
        let mut parts = [Part::default(); MOST];
        self.parts(x, theta, &mut parts);
        let [below, above, density] = Self::logs(&parts[..self.components]);
        (below - above, density - below - above)
    }

    fn slopes(&self, x: f64, theta: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> (f64, f64, f64) {
        let n = self.components;
        let mut parts = [Part::default(); MOST];
        self.parts(x, theta, &mut parts);
        let [below, above, density] = Self::logs(&parts[..n]);
        let mut by_x = 0.0;
        for (k, part) in parts[..n].iter().enumerate() {
            let Part { log_weight, weight, z, log_below, log_above, rate, log_scale, slope } = *part;
            // The component's shares of F, of 1 − F and of the density.
            let of_below = (log_weight + log_below - below).exp();
            let of_above = (log_weight + log_above - above).exp();
            let of_density = (log_weight + log_below + log_above - log_scale - density).exp();
            // ∂F/F, ∂F/(1 − F) and ∂f/f along x, of which those along μ and s are multiples.
            let [first, second, third] = [
                of_below * sigmoid(-z) * rate,
                of_above * sigmoid(z) * rate,
                of_density * (sigmoid(-z) - sigmoid(z)) * rate,
            ];
            by_x += third - first + second;
            let [value, log] = [first + second, third - first + second];
            (d_value[n + k], d_log_slope[n + k]) = (-value, -log);
            let along = z / rate * slope;
            (d_value[2 * n + k], d_log_slope[2 * n + k]) = (-value * along, -log * along - of_density * slope);
            let [first, second, third] = [of_below - weight, weight - of_above, of_density - weight];
            (d_value[k], d_log_slope[k]) = (first + second, third - first + second);
        }
        (below - above, density - below - above, by_x)
    }
}
