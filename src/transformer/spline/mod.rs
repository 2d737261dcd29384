//! The spline transform: a monotone rational-quadratic spline with linear tails, then an affine map with a soft bound.

mod backward;
mod bins;
mod forward;
mod inverse;
mod oracle;

use super::settings::{fault_of_count, fault_of_limit, fault_of_scale, TransformerSettings};
use crate::error::Result;
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points};
use dfdx::prelude::Tape;
use pulp::Arch;
use serde::{Deserialize, Serialize};

/// The most bins of a spline.
pub const MOST_BINS: usize = 32;

/// The smallest slope h / w that a bin can have.
pub const FLATTEST: f64 = 0.0625;

/// The smallest width of a bin, as a share of all; no bin is much steeper than the inverse of it.
pub const NARROWEST: f64 = 0.01;

/// How far the slope at a knot can be from the harmonic mean of the slopes of its two bins: by this factor either way.
pub const SWING: f64 = 8.0;

/// What is written for a spline: a monotone rational-quadratic one between ±`limit`, the identity outside, followed by the affine map.
///
/// One layer can then bend a variable into several modes, which affine layers cannot. See [`Spline`] for its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Spline", deny_unknown_fields, default)]
pub struct SplineSettings {
    /// The number of bins, 2 to [`MOST_BINS`].
    pub bins: usize,
    /// Where the linear tails begin.
    pub limit: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for SplineSettings {
    fn default() -> Self {
        Self { bins: 8, limit: 4.0, max_scale: 1000.0 }
    }
}

impl TransformerSettings for SplineSettings {
    type Map = Spline;
    const EXAMPLE: &'static str = "Spline(bins: 8, limit: 4.0, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale)
            .or_else(|| fault_of_count("bins", self.bins, MOST_BINS))
            .or_else(|| fault_of_limit(self.limit))
    }

    fn map(&self) -> Self::Map {
        Spline { bins: self.bins, limit: self.limit, bound: self.max_scale.ln() }
    }
}

/// y = g(x)·eˢ + t. Between ±`limit`, g is a monotone rational-quadratic spline (Gregory and Delbourgo 1982; as a transformer, Durkan,
/// Bekasov, Murray and Papamakarios 2019); outside it is the identity.
///
/// Its parameters are, in this order, the logits of `bins` widths, the logits of `bins` heights, the raw slopes at the `bins` − 1 inner
/// knots, the raw log scale and the shift t. With zeros for all, it is the identity.
///
/// - Widths are w = 2 `limit` (m + (1 − m `bins`) p) with p the softmax of their logits and m = [`NARROWEST`]; heights are
///   h = f w + 2 `limit` (1 − f) p with p that of theirs and f = [`FLATTEST`], which is then the least of h / w however many bins there
///   are.
/// - The slope at a knot is the harmonic mean of the slopes of the two bins that meet there (Fritsch and Butland 1984), times eʳ with
///   r softly bounded by ln [`SWING`]; it is 1 at ±`limit`, so that g is continuously differentiable everywhere.
/// - s is that of [`crate::transformer::Affine`].
///
/// Slopes that follow their bins keep the curve free of bumps that nobody asked for. And the bounds keep it away from flat places:
/// g' > 1/200 whatever the parameters, so the inverse never asks of single precision what it cannot give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spline {
    /// The number of bins, 2 to [`MOST_BINS`].
    pub bins: usize,
    /// Where the linear tails begin.
    pub limit: f64,
    /// The bound of |s|.
    pub bound: f64,
}

impl Spline {
    /// What is kept of each variable: the lengths of its bins, then these.
    const LOCALS: usize = 15;

    /// Whole variables of whole groups of lanes, and the right amount of all that belongs to them.
    fn check(&self, stride: usize, len: usize, parameters: usize, kept: Option<usize>, lanes: usize) {
        assert!((2..=MOST_BINS).contains(&self.bins), "2 to {MOST_BINS} bins");
        assert!(stride.is_multiple_of(LANES) && len.is_multiple_of(stride) && lanes == stride, "whole groups of lanes");
        assert!(parameters == self.per_variable() * len, "parameters for each variable");
        assert!(kept.is_none_or(|kept| kept == self.kept() * len), "room for each variable");
    }
}

impl Transform for Spline {
    fn per_variable(&self) -> usize {
        3 * self.bins - 1 + 2
    }

    fn kept(&self) -> usize {
        2 * self.bins + Self::LOCALS
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        self.check(stride, x.len(), parameters.len(), keep.as_ref().map(|kept| kept.len()), log_det.len());
        Arch::new().dispatch(forward::Forward { spline: *self, stride, x, parameters, log_det, keep });
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
        self.check(stride, d_y.len(), d_parameters.len(), Some(kept.len()), d_log_det.len());
        let d = backward::Gradients { values: d_y, log_det: d_log_det, parameters: d_parameters };
        Arch::new().dispatch(backward::Backward::<E, false> { spline: *self, stride, x, kept, d });
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
        self.check(stride, d_x.len(), d_parameters.len(), Some(kept.len()), d_log_det.len());
        let d = backward::Gradients { values: d_x, log_det: d_log_det, parameters: d_parameters };
        Arch::new().dispatch(backward::Backward::<E, true> { spline: *self, stride, x, kept, d });
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        self.check(stride, y.len(), parameters.len(), None, log_det.len());
        Arch::new().dispatch(inverse::Inverse { spline: *self, stride, y, parameters, log_det });
    }

    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        oracle::spline(self, x, parameters)
    }
}
