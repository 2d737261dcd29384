//! What the tensor library lacks: the ops of masked networks and maps of all variables, on tape and on slices; transformers are given to them.
//!
//! The only room with custom backward code and hand-written kernels. `stock` composes the library's own ops and is the oracle; `taped`
//! wraps the kernels on slices, which the frozen flow calls directly. `lanes` has the products, `autoregressive` the maps made of them.
#![allow(clippy::needless_range_loop, reason = "kernels count registers and layers through several arrays at a time")]

pub mod activation;
mod adjoint;
pub mod autoregressive;
pub mod batch;
pub mod chunks;
pub mod compiled;
pub mod elementwise;
pub mod group;
pub mod joint;
pub mod lanes;
pub mod linear;
pub mod map;
mod masked_linear;
pub mod network;
mod packed;
mod panels;
pub mod pool;
pub mod real;
mod recompute;
pub mod root;
pub mod staircase;
pub(crate) mod stock;
mod straight;
mod taped;
mod tile;
pub mod transform;
pub mod ways;
pub mod weight_gradient;
pub mod weighted;
mod workspace;

pub use workspace::Workspace;

use crate::error::Result;
use dfdx::prelude::*;
use joint::Joint;
use network::Network;
use real::Real;
use std::sync::Arc;
use transform::Transform;

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
pub trait Kernels<E: Real>: Device<E> + Send {
    /// The images of `x` under `links`, one after another, and the log-dets of the rows.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn maps<T: Tape<E, Self>, M: Transform>(
        links: &[Link<'_, E, Self, M>],
        x: Points<E, Self, T>,
        _workspace: &Workspace<E>,
    ) -> Result<Mapped<E, Self, T>> {
        stock::maps(links, x)
    }
}

/// One map with its trainable tensors, as [`Kernels::maps`] takes it.
pub enum Link<'a, E: Real, D: Device<E>, M> {
    /// Variables transformed by what a masked network makes of others.
    Masked {
        /// The structure of the conditioner.
        network: &'a Arc<Network>,
        /// The weights of the conditioner, in the order of [`Network::tensors`].
        tensors: Vec<&'a Rows<E, D>>,
        /// `order[i]` is the column of `x` that is input `i` of the network.
        order: &'a Arc<[usize]>,
        /// What is done to each variable.
        transform: M,
    },
    /// A map of all variables at once.
    Joint {
        /// What it is.
        joint: Joint,
        /// Its values, in the order of [`Joint::tensors`].
        tensors: Vec<&'a Rows<E, D>>,
        /// The columns that it maps.
        columns: &'a Arc<[usize]>,
    },
}

impl<'a, E: Real, D: Device<E>, M> Link<'a, E, D, M> {
    /// The trainable tensors.
    pub fn tensors(&self) -> &[&'a Rows<E, D>] {
        match self {
            Link::Masked { tensors, .. } | Link::Joint { tensors, .. } => tensors,
        }
    }
}

impl Kernels<f64> for Cpu {}
