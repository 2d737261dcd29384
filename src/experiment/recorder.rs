//! What is kept of every tenth step: a line of `metrics.jsonl`.

use super::metrics::Metrics;
use super::watcher::Watcher;
use crate::target::Counted;
use crate::train::{Observer, Progress};
use std::cell::RefCell;

/// Keeps every tenth step for `metrics.jsonl` and passes all of them on.
pub(super) struct Recorder<'a> {
    pub stage: &'static str,
    pub metrics: &'a RefCell<Metrics>,
    pub target: Option<&'a Counted<'a>>,
    pub watcher: &'a mut dyn Watcher,
}

/// Steps between two recorded ones.
const RECORD_EVERY: u64 = 10;

impl Observer for Recorder<'_> {
    fn step(&mut self, progress: &Progress) {
        let evaluations = self.target.map(|target| target.evaluations().total());
        let progress = &Progress { evaluations, ..*progress };
        if progress.step.is_multiple_of(RECORD_EVERY)
            || progress.step == progress.steps
            || progress.validation.is_some()
        {
            #[derive(serde::Serialize)]
            struct Line<'a> {
                stage: &'a str,
                #[serde(flatten)]
                progress: &'a Progress,
            }
            if let Ok(line) = serde_json::to_string(&Line { stage: self.stage, progress }) {
                self.metrics.borrow_mut().push(&line);
            }
        }
        self.metrics.borrow_mut().tick();
        self.watcher.step(progress);
    }
}
