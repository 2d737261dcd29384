//! A = diag(eˢ) + U Uᵀ: a scale for each variable, and a few directions that are stretched together.

use super::bounded::{bounded, log_scales, scale, ENTRY};
use super::dense::{inverse, transposed};
use super::Parametrisation;

/// Positive definite, thus invertible; ln |det A| = Σ s + ln det(I + Uᵀ diag(e⁻ˢ) U).
pub struct LowRank {
    /// The number of columns of U.
    pub rank: usize,
}

impl LowRank {
    /// U, one direction after the other.
    fn directions(raw: &[f64]) -> Vec<f64> {
        raw.iter().map(|&raw| bounded(raw, ENTRY).0).collect()
    }
}

impl Parametrisation for LowRank {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        vec![("log_scales", dim), ("directions", self.rank * dim)]
    }

    fn matrix(&self, dim: usize, values: &[Vec<f64>]) -> Vec<f64> {
        let u = Self::directions(&values[1]);
        let entry = |i: usize, j: usize| u.chunks_exact(dim).map(|u| u[i] * u[j]).sum::<f64>();
        let on_diagonal = |i: usize, j: usize| if i == j { scale(values[0][i]).0 } else { 0.0 };
        (0..dim * dim).map(|cell| (cell / dim, cell % dim)).map(|(i, j)| entry(i, j) + on_diagonal(i, j)).collect()
    }

    fn log_det(&self, dim: usize, values: &[Vec<f64>]) -> f64 {
        // One direction after the other: det(A + u uᵀ) = det A · (1 + uᵀ A⁻¹ u), with A⁻¹ by Sherman and Morrison.
        let mut known = vec![0.0; dim * dim];
        values[0].iter().enumerate().for_each(|(i, &raw)| known[i * dim + i] = 1.0 / scale(raw).0);
        let mut total = log_scales(&values[0]);
        for u in Self::directions(&values[1]).chunks_exact(dim) {
            let through: Vec<f64> =
                known.chunks_exact(dim).map(|row| row.iter().zip(u).map(|(a, u)| a * u).sum()).collect();
            let factor = 1.0 + through.iter().zip(u).map(|(a, u)| a * u).sum::<f64>();
            total += factor.ln();
            (0..dim * dim).for_each(|cell| known[cell] -= through[cell / dim] * through[cell % dim] / factor);
        }
        total
    }

    fn pull_back(&self, dim: usize, values: &[Vec<f64>], d_a: &[f64], d_log_det: f64, d_values: &mut [Vec<f64>]) {
        // ∂ ln det A / ∂A = A⁻ᵀ, and A is symmetric.
        let known = inverse(&self.matrix(dim, values), dim);
        let d_a: Vec<f64> = d_a.iter().zip(&known).map(|(d, known)| d + d_log_det * known).collect();
        for (i, (&raw, d)) in values[0].iter().zip(&mut d_values[0]).enumerate() {
            let (scale, slope) = scale(raw);
            *d += d_a[i * dim + i] * scale * slope;
        }
        let both: Vec<f64> = d_a.iter().zip(transposed(&d_a, dim)).map(|(d, turned)| d + turned).collect();
        let of_directions = Self::directions(&values[1]);
        for (k, u) in of_directions.chunks_exact(dim).enumerate() {
            for i in 0..dim {
                let along = both[i * dim..][..dim].iter().zip(u).map(|(d, u)| d * u).sum::<f64>();
                d_values[1][k * dim + i] += along * bounded(values[1][k * dim + i], ENTRY).1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dense::product;
    use super::*;

    #[test]
    fn the_determinant_is_that_of_its_inverse_turned_over() {
        let values = [vec![0.3, -0.7, 1.1], vec![0.5, 1.0, -2.0, 0.1, 0.4, 0.2]];
        let of = LowRank { rank: 2 };
        let a = of.matrix(3, &values);
        let det = |a: &[f64]| {
            a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) + a[2] * (a[3] * a[7] - a[4] * a[6])
        };
        assert!((of.log_det(3, &values) - det(&a).ln()).abs() < 1e-12);
        assert!((det(&product(&a, &inverse(&a, 3), 3)) - 1.0).abs() < 1e-12);
    }
}
