//! The kinds of base as people write them and as model files carry them.

use super::{Base, Normal, StudentT};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which density a flow carries.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum BaseConfig {
    /// The standard normal, without parameters.
    #[default]
    Normal,
    /// Independent Student-t coordinates with learned degrees of freedom.
    StudentT {
        /// The degrees of freedom at the start.
        #[serde(default = "five")]
        freedom: f64,
    },
}

fn five() -> f64 {
    5.0
}

impl BaseConfig {
    /// What is wrong with it for R^`dim`.
    pub fn fault(&self, _dim: usize) -> Option<String> {
        match self {
            BaseConfig::Normal => None,
            BaseConfig::StudentT { freedom } => (!(0.5..=1000.0).contains(freedom))
                .then(|| format!("freedom is {freedom}; 0.5 to 1000 degrees of freedom are right")),
        }
    }

    /// The number of standard normals that one draw on R^`dim` takes.
    pub fn noise_width(&self, dim: usize) -> usize {
        match self {
            BaseConfig::Normal => dim,
            BaseConfig::StudentT { .. } => 2 * dim,
        }
    }

    /// The names and lengths of its trainable tensors on R^`dim`.
    pub fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        match self {
            BaseConfig::Normal => Vec::new(),
            BaseConfig::StudentT { .. } => vec![("raw_freedom", dim)],
        }
    }

    /// The values of those tensors at the start.
    pub(super) fn start(&self, dim: usize, _stream: &Stream) -> Vec<Vec<f64>> {
        match self {
            BaseConfig::Normal => Vec::new(),
            BaseConfig::StudentT { freedom } => vec![vec![StudentT::raw(*freedom); dim]],
        }
    }

    /// The density with these values.
    pub(super) fn build(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Base> {
        match (self, tensors) {
            (BaseConfig::StudentT { .. }, [raw]) => Arc::new(StudentT::new(raw)),
            _ => Arc::new(Normal { dim }),
        }
    }
}
