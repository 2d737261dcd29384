//! A stage's training in a run's journal: recalled if it was done, gone on with if it was cut, kept while it goes.

use super::journal::{Journal, What};
use crate::error::{Error, Result};
use crate::flow::Flow;
use crate::params::{Parameters, Parts};
use crate::target::{Counted, Evaluations};
use crate::train::{train_kept, Keeper, Kept, Objective, Observer, Settings, StopReason, Trained};
use dfdx::prelude::Cpu;
use std::sync::atomic::AtomicBool;

/// Keeps the training of a stage in the journal.
pub(super) struct StageKeeper<'s, 'j> {
    pub journal: &'s mut Journal<'j>,
    pub target: Option<&'s Counted<'s>>,
    /// What the target had been asked before the stage, and how long it had taken.
    before: (Evaluations, u64),
    ended: Kept,
}

/// The name of the weights that a stage has ended with.
const WEIGHTS: &str = "weights";

impl<'s, 'j> StageKeeper<'s, 'j> {
    pub fn new(journal: &'s mut Journal<'j>, target: Option<&'s Counted<'s>>) -> Self {
        let before = spent(target);
        Self { journal, target, before, ended: Kept::default() }
    }

    /// Trains `flow`, or gives it what it was trained to before.
    ///
    /// # Errors
    /// As [`train_kept`].
    pub fn train(
        &mut self,
        flow: &mut Flow<f32, Cpu>,
        objective: &mut dyn Objective,
        settings: &Settings,
        interrupt: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Trained> {
        if let Some((entry, mut parts)) = self.journal.recall()? {
            let What::Trained(trained) = entry.what else {
                return Err(Error::invalid("the checkpoints are not those of this run"));
            };
            let lengths: Vec<usize> = flow.snapshot().iter().map(Vec::len).collect();
            flow.restore(&parts.take_all(WEIGHTS, &lengths).map_err(Error::invalid)?);
            add(self.target, (entry.evaluations, entry.nanoseconds));
            return Ok(trained);
        }
        let trained = train_kept(flow, objective, settings, interrupt, observer, self)?;
        if trained.reason != StopReason::Interrupted {
            let Kept { counters, mut parts } = std::mem::take(&mut self.ended);
            parts.put_all(WEIGHTS, &flow.snapshot());
            let cost = self.cost();
            self.journal.put(What::Trained(trained.clone()), Some(counters), &parts, cost)?;
        }
        Ok(trained)
    }

    /// What the stage has cost so far.
    fn cost(&self) -> (Evaluations, u64) {
        cost_since(self.target, self.before)
    }
}

impl Keeper for StageKeeper<'_, '_> {
    fn found(&mut self) -> Result<Option<Kept>> {
        let Some((entry, parts)) = self.journal.recall_under_way()? else { return Ok(None) };
        add(self.target, (entry.evaluations, entry.nanoseconds));
        Ok(entry.counters.map(|counters| Kept { counters, parts }))
    }

    fn due(&mut self) -> bool {
        self.journal.is_due()
    }

    fn keep(&mut self, kept: Kept) -> Result<()> {
        let cost = self.cost();
        self.journal.put_under_way(kept.counters, &kept.parts, cost)
    }

    fn end(&mut self, kept: &dyn Fn() -> Kept) {
        if self.journal.is_kept() {
            self.ended = kept();
        }
    }
}

/// What the target has been asked so far, and how long it took.
pub(super) fn spent(target: Option<&Counted>) -> (Evaluations, u64) {
    target.map(|target| (target.evaluations(), target.nanoseconds())).unwrap_or_default()
}

/// The same since `before`.
pub(super) fn cost_since(target: Option<&Counted>, before: (Evaluations, u64)) -> (Evaluations, u64) {
    let now = spent(target);
    (now.0 - before.0, now.1.saturating_sub(before.1))
}

/// Counts what was spent before the run was cut.
pub(super) fn add(target: Option<&Counted>, cost: (Evaluations, u64)) {
    if let Some(target) = target {
        target.add(cost.0, cost.1);
    }
}

/// Draws as parts of a checkpoint, and back.
pub(super) fn draws_as_parts(draws: &[f64]) -> Parts {
    let mut parts = Parts::default();
    parts.doubles.insert("draws".into(), draws.to_vec());
    parts
}
