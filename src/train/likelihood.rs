//! Maximum likelihood: the mean negative log density of data, in batches drawn without replacement.

use super::objective::{gradients_of, tensor};
use super::{Objective, Outcome};
use crate::error::Result;
use crate::flow::Flow;
use crate::seed::{open_unit, Stream};
use dfdx::prelude::*;

/// −mean log p(x) over batches of standardised rows.
pub struct MaximumLikelihood {
    dim: usize,
    train: Vec<f32>,
    validation: Vec<f64>,
    batch: usize,
    log_jacobians: [f64; 2],
    stream: Stream,
    epoch: Option<u64>,
    permutation: Vec<u32>,
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
        let rows = train.len() / dim;
        let permutation = (0..rows as u32).collect();
        Self { dim, train, validation, batch: batch.min(rows), log_jacobians, stream, epoch: None, permutation }
    }

    /// The number of steps that see each row once.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.permutation.len() / self.batch) as u64
    }

    /// Shuffles for `epoch` (Fisher and Yates), from the identity, so that an epoch's order does not depend on those before.
    fn shuffle(&mut self, epoch: u64) {
        let mut rng = self.stream.row(epoch);
        let rows = self.permutation.len();
        self.permutation.iter_mut().zip(0..).for_each(|(place, row)| *place = row);
        for last in (1..rows).rev() {
            let pick = (open_unit(&mut rng) * (last + 1) as f64) as usize;
            self.permutation.swap(last, pick.min(last));
        }
        self.epoch = Some(epoch);
    }
}

impl Objective for MaximumLikelihood {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let (epoch, part) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        if self.epoch != Some(epoch) {
            self.shuffle(epoch);
        }
        let mut rows = Vec::with_capacity(self.batch * self.dim);
        for &row in &self.permutation[part * self.batch..(part + 1) * self.batch] {
            rows.extend_from_slice(&self.train[row as usize * self.dim..][..self.dim]);
        }
        let x = tensor(flow, (self.batch, self.dim), &rows)?;
        let log_prob = flow.log_prob(x.leaky_trace())?;
        let loss = log_prob.try_mean::<Rank0, Axis<0>>()?.try_negate()?;
        let value = f64::from(loss.array()) + self.log_jacobians[0];
        gradients_of(flow, loss, gradients)?;
        Ok(Outcome { loss: value, ess: None, failed_rows: 0 })
    }

    /// The mean log density of the validation rows, in the user's units.
    fn validate(&self, flow: &Flow<f32, Cpu>) -> Option<f64> {
        if self.validation.is_empty() {
            return None;
        }
        let mut log_prob = vec![0.0; self.validation.len() / self.dim];
        flow.freeze::<f32>().log_prob(&self.validation, &mut log_prob);
        Some(log_prob.iter().sum::<f64>() / log_prob.len() as f64 - self.log_jacobians[1])
    }
}
