//! Monotone scalar maps, given their parameters: what an autoregressive bijection does to each variable.

use crate::error::Result;
use crate::ops::affine::{self, Scales};
use crate::ops::real::Real;
use crate::ops::{Kernels, Mapped, Points};
use dfdx::prelude::Tape;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which monotone map, with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Transformer {
    /// y = x·eˢ + t with s = c·tanh(raw / c) and c = ln `max_scale`.
    ///
    /// A soft bound rather than a clamp: it leaves small scales alone, never cuts a gradient to zero, and allows the large
    /// ones that a funnel needs.
    Affine {
        /// The largest factor by which one layer may stretch or shrink a variable.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
}

fn default_max_scale() -> f64 {
    1000.0
}

impl Default for Transformer {
    fn default() -> Self {
        Transformer::Affine { max_scale: default_max_scale() }
    }
}

/// What a forward pass on slices keeps for its backward pass.
pub type Kept<E> = Scales<E>;

impl Transformer {
    /// The number of parameters that each variable takes.
    pub fn per_variable(&self) -> usize {
        match self {
            Transformer::Affine { .. } => affine::PER_VARIABLE,
        }
    }

    /// What is wrong with its constants.
    pub fn fault(&self) -> Option<String> {
        let Transformer::Affine { max_scale } = self;
        (!(max_scale.is_finite() && *max_scale > 1.0 && *max_scale <= 1e12))
            .then(|| format!("max_scale is {max_scale}; a number above 1 and at most 1e12 is right"))
    }

    fn bound(&self) -> f64 {
        match self {
            Transformer::Affine { max_scale } => max_scale.ln(),
        }
    }

    /// The images of `x` and the log-dets of the rows, on tape.
    ///
    /// # Errors
    /// If the tensor library fails.
    pub fn forward<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        order: &Arc<[usize]>,
        x: Points<E, D>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        D::affine(self.bound(), order, x, parameters)
    }

    /// The images of `x` (rows × `width`, in the order of the parameters) in place; adds the log-dets.
    pub fn forward_rows<E: Real>(
        &self,
        width: usize,
        x: &mut [E],
        parameters: &[E],
        stride: usize,
        log_det: &mut [f64],
        keep: Option<&mut Kept<E>>,
    ) {
        affine::forward(self.bound(), width, x, parameters, stride, log_det, keep);
    }

    /// The gradients of [`Transformer::forward_rows`]; see [`affine::backward`].
    #[allow(clippy::too_many_arguments)]
    pub fn backward_rows<E: Real>(
        &self,
        width: usize,
        x: &[E],
        kept: &Kept<E>,
        d_y: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
        stride: usize,
    ) {
        affine::backward(width, x, kept, d_y, d_log_det, d_parameters, stride);
    }

    /// Solves one variable over many lanes in place; adds the inverse's log-dets.
    pub fn inverse_lanes<E: Real>(&self, parameters: &[E], y_to_x: &mut [E], log_det: &mut [f64]) {
        affine::inverse_lanes(self.bound(), parameters, y_to_x, log_det);
    }
}
