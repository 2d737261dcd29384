//! A flow without tape or device: packed weights, slices in and out, for draws, evaluation and a teacher that no longer learns.

use super::{Flow, Orientation, HALF_LOG_TAU};
use crate::error::{Error, Result};
use crate::ops::chunks::map_chunks;
use crate::ops::packed::{PackedNetwork, Trace};
use crate::ops::real::Real;
use crate::ops::sequential::SequentialNetwork;
use crate::ops::tile::padded;
use crate::ops::Kernels;
use crate::params::{values, Parameters};
use crate::transformer::{Kept, Transformer};
use std::sync::Arc;

/// How the direction that is not the one-pass direction is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One sweep that uses every weight once ([`SequentialNetwork`]).
    Cached,
    /// One pass of the whole conditioner for each variable, as is usual: the reference.
    Passes,
}

/// A [`Flow`] frozen in precision `F`. Points and noise are row-major; log-dets and log densities are summed in `f64`.
///
/// A row's result depends on that row only, not on the batch or the number of threads.
#[derive(Debug, Clone)]
pub struct FrozenFlow<F> {
    dim: usize,
    orientation: Orientation,
    layers: Vec<Layer<F>>,
}

#[derive(Debug, Clone)]
struct Layer<F> {
    order: Arc<[usize]>,
    transformer: Transformer,
    packed: PackedNetwork<F>,
    sequential: SequentialNetwork<F>,
}

impl<F: Real> FrozenFlow<F> {
    pub(super) fn new<E: Real, D: Kernels<E>>(flow: &Flow<E, D>, for_gradients: bool) -> Self {
        let layers = flow.layers().iter().map(|layer| {
            let tensors: Vec<Vec<F>> = layer
                .parameters()
                .iter()
                .map(|(_, tensor)| values(tensor).into_iter().map(|value| F::of(value.widen())).collect())
                .collect();
            let tensors: Vec<&[F]> = tensors.iter().map(Vec::as_slice).collect();
            let network = layer.conditioner().network();
            Layer {
                order: layer.conditioner().order().clone(),
                transformer: *layer.transformer(),
                packed: PackedNetwork::pack(network, &tensors, for_gradients),
                sequential: SequentialNetwork::new(network, &tensors),
            }
        });
        Self { dim: flow.dim(), orientation: flow.orientation(), layers: layers.collect() }
    }

    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Which direction takes one pass.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Fills `points` and `log_prob` from base `noise`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn push(&self, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        self.push_with(Method::Cached, noise, points, log_prob);
    }

    /// [`FrozenFlow::push`] by a chosen method.
    ///
    /// # Panics
    /// As [`FrozenFlow::push`].
    pub fn push_with(&self, method: Method, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        let forward = self.orientation == Orientation::Sampling;
        self.transport(forward, method, noise, points, log_prob);
        for (value, z) in log_prob.iter_mut().zip(noise.chunks_exact(self.dim)) {
            *value = standard_normal(z) - *value;
        }
    }

