//! What is minimised: a loss and its gradients for one step, from data that the objective owns.

use super::Agreement;
use crate::error::Result;
use crate::flow::Flow;
use crate::params::{Parameters, Parts};
use dfdx::prelude::*;

/// One evaluation of an objective.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The loss in nats, in the user's units.
    pub loss: f64,
    /// ESS/N of the batch, where the objective has importance weights.
    pub ess: Option<f64>,
    /// Rows that the target could not evaluate, or that have density zero.
    pub failed_rows: usize,
    /// The inverse temperature of an annealed target.
    pub beta: Option<f64>,
    /// Wall-clock time that the target took of it.
    pub target_seconds: f64,
    /// Why no row of the batch could be used, if none could; the loss is not a number then.
    pub refused: Option<String>,
}

/// A loss over the parameters of a flow.
pub trait Objective {
    /// The loss at step `step`; fills `gradients`, which come with the lengths of the flow's parameters and in their order.
    ///
    /// # Errors
    /// If the target asks for the run to stop, or the tensor library fails.
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome>;

    /// A score on data kept aside, higher is better; none where there is no such data.
    fn validate(&self, _flow: &Flow<f32, Cpu>) -> Option<f64> {
        None
    }

    /// From step `step` on, batches of `batch` rows; without effect where batches are parts of given rows.
    fn widen(&mut self, _step: u64, _batch: usize) {}

    /// How `rows` fresh draws agree with the density that is trained against, others for each `look` (of at most
    /// [`LOOK_ROWS`](super::LOOK_ROWS) rows); none where it cannot be evaluated.
    ///
    /// # Errors
    /// As [`Objective::evaluate`].
    fn agreement(&mut self, _flow: &Flow<f32, Cpu>, _look: u64, _rows: usize) -> Result<Option<Agreement>> {
        Ok(None)
    }

    /// Puts what later steps depend on besides their number and the weights into `parts`, under names that begin with `under`.
    fn keep(&self, _under: &str, _parts: &mut Parts) {}

    /// Goes on from what [`Objective::keep`] put there.
    ///
    /// # Errors
    /// If it is not there.
    fn go_on(&mut self, _under: &str, _parts: &Parts) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// Runs the backward pass of `loss` and exchanges the gradients of the flow's parameters for the buffers in `gradients`.
pub(super) fn gradients_of(
    flow: &Flow<f32, Cpu>,
    loss: Tensor<Rank0, f32, Cpu, OwnedTape<f32, Cpu>>,
    gradients: &mut [Vec<f32>],
) -> Result<()> {
    let mut found = loss.try_backward()?;
    for ((_, tensor), gradient) in flow.parameters().into_iter().zip(gradients) {
        std::mem::swap(&mut **found.get_or_alloc_mut(tensor)?, gradient);
    }
    Ok(())
}

/// A tensor with these values, in memory that the device keeps for its like.
pub(super) fn tensor<S: Shape>(flow: &Flow<f32, Cpu>, shape: S, values: &[f32]) -> Result<Tensor<S, f32, Cpu>> {
    let mut tensor = flow.device().try_zeros_like(&shape)?;
    tensor.copy_from(values);
    Ok(tensor)
}

/// The mean of `values` by their `weights`; no weights at all are equal ones.
pub fn weighted_mean(values: &[f64], weights: &[f64]) -> f64 {
    if weights.is_empty() {
        return values.iter().sum::<f64>() / values.len() as f64;
    }
    values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / weights.iter().sum::<f64>()
}
