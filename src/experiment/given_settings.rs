//! The training of a reverse KL: what is written, over defaults of its own.

use crate::train::{Replay, Rounds, Schedule, Settings, Until};
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
    #[serde(deserialize_with = "said")]
    until: Option<Option<Until>>,
    #[serde(deserialize_with = "said")]
    rounds: Option<Option<Rounds>>,
    #[serde(deserialize_with = "said")]
    replay: Option<Option<Replay>>,
    recompute: Option<bool>,
}

/// What is written, `None` too: the extension of RON that leaves out `Some` would take that for nothing said.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Whoever says how many steps there are means that many, in one round and with the defaults of every training ([`Settings::default`]); else
/// they are those of a reverse KL ([`Settings::for_reverse_kl`]).
pub(super) fn over_reverse_kl<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    let given = Given::deserialize(deserializer)?;
    let Given { steps, batch, rate, clip, average, validate_every, patience, until, rounds, replay, recompute } = given;
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
        replay: replay.unwrap_or(default.replay),
        recompute: recompute.unwrap_or(default.recompute),
    })
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Spec, StageSpec};
    use crate::train::{Replay, Settings, Until};

    #[test]
    fn none_turns_a_default_off_and_steps_turn_all_of_them_off() {
        let of = |training: &str| {
            let text = format!("(name: \"x\", stages: [ReverseKl(against: Target, training: ({training}))])");
            match Spec::parse(&text).expect("an experiment").stages.first() {
                Some(StageSpec::ReverseKl { training, .. }) => *training,
                stage => panic!("{stage:?}"),
            }
        };
        let default = Settings::for_reverse_kl();
        assert_eq!(of(""), default);
        assert_eq!(
            of("until: None, rounds: None, replay: None"),
            Settings { until: None, rounds: None, replay: None, ..default }
        );
        let once = Settings { replay: Some(Replay { times: 1, ..Replay::default() }), ..default };
        assert_eq!(of("replay: (times: 1)"), once);
        assert_eq!(of("steps: 7"), Settings { steps: 7, ..Settings::default() });
        let until = Some(Until { ess: 0.9, se: None });
        assert_eq!(of("steps: 7, until: (ess: 0.9)"), Settings { steps: 7, until, ..Settings::default() });
    }
}
