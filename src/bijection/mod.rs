//! Invertible maps of R^d with the logarithm of their Jacobian determinant.

mod autoregressive;
mod chain;

pub use autoregressive::Autoregressive;
pub use chain::Chain;

use crate::error::Result;
use crate::ops::real::Real;
use crate::ops::{Kernels, Mapped, Points};
use crate::params::Parameters;
use dfdx::prelude::Tape;

/// A bijection of R^d. Value and log |det J| are always computed together.
pub trait Bijection<E: Real, D: Kernels<E>>: Parameters<E, D> {
    /// The images of the rows of `x` and log |det ∂y/∂x| of each: the direction that takes one pass, differentiable.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn forward<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Mapped<E, D, T>>;

    /// The preimages of the rows of `y` and log |det ∂x/∂y| of each.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn inverse(&self, y: &Points<E, D>) -> Result<Mapped<E, D>>;
}
