//! Where pipes cannot be polled there are no densities in other processes: this says so.

use super::frames::{Greeting, Request};
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

/// A worker that cannot exist.
pub struct Worker(Infallible);

impl Worker {
    /// Always refuses.
    pub fn start(_: &[String], _: &Path) -> Result<Self, String> {
        Err("a density in another process needs a Unix system".into())
    }

    /// Never called.
    pub fn ask<'a>(&mut self, _: Request, _: impl Iterator<Item = &'a [f64]>) {
        match self.0 {}
    }

    /// Never called.
    pub fn greeting(&self) -> Result<Greeting, String> {
        match self.0 {}
    }

    /// Never called.
    pub fn payload(&self) -> Result<&[u8], String> {
        match self.0 {}
    }

    /// Never called.
    pub fn with_last_words(&mut self, _: &str) -> String {
        match self.0 {}
    }
}

/// Nothing to exchange with nobody.
pub fn exchange(_: &mut [Worker], _: Duration) -> Result<(), (usize, String)> {
    Ok(())
}

/// Nobody watches where there are no processes.
pub struct Watchdog;

impl Watchdog {
    pub fn none() -> Self {
        Self
    }

    pub fn start() -> Self {
        Self
    }

    pub fn watch(&mut self, _: &Worker) {}
}
