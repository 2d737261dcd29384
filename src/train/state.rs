//! The state of a training under way: all that its next steps, and its end, depend on.

use super::rounds::Round;
use super::trainer::{StopReason, Trained, LITTLE, LOOKS_IN_A_ROW, PATIENCE_WITH_NAN};
use super::{Objective, Settings};
use crate::error::{Error, Result};
use crate::params::{Adam, AdamConfig, Average, Parts};
use serde::{Deserialize, Serialize};

/// A training's state as it is kept: counters, and named numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// What is counted and decided on the way, as RON.
    pub counters: String,
    /// Weights, moments, averages, and what the objective goes on from.
    pub parts: Parts,
}

/// What is counted and decided on the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Steps taken.
    pub taken: u64,
    pub skipped: u64,
    /// Steps in a row that were not finite.
    pub in_a_row: u64,
    /// Looks without improvement.
    pub without_gain: u64,
    pub failed_rows: u64,
    pub target_seconds: f64,
    /// Looks in a row at which there was enough.
    pub enough: u32,
    pub factor_of_rate: f64,
    pub lowered: u32,
    pub refused: Option<String>,
    /// The ESS/N at the last look.
    pub reached: Option<f64>,
    pub looks_taken: u64,
    /// The ESS/N at the ends of rounds.
    pub of_rounds: Vec<f64>,
    pub round: usize,
    pub seconds: f64,
}

/// The counters with what belongs to tensors that may be there or not.
#[derive(Serialize, Deserialize)]
struct Header {
    counts: Counts,
    adam: u64,
    average: Option<f64>,
    best: Option<f64>,
    of_best_round: Option<f64>,
}

/// All of it.
pub(super) struct State {
    pub counts: Counts,
    pub values: Vec<Vec<f32>>,
    pub last_good: Vec<Vec<f32>>,
    pub adam: Adam,
    pub average: Option<Average>,
    /// The best weights by validation, with their score.
    pub best: Option<(f64, Vec<Vec<f32>>)>,
    /// Those of the end of the best round, with their ESS/N.
    pub of_best_round: Option<(f64, Vec<Vec<f32>>)>,
}

impl State {
    /// The start.
    pub fn new(settings: &Settings, values: Vec<Vec<f32>>) -> Self {
        let lengths: Vec<usize> = values.iter().map(Vec::len).collect();
        let mut state = Self {
            counts: Counts { factor_of_rate: 1.0, ..Counts::default() },
            last_good: values.clone(),
            adam: Adam::new(AdamConfig::default(), lengths),
            average: None,
            best: None,
            of_best_round: None,
            values,
        };
        state.average = state.fresh_average(settings);
        state
    }

    fn lengths(&self) -> Vec<usize> {
        self.values.iter().map(Vec::len).collect()
    }

    pub fn fresh_average(&self, settings: &Settings) -> Option<Average> {
        (settings.average > 0.0).then(|| Average::new(settings.average, self.lengths()))
    }

    /// The last good weights, with nothing of what led away from them.
    pub fn start_again_from_last_good(&mut self, settings: &Settings) {
        self.values.clone_from(&self.last_good);
        self.adam = Adam::new(AdamConfig::default(), self.lengths());
        self.average = self.fresh_average(settings);
    }

    /// Why no further step should be taken, after the last one, if there is a reason.
    pub fn over(&self, settings: &Settings, rounds: &[Round]) -> Option<StopReason> {
        let counts = &self.counts;
        if counts.in_a_row >= PATIENCE_WITH_NAN {
            return Some(StopReason::Diverged);
        }
        if counts.enough >= LOOKS_IN_A_ROW {
            return Some(StopReason::Until);
        }
        let at_end = rounds.get(counts.round).is_some_and(|round| counts.taken == round.end);
        if at_end && counts.taken < settings.steps {
            if let [.., before, after] = counts.of_rounds[..] {
                if counts.round >= 2 && 1.0 - after > LITTLE * (1.0 - before) {
                    return Some(StopReason::Rounds);
                }
                let left = rounds.len() - counts.round - 1;
                if settings.rounds.is_some_and(|asked| asked.are_in_vain(before, after, left)) {
                    return Some(StopReason::Pace);
                }
            }
        }
        let patient = settings.rounds.is_some() || settings.patience == 0;
        (!patient && counts.without_gain >= settings.patience).then_some(StopReason::Patience)
    }

