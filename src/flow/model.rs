//! A flow in the user's units and names: what model files hold.

use super::{Cost, Flow, FrozenFlow, Method, Orientation, Standardisation};
use crate::data::Columns;
use crate::ops::real::Real;
use crate::seed::Stream;
use crate::target::{Constraint, Density, Fatal, Faults};
use dfdx::prelude::Cpu;
use std::borrow::Cow;

/// A flow over standardised coordinates, with the way back to the user's.
#[derive(Debug, Clone)]
pub struct Model {
    /// The flow, on standardised coordinates.
    pub flow: Flow<f32, Cpu>,
    /// x = shift + scale · (standardised x).
    pub standardisation: Standardisation,
    /// The names of the coordinates.
    pub names: Vec<String>,
    /// What the coordinates stand for in the user's table: those that are no plain numbers were dithered for the fit.
    pub columns: Columns,
    /// The way from the coordinates to the values of the user's parameters.
    pub constraint: Constraint,
    /// Log densities of rows that had no part in its fit, in order; empty where there are none. −∞ is written as the lowest number.
    pub held_out: Vec<f64>,
}

/// Log densities of held-out rows that a model keeps, at most.
pub const MOST_HELD_OUT: usize = 2_000;

impl Model {
    /// Freezes it for draws and evaluation in precision `F`.
    pub fn freeze<F: Real>(&self) -> FrozenModel<F> {
        FrozenModel {
            flow: self.flow.freeze(),
            standardisation: self.standardisation.clone(),
            names: self.names.clone(),
            columns: self.columns.clone(),
            constraint: self.constraint.clone(),
            fixed: Vec::new(),
        }
    }
}

/// A [`Model`] that no longer learns. Points and log densities are in the user's units.
#[derive(Debug, Clone)]
pub struct FrozenModel<F> {
    pub(super) flow: FrozenFlow<F>,
    pub(super) standardisation: Standardisation,
    pub(super) names: Vec<String>,
    pub(super) columns: Columns,
    pub(super) constraint: Constraint,
    /// What the flow is given, in its coordinates, where that is fixed.
    pub(super) fixed: Vec<f64>,
}

impl<F: Real> FrozenModel<F> {
    /// Puts the coordinates that stand for values on a grid, days or words on the nearest of them, and angles into their turn, in place.
    pub fn snap(&self, points: &mut [f64]) {
        self.columns.snap(points);
        self.standardisation.turn(points);
    }

    /// What the coordinates stand for in the user's table.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The way between the user's coordinates and the flow's.
    pub fn standardisation(&self) -> &Standardisation {
        &self.standardisation
    }

    /// The number of columns of a row.
    pub fn dim(&self) -> usize {
        self.names.len()
    }

    /// The names of the coordinates.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The way from the coordinates to the values of the user's parameters.
    pub fn constraint(&self) -> &Constraint {
        &self.constraint
    }

    /// The names of the user's values: those of the parameters, of the columns of the table, or of the coordinates.
    pub fn value_names(&self) -> Vec<String> {
        let of_columns = || if self.columns.is_plain() { self.names.clone() } else { self.columns.names() };
        self.constraint.value_names().unwrap_or_else(of_columns)
    }

    /// Turns rows of coordinates into rows of the user's values, and their log densities into those of the values. Words are their numbers
    /// ([`Columns::collapse`]), and the density of a row is that of its coordinates.
    ///
    /// # Panics
    /// If `points` is not `log_prob.len()` × dim.
    pub fn constrain(&self, points: Vec<f64>, log_prob: &mut [f64]) -> Vec<f64> {
        if self.constraint.value_names().is_none() {
            return self.columns.collapse(&points);
        }
        let (dim, width) = (self.dim(), self.constraint.values(self.dim()));
        let mut values = vec![0.0; log_prob.len() * width];
        for ((point, values), log_prob) in points.chunks_exact(dim).zip(values.chunks_exact_mut(width)).zip(log_prob) {
            *log_prob -= self.constraint.constrain(point, values);
        }
        values
    }

