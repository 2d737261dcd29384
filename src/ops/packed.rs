//! A masked network laid out for few rows: one draw at a time is bound by reading the weights, so every register is full of them.
//!
//! Sums run over the same index in the same order as those of [`super::lanes`], so both give the same bits.

use super::activation::activate;
use super::masked_linear::MaskedLinear;
use super::network::Network;
use super::real::Real;
use super::tile::padded;
use super::weighted::WeightedNetwork;
use std::sync::Arc;

/// The most rows for which this layout is the faster one.
pub const FEW: usize = 8;

/// A [`Network`] with its weights in panels.
#[derive(Debug, Clone)]
pub struct PackedNetwork<E> {
    network: Arc<Network>,
    hidden: Vec<MaskedLinear<E>>,
    output: MaskedLinear<E>,
    skip: Option<MaskedLinear<E>>,
}

impl<E: Real> PackedNetwork<E> {
    /// Lays out the weights of `network`.
    pub fn pack(network: &WeightedNetwork<E>) -> Self {
        let maps = network.maps();
        let pack = |map: &super::weighted::Map<E>| MaskedLinear::pack(map.stairs, map.weights, map.bias);
        Self {
            network: network.network().clone(),
            hidden: maps.hidden.iter().map(pack).collect(),
            output: pack(&maps.output),
            skip: maps.skip.as_ref().map(pack),
        }
    }

    /// Fills the first `rows` lanes of `out` from those of the inputs `x`, both unit-major with `stride` lanes to a unit.
    pub fn forward(&self, rows: usize, x: &[E], stride: usize, buffer: &mut Vec<E>, out: &mut Vec<E>) {
        let network = &*self.network;
        let widths = || std::iter::once(network.inputs()).chain(network.hidden().iter().map(|stairs| stairs.outputs()));
        let total: usize = widths().chain([network.outputs()]).map(|width| rows * padded(width)).sum();
        // What is left of the call before needs no clearing: every layer writes all that is read of it.
        buffer.resize(total, E::ZERO);
        let (input, mut rest) = buffer.split_at_mut(rows * padded(network.inputs()));
        for (row, values) in input.chunks_exact_mut(padded(network.inputs())).enumerate() {
            for (value, lanes) in values.iter_mut().zip(x.chunks_exact(stride)) {
                *value = lanes[row];
            }
        }
        let input = &*input;
        let mut below = input;
        for ((l, map), width) in self.hidden.iter().enumerate().zip(widths().skip(1)) {
            let (h, after) = rest.split_at_mut(rows * padded(width));
            map.forward(rows, below, h, false);
            activate(network.activation(), h, None);
            if network.adds_input(l) {
                h.iter_mut().zip(below).for_each(|(h, &b)| *h += b);
            }
            (below, rest) = (h, after);
        }
        self.output.forward(rows, below, rest, false);
        if let Some(skip) = &self.skip {
            skip.forward(rows, input, rest, true);
        }
        out.resize(network.outputs() * stride, E::ZERO);
        for (row, values) in rest.chunks_exact(padded(network.outputs())).enumerate() {
            for (lanes, &value) in out.chunks_exact_mut(stride).zip(values) {
                lanes[row] = value;
            }
        }
    }
}
