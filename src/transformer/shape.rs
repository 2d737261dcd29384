//! Monotone maps of one variable by formula: value, slope and derivatives of a group of lanes at a time.

use crate::ops::group::{each, larger, Group};
use crate::ops::real::Real;
use crate::ops::root::solve_lanes;
use pulp::Simd;

/// The most bins, components or units.
pub const MOST: usize = 64;

/// S(x), ln S′(x) and ∂ ln S′/∂x of a group.
pub struct Slopes<E> {
    /// S(x).
    pub value: Group<E>,
    /// ln S′(x).
    pub log_slope: Group<E>,
    /// ∂ ln S′/∂x.
    pub bend: Group<E>,
}

/// A strictly increasing map S of R, of an interval or of a circle, with parameters θ.
///
/// What does not depend on x is prepared once for a group of lanes. The methods are inlined into kernels, and compiled for the instructions at hand there.
pub trait Shape: Copy + Send + Sync + 'static {
    /// The number of parameters θ.
    fn parameters(&self) -> usize;

    /// What a network sees of x; see [`crate::ops::transform::Transform::inputs`].
    fn inputs(&self) -> usize {
        1
    }

    /// How many numbers are prepared.
    fn prepared(&self) -> usize;

    /// Fills `ready` with what the other methods need of θ.
    fn prepare<E: Real>(&self, theta: &[Group<E>], ready: &mut [Group<E>]);

    /// S(x) and ln S′(x).
    fn at<E: Real, R: Simd>(&self, simd: R, x: &Group<E>, ready: &[Group<E>]) -> (Group<E>, Group<E>);

    /// The same; fills ∂S/∂θ and ∂ ln S′/∂θ.
    fn slopes<E: Real, R: Simd>(
        &self,
        simd: R,
        x: &Group<E>,
        ready: &[Group<E>],
        d_value: &mut [Group<E>],
        d_log_slope: &mut [Group<E>],
    ) -> Slopes<E>;

    /// The x with S(x) = y: by Newton's method within a bracket, to the last bits that are meaningful, where there is no formula.
    #[inline(always)]
    fn solve<E: Real, R: Simd>(&self, simd: R, y: &Group<E>, ready: &[Group<E>]) -> Group<E> {
        solve_lanes(y, *y, |x| self.at(simd, x, ready))
    }
}

/// Where `k` of `n` centres is at the start: they are spread evenly from −2 to 2.
#[inline(always)]
pub(super) fn spread<E: Real>(k: usize, n: usize) -> E {
    E::of(if n == 1 { 0.0 } else { 2.0 * (2.0 * k as f64 / (n - 1) as f64 - 1.0) })
}

/// σ(z) and σ(−z), each to its own last bits.
#[inline(always)]
pub(super) fn sigmoids<E: Real>(z: E) -> (E, E) {
    let positive = z >= E::ZERO;
    let power = Real::exp(if positive { -z } else { z });
    let near = E::ONE / (E::ONE + power);
    let far = power * near;
    if positive {
        (near, far)
    } else {
        (far, near)
    }
}

/// Softmax of `raw` into `out`.
#[inline(always)]
pub(super) fn softmax<E: Real>(raw: &[Group<E>], out: &mut [Group<E>]) {
    let mut most = raw[0];
    for &raw in raw {
        most = each(|c| larger(raw[c], most[c]));
    }
    let mut total = each(|_| E::ZERO);
    for (out, &raw) in out.iter_mut().zip(raw) {
        let power = each(|c| Real::exp(raw[c] - most[c]));
        total = each(|c| total[c] + power[c]);
        *out = power;
    }
    let share = each(|c| E::ONE / total[c]);
    for out in out {
        let power = *out;
        *out = each(|c| power[c] * share[c]);
    }
}