    /// Fills the log densities of rows of the user's values: −∞ outside their supports.
    ///
    /// # Panics
    /// If `values` has not as many rows as `log_prob`.
    pub fn log_prob_of_values(&self, values: &[f64], log_prob: &mut [f64]) {
        if !self.columns.is_plain() {
            return self.log_prob(&self.columns.expand(values), log_prob);
        }
        let (dim, width) = (self.dim(), self.constraint.values(self.dim()));
        assert_eq!(values.len(), log_prob.len() * width);
        let (mut points, mut log_jacobians) = (vec![0.0; log_prob.len() * dim], Vec::with_capacity(log_prob.len()));
        for (values, point) in values.chunks_exact(width).zip(points.chunks_exact_mut(dim)) {
            let log_jacobian = self.constraint.unconstrain(values, point).ok();
            if log_jacobian.is_none() {
                point.fill(0.0);
            }
            log_jacobians.push(log_jacobian);
        }
        self.log_prob(&points, log_prob);
        for (value, log_jacobian) in log_prob.iter_mut().zip(log_jacobians) {
            *value = log_jacobian.map_or(f64::NEG_INFINITY, |log_jacobian| *value - log_jacobian);
        }
    }

    /// Which direction takes one pass.
    pub fn orientation(&self) -> Orientation {
        self.flow.orientation()
    }

    /// What its densities and draws cost.
    pub fn cost(&self) -> Cost {
        self.flow.cost()
    }

    /// The numbers that one draw takes: what is given, in the flow's coordinates, and standard normals.
    pub fn noise_width(&self) -> usize {
        self.flow.noise_width() - self.fixed.len()
    }

    /// Fills `points` and their log densities with the draws of rows `first ..` of `stream`, computing a sequential direction by
    /// `method`. What the points' columns that are given hold already is what is given.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn draw(&self, method: Method, stream: &Stream, first: u64, points: &mut [f64], log_prob: &mut [f64]) {
        let log_jacobian = self.drawn_by(points, |points| self.flow.draw(method, stream, first, points, log_prob));
        subtract(log_prob, &log_jacobian);
    }

    /// [`FrozenModel::draw`] from known noise, [`FrozenModel::noise_width`] numbers to a row.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim, and those of the noise × the noise width.
    pub fn push(&self, method: Method, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        let noise = match self.fixed.len() {
            0 => Cow::Borrowed(noise),
            _ => {
                let beside = |row: &[f64]| self.fixed.iter().chain(row).copied().collect::<Vec<f64>>();
                Cow::Owned(noise.chunks_exact(self.noise_width()).flat_map(beside).collect())
            }
        };
        let log_jacobian = self.drawn_by(points, |points| self.flow.push_with(method, &noise, points, log_prob));
        subtract(log_prob, &log_jacobian);
    }

    /// Fills the log densities of `points`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob(&self, points: &[f64], log_prob: &mut [f64]) {
        let mut standardised = points.to_vec();
        let mut log_jacobian = vec![0.0; log_prob.len()];
        self.standardisation.apply(&mut standardised, &mut log_jacobian);
        if !self.fixed.is_empty() {
            standardised = self.beside_fixed(&standardised);
        }
        self.flow.log_prob(&standardised, log_prob);
        subtract(log_prob, &log_jacobian);
    }

    /// Fills the log densities of `points` and their gradients.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob_and_gradient(&self, points: &[f64], log_prob: &mut [f64], gradients: &mut [f64]) {
        let mut standardised = points.to_vec();
        let mut log_jacobian = vec![0.0; log_prob.len()];
        self.standardisation.apply(&mut standardised, &mut log_jacobian);
        if self.fixed.is_empty() {
            self.flow.log_prob_and_gradient(&standardised, log_prob, gradients);
        } else {
            let wide = self.beside_fixed(&standardised);
            let mut slopes = vec![0.0; wide.len()];
            self.flow.log_prob_and_gradient(&wide, log_prob, &mut slopes);
            self.take_variables(&slopes, gradients);
        }
        subtract(log_prob, &log_jacobian);
        self.standardisation.push_forward(&standardised, gradients);
    }
}

/// A point outside the bounds of a link has no image in the flow's coordinates: its density is zero.
fn subtract(log_prob: &mut [f64], log_jacobian: &[f64]) {
    for (value, log_jacobian) in log_prob.iter_mut().zip(log_jacobian) {
        *value = if log_jacobian.is_finite() { *value - log_jacobian } else { f64::NEG_INFINITY };
    }
}

/// A teacher is a target like any other, and one whose normaliser is known.
impl<F: Real> Density for FrozenModel<F> {
    fn dim(&self) -> usize {
        self.names.len()
    }

    fn given(&self) -> usize {
        self.space().given
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
            Some(gradients) => self.log_prob_and_gradient(points, values, gradients),
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
