//! Reverse KL against an unnormalized target, which may be a frozen teacher.

use super::annealing::{ess, Annealing};
use super::contexts::{Contexts, TOGETHER};
use super::replay::{Again, Paid};
use super::{Agreement, Objective, Outcome, Replay, LOOK_ROWS};
use crate::error::{Error, Result};
use crate::flow::{fresh_noise, Flow, Method, Pass, Standardisation};
use crate::params::Parts;
use crate::seed::Stream;
use crate::target::{evaluate_in_pieces, Density, Faults};
use dfdx::prelude::Cpu;
use serde::{Deserialize, Serialize};

/// Which gradient of the reverse KL is followed. Both have the same mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Gradient {
    /// The derivative of log q(x(θ); θ) − log γ(x(θ)) by θ, all of it.
    Total,
    /// The derivative along the path x(θ) only, as if log q did not depend on θ otherwise (Roeder, Wu and Duvenaud 2017; Vaitl et al. 2022).
    /// What is left out has the mean zero; without it the noise of the gradient vanishes as q comes near γ/Z.
    #[default]
    Path,
}

/// E_q[log q(x) − log γ(x)] over fresh draws x of the flow, which is KL(q ‖ γ/Z) − log Z.
///
/// Only the value and the gradient of log γ are asked for. With x = T(z; θ) the total gradient pulls −∇ log γ(x) back through T and takes
/// log q(x) = log b(z) − log |det ∂T/∂z| by itself; the path gradient pulls ∇ log q(x) − ∇ log γ(x) back, where ∇ log q comes from the
/// sequential adjoint sweep over the record of the draws: four thirds of the arithmetic.
pub struct ReverseKl<'a> {
    target: &'a dyn Density,
    standardisation: Standardisation,
    batch: usize,
    /// The step since which batches have that size, and the rows before it.
    since: (u64, u64),
    stream: Stream,
    contexts: Option<Contexts>,
    gradient: Gradient,
    annealing: Option<Annealing>,
    replay: Option<Replay>,
    /// The step from which on they are.
    replay_from: u64,
    paid: Paid,
    again: Again,
    /// The turn of fresh and kept steps in which kept draws were found to be too far.
    moved_on: Option<u64>,
    pass: Pass<f32>,
    memory: Memory,
}

/// What a step needs, used again in the next; row-major where it is of points. Draws, gradients and scores are in the flow's coordinates.
#[derive(Default)]
struct Memory {
    noise: Vec<f64>,
    draws: Vec<f64>,
    log_q: Vec<f64>,
    points: Vec<f64>,
    log_jacobian: Vec<f64>,
    values: Vec<f64>,
    slopes: Vec<f64>,
    scores: Vec<f64>,
    to_target: Vec<f64>,
    to_base: Vec<f64>,
    shares: Vec<f64>,
}

impl<'a> ReverseKl<'a> {
    /// An objective for a flow over coordinates standardised so, by its total gradient; `stream` gives the noise, row by row.
    pub fn new(target: &'a dyn Density, standardisation: Standardisation, batch: usize, stream: Stream) -> Self {
        Self {
            target,
            standardisation,
            batch,
            since: (0, 0),
            stream,
            contexts: None,
            gradient: Gradient::Total,
            annealing: None,
            replay: None,
            replay_from: 0,
            paid: Paid::default(),
            again: Again::default(),
            moved_on: None,
            pass: Pass::default(),
            memory: Memory::default(),
        }
    }

    /// The same by another gradient.
    pub fn by(self, gradient: Gradient) -> Self {
        Self { gradient, ..self }
    }

    /// The same averaged over what the draws are given, where the flow has columns that are.
    pub fn among(self, contexts: Option<Contexts>) -> Self {
        Self { contexts, ..self }
    }

    /// Whether weights of draws that are given different things can be compared: not where each context has a normaliser of its own.
    fn comparable(&self) -> bool {
        self.contexts.is_none() || self.target.log_normalizer().is_some()
    }

    /// The same with an annealed target. The loss and the ESS that are reported are those of the target itself.
    pub fn annealed(self, annealing: Annealing) -> Self {
        Self { annealing: Some(annealing), ..self }
    }

    /// The same with draws that are used again from step `from` on, by the path gradient, where nothing is annealed and the flow's base does
    /// not learn: a kept draw x is one of the flow as it is now with the weight q(x)/q_then(x), and its path gradient needs no more than
    /// ∇ log γ(x), which is known. Elsewhere nothing changes.
    pub fn replaying(self, replay: Option<Replay>, from: u64) -> Self {
        Self { replay, replay_from: from, ..self }
    }

    /// How draws are used again for this flow.
    fn replay(&self, flow: &Flow<f32, Cpu>) -> Option<Replay> {
        let learns = !flow.config().base.settings().tensors(flow.space().variables).is_empty();
        self.replay.filter(|_| self.gradient == Gradient::Path && self.annealing.is_none() && !learns)
    }

