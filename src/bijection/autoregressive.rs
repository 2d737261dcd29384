//! The autoregressive bijection: each variable is mapped monotonically, with parameters that depend on the variables before it.

use super::Bijection;
use crate::conditioner::Made;
use crate::error::Result;
use crate::ops::real::Real;
use crate::ops::sequential::SequentialNetwork;
use crate::ops::tile::padded;
use crate::ops::{Kernels, Mapped, Points, Rows};
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
}

impl<E: Real, D: Kernels<E>> Autoregressive<E, D> {
    /// A bijection from its two halves.
    pub fn new(conditioner: Made<E, D>, transformer: Transformer) -> Self {
        Self { conditioner, transformer }
    }

    /// The conditioner.
    pub fn conditioner(&self) -> &Made<E, D> {
        &self.conditioner
    }

    /// The transformer.
    pub fn transformer(&self) -> &Transformer {
        &self.transformer
    }
}

impl<E: Real, D: Kernels<E>> Bijection<E, D> for Autoregressive<E, D> {
    fn forward<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        let (x, tape) = x.split_tape();
        let parameters = self.conditioner.forward(x.clone().put_tape(tape))?;
        self.transformer.forward(self.conditioner.order(), x, parameters)
    }

    /// One sequential sweep; see [`SequentialNetwork`].
    fn inverse(&self, y: &Points<E, D>) -> Result<Mapped<E, D>> {
        let (rows, width) = *y.shape();
        let tensors: Vec<Vec<E>> = self.parameters().iter().map(|(_, tensor)| values(tensor)).collect();
        let tensors: Vec<&[E]> = tensors.iter().map(Vec::as_slice).collect();
        let network = SequentialNetwork::new(self.conditioner.network(), &tensors);
        let order = self.conditioner.order();
        let mut points = y.as_vec();
        let mut log_det = vec![0.0; rows];
        let x = network.sweep(rows, |i, parameters, x| {
            for (x, row) in x.iter_mut().zip(points.chunks_exact(width)) {
                *x = row[order[i]];
            }
            self.transformer.inverse_lanes(parameters, x, &mut log_det);
        });
        for (&column, lanes) in order.iter().zip(x.chunks_exact(padded(rows))) {
            for (row, &value) in points.chunks_exact_mut(width).zip(lanes) {
                row[column] = value;
            }
        }
        let log_det = log_det.into_iter().map(E::of).collect();
        Ok((y.device().tensor_from_vec(points, (rows, width)), y.device().tensor_from_vec(log_det, (rows,))))
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
