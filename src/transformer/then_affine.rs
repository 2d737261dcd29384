//! A shape followed by the affine map.

use super::by_formula::{ByFormula, Shape};
use crate::ops::linear::bounded::bounded;

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

impl<S: Shape> Shape for ThenAffine<S> {
    fn parameters(&self) -> usize {
        2 + self.shape.parameters()
    }

    fn at(&self, x: f64, theta: &[f64]) -> (f64, f64) {
        let (s, _) = bounded(theta[0], self.bound);
        let (value, log_slope) = self.shape.at(x, &theta[2..]);
        (s.exp() * value + theta[1], s + log_slope)
    }

    fn slopes(&self, x: f64, theta: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> (f64, f64, f64) {
        let (s, slope) = bounded(theta[0], self.bound);
        let (of_value, of_log) = (&mut d_value[2..], &mut d_log_slope[2..]);
        let (shape, log_slope, d_log) = self.shape.slopes(x, &theta[2..], of_value, of_log);
        of_value.iter_mut().for_each(|d| *d *= s.exp());
        (d_value[0], d_value[1]) = (shape * s.exp() * slope, 1.0);
        (d_log_slope[0], d_log_slope[1]) = (slope, 0.0);
        (s.exp() * shape + theta[1], s + log_slope, d_log)
    }

    fn solve(&self, y: f64, theta: &[f64]) -> f64 {
        let (s, _) = bounded(theta[0], self.bound);
        self.shape.solve((y - theta[1]) * (-s).exp(), &theta[2..])
    }
}
