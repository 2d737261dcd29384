//! One sweep through the variables in degree order, using every weight once: what inverts an autoregressive map.
//!
//! When variable `i` has become known, the hidden units of degree `i + 1` can be computed, and they are never touched again;
//! then the outputs of variable `i + 1` are complete. A whole inverse so costs the arithmetic of one forward pass, where
//! one pass for each variable (the usual way) costs `dim` of them.

use super::activation::activate;
use super::network::Network;
use super::real::Real;
use super::tile::{accumulate, padded, Left, Right, Start, PANEL};
use std::sync::Arc;

/// A [`Network`] with flat weights, for sweeps. Buffers are unit-major: the lanes (rows of the batch) of a unit lie together.
#[derive(Debug, Clone)]
pub struct SequentialNetwork<E> {
    network: Arc<Network>,
    tensors: Vec<Vec<E>>,
}

impl<E: Real> SequentialNetwork<E> {
    /// Takes the tensors of [`Network::tensors`], in that order.
    pub fn new(network: &Arc<Network>, tensors: &[&[E]]) -> Self {
        Self { network: network.clone(), tensors: tensors.iter().map(|tensor| tensor.to_vec()).collect() }
    }

    /// Calls `solve(i, parameters, x)` for each variable in degree order: `parameters` holds its `per_variable` × lanes outputs and
    /// `x` its lanes, which `solve` fills. Returns x, variable-major, `padded(lanes)` lanes to a variable.
    pub fn sweep(&self, lanes: usize, mut solve: impl FnMut(usize, &[E], &mut [E])) -> Vec<E> {
        let network = &*self.network;
        let stride = padded(lanes);
        let layers = network.hidden().len();
        let mut x = vec![E::ZERO; network.inputs() * stride];
        let mut hidden: Vec<Vec<E>> =
            network.hidden().iter().map(|stairs| vec![E::ZERO; stairs.outputs() * stride]).collect();
        let mut parameters = vec![E::ZERO; network.per_variable() * stride];
        // The output layer's weight is absent when there is nothing that it could see.
        let has_output = network.output().weights() > 0;
        let output_bias = &self.tensors[2 * layers + usize::from(has_output)];

        for variable in 0..network.inputs() {
            let outputs = variable * network.per_variable()..(variable + 1) * network.per_variable();
            spread(&output_bias[outputs.clone()], stride, &mut parameters);
            if has_output {
                let below = hidden.last().unwrap_or(&x);
                let stairs = network.output();
                product(&self.tensors[2 * layers], stairs, outputs.clone(), below, stride, &mut parameters);
            }
            if let Some(stairs) = network.skip() {
                product(&self.tensors[2 * layers + 2], stairs, outputs, &x, stride, &mut parameters);
            }
            solve(variable, &parameters, &mut x[variable * stride..(variable + 1) * stride]);

            for l in 0..layers {
                let units = network.units_of_degree(l, variable + 1);
                if units.is_empty() {
                    continue;
                }
                let (below, above) = hidden.split_at_mut(l);
                let below = below.last().unwrap_or(&x);
                let lanes_of = units.start * stride..units.end * stride;
                let z = &mut above[0][lanes_of.clone()];
                spread(&self.tensors[2 * l + 1][units.clone()], stride, z);
                product(&self.tensors[2 * l], &network.hidden()[l], units, below, stride, z);
                activate(network.activation(), z, None);
                if network.adds_input(l) {
                    for (z, &b) in z.iter_mut().zip(&below[lanes_of]) {
                        *z += b;
                    }
                }
            }
        }
        x
    }
}

/// Gives every lane of a unit its bias.
fn spread<E: Real>(bias: &[E], stride: usize, out: &mut [E]) {
    for (lanes, &b) in out.chunks_exact_mut(stride).zip(bias) {
        lanes.fill(b);
    }
}

/// Adds W · below for a range of outputs that all see the same inputs.
fn product<E: Real>(
    weights: &[E],
    stairs: &super::staircase::Staircase,
    outputs: std::ops::Range<usize>,
    below: &[E],
    stride: usize,
    out: &mut [E],
) {
    let reach = stairs.reach(outputs.start);
    debug_assert!(outputs.clone().all(|j| stairs.reach(j) == reach));
    if reach == 0 {
        return;
    }
    let left = Left { values: &weights[stairs.offset(outputs.start)..], row_stride: reach, step_stride: 1 };
    for lane in (0..stride).step_by(PANEL) {
        let right = Right { values: &below[lane..], step_stride: stride };
        accumulate(outputs.len(), reach, left, right, Start::Output, &mut out[lane..], stride);
    }
}
