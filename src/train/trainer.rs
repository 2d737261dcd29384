//! The one training loop.

use super::rounds::Round;
use super::{Objective, Outcome, Settings, LOOK_ROWS, ROUND_LOOK_ROWS};
use crate::error::Result;
use crate::flow::Flow;
use crate::params::{norm, Adam, AdamConfig, Average, Parameters};
use dfdx::prelude::*;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why training stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All steps were taken.
    Steps,
    /// The validation score had stopped improving.
    Patience,
    /// It had reached what was good enough ([`Until`](super::Until)).
    Until,
    /// A longer round of larger batches had brought little more than the one before.
    Rounds,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Too many steps in a row had a loss or gradient that was not finite; the last good weights were restored.
    Diverged,
}

impl StopReason {
    /// As a person reads it.
    pub fn words(self) -> &'static str {
        match self {
            StopReason::Steps => "all steps taken",
            StopReason::Patience => "validation improved no more",
            StopReason::Until => "good enough",
            StopReason::Rounds => "another round brought little",
            StopReason::Interrupted => "interrupted",
            StopReason::Diverged => "diverged",
        }
    }
}

/// What an observer sees of each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Progress {
    /// The step, counted from 1.
    pub step: u64,
    /// The largest number of steps.
    pub steps: u64,
    /// The loss of the batch in nats; may be non-finite.
    pub loss: f64,
    /// ESS/N of the batch.
    pub ess: Option<f64>,
    /// The inverse temperature of an annealed target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// The validation score, when this step ended with one.
    pub validation: Option<f64>,
    /// The learning rate.
    pub rate: f64,
    /// The Euclidean norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Points at which the target has been evaluated since the run began, where somebody counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<u64>,
}

/// Watches training; cannot change it.
pub trait Observer {
    /// Called after every step.
    fn step(&mut self, progress: &Progress);
}

/// How a training run went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trained {
    /// Why it stopped.
    pub reason: StopReason,
    /// Steps taken, the skipped ones included.
    pub steps: u64,
    /// Steps skipped because the loss or a gradient was not finite.
    pub skipped_steps: u64,
    /// Rows, over all steps, that the target could not evaluate or that have density zero there.
    pub failed_rows: u64,
    /// The best validation score, whose weights were kept.
    pub best_validation: Option<f64>,
    /// How often the rate was lowered, and the last good weights restored, because steps in a row were not finite.
    pub lowered: u32,
    /// Why no draw of a step could be used, where that happened last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// ESS/N of what is kept, where training goes on until there is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached_ess: Option<f64>,
    /// Wall-clock time.
    pub seconds: f64,
    /// What the target took of it.
    pub target_seconds: f64,
}

/// Non-finite steps in a row after which training has diverged.
const PATIENCE_WITH_NAN: u64 = 50;

/// Non-finite steps in a row after which the last good weights are restored and the rate is lowered, …
const HELP_AFTER: u64 = 10;
/// … to this part of it, …
const LOWERED: f64 = 0.3;
/// … at most so many times.
const MOST_HELP: u32 = 4;

/// A round that leaves more than this of what the ESS/N lacked before is the last.
const LITTLE: f64 = 0.85;

/// Looks in a row at which the ESS/N must be enough: one may be so by chance.
const LOOKS_IN_A_ROW: u32 = 2;

