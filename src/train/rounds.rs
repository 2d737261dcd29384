//! Training in rounds, each longer and of larger batches than the one before.

use serde::{Deserialize, Serialize};

/// Training in rounds (warm restarts: Loshchilov and Hutter 2017). The rate falls to zero in each, so that its end shows what has been
/// reached: what is easy is done after a short one, and what is not goes on with a longer one whose batches say more. A round that brings little
/// more than the one before is the last; both are told by the looks of [`Until`](super::Until).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rounds {
    /// Steps of the first.
    pub first: u64,
    /// Steps of the second.
    pub second: u64,
    /// How many times as many steps each later one has as the one before.
    pub longer: f64,
    /// How many times as many rows the batches of each later one have.
    pub wider: f64,
    /// ESS/N below which the end would be of no use: a round after which those that are left would not come to it, if each brought the same part of
    /// what is lacking as this one has, is the last.
    pub least: Option<f64>,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { first: 250, second: 2000, longer: 1.4, wider: 2.0, least: None }
    }
}

/// One round of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Its first step.
    pub begin: u64,
    /// The step after its last.
    pub end: u64,
    /// Rows in each step.
    pub batch: usize,
}

/// Rows of a batch beyond which it grows no more.
const MOST_GROWN: f64 = 1024.0;

impl Rounds {
    /// All rounds of at most `steps` steps that begin with batches of `batch` rows.
    pub(super) fn list(self, steps: u64, batch: usize) -> Vec<Round> {
        let Self { first, second, longer, wider, .. } = self;
        let mut rounds: Vec<Round> = Vec::new();
        let (mut begin, mut length, mut rows) = (0, first as f64, batch as f64);
        while begin < steps {
            let whole = begin + (length as u64).max(1);
            // What would be left for less than half a round is better spent in this one.
            let end = if whole as f64 + 0.5 * length > steps as f64 { steps } else { whole };
            rounds.push(Round { begin, end, batch: rows as usize });
            begin = end;
            if rounds.len() == 1 {
                length = second as f64;
            } else {
                length *= longer;
                rows = (rows * wider).min(MOST_GROWN.max(rows));
            }
        }
        rounds
    }

    /// Everything that is wrong with them, each fault naming its field, its value and what would be right.
    pub(super) fn faults(&self) -> Vec<String> {
        let Self { first, second, longer, wider, least } = *self;
        let mut faults = Vec::new();
        for (name, steps) in [("first", first), ("second", second)] {
            if steps == 0 {
                faults.push(format!("rounds.{name} is 0; at least one step is right"));
            }
        }
        for (name, factor) in [("longer", longer), ("wider", wider)] {
            if !(1.0..=100.0).contains(&factor) {
                faults.push(format!("rounds.{name} is {factor}; a factor from 1 to 100 is right"));
            }
        }
        if let Some(least) = least.filter(|least| !(*least > 0.0 && *least < 1.0)) {
            faults.push(format!("rounds.least is {least}; a share above 0 and below 1 is right"));
        }
        faults
    }

    /// Whether `left` more rounds would not come to what is of use, at the pace from one ESS/N to the next.
    pub(super) fn are_in_vain(self, before: f64, after: f64, left: usize) -> bool {
        let pace = ((1.0 - after) / (1.0 - before)).min(1.0);
        let expected = 1.0 - (1.0 - after) * pace.powi(left as i32);
        self.least.is_some_and(|least| after < least && expected < least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Settings;

    #[test]
    fn rounds_cover_all_steps_and_grow() {
        let rounds = Settings::for_reverse_kl().rounds();
        let sizes: Vec<(u64, usize)> = rounds.iter().map(|round| (round.end - round.begin, round.batch)).collect();
        assert_eq!(sizes, [(250, 16), (2000, 16), (2800, 32), (3950, 64)]);
        assert_eq!(rounds.last().map(|round| round.end), Some(9_000));
        assert!(rounds.windows(2).all(|pair| pair[0].end == pair[1].begin));
        let one = Settings { steps: 7, batch: 3, ..Settings::default() };
        assert_eq!((one.rounds(), one.most_rows()), (vec![Round { begin: 0, end: 7, batch: 3 }], 21));
        let few = Settings { steps: 300, ..Settings::for_reverse_kl() };
        assert_eq!(few.rounds().len(), 1);
        // Draws are used again from the second round on; a single one has no other to wait for.
        assert_eq!([Settings::for_reverse_kl().replay_from(), few.replay_from()], [250, 0]);
        assert_eq!(few.fresh_rows(), 300 * 16 / 4);
    }

    #[test]
    fn rounds_that_would_not_come_to_what_is_of_use_are_told_by_their_pace() {
        let asks = Rounds { least: Some(0.75), ..Rounds::default() };
        // Halves what is lacking: 0.4, 0.7, 0.85.
        assert!(!asks.are_in_vain(0.4, 0.7, 1));
        // 0.2, 0.4, 0.55; and one that falls back.
        assert!(asks.are_in_vain(0.2, 0.4, 1) && asks.are_in_vain(0.4, 0.3, 9));
        assert!(!asks.are_in_vain(0.2, 0.4, 4), "four more would");
        assert!(!asks.are_in_vain(0.9, 0.8, 1), "that is of use already");
        assert!(!Rounds::default().are_in_vain(0.2, 0.2, 1), "nothing asks for it");
        assert_eq!(Rounds { least: Some(1.0), ..asks }.faults().len(), 1);
    }
}
