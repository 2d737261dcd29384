//! The training of a reverse KL: what is written, over defaults of its own.

use crate::train::{Rounds, Schedule, Settings, Until};
use serde::{Deserialize, Deserializer};

/// [`Settings`] of which each may be missing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename = "Settings")]
#[derive(Default)]
struct Given {
    steps: Option<u64>,
    batch: Option<usize>,
    rate: Option<Schedule>,
    clip: Option<f64>,
    average: Option<f64>,
    validate_every: Option<u64>,
    patience: Option<u64>,
    until: Option<Option<Until>>,
    rounds: Option<Option<Rounds>>,
}

/// Whoever says how many steps there are means that many, in one round and with the defaults of every training ([`Settings::default`]); else
/// they are those of a reverse KL ([`Settings::for_reverse_kl`]).
pub(super) fn over_reverse_kl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    let given = Given::deserialize(deserializer)?;
    let Given { steps, batch, rate, clip, average, validate_every, patience, until, rounds } = given;
    let default = if steps.is_some() { Settings::default() } else { Settings::for_reverse_kl() };
    Ok(Settings {
        steps: steps.unwrap_or(default.steps),
        batch: batch.unwrap_or(default.batch),
        rate: rate.unwrap_or(default.rate),
        clip: clip.unwrap_or(default.clip),
        average: average.unwrap_or(default.average),
        validate_every: validate_every.unwrap_or(default.validate_every),
        patience: patience.unwrap_or(default.patience),
        until: until.unwrap_or(default.until),
        rounds: rounds.unwrap_or(default.rounds),
    })
}
