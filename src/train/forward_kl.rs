//! Forward KL of a sampler: its mean surprise at draws from elsewhere.

use super::{Epochs, Objective, Outcome};
use crate::error::Result;
use crate::flow::{Flow, FrozenModel, Method, Pass, Standardisation};
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
    standardisation: Standardisation,
    batch: usize,
    validation: Vec<f64>,
    validation_log_jacobian: f64,
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
            standardisation,
            batch,
            validation: Vec::new(),
            validation_log_jacobian: 0.0,
            pass: Pass::default(),
            points: Vec::new(),
            log_jacobian: Vec::new(),
            log_q: Vec::new(),
        }
    }

    /// The same with rows kept aside (row-major, in the user's units) that decide when to stop.
    pub fn validated(mut self, rows: &[f64]) -> Self {
        let dim = self.standardisation.shift.len();
        let mut log_jacobian = vec![0.0; rows.len() / dim];
        self.validation = rows.to_vec();
        self.standardisation.apply(&mut self.validation, &mut log_jacobian);
        self.validation_log_jacobian = log_jacobian.iter().sum::<f64>() / log_jacobian.len() as f64;
        self
    }
}

impl Objective for ForwardKl<'_> {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let (batch, dim) = (self.batch, flow.dim());
        let Self { points, log_jacobian, log_q, .. } = self;
        [&mut *log_jacobian, log_q].into_iter().for_each(|sums| sums.resize(batch, 0.0));
        points.resize(batch * dim, 0.0);
        match &mut self.draws {
            Draws::Given(rows, epochs) => {
                for (row, point) in epochs.rows_of(step).zip(points.chunks_exact_mut(dim)) {
                    point.copy_from_slice(&rows[row * dim..(row + 1) * dim]);
                }
            }
            Draws::Fresh(teacher, stream) => {
                teacher.draw(Method::Cached, stream, step * batch as u64, points, log_q);
            }
        }
        self.standardisation.apply(points, log_jacobian);
        self.pass.log_prob(flow, points, log_q)?;
        let loss = log_jacobian.iter().zip(&*log_q).map(|(log_jacobian, log_q)| log_jacobian - log_q).sum::<f64>();
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        log_jacobian.fill(1.0 / batch as f64);
        self.pass.add_gradients_of_surprise(log_jacobian, gradients);
        Ok(Outcome { loss: loss / batch as f64, ..Outcome::default() })
    }

    /// The mean log density of the validation rows, in the user's units.
    fn validate(&self, flow: &Flow<f32, Cpu>) -> Option<f64> {
        if self.validation.is_empty() {
            return None;
        }
        let mut log_prob = vec![0.0; self.validation.len() / flow.dim()];
        flow.freeze::<f32>().log_prob(&self.validation, &mut log_prob);
        Some(log_prob.iter().sum::<f64>() / log_prob.len() as f64 - self.validation_log_jacobian)
    }
}
