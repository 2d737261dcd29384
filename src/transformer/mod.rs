//! Monotone scalar maps, given their parameters: what an autoregressive bijection does to each variable.

use crate::error::Result;
use crate::ops::affine::Affine;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
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

impl Transformer {
    /// What is wrong with its constants.
    pub fn fault(&self) -> Option<String> {
        let Transformer::Affine { max_scale } = self;
        (!(max_scale.is_finite() && *max_scale > 1.0 && *max_scale <= 1e12))
            .then(|| format!("max_scale is {max_scale}; a number above 1 and at most 1e12 is right"))
    }

    fn transform(&self) -> Affine {
        match self {
            Transformer::Affine { max_scale } => Affine { bound: max_scale.ln() },
        }
    }
}

impl Transform for Transformer {
    fn per_variable(&self) -> usize {
        self.transform().per_variable()
    }

    fn kept(&self) -> usize {
        self.transform().kept()
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        self.transform().forward_lanes(stride, x, parameters, log_det, keep);
    }

    fn backward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_y: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    ) {
        self.transform().backward_lanes(stride, x, kept, d_y, d_log_det, d_parameters);
    }

    fn adjoint_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_x: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    ) {
        self.transform().adjoint_lanes(stride, x, kept, d_x, d_log_det, d_parameters);
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        self.transform().inverse_lanes(stride, y, parameters, log_det);
    }

    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        order: &Arc<[usize]>,
        x: Points<E, D>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        self.transform().on_tape(order, x, parameters)
    }
}
