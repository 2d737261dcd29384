//! Reverse KL against an unnormalized target, which may be a frozen teacher.

use super::objective::{gradients_of, tensor};
use super::{Objective, Outcome};
use crate::error::{Error, Result};
use crate::flow::{Flow, Standardisation};
use crate::seed::Stream;
use crate::target::{evaluate_in_pieces, Density, Faults};
use dfdx::prelude::*;

/// E_q[log q(x) − log γ(x)] over fresh draws x of the flow, which is KL(q ‖ γ/Z) − log Z.
///
/// Only the value and the gradient of log γ are asked for: the surrogate −x·∇log γ(x), with the gradient held fixed, has the
/// parameter gradient of −log γ(x).
pub struct ReverseKl<'a> {
    target: &'a dyn Density,
    standardisation: Standardisation,
    batch: usize,
    stream: Stream,
}

impl<'a> ReverseKl<'a> {
    /// An objective for a flow over coordinates standardised so; `stream` gives the noise, row by row.
    pub fn new(target: &'a dyn Density, standardisation: Standardisation, batch: usize, stream: Stream) -> Self {
        Self { target, standardisation, batch, stream }
    }
}

impl Objective for ReverseKl<'_> {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let (batch, dim) = (self.batch, flow.dim());
        let width = flow.noise_width();
        let mut noise = vec![0.0; batch * width];
        self.stream.normals(step * batch as u64, width, &mut noise);
        let strata = flow.base().strata(batch);
        if let Some(strata) = &strata {
            strata.fix(&mut noise, width);
        }
        let single: Vec<f32> = noise.iter().map(|&z| z as f32).collect();
        let noise = tensor(flow, (batch, width), &single)?;
        let (x, log_q) = flow.push(noise.leaky_trace())?;

        let z: Vec<f64> = values_of(&x).into_iter().map(f64::from).collect();
        let (mut points, mut log_jacobian) = (z.clone(), vec![0.0; batch]);
        self.standardisation.undo(&mut points, &mut log_jacobian);
        let (mut values, mut slopes) = (vec![0.0; batch], vec![0.0; batch * dim]);
        let mut faults = Faults::default();
        evaluate_in_pieces(self.target, &points, &mut values, Some(&mut slopes), &mut faults)
            .map_err(|fatal| Error::Target(fatal.0))?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);

        // A row that failed or has density zero keeps its place in the batch but adds no gradient.
        self.standardisation.pull_back(&z, &mut slopes);
        let mut shares = match &strata {
            None => vec![1.0 / batch as f32; batch],
            Some(strata) => strata.shares().iter().map(|&share| share as f32).collect(),
        };
        let mut pull = Vec::with_capacity(batch * dim);
        let mut usable = 0;
        for (row, gradient) in slopes.chunks_exact(dim).enumerate() {
            if values[row].is_finite() && gradient.iter().all(|g| g.is_finite()) {
                usable += 1;
                pull.extend(gradient.iter().map(|g| -(*g as f32) * shares[row]));
            } else {
                shares[row] = 0.0;
                pull.extend(std::iter::repeat_n(0.0, dim));
            }
        }
        if usable == 0 {
            let reason = faults.reason().unwrap_or("the density is zero, or its gradient is not finite");
            return Err(Error::Target(format!("none of the {batch} draws of step {step} could be used: {reason}")));
        }
        let log_q_values =
            values_of(&log_q).into_iter().zip(log_jacobian).map(|(q, log_jacobian)| f64::from(q) - log_jacobian);
        let log_weights: Vec<f64> = values.iter().zip(log_q_values).map(|(value, q)| value - q).collect();
        let used = || log_weights.iter().zip(&shares).filter(|(_, &share)| share > 0.0);
        let loss_value = match &strata {
            None => -used().map(|(w, _)| *w).sum::<f64>() / usable as f64,
            Some(_) => {
                let total: f64 = used().map(|(_, share)| f64::from(*share)).sum();
                -used().map(|(w, share)| w * f64::from(*share)).sum::<f64>() / total
            }
        };
        let losses: Vec<f64> =
            log_weights.iter().zip(&shares).map(|(w, &share)| if share > 0.0 { -w } else { f64::NAN }).collect();

        let shares = tensor(flow, (batch,), &shares)?;
        let pull = tensor(flow, (batch, dim), &pull)?;
        let entropy = log_q.try_mul(shares)?.try_sum::<Rank0, Axis<0>>()?;
        let energy = x.try_mul(pull)?.try_sum::<Rank0, Axes2<0, 1>>()?;
        gradients_of(flow, energy.try_add(entropy)?, gradients)?;
        // The logits are the last tensor of a base that has strata.
        if let (Some(strata), Some(logits)) = (&strata, gradients.last_mut()) {
            strata.add_gradient(&losses, logits);
        }
        let ess = Some(batch_ess(&log_weights));
        Ok(Outcome { loss: loss_value, ess, failed_rows: batch - usable })
    }
}

/// (Σw)² / (N Σw²) of one batch, for the progress line only; results are scored on fresh draws in `evaluate`.
fn batch_ess(log_weights: &[f64]) -> f64 {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (sum, squares) = log_weights
        .iter()
        .map(|log_w| (log_w - largest).exp())
        .filter(|w| w.is_finite())
        .fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    sum * sum / (log_weights.len() as f64 * squares)
}

/// The values of a tensor that an op has just made, and that lie in order.
fn values_of<S: Shape, T: Tape<f32, Cpu>>(tensor: &Tensor<S, f32, Cpu, T>) -> Vec<f32> {
    let mut values = vec![0.0; tensor.shape().num_elements()];
    tensor.copy_into(&mut values);
    values
}
