//! Who keeps the state of a training under way.

use super::state::Kept;
use crate::error::Result;

/// Keeps the state of a training under way.
pub trait Keeper {
    /// The state that the training goes on from, if it was cut before.
    ///
    /// # Errors
    /// If it was kept and cannot be read.
    fn found(&mut self) -> Result<Option<Kept>>;
    /// Asked before each step: whether the state is to be kept now.
    fn due(&mut self) -> bool;
    /// The state under way.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn keep(&mut self, kept: Kept) -> Result<()>;
    /// The training has come to its end in the state that `kept` gives.
    fn end(&mut self, kept: &dyn Fn() -> Kept);
}

/// Keeps nothing.
pub struct Forgetful;

impl Keeper for Forgetful {
    fn found(&mut self) -> Result<Option<Kept>> {
        Ok(None)
    }

    fn due(&mut self) -> bool {
        false
    }

    fn keep(&mut self, _: Kept) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, _: &dyn Fn() -> Kept) {}
}
