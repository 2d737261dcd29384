//! A masked autoregressive map over chunks of rows: one way in one pass, the other way in one sweep.

use super::chunks::Chunk;
use super::packed::{PackedNetwork, FEW};
use super::real::Real;
use super::transform::Transform;
use super::weight_gradient::Shared;
use super::weighted::{reset, Gradients, Scratch, Trace, WeightedNetwork};
use std::sync::Arc;

/// `y_i = τ(x_i; c_i(x_<i))` for a masked network c and a transform τ, with weights; what is given to the network stays as it is.
#[derive(Debug, Clone)]
pub struct AutoregressiveMap<E, M> {
    order: Arc<[usize]>,
    pub(super) transform: M,
    pub(super) network: WeightedNetwork<E>,
    packed: Option<PackedNetwork<E>>,
}

/// What one map's forward pass over a chunk leaves for its backward pass.
#[derive(Debug, Clone, Default)]
pub struct Record<E> {
    pub(super) x: Vec<E>,
    pub(super) trace: Trace<E>,
    pub(super) kept: Vec<E>,
}

/// Buffers that can be used again from chunk to chunk.
#[derive(Debug, Clone, Default)]
pub struct Buffers<E> {
    record: Record<E>,
    pub(super) sorted: Vec<E>,
    pub(super) ones: Vec<E>,
    pub(super) gradients: Gradients<E>,
    pub(super) scratch: Scratch<E>,
    rows: Vec<E>,
    pub(super) log_det: Vec<f64>,
}

impl<E: Real, M: Transform> AutoregressiveMap<E, M> {
    /// A map whose network's input `i` is column `order[i]`. With `packed`, its weights are also laid out for chunks of few rows.
    pub fn new(order: Arc<[usize]>, transform: M, network: WeightedNetwork<E>, packed: bool) -> Self {
        let packed = packed.then(|| PackedNetwork::pack(&network));
        Self { order, transform, network, packed }
    }

    /// The network with its weights.
    pub fn network(&self) -> &WeightedNetwork<E> {
        &self.network
    }

