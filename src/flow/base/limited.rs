//! A base whose extreme draws are drawn in softly, so that no draw is thrown to where a target overflows.

use super::{Base, Strata};
use std::sync::Arc;

/// The density of y = L asinh(z/L) in each coordinate, where z has the density of another base and L is the limit.
///
/// Draws well within the limit stay as they are (y = z − z³/6L² + …); beyond it they grow with the logarithm of z, so that a tail that
/// falls like the power z^(−ν−1) becomes one that falls like e^(−ν y/L). The map has no corner and covers R, thus the density stays exact
/// wherever z is a number in double precision, |y| < 709 L: log q(y) = log p(z) + Σ ln cosh(y_j/L) with z = L sinh(y/L). Beyond, it is zero.
#[derive(Debug, Clone)]
pub struct Limited {
    base: Arc<dyn Base>,
    limit: f64,
}

impl Limited {
    /// `base` drawn in beyond ±`limit`, a positive number.
    pub fn new(base: Arc<dyn Base>, limit: f64) -> Self {
        Self { base, limit }
    }

    /// Draws in the coordinates of `z`.
    fn draw_in(&self, z: &mut [f64]) {
        z.iter_mut().for_each(|z| *z = self.limit * (*z / self.limit).asinh());
    }

    /// The points of the base that are drawn in to `y`.
    pub fn spread_out(&self, y: &[f64]) -> Vec<f64> {
        y.iter().map(|y| self.limit * (y / self.limit).sinh()).collect()
    }
}

/// ln cosh(t) without overflow.
fn ln_cosh(t: f64) -> f64 {
    t.abs() + (-2.0 * t.abs()).exp().ln_1p() - std::f64::consts::LN_2
}

impl Base for Limited {
    fn dim(&self) -> usize {
        self.base.dim()
    }

    fn noise_width(&self) -> usize {
        self.base.noise_width()
    }

    fn is_everywhere(&self) -> bool {
        self.base.is_everywhere()
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        self.base.push(noise, z);
        self.draw_in(z);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        let log_prob = self.base.log_prob(&self.spread_out(z)) + z.iter().map(|y| ln_cosh(y / self.limit)).sum::<f64>();
        // Where z itself is beyond all numbers, no base has any density left.
        if log_prob.is_nan() && z.iter().all(|y| !y.is_nan()) {
            f64::NEG_INFINITY
        } else {
            log_prob
        }
    }

    fn score(&self, z: &[f64], score: &mut [f64]) {
        self.base.score(&self.spread_out(z), score);
        score.iter_mut().zip(z).for_each(|(score, y)| {
            let t = y / self.limit;
            let (of_base, slope) = (*score * t.cosh(), t.tanh() / self.limit);
            // Nothing pulls where there is no density.
            *score = if of_base.is_nan() { 0.0 } else { of_base + slope };
        });
    }

    fn push_slopes(&self, tensor: usize, noise: &[f64], places: &mut [usize], slopes: &mut [f64]) {
        let mut z = vec![0.0; self.dim()];
        self.base.push(noise, &mut z);
        self.base.push_slopes(tensor, noise, places, slopes);
        slopes.iter_mut().zip(z).for_each(|(slope, z)| *slope /= (z / self.limit).hypot(1.0));
    }

    fn log_prob_slopes(&self, z: &[f64], slopes: &mut [f64]) {
        self.base.log_prob_slopes(&self.spread_out(z), slopes);
    }

    fn strata(&self, rows: usize) -> Option<Strata> {
        self.base.strata(rows)
    }
}
