//! A layer of any kind: what a flow is a chain of.

use super::{Autoregressive, Bijection, Joint};
use crate::error::{Error, Result};
use crate::ops::autoregressive::Buffers;
use crate::ops::chunks::{Chunk, CHUNK};
use crate::ops::map::Map;
use crate::ops::real::Real;
use crate::ops::{Kernels, Link, Mapped, Points, Rows, Workspace};
use crate::params::Parameters;
use crate::transformer::Transformer;
use dfdx::prelude::*;

/// One layer.
#[derive(Debug, Clone)]
pub enum Kind<E: Real, D: Kernels<E>> {
    /// Variables transformed by what a masked network makes of others.
    Masked(Autoregressive<E, D>),
    /// A map of all variables at once.
    Joint(Joint<E, D>),
}

/// A layer with the memory that its passes use again.
#[derive(Debug, Clone)]
pub struct Layer<E: Real, D: Kernels<E>> {
    kind: Kind<E, D>,
    workspace: Workspace<E>,
}

impl<E: Real, D: Kernels<E>> From<Kind<E, D>> for Layer<E, D> {
    fn from(kind: Kind<E, D>) -> Self {
        Self { kind, workspace: Workspace::default() }
    }
}

impl<E: Real, D: Kernels<E>> Layer<E, D> {
    /// What it is.
    pub fn kind(&self) -> &Kind<E, D> {
        &self.kind
    }

    /// Whether a differentiable pass keeps no record of its way; see [`Workspace::recomputes`].
    pub fn recompute(&mut self, recompute: bool) {
        self.workspace.recompute(recompute);
    }

    /// Its trainable tensors.
    pub fn tensors(&self) -> &[Rows<E, D>] {
        match &self.kind {
            Kind::Masked(layer) => layer.conditioner().tensors(),
            Kind::Joint(layer) => layer.tensors(),
        }
    }

    /// The same map on slices in precision `F`, with a copy of the values; with `packed`, also laid out for few rows.
    pub fn on_slices<F: Real>(&self, packed: bool) -> Map<F, Transformer> {
        match &self.kind {
            Kind::Masked(layer) => Map::Masked(layer.on_slices(packed)),
            Kind::Joint(layer) => layer.on_slices(),
        }
    }

    /// Looks at the rows of `x` that come to it, on the way that it applies forward or on the other, and starts from them if it is of a kind that
    /// does.
    pub fn start(&mut self, x: &Points<E, D>, forward: bool) {
        if let Kind::Joint(layer) = &mut self.kind {
            layer.start(x, forward);
        }
    }

    fn link(&self) -> Link<'_, E, D, Transformer> {
        match &self.kind {
            Kind::Masked(layer) => layer.link(),
            Kind::Joint(layer) => layer.link(),
        }
    }
}

impl<E: Real, D: Kernels<E>> Bijection<E, D> for Layer<E, D> {
    fn forward<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        D::maps(&[self.link()], x, &self.workspace)
    }

    fn forward_all<T: Tape<E, D>>(layers: &[Self], x: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        let first = layers.first().ok_or_else(|| Error::invalid("a chain without links"))?;
        D::maps(&layers.iter().map(Self::link).collect::<Vec<_>>(), x, &first.workspace)
    }

    /// Of a masked network one sequential sweep; see [`WeightedNetwork::sweep`](crate::ops::weighted::WeightedNetwork::sweep).
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

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Layer<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        match &self.kind {
            Kind::Masked(layer) => layer.parameters(),
            Kind::Joint(layer) => layer.parameters(),
        }
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        match &mut self.kind {
            Kind::Masked(layer) => layer.parameters_mut(),
            Kind::Joint(layer) => layer.parameters_mut(),
        }
    }
}
