//! A batch of rows on its way through a flow that still learns, on slices and with a record: what objectives for a sampler are made of.

use super::{Base, Flow, Normal, Orientation};
use crate::bijection::{Kind, Layer};
use crate::error::{Error, Result};
use crate::ops::batch::Batch;
use crate::ops::map::Map;
use crate::ops::real::Real;
use crate::ops::Kernels;
use crate::params::copy_values;
use crate::transformer::Transformer;
use std::sync::Arc;

/// A batch carried through a flow in the `Sampling` orientation. Its memory is used again from step to step.
///
/// Slices are row-major and in the flow's coordinates.
#[derive(Debug)]
pub struct Pass<E> {
    maps: Vec<Map<E, Transformer>>,
    base: Arc<dyn Base>,
    /// The lengths of the base's tensors, which come after those of the maps.
    base_tensors: Vec<usize>,
    batch: Batch<E>,
    /// The standard normals of the draws.
    noise: Vec<f64>,
    /// The draws of the base.
    z: Vec<f64>,
    scaled: Vec<f64>,
    sums: Vec<f64>,
}

impl<E: Real> Default for Pass<E> {
    fn default() -> Self {
        let [noise, z, scaled, sums] = [const { Vec::new() }; 4];
        let base = Arc::new(Normal { dim: 0 });
        Self { maps: Vec::new(), base, base_tensors: Vec::new(), batch: Batch::default(), noise, z, scaled, sums }
    }
}

impl<E: Real> Pass<E> {
    /// The base as it was at the last [`Pass::push`] or [`Pass::log_prob`].
    pub fn base(&self) -> &dyn Base {
        self.base.as_ref()
    }

    /// Fills `points` and their log densities from rows of noise, [`Base::noise_width`] numbers each: what is given, and standard normals.
    ///
    /// # Errors
    /// In the `Density` orientation.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim, and those of the noise × the noise width.
    pub fn push<D: Kernels<E>>(
        &mut self,
        flow: &Flow<E, D>,
        noise: &[f64],
        points: &mut [f64],
        log_prob: &mut [f64],
    ) -> Result<()> {
        self.take_weights(flow)?;
        let (dim, width) = (flow.dim(), self.base.noise_width());
        assert_eq!(noise.len(), log_prob.len() * width, "rows × noise width numbers");
        self.noise.clear();
        self.noise.extend_from_slice(noise);
        self.z.resize(log_prob.len() * dim, 0.0);
        let rows = self.z.chunks_exact_mut(dim).zip(noise.chunks_exact(width));
        rows.for_each(|(z, noise)| self.base.push(noise, z));
        self.batch.forward(&self.maps, &self.z, points, log_prob);
        for (value, z) in log_prob.iter_mut().zip(self.z.chunks_exact(dim)) {
            *value = self.base.log_prob(z) - *value;
        }
        Ok(())
    }

