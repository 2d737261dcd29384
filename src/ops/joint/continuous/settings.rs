//! What a continuous layer is written with.

use super::super::super::ways::{Way, Ways};
use super::super::dormand_prince::{STAGES, STEPS};
use super::super::net::Net;
use super::super::probe::Key;
use super::super::residual::{MOST, MOST_EXACT};
use super::super::settings::is_default;
use super::super::{Formula, FormulaSettings, Kind};
use super::ContinuousLayer;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is written for a continuous layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Continuous {
    /// The widths of the network's hidden layers; none are those of the flow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// The error that one step may make, in parts of 1 + |x|.
    pub tolerance: f64,
    /// How long steps are.
    #[serde(skip_serializing_if = "is_default")]
    pub steps: Steps,
    /// How ∂f/∂x is traced while a likelihood trains it.
    #[serde(skip_serializing_if = "is_default")]
    pub trace: TraceBy,
    /// The weight of ∫ ‖f‖² dt, which is taken off the log-det of a row while a likelihood trains it, …
    #[serde(skip_serializing_if = "is_default")]
    pub kinetic: f64,
    /// … and that of ∫ ‖∂f/∂x‖² dt, the sum of the squares of all entries (Finlay et al. 2020).
    #[serde(skip_serializing_if = "is_default")]
    pub jacobian: f64,
}

impl Default for Continuous {
    fn default() -> Self {
        let (steps, trace) = (Steps::Adaptive, TraceBy::Auto);
        Self { hidden: Vec::new(), tolerance: 1e-6, steps, trace, kinetic: 0.0, jacobian: 0.0 }
    }
}

/// How long steps are.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Steps {
    /// As long as each row can bear.
    #[default]
    Adaptive,
    /// So many, all of one length.
    Fixed(usize),
}

/// How a trace is found.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum TraceBy {
    /// `Exact` for at most 64 variables, `Hutchinson` for more.
    #[default]
    Auto,
    /// From the whole Jacobian.
    Exact,
    /// vᵀ (∂f/∂x) v with a sign v for each variable, one probe for each row's way (Hutchinson 1989; Grathwohl et al. 2019): right in the mean.
    Hutchinson,
}

impl Continuous {
    fn sizes(&self, dim: usize) -> Vec<usize> {
        [dim + 1].into_iter().chain(self.hidden.iter().copied()).chain([dim]).collect()
    }

    /// Whether the trace is an estimate while a likelihood trains the layer.
    fn estimates(&self, dim: usize) -> bool {
        match self.trace {
            TraceBy::Auto => dim > MOST_EXACT,
            TraceBy::Exact => false,
            TraceBy::Hutchinson => true,
        }
    }

    /// The layer with these values.
    pub(super) fn layer(&self, dim: usize, tensors: &[Vec<f64>]) -> ContinuousLayer {
        let key = self.estimates(dim).then(|| Key::of(tensors.iter().flatten()));
        let penalties = [self.kinetic, self.jacobian];
        let net = Net::new(self.sizes(dim), tensors);
        ContinuousLayer { net, dim, tolerance: self.tolerance, steps: self.steps, key, penalties }
    }
}

impl FormulaSettings for Continuous {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        Net::tensors(&self.sizes(dim))
    }

    fn starts(&self, dim: usize) -> Vec<f64> {
        Net::starts(&self.sizes(dim))
    }

    fn fault(&self, dim: usize) -> Option<String> {
        if !(1e-14..=0.1).contains(&self.tolerance) {
            return Some(format!("tolerance is {}; a number from 1e-14 to 0.1 is right", self.tolerance));
        }
        if let Steps::Fixed(steps) = self.steps {
            if !(1..=STEPS).contains(&steps) {
                return Some(format!("steps is Fixed({steps}); 1 to {STEPS} is right"));
            }
        }
        for (name, weight) in [("kinetic", self.kinetic), ("jacobian", self.jacobian)] {
            if !(0.0..=1e3).contains(&weight) {
                return Some(format!("{name} is {weight}; a number from 0 to 1000 is right"));
            }
        }
        let most = if self.trace == TraceBy::Exact { MOST_EXACT } else { MOST };
        let of_dim = || {
            (dim > most).then(|| {
                format!(
                    "the dimension is {dim}; a continuous layer takes at most {MOST}, and {MOST_EXACT} with `trace: Exact`"
                )
            })
        };
        Net::fault(&self.hidden).or_else(of_dim)
    }

    fn multiplications(&self, dim: usize) -> usize {
        let weights: usize = self.sizes(dim).windows(2).map(|pair| pair[0] * pair[1]).sum();
        let steps = if let Steps::Fixed(steps) = self.steps { steps } else { 10 };
        let directions = if self.estimates(dim) { 1 } else { dim };
        steps * STAGES * weights * (directions + 1)
    }

    fn ways(&self) -> Ways {
        let solved = Way { steps: 1, solved: true };
        Ways { there: solved, back: solved }
    }

    fn within(&self, hidden: &[usize]) -> Kind {
        let hidden = if self.hidden.is_empty() { hidden.to_vec() } else { self.hidden.clone() };
        Kind::Continuous(Self { hidden, ..self.clone() })
    }

    fn exact(&self) -> Kind {
        Kind::Continuous(Self { trace: TraceBy::Exact, kinetic: 0.0, jacobian: 0.0, ..self.clone() })
    }

    fn formula(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Formula> {
        Arc::new(self.layer(dim, tensors))
    }
}
