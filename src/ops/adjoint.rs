//! The sequential adjoint sweep: the mirror of the sweep that inverts, for gradients of the density on the far side of a map.
//!
//! With log q(y) = log q(x) − log |det ∂y/∂x| at y = T(x), the gradients gₓ = ∂ log q(x)/∂x and g = ∂ log q(y)/∂y are tied by
//! gₓ = Jᵀ g + ∂ log |det J|/∂x. Its component j reads gₓⱼ = gⱼ τ'ⱼ + ∂ log τ'ⱼ/∂xⱼ + cⱼ, where cⱼ comes through the conditioner from the
//! variables after j only: so g is solved for from the last variable to the first. At a fixed y, the parameters have the gradient
//! −(gᵀ ∂T/∂θ + ∂ log |det J|/∂θ): what the sweep leaves for the weights, with its sign turned.

use super::autoregressive::{AutoregressiveMap, Buffers, Record};
use super::chunks::Chunk;
use super::elementwise::{keep_where_positive, multiply, subtract};
use super::lanes::input_gradient_of;
use super::real::Real;
use super::transform::Transform;
use super::weighted::{reset, Gradients, Scratch, Trace, WeightedNetwork};
use std::ops::Range;

impl<E: Real> WeightedNetwork<E> {
    /// One sweep through the groups from the last to the first, using every weight once, after a recorded pass left `trace`.
    ///
    /// Calls `solve(columns, c, d_parameters)` for each group: `c` is what the gradients at the outputs of all later groups give to
    /// the inputs of its columns, and `solve` fills the gradients at its own outputs; at last for those that are given, which have none. `gradients` then are
    /// those of a backward pass.
    pub fn adjoint_sweep(
        &self,
        trace: &Trace<E>,
        gradients: &mut Gradients<E>,
        stride: usize,
        scratch: &mut Scratch<E>,
        mut solve: impl FnMut(Range<usize>, &[E], &mut [E]),
    ) {
        let network = &**self.network();
        let Scratch { gradient, below } = scratch;
        let Gradients { out: d_out, hidden: d_hidden, .. } = gradients;
        let layers = network.hidden().len();
        d_hidden.resize_with(layers, Vec::new);
        for (d_z, stairs) in d_hidden.iter_mut().zip(network.hidden()) {
            d_z.resize(stairs.outputs() * stride, E::ZERO);
        }
        d_out.resize(network.outputs() * stride, E::ZERO);
        let (output, skip) = (self.output_map(), self.skip_map());
        for degree in (0..=network.groups()).rev() {
            // What sees the hidden units of this degree belongs to later variables, or to units that have had their turn.
            for l in (0..layers).rev() {
                let units = network.units_of_degree(l, degree);
                if units.is_empty() {
                    continue;
                }
                let places = units.start * stride..units.end * stride;
                // With a residual the gradient at the same units of the layer above also goes straight down.
                std::mem::swap(gradient, below);
                if l + 1 == layers || !network.adds_input(l + 1) {
                    reset(gradient, places.len());
                } else {
                    gradient.clear();
                    gradient.extend_from_slice(below);
                }
                if l + 1 == layers {
                    input_gradient_of(output.stairs, output.weights, units, d_out, stride, gradient);
                } else {
                    let map = self.hidden_map(l + 1);
                    input_gradient_of(map.stairs, map.weights, units, &d_hidden[l + 1], stride, gradient);
                }
                let d_z = &mut d_hidden[l][places.clone()];
                d_z.copy_from_slice(gradient);
                if self.slopes_are_signs(l) {
                    keep_where_positive(&trace.hidden[l][places], d_z);
                } else {
                    multiply(&trace.slopes[l][places], d_z);
                }
            }
            let columns = if degree == 0 { 0..network.given() } else { network.columns_of(degree - 1) };
            if columns.is_empty() {
                continue;
            }
            let inputs = network.inputs_of(&columns);
            reset(below, inputs.len() * stride);
            if layers == 0 {
                input_gradient_of(output.stairs, output.weights, inputs.clone(), d_out, stride, below);
            } else {
                let map = self.hidden_map(0);
                input_gradient_of(map.stairs, map.weights, inputs.clone(), &d_hidden[0], stride, below);
            }
            if let Some(map) = &skip {
                input_gradient_of(map.stairs, map.weights, inputs, d_out, stride, below);
            }
            let outputs = if degree == 0 { 0..0 } else { network.outputs_of(&columns) };
            solve(columns, below, &mut d_out[outputs.start * stride..outputs.end * stride]);
        }
    }
}

impl<E: Real, M: Transform> AutoregressiveMap<E, M> {
    /// Turns the gradient of log q at the points of a recorded pass (`gradient`, laid out like a chunk's points) in place into that at
    /// their images, both with the parameters held fixed; fills `gradients` for [`AutoregressiveMap::add_weight_gradients`].
    ///
    /// With `d_log_det` other than 1, everything is multiplied by it, lane by lane, if `gradient` was.
    pub fn adjoint(
        &self,
        stride: usize,
        record: &Record<E>,
        gradients: &mut Gradients<E>,
        gradient: &mut [E],
        d_log_det: &[E],
        buffers: &mut Buffers<E>,
    ) {
        let Buffers { sorted, scratch, .. } = buffers;
        let Record { x, turned, trace, kept } = record;
        self.gather(gradient, stride, sorted);
        let per_kept = self.transform.kept() * stride;
        let given = self.network.network().given();
        self.network.adjoint_sweep(trace, gradients, stride, scratch, |columns, c, d_parameters| {
            let lanes = columns.start * stride..columns.end * stride;
            let d_x = &mut sorted[lanes.clone()];
            if self.turns() {
                self.gradient_of_angles(stride, &columns, turned, c, |d_x, c| *d_x -= c, d_x);
            } else {
                subtract(c, d_x);
            }
            if columns.start >= given {
                let kept = &kept[(columns.start - given) * per_kept..(columns.end - given) * per_kept];
                self.transform.adjoint_lanes(stride, &x[lanes], kept, d_x, d_log_det, d_parameters);
            }
        });
        self.scatter(sorted, stride, gradient);
    }

    /// [`AutoregressiveMap::inverse`], leaving the record that a forward pass from the points found would leave.
    pub fn inverse_recorded(&self, chunk: &mut Chunk<E>, record: &mut Record<E>, buffers: &mut Buffers<E>) {
        let stride = chunk.stride();
        let Record { x, turned, trace, kept } = record;
        self.solve(chunk, (x, turned), trace, true);
        // The images are known; what is wanted is what the transform keeps on the way to them.
        let variables = &x[self.network.network().given() * stride..];
        kept.resize(self.transform.kept() * variables.len(), E::ZERO);
        let Buffers { sorted: images, log_det, .. } = buffers;
        images.clear();
        images.extend_from_slice(variables);
        log_det.resize(stride, 0.0);
        self.transform.forward_lanes(stride, images, &trace.out, log_det, Some(kept));
        self.scatter(x, stride, &mut chunk.points);
    }
}
