//! The maps that a flow is made of, one kind or another, over chunks of rows: dispatched once for each chunk and layer.

use super::autoregressive::{AutoregressiveMap, Buffers, Record};
use super::chunks::Chunk;
use super::joint::{Joint, JointMap};
use super::linear::LinearMap;
use super::real::Real;
use super::transform::Transform;
use super::ways::{Way, Ways};
use super::weight_gradient::Shared;
use super::weighted::Gradients;
use std::sync::Arc;

/// One layer with its weights.
#[derive(Debug, Clone)]
pub enum Map<E, M> {
    /// Variables transformed by what a masked network makes of others.
    Masked(AutoregressiveMap<E, M>),
    /// A linear map.
    Linear(LinearMap<E>),
    /// Another map of all variables at once.
    Joint(JointMap<E>),
}

impl<E: Real, M: Transform> Map<E, M> {
    /// A map of these columns at once from the values of its tensors.
    pub fn joint(joint: Joint, columns: Arc<[usize]>, tensors: Vec<Vec<E>>) -> Self {
        match joint {
            Joint::Linear(matrix) => Map::Linear(LinearMap::new(matrix, columns, tensors)),
            Joint::Formula(kind) => Map::Joint(JointMap::new(kind, columns, tensors)),
        }
    }

    /// Whether it is that one, if perhaps with other values.
    pub fn is_joint(&self, joint: &Joint, columns: &Arc<[usize]>) -> bool {
        match (self, joint) {
            (Map::Linear(map), Joint::Linear(matrix)) => map.is(*matrix, columns),
            (Map::Joint(map), Joint::Formula(kind)) => map.is(kind, columns),
            _ => false,
        }
    }

    /// The elementary operations for one row, roughly.
    pub fn work(&self) -> usize {
        match self {
            Map::Masked(map) => map.work(),
            Map::Linear(map) => map.variables() * map.variables(),
            Map::Joint(map) => map.work(),
        }
    }

    /// How its two directions go.
    pub fn ways(&self) -> Ways {
        match self {
            Map::Masked(map) => {
                Ways { back: Way { steps: map.network().network().groups(), solved: false }, ..Ways::PASSES }
            }
            Map::Linear(_) => Ways::PASSES,
            Map::Joint(map) => map.kind().settings().ways(),
        }
    }

    /// Numbers that a row leaves for the weight gradients.
    pub fn units(&self) -> usize {
        match self {
            Map::Masked(map) => map.network().network().units(),
            Map::Linear(map) => 2 * map.variables(),
            Map::Joint(map) => 2 * map.variables(),
        }
    }

    /// The number of its tensors.
    pub fn tensor_count(&self) -> usize {
        match self {
            Map::Masked(map) => map.network().tensors().len(),
            Map::Linear(map) => map.tensors().len(),
            Map::Joint(map) => map.tensors().len(),
        }
    }

    /// Has `write` overwrite the values of its tensors, one after another.
    pub fn overwrite(&mut self, mut write: impl FnMut(usize, &mut [E])) {
        match self {
            Map::Masked(map) => map.tensors_mut().enumerate().for_each(|(t, values)| write(t, values)),
            Map::Linear(map) => {
                map.tensors_mut().iter_mut().enumerate().for_each(|(t, values)| write(t, values));
                map.refresh();
            }
            Map::Joint(map) => {
                map.tensors_mut().iter_mut().enumerate().for_each(|(t, values)| write(t, values));
                map.refresh();
            }
        }
    }

    /// Gives the values back.
    pub fn into_tensors(self) -> Vec<Vec<E>> {
        match self {
            Map::Masked(map) => map.into_network().into_tensors(),
            Map::Linear(map) => map.into_tensors(),
            Map::Joint(map) => map.into_tensors(),
        }
    }

    /// Carries a chunk through the one-pass direction.
    pub fn forward(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        match self {
            Map::Masked(map) => map.forward(chunk, buffers),
            Map::Linear(map) => map.forward(chunk, &mut buffers.sorted),
            Map::Joint(map) => map.forward(chunk, &mut buffers.sorted),
        }
    }

    /// [`Map::forward`], leaving a record.
    pub fn forward_recorded(&self, chunk: &mut Chunk<E>, record: &mut Record<E>) {
        match self {
            Map::Masked(map) => map.forward_recorded(chunk, record),
            Map::Linear(map) => map.forward(chunk, &mut record.x),
            Map::Joint(map) => map.forward(chunk, &mut record.x),
        }
    }

    /// Carries a chunk through the other direction.
    pub fn inverse(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        match self {
            Map::Masked(map) => map.inverse(chunk, buffers),
            Map::Linear(map) => map.inverse(chunk, &mut buffers.sorted),
            Map::Joint(map) => map.inverse(chunk, &mut buffers.sorted),
        }
    }

