//! A shape followed by the affine map.

use super::affine::scale;
use super::by_formula::ByFormula;
use super::shape::{Shape, Slopes};
use crate::ops::group::{both, each, Group};
use crate::ops::real::Real;
use pulp::Simd;

/// That shape followed by an affine map which stretches by at most `max_scale`.
pub(super) fn then_affine<S: Shape>(shape: S, max_scale: f64) -> ByFormula<ThenAffine<S>> {
    ByFormula(ThenAffine { shape, bound: max_scale.ln() })
}

/// y = eˢ S(x; θ) + t, with s bounded softly as in the affine map. The parameters are raw s, t, θ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThenAffine<S> {
    /// S.
    pub shape: S,
    /// The bound of s.
    pub bound: f64,
}

/// What is prepared before that of the shape: s, eˢ, the slope of s by its raw value, t.
const OWN: usize = 4;

impl<S: Shape> Shape for ThenAffine<S> {
    fn parameters(&self) -> usize {
        2 + self.shape.parameters()
    }

    fn prepared(&self) -> usize {
        OWN + self.shape.prepared()
    }

    #[inline(always)]
    fn prepare<E: Real>(&self, theta: &[Group<E>], ready: &mut [Group<E>]) {
        let (bound, inverse) = (E::of(self.bound), E::of(1.0 / self.bound));
        let raw = theta[0];
        ready[0] = each(|c| scale(bound, inverse, raw[c]).0);
        (ready[1], ready[2]) = both(|c| {
            let (_, scale, slope) = scale(bound, inverse, raw[c]);
            (scale, slope)
        });
        ready[3] = theta[1];
        self.shape.prepare(&theta[2..], &mut ready[OWN..]);
    }

    #[inline(always)]
    fn at<E: Real, R: Simd>(&self, simd: R, x: &Group<E>, ready: &[Group<E>]) -> (Group<E>, Group<E>) {
        let (value, log_slope) = self.shape.at(simd, x, &ready[OWN..]);
        let (s, scale, shift) = (ready[0], ready[1], ready[3]);
        both(|c| (scale[c] * value[c] + shift[c], s[c] + log_slope[c]))
    }

    #[inline(always)]
    fn slopes<E: Real, R: Simd>(
        &self,
        simd: R,
        x: &Group<E>,
        ready: &[Group<E>],
        d_value: &mut [Group<E>],
        d_log_slope: &mut [Group<E>],
    ) -> Slopes<E> {
        let (s, scale, slope, shift) = (ready[0], ready[1], ready[2], ready[3]);
        let of_shape = self.shape.slopes(simd, x, &ready[OWN..], &mut d_value[2..], &mut d_log_slope[2..]);
        let Slopes { value, log_slope, bend } = of_shape;
        for d in &mut d_value[2..] {
            let of_shape = *d;
            *d = each(|c| of_shape[c] * scale[c]);
        }
        let scaled = each(|c| scale[c] * value[c]);
        (d_value[0], d_value[1]) = (each(|c| scaled[c] * slope[c]), each(|_| E::ONE));
        (d_log_slope[0], d_log_slope[1]) = (slope, each(|_| E::ZERO));
        Slopes { value: each(|c| scaled[c] + shift[c]), log_slope: each(|c| s[c] + log_slope[c]), bend }
    }

    #[inline(always)]
    fn solve<E: Real, R: Simd>(&self, simd: R, y: &Group<E>, ready: &[Group<E>]) -> Group<E> {
        // Divided by the very number that the other direction multiplies by: e⁻ˢ is not exactly its inverse.
        let (y, scale, shift) = (*y, ready[1], ready[3]);
        self.shape.solve(simd, &each(|c| (y[c] - shift[c]) / scale[c]), &ready[OWN..])
    }
}
