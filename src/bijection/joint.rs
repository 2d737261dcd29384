//! A bijection of all variables at once, linear or not, that stays one whatever its values become.

use crate::error::Result;
use crate::ops::joint;
use crate::ops::map::Map;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Link, Points, Rows};
use crate::params::{self, Parameters};
use crate::seed::Stream;
use dfdx::prelude::*;
use std::sync::Arc;

/// What its directions cost is the map's own affair: a formula, or an equation that is solved ([`joint::Joint`]).
#[derive(Debug, Clone)]
pub struct Joint<E: Real, D: Kernels<E>> {
    joint: joint::Joint,
    columns: Arc<[usize]>,
    tensors: Vec<Rows<E, D>>,
}

impl<E: Real, D: Kernels<E>> Joint<E, D> {
    /// A map of these columns, started from `stream` near the identity, or near a product of random reflections.
    ///
    /// # Errors
    /// If the device cannot hold the values.
    pub fn new(device: &D, joint: joint::Joint, columns: Vec<usize>, stream: &Stream) -> Result<Self> {
        let (mut tensors, starts) = (Vec::new(), joint.starts(columns.len()));
        for (t, (_, len)) in joint.tensors(columns.len()).into_iter().enumerate() {
            let mut values = vec![0.0; len];
            stream.normals((t as u64) << 40, 1, &mut values);
            let scale = starts[t];
            let values = values.into_iter().map(|value| E::of(scale * value)).collect();
            tensors.push(params::tensor(device, values)?);
        }
        Ok(Self { joint, columns: columns.into(), tensors })
    }

    /// Starts from the rows of `x`, if it is one that does: they leave it standardised, forward or the other way.
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
        if let Some(started) = self.joint.started(&log_scales, shift) {
            let started = started.map(|values| values.into_iter().map(E::of).collect::<Vec<E>>());
            self.restore(&started);
        }
    }

    /// The same map on slices in precision `F`, with a copy of the values and nothing estimated.
    pub(super) fn on_slices<F: Real, M: Transform>(&self) -> Map<F, M> {
        Map::joint(self.joint.exact(), self.columns.clone(), self.tensors.iter().map(super::copied).collect())
    }

    pub(super) fn link<M: Transform>(&self) -> Link<'_, E, D, M> {
        Link::Joint { joint: self.joint.clone(), tensors: self.tensors.iter().collect(), columns: &self.columns }
    }

    /// Whether `map` is this one on slices, if perhaps with other values.
    pub fn is<F: Real, M: Transform>(&self, map: &Map<F, M>) -> bool {
        map.is_joint(&self.joint.exact(), &self.columns)
    }

    /// Its values.
    pub fn tensors(&self) -> &[Rows<E, D>] {
        &self.tensors
    }
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Joint<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        let names = self.joint.tensors(self.columns.len()).into_iter().map(|(name, _)| name.to_string());
        names.zip(&self.tensors).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.tensors.iter_mut().collect()
    }
}
