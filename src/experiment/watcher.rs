//! Who looks on while a run goes.

use crate::train::Observer;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

/// Watches a run; cannot change it.
pub trait Watcher: Observer {
    /// Which of the stages with so many steps each is next, from 0; one of unknown length has 0 steps.
    fn outline(&mut self, _place: usize, _steps: &[u64]) {}
    /// A stage begins.
    fn begin(&mut self, stage: &str, steps: u64);
    /// Something of unknown length begins, until [`Watcher::end`]; `evaluated` counts the points at which a density was evaluated for it.
    fn begin_open(&mut self, what: &str, _evaluated: Arc<AtomicU64>) {
        self.note(what);
    }
    /// What has begun is over.
    fn end(&mut self);
    /// Something worth a line.
    fn note(&mut self, text: &str);
}
