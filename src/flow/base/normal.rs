//! The standard normal base.

use super::settings::BaseSettings;
use super::Base;
use crate::flow::HALF_LOG_TAU;
use std::sync::Arc;

/// log p(z) = −½ ‖z‖² − ½ dim ln 2π; without parameters.
#[derive(Debug, Clone, Copy)]
pub struct Normal {
    /// The number of coordinates.
    pub dim: usize,
}

/// What is written for the standard normal: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NormalBase;

impl NormalBase {
    /// The base as it is written.
    pub const EXAMPLE: &'static str = "Normal";
}

impl BaseSettings for NormalBase {
    fn fault(&self) -> Option<String> {
        None
    }

    fn build(&self, dim: usize, _: &[Vec<f64>]) -> Arc<dyn Base> {
        Arc::new(Normal { dim })
    }
}

impl Base for Normal {
    fn dim(&self) -> usize {
        self.dim
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        z.copy_from_slice(noise);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        -0.5 * z.iter().map(|z| z * z).sum::<f64>() - self.dim as f64 * HALF_LOG_TAU
    }

    fn score(&self, z: &[f64], score: &mut [f64]) {
        score.iter_mut().zip(z).for_each(|(score, z)| *score = -z);
    }
}
