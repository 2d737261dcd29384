//! Which distance a student's stage makes small, and by which gradient.

use super::{AnnealConfig, Gradient};
use serde::{Deserialize, Serialize};

/// `reverse` · KL(q ‖ p) + `forward` · KL(p ‖ q).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Which gradient of the reverse KL is followed.
    pub gradient: Gradient,
    /// The weight of the reverse KL.
    pub reverse: f64,
    /// The weight of the forward KL.
    pub forward: f64,
    /// How the target is annealed; none trains against the target itself from the start.
    pub anneal: Option<AnnealConfig>,
}

impl Default for Divergence {
    fn default() -> Self {
        Self { gradient: Gradient::default(), reverse: 1.0, forward: 0.0, anneal: None }
    }
}

impl Divergence {
    /// Everything that is wrong with it, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, weight) in [("reverse", self.reverse), ("forward", self.forward)] {
            if !(0.0..=1e6).contains(&weight) {
                faults.push(format!("{name} is {weight}; a weight from 0 to 1e6 is right"));
            }
        }
        if self.reverse == 0.0 && self.forward == 0.0 {
            faults.push("reverse and forward are both 0; a positive weight for one of them is right".into());
        }
        if let Some(anneal) = self.anneal {
            faults.extend(anneal.faults().into_iter().map(|fault| format!("anneal.{fault}")));
            if self.reverse == 0.0 {
                faults
                    .push("anneal is given, but without a reverse KL (reverse is 0) there is nothing to anneal".into());
            }
        }
        faults
    }
}
