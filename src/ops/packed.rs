//! A masked network with its weights laid out for the kernels: forward and backward pass over a chunk of rows, on slices.

use super::activation::activate;
use super::chunks::SERIAL_BELOW;
use super::masked_linear::MaskedLinear;
use super::network::Network;
use super::real::Real;
use super::staircase::Staircase;
use super::tile::padded;
use rayon::prelude::*;
use std::sync::Arc;

/// A [`Network`] with weights.
#[derive(Debug, Clone)]
pub struct PackedNetwork<E> {
    network: Arc<Network>,
    hidden: Vec<MaskedLinear<E>>,
    output: MaskedLinear<E>,
    skip: Option<MaskedLinear<E>>,
}

/// What one pass over a chunk of rows leaves behind; all buffers have rows padded to whole panels.
#[derive(Debug, Clone, Default)]
pub struct Trace<E> {
    rows: usize,
    /// The inputs, in degree order.
    pub x: Vec<E>,
    /// The outputs, variable-major.
    pub out: Vec<E>,
    hidden: Vec<Vec<E>>,
    /// The slopes of the activations; after the backward pass, the gradients of the pre-activations.
    slopes: Vec<Vec<E>>,
    /// The gradient of the outputs: to be filled before the backward pass.
    pub d_out: Vec<E>,
    /// The gradient of the inputs: filled by the backward pass.
    pub d_x: Vec<E>,
}

