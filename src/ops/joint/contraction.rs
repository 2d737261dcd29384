//! Matrices kept from stretching by more than a bound, whatever their values are.

use super::super::linear::dense::transposed;
use super::products::{add_products, multiply};

/// Half the power of the Schatten norm.
const POWER: usize = 32;

/// The Schatten norm (Σ σ_i^64)^(1/64) of a matrix of `inputs` columns, which is at least its spectral norm and at most n^(1/64) times that,
/// and its derivative by every entry where it is asked for. No iteration has to converge for the bound to hold.
pub fn norm(weights: &[f64], inputs: usize, with_slopes: bool) -> (f64, Vec<f64>) {
    let outputs = weights.len() / inputs;
    // The smaller Gram matrix.
    let small = inputs.min(outputs);
    let vectors = if outputs <= inputs { weights.to_vec() } else { turned(weights, outputs, inputs) };
    let length = vectors.len() / small;
    let mut gram = vec![0.0; small * small];
    add_products(&vectors, &vectors, length, small, &mut gram);
    let trace: f64 = (0..small).map(|i| gram[i * small + i]).sum();
    if trace == 0.0 {
        return (0.0, vec![0.0; weights.len()]);
    }
    let of_one: Vec<f64> = gram.iter().map(|value| value / trace).collect();
    let mut powers = vec![of_one];
    while 1 << (powers.len() - 1) < POWER {
        let last = &powers[powers.len() - 1];
        powers.push(product(last, last, small));
    }
    let whole = &powers[powers.len() - 1];
    let sum: f64 = (0..small).map(|i| whole[i * small + i]).sum();
    let norm = (0.5 * (trace.ln() + sum.ln() / POWER as f64)).exp();
    if !with_slopes {
        return (norm, Vec::new());
    }
    // G^(m − 1), m − 1 = 1 + 2 + 4 + …
    let before = powers[1..powers.len() - 1].iter().fold(powers[0].clone(), |all, power| product(&all, power, small));
    let factor = norm / (sum * trace);
    let mut slopes = vec![0.0; small * length];
    multiply(&before, (small, 1), (small, small), length, &vectors, &mut slopes);
    slopes.iter_mut().for_each(|slope| *slope *= factor);
    (norm, if outputs <= inputs { slopes } else { turned(&slopes, inputs, outputs) })
}

/// A B of square matrices.
fn product(a: &[f64], b: &[f64], size: usize) -> Vec<f64> {
    let mut out = vec![0.0; size * size];
    multiply(a, (size, 1), (size, size), size, b, &mut out);
    out
}

/// The transposed of a matrix of so many rows and columns.
fn turned(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    if rows == columns {
        return transposed(values, rows);
    }
    (0..rows * columns).map(|cell| values[cell % rows * columns + cell / rows]).collect()
}

/// The matrix scaled down to a norm of `bound` where it is above, and the scale.
pub fn contracted(weights: &[f64], inputs: usize, bound: f64) -> (Vec<f64>, f64) {
    let scale = (bound / norm(weights, inputs, false).0).min(1.0);
    (weights.iter().map(|weight| scale * weight).collect(), scale)
}

/// The gradient by the matrix from that by what [`contracted`] makes of it.
pub fn pull_back(weights: &[f64], inputs: usize, bound: f64, gradient: &[f64]) -> Vec<f64> {
    let (norm, slopes) = norm(weights, inputs, true);
    if norm <= bound {
        return gradient.to_vec();
    }
    let scale = bound / norm;
    let along = gradient.iter().zip(weights).map(|(g, w)| g * w).sum::<f64>() * scale / norm;
    gradient.iter().zip(slopes).map(|(g, slope)| scale * g - along * slope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| (((i + 3) * (seed + 11) * 7919) % 1000) as f64 / 250.0 - 2.0).collect()
    }

    /// The largest singular value by many steps of the power method.
    fn spectral(weights: &[f64], inputs: usize) -> f64 {
        let mut v: Vec<f64> = random(inputs, 1);
        let mut size = 0.0;
        for _ in 0..2000 {
            let u: Vec<f64> =
                weights.chunks_exact(inputs).map(|row| row.iter().zip(&v).map(|(w, v)| w * v).sum()).collect();
            let mut next = vec![0.0; inputs];
            for (row, u) in weights.chunks_exact(inputs).zip(&u) {
                next.iter_mut().zip(row).for_each(|(next, w)| *next += w * u);
            }
            size = next.iter().map(|x| x * x).sum::<f64>().sqrt();
            v = next.into_iter().map(|x| x / size).collect();
        }
        size.sqrt()
    }

    #[test]
    fn the_norm_bounds_the_spectral_one_closely_and_has_the_slopes_of_central_differences() {
        for (inputs, outputs) in [(2, 16), (16, 16), (16, 2), (1, 5), (5, 1)] {
            for scale in [1e-6, 1.0, 1e6] {
                let weights: Vec<f64> = random(inputs * outputs, inputs).iter().map(|w| scale * w).collect();
                let (found, slopes) = norm(&weights, inputs, true);
                let exact = spectral(&weights, inputs);
                let most = (inputs.min(outputs) as f64).powf(1.0 / 64.0);
                assert!(found >= exact * (1.0 - 1e-9) && found <= exact * most * (1.0 + 1e-9), "{found} {exact}");
                for (i, slope) in slopes.iter().enumerate().step_by(5) {
                    let at = |step: f64| {
                        let mut moved = weights.clone();
                        moved[i] += step * scale;
                        norm(&moved, inputs, false).0 / scale
                    };
                    let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!((slope - expected).abs() < 1e-6, "{inputs} {outputs}: {slope} {expected}");
                }
            }
        }
        assert_eq!(norm(&[0.0; 6], 2, true).0, 0.0);
    }
}
