//! Memory that a taped op uses again from step to step.

use super::autoregressive::{Buffers, Record};
use super::chunks::Chunk;
use super::weighted::Gradients;
use std::sync::{Arc, Mutex, PoisonError};

/// A place where the buffers of [`super::Kernels::maps`] wait for the next step, so that training allocates nothing once
/// it is under way. A clone starts with a place of its own, which is empty.
#[derive(Debug, Default)]
pub struct Workspace<E> {
    place: Arc<Mutex<Option<Box<Memory<E>>>>>,
    recompute: bool,
}

/// What a step needs.
#[derive(Debug, Default)]
pub(super) struct Memory<E> {
    /// The weights, by link and tensor.
    pub tensors: Vec<Vec<Vec<E>>>,
    /// Row-major points or their gradients, and one number to a row.
    pub points: Vec<E>,
    pub sums: Vec<E>,
    /// The chunks of the batch.
    pub chunks: Vec<Recorded<E>>,
}

/// A chunk of the batch with a record for each link.
#[derive(Debug, Default)]
pub(super) struct Recorded<E> {
    pub chunk: Chunk<E>,
    pub records: Vec<Record<E>>,
    /// The points at the start of the way, where there are no records of it.
    pub start: Vec<E>,
    /// For the maps whose weight gradients are made together.
    pub gradients: Vec<Gradients<E>>,
    pub buffers: Buffers<E>,
    /// The gradient at the images, later at the points.
    pub gradient: Vec<E>,
    pub d_log_det: Vec<E>,
}

impl<E> Workspace<E> {
    /// Whether no records of a way are kept, and the way back finds each map's points anew by its inverse.
    pub fn recomputes(&self) -> bool {
        self.recompute
    }

    /// Says so, or not.
    pub fn recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    pub(super) fn take(&self) -> Box<Memory<E>>
    where
        Memory<E>: Default,
    {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    pub(super) fn put(&self, memory: Box<Memory<E>>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }

    /// The same place.
    pub(super) fn share(&self) -> Self {
        Self { place: self.place.clone(), recompute: self.recompute }
    }
}

impl<E> Clone for Workspace<E> {
    fn clone(&self) -> Self {
        Self { place: Arc::default(), recompute: self.recompute }
    }
}
