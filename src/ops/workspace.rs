//! Memory that a taped op uses again from step to step.

use super::autoregressive::{Buffers, Record};
use super::chunks::Chunk;
use super::weighted::Gradients;
use std::sync::{Arc, Mutex, PoisonError};

/// A place where the buffers of [`super::Kernels::maps`] wait for the next step, so that training allocates nothing once
/// it is under way. A clone starts with a place of its own, which is empty.
#[derive(Debug, Default)]
pub struct Workspace<E>(Arc<Mutex<Option<Box<Memory<E>>>>>);

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
    /// For the maps whose weight gradients are made together.
    pub gradients: Vec<Gradients<E>>,
    pub buffers: Buffers<E>,
    /// The gradient at the images, later at the points.
    pub gradient: Vec<E>,
    pub d_log_det: Vec<E>,
}

impl<E> Workspace<E> {
    pub(super) fn take(&self) -> Box<Memory<E>>
    where
        Memory<E>: Default,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    pub(super) fn put(&self, memory: Box<Memory<E>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }

    /// The same place.
    pub(super) fn share(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> Clone for Workspace<E> {
    fn clone(&self) -> Self {
        Self(Arc::default())
    }
}
