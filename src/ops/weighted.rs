//! A masked network with its weights, on slices: forward and backward pass over a chunk of rows, and the sequential sweep.

use super::activation::{activate, Activation};
use super::elementwise::{add, keep_where_positive, multiply};
use super::lanes::{self, forward, Start};
use super::network::Network;
use super::real::Real;
use super::staircase::Staircase;
use super::weight_gradient::{self, Part, Shared, BLOCK};
use std::ops::Range;
use std::sync::Arc;

/// A [`Network`] with weights. All buffers are unit-major: `stride` lanes to a unit.
#[derive(Debug, Clone)]
pub struct WeightedNetwork<E> {
    network: Arc<Network>,
    tensors: Vec<Vec<E>>,
}

/// What a forward pass leaves behind.
#[derive(Debug, Clone, Default)]
pub struct Trace<E> {
    /// The outputs, variable-major.
    pub out: Vec<E>,
    pub(super) hidden: Vec<Vec<E>>,
    pub(super) slopes: Vec<Vec<E>>,
}

/// What a backward pass leaves for the gradients of the weights.
#[derive(Debug, Clone, Default)]
pub struct Gradients<E> {
    /// The gradient at the outputs: to be filled before the backward pass.
    pub out: Vec<E>,
    /// The gradients at the pre-activations.
    pub(super) hidden: Vec<Vec<E>>,
    /// Whether nobody will ask for the gradients of the weights.
    pub(super) idle: bool,
}

/// Buffers of a backward pass that can be used again for the next.
#[derive(Debug, Clone, Default)]
pub struct Scratch<E> {
    pub(super) gradient: Vec<E>,
    pub(super) below: Vec<E>,
}

/// Empties a buffer and fills it with `len` zeros, without giving its memory back.
pub fn reset<E: Real>(buffer: &mut Vec<E>, len: usize) {
    buffer.clear();
    buffer.resize(len, E::ZERO);
}

/// One masked linear map of a network.
pub struct Map<'a, E> {
    /// Its mask.
    pub stairs: &'a Arc<Staircase>,
    /// Its unmasked weights.
    pub weights: &'a [E],
    /// Its bias; empty if it has none.
    pub bias: &'a [E],
    /// The places of weights and bias in the list of [`Network::tensors`], where they are in it.
    places: [Option<usize>; 2],
}

/// All maps of a network.
pub struct Maps<'a, E> {
    /// Those of the hidden layers.
    pub hidden: Vec<Map<'a, E>>,
    /// That of the output layer.
    pub output: Map<'a, E>,
    /// The one from the inputs straight to the outputs.
    pub skip: Option<Map<'a, E>>,
}

impl<E: Real> WeightedNetwork<E> {
    /// Takes the tensors of [`Network::tensors`], in that order.
    ///
    /// # Panics
    /// If they are not as many or as long as the network lists.
    pub fn new(network: &Arc<Network>, tensors: Vec<Vec<E>>) -> Self {
        assert!(tensors.iter().map(Vec::len).eq(network.tensors().iter().map(|tensor| tensor.len)));
        Self { network: network.clone(), tensors }
    }

    /// The structure.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The weights, in the order of [`Network::tensors`].
    pub fn tensors(&self) -> &[Vec<E>] {
        &self.tensors
    }