    /// The same as it is usually computed: of a masked network by one pass for each group.
    pub fn inverse_by_passes(&self, chunk: &mut Chunk<E>, buffers: &mut Buffers<E>) {
        match self {
            Map::Masked(map) => map.inverse_by_passes(chunk, buffers),
            Map::Linear(_) | Map::Joint(_) => self.inverse(chunk, buffers),
        }
    }

    /// [`Map::inverse`], leaving the record that a forward pass from the points found would leave.
    pub fn inverse_recorded(&self, chunk: &mut Chunk<E>, record: &mut Record<E>, buffers: &mut Buffers<E>) {
        match self {
            Map::Masked(map) => map.inverse_recorded(chunk, record, buffers),
            Map::Linear(map) => map.inverse(chunk, &mut record.x),
            Map::Joint(map) => map.inverse(chunk, &mut record.x),
        }
    }

    /// Turns the gradient at the images in place into that at the points, and leaves in `gradients` what the weights need.
    pub fn backward(
        &self,
        stride: usize,
        record: &Record<E>,
        gradients: &mut Gradients<E>,
        gradient: &mut [E],
        d_log_det: &[E],
        buffers: &mut Buffers<E>,
    ) {
        match self {
            Map::Masked(map) => map.backward(stride, record, gradients, gradient, d_log_det, buffers),
            Map::Linear(map) => map.backward(stride, gradient, d_log_det, &mut gradients.out),
            Map::Joint(map) => {
                let kept = (!gradients.idle).then_some(&mut gradients.out);
                map.backward(stride, &record.x, gradient, d_log_det, kept);
            }
        }
    }

    /// Turns the gradient of log q at the points in place into that at the images; see [`AutoregressiveMap::adjoint`].
    pub fn adjoint(
        &self,
        stride: usize,
        record: &Record<E>,
        gradients: &mut Gradients<E>,
        gradient: &mut [E],
        d_log_det: &[E],
        buffers: &mut Buffers<E>,
    ) {
        match self {
            Map::Masked(map) => map.adjoint(stride, record, gradients, gradient, d_log_det, buffers),
            Map::Linear(map) => map.adjoint(stride, gradient, d_log_det, &mut gradients.out),
            Map::Joint(map) => {
                let kept = (!gradients.idle).then_some(&mut gradients.out);
                map.adjoint(stride, &record.x, gradient, d_log_det, kept);
            }
        }
    }

    /// The jobs of which its weight gradients are made.
    pub fn gradient_jobs(&self) -> Vec<(usize, usize)> {
        match self {
            Map::Masked(map) => map.network().gradient_jobs(),
            Map::Linear(_) | Map::Joint(_) => vec![(0, 0)],
        }
    }

    /// Adds the gradients of one of these jobs, summed over `passes`: chunks with their records after a way back.
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
        match self {
            // SAFETY: the caller's promise.
            Map::Masked(map) => unsafe { map.add_weight_gradients(job, passes, tensors, buffer) },
            Map::Linear(map) => {
                // SAFETY: the caller's promise.
                unsafe { map.add_weight_gradients(passes.map(of_lanes), tensors) }
            }
            Map::Joint(map) => {
                let sums = passes.map(|(_, _, gradients)| gradients.out.as_slice());
                // SAFETY: the caller's promise.
                unsafe { map.add_weight_gradients(sums, tensors) }
            }
        }
    }
}

/// What a map of all variables takes of a pass: lanes, its record and what a way back has kept.
fn of_lanes<'a, E: Real>(
    (chunk, record, gradients): (&'a Chunk<E>, &'a Record<E>, &'a Gradients<E>),
) -> (usize, &'a [E], &'a [E]) {
    (chunk.stride(), &record.x, &gradients.out)
}

impl<E: Real> Buffers<E> {
    /// Carries the gradient of Σ (log-det) + Σ gradient · image back through `maps`, whose records are those of the chunk, to the points.
    pub fn backward<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        stride: usize,
        records: &[Record<E>],
        gradient: &mut [E],
    ) {
        self.with_ones(stride, |ones, gradients, buffers| {
            for (map, record) in maps.iter().zip(records).rev() {
                map.backward(stride, record, gradients, gradient, ones, buffers);
            }
        });
    }

    /// Carries the gradient of log q at the points of the first of `maps` on to that at the images of the last.
    pub fn adjoint<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        stride: usize,
        records: &[Record<E>],
        gradient: &mut [E],
    ) {
        self.with_ones(stride, |ones, gradients, buffers| {
            for (map, record) in maps.iter().zip(records) {
                map.adjoint(stride, record, gradients, gradient, ones, buffers);
            }
        });
    }

    fn with_ones(&mut self, stride: usize, f: impl FnOnce(&[E], &mut Gradients<E>, &mut Self)) {
        let (mut ones, mut gradients) = (std::mem::take(&mut self.ones), std::mem::take(&mut self.gradients));
        ones.clear();
        ones.resize(stride, E::ONE);
        gradients.idle = true;
        f(&ones, &mut gradients, self);
        (self.ones, self.gradients) = (ones, gradients);
    }
}
