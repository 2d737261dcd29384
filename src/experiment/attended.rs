//! A density under a run's eyes: it counts its points for the person who waits, and stops when they ask for it.

use crate::error::Error;
use crate::target::{Density, Fatal, Faults};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// Another density, all the same but for the counting and the stopping.
pub(super) struct Attended<'a> {
    density: &'a dyn Density,
    interrupt: &'a AtomicBool,
    evaluated: Arc<AtomicU64>,
}

impl<'a> Attended<'a> {
    pub fn new(density: &'a dyn Density, interrupt: &'a AtomicBool) -> Self {
        Self { density, interrupt, evaluated: Arc::default() }
    }

    /// How many points have been evaluated so far.
    pub fn evaluated(&self) -> Arc<AtomicU64> {
        self.evaluated.clone()
    }

    /// What a failure under these eyes means: the user's wish, if there was one.
    pub fn explain(&self, error: Error) -> Error {
        if self.interrupt.load(Ordering::Relaxed) {
            Error::Interrupted
        } else {
            error
        }
    }
}

impl Density for Attended<'_> {
    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(Fatal("interrupted".into()));
        }
        self.evaluated.fetch_add(values.len() as u64, Ordering::Relaxed);
        self.density.evaluate(points, values, gradients, faults)
    }

    crate::target::as_of!(density);
}
