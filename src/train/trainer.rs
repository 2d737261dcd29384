//! The one training loop.

use super::keeper::{Forgetful, Keeper};
use super::rounds::Round;
use super::state::State;
use super::{Objective, Outcome, Settings, LOOK_ROWS, ROUND_LOOK_ROWS};
use crate::error::Result;
use crate::flow::Flow;
use crate::params::{norm, Average, Parameters};
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// Why training stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// At the pace of its rounds it would not have come to what is of use ([`Rounds::least`](super::Rounds::least)).
    Pace,
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
            StopReason::Pace => "at this pace it would not have been of use",
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// ESS/N of what is kept, where training goes on until there is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached_ess: Option<f64>,
    /// Wall-clock time.
    pub seconds: f64,
    /// What the target took of it.
    pub target_seconds: f64,
}

/// Non-finite steps in a row after which training has diverged.
pub(super) const PATIENCE_WITH_NAN: u64 = 50;

/// Non-finite steps in a row after which the last good weights are restored and the rate is lowered, …
const HELP_AFTER: u64 = 10;
/// … to this part of it, …
const LOWERED: f64 = 0.3;
/// … at most so many times.
const MOST_HELP: u32 = 4;

/// A round that leaves more than this of what the ESS/N lacked before is the last.
pub(super) const LITTLE: f64 = 0.85;

/// Looks in a row at which the ESS/N must be enough: one may be so by chance.
pub(super) const LOOKS_IN_A_ROW: u32 = 2;

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
    train_kept(flow, objective, settings, interrupt, observer, &mut Forgetful)
}

/// [`train`] whose state is left with `keeper` whenever that asks for it, at an interruption, and at the end; and which goes on, bit for bit, from
/// the state that the keeper has found.
///
/// # Errors
/// As [`train`], and if the keeper fails, or what it has found is the state of another training.
pub fn train_kept(
    flow: &mut Flow<f32, Cpu>,
    objective: &mut dyn Objective,
    settings: &Settings,
    interrupt: &AtomicBool,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keeper,
) -> Result<Trained> {
    let start = std::time::Instant::now();
    flow.recompute(settings.recompute)?;
    let values = flow.snapshot();
    let mut gradients = values.clone();
    let mut state = match keeper.found()? {
        Some(found) => State::of(found, settings, values, objective)?,
        None => State::new(settings, values),
    };
    let before = state.counts.seconds;
    let mut reason = StopReason::Steps;
    let rounds = settings.rounds();

    flow.restore(&state.values);
    // The tensors of a step are those of the step before, in other words.
    let device = flow.device().clone();
    device.try_enable_cache()?;
    while state.counts.taken < settings.steps {
        if let Some(over) = state.over(settings, &rounds) {
            reason = over;
            break;
        }
        if interrupt.load(Ordering::Relaxed) {
            reason = StopReason::Interrupted;
            break;
        }
        if keeper.due() {
            state.counts.seconds = before + start.elapsed().as_secs_f64();
            keeper.keep(state.kept(objective))?;
        }
        let step = state.counts.taken;
        while step >= rounds[state.counts.round].end {
            state.counts.round += 1;
            let round = state.counts.round;
            state.average = state.fresh_average(settings);
            if rounds[round].batch != rounds[round - 1].batch {
                objective.widen(step, rounds[round].batch);
            }
        }
        let Round { begin, end, .. } = rounds[state.counts.round];
        let outcome = objective.evaluate(flow, step, &mut gradients)?;
        let Outcome { loss, ess, failed_rows: failed, beta, .. } = outcome;
        let counts = &mut state.counts;
        counts.target_seconds += outcome.target_seconds;
        counts.taken = step + 1;
        counts.failed_rows += failed as u64;
        let taken = counts.taken;
        let rate = counts.factor_of_rate * settings.rate.rate(step - begin, end - begin);
        let norm = norm(&gradients);
        let mut validation = None;
        if loss.is_finite() && norm.is_finite() {
            counts.in_a_row = 0;
            let factor = if settings.clip > 0.0 && norm > settings.clip { settings.clip / norm } else { 1.0 };
            // The values of before stay in `last_good`, in case they turn out to have been the last good ones.
            state.adam.update(rate, factor as f32, &state.values, &gradients, &mut state.last_good);
            std::mem::swap(&mut state.values, &mut state.last_good);
            flow.restore(&state.values);
            if let Some(average) = &mut state.average {
                average.update(&state.values);
            }
        } else {
            counts.skipped += 1;
            counts.in_a_row += 1;
            counts.refused = outcome.refused;
            if counts.in_a_row >= HELP_AFTER && counts.lowered < MOST_HELP && counts.skipped < taken {
                (counts.in_a_row, counts.lowered) = (0, counts.lowered + 1);
                counts.factor_of_rate *= LOWERED;
                state.start_again_from_last_good(settings);
                flow.restore(&state.values);
            }
        }
        let at_end = taken == end;
        let looks = match settings.rounds {
            Some(_) => at_end,
            None => taken % settings.validate_every == 0 || at_end,
        };
        if looks {
            let average = state.average.as_ref().and_then(Average::values);
            let candidate = average.unwrap_or_else(|| state.values.clone());
            flow.restore(&candidate);
            validation = objective.validate(flow);
            let counts = &mut state.counts;
            if let Some(until) = settings.until {
                let rows = if settings.rounds.is_some() { ROUND_LOOK_ROWS } else { LOOK_ROWS };
                // A look that is good enough at the end of a round is followed by another one at once.
                for _ in 0..LOOKS_IN_A_ROW {
                    counts.looks_taken += 1;
                    let Some(found) = objective.agreement(flow, counts.looks_taken, rows)? else { break };
                    counts.enough = if until.holds(&found) { counts.enough + 1 } else { 0 };
                    counts.reached = Some(found.ess);
                    if counts.enough == 0 || settings.rounds.is_none() {
                        break;
                    }
                }
                if let (Some(ess), Some(_)) = (counts.reached, settings.rounds) {
                    counts.of_rounds.push(ess);
                    if state.of_best_round.as_ref().is_none_or(|(best, _)| ess > *best) {
                        state.of_best_round = Some((ess, candidate.clone()));
                    }
                }
            }
            flow.restore(&state.values);
            if let Some(score) = validation {
                if score.is_finite() && state.best.as_ref().is_none_or(|(best, _)| score > *best) {
                    state.best = Some((score, candidate));
                    counts.without_gain = 0;
                } else {
                    counts.without_gain += 1;
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
    }
    if reason == StopReason::Steps {
        // The last step may have brought what another reason waits for.
        reason = state.over(settings, &rounds).unwrap_or(reason);
    }

    device.try_disable_cache()?;
    state.counts.seconds = before + start.elapsed().as_secs_f64();
    match reason {
        StopReason::Interrupted => keeper.keep(state.kept(objective))?,
        _ => keeper.end(&|| state.kept(objective)),
    }
    let (weights, trained) = state.into_result(reason);
    flow.restore(&weights);
    Ok(trained)
}
