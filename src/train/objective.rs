//! What is minimised: a loss and its gradients for one step, from data that the objective owns.

use crate::error::Result;
use crate::flow::Flow;
use crate::params::Parameters;
use dfdx::prelude::*;

/// One evaluation of an objective.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The loss in nats, in the user's units.
    pub loss: f64,
    /// The gradient of each parameter, in the order of the flow's parameters.
    pub gradients: Vec<Vec<f32>>,
    /// ESS/N of the batch, where the objective has importance weights.
    pub ess: Option<f64>,
    /// Rows that the target could not evaluate, or that have density zero.
    pub failed_rows: usize,
}

/// A loss over the parameters of a flow.
pub trait Objective {
    /// The loss and its gradients at step `step`.
    ///
    /// # Errors
    /// If the target asks for the run to stop, or the tensor library fails.
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64) -> Result<Outcome>;

    /// A score on data kept aside, higher is better; none where there is no such data.
    fn validate(&self, _flow: &Flow<f32, Cpu>) -> Option<f64> {
        None
    }
}

/// Runs the backward pass of `loss` and collects the gradients of the flow's parameters.
pub(super) fn gradients_of(
    flow: &Flow<f32, Cpu>,
    loss: Tensor<Rank0, f32, Cpu, OwnedTape<f32, Cpu>>,
) -> Result<Vec<Vec<f32>>> {
    let mut gradients = loss.try_backward()?;
    let tensors = flow.parameters().into_iter();
    tensors.map(|(_, tensor)| Ok(std::mem::take(&mut **gradients.get_or_alloc_mut(tensor)?))).collect()
}