    /// The weights, to be overwritten by others of the same lengths.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut [E]> {
        self.tensors.iter_mut().map(Vec::as_mut_slice)
    }

    /// Gives the weights back.
    pub fn into_tensors(self) -> Vec<Vec<E>> {
        self.tensors
    }

    /// Its linear maps.
    pub fn maps(&self) -> Maps<'_, E> {
        let hidden = (0..self.network.hidden().len()).map(|l| self.hidden_map(l)).collect();
        Maps { hidden, output: self.output_map(), skip: self.skip_map() }
    }

    pub(super) fn hidden_map(&self, l: usize) -> Map<'_, E> {
        Map {
            stairs: &self.network.hidden()[l],
            weights: &self.tensors[2 * l],
            bias: &self.tensors[2 * l + 1],
            places: [Some(2 * l), Some(2 * l + 1)],
        }
    }

    pub(super) fn output_map(&self) -> Map<'_, E> {
        // The weight is not in the list when there is nothing that it could see.
        let stairs = self.network.output();
        let first = 2 * self.network.hidden().len();
        let weight = (stairs.weights() > 0).then_some(first);
        let bias = first + usize::from(weight.is_some());
        let weights = weight.map_or(&[][..], |weight| &self.tensors[weight]);
        Map { stairs, weights, bias: &self.tensors[bias], places: [weight, Some(bias)] }
    }

    pub(super) fn skip_map(&self) -> Option<Map<'_, E>> {
        let last = self.tensors.len() - 1;
        self.network.skip().map(|stairs| Map {
            stairs,
            weights: &self.tensors[last],
            bias: &[],
            places: [Some(last), None],
        })
    }

    /// Whether the slopes of hidden layer `l` can be read off its values.
    pub(super) fn slopes_are_signs(&self, l: usize) -> bool {
        self.network.activation() == Activation::Relu && !self.network.adds_input(l)
    }

    /// Fills `trace.out` at inputs `x` in degree order; with room for a backward pass if `record`.
    pub fn forward(&self, x: &[E], stride: usize, trace: &mut Trace<E>, record: bool) {
        let Trace { out, hidden, slopes, .. } = trace;
        let layers = self.network.hidden().len();
        hidden.resize_with(layers, Vec::new);
        slopes.resize_with(if record { layers } else { 0 }, Vec::new);
        for l in 0..layers {
            let (below, above) = hidden.split_at_mut(l);
            let input = below.last().map_or(x, Vec::as_slice);
            let map = self.hidden_map(l);
            let (h, outputs) = (&mut above[0], map.stairs.outputs());
            h.resize(outputs * stride, E::ZERO);
            forward(map.stairs, map.weights, Start::Bias(map.bias), 0..outputs, input, stride, h);
            if record && !self.slopes_are_signs(l) {
                slopes[l].resize(h.len(), E::ZERO);
                activate(self.network.activation(), h, Some(&mut slopes[l]));
            } else {
                activate(self.network.activation(), h, None);
            }
            if self.network.adds_input(l) {
                add(input, h);
            }
        }
        let map = self.output_map();
        let outputs = map.stairs.outputs();
        out.resize(outputs * stride, E::ZERO);
        let last = hidden.last().map_or(x, Vec::as_slice);
        forward(map.stairs, map.weights, Start::Bias(map.bias), 0..outputs, last, stride, out);
        if let Some(map) = self.skip_map() {
            forward(map.stairs, map.weights, Start::Output, 0..outputs, x, stride, out);
        }
    }

    /// Adds the gradient of the inputs to `d_x`, given that of the outputs in `gradients` and the trace of a recorded forward pass;
    /// fills the rest of `gradients`.
    pub fn backward(
        &self,
        trace: &Trace<E>,
        gradients: &mut Gradients<E>,
        stride: usize,
        d_x: &mut [E],
        scratch: &mut Scratch<E>,
    ) {
        let Scratch { gradient, below } = scratch;
        let Trace { hidden, slopes, .. } = trace;
        let Gradients { out: d_out, hidden: d_hidden, .. } = gradients;
        if let Some(map) = self.skip_map() {
            lanes::input_gradient(map.stairs, map.weights, d_out, stride, d_x);
        }
        let map = self.output_map();
        let Some(last) = hidden.len().checked_sub(1) else {
            lanes::input_gradient(map.stairs, map.weights, d_out, stride, d_x);
            return;
        };
        d_hidden.resize_with(hidden.len(), Vec::new);
        reset(gradient, map.stairs.inputs() * stride);
        lanes::input_gradient(map.stairs, map.weights, d_out, stride, gradient);
        for l in (0..=last).rev() {
            let map = self.hidden_map(l);
            // With a residual the gradient also goes straight down.
            below.clear();
            if self.network.adds_input(l) {
                below.extend_from_slice(gradient);
            } else if l > 0 {
                below.resize(map.stairs.inputs() * stride, E::ZERO);
            }
            let d_z = &mut d_hidden[l];
            std::mem::swap(d_z, gradient);
            if self.slopes_are_signs(l) {
                keep_where_positive(&hidden[l], d_z);
            } else {
                multiply(&slopes[l], d_z);
            }
            if l == 0 {
                lanes::input_gradient(map.stairs, map.weights, d_z, stride, d_x);
            } else {
                lanes::input_gradient(map.stairs, map.weights, d_z, stride, below);
                std::mem::swap(gradient, below);
            }
        }
    }

    /// The jobs of which the weight gradients are made: a map, counted through the hidden layers, the output layer and the skip, and a
    /// block of its inputs.
    pub fn gradient_jobs(&self) -> Vec<(usize, usize)> {
        let Maps { hidden, output, skip } = self.maps();
        let maps = hidden.iter().chain([&output]).chain(&skip);
        let blocks = maps.map(|map| map.stairs.seen().div_ceil(BLOCK).max(1));
        blocks.enumerate().flat_map(|(m, blocks)| (0..blocks).map(move |block| (m, block))).collect()
    }

    /// Adds the gradients that belong to one of [`WeightedNetwork::gradient_jobs`], summed over the rows of all `passes` (number of rows,
    /// lanes, inputs, trace, gradients after a backward pass), to `tensors`, which are those of the tensors.
    ///
    /// # Safety
    /// No two calls for the same job may overlap in time.
    pub unsafe fn add_weight_gradients<'a>(
        &self,
        (m, block): (usize, usize),
        passes: impl Iterator<Item = (usize, usize, &'a [E], &'a Trace<E>, &'a Gradients<E>)>,
        tensors: &[Shared<'_, E>],
        buffer: &mut Vec<E>,
    ) {
        let layers = self.network.hidden().len();
        let (map, below) = match m {
            m if m < layers => (self.hidden_map(m), m.checked_sub(1)),
            m if m == layers => (self.output_map(), m.checked_sub(1)),
            _ => (self.skip_map().expect("a job of a network with a skip"), None),
        };
        let parts: Vec<Part<E>> = passes
            .map(|(rows, stride, x, trace, gradients)| {
                let x = below.map_or(x, |l| &trace.hidden[l]);
                let dy = if m < layers { &gradients.hidden[m] } else { &gradients.out };
                Part { rows, stride, x, dy }
            })
            .collect();
        // SAFETY: the caller's promise; and the bias belongs to the job of block 0.
        unsafe {
            if let Some(place) = map.places[0] {
                weight_gradient::add_block(map.stairs, block, &parts, &tensors[place], buffer);
            }
            if let (Some(place), 0) = (map.places[1], block) {
                weight_gradient::add_row_sums(&parts, &tensors[place]);
            }
        }
    }

    /// One sweep through the groups in degree order, using every weight once: what inverts an autoregressive map. Inputs that are given are
    /// in `x` already.
    ///
    /// When a group has become known, the hidden units of its degree can be computed, and they are never touched again;
    /// then the outputs of the next group are complete. A whole inverse so costs the arithmetic of one forward pass, where one
    /// pass for each group (the usual way) costs as many of them.
    ///
    /// Calls `solve(columns, parameters, x)` for each group in degree order: `parameters` holds the outputs of these columns, and `solve` fills
    /// the lanes `x` of their inputs. The trace is that of a forward pass at the `x` found; with room for a backward pass if `record`.
    pub fn sweep(
        &self,
        x: &mut [E],
        stride: usize,
        trace: &mut Trace<E>,
        record: bool,
        mut solve: impl FnMut(Range<usize>, &[E], &mut [E]),
    ) {
        let network = &*self.network;
        let Trace { out, hidden, slopes } = trace;
        let layers = network.hidden().len();
        hidden.resize_with(layers, Vec::new);
        slopes.resize_with(if record { layers } else { 0 }, Vec::new);
        for (l, (h, stairs)) in hidden.iter_mut().zip(network.hidden()).enumerate() {
            h.resize(stairs.outputs() * stride, E::ZERO);
            if record && !self.slopes_are_signs(l) {
                slopes[l].resize(h.len(), E::ZERO);
            }
        }
        out.resize(network.outputs() * stride, E::ZERO);
        let (output, skip) = (self.output_map(), self.skip_map());
        for degree in 0..=network.groups() {
            if degree > 0 {
                let variables = network.columns_of(degree - 1);
                let outputs = network.outputs_of(&variables);
                let parameters = &mut out[outputs.start * stride..outputs.end * stride];
                let last = hidden.last().map_or(&*x, Vec::as_slice);
                let start = Start::Bias(output.bias);
                forward(output.stairs, output.weights, start, outputs.clone(), last, stride, parameters);
                if let Some(map) = &skip {
                    forward(map.stairs, map.weights, Start::Output, outputs, x, stride, parameters);
                }
                let inputs = network.inputs_of(&variables);
                let lanes = inputs.start * stride..inputs.end * stride;
                solve(variables, parameters, &mut x[lanes]);
            }
            for l in 0..layers {
                let units = network.units_of_degree(l, degree);
                if units.is_empty() {
                    continue;
                }
                let (below, above) = hidden.split_at_mut(l);
                let below = below.last().map_or(&*x, Vec::as_slice);
                let places = units.start * stride..units.end * stride;
                let (z, map) = (&mut above[0][places.clone()], self.hidden_map(l));
                forward(map.stairs, map.weights, Start::Bias(map.bias), units, below, stride, z);
                let slopes = (record && !self.slopes_are_signs(l)).then(|| &mut slopes[l][places.clone()]);
                activate(network.activation(), z, slopes);
                if network.adds_input(l) {
                    add(&below[places], z);
                }
            }
        }
    }
}
