//! How long and how boldly a stage trains.

use super::replay::Replay;
use super::rounds::{Round, Rounds};
use super::until::Until;
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
    /// Training in rounds, each longer and of larger batches than the one before; `steps` is then the most that all of them take. None is one
    /// round of `steps` steps.
    pub rounds: Option<Rounds>,
    /// Draws of a reverse KL that are used again, from the second round on where there is one; none uses each once.
    pub replay: Option<Replay>,
    /// Whether layers' points are found again by their inverses on the way back, instead of being kept: memory that does not grow with depth.
    pub recompute: bool,
}

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
            rounds: None,
            replay: None,
            recompute: false,
        }
    }
}

impl Settings {
    /// A reverse KL of which nothing is said: small batches, a large rate (the noise of the path gradient vanishes as the fit becomes good, so
    /// that few rows do), in rounds until draws are as good as exact ones.
    pub fn for_reverse_kl() -> Self {
        Self {
            steps: 9_000,
            batch: 16,
            rate: Schedule { peak: 0.003, ..Schedule::default() },
            until: Some(Until { ess: 0.99, se: None }),
            rounds: Some(Rounds::default()),
            replay: Some(Replay::default()),
            ..Self::default()
        }
    }

    /// All rounds, one after the other.
    pub fn rounds(&self) -> Vec<Round> {
        match self.rounds {
            None => vec![Round { begin: 0, end: self.steps, batch: self.batch }],
            Some(rounds) => rounds.list(self.steps, self.batch),
        }
    }

    /// The first step that may use kept draws: in the first of several rounds the flow leaves its draws behind too fast.
    pub fn replay_from(&self) -> u64 {
        self.rounds().get(1).map_or(0, |second| second.begin)
    }

    /// The rows that are drawn afresh, where each step that may use kept ones does: about, since a flow that moves fast needs more.
    pub fn fresh_rows(&self) -> u64 {
        let first = self.replay_from() * self.batch as u64;
        first + (self.most_rows() - first).div_ceil(self.replay.map_or(1, |replay| replay.times + 1))
    }

    /// The most rows that all steps together have.
    pub fn most_rows(&self) -> u64 {
        self.rounds().iter().map(|round| (round.end - round.begin) * round.batch as u64).sum()
    }

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
        let of_until = self.until.iter().flat_map(Until::faults);
        let of_rounds = self.rounds.iter().flat_map(Rounds::faults);
        let of_replay = self.replay.iter().flat_map(Replay::faults);
        for fault in of_until.chain(of_rounds).chain(of_replay) {
            refuse(true, fault);
        }
        if let Some(fault) = self.rate.fault() {
            refuse(true, format!("rate: {fault}"));
        }
        faults
    }
}
