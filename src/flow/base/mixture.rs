//! A mixture of axis-parallel normal distributions with learned means, scales and weights: several modes before the first layer.

use super::fit;
use super::settings::BaseSettings;
use super::strata::Strata;
use super::Base;
use crate::flow::HALF_LOG_TAU;
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// More components than this are taken for a slip of the pen.
const MOST_COMPONENTS: usize = 256;

/// What is written for a mixture of axis-parallel normal distributions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Mixture", deny_unknown_fields, default)]
pub struct MixtureBase {
    /// The number of components.
    pub components: usize,
}

impl Default for MixtureBase {
    fn default() -> Self {
        Self { components: 8 }
    }
}

impl MixtureBase {
    /// The base as it is written, every field shown with its default.
    pub const EXAMPLE: &'static str = "Mixture(components: 8)";
}

impl BaseSettings for MixtureBase {
    fn fault(&self) -> Option<String> {
        (!(1..=MOST_COMPONENTS).contains(&self.components))
            .then(|| format!("components is {}; 1 to {MOST_COMPONENTS} is right", self.components))
    }

    fn noise_width(&self, dim: usize) -> usize {
        dim + 1
    }

    fn is_fitted(&self) -> bool {
        true
    }

    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        let all = self.components * dim;
        vec![("means", all), ("log_scales", all), ("logits", self.components)]
    }

    /// Without draws to be fitted to: round components at random places of a standard normal.
    fn start(&self, dim: usize, stream: &Stream) -> Vec<Vec<f64>> {
        let all = self.components * dim;
        let mut means = vec![0.0; all];
        stream.normals(0, dim, &mut means);
        vec![means, vec![0.0; all], vec![0.0; self.components]]
    }

    fn fitted(&self, dim: usize, draws: &[f64], groups: &[usize], stream: &Stream) -> Option<Vec<Vec<f64>>> {
        let fitted = || match groups.len() == self.components {
            true => fit::to_groups(draws, dim, groups),
            false => fit::fit(draws, dim, self.components, stream),
        };
        (draws.len() >= dim).then(|| fitted().to_vec())
    }

    fn build(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Base> {
        Arc::new(Mixture::new(dim, &tensors[0], &tensors[1], &tensors[2]))
    }
}

/// p(z) = Σ_k w_k Π_j N(z_j; m_kj, s_kj²) with parameters m, ln s and the logits of w.
///
/// A draw takes one standard normal more than there are coordinates: the last chooses the component, by the place of its distribution
/// function among the cumulative weights. That choice has no derivative, so in training it is fixed by [`Strata`].
#[derive(Debug, Clone)]
pub struct Mixture {
    dim: usize,
    means: Vec<f64>,
    scales: Vec<f64>,
    weights: Vec<f64>,
    /// ln w_k − Σ_j ln s_kj − ½ dim ln 2π.
    constants: Vec<f64>,
}

impl Mixture {
    /// From means and log scales (a row for each component) and one logit for each.
    pub fn new(dim: usize, means: &[f64], log_scales: &[f64], logits: &[f64]) -> Self {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let log_weight = |logit: &f64| logit - largest - total.ln();
        let constant = |(logit, log_scales): (&f64, &[f64])| {
            log_weight(logit) - log_scales.iter().sum::<f64>() - dim as f64 * HALF_LOG_TAU
        };
        Self {
            dim,
            means: means.to_vec(),
            scales: log_scales.iter().map(|log_scale| log_scale.exp()).collect(),
            weights: logits.iter().map(|logit| log_weight(logit).exp()).collect(),
            constants: logits.iter().zip(log_scales.chunks_exact(dim)).map(constant).collect(),
        }
    }

    /// The weights of the components.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Mean and scale of coordinate after coordinate of component `k`.
    fn lines(&self, k: usize) -> impl Iterator<Item = (f64, f64)> + '_ {
        let range = k * self.dim..(k + 1) * self.dim;
        self.means[range.clone()].iter().copied().zip(self.scales[range].iter().copied())
    }

    /// ln p(z), and the share of each component in it.
    pub(super) fn shares(&self, z: &[f64]) -> (f64, Vec<f64>) {
        let term = |k: usize| {
            let squares: f64 = z.iter().zip(self.lines(k)).map(|(z, (mean, scale))| ((z - mean) / scale).powi(2)).sum();
            self.constants[k] - 0.5 * squares
        };
        let mut terms: Vec<f64> = (0..self.weights.len()).map(term).collect();
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            return (largest, self.weights.clone());
        }
        terms.iter_mut().for_each(|term| *term = (*term - largest).exp());
        let sum: f64 = terms.iter().sum();
        terms.iter_mut().for_each(|term| *term /= sum);
        (largest + sum.ln(), terms)
    }

    /// The component that a standard normal chooses.
    fn component(&self, choice: f64) -> usize {
        let mut left = 0.5 * libm::erfc(-choice * std::f64::consts::FRAC_1_SQRT_2);
        let chosen = self.weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        // Rounding of the weights may leave a crumb after the last.
        chosen.unwrap_or(self.weights.len() - 1)
    }
}

impl Base for Mixture {
    fn dim(&self) -> usize {
        self.dim
    }

    fn noise_width(&self) -> usize {
        self.dim + 1
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        let component = self.component(noise[self.dim]);
        for ((z, noise), (mean, scale)) in z.iter_mut().zip(noise).zip(self.lines(component)) {
            *z = mean + scale * noise;
        }
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        self.shares(z).0
    }

    fn score(&self, z: &[f64], score: &mut [f64]) {
        score.fill(0.0);
        for (k, share) in self.shares(z).1.into_iter().enumerate() {
            for ((score, z), (mean, scale)) in score.iter_mut().zip(z).zip(self.lines(k)) {
                *score -= share * (z - mean) / (scale * scale);
            }
        }
    }

    fn push_slopes(&self, tensor: usize, noise: &[f64], places: &mut [usize], slopes: &mut [f64]) {
        let component = self.component(noise[self.dim]);
        for (j, (place, slope)) in places.iter_mut().zip(slopes).enumerate() {
            (*place, *slope) = match tensor {
                0 => (component * self.dim + j, 1.0),
                1 => (component * self.dim + j, self.scales[component * self.dim + j] * noise[j]),
                _ => (0, 0.0),
            };
        }
    }

    fn log_prob_slopes(&self, z: &[f64], slopes: &mut [f64]) {
        let all = self.means.len();
        let (of_means, rest) = slopes.split_at_mut(all);
        let (of_scales, of_logits) = rest.split_at_mut(all);
        for (k, share) in self.shares(z).1.into_iter().enumerate() {
            of_logits[k] = share - self.weights[k];
            for (j, (z, (mean, scale))) in z.iter().zip(self.lines(k)).enumerate() {
                let t = (z - mean) / scale;
                of_means[k * self.dim + j] = share * t / scale;
                of_scales[k * self.dim + j] = share * (t * t - 1.0);
            }
        }
    }

    fn strata(&self, rows: usize) -> Option<Strata> {
        Some(Strata::new(&self.weights, rows))
    }
}
