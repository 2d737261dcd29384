//! A = Q R with Q a product of Householder reflections (Tomczak and Welling 2016; Hoogeboom, van den Berg and Welling 2019), or Q alone.

use super::bounded::log_scales;
use super::dense::{identity, product, transposed};
use super::lu::Lu;
use super::Parametrisation;

/// Q = H₁ ⋯ H_k with H = I − 2 v vᵀ/‖v‖², and R = (I + M) diag(eˢ) with a strictly upper M unless `orthogonal`.
pub struct Qr {
    /// The number k of reflections.
    pub reflections: usize,
    /// Whether A is Q alone.
    pub orthogonal: bool,
}

/// A vector that is shorter than this is taken for the first unit vector's direction added to it: a reflection needs a direction.
const SHORTEST: f64 = 1e-12;

/// v with its squared length.
fn direction(raw: &[f64]) -> (Vec<f64>, f64) {
    let mut v = raw.to_vec();
    if v.iter().map(|v| v * v).sum::<f64>() < SHORTEST {
        v[0] += 1.0;
    }
    let square = v.iter().map(|v| v * v).sum();
    (v, square)
}

/// M (I − 2 v vᵀ/‖v‖²).
fn reflect_columns(m: &mut [f64], v: &[f64], square: f64) {
    for row in m.chunks_exact_mut(v.len()) {
        let along = 2.0 * row.iter().zip(v).map(|(m, v)| m * v).sum::<f64>() / square;
        row.iter_mut().zip(v).for_each(|(m, v)| *m -= along * v);
    }
}

impl Qr {
    fn orthogonal(&self, dim: usize, raw: &[f64]) -> Vec<f64> {
        let mut q = identity(dim);
        for raw in raw.chunks_exact(dim) {
            let (v, square) = direction(raw);
            reflect_columns(&mut q, &v, square);
        }
        q
    }

    /// R: the transpose of a lower triangle with scaled columns has scaled rows, which keeps ln |det| and the bounds.
    fn upper(dim: usize, values: &[Vec<f64>]) -> Vec<f64> {
        transposed(&Lu { upper: false }.matrix(dim, &values[1..]), dim)
    }
}

impl Parametrisation for Qr {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        // One variable has no direction to choose.
        let mut tensors = vec![("reflections", if dim == 1 { 0 } else { self.reflections * dim })];
        if !self.orthogonal {
            tensors.extend([("log_scales", dim), ("upper", dim * (dim - 1) / 2)]);
        }
        tensors
    }

    fn matrix(&self, dim: usize, values: &[Vec<f64>]) -> Vec<f64> {
        let q = self.orthogonal(dim, &values[0]);
        if self.orthogonal {
            q
        } else {
            product(&q, &Self::upper(dim, values), dim)
        }
    }

    /// A reflection turns space over, which leaves its volume.
    fn log_det(&self, _: usize, values: &[Vec<f64>]) -> f64 {
        values.get(1).map_or(0.0, |raw| log_scales(raw))
    }

    fn pull_back(&self, dim: usize, values: &[Vec<f64>], d_a: &[f64], d_log_det: f64, d_values: &mut [Vec<f64>]) {
        let mut d_q = d_a.to_vec();
        if !self.orthogonal {
            let q = self.orthogonal(dim, &values[0]);
            let d_r = product(&transposed(&q, dim), d_a, dim);
            let lower = Lu { upper: false };
            lower.pull_back(dim, &values[1..], &transposed(&d_r, dim), d_log_det, &mut d_values[1..]);
            d_q = product(d_a, &transposed(&Self::upper(dim, values), dim), dim);
        }
        // From the last reflection back: before = H₁ ⋯ H_{m−1}, and what comes after H_m is taken out of d_q.
        let mut before = self.orthogonal(dim, &values[0]);
        for (raw, d) in values[0].chunks_exact(dim).zip(d_values[0].chunks_exact_mut(dim)).rev() {
            let (v, square) = direction(raw);
            reflect_columns(&mut before, &v, square);
            let d_h = product(&transposed(&before, dim), &d_q, dim);
            let along = |i: usize| (0..dim).map(|j| (d_h[i * dim + j] + d_h[j * dim + i]) * v[j]).sum::<f64>();
            let both: Vec<f64> = (0..dim).map(along).collect();
            let inner = 0.5 * both.iter().zip(&v).map(|(b, v)| b * v).sum::<f64>();
            for ((d, both), v) in d.iter_mut().zip(&both).zip(&v) {
                *d += -2.0 / square * both + 4.0 / (square * square) * inner * v;
            }
            reflect_columns(&mut d_q, &v, square);
        }
    }
}
