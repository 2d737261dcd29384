//! The autoregressive bijection: each variable is mapped monotonically, with parameters that depend on the variables before it.

use super::Bijection;
use crate::conditioner::Made;
use crate::error::{Error, Result};
use crate::ops::autoregressive::{AutoregressiveMap, Buffers};
use crate::ops::chunks::{Chunk, CHUNK};
use crate::ops::real::Real;
use crate::ops::weighted::WeightedNetwork;
use crate::ops::{Kernels, Link, Mapped, Points, Rows, Workspace};
use crate::params::{values, Parameters};
use crate::transformer::Transformer;
use dfdx::prelude::*;

/// `y_i = τ(x_i; c_i(x_<i))` for a conditioner c and a transformer τ, in the conditioner's order of variables.
///
/// log |det ∂y/∂x| = Σ log ∂y_i/∂x_i, since the Jacobian is triangular in that order (Papamakarios et al. 2021, section 3.1).
#[derive(Debug, Clone)]
pub struct Autoregressive<E: Real, D: Kernels<E>> {
    conditioner: Made<E, D>,
    transformer: Transformer,
    workspace: Workspace<E>,
}

impl<E: Real, D: Kernels<E>> Autoregressive<E, D> {
    /// A bijection from its two halves.
    pub fn new(conditioner: Made<E, D>, transformer: Transformer) -> Self {
        Self { conditioner, transformer, workspace: Workspace::default() }
    }

    /// The conditioner.
    pub fn conditioner(&self) -> &Made<E, D> {
        &self.conditioner
    }

    /// The transformer.
    pub fn transformer(&self) -> &Transformer {
        &self.transformer
    }

    /// The same map on slices in precision `F`, with a copy of the weights; `packed` as in [`AutoregressiveMap::new`].
    pub fn on_slices<F: Real>(&self, packed: bool) -> AutoregressiveMap<F, Transformer> {
        let copy = |tensor| values(tensor).into_iter().map(|value: E| F::of(value.widen())).collect();
        let tensors = self.conditioner.tensors().iter().map(copy).collect();
        let network = WeightedNetwork::new(self.conditioner.network(), tensors);
        AutoregressiveMap::new(self.conditioner.order().clone(), self.transformer, network, packed)
    }

    fn link(&self) -> Link<'_, E, D, Transformer> {
        Link {
            network: self.conditioner.network(),
            tensors: self.conditioner.tensors().iter().collect(),
            order: self.conditioner.order(),
            transform: self.transformer,
        }
    }
}

impl<E: Real, D: Kernels<E>> Bijection<E, D> for Autoregressive<E, D> {
    fn forward<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        D::autoregressive(&[self.link()], x, &self.workspace)
    }

    fn forward_all<T: Tape<E, D>>(links: &[Self], x: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        let first = links.first().ok_or_else(|| Error::invalid("a chain without links"))?;
        D::autoregressive(&links.iter().map(Self::link).collect::<Vec<_>>(), x, &first.workspace)
    }

    /// One sequential sweep; see [`WeightedNetwork::sweep`].
    fn inverse(&self, y: &Points<E, D>) -> Result<Mapped<E, D>> {
        let (rows, dim) = *y.shape();
        let map = self.on_slices::<E>(false);
        let (mut points, mut log_det) = (y.as_vec(), Vec::with_capacity(rows));
        let (mut chunk, mut buffers) = (Chunk::default(), Buffers::default());
        for points in points.chunks_mut(CHUNK * dim) {
            chunk.load(dim, points, |value| value);
            map.inverse(&mut chunk, &mut buffers);
            chunk.store(dim, points, |value| value);
            log_det.extend(chunk.log_det[..chunk.rows()].iter().map(|&sum| E::of(sum)));
        }
        Ok((y.device().tensor_from_vec(points, (rows, dim)), y.device().tensor_from_vec(log_det, (rows,))))
    }
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Autoregressive<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        self.conditioner.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.conditioner.parameters_mut()
    }
}