impl<E: Real> Trace<E> {
    /// Empty buffers for `rows` rows of `network`; with room for a backward pass if `record`.
    pub fn new(network: &Network, rows: usize, record: bool) -> Self {
        let buffer = |width: usize| vec![E::ZERO; rows * padded(width)];
        let layers = || network.hidden().iter().map(|stairs| buffer(stairs.outputs())).collect();
        Self {
            rows,
            x: buffer(network.inputs()),
            out: buffer(network.outputs()),
            hidden: layers(),
            slopes: if record { layers() } else { Vec::new() },
            d_out: if record { buffer(network.outputs()) } else { Vec::new() },
            d_x: if record { buffer(network.inputs()) } else { Vec::new() },
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl<E: Real> PackedNetwork<E> {
    /// Lays out the tensors of [`Network::tensors`], in that order.
    pub fn pack(network: &Arc<Network>, tensors: &[&[E]], for_gradients: bool) -> Self {
        let mut rest = tensors.iter();
        let mut next = |len: usize| -> &[E] {
            // Tensors without values are not in the list.
            let tensor: &[E] = if len == 0 { &[] } else { rest.next().expect("as many tensors as the network lists") };
            assert_eq!(tensor.len(), len);
            tensor
        };
        let mut map = |stairs: &Arc<Staircase>, bias: bool| {
            let weights = next(stairs.weights());
            let bias = bias.then(|| next(stairs.outputs()));
            MaskedLinear::pack(stairs, weights, bias, for_gradients)
        };
        let hidden = network.hidden().iter().map(|stairs| map(stairs, true)).collect();
        let output = map(network.output(), true);
        let skip = network.skip().map(|stairs| map(stairs, false));
        Self { network: network.clone(), hidden, output, skip }
    }

    /// The structure.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Fills `trace.out` from `trace.x`.
    pub fn forward(&self, trace: &mut Trace<E>) {
        let Trace { rows, x, out, hidden, slopes, .. } = trace;
        for (l, map) in self.hidden.iter().enumerate() {
            let (below, above) = hidden.split_at_mut(l);
            let input = below.last().unwrap_or(x);
            map.forward(*rows, input, &mut above[0], false);
            activate(self.network.activation(), &mut above[0], slopes.get_mut(l).map(|s| &mut s[..]));
            if self.network.adds_input(l) {
                add(input, &mut above[0]);
            }
        }
        self.output.forward(*rows, hidden.last().unwrap_or(x), out, false);
        if let Some(skip) = &self.skip {
            skip.forward(*rows, x, out, true);
        }
    }

    /// Fills `trace.d_x` from `trace.d_out`, leaving what [`PackedNetwork::weight_gradients`] needs.
    pub fn backward(&self, trace: &mut Trace<E>) {
        let Trace { rows, slopes, d_out, d_x, .. } = trace;
        d_x.fill(E::ZERO);
        if let Some(skip) = &self.skip {
            skip.input_gradient(*rows, d_out, d_x);
        }
        let Some(last) = self.hidden.len().checked_sub(1) else {
            self.output.input_gradient(*rows, d_out, d_x);
            return;
        };
        let mut gradient = vec![E::ZERO; slopes[last].len()];
        self.output.input_gradient(*rows, d_out, &mut gradient);
        for l in (0..=last).rev() {
            for (slope, &g) in slopes[l].iter_mut().zip(&gradient) {
                *slope *= g;
            }
            if l == 0 {
                self.hidden[0].input_gradient(*rows, &slopes[0], d_x);
            } else {
                if !self.network.adds_input(l) {
                    gradient = vec![E::ZERO; slopes[l - 1].len()];
                }
                self.hidden[l].input_gradient(*rows, &slopes[l], &mut gradient);
            }
        }
    }

    /// The gradients of all tensors, in the order of [`Network::tensors`], from traces that have been through
    /// [`PackedNetwork::backward`]. Work is divided by panels and summed over the traces in order, so that the result does
    /// not depend on the number of threads.
    pub fn weight_gradients(&self, traces: &[Trace<E>]) -> Vec<Vec<E>> {
        let layers = self.hidden.len();
        // Each map with the layer that it reads, the layer whose gradient it takes, and whether it has a bias.
        let mut maps: Vec<(&MaskedLinear<E>, usize, usize, bool)> =
            self.hidden.iter().enumerate().map(|(l, map)| (map, l, l, true)).collect();
        maps.push((&self.output, layers, layers, true));
        maps.extend(self.skip.iter().map(|map| (map, 0, layers, false)));

        let jobs: Vec<(usize, usize)> =
            maps.iter().enumerate().flat_map(|(m, (map, ..))| (0..map.panels()).map(move |p| (m, p))).collect();
        let sums = |&(m, p): &(usize, usize)| {
            let (map, below, above, _) = maps[m];
            let mut sums = map.zero_sums(p);
            for trace in traces {
                map.weight_gradient(p, trace.rows, trace.input_of(below), trace.gradient_of(above), &mut sums);
            }
            sums
        };
        let rows: usize = traces.iter().map(|trace| trace.rows).sum();
        let sums: Vec<Vec<E>> = if rows * self.network.weights() < SERIAL_BELOW {
            jobs.iter().map(sums).collect()
        } else {
            jobs.par_iter().map(sums).collect()
        };

        let mut gradients = Vec::new();
        let mut sums = sums.iter();
        for (map, _, above, has_bias) in maps {
            let mut weight = vec![E::ZERO; map.stairs().weights()];
            for (p, sums) in (0..map.panels()).zip(&mut sums) {
                map.unpack_panel(p, sums, &mut weight);
            }
            if !weight.is_empty() {
                gradients.push(weight);
            }
            if has_bias {
                let mut bias = vec![E::ZERO; map.stairs().outputs()];
                for trace in traces {
                    map.bias_gradient(trace.rows, trace.gradient_of(above), &mut bias);
                }
                gradients.push(bias);
            }
        }
        gradients
    }
}

impl<E> Trace<E> {
    /// What layer `l` reads.
    fn input_of(&self, l: usize) -> &[E] {
        if l == 0 {
            &self.x
        } else {
            &self.hidden[l - 1]
        }
    }

    /// The gradient of what layer `l` wrote before its activation.
    fn gradient_of(&self, l: usize) -> &[E] {
        self.slopes.get(l).unwrap_or(&self.d_out)
    }
}

fn add<E: Real>(from: &[E], to: &mut [E]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
