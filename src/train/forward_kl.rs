//! Forward KL of a sampler: its mean surprise at draws from elsewhere.

use super::contexts::Contexts;
use super::objective::weighted_mean;
use super::{Agreement, Epochs, Objective, Outcome, LOOK_ROWS};
use crate::error::Result;
use crate::flow::{Flow, FrozenModel, Method, Pass, Standardisation};
use crate::params::Parts;
use crate::seed::Stream;
use dfdx::prelude::Cpu;

/// Draws that a sampler is to find likely, in the user's units.
pub enum Draws<'a> {
    /// Given rows, row-major, in batches without replacement.
    Given(&'a [f64], Epochs),
    /// Fresh draws of a teacher in each step, from the noise of this stream.
    Fresh(&'a FrozenModel<f32>, Stream),
}

/// −mean log q(x) over draws x of p, which is KL(p ‖ q) plus the entropy of p; p is only known by its draws.
///
/// Each step inverts the flow at the draws by one sequential sweep and finds the gradient by its adjoint, both of which use every weight
/// once: there is no unrolled tape.
pub struct ForwardKl<'a> {
    draws: Draws<'a>,
    contexts: Option<Contexts>,
    standardisation: Standardisation,
    batch: usize,
    validation: Vec<f64>,
    validation_log_jacobian: Vec<f64>,
    weights: [Vec<f64>; 2],
    /// The step since which batches have their size, and the fresh rows before it.
    since: (u64, u64),
    pass: Pass<f32>,
    points: Vec<f64>,
    log_jacobian: Vec<f64>,
    log_q: Vec<f64>,
}

impl<'a> ForwardKl<'a> {
    /// An objective for a flow over coordinates standardised so.
    pub fn new(draws: Draws<'a>, standardisation: Standardisation, batch: usize) -> Self {
        let batch = match &draws {
            Draws::Given(_, epochs) => epochs.batch(),
            Draws::Fresh(..) => batch,
        };
        Self {
            draws,
            contexts: None,
            standardisation,
            batch,
            validation: Vec::new(),
            validation_log_jacobian: Vec::new(),
            weights: Default::default(),
            since: (0, 0),
            pass: Pass::default(),
            points: Vec::new(),
            log_jacobian: Vec::new(),
            log_q: Vec::new(),
        }
    }

    /// The same averaged over what fresh draws are given, where the flow has columns that are.
    pub fn among(self, contexts: Option<Contexts>) -> Self {
        Self { contexts, ..self }
    }

    /// The same with rows kept aside (row-major, in the user's units) that decide when to stop.
    pub fn validated(mut self, rows: &[f64]) -> Self {
        let dim = self.standardisation.shift.len();
        let mut log_jacobian = vec![0.0; rows.len() / dim];
        self.validation = rows.to_vec();
        self.standardisation.apply(&mut self.validation, &mut log_jacobian);
        self.validation_log_jacobian = log_jacobian;
        self
    }

    /// The same with weights of the given rows and of those kept aside, each of mean 1 (none: all 1).
    pub fn weighted(mut self, rows: &[f64], validation: &[f64]) -> Self {
        self.weights = [rows.to_vec(), validation.to_vec()];
        self
    }
}

impl Objective for ForwardKl<'_> {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let (batch, dim) = (self.batch, flow.dim());
        let Self { points, log_jacobian, log_q, weights, .. } = self;
        let mut of_rows: Vec<f64> = vec![1.0; batch];
        [&mut *log_jacobian, log_q].into_iter().for_each(|sums| sums.resize(batch, 0.0));
        points.resize(batch * dim, 0.0);
        match &mut self.draws {
            Draws::Given(rows, epochs) => {
                for ((row, point), weight) in epochs.rows_of(step).zip(points.chunks_exact_mut(dim)).zip(&mut of_rows) {
                    *weight = weights[0].get(row).copied().unwrap_or(1.0);
                    point.copy_from_slice(&rows[row * dim..(row + 1) * dim]);
                }
            }
            Draws::Fresh(teacher, stream) => {
                let first = self.since.1 + (step - self.since.0) * batch as u64;
                if let Some(contexts) = &self.contexts {
                    contexts.fill_users(first, 1, points, dim);
                }
                teacher.draw(Method::Cached, stream, first, points, log_q);
            }
        }
        self.standardisation.apply(points, log_jacobian);
        self.pass.log_prob(flow, points, log_q)?;
        let surprises = log_jacobian.iter().zip(&*log_q).map(|(log_jacobian, log_q)| log_jacobian - log_q);
        let loss: f64 = surprises.zip(&of_rows).map(|(surprise, weight)| weight * surprise).sum();
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        of_rows.iter_mut().for_each(|weight| *weight /= batch as f64);
        self.pass.add_gradients_of_surprise(&of_rows, gradients);
        Ok(Outcome { loss: loss / batch as f64, ..Outcome::default() })
    }

    /// The mean log density of the validation rows, in the user's units.
    fn validate(&self, flow: &Flow<f32, Cpu>) -> Option<f64> {
        if self.validation.is_empty() {
            return None;
        }
        let mut log_prob = vec![0.0; self.validation.len() / flow.dim()];
        flow.freeze::<f32>().log_prob(&self.validation, &mut log_prob);
        let surprises = log_prob.iter().zip(&self.validation_log_jacobian);
        let log_prob: Vec<f64> = surprises.map(|(log_prob, log_jacobian)| log_prob - log_jacobian).collect();
        Some(weighted_mean(&log_prob, &self.weights[1]))
    }

    fn widen(&mut self, step: u64, batch: usize) {
        if matches!(self.draws, Draws::Fresh(..)) {
            self.since = (step, self.since.1 + (step - self.since.0) * self.batch as u64);
            self.batch = batch;
        }
    }

    /// Over draws of the teacher p: 1/E_p[p/q], which is the share that draws of q would have as p/q has the mean 1 under q.
    fn agreement(&mut self, flow: &Flow<f32, Cpu>, look: u64, rows: usize) -> Result<Option<Agreement>> {
        let Draws::Fresh(teacher, stream) = &self.draws else { return Ok(None) };
        let mut points = vec![0.0; rows * flow.dim()];
        let [mut log_p, mut log_q, mut log_jacobian] = [(); 3].map(|()| vec![0.0; rows]);
        let first = look * LOOK_ROWS as u64;
        if let Some(contexts) = &self.contexts {
            contexts.fill_users(u64::MAX / 2 + first, 1, &mut points, flow.dim());
        }
        teacher.draw(Method::Cached, &stream.child("looks"), first, &mut points, &mut log_p);
        self.standardisation.apply(&mut points, &mut log_jacobian);
        flow.freeze::<f32>().log_prob(&points, &mut log_q);
        let log_weights = log_p.iter().zip(&log_jacobian).zip(&log_q).map(|((p, jacobian), q)| p + jacobian - q);
        let log_weights: Vec<f64> = log_weights.collect();
        let most = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = log_weights.iter().map(|w| (w - most).exp()).sum::<f64>() / rows as f64;
        Ok(Some(Agreement::of((-most - mean.ln()).exp().min(1.0), rows)))
    }

    fn keep(&self, under: &str, parts: &mut Parts) {
        parts.words.insert(format!("{under}.since"), vec![self.since.0, self.since.1, self.batch as u64]);
    }

    fn go_on(&mut self, under: &str, parts: &Parts) -> std::result::Result<(), String> {
        let [step, rows, batch] = parts.counters(&format!("{under}.since"))?;
        (self.since, self.batch) = ((step, rows), batch as usize);
        Ok(())
    }
}
