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
    /// The columns in the map's order.
    pub(super) x: Vec<E>,
    /// What the network sees of them, where that is something else.
    pub(super) turned: Vec<E>,
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
    /// Gradients at what the network sees.
    inputs: Vec<E>,
    pub(super) log_det: Vec<f64>,
}

impl<E: Real, M: Transform> AutoregressiveMap<E, M> {
    /// A map whose network sees column `order[i]` as its `i`th. With `packed`, its weights are also laid out for chunks of few rows.
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
                let Record { x, turned, trace, .. } = record;
                packed.forward(
                    chunk.rows(),
                    self.seen(chunk.stride(), x, turned),
                    chunk.stride(),
                    rows,
                    &mut trace.out,
                );
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
        let Record { x, turned, trace, .. } = record;
        self.network.forward(self.seen(chunk.stride(), x, turned), chunk.stride(), trace, keep);
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
        let Buffers { sorted, scratch, inputs, .. } = buffers;
        let Record { x, turned, trace, kept } = record;
        self.gather(gradient, stride, sorted);
        gradients.out.resize(trace.out.len(), E::ZERO);
        let given = self.network.network().given() * stride;
        self.transform.backward_lanes(stride, &x[given..], kept, &mut sorted[given..], d_log_det, &mut gradients.out);
        if self.turns() {
            let network = self.network.network();
            reset(inputs, network.inputs() * stride);
            self.network.backward(trace, gradients, stride, inputs, scratch);
            let columns = 0..self.order.len();
            self.gradient_of_angles(stride, &columns, turned, inputs, |d_x, c| *d_x += c, sorted);
        } else {
            self.network.backward(trace, gradients, stride, sorted, scratch);
        }
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
            let seen = if self.turns() { &record.turned } else { &record.x };
            (chunk.rows(), chunk.stride(), seen.as_slice(), &record.trace, gradients)
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
        let Buffers { record: Record { x, turned, trace, .. }, .. } = buffers;
        self.solve(chunk, (x, turned), trace, false);
        self.scatter(x, chunk.stride(), &mut chunk.points);
    }

    /// Solves for the points `x` (in the map's order, and what the network sees of them) whose images the chunk holds.
    pub(super) fn solve(
        &self,
        chunk: &mut Chunk<E>,
        (x, turned): (&mut Vec<E>, &mut Vec<E>),
        trace: &mut Trace<E>,
        record: bool,
    ) {
        let stride = chunk.stride();
        self.gather(&chunk.points, stride, x);
        let log_det = &mut chunk.log_det;
        if !self.turns() {
            self.network.sweep(x, stride, trace, record, |_, parameters, x| {
                self.transform.inverse_lanes(stride, x, parameters, log_det);
            });
            return;
        }
        // Those that are given are there already.
        self.seen(stride, x, turned);
        self.network.sweep(turned, stride, trace, record, |columns, parameters, turned| {
            let x = &mut x[columns.start * stride..columns.end * stride];
            self.transform.inverse_lanes(stride, x, parameters, log_det);
            turn(stride, 0, x, turned);
        });
    }

    /// The other direction as it is usually computed, by one pass for each group: after pass `i` the first `i + 1` are right.
    pub fn inverse_by_passes(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        let Buffers { record: Record { x, turned, trace, .. }, sorted, rows, .. } = buffers;
        let stride = chunk.stride();
        let network = self.network.network();
        self.gather(&chunk.points, stride, sorted);
        reset(x, sorted.len());
        let given = network.given() * stride;
        x[..given].copy_from_slice(&sorted[..given]);
        for group in 0..network.groups() {
            match &self.packed {
                Some(packed) if chunk.rows() <= FEW => {
                    packed.forward(chunk.rows(), self.seen(stride, x, turned), stride, rows, &mut trace.out);
                }
                _ => self.network.forward(self.seen(stride, x, turned), stride, trace, false),
            }
            let columns = network.columns_of(group);
            let outputs = network.outputs_of(&columns);
            let places = columns.start * stride..columns.end * stride;
            let lanes = &mut x[places.clone()];
            lanes.copy_from_slice(&sorted[places]);
            let parameters = &trace.out[outputs.start * stride..outputs.end * stride];
            self.transform.inverse_lanes(stride, lanes, parameters, &mut chunk.log_det);
        }
        self.scatter(x, stride, &mut chunk.points);
    }

    /// Whether the network sees cosine and sine of its columns.
    pub(super) fn turns(&self) -> bool {
        self.network.network().each() > 1
    }

    /// What the network sees of `x`: that itself, or what `turned` is filled with.
    fn seen<'a>(&self, stride: usize, x: &'a [E], turned: &'a mut Vec<E>) -> &'a [E] {
        if !self.turns() {
            return x;
        }
        let network = self.network.network();
        turned.resize(network.inputs() * stride, E::ZERO);
        turn(stride, network.plain(), x, turned);
        turned
    }

    /// Hands the gradients `d_inputs` at what the network sees of these columns over to the columns: those of an angle's cosine and sine by
    /// −sin and cos.
    pub(super) fn gradient_of_angles(
        &self,
        stride: usize,
        columns: &std::ops::Range<usize>,
        turned: &[E],
        d_inputs: &[E],
        hand: impl Fn(&mut E, E),
        d_x: &mut [E],
    ) {
        let network = self.network.network();
        let first = network.inputs_of(columns).start;
        for (d_x, column) in d_x.chunks_exact_mut(stride).zip(columns.clone()) {
            let inputs = network.inputs_of(&(column..column + 1));
            let d_seen = &d_inputs[(inputs.start - first) * stride..(inputs.end - first) * stride];
            if inputs.len() == 1 {
                d_x.iter_mut().zip(d_seen).for_each(|(d_x, &c)| hand(d_x, c));
                continue;
            }
            let (cosines, sines) = turned[inputs.start * stride..inputs.end * stride].split_at(stride);
            let (d_cosines, d_sines) = d_seen.split_at(stride);
            for (c, d_x) in d_x.iter_mut().enumerate() {
                hand(d_x, d_sines[c] * cosines[c] - d_cosines[c] * sines[c]);
            }
        }
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

/// Fills `turned` with the first `plain` columns of `x`, and cosine and sine of all others.
fn turn<E: Real>(stride: usize, plain: usize, x: &[E], turned: &mut [E]) {
    let (columns, angles) = x.split_at(plain * stride);
    let (kept, turned) = turned.split_at_mut(columns.len());
    kept.copy_from_slice(columns);
    for (angles, pair) in angles.chunks_exact(stride).zip(turned.chunks_exact_mut(2 * stride)) {
        let (cosines, sines) = pair.split_at_mut(stride);
        for ((cosine, sine), angle) in cosines.iter_mut().zip(sines).zip(angles) {
            let (s, c) = angle.widen().sin_cos();
            (*cosine, *sine) = (E::of(c), E::of(s));
        }
    }
}