    /// A step over kept draws; none where there are too few, or the flow is no longer near those that drew them.
    fn step_again(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Option<Outcome>> {
        let (batch, dim, comparable) = (self.batch, flow.dim(), self.comparable());
        if self.paid.rows() < batch {
            return Ok(None);
        }
        let Self { paid, again, pass, memory: Memory { log_q, scores, shares, .. }, .. } = self;
        paid.take(batch, &self.stream.child("replay"), step, again);
        log_q.resize(batch, 0.0);
        pass.log_prob(flow, &again.points, log_q)?;
        if !paid.weigh(log_q, again) {
            return Ok(None);
        }
        scores.resize(batch * dim, 0.0);
        pass.score(scores);
        let rows = scores.chunks_exact_mut(dim).zip(again.slopes.chunks_exact(dim)).zip(&again.shares);
        for ((score, slope), share) in rows {
            let pull = |score: f64, slope: f64| if *share > 0.0 { share * (score - slope) } else { 0.0 };
            score.iter_mut().zip(slope).for_each(|(score, slope)| *score = pull(*score, *slope));
        }
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        shares.clear();
        shares.resize(batch, 0.0);
        pass.add_gradients_of_push(scores, shares, gradients);
        let log_weights = || again.values.iter().zip(&*log_q).map(|(value, log_q)| value - log_q);
        let loss: f64 = log_weights().zip(&again.shares).map(|(log_weight, share)| -share * log_weight).sum();
        let loss = loss / again.shares.iter().sum::<f64>();
        let ess = comparable.then(|| ess(log_weights()));
        Ok(Some(Outcome { loss, ess, ..Outcome::default() }))
    }
}

impl Objective for ReverseKl<'_> {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let replay = self.replay(flow);
        if let Some(Replay { times, .. }) = replay {
            // A flow that has moved on from its draws does so again: it is not asked more than once after each step over fresh ones.
            let turn = step / (times + 1);
            if step >= self.replay_from && !step.is_multiple_of(times + 1) && self.moved_on != Some(turn) {
                match self.step_again(flow, step, gradients)? {
                    Some(outcome) => return Ok(outcome),
                    None => self.moved_on = Some(turn),
                }
            }
        }
        let (batch, dim, width) = (self.batch, flow.dim(), flow.noise_width());
        let (given, comparable) = (flow.space().given, self.comparable());
        let Memory { noise, draws, log_q, points, log_jacobian, values, slopes, scores, to_target, to_base, shares } =
            &mut self.memory;
        [&mut *draws, points, slopes, scores].into_iter().for_each(|rows| rows.resize(batch * dim, 0.0));
        [&mut *log_q, log_jacobian, values, shares].into_iter().for_each(|sums| sums.resize(batch, 0.0));
        let first = self.since.1 + (step - self.since.0) * batch as u64;
        if let Some(contexts) = &self.contexts {
            contexts.fill_flows(first, 1, draws, dim);
        }
        fresh_noise(&self.stream, first, (draws, dim, given), width, noise);
        let strata = flow.base().strata(batch);
        if let Some(strata) = &strata {
            strata.fix(noise, width);
        }
        self.pass.push(flow, noise, draws, log_q)?;

        points.copy_from_slice(draws);
        self.standardisation.undo(points, log_jacobian);
        if let Some(contexts) = &self.contexts {
            // As they are in the table, to the last bit.
            contexts.fill_users(first, 1, points, dim);
        }
        let mut faults = Faults::default();
        let asked = std::time::Instant::now();
        evaluate_in_pieces(self.target, points, values, Some(slopes), &mut faults)
            .map_err(|fatal| Error::Target(fatal.0))?;
        let target_seconds = asked.elapsed().as_secs_f64();
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        self.standardisation.pull_back(draws, slopes);

        // A row that failed or has density zero keeps its place in the batch but adds no gradient.
        match &strata {
            None => shares.fill(1.0 / batch as f64),
            Some(strata) => shares.copy_from_slice(strata.shares()),
        }
        let (mut usable, mut loss, mut share_in_use) = (0, 0.0, 0.0);
        to_target.clear();
        for (row, slope) in slopes.chunks_exact(dim).enumerate() {
            let log_weight = values[row] + log_jacobian[row] - log_q[row];
            to_target.push(log_weight);
            let used = values[row].is_finite() && slope.iter().all(|slope| slope.is_finite());
            if used {
                usable += 1;
                share_in_use += shares[row];
                loss -= shares[row] * log_weight;
            } else {
                shares[row] = 0.0;
            }
        }
        if usable == 0 {
            // The next draws are others; the trainer knows what to do if none of them can be used either.
            let reason = faults.reason().unwrap_or("the density is zero, or its gradient is not finite");
            let refused = Some(format!("none of the {batch} draws of step {} could be used: {reason}", step + 1));
            gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
            return Ok(Outcome { loss: f64::NAN, failed_rows: batch, target_seconds, refused, ..Outcome::default() });
        }
        let mut beta = 1.0;
        if let Some(annealing) = &mut self.annealing {
            to_base.clear();
            to_base.extend(draws.chunks_exact(dim).zip(&*log_q).map(|(x, log_q)| annealing.log_base(x) - log_q));
            beta = annealing.advance(step, to_target, to_base);
            if beta < 1.0 {
                draws
                    .chunks_exact(dim)
                    .zip(slopes.chunks_exact_mut(dim))
                    .for_each(|(x, slope)| annealing.temper(x, slope));
            }
        }

