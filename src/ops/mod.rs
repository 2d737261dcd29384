//! What the tensor library lacks: the ops of masked networks and transformers, on tape and on slices.
//!
//! The only room with custom backward code and hand-written kernels. `stock` composes the library's own ops and is the oracle; `taped`
//! wraps the kernels on slices, which the frozen flow calls directly.

pub mod activation;
pub mod affine;
pub mod chunks;
pub mod masked_linear;
pub mod network;
pub mod packed;
pub mod real;
pub mod sequential;
pub mod staircase;
mod stock;
mod taped;
pub mod tile;

use crate::error::Result;
use dfdx::prelude::*;
use network::Network;
use real::Real;
use std::sync::Arc;

/// One point a row.
pub type Points<E, D, T = NoneTape> = Tensor<(usize, usize), E, D, T>;

/// One number a row; also the form of every trainable tensor.
pub type Rows<E, D, T = NoneTape> = Tensor<(usize,), E, D, T>;

/// Points and one number for each: a map's image and log-det, or draws and their log density.
pub type Mapped<E, D, T = NoneTape> = (Points<E, D, T>, Rows<E, D, T>);

/// A device with the ops that the tensor library lacks.
///
/// The provided methods compose stock ops, so `impl Kernels<f64> for Cpu {}` is the oracle of the tests and another device works
/// unfused; `impl Kernels<f32> for Cpu` calls the hand-written kernels.
///
/// `order[i]` is the column of `x` that has degree `i + 1`.
pub trait Kernels<E: Real>: Device<E> {
    /// The outputs of a masked network (rows × [`Network::outputs`], variable-major in degree order) at `x`, with weights
    /// `tensors` in the order of [`Network::tensors`].
    fn masked_network<T: Tape<E, Self>>(
        network: &Arc<Network>,
        tensors: &[&Rows<E, Self>],
        order: &Arc<[usize]>,
        x: Points<E, Self, T>,
    ) -> Result<Points<E, Self, T>> {
        stock::masked_network(network, tensors, order, x)
    }

    /// y = x·eˢ + t with s = c·tanh(raw / c), c = `bound`, from `parameters` (raw and t side by side for each variable), and the
    /// log-det Σ s of each row.
    fn affine<T: Tape<E, Self>>(
        bound: f64,
        order: &Arc<[usize]>,
        x: Points<E, Self>,
        parameters: Points<E, Self, T>,
    ) -> Result<Mapped<E, Self, T>> {
        stock::affine(bound, order, x, parameters)
    }
}

impl Kernels<f64> for Cpu {}
