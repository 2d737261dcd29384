//! A density that counts how often it is asked, and how long it takes.

use super::{Density, Fatal, Faults};
use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Points at which a density was evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluations {
    /// Its value alone.
    pub values: u64,
    /// Its value and its gradient.
    pub gradients: u64,
}

impl Evaluations {
    /// Of either kind.
    pub fn total(self) -> u64 {
        self.values + self.gradients
    }
}

impl Add for Evaluations {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { values: self.values + other.values, gradients: self.gradients + other.gradients }
    }
}

impl Sub for Evaluations {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { values: self.values - other.values, gradients: self.gradients - other.gradients }
    }
}

/// Another density, all the same but for the counting.
pub struct Counted<'t> {
    density: Box<dyn Density + 't>,
    values: AtomicU64,
    gradients: AtomicU64,
    nanoseconds: AtomicU64,
}

impl<'t> Counted<'t> {
    /// Counts from zero.
    pub fn new(density: Box<dyn Density + 't>) -> Self {
        Self { density, values: AtomicU64::new(0), gradients: AtomicU64::new(0), nanoseconds: AtomicU64::new(0) }
    }

    /// How often it was asked so far.
    pub fn evaluations(&self) -> Evaluations {
        Evaluations { values: self.values.load(Relaxed), gradients: self.gradients.load(Relaxed) }
    }

    /// The density itself, for questions that are no part of the work that is counted.
    pub fn uncounted(&self) -> &(dyn Density + 't) {
        self.density.as_ref()
    }

    /// The time of one thread in them.
    pub fn nanoseconds(&self) -> u64 {
        self.nanoseconds.load(Relaxed)
    }

    /// Counts what was asked elsewhere as well, and its time.
    pub fn add(&self, evaluations: Evaluations, nanoseconds: u64) {
        self.values.fetch_add(evaluations.values, Relaxed);
        self.gradients.fetch_add(evaluations.gradients, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// The time of one thread that an evaluation took on average, in seconds; 0 before the first.
    pub fn seconds_each(&self) -> f64 {
        self.nanoseconds.load(Relaxed) as f64 * 1e-9 / self.evaluations().total().max(1) as f64
    }
}

impl Density for Counted<'_> {
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
        let counter = if gradients.is_some() { &self.gradients } else { &self.values };
        counter.fetch_add(values.len() as u64, Relaxed);
        let clock = Instant::now();
        let outcome = self.density.evaluate(points, values, gradients, faults);
        self.nanoseconds.fetch_add(clock.elapsed().as_nanos() as u64, Relaxed);
        outcome
    }

    crate::target::as_of!(density);
}

/// A density that belongs to somebody else.
pub struct Lent<'t> {
    /// It.
    pub density: &'t dyn Density,
}

impl Density for Lent<'_> {
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
        self.density.evaluate(points, values, gradients, faults)
    }

    crate::target::as_of!(density);
}