        if let Some(replay) = replay {
            for row in (0..batch).filter(|&row| shares[row] > 0.0) {
                let (point, slope) = (&draws[row * dim..][..dim], &slopes[row * dim..][..dim]);
                self.paid.keep(replay.batches * batch, point, slope, log_q[row], values[row] + log_jacobian[row]);
            }
        }

        // From here on `slopes` becomes the gradient at the draws.
        let score = match self.gradient {
            Gradient::Total => None,
            Gradient::Path => {
                self.pass.score(scores);
                Some(&*scores)
            }
        };
        for (row, (slope, share)) in slopes.chunks_exact_mut(dim).zip(&*shares).enumerate() {
            for (i, slope) in slope.iter_mut().enumerate() {
                let pull = score.map_or(0.0, |scores| scores[row * dim + i]) - *slope;
                *slope = if *share > 0.0 { pull * share } else { 0.0 };
            }
        }
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        if let (Some(strata), Some(logits)) = (&strata, gradients.last_mut()) {
            // The logits are the last tensor of a base that has strata. What the target's loss is at each row, annealed if it is.
            let loss = |row: usize| {
                let annealed = if beta < 1.0 { (1.0 - beta) * to_base[row] } else { 0.0 };
                if shares[row] > 0.0 {
                    -(beta * to_target[row] + annealed)
                } else {
                    f64::NAN
                }
            };
            strata.add_gradient(&(0..batch).map(loss).collect::<Vec<_>>(), logits);
        }
        if self.gradient == Gradient::Path {
            shares.fill(0.0);
        }
        self.pass.add_gradients_of_push(slopes, shares, gradients);
        Ok(Outcome {
            loss: loss / share_in_use,
            ess: comparable.then(|| ess(to_target.iter().copied())),
            failed_rows: batch - usable,
            beta: self.annealing.as_ref().map(|_| beta),
            target_seconds,
            refused: None,
        })
    }

    fn widen(&mut self, step: u64, batch: usize) {
        self.since = (step, self.since.1 + (step - self.since.0) * self.batch as u64);
        self.batch = batch;
    }

    /// Over draws of the flow; those that the target cannot evaluate have the weight zero.
    fn agreement(&mut self, flow: &Flow<f32, Cpu>, look: u64, rows: usize) -> Result<Option<Agreement>> {
        let dim = flow.dim();
        let mut points = vec![0.0; rows * dim];
        let [mut log_q, mut log_jacobian, mut values] = [(); 3].map(|()| vec![0.0; rows]);
        let (stream, first) = (self.stream.child("looks"), look * LOOK_ROWS as u64);
        // Other contexts than those of any step.
        let apart = u64::MAX / 2 + first;
        if let Some(contexts) = &self.contexts {
            contexts.fill_flows(apart, TOGETHER, &mut points, dim);
        }
        flow.freeze::<f32>().draw(Method::Cached, &stream, first, &mut points, &mut log_q);
        self.standardisation.undo(&mut points, &mut log_jacobian);
        if let Some(contexts) = &self.contexts {
            contexts.fill_users(apart, TOGETHER, &mut points, dim);
        }
        let mut faults = Faults::default();
        evaluate_in_pieces(self.target, &points, &mut values, None, &mut faults)
            .map_err(|fatal| Error::Target(fatal.0))?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        let log_weights =
            values.iter().zip(&log_jacobian).zip(&log_q).map(|((value, jacobian), q)| value + jacobian - q);
        if self.comparable() {
            return Ok(Some(Agreement::of(ess(log_weights), rows)));
        }
        let log_weights: Vec<f64> = log_weights.collect();
        let of_contexts = log_weights.chunks(TOGETHER).map(|log_weights| ess(log_weights.iter().copied()));
        let mean = of_contexts.sum::<f64>() / log_weights.chunks(TOGETHER).len() as f64;
        Ok(Some(Agreement::of(mean, rows)))
    }

    fn keep(&self, under: &str, parts: &mut Parts) {
        let moved_on = self.moved_on.map_or(0, |turn| turn + 1);
        let words = vec![self.since.0, self.since.1, self.batch as u64, moved_on];
        parts.words.insert(format!("{under}.since"), words);
        if let Some(annealing) = &self.annealing {
            parts.doubles.insert(format!("{under}.beta"), vec![annealing.beta()]);
        }
        self.paid.put(under, parts);
    }

    fn go_on(&mut self, under: &str, parts: &Parts) -> std::result::Result<(), String> {
        let [step, rows, batch, moved_on] = parts.counters(&format!("{under}.since"))?;
        (self.since, self.batch, self.moved_on) = ((step, rows), batch as usize, moved_on.checked_sub(1));
        if let Some(annealing) = &mut self.annealing {
            annealing.go_on(parts.doubles_of(&format!("{under}.beta"))?[..].first().copied().unwrap_or(0.0));
        }
        self.paid = Paid::of(under, parts)?;
        Ok(())
    }
}