    /// Fills `log_prob` at the rows of `points`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob(&self, points: &[f64], log_prob: &mut [f64]) {
        self.log_prob_with(Method::Cached, points, log_prob);
    }

    /// [`FrozenFlow::log_prob`] by a chosen method.
    ///
    /// # Panics
    /// As [`FrozenFlow::log_prob`].
    pub fn log_prob_with(&self, method: Method, points: &[f64], log_prob: &mut [f64]) {
        let mut noise = vec![0.0; points.len()];
        let forward = self.orientation == Orientation::Density;
        self.transport(forward, method, points, &mut noise, log_prob);
        for (value, z) in log_prob.iter_mut().zip(noise.chunks_exact(self.dim)) {
            *value += standard_normal(z);
        }
    }

    /// Carries rows through the chain, one way or the other, and fills the log-dets.
    fn transport(&self, forward: bool, method: Method, from: &[f64], to: &mut [f64], log_det: &mut [f64]) {
        let (rows, dim) = (log_det.len(), self.dim);
        assert!(from.len() == rows * dim && to.len() == rows * dim, "rows × dim numbers");
        let pieces = map_chunks(rows, rows * self.multiplications(), |piece| {
            let mut x: Vec<F> = from[piece.start * dim..piece.end * dim].iter().map(|&v| F::of(v)).collect();
            let mut log_det = vec![0.0; piece.len()];
            if forward {
                self.layers.iter().for_each(|layer| layer.forward(dim, &mut x, &mut log_det, None));
            } else {
                for layer in self.layers.iter().rev() {
                    match method {
                        Method::Cached => layer.inverse(dim, &mut x, &mut log_det),
                        Method::Passes => layer.inverse_by_passes(dim, &mut x, &mut log_det),
                    }
                }
            }
            (x, log_det)
        });
        let mut at = 0;
        for (x, sums) in pieces {
            log_det[at..at + sums.len()].copy_from_slice(&sums);
            let cells = to[at * dim..].iter_mut().zip(x);
            cells.for_each(|(to, x)| *to = x.widen());
            at += sums.len();
        }
    }

    fn multiplications(&self) -> usize {
        self.layers.iter().map(|layer| layer.packed.network().weights() + 20 * self.dim).sum()
    }

    /// Fills `log_prob` and its gradient at the rows of `points`.
    ///
    /// # Errors
    /// In the `Sampling` orientation, where the density is not the one-pass direction.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim, or it was not frozen for gradients.
    pub fn log_prob_and_gradient(&self, points: &[f64], log_prob: &mut [f64], gradients: &mut [f64]) -> Result<()> {
        if self.orientation != Orientation::Density {
            return Err(Error::invalid("the gradient of log_prob needs a flow in the Density orientation"));
        }
        let (rows, dim) = (log_prob.len(), self.dim);
        assert!(points.len() == rows * dim && gradients.len() == rows * dim, "rows × dim numbers");
        let pieces = map_chunks(rows, 2 * rows * self.multiplications(), |piece| {
            let mut x: Vec<F> = points[piece.start * dim..piece.end * dim].iter().map(|&v| F::of(v)).collect();
            let mut log_det = vec![0.0; piece.len()];
            let mut records: Vec<Record<F>> = Vec::with_capacity(self.layers.len());
            for layer in &self.layers {
                let mut record =
                    Record { trace: Trace::new(layer.packed.network(), piece.len(), true), ..Default::default() };
                layer.forward(dim, &mut x, &mut log_det, Some(&mut record));
                records.push(record);
            }
            for (value, z) in log_det.iter_mut().zip(x.chunks_exact(dim)) {
                *value += standard_normal(z);
            }
            // ∂(−½‖z‖²)/∂z = −z starts the way back.
            x.iter_mut().for_each(|z| *z = -*z);
            for (layer, record) in self.layers.iter().zip(&mut records).rev() {
                layer.backward(dim, record, &mut x);
            }
            (x, log_det)
        });
        let mut at = 0;
        for (gradient, values) in pieces {
            log_prob[at..at + values.len()].copy_from_slice(&values);
            let cells = gradients[at * dim..].iter_mut().zip(gradient);
            cells.for_each(|(to, g)| *to = g.widen());
            at += values.len();
        }
        Ok(())
    }
}

/// log N(z; 0, I).
fn standard_normal<F: Real>(z: &[F]) -> f64 {
    let squares: f64 = z.iter().map(|z| z.widen() * z.widen()).sum();
    -0.5 * squares - z.len() as f64 * HALF_LOG_TAU
}

/// What a layer's forward pass leaves for its backward pass.
#[derive(Default)]
struct Record<F> {
    trace: Trace<F>,
    sorted: Vec<F>,
    kept: Kept<F>,
}

