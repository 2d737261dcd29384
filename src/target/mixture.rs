//! Mixtures of round normal distributions.

use super::settings::fieldless;
use super::{Density, Pointwise, Sampler, TargetSettings};
use crate::seed::{normal_pair, open_unit, Seed};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::Path;

/// p(x) = Σ_k w_k N(x; m_k, s_k² I), normalised.
#[derive(Debug, Clone)]
pub struct Mixture {
    dim: usize,
    components: Vec<Component>,
}

#[derive(Debug, Clone)]
struct Component {
    weight: f64,
    mean: Vec<f64>,
    deviation: f64,
    /// ln w − dim ln s − ½ dim ln 2π.
    constant: f64,
}

impl Mixture {
    /// From means, standard deviations and weights (none: equal), which need not sum to one.
    ///
    /// # Errors
    /// If there is no component, lengths differ, or a number is not finite or not positive where it must be.
    pub fn new(means: Vec<Vec<f64>>, deviations: Vec<f64>, weights: Option<Vec<f64>>) -> Result<Self, String> {
        let dim = means.first().map_or(0, Vec::len);
        if dim == 0 {
            return Err("means is empty; at least one mean of at least one coordinate is right".into());
        }
        let weights = weights.unwrap_or_else(|| vec![1.0; means.len()]);
        if deviations.len() != means.len() || weights.len() != means.len() {
            let (n, d, w) = (means.len(), deviations.len(), weights.len());
            return Err(format!("{n} means, {d} deviations and {w} weights; equal numbers are right"));
        }
        let positive = |value: &f64| value.is_finite() && *value > 0.0;
        for (k, mean) in means.iter().enumerate() {
            if mean.len() != dim || !mean.iter().all(|m| m.is_finite()) {
                return Err(format!(
                    "means[{k}] is {mean:?}; {dim} finite numbers, as many as means[0] has, are right"
                ));
            }
            if !positive(&deviations[k]) || !positive(&weights[k]) {
                let (d, w) = (deviations[k], weights[k]);
                return Err(format!("component {k} has deviation {d} and weight {w}; positive numbers are right"));
            }
        }
        let total: f64 = weights.iter().sum();
        let components = means.into_iter().zip(deviations).zip(weights).map(|((mean, deviation), weight)| {
            let weight = weight / total;
            let constant = weight.ln() - dim as f64 * (deviation.ln() + 0.5 * TAU.ln());
            Component { weight, mean, deviation, constant }
        });
        Ok(Self { dim, components: components.collect() })
    }

    fn equal(means: Vec<Vec<f64>>, deviation: f64) -> Self {
        let deviations = vec![deviation; means.len()];
        Self::new(means, deviations, None).unwrap_or_else(|fault| unreachable!("{fault}"))
    }

    /// Two modes at ±(4, 4) with unit covariance.
    pub fn two() -> Self {
        Self::equal(vec![vec![4.0, 4.0], vec![-4.0, -4.0]], 1.0)
    }

    /// Nine modes on {−5, 0, 5}² with variance 0.3.
    pub fn nine() -> Self {
        let places = [-5.0, 0.0, 5.0];
        Self::equal(places.iter().flat_map(|&x| places.map(|y| vec![x, y])).collect(), 0.3f64.sqrt())
    }

    /// Forty modes with means uniform in [−40, 40]², fixed by `seed`, and standard deviation ln(1 + e) (Midgley et al. 2023).
    pub fn forty(seed: u64) -> Self {
        let stream = Seed(seed).stream("mixture/means");
        let mean = |k: u64| {
            let mut rng = stream.row(k);
            (0..2).map(|_| 80.0 * open_unit(&mut rng) - 40.0).collect()
        };
        Self::equal((0..40).map(mean).collect(), std::f64::consts::E.ln_1p())
    }
}

/// ln Σ eᵗ, safe against overflow; leaves each term's share of the sum in its place.
pub(super) fn log_sum_exp(terms: &mut [f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    terms.iter_mut().for_each(|term| *term = (*term - largest).exp());
    let sum: f64 = terms.iter().sum();
    terms.iter_mut().for_each(|term| *term /= sum);
    largest + sum.ln()
}

/// What is written for `FortyModes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "FortyModes", deny_unknown_fields)]
pub struct FortyModesSettings {
    /// The seed of the places.
    #[serde(default = "one")]
    pub places: u64,
}

fn one() -> u64 {
    1
}

impl TargetSettings for FortyModesSettings {
    const EXAMPLE: &'static str = "FortyModes(places: 1)";
    const ABOUT: &'static str = "forty distant modes (Midgley et al. 2023)";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(Mixture::forty(self.places)))
    }
}

/// What is written for `Mixture`: round normal modes of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Mixture", deny_unknown_fields)]
pub struct MixtureSettings {
    /// The means, one list for each mode.
    pub means: Vec<Vec<f64>>,
    /// The standard deviations.
    pub deviations: Vec<f64>,
    /// The weights, up to a factor; equal if left out.
    #[serde(default)]
    pub weights: Option<Vec<f64>>,
}

impl TargetSettings for MixtureSettings {
    const EXAMPLE: &'static str = "Mixture(means: [[0.0], [3.0]], deviations: [1.0, 0.5], weights: [2.0, 1.0])";
    const ABOUT: &'static str = "round modes of your own";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(Mixture::new(self.means.clone(), self.deviations.clone(), self.weights.clone())?))
    }
}

fieldless! {
    TwoModesSettings = "TwoModes", "two distant modes", Mixture::two();
    NineModesSettings = "NineModes", "nine distant modes", Mixture::nine();
}

impl Pointwise for Mixture {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let exponent = |c: &Component| {
            let squares: f64 = x.iter().zip(&c.mean).map(|(x, m)| ((x - m) / c.deviation).powi(2)).sum();
            c.constant - 0.5 * squares
        };
        let mut terms: Vec<f64> = self.components.iter().map(exponent).collect();
        let value = log_sum_exp(&mut terms);
        if let Some(gradient) = gradient {
            gradient.fill(0.0);
            for (share, c) in terms.iter().zip(&self.components) {
                for ((g, x), m) in gradient.iter_mut().zip(x).zip(&c.mean) {
                    *g -= share * (x - m) / (c.deviation * c.deviation);
                }
            }
        }
        value
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Mixture {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        let mut left = open_unit(rng);
        let chosen = self.components.iter().find(|component| {
            left -= component.weight;
            left < 0.0
        });
        // Rounding of the weights may leave a crumb after the last.
        let Some(component) = chosen.or(self.components.last()) else { return };
        for (pair, means) in point.chunks_mut(2).zip(component.mean.chunks(2)) {
            for ((x, mean), z) in pair.iter_mut().zip(means).zip(normal_pair(rng)) {
                *x = mean + component.deviation * z;
            }
        }
    }
}