    /// The weights, to be overwritten by others of the same lengths; a packed layout keeps the old ones.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut [E]> {
        debug_assert!(self.packed.is_none(), "a layout that would not follow");
        self.network.tensors_mut()
    }

    /// Gives the network back.
    pub fn into_network(self) -> WeightedNetwork<E> {
        self.network
    }

    /// The elementary operations for one row, roughly.
    pub fn work(&self) -> usize {
        // A transform costs about as much as 10 multiplications for each of its parameters.
        self.network.network().weights() + 10 * self.transform.per_variable() * self.variables().len()
    }

    /// The columns that are transformed, in the map's order.
    fn variables(&self) -> &[usize] {
        &self.order[self.network.network().given()..]
    }

    /// Carries a chunk through the one-pass direction.
    pub fn forward(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        let Buffers { record, rows, .. } = buffers;
        match &self.packed {
            Some(packed) if chunk.rows() <= FEW => {
                self.gather(&chunk.points, chunk.stride(), &mut record.x);
                packed.forward(chunk.rows(), &record.x, chunk.stride(), rows, &mut record.trace.out);
                self.transform(chunk, record, false);
            }
            _ => self.pass(chunk, record, false),
        }
    }

    /// [`AutoregressiveMap::forward`], leaving a record.
    pub fn forward_recorded(&self, chunk: &mut Chunk<E>, record: &mut Record<E>) {
        self.pass(chunk, record, true);
    }

    fn pass(&self, chunk: &mut Chunk<E>, record: &mut Record<E>, keep: bool) {
        self.gather(&chunk.points, chunk.stride(), &mut record.x);
        self.network.forward(&record.x, chunk.stride(), &mut record.trace, keep);
        self.transform(chunk, record, keep);
    }

    /// The images of `record.x` with the parameters in `record.trace`.
    fn transform(&self, chunk: &mut Chunk<E>, record: &mut Record<E>, keep: bool) {
        let Record { trace, kept, .. } = record;
        let stride = chunk.stride();
        if keep {
            kept.resize(self.transform.kept() * self.variables().len() * stride, E::ZERO);
        }
        let (per_variable, per_kept) = (self.transform.per_variable() * stride, self.transform.kept() * stride);
        for (i, &column) in self.variables().iter().enumerate() {
            let y = &mut chunk.points[column * stride..][..stride];
            let parameters = &trace.out[i * per_variable..][..per_variable];
            let keep = keep.then(|| &mut kept[i * per_kept..][..per_kept]);
            self.transform.forward_lanes(stride, y, parameters, &mut chunk.log_det, keep);
        }
    }

    /// Turns the gradient at the images (`gradient`, laid out like a chunk's points) in place into that at the points, given the gradients
    /// of the log-dets; fills `gradients` for [`AutoregressiveMap::add_weight_gradients`].
    pub fn backward(
        &self,
        stride: usize,
        record: &Record<E>,
        gradients: &mut Gradients<E>,
        gradient: &mut [E],
        d_log_det: &[E],
        buffers: &mut Buffers<E>,
    ) {
        let Buffers { sorted, scratch, .. } = buffers;
        let Record { x, trace, kept } = record;
        self.gather(gradient, stride, sorted);
        gradients.out.resize(trace.out.len(), E::ZERO);
        let given = self.network.network().given() * stride;
        self.transform.backward_lanes(stride, &x[given..], kept, &mut sorted[given..], d_log_det, &mut gradients.out);
        self.network.backward(trace, gradients, stride, sorted, scratch);
        self.scatter(sorted, stride, gradient);
    }

    /// Adds the gradients of one of the network's jobs; see [`WeightedNetwork::add_weight_gradients`]. `passes` are chunks with their
    /// records after [`AutoregressiveMap::backward`].
    ///
    /// # Safety
    /// No two calls for the same job may overlap in time.
    pub unsafe fn add_weight_gradients<'a>(
        &self,
        job: (usize, usize),
        passes: impl Iterator<Item = (&'a Chunk<E>, &'a Record<E>, &'a Gradients<E>)>,
        tensors: &[Shared<'_, E>],
        buffer: &mut Vec<E>,
    ) {
        let passes = passes.map(|(chunk, record, gradients)| {
            (chunk.rows(), chunk.stride(), record.x.as_slice(), &record.trace, gradients)
        });
        // SAFETY: the caller's promise.
        unsafe { self.network.add_weight_gradients(job, passes, tensors, buffer) }
    }

    /// Carries a chunk through the other direction in one sweep.
    pub fn inverse(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        // A sweep of one step is a pass, for which there is a layout for few rows.
        if self.packed.is_some() && self.network.network().groups() == 1 {
            return self.inverse_by_passes(chunk, buffers);
        }
        let Buffers { record: Record { x, trace, .. }, .. } = buffers;
        self.solve(chunk, x, trace, false);
        self.scatter(x, chunk.stride(), &mut chunk.points);
    }

    /// Solves for the points `x` (in the map's order) whose images the chunk holds.
    pub(super) fn solve(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>, trace: &mut Trace<E>, record: bool) {
        let stride = chunk.stride();
        self.gather(&chunk.points, stride, x);
        let log_det = &mut chunk.log_det;
        self.network.sweep(x, stride, trace, record, |_, parameters, x| {
            self.transform.inverse_lanes(stride, x, parameters, log_det);
        });
    }

    /// The other direction as it is usually computed, by one pass for each group: after pass `i` the first `i + 1` are right.
    pub fn inverse_by_passes(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        let Buffers { record: Record { x, trace, .. }, sorted, rows, .. } = buffers;
        let stride = chunk.stride();
        let network = self.network.network();
        self.gather(&chunk.points, stride, sorted);
        reset(x, sorted.len());
        let given = network.given() * stride;
        x[..given].copy_from_slice(&sorted[..given]);
        for group in 0..network.groups() {
            match &self.packed {
                Some(packed) if chunk.rows() <= FEW => packed.forward(chunk.rows(), x, stride, rows, &mut trace.out),
                _ => self.network.forward(x, stride, trace, false),
            }
            let inputs = network.inputs_of(group);
            let outputs = network.outputs_of(&inputs);
            let places = inputs.start * stride..inputs.end * stride;
            let lanes = &mut x[places.clone()];
            lanes.copy_from_slice(&sorted[places]);
            let parameters = &trace.out[outputs.start * stride..outputs.end * stride];
            self.transform.inverse_lanes(stride, lanes, parameters, &mut chunk.log_det);
        }
        self.scatter(x, stride, &mut chunk.points);
    }

    /// The columns in the map's order.
    pub(super) fn gather(&self, columns: &[E], stride: usize, variables: &mut Vec<E>) {
        variables.clear();
        for &column in self.order.iter() {
            variables.extend_from_slice(&columns[column * stride..][..stride]);
        }
    }

    /// The variables in the user's order.
    pub(super) fn scatter(&self, variables: &[E], stride: usize, columns: &mut [E]) {
        for (lanes, &column) in variables.chunks_exact(stride).zip(self.order.iter()) {
            columns[column * stride..][..stride].copy_from_slice(lanes);
        }
    }
}
