//! Formulas that are written for one row, as those of chunks of rows.

use super::Formula;
use std::fmt::Debug;

/// A bijection of R^d with its values, on one row.
pub trait RowFormula: Debug + Send + Sync {
    /// Turns a row into its image and returns ln |det J|.
    fn forward(&self, x: &mut [f64]) -> f64;

    /// Turns an image into its row and returns ln |det J⁻¹|.
    fn inverse(&self, y: &mut [f64]) -> f64;

    /// See [`Formula::backward`].
    fn backward(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64);

    /// See [`Formula::adjoint`].
    fn adjoint(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64);

    /// See [`Formula::sums`].
    fn sums(&self) -> usize;

    /// See [`Formula::add`].
    fn add(&self, x: &[f64], d_y: &[f64], d_log_det: f64, sums: &mut [f64]);

    /// See [`Formula::pull_back`].
    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>>;
}

/// Row by row.
#[derive(Debug)]
pub struct ByRow<F>(pub F);

/// Memory for one row.
#[derive(Default)]
struct Row(Vec<f64>);

impl Row {
    /// The row of a lane.
    fn of(&mut self, lanes: &[f64], stride: usize, lane: usize) -> &mut [f64] {
        self.0.clear();
        self.0.extend(lanes.iter().skip(lane).step_by(stride));
        &mut self.0
    }

    fn back(&self, lanes: &mut [f64], stride: usize, lane: usize) {
        lanes.iter_mut().skip(lane).step_by(stride).zip(&self.0).for_each(|(to, value)| *to = *value);
    }
}

impl<F: RowFormula> Formula for ByRow<F> {
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]) {
        let mut row = Row::default();
        for lane in 0..stride {
            log_det[lane] += self.0.forward(row.of(x, stride, lane));
            row.back(x, stride, lane);
        }
    }

    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]) {
        let mut row = Row::default();
        for lane in 0..stride {
            log_det[lane] += self.0.inverse(row.of(y, stride, lane));
            row.back(y, stride, lane);
        }
    }

    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        let (mut at, mut row) = (Row::default(), Row::default());
        for lane in 0..stride {
            self.0.backward(at.of(x, stride, lane), row.of(gradient, stride, lane), d_log_det[lane]);
            row.back(gradient, stride, lane);
        }
    }

    fn adjoint(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        let (mut at, mut row) = (Row::default(), Row::default());
        for lane in 0..stride {
            self.0.adjoint(at.of(x, stride, lane), row.of(gradient, stride, lane), d_log_det[lane]);
            row.back(gradient, stride, lane);
        }
    }

    fn sums(&self) -> usize {
        self.0.sums()
    }

    fn add(&self, stride: usize, x: &[f64], d_y: &[f64], d_log_det: &[f64], sums: &mut [f64]) {
        let (mut at, mut row) = (Row::default(), Row::default());
        for lane in 0..stride {
            self.0.add(at.of(x, stride, lane), row.of(d_y, stride, lane), d_log_det[lane], sums);
        }
    }

    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        self.0.pull_back(sums)
    }
}
