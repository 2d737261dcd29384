//! The masked autoencoder (Germain et al. 2015): a network whose outputs for a variable depend only on earlier variables.

use super::{Activation, Groups};
use crate::error::Result;
use crate::ops::network::{Network, Role};
use crate::ops::real::Real;
use crate::ops::{Kernels, Rows};
use crate::params::{self, Parameters};
use crate::seed::{open_unit, Stream};
use std::sync::Arc;

/// The shape of a MADE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeConfig {
    /// Widths of the hidden layers; none makes the parameters linear in the variables.
    pub hidden: Vec<usize>,
    /// The non-linearity of the hidden layers.
    pub activation: Activation,
    /// Whether every hidden layer after the first adds its input to its output.
    pub residual: bool,
    /// Whether masked weights lead from the inputs straight to the outputs.
    pub skip: bool,
}

/// A MADE with trainable weights.
#[derive(Debug, Clone)]
pub struct Made<E: Real, D: Kernels<E>> {
    network: Arc<Network>,
    order: Arc<[usize]>,
    tensors: Vec<Rows<E, D>>,
}

impl<E: Real, D: Kernels<E>> Made<E, D> {
    /// A MADE over `groups` with `each` inputs and `per_variable` outputs for each variable, started from `stream`.
    ///
    /// Hidden weights are normal with variance g / fan-in (g = 2 for ReLU, else 1; He et al. 2015), counting only the inputs that the
    /// mask lets a unit see; the output layer starts near zero, so that a flow starts near its base.
    ///
    /// # Errors
    /// If the device cannot hold the weights.
    pub fn new(
        device: &D,
        groups: Groups,
        (each, per_variable): (usize, usize),
        config: &MadeConfig,
        stream: &Stream,
    ) -> Result<Self> {
        let MadeConfig { hidden, activation, residual, skip } = config;
        let network = Arc::new(Network::new(groups.inputs(each), per_variable, hidden, *activation, *residual, *skip));
        let mut tensors = Vec::new();
        for (t, shape) in network.tensors().iter().enumerate() {
            let values = initial_values(&shape.role, shape.len, *activation, stream, t as u64);
            tensors.push(params::tensor(device, values.into_iter().map(E::of).collect())?);
        }
        Ok(Self { network, order: groups.columns.into(), tensors })
    }

    /// Its weights, in the order of [`Network::tensors`].
    pub fn tensors(&self) -> &[Rows<E, D>] {
        &self.tensors
    }

    /// The structure.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The columns in the order of the network's inputs.
    pub fn order(&self) -> &Arc<[usize]> {
        &self.order
    }
}

/// The scale of the output layer at the start: small against 1, but large enough for hidden layers to learn from the first step.
const OUTPUT_SCALE: f64 = 1e-2;

fn initial_values(role: &Role, len: usize, activation: Activation, stream: &Stream, tensor: u64) -> Vec<f64> {
    let mut values = vec![0.0; len];
    match role {
        Role::Hidden(stairs) => {
            // One row of the stream to a tensor would repeat numbers: normals are addressed by (tensor, index).
            stream.normals(tensor << 40, 1, &mut values);
            let gain: f64 = if activation == Activation::Relu { 2.0 } else { 1.0 };
            for j in 0..stairs.outputs() {
                let scale = (gain / stairs.reach(j).max(1) as f64).sqrt();
                values[stairs.offset(j)..][..stairs.reach(j)].iter_mut().for_each(|value| *value *= scale);
            }
        }
        Role::Output => {
            stream.normals(tensor << 40, 1, &mut values);
            let scale = OUTPUT_SCALE / (len as f64).sqrt();
            values.iter_mut().for_each(|value| *value *= scale);
        }
        Role::HiddenBias => {
            // Spread, so that units bend at different places even where they see one variable only.
            let mut rng = stream.row(tensor);
            values.iter_mut().for_each(|value| *value = 2.0 * open_unit(&mut rng) - 1.0);
        }
        Role::OutputBias => {}
    }
    values
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Made<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        self.network.tensors().into_iter().map(|shape| shape.name).zip(&self.tensors).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.tensors.iter_mut().collect()
    }
}
