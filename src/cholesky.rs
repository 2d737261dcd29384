//! The lower-triangular factor of a positive definite matrix, and what is solved with it. Matrices are row-major.

use crate::seed::Stream;

/// L with L Lᵀ = `matrix`, of which the lower triangle is read.
///
/// # Errors
/// With the pivot's number (from 0) and value, where one is not above the rounding of its diagonal entry.
pub fn factor(matrix: &[f64], dim: usize) -> Result<Vec<f64>, (usize, f64)> {
    let mut factor = vec![0.0; dim * dim];
    for i in 0..dim {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| factor[i * dim + k] * factor[j * dim + k]).sum();
            let rest = matrix[i * dim + j] - dot;
            if i == j {
                let rounding = dim as f64 * f64::EPSILON * matrix[i * dim + i];
                // NaN comes of entries so far apart that their products overflow.
                if rest.is_nan() || rest <= rounding {
                    return Err((i, rest));
                }
                factor[i * dim + i] = rest.sqrt();
            } else {
                factor[i * dim + j] = rest / factor[j * dim + j];
            }
        }
    }
    Ok(factor)
}

/// [`factor`] of the matrix, or of the matrix plus the smallest tried multiple of its diagonal (made positive) that has one: 10⁻⁸, and
/// ten times as much until it has. Also that multiple; 0 where none was needed.
///
/// # Errors
/// If the matrix holds a number that is not finite.
pub fn regularised(matrix: &[f64], dim: usize) -> Result<(Vec<f64>, f64), String> {
    if let Some(bad) = matrix.iter().find(|value| !value.is_finite()) {
        return Err(format!("the matrix holds {bad}"));
    }
    let largest = (0..dim).map(|i| matrix[i * dim + i].abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return Err("the diagonal of the matrix is zero".into());
    }
    let mut ridge = 0.0;
    loop {
        let mut moved = matrix.to_vec();
        (0..dim).for_each(|i| moved[i * dim + i] += ridge * matrix[i * dim + i].abs().max(1e-8 * largest));
        match factor(&moved, dim) {
            Ok(factor) => return Ok((factor, ridge)),
            Err(_) if ridge > 1e12 => {
                return Err("no multiple of its diagonal makes the matrix positive definite".into())
            }
            Err(_) => ridge = if ridge == 0.0 { 1e-8 } else { 10.0 * ridge },
        }
    }
}

/// Replaces `b` by L⁻¹ b.
pub fn solve(factor: &[f64], b: &mut [f64]) {
    let dim = b.len();
    for i in 0..dim {
        let (done, rest) = b.split_at_mut(i);
        let dot: f64 = factor[i * dim..][..i].iter().zip(&*done).map(|(l, b)| l * b).sum();
        rest[0] = (rest[0] - dot) / factor[i * dim + i];
    }
}

/// Replaces `b` by L⁻ᵀ b.
pub fn solve_transposed(factor: &[f64], b: &mut [f64]) {
    let dim = b.len();
    for i in (0..dim).rev() {
        let (before, rest) = b.split_at_mut(i);
        rest[0] /= factor[i * dim + i];
        before.iter_mut().zip(&factor[i * dim..][..i]).for_each(|(b, l)| *b -= l * rest[0]);
    }
}

/// Replaces `b` by L b.
pub fn multiply(factor: &[f64], b: &mut [f64]) {
    let dim = b.len();
    for i in (0..dim).rev() {
        b[i] = factor[i * dim..][..=i].iter().zip(&*b).map(|(l, b)| l * b).sum();
    }
}

/// `count` draws of the normal distribution with this mean and the covariance L Lᵀ, row-major, and the square of each one's distance from the mean
/// in standard deviations.
pub fn normals(factor: &[f64], mean: &[f64], count: usize, stream: &Stream) -> (Vec<f64>, Vec<f64>) {
    let dim = mean.len();
    let mut draws = vec![0.0; count * dim];
    stream.normals(0, dim, &mut draws);
    let squares = draws.chunks_exact(dim).map(|z| z.iter().map(|z| z * z).sum()).collect();
    for draw in draws.chunks_exact_mut(dim) {
        multiply(factor, draw);
        draw.iter_mut().zip(mean).for_each(|(x, mean)| *x += mean);
    }
    (draws, squares)
}

/// Replaces `b` by Lᵀ b.
pub fn multiply_transposed(factor: &[f64], b: &mut [f64]) {
    let dim = b.len();
    for i in 0..dim {
        let (before, rest) = b.split_at_mut(i);
        let here = rest[0];
        before.iter_mut().zip(&factor[i * dim..][..i]).for_each(|(b, l)| *b += l * here);
        rest[0] = here * factor[i * dim + i];
    }
}

/// (L Lᵀ)⁻¹, exactly symmetric.
pub fn inverse(factor: &[f64], dim: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; dim * dim];
    for (k, column) in inverse.chunks_exact_mut(dim).enumerate() {
        column[k] = 1.0;
        solve(factor, column);
        solve_transposed(factor, column);
    }
    // Rounding makes the two halves differ in the last bits.
    for i in 0..dim {
        for j in 0..i {
            inverse[i * dim + j] = inverse[j * dim + i];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRIX: [f64; 9] = [4.0, 2.0, -1.0, 2.0, 3.0, 0.5, -1.0, 0.5, 2.0];

    #[test]
    fn products_and_solutions_undo_each_other() {
        let l = factor(&MATRIX, 3).expect("positive definite");
        let b = [1.0, -2.0, 0.7];
        let close = |a: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        let mut x = b;
        solve(&l, &mut x);
        multiply(&l, &mut x);
        assert!(close(&x));
        solve_transposed(&l, &mut x);
        multiply_transposed(&l, &mut x);
        assert!(close(&x));
        // M x for x = M⁻¹ b.
        let inverse = inverse(&l, 3);
        let times = |m: &[f64], b: &[f64]| -> Vec<f64> {
            m.chunks(3).map(|row| row.iter().zip(b).map(|(m, b)| m * b).sum()).collect()
        };
        assert!(close(&times(&MATRIX, &times(&inverse, &b))));
        multiply_transposed(&l, &mut x);
        multiply(&l, &mut x);
        assert!(x.iter().zip(times(&MATRIX, &b)).all(|(a, b)| (a - b).abs() < 1e-12), "L Lᵀ is the matrix");
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_moved_or_refused() {
        let singular = [1.0, 1.0, 1.0, 1.0];
        assert_eq!(factor(&singular, 2).expect_err("singular").0, 1);
        let (_, ridge) = regularised(&singular, 2).expect("moved");
        assert!(ridge > 0.0 && ridge < 1e-6);
        assert_eq!(regularised(&MATRIX, 3).expect("as it is").1, 0.0);
        assert!(regularised(&[-1.0, 0.0, 0.0, 2.0], 2).expect("moved").1 > 1.0);
        assert!(regularised(&[f64::NAN], 1).is_err() && regularised(&[0.0], 1).is_err());
    }
}
