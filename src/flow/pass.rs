//! A batch of rows on its way through a flow that still learns, on slices and with a record: what objectives for a sampler are made of.

use super::frozen::standard_normal;
use super::{Flow, Orientation};
use crate::bijection::Autoregressive;
use crate::error::{Error, Result};
use crate::ops::autoregressive::AutoregressiveMap;
use crate::ops::batch::Batch;
use crate::ops::real::Real;
use crate::ops::Kernels;
use crate::params::copy_values;
use crate::transformer::Transformer;

/// A batch carried through a flow in the `Sampling` orientation. Its memory is used again from step to step.
///
/// Slices are row-major and in the flow's coordinates.
#[derive(Debug, Default)]
pub struct Pass<E> {
    maps: Vec<AutoregressiveMap<E, Transformer>>,
    batch: Batch<E>,
    noise: Vec<f64>,
    scaled: Vec<f64>,
    sums: Vec<f64>,
}

impl<E: Real> Pass<E> {
    /// Fills `points` and their log densities from base `noise`.
    ///
    /// # Errors
    /// In the `Density` orientation.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn push<D: Kernels<E>>(
        &mut self,
        flow: &Flow<E, D>,
        noise: &[f64],
        points: &mut [f64],
        log_prob: &mut [f64],
    ) -> Result<()> {
        self.take_weights(flow)?;
        self.batch.forward(&self.maps, noise, points, log_prob);
        self.noise.clear();
        self.noise.extend_from_slice(noise);
        for (value, z) in log_prob.iter_mut().zip(noise.chunks_exact(flow.dim())) {
            *value = standard_normal(z.iter().copied()) - *value;
        }
        Ok(())
    }

    /// Fills the log densities of `points`, wherever they come from, by one sequential sweep.
    ///
    /// # Errors
    /// In the `Density` orientation.
    ///
    /// # Panics
    /// As [`Pass::push`].
    pub fn log_prob<D: Kernels<E>>(&mut self, flow: &Flow<E, D>, points: &[f64], log_prob: &mut [f64]) -> Result<()> {
        self.take_weights(flow)?;
        self.noise.resize(points.len(), 0.0);
        self.batch.inverse(&self.maps, points, &mut self.noise, log_prob);
        for (value, z) in log_prob.iter_mut().zip(self.noise.chunks_exact(flow.dim())) {
            *value += standard_normal(z.iter().copied());
        }
        Ok(())
    }

    /// Fills ∂ log q(x)/∂x with the parameters held fixed, at the points of the last [`Pass::push`] or [`Pass::log_prob`].
    ///
    /// # Panics
    /// If there was none, or `scores` is not as long as its points.
    pub fn score(&mut self, scores: &mut [f64]) {
        self.scaled.clear();
        self.scaled.extend(self.noise.iter().map(|z| -z));
        self.batch.adjoint(&self.maps, &self.scaled, scores);
    }

    /// Adds Σ_rows (d_point · ∂x/∂θ + d_log_prob · ∂ log q/∂θ) at the noise of the last [`Pass::push`] to `gradients`, which are those of the
    /// flow's parameters.
    ///
    /// # Panics
    /// If a slice is not as long as it has to be.
    pub fn add_gradients_of_push(&mut self, d_points: &[f64], d_log_prob: &[f64], gradients: &mut [Vec<E>]) {
        self.sums.clear();
        self.sums.extend(d_log_prob.iter().map(|d| -d));
        self.batch.add_weight_gradients(&self.maps, d_points, &self.sums, gradients);
    }

    /// Adds Σ_rows −share · ∂ log q(x)/∂θ at the points of the last [`Pass::log_prob`] to `gradients`.
    ///
    /// # Panics
    /// As [`Pass::add_gradients_of_push`].
    pub fn add_gradients_of_surprise(&mut self, shares: &[f64], gradients: &mut [Vec<E>]) {
        let dim = self.noise.len() / shares.len();
        self.scaled.clear();
        for (z, share) in self.noise.chunks_exact(dim).zip(shares) {
            self.scaled.extend(z.iter().map(|z| -z * share));
        }
        self.batch.add_adjoint_weight_gradients(&self.maps, &self.scaled, shares, gradients);
    }

    /// Brings the maps up to date with the flow.
    fn take_weights<D: Kernels<E>>(&mut self, flow: &Flow<E, D>) -> Result<()> {
        if flow.orientation() != Orientation::Sampling {
            return Err(Error::invalid("a pass of draws needs a flow in the Sampling orientation"));
        }
        let is_of = |(map, layer): (&AutoregressiveMap<E, Transformer>, &Autoregressive<E, D>)| {
            std::sync::Arc::ptr_eq(map.network().network(), layer.conditioner().network())
        };
        if self.maps.len() != flow.layers().len() || !self.maps.iter().zip(flow.layers()).all(is_of) {
            self.maps = flow.layers().iter().map(|layer| layer.on_slices(false)).collect();
            return Ok(());
        }
        for (map, layer) in self.maps.iter_mut().zip(flow.layers()) {
            for (values, tensor) in map.tensors_mut().zip(layer.conditioner().tensors()) {
                copy_values(tensor, values);
            }
        }
        Ok(())
    }
}
