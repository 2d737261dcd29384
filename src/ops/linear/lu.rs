//! A = L or A = L U of triangular factors (the chapter's 16.9; Kingma and Dhariwal 2018).

use super::bounded::{below_diagonal, bounded, log_scales, scale, ENTRY};
use super::dense::{identity, product, transposed};
use super::Parametrisation;

/// L = (I + N) diag(eˢ) with a strictly lower N, times a unit upper triangle I + M if `upper`.
pub struct Lu {
    /// Whether there is an upper factor.
    pub upper: bool,
}

/// I and the bounded entries of a strict triangle: the lower one, or the upper one.
fn unit(dim: usize, raw: &[f64], upper: bool) -> Vec<f64> {
    let mut unit = identity(dim);
    for ((i, j), &raw) in below_diagonal(dim).zip(raw) {
        unit[if upper { j * dim + i } else { i * dim + j }] = bounded(raw, ENTRY).0;
    }
    unit
}

/// Adds the gradients of those entries.
fn pull_unit(dim: usize, raw: &[f64], upper: bool, d_unit: &[f64], d_raw: &mut [f64]) {
    for (((i, j), &raw), d) in below_diagonal(dim).zip(raw).zip(d_raw) {
        *d += d_unit[if upper { j * dim + i } else { i * dim + j }] * bounded(raw, ENTRY).1;
    }
}

impl Lu {
    /// (I + N) diag(eˢ).
    fn lower(dim: usize, values: &[Vec<f64>]) -> Vec<f64> {
        let mut lower = unit(dim, &values[1], false);
        for (j, &raw) in values[0].iter().enumerate() {
            lower.iter_mut().skip(j).step_by(dim).for_each(|entry| *entry *= scale(raw).0);
        }
        lower
    }
}

impl Parametrisation for Lu {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        let triangle = dim * (dim - 1) / 2;
        let all = vec![("log_scales", dim), ("lower", triangle), ("upper", if self.upper { triangle } else { 0 })];
        all.into_iter().take(if self.upper { 3 } else { 2 }).collect()
    }

    fn matrix(&self, dim: usize, values: &[Vec<f64>]) -> Vec<f64> {
        let lower = Self::lower(dim, values);
        match self.upper {
            true => product(&lower, &unit(dim, &values[2], true), dim),
            false => lower,
        }
    }

    fn log_det(&self, _: usize, values: &[Vec<f64>]) -> f64 {
        log_scales(&values[0])
    }

    fn pull_back(&self, dim: usize, values: &[Vec<f64>], d_a: &[f64], d_log_det: f64, d_values: &mut [Vec<f64>]) {
        let mut d_lower = d_a.to_vec();
        if self.upper {
            let (lower, upper) = (Self::lower(dim, values), unit(dim, &values[2], true));
            pull_unit(dim, &values[2], true, &product(&transposed(&lower, dim), d_a, dim), &mut d_values[2]);
            d_lower = product(d_a, &transposed(&upper, dim), dim);
        }
        let n = unit(dim, &values[1], false);
        for (j, (&raw, d)) in values[0].iter().zip(&mut d_values[0]).enumerate() {
            let (scale, slope) = scale(raw);
            let column = (j..dim).map(|i| d_lower[i * dim + j] * n[i * dim + j]).sum::<f64>();
            *d += (column * scale + d_log_det) * slope;
            d_lower.iter_mut().skip(j).step_by(dim).for_each(|d| *d *= scale);
        }
        pull_unit(dim, &values[1], false, &d_lower, &mut d_values[1]);
    }
}
