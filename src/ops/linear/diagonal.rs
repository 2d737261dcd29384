//! A = diag(eˢ).

use super::bounded::{log_scales, scale};
use super::Parametrisation;

/// Each variable is stretched by itself.
pub struct Diagonal;

impl Parametrisation for Diagonal {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        vec![("log_scales", dim)]
    }

    fn matrix(&self, dim: usize, values: &[Vec<f64>]) -> Vec<f64> {
        let mut a = vec![0.0; dim * dim];
        values[0].iter().enumerate().for_each(|(i, &raw)| a[i * dim + i] = scale(raw).0);
        a
    }

    fn log_det(&self, _: usize, values: &[Vec<f64>]) -> f64 {
        log_scales(&values[0])
    }

    fn pull_back(&self, dim: usize, values: &[Vec<f64>], d_a: &[f64], d_log_det: f64, d_values: &mut [Vec<f64>]) {
        for (i, (&raw, d)) in values[0].iter().zip(&mut d_values[0]).enumerate() {
            let (scale, slope) = scale(raw);
            *d += (d_a[i * dim + i] * scale + d_log_det) * slope;
        }
    }
}