/// Minimises `objective` over the parameters of `flow`, which ends with the weights that are to be kept: the best by validation where
/// there is one, else the average, else the last.
///
/// # Errors
/// If the objective fails. Divergence and interruption are not errors here but stop reasons.
pub fn train(
    flow: &mut Flow<f32, Cpu>,
    objective: &mut dyn Objective,
    settings: &Settings,
    interrupt: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let start = std::time::Instant::now();
    let mut values = flow.snapshot();
    let lengths: Vec<usize> = values.iter().map(Vec::len).collect();
    let fresh_average = || (settings.average > 0.0).then(|| Average::new(settings.average, lengths.iter().copied()));
    let mut adam = Adam::new(AdamConfig::default(), lengths.iter().copied());
    let mut average = fresh_average();
    let mut last_good = values.clone();
    let mut best: Option<(f64, Vec<Vec<f32>>)> = None;
    let mut gradients = values.clone();
    let (mut skipped, mut in_a_row, mut without_gain, mut failed_rows) = (0, 0, 0, 0);
    let mut reason = StopReason::Steps;
    let mut taken = 0;
    let mut target_seconds = 0.0;
    let mut enough = 0;
    let (mut factor_of_rate, mut lowered, mut refused) = (1.0, 0, None);
    // The ESS/N at the last look and at the ends of rounds, with the weights of the best of these.
    let (mut reached, mut looks_taken) = (None, 0);
    let mut of_rounds: Vec<f64> = Vec::new();
    let mut kept: Option<(f64, Vec<Vec<f32>>)> = None;
    let rounds = settings.rounds();
    let mut round = 0;

    // The tensors of a step are those of the step before, in other words.
    let device = flow.device().clone();
    device.try_enable_cache()?;
    for step in 0..settings.steps {
        if interrupt.load(Ordering::Relaxed) {
            reason = StopReason::Interrupted;
            break;
        }
        if step == rounds[round].end {
            round += 1;
            average = fresh_average();
            if rounds[round].batch != rounds[round - 1].batch {
                objective.widen(step, rounds[round].batch);
            }
        }
        let Round { begin, end, .. } = rounds[round];
        let outcome = objective.evaluate(flow, step, &mut gradients)?;
        let Outcome { loss, ess, failed_rows: failed, beta, .. } = outcome;
        target_seconds += outcome.target_seconds;
        taken = step + 1;
        failed_rows += failed as u64;
        let rate = factor_of_rate * settings.rate.rate(step - begin, end - begin);
        let norm = norm(&gradients);
        let mut validation = None;
        if loss.is_finite() && norm.is_finite() {
            in_a_row = 0;
            let factor = if settings.clip > 0.0 && norm > settings.clip { settings.clip / norm } else { 1.0 };
            // The values of before stay in `last_good`, in case they turn out to have been the last good ones.
            adam.update(rate, factor as f32, &values, &gradients, &mut last_good);
            std::mem::swap(&mut values, &mut last_good);
            flow.restore(&values);
            if let Some(average) = &mut average {
                average.update(&values);
            }
        } else {
            skipped += 1;
            in_a_row += 1;
            refused = outcome.refused;
            if in_a_row >= HELP_AFTER && lowered < MOST_HELP && skipped < taken {
                (in_a_row, lowered, factor_of_rate) = (0, lowered + 1, LOWERED * factor_of_rate);
                values.clone_from(&last_good);
                flow.restore(&values);
                adam = Adam::new(AdamConfig::default(), lengths.iter().copied());
                average = fresh_average();
            }
        }
        let at_end = taken == end;
        let looks = match settings.rounds {
            Some(_) => at_end,
            None => taken % settings.validate_every == 0 || at_end,
        };
        if looks {
            let candidate = average.as_ref().and_then(Average::values).unwrap_or_else(|| values.clone());
            flow.restore(&candidate);
            validation = objective.validate(flow);
            if let Some(until) = settings.until {
                let rows = if settings.rounds.is_some() { ROUND_LOOK_ROWS } else { LOOK_ROWS };
                // A look that is good enough at the end of a round is followed by another one at once.
                for _ in 0..LOOKS_IN_A_ROW {
                    looks_taken += 1;
                    let Some(found) = objective.agreement(flow, looks_taken, rows)? else { break };
                    enough = if until.holds(&found) { enough + 1 } else { 0 };
                    reached = Some(found.ess);
                    if enough == 0 || settings.rounds.is_none() {
                        break;
                    }
                }
                if let (Some(ess), Some(_)) = (reached, settings.rounds) {
                    of_rounds.push(ess);
                    if kept.as_ref().is_none_or(|(best, _)| ess > *best) {
                        kept = Some((ess, candidate.clone()));
                    }
                }
            }
            flow.restore(&values);
            if let Some(score) = validation {
                if score.is_finite() && best.as_ref().is_none_or(|(best, _)| score > *best) {
                    best = Some((score, candidate));
                    without_gain = 0;
                } else {
                    without_gain += 1;
                }
            }
        }
        observer.step(&Progress {
            step: taken,
            steps: settings.steps,
            loss,
            ess,
            beta,
            validation,
            rate,
            gradient_norm: norm,
            evaluations: None,
        });
        if in_a_row >= PATIENCE_WITH_NAN {
            reason = StopReason::Diverged;
            break;
        }
        if enough >= LOOKS_IN_A_ROW {
            reason = StopReason::Until;
            break;
        }
        if at_end && round >= 2 && taken < settings.steps {
            if let [.., before, after] = of_rounds[..] {
                if 1.0 - after > LITTLE * (1.0 - before) {
                    reason = StopReason::Rounds;
                    break;
                }
            }
        }
        if settings.rounds.is_none() && settings.patience > 0 && without_gain >= settings.patience {
            reason = StopReason::Patience;
            break;
        }
    }

    device.try_disable_cache()?;
    let best_validation = best.as_ref().map(|(score, _)| *score);
    let reached_ess = kept.as_ref().map(|(ess, _)| *ess).or(reached);
    let kept = match (kept, best, reason) {
        (Some((_, weights)), _, _) | (None, Some((_, weights)), _) => weights,
        (None, None, StopReason::Diverged) => last_good,
        (None, None, _) => average.and_then(|average| average.values()).unwrap_or(values),
    };
    flow.restore(&kept);
    let seconds = start.elapsed().as_secs_f64();
    let skipped_steps = skipped;
    Ok(Trained {
        reason,
        steps: taken,
        skipped_steps,
        failed_rows,
        best_validation,
        lowered,
        refused,
        reached_ess,
        seconds,
        target_seconds,
    })
}
