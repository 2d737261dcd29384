//! Invertible maps of R^d with the logarithm of their Jacobian determinant.

mod autoregressive;
mod chain;
mod joint;
mod layer;

pub use autoregressive::Autoregressive;
pub use chain::Chain;
pub use joint::Joint;
pub use layer::{Kind, Layer};

use crate::error::{Error, Result};
use crate::ops::real::Real;
use crate::ops::{Kernels, Mapped, Points, Rows};
use crate::params::{values, Parameters};
use dfdx::prelude::*;

/// A bijection of R^d. Value and log |det J| are always computed together.
pub trait Bijection<E: Real, D: Kernels<E>>: Parameters<E, D> {
    /// The images of the rows of `x` and log |det ∂y/∂x| of each: the direction that takes one pass, differentiable.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn forward<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Mapped<E, D, T>>;

    /// The images under all of `links`, one after another. A kind of bijection that can be fused with its like does so here.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn forward_all<T: Tape<E, D>>(links: &[Self], x: Points<E, D, T>) -> Result<Mapped<E, D, T>>
    where
        Self: Sized,
    {
        let rows = x.shape().0;
        let tape = T::default();
        let zeros: Rows<E, D> = x.device().try_zeros_like(&(rows,)).map_err(tensor_error)?;
        let (mut y, mut total) = (x, zeros.put_tape(tape));
        for link in links {
            let (image, log_det) = link.forward(y)?;
            total = total.try_add(log_det).map_err(tensor_error)?;
            y = image;
        }
        Ok((y, total))
    }

    /// The preimages of the rows of `y` and log |det ∂x/∂y| of each.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn inverse(&self, y: &Points<E, D>) -> Result<Mapped<E, D>>;
}

/// The values of a tensor in precision `F`.
fn copied<E: Real, D: Kernels<E>, F: Real>(tensor: &Rows<E, D>) -> Vec<F> {
    values(tensor).into_iter().map(|value: E| F::of(value.widen())).collect()
}

fn tensor_error(error: impl std::fmt::Debug) -> Error {
    Error::Tensor(format!("{error:?}"))
}
