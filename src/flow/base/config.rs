//! The kinds of base as people write them and as model files carry them.

use super::{fit, Base, Mixture, Normal, StudentT, Uniform, VonMises};
use crate::seed::Stream;
use crate::transformer::Domain;
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
    /// A mixture of axis-parallel normal distributions with learned means, scales and weights.
    Mixture {
        /// The number of components.
        #[serde(default = "eight")]
        components: usize,
    },
    /// Uniform between ±`limit`, without parameters: for layers of an interval.
    Interval {
        /// Half the length of the interval.
        #[serde(default = "one")]
        limit: f64,
    },
    /// Uniform on the circle, without parameters: for circular layers.
    Circle,
    /// Independent von Mises angles around 0 with learned concentrations: for circular layers.
    VonMises {
        /// The concentration at the start.
        #[serde(default = "one")]
        concentration: f64,
    },
}

/// More components than this are taken for a slip of the pen.
const MOST_COMPONENTS: usize = 256;

fn eight() -> usize {
    8
}

fn one() -> f64 {
    1.0
}

fn five() -> f64 {
    5.0
}

impl BaseConfig {
    /// What is wrong with it.
    pub fn fault(&self) -> Option<String> {
        match self {
            BaseConfig::Normal | BaseConfig::Circle => None,
            BaseConfig::Interval { limit } => {
                (!(0.1..=100.0).contains(limit)).then(|| format!("limit is {limit}; a number from 0.1 to 100 is right"))
            }
            BaseConfig::VonMises { concentration } => (!(1e-3..=400.0).contains(concentration))
                .then(|| format!("concentration is {concentration}; 0.001 to 400 is right")),
            BaseConfig::Mixture { components } => (!(1..=MOST_COMPONENTS).contains(components))
                .then(|| format!("components is {components}; 1 to {MOST_COMPONENTS} is right")),
            BaseConfig::StudentT { freedom } => (!(0.5..=1000.0).contains(freedom))
                .then(|| format!("freedom is {freedom}; 0.5 to 1000 degrees of freedom are right")),
        }
    }

    /// Where its draws are.
    pub fn domain(&self) -> Domain {
        match self {
            BaseConfig::Normal | BaseConfig::StudentT { .. } | BaseConfig::Mixture { .. } => Domain::Line,
            BaseConfig::Circle | BaseConfig::VonMises { .. } => Domain::Circle,
            BaseConfig::Interval { limit } => Domain::Interval(*limit),
        }
    }

    /// The number of standard normals that one draw on R^`dim` takes.
    pub fn noise_width(&self, dim: usize) -> usize {
        match self {
            BaseConfig::Normal | BaseConfig::Circle | BaseConfig::Interval { .. } | BaseConfig::VonMises { .. } => dim,
            BaseConfig::StudentT { .. } => 2 * dim,
            BaseConfig::Mixture { .. } => dim + 1,
        }
    }

    /// Whether it is fitted to draws before it learns.
    pub fn is_fitted(&self) -> bool {
        matches!(self, BaseConfig::Mixture { .. })
    }

    /// The names and lengths of its trainable tensors on R^`dim`.
    pub fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        match self {
            BaseConfig::Normal | BaseConfig::Circle | BaseConfig::Interval { .. } => Vec::new(),
            BaseConfig::VonMises { .. } => vec![("log_concentration", dim)],
            BaseConfig::StudentT { .. } => vec![("raw_freedom", dim)],
            BaseConfig::Mixture { components } => {
                vec![("means", components * dim), ("log_scales", components * dim), ("logits", *components)]
            }
        }
    }

    /// The values of those tensors at the start.
    pub(super) fn start(&self, dim: usize, stream: &Stream) -> Vec<Vec<f64>> {
        match self {
            BaseConfig::Normal | BaseConfig::Circle | BaseConfig::Interval { .. } => Vec::new(),
            BaseConfig::VonMises { concentration } => vec![vec![concentration.ln(); dim]],
            BaseConfig::StudentT { freedom } => vec![vec![StudentT::raw(*freedom); dim]],
            BaseConfig::Mixture { components } => {
                // Without draws to be fitted to: round components at random places of a standard normal.
                let mut means = vec![0.0; components * dim];
                stream.normals(0, dim, &mut means);
                vec![means, vec![0.0; components * dim], vec![0.0; *components]]
            }
        }
    }

    /// The values of those tensors fitted to draws (row-major), where this kind of base is.
    pub(super) fn fitted(&self, dim: usize, draws: &[f64], stream: &Stream) -> Option<Vec<Vec<f64>>> {
        match self {
            BaseConfig::Mixture { components } => {
                (draws.len() >= dim).then(|| fit::fit(draws, dim, *components, stream).to_vec())
            }
            _ => None,
        }
    }

    /// The density with these values.
    pub(super) fn build(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Base> {
        match (self, tensors) {
            (BaseConfig::StudentT { .. }, [raw]) => Arc::new(StudentT::new(raw)),
            (BaseConfig::Mixture { .. }, [means, log_scales, logits]) => {
                Arc::new(Mixture::new(dim, means, log_scales, logits))
            }
            (BaseConfig::VonMises { .. }, [raw]) => Arc::new(VonMises::new(raw)),
            (BaseConfig::Circle, _) => Arc::new(Uniform::circle(dim)),
            (BaseConfig::Interval { limit }, _) => Arc::new(Uniform::interval(dim, *limit)),
            _ => Arc::new(Normal { dim }),
        }
    }
}
