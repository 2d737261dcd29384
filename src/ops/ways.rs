//! How the two directions of maps go: a value, known before a map is built and of one that is.

use serde::Serialize;
use std::fmt;

/// How one direction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The steps that it takes one after another, each of which is a pass of a network as it is usually computed.
    pub steps: usize,
    /// Whether an equation is solved step by step.
    pub solved: bool,
}

impl Way {
    /// Everything at once.
    pub const PASS: Way = Way { steps: 1, solved: false };

    fn and(self, other: Self) -> Self {
        Self { steps: self.steps.max(other.steps), solved: self.solved || other.solved }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match (self.steps, self.solved) {
            (1, false) => out.write_str("in one pass"),
            (1, true) => out.write_str("by solving equations"),
            (steps, false) => write!(out, "in one sweep of {steps} steps"),
            (steps, true) => write!(out, "in one sweep of {steps} steps and by solving equations"),
        }
    }
}

/// How both go: the one-pass direction of a flow, and the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// From points to images.
    pub there: Way,
    /// From images to points.
    pub back: Way,
}

impl Ways {
    /// One pass each.
    pub const PASSES: Ways = Ways { there: Way::PASS, back: Way::PASS };

    /// Those of two maps, one after the other.
    pub fn and(self, other: Self) -> Self {
        Self { there: self.there.and(other.there), back: self.back.and(other.back) }
    }
}
