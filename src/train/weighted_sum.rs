//! A weighted sum of objectives.

use super::{Agreement, Objective, Outcome};
use crate::error::Result;
use crate::flow::Flow;
use crate::params::Parts;
use dfdx::prelude::Cpu;

/// Σ weight · loss. Effective sample size and inverse temperature are those of the first part that has them; there is a validation score
/// only if every part has one.
pub struct WeightedSum<'a> {
    parts: Vec<(f64, Box<dyn Objective + 'a>)>,
    buffer: Vec<Vec<f32>>,
}

impl<'a> WeightedSum<'a> {
    /// A sum of `parts` with their weights. Parts of weight zero are left out.
    pub fn new(parts: Vec<(f64, Box<dyn Objective + 'a>)>) -> Self {
        let parts = parts.into_iter().filter(|(weight, _)| *weight != 0.0).collect();
        Self { parts, buffer: Vec::new() }
    }
}

impl Objective for WeightedSum<'_> {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let mut sum = Outcome::default();
        for (p, (weight, part)) in self.parts.iter_mut().enumerate() {
            if p == 1 {
                self.buffer.resize_with(gradients.len(), Vec::new);
                self.buffer.iter_mut().zip(&*gradients).for_each(|(to, like)| to.resize(like.len(), 0.0));
            }
            let here = if p == 0 { &mut *gradients } else { &mut self.buffer[..] };
            let Outcome { loss, ess, failed_rows, beta, target_seconds, refused } = part.evaluate(flow, step, here)?;
            sum.loss += *weight * loss;
            sum.ess = sum.ess.or(ess);
            sum.failed_rows += failed_rows;
            sum.target_seconds += target_seconds;
            sum.beta = sum.beta.or(beta);
            sum.refused = sum.refused.or(refused);
            let factor = *weight as f32;
            if p > 0 {
                for (to, from) in gradients.iter_mut().zip(&self.buffer) {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
                }
            } else if factor != 1.0 {
                gradients.iter_mut().flatten().for_each(|value| *value *= factor);
            }
        }
        Ok(sum)
    }

    fn validate(&self, flow: &Flow<f32, Cpu>) -> Option<f64> {
        self.parts.iter().map(|(weight, part)| Some(weight * part.validate(flow)?)).sum()
    }

    fn widen(&mut self, step: u64, batch: usize) {
        self.parts.iter_mut().for_each(|(_, part)| part.widen(step, batch));
    }

    /// The least of those of the parts that know it.
    fn agreement(&mut self, flow: &Flow<f32, Cpu>, look: u64, rows: usize) -> Result<Option<Agreement>> {
        let mut least: Option<Agreement> = None;
        for (_, part) in &mut self.parts {
            if let Some(found) = part.agreement(flow, look, rows)? {
                least = Some(least.filter(|least| least.ess <= found.ess).unwrap_or(found));
            }
        }
        Ok(least)
    }

    fn keep(&self, under: &str, parts: &mut Parts) {
        self.parts.iter().enumerate().for_each(|(p, (_, part))| part.keep(&format!("{under}.{p}"), parts));
    }

    fn go_on(&mut self, under: &str, parts: &Parts) -> std::result::Result<(), String> {
        let mut places = self.parts.iter_mut().enumerate();
        places.try_for_each(|(p, (_, part))| part.go_on(&format!("{under}.{p}"), parts))
    }
}
