//! How long and how boldly a stage trains.

use super::Schedule;
use serde::{Deserialize, Serialize};

/// The settings of the training loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The largest number of steps.
    pub steps: u64,
    /// Rows in each step.
    pub batch: usize,
    /// The learning rate.
    pub rate: Schedule,
    /// Gradients of a larger Euclidean norm are scaled down to it; 0 leaves them alone.
    pub clip: f64,
    /// Decay of the moving average of the weights that becomes the result; 0 takes the last weights.
    pub average: f64,
    /// Steps between two looks at the validation set, where there is one.
    pub validate_every: u64,
    /// Looks without improvement after which training stops; 0 never stops early.
    pub patience: u64,
    /// What is good enough, where the density that is trained against can be evaluated: looked at every `validate_every` steps.
    pub until: Option<Until>,
}

/// When training has reached what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// ESS/N at two looks in a row, each over [`LOOK_ROWS`] fresh draws.
    pub ess: f64,
}

/// Draws of a look at the ESS/N.
pub const LOOK_ROWS: usize = 4096;

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 5_000,
            batch: 512,
            rate: Schedule::default(),
            clip: 10.0,
            average: 0.99,
            validate_every: 200,
            patience: 10,
            until: None,
        }
    }
}

impl Settings {
    /// Everything that is wrong with them, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut refuse = |wrong: bool, fault: String| {
            if wrong {
                faults.push(fault);
            }
        };
        refuse(
            self.steps == 0 || self.steps > 1_000_000_000,
            format!("steps is {}; 1 to 1000000000 is right", self.steps),
        );
        refuse(self.batch == 0 || self.batch > 1 << 20, format!("batch is {}; 1 to {} is right", self.batch, 1 << 20));
        refuse(
            !(self.clip.is_finite() && self.clip >= 0.0),
            format!("clip is {}; 0 (no clipping) or a positive norm is right", self.clip),
        );
        refuse(
            !(0.0..1.0).contains(&self.average),
            format!("average is {}; 0 (none) or a decay below 1 is right", self.average),
        );
        refuse(self.validate_every == 0, "validate_every is 0; at least 1 is right".into());
        if let Some(Until { ess }) = self.until {
            refuse(!(ess > 0.0 && ess < 1.0), format!("until.ess is {ess}; a share above 0 and below 1 is right"));
        }
        if let Some(fault) = self.rate.fault() {
            refuse(true, format!("rate: {fault}"));
        }
        faults
    }
}
