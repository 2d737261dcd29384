//! When training has reached what it is for.

use serde::{Deserialize, Serialize};

/// When training has reached what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// ESS/N at two looks in a row, each over fresh draws: [`LOOK_ROWS`], or [`ROUND_LOOK_ROWS`] at the end of a round.
    pub ess: f64,
    /// The largest standard error of log Z, in nats, from the draws of each of those looks; none asks for the ESS/N alone.
    #[serde(default)]
    pub se: Option<f64>,
}

impl Until {
    /// Whether a look is good enough.
    pub fn holds(&self, look: &Agreement) -> bool {
        look.ess >= self.ess && self.se.is_none_or(|se| look.log_z_se <= se)
    }
}

/// How well the draws of a look agree with the density that is trained against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// ESS/N.
    pub ess: f64,
    /// The standard error of log Z from them, in nats.
    pub log_z_se: f64,
}

impl Agreement {
    /// Of `rows` draws with this ESS/N.
    pub fn of(ess: f64, rows: usize) -> Self {
        Self { ess, log_z_se: ((1.0 / ess - 1.0).max(0.0) / rows as f64).sqrt() }
    }
}

/// Draws of a look at the ESS/N, and of one at the end of a round.
pub const LOOK_ROWS: usize = 4096;
/// See [`LOOK_ROWS`].
pub const ROUND_LOOK_ROWS: usize = 1024;

impl Until {
    /// Everything that is wrong with it, each fault naming its field, its value and what would be right.
    pub(super) fn faults(&self) -> Vec<String> {
        let Self { ess, se } = *self;
        let mut faults = Vec::new();
        if !(ess > 0.0 && ess < 1.0) {
            faults.push(format!("until.ess is {ess}; a share above 0 and below 1 is right"));
        }
        if let Some(se) = se.filter(|se| !(se.is_finite() && *se > 0.0)) {
            faults.push(format!("until.se is {se}; a positive number of nats is right"));
        }
        faults
    }
}
