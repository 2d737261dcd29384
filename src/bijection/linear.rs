//! A linear bijection: y = A x + b of the variables, with a matrix that stays invertible whatever its values become.

use crate::error::Result;
use crate::ops::linear::{LinearMap, Matrix};
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Link, Points, Rows};
use crate::params::{self, Parameters};
use crate::seed::Stream;
use dfdx::prelude::*;
use std::sync::Arc;

/// y = A x + b, log |det ∂y/∂x| = ln |det A|; its other direction is one product, too.
#[derive(Debug, Clone)]
pub struct Linear<E: Real, D: Kernels<E>> {
    matrix: Matrix,
    columns: Arc<[usize]>,
    tensors: Vec<Rows<E, D>>,
}

/// Standard deviation of the values at the start: near the identity, or near a product of random reflections.
const START: f64 = 1e-2;

impl<E: Real, D: Kernels<E>> Linear<E, D> {
    /// A map of these columns, started from `stream`: reflections at random, all else near the identity.
    ///
    /// # Errors
    /// If the device cannot hold the values.
    pub fn new(device: &D, matrix: Matrix, columns: Vec<usize>, stream: &Stream) -> Result<Self> {
        let mut tensors = Vec::new();
        for (t, (name, len)) in matrix.tensors(columns.len()).into_iter().enumerate() {
            let mut values = vec![0.0; len];
            stream.normals((t as u64) << 40, 1, &mut values);
            let scale = match name {
                "reflections" => 1.0,
                "shift" => 0.0,
                _ => START,
            };
            let values = values.into_iter().map(|value| E::of(scale * value)).collect();
            tensors.push(params::tensor(device, values)?);
        }
        Ok(Self { matrix, columns: columns.into(), tensors })
    }

    /// Starts from the rows of `x`, if the matrix is one that does: they leave it standardised, forward or the other way.
    pub(super) fn start(&mut self, x: &Points<E, D>, forward: bool) {
        let (rows, dim) = *x.shape();
        let all: Vec<f64> = x.as_vec().into_iter().map(E::widen).collect();
        let of_column = |&column: &usize| {
            let column = || all.iter().skip(column).step_by(dim);
            let mean = column().sum::<f64>() / rows as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
            let log_deviation = 0.5 * variance.max(f64::MIN_POSITIVE).ln();
            if forward {
                (-log_deviation, -mean * (-log_deviation).exp())
            } else {
                (log_deviation, mean)
            }
        };
        let (log_scales, shift): (Vec<f64>, Vec<f64>) = self.columns.iter().map(of_column).unzip();
        if let Some(started) = self.matrix.started(&log_scales, shift) {
            let started = started.map(|values| values.into_iter().map(E::of).collect::<Vec<E>>());
            self.restore(&started);
        }
    }

    /// The same map on slices in precision `F`, with a copy of the values.
    pub(super) fn on_slices<F: Real>(&self) -> LinearMap<F> {
        LinearMap::new(self.matrix, self.columns.clone(), self.tensors.iter().map(super::copied).collect())
    }

    pub(super) fn link<M: Transform>(&self) -> Link<'_, E, D, M> {
        Link::Linear { matrix: self.matrix, tensors: self.tensors.iter().collect(), columns: &self.columns }
    }

    /// Whether `map` is this one on slices, if perhaps with other values.
    pub fn is<F: Real>(&self, map: &LinearMap<F>) -> bool {
        map.is(self.matrix, &self.columns)
    }

    /// Its values.
    pub fn tensors(&self) -> &[Rows<E, D>] {
        &self.tensors
    }
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Linear<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        let names = self.matrix.tensors(self.columns.len()).into_iter().map(|(name, _)| name.to_string());
        names.zip(&self.tensors).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.tensors.iter_mut().collect()
    }
}
