//! A flow in the user's units and names: what model files hold.

use super::{Flow, FrozenFlow, Method, Orientation, Standardisation};
use crate::error::Result;
use crate::ops::real::Real;
use crate::target::{Density, Fatal, Faults};
use dfdx::prelude::Cpu;

/// A flow over standardised coordinates, with the way back to the user's.
#[derive(Debug, Clone)]
pub struct Model {
    /// The flow, on standardised coordinates.
    pub flow: Flow<f32, Cpu>,
    /// x = shift + scale · (standardised x).
    pub standardisation: Standardisation,
    /// The names of the coordinates.
    pub names: Vec<String>,
}

impl Model {
    /// Freezes it for draws and evaluation in precision `F`; `for_gradients` makes room for gradients of the log density.
    pub fn freeze<F: Real>(&self, for_gradients: bool) -> FrozenModel<F> {
        FrozenModel {
            flow: self.flow.freeze(for_gradients),
            standardisation: self.standardisation.clone(),
            names: self.names.clone(),
        }
    }
}

/// A [`Model`] that no longer learns. Points and log densities are in the user's units.
#[derive(Debug, Clone)]
pub struct FrozenModel<F> {
    flow: FrozenFlow<F>,
    standardisation: Standardisation,
    names: Vec<String>,
}

impl<F: Real> FrozenModel<F> {
    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.flow.dim()
    }

    /// The names of the coordinates.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Which direction takes one pass.
    pub fn orientation(&self) -> Orientation {
        self.flow.orientation()
    }

    /// Fills `points` and their log densities from standard normal `noise`, computing a sequential direction by `method`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn push(&self, method: Method, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        self.flow.push_with(method, noise, points, log_prob);
        self.standardisation.undo(points);
        let shift = self.standardisation.log_det();
        log_prob.iter_mut().for_each(|value| *value -= shift);
    }

    /// Fills the log densities of `points`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob(&self, points: &[f64], log_prob: &mut [f64]) {
        let mut standardised = points.to_vec();
        self.standardisation.apply(&mut standardised);
        self.flow.log_prob(&standardised, log_prob);
        let shift = self.standardisation.log_det();
        log_prob.iter_mut().for_each(|value| *value -= shift);
    }

    /// Fills the log densities of `points` and their gradients.
    ///
    /// # Errors
    /// In the `Sampling` orientation.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim, or it was not frozen for gradients.
    pub fn log_prob_and_gradient(&self, points: &[f64], log_prob: &mut [f64], gradients: &mut [f64]) -> Result<()> {
        let mut standardised = points.to_vec();
        self.standardisation.apply(&mut standardised);
        self.flow.log_prob_and_gradient(&standardised, log_prob, gradients)?;
        let shift = self.standardisation.log_det();
        log_prob.iter_mut().for_each(|value| *value -= shift);
        for row in gradients.chunks_exact_mut(self.dim()) {
            row.iter_mut().zip(&self.standardisation.scale).for_each(|(g, scale)| *g /= scale);
        }
        Ok(())
    }
}

/// A teacher is a target like any other, and one whose normaliser is known.
impl<F: Real> Density for FrozenModel<F> {
    fn dim(&self) -> usize {
        self.flow.dim()
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        _faults: &mut Faults,
    ) -> std::result::Result<(), Fatal> {
        match gradients {
            None => self.log_prob(points, values),
            Some(gradients) => {
                self.log_prob_and_gradient(points, values, gradients).map_err(|error| Fatal(error.to_string()))?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }
}
