//! Maximum likelihood: the mean negative log density of data, in batches drawn without replacement.

use super::objective::{gradients_of, tensor, weighted_mean};
use super::{Epochs, Objective, Outcome};
use crate::error::Result;
use crate::flow::Flow;
use crate::ops::Rows;
use crate::seed::Stream;
use dfdx::prelude::*;

/// −mean log p(x) over batches of standardised rows.
pub struct MaximumLikelihood {
    dim: usize,
    train: Vec<f32>,
    validation: Vec<f64>,
    epochs: Epochs,
    log_jacobians: [f64; 2],
    weights: [Vec<f64>; 2],
}

impl MaximumLikelihood {
    /// An objective over standardised rows (row-major). `log_jacobians` are the mean log Jacobians of the standardisation over the rows to
    /// fit and to validate, which turn mean log densities into the user's units; `stream` shuffles the epochs.
    pub fn new(
        dim: usize,
        train: &[f64],
        validation: Vec<f64>,
        batch: usize,
        log_jacobians: [f64; 2],
        stream: Stream,
    ) -> Self {
        let train: Vec<f32> = train.iter().map(|&value| value as f32).collect();
        let epochs = Epochs::new(train.len() / dim, batch, stream);
        Self { dim, train, validation, epochs, log_jacobians, weights: Default::default() }
    }

    /// The same with weights of the rows to fit and to validate, each of mean 1 (none: all 1): a batch's loss is −Σ w log p / batch, whose
    /// mean over batches is the weighted mean over the rows.
    pub fn weighted(mut self, train: &[f64], validation: &[f64]) -> Self {
        self.weights = [train.to_vec(), validation.to_vec()];
        self
    }
}

impl Objective for MaximumLikelihood {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let mut rows = Vec::with_capacity(self.epochs.batch() * self.dim);
        let mut weights = Vec::new();
        for row in self.epochs.rows_of(step) {
            weights.extend(self.weights[0].get(row).map(|&weight| weight as f32));
            rows.extend_from_slice(&self.train[row * self.dim..][..self.dim]);
        }
        let x = tensor(flow, (self.epochs.batch(), self.dim), &rows)?;
        let mut log_prob = flow.log_prob(x.leaky_trace())?;
        if !weights.is_empty() {
            let weights: Rows<f32, Cpu> = flow.device().try_tensor_from_vec(weights, (self.epochs.batch(),))?;
            log_prob = log_prob.try_mul(weights)?;
        }
        let loss = log_prob.try_mean::<Rank0, Axis<0>>()?.try_negate()?;
        let value = f64::from(loss.array()) + self.log_jacobians[0];
        gradients_of(flow, loss, gradients)?;
        Ok(Outcome { loss: value, ..Outcome::default() })
    }

    /// The mean log density of the validation rows, in the user's units.
    fn validate(&self, flow: &Flow<f32, Cpu>) -> Option<f64> {
        if self.validation.is_empty() {
            return None;
        }
        let mut log_prob = vec![0.0; self.validation.len() / self.dim];
        flow.freeze::<f32>().log_prob(&self.validation, &mut log_prob);
        Some(weighted_mean(&log_prob, &self.weights[1]) - self.log_jacobians[1])
    }
}
