//! The leaky rectifier: a fixed bend at zero.

use super::Shape;

/// S(x) = x above zero, slope · x below it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaky {
    /// The slope below zero, positive.
    pub slope: f64,
}

impl Shape for Leaky {
    fn parameters(&self) -> usize {
        0
    }

    fn at(&self, x: f64, _: &[f64]) -> (f64, f64) {
        if x < 0.0 {
            (self.slope * x, self.slope.ln())
        } else {
            (x, 0.0)
        }
    }

    fn slopes(&self, x: f64, theta: &[f64], _: &mut [f64], _: &mut [f64]) -> (f64, f64, f64) {
        let (value, log_slope) = self.at(x, theta);
        (value, log_slope, 0.0)
    }

    fn solve(&self, y: f64, _: &[f64]) -> f64 {
        if y < 0.0 {
            y / self.slope
        } else {
            y
        }
    }
}