impl<F: Real> Layer<F> {
    fn forward(&self, dim: usize, x: &mut [F], log_det: &mut [f64], record: Option<&mut Record<F>>) {
        let network = self.packed.network();
        let stride = padded(network.outputs());
        let mut sorted = self.gather(dim, x);
        match record {
            None => {
                let mut trace = Trace::new(network, log_det.len(), false);
                self.load(dim, &sorted, &mut trace);
                self.packed.forward(&mut trace);
                self.transformer.forward_rows(dim, &mut sorted, &trace.out, stride, log_det, None);
            }
            Some(record) => {
                self.load(dim, &sorted, &mut record.trace);
                self.packed.forward(&mut record.trace);
                record.sorted = sorted.clone();
                let kept = Some(&mut record.kept);
                self.transformer.forward_rows(dim, &mut sorted, &record.trace.out, stride, log_det, kept);
            }
        }
        self.scatter(dim, &sorted, x);
    }

    /// From the gradient at the layer's output to that at its input, in place, with a gradient of one on the log-det.
    fn backward(&self, dim: usize, record: &mut Record<F>, gradient: &mut [F]) {
        let network = self.packed.network();
        let mut sorted = self.gather(dim, gradient);
        let ones = vec![F::ONE; record.trace.rows()];
        let Record { trace, sorted: x, kept } = record;
        let stride = padded(network.outputs());
        self.transformer.backward_rows(dim, x, kept, &mut sorted, &ones, &mut trace.d_out, stride);
        self.packed.backward(trace);
        for (row, d_x) in sorted.chunks_exact_mut(dim).zip(trace.d_x.chunks_exact(padded(dim))) {
            for (value, &d) in row.iter_mut().zip(d_x) {
                *value += d;
            }
        }
        self.scatter(dim, &sorted, gradient);
    }

    fn inverse(&self, dim: usize, y: &mut [F], log_det: &mut [f64]) {
        let x = self.sequential.sweep(log_det.len(), |i, parameters, x| {
            let column = self.order[i];
            for (x, row) in x.iter_mut().zip(y.chunks_exact(dim)) {
                *x = row[column];
            }
            self.transformer.inverse_lanes(parameters, x, log_det);
        });
        for (&column, lanes) in self.order.iter().zip(x.chunks_exact(padded(log_det.len()))) {
            for (row, &value) in y.chunks_exact_mut(dim).zip(lanes) {
                row[column] = value;
            }
        }
    }

    /// The inverse as it is usually computed: after pass `i` the first `i + 1` variables are right.
    fn inverse_by_passes(&self, dim: usize, y: &mut [F], log_det: &mut [f64]) {
        let network = self.packed.network();
        let (stride, per_variable) = (padded(network.outputs()), network.per_variable());
        let rows = log_det.len();
        let target = self.gather(dim, y);
        let mut trace = Trace::new(network, rows, false);
        let mut parameters = vec![F::ZERO; per_variable * rows];
        let mut lanes = vec![F::ZERO; rows];
        for i in 0..dim {
            self.packed.forward(&mut trace);
            for (r, out) in trace.out.chunks_exact(stride).enumerate() {
                lanes[r] = target[r * dim + i];
                (0..per_variable).for_each(|p| parameters[p * rows + r] = out[i * per_variable + p]);
            }
            self.transformer.inverse_lanes(&parameters, &mut lanes, log_det);
            for (row, &x) in trace.x.chunks_exact_mut(padded(dim)).zip(&lanes) {
                row[i] = x;
            }
        }
        let sorted: Vec<F> = trace.x.chunks_exact(padded(dim)).flat_map(|row| row[..dim].iter().copied()).collect();
        self.scatter(dim, &sorted, y);
    }

    fn load(&self, dim: usize, sorted: &[F], trace: &mut Trace<F>) {
        for (padded, row) in trace.x.chunks_exact_mut(padded(dim)).zip(sorted.chunks_exact(dim)) {
            padded[..dim].copy_from_slice(row);
        }
    }

    fn gather(&self, dim: usize, rows: &[F]) -> Vec<F> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(dim) {
            out.extend(self.order.iter().map(|&column| row[column]));
        }
        out
    }

    fn scatter(&self, dim: usize, sorted: &[F], rows: &mut [F]) {
        for (row, sorted) in rows.chunks_exact_mut(dim).zip(sorted.chunks_exact(dim)) {
            for (&value, &column) in sorted.iter().zip(self.order.iter()) {
                row[column] = value;
            }
        }
    }
}
