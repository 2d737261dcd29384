//! The additive transform: y = x + t.

use super::settings::TransformerSettings;
use crate::error::Result;
use crate::ops::elementwise::{add, subtract};
use crate::ops::real::Real;
use crate::ops::stock::tensor_error;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points, Rows};
use dfdx::prelude::*;

/// y = x + t (Dinh, Krueger and Bengio 2015). The parameter is t; volumes stay as they are: log |∂y/∂x| = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Additive;

impl TransformerSettings for Additive {
    type Map = Self;
    const EXAMPLE: &'static str = "Additive";

    fn fault(&self) -> Option<String> {
        None
    }

    fn map(&self) -> Self {
        *self
    }
}

impl Transform for Additive {
    fn per_variable(&self) -> usize {
        1
    }

    fn kept(&self) -> usize {
        0
    }

    fn forward_lanes<E: Real>(&self, _: usize, x: &mut [E], parameters: &[E], _: &mut [f64], _: Option<&mut [E]>) {
        add(parameters, x);
    }

    /// ∂y/∂x = ∂y/∂t = 1.
    fn backward_lanes<E: Real>(&self, _: usize, _: &[E], _: &[E], d_y: &mut [E], _: &[E], d_parameters: &mut [E]) {
        d_parameters.copy_from_slice(d_y);
    }

    fn adjoint_lanes<E: Real>(&self, _: usize, _: &[E], _: &[E], d_x: &mut [E], _: &[E], d_parameters: &mut [E]) {
        d_parameters.copy_from_slice(d_x);
    }

    fn inverse_lanes<E: Real>(&self, _: usize, y: &mut [E], parameters: &[E], _: &mut [f64]) {
        subtract(parameters, y);
    }

    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        let rows = x.shape().0;
        let log_det: Rows<E, D> = x.device().try_zeros_like(&(rows,)).map_err(tensor_error)?;
        let y = x.try_add(parameters).map_err(tensor_error)?;
        Ok((y, log_det.put_tape(T::default())))
    }
}