    /// As it is kept.
    pub fn kept(&self, objective: &dyn Objective) -> Kept {
        let mut parts = Parts::default();
        parts.put_all("values", &self.values);
        parts.put_all("last good", &self.last_good);
        self.adam.keep(&mut parts);
        let average = self.average.as_ref().map(|average| average.keep(&mut parts));
        let mut put = |name: &str, of: &Option<(f64, Vec<Vec<f32>>)>| {
            of.as_ref().map(|(score, weights)| {
                parts.put_all(name, weights);
                *score
            })
        };
        let (best, of_best_round) = (put("best", &self.best), put("best round", &self.of_best_round));
        objective.keep("objective", &mut parts);
        let header = Header { counts: self.counts.clone(), adam: self.adam.step(), average, best, of_best_round };
        // Numbers, words and lists of them can always be written.
        Kept { counters: ron::to_string(&header).unwrap_or_default(), parts }
    }

    /// What was kept, for weights like `like`; the objective goes on from it too.
    ///
    /// # Errors
    /// If it is the state of another training.
    pub fn of(kept: Kept, settings: &Settings, like: Vec<Vec<f32>>, objective: &mut dyn Objective) -> Result<Self> {
        let refuse = |fault: String| Error::invalid(format!("a checkpoint of another training: {fault}"));
        let Kept { counters, mut parts } = kept;
        let header: Header = ron::from_str(&counters).map_err(|error| refuse(error.to_string()))?;
        let lengths: Vec<usize> = like.iter().map(Vec::len).collect();
        let mut weights = |name: &str| parts.take_all(name, &lengths).map_err(refuse);
        let (values, last_good) = (weights("values")?, weights("last good")?);
        let best = header.best.map(|score| Ok::<_, Error>((score, weights("best")?))).transpose()?;
        let of_best_round =
            header.of_best_round.map(|ess| Ok::<_, Error>((ess, weights("best round")?))).transpose()?;
        let adam = Adam::kept(AdamConfig::default(), header.adam, &mut parts, &lengths).map_err(refuse)?;
        let average = header.average.map(|weight| Average::kept(settings.average, weight, &mut parts, &lengths));
        let average = average.transpose().map_err(refuse)?;
        objective.go_on("objective", &parts).map_err(refuse)?;
        Ok(Self { counts: header.counts, values, last_good, adam, average, best, of_best_round })
    }

    /// The weights that are kept, and how training went.
    pub fn into_result(self, reason: StopReason) -> (Vec<Vec<f32>>, Trained) {
        let best_validation = self.best.as_ref().map(|(score, _)| *score);
        let reached_ess = self.of_best_round.as_ref().map(|(ess, _)| *ess).or(self.counts.reached);
        let weights = match (self.of_best_round, self.best, reason) {
            (Some((_, weights)), _, _) | (None, Some((_, weights)), _) => weights,
            (None, None, StopReason::Diverged) => self.last_good,
            (None, None, _) => self.average.and_then(|average| average.values()).unwrap_or(self.values),
        };
        let Counts { taken, skipped, failed_rows, lowered, refused, seconds, target_seconds, .. } = self.counts;
        let trained = Trained {
            reason,
            steps: taken,
            skipped_steps: skipped,
            failed_rows,
            best_validation,
            lowered,
            refused,
            reached_ess,
            seconds,
            target_seconds,
        };
        (weights, trained)
    }
}
