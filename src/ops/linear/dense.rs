//! Small dense matrices, row-major in double precision: products and inverses of a linear layer's parametrisation.

/// The identity.
pub fn identity(dim: usize) -> Vec<f64> {
    (0..dim * dim).map(|cell| f64::from(u8::from(cell / dim == cell % dim))).collect()
}

/// A B.
pub fn product(a: &[f64], b: &[f64], dim: usize) -> Vec<f64> {
    let mut out = vec![0.0; dim * dim];
    for (row, out) in a.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
        for (factor, b) in row.iter().zip(b.chunks_exact(dim)) {
            out.iter_mut().zip(b).for_each(|(out, b)| *out += factor * b);
        }
    }
    out
}

/// Aᵀ.
pub fn transposed(a: &[f64], dim: usize) -> Vec<f64> {
    (0..dim * dim).map(|cell| a[cell % dim * dim + cell / dim]).collect()
}

/// A⁻¹ by Gauss and Jordan with partial pivoting; not finite where A is singular.
pub fn inverse(a: &[f64], dim: usize) -> Vec<f64> {
    let (mut left, mut right) = (a.to_vec(), identity(dim));
    for c in 0..dim {
        let pivot = (c..dim).max_by(|&i, &j| left[i * dim + c].abs().total_cmp(&left[j * dim + c].abs())).unwrap_or(c);
        for column in 0..dim {
            left.swap(c * dim + column, pivot * dim + column);
            right.swap(c * dim + column, pivot * dim + column);
        }
        let scale = 1.0 / left[c * dim + c];
        for matrix in [&mut left, &mut right] {
            matrix[c * dim..(c + 1) * dim].iter_mut().for_each(|value| *value *= scale);
        }
        for row in (0..dim).filter(|&row| row != c) {
            let factor = left[row * dim + c];
            if factor != 0.0 {
                for matrix in [&mut left, &mut right] {
                    let (above, below) = matrix.split_at_mut(c.max(row) * dim);
                    let (from, to) = if row > c {
                        (&above[c * dim..][..dim], &mut below[..dim])
                    } else {
                        (&below[..dim], &mut above[row * dim..][..dim])
                    };
                    to.iter_mut().zip(from).for_each(|(to, from)| *to -= factor * from);
                }
            }
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_undoes_its_matrix() {
        // The first pivot is zero.
        let a = [0.0, 2.0, -1.0, 1.0, 0.5, 0.25, 3.0, -1.0, 4.0];
        let found = product(&inverse(&a, 3), &a, 3);
        assert!(found.iter().zip(identity(3)).all(|(found, right)| (found - right).abs() < 1e-14), "{found:?}");
        assert_eq!(transposed(&transposed(&a, 3), 3), a);
    }
}
