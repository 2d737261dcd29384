//! The log likelihood of labels in logistic regression, in operations that the compiler can vectorise over the rows of the table.

use pulp::{Arch, Simd, WithSimd};

/// Σ_r [y_r η_r − ln(1 + e^{η_r})] with η = X w, for X given by its columns (`labels.len()` numbers each); adds its gradient Xᵀ (y − σ(η))
/// to `gradient`, when asked.
pub(super) fn log_likelihood(columns: &[f64], labels: &[f64], weights: &[f64], gradient: Option<&mut [f64]>) -> f64 {
    Arch::new().dispatch(LogLikelihood { columns, labels, weights, gradient })
}

struct LogLikelihood<'a> {
    columns: &'a [f64],
    labels: &'a [f64],
    weights: &'a [f64],
    gradient: Option<&'a mut [f64]>,
}

/// Partial sums that are kept apart, so that they can be made in one register.
const PARTS: usize = 16;

impl WithSimd for LogLikelihood<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let n = self.labels.len();
        let mut logits = vec![0.0; n];
        for (column, &weight) in self.columns.chunks_exact(n).zip(self.weights) {
            logits.iter_mut().zip(column).for_each(|(logit, x)| *logit = weight.mul_add(*x, *logit));
        }
        // The logits make place for the residuals.
        let mut parts = [0.0; PARTS];
        for (logits, labels) in logits.chunks_mut(PARTS).zip(self.labels.chunks(PARTS)) {
            for ((logit, label), part) in logits.iter_mut().zip(labels).zip(&mut parts) {
                let eta = *logit;
                let power = exp_of_negative(-eta.abs());
                *part += label * eta - (if eta > 0.0 { eta } else { 0.0 } + ln_of_one_plus(power));
                let sigmoid = if eta > 0.0 { 1.0 } else { power } / (1.0 + power);
                *logit = label - sigmoid;
            }
        }
        if let Some(gradient) = self.gradient {
            for (column, gradient) in self.columns.chunks_exact(n).zip(gradient) {
                let mut parts = [0.0f64; PARTS];
                let (column, residuals) = (column.chunks_exact(PARTS), logits.chunks_exact(PARTS));
                let rest = column.remainder().iter().zip(residuals.remainder()).map(|(x, r)| x * r).sum::<f64>();
                for (column, residuals) in column.zip(residuals) {
                    for ((part, x), residual) in parts.iter_mut().zip(column).zip(residuals) {
                        *part = x.mul_add(*residual, *part);
                    }
                }
                *gradient += parts.iter().sum::<f64>() + rest;
            }
        }
        parts.iter().sum()
    }
}

/// eˣ for x ≤ 0, and 0 below −708: 2ⁿ eʳ with |r| ≤ ½ ln 2 and the Taylor series of eʳ. NaN stays NaN.
#[inline(always)]
fn exp_of_negative(x: f64) -> f64 {
    // Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits of the sum.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts; the first has few enough bits for its product with n to be exact.
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let bounded = if x < -708.0 { -708.0 } else { x };
    let shifted = bounded * std::f64::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = bounded - n * LN_2_HIGH - n * LN_2_LOW;
    let mut sum = 1.0;
    for k in [13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        sum = 1.0 + sum * r * (1.0 / k);
    }
    let exponent = (shifted.to_bits() as i64).wrapping_sub(SHIFT.to_bits() as i64);
    let power = f64::from_bits((exponent.wrapping_add(1023) << 52) as u64);
    if x < -708.0 {
        0.0
    } else {
        sum * power
    }
}

/// ln(1 + u) for u in [0, 1]: 2 artanh(u / (2 + u)), a series in at most 1/9.
#[inline(always)]
fn ln_of_one_plus(u: f64) -> f64 {
    let s = u / (2.0 + u);
    let square = s * s;
    let mut tail = 1.0 / 33.0;
    for odd in [31.0, 29.0, 27.0, 25.0, 23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        tail = tail * square + 1.0 / odd;
    }
    2.0 * s + 2.0 * s * square * tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_functions_are_those_of_the_library() {
        for i in 0..100_000 {
            let x = -f64::from(i) * 7.2e-3;
            let (fast, exact) = (exp_of_negative(x), if x < -708.0 { 0.0 } else { x.exp() });
            assert!((fast - exact).abs() <= 1e-15 * exact.max(1e-300), "exp {x}: {fast} {exact}");
            let u = f64::from(i) * 1e-5;
            let (fast, exact) = (ln_of_one_plus(u), u.ln_1p());
            assert!((fast - exact).abs() <= 1e-15 * exact, "ln {u}: {fast} {exact}");
        }
        assert_eq!(exp_of_negative(f64::NEG_INFINITY), 0.0);
        assert!(exp_of_negative(f64::NAN).is_nan() && ln_of_one_plus(f64::NAN).is_nan());
    }

    #[test]
    fn likelihood_and_gradient_are_those_of_a_plain_loop() {
        for n in [1, 15, 16, 17, 61] {
            let column = |k: usize| (0..n).map(move |r| ((r * (k + 3)) as f64).sin() * 3.0);
            let columns: Vec<f64> = (0..3).flat_map(column).collect();
            let labels: Vec<f64> = (0..n).map(|r| f64::from(u8::from(r % 3 == 0))).collect();
            let weights = [2.0, -15.0, 0.5];
            let mut gradient = [1.0; 3];
            let value = log_likelihood(&columns, &labels, &weights, Some(&mut gradient));
            let (mut exact, mut slopes) = (0.0, [1.0; 3]);
            for r in 0..n {
                let eta: f64 = (0..3).map(|k| weights[k] * columns[k * n + r]).sum();
                exact += labels[r] * eta - (eta.max(0.0) + (-eta.abs()).exp().ln_1p());
                (0..3).for_each(|k| slopes[k] += (labels[r] - 1.0 / (1.0 + (-eta).exp())) * columns[k * n + r]);
            }
            assert!((value - exact).abs() < 1e-12 * (1.0 + exact.abs()), "{n} rows: {value} {exact}");
            assert!(gradient.iter().zip(slopes).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())), "{n} rows");
        }
    }
}