    /// Fills the log densities of `points`, wherever they come from, by one sequential sweep.
    ///
    /// # Errors
    /// In the `Density` orientation.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob<D: Kernels<E>>(&mut self, flow: &Flow<E, D>, points: &[f64], log_prob: &mut [f64]) -> Result<()> {
        self.take_weights(flow)?;
        self.z.resize(points.len(), 0.0);
        self.batch.inverse(&self.maps, points, &mut self.z, log_prob);
        for (value, z) in log_prob.iter_mut().zip(self.z.chunks_exact(flow.dim())) {
            *value += self.base.log_prob(z);
        }
        Ok(())
    }

    /// Fills ∂ log q(x)/∂x with the parameters held fixed, at the points of the last [`Pass::push`] or [`Pass::log_prob`].
    ///
    /// # Panics
    /// If there was none, or `scores` is not as long as its points.
    pub fn score(&mut self, scores: &mut [f64]) {
        self.base_scores();
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
        let (of_maps, of_base) = gradients.split_at_mut(gradients.len() - self.base_tensors.len());
        self.batch.add_weight_gradients(&self.maps, d_points, &self.sums, of_maps);
        if of_base.is_empty() {
            return;
        }
        // What reaches the draws of the base through the maps, and through its own log density.
        let dim = self.base.dim();
        self.base_scores();
        let mut d_z = vec![0.0; self.z.len()];
        self.batch.d_points(&mut d_z);
        let rows = d_z.chunks_exact_mut(dim).zip(self.scaled.chunks_exact(dim)).zip(d_log_prob);
        rows.for_each(|((d_z, score), d)| d_z.iter_mut().zip(score).for_each(|(d_z, score)| *d_z += d * score));
        let (mut places, mut slopes) = (vec![0; dim], vec![0.0; dim]);
        for (t, gradient) in of_base.iter_mut().enumerate() {
            for (noise, d_z) in self.noise.chunks_exact(self.base.noise_width()).zip(d_z.chunks_exact(dim)) {
                self.base.push_slopes(t, noise, &mut places, &mut slopes);
                let cells = places.iter().zip(&slopes).zip(d_z);
                cells.for_each(|((&place, slope), d_z)| gradient[place] += E::of(slope * d_z));
            }
        }
        self.add_base_gradients(d_log_prob, of_base);
    }

    /// Adds Σ_rows −share · ∂ log q(x)/∂θ at the points of the last [`Pass::log_prob`] to `gradients`.
    ///
    /// # Panics
    /// As [`Pass::add_gradients_of_push`].
    pub fn add_gradients_of_surprise(&mut self, shares: &[f64], gradients: &mut [Vec<E>]) {
        self.base_scores();
        let scores = self.scaled.chunks_exact_mut(self.base.dim()).zip(shares);
        scores.for_each(|(score, share)| score.iter_mut().for_each(|score| *score *= share));
        let (of_maps, of_base) = gradients.split_at_mut(gradients.len() - self.base_tensors.len());
        self.batch.add_adjoint_weight_gradients(&self.maps, &self.scaled, shares, of_maps);
        let negated: Vec<f64> = shares.iter().map(|share| -share).collect();
        self.add_base_gradients(&negated, of_base);
    }

    /// Adds Σ_rows factor · ∂ log b(z)/∂θ at fixed draws z of the base.
    fn add_base_gradients(&self, factors: &[f64], gradients: &mut [Vec<E>]) {
        if gradients.is_empty() {
            return;
        }
        let mut slopes = vec![0.0; self.base_tensors.iter().sum()];
        for (z, factor) in self.z.chunks_exact(self.base.dim()).zip(factors) {
            self.base.log_prob_slopes(z, &mut slopes);
            let all = gradients.iter_mut().flatten().zip(&slopes);
            all.for_each(|(gradient, slope)| *gradient += E::of(factor * slope));
        }
    }

    /// Fills `scaled` with ∂ log b(z)/∂z.
    fn base_scores(&mut self) {
        let dim = self.base.dim();
        self.scaled.resize(self.z.len(), 0.0);
        let rows = self.scaled.chunks_exact_mut(dim).zip(self.z.chunks_exact(dim));
        rows.for_each(|(score, z)| self.base.score(z, score));
    }

    /// Brings the maps and the base up to date with the flow.
    fn take_weights<D: Kernels<E>>(&mut self, flow: &Flow<E, D>) -> Result<()> {
        if flow.orientation() != Orientation::Sampling {
            return Err(Error::invalid("a pass of draws needs a flow in the Sampling orientation"));
        }
        self.base = flow.base();
        self.batch.recompute(flow.recompute);
        self.base_tensors =
            flow.config().base.settings().tensors(flow.space().variables).into_iter().map(|(_, len)| len).collect();
        let is_of = |(map, layer): (&Map<E, Transformer>, &Layer<E, D>)| match (map, layer.kind()) {
            (Map::Masked(map), Kind::Masked(layer)) => {
                Arc::ptr_eq(map.network().network(), layer.conditioner().network())
            }
            (map, Kind::Joint(layer)) => layer.is(map),
            _ => false,
        };
        if self.maps.len() != flow.layers().len() || !self.maps.iter().zip(flow.layers()).all(is_of) {
            self.maps = flow.layers().iter().map(|layer| layer.on_slices(false)).collect();
            return Ok(());
        }
        for (map, layer) in self.maps.iter_mut().zip(flow.layers()) {
            map.overwrite(|t, values| copy_values(&layer.tensors()[t], values));
        }
        Ok(())
    }
}
