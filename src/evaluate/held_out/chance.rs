//! What chance alone does: tail probabilities of the statistics where rows and draws come from one density.

use statrs::function::erf::erfc_inv;
use statrs::function::gamma::checked_gamma_ur;
use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// P(Z > z) for a standard normal Z.
pub fn normal_above(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// The z with Φ(z) = `p`.
pub fn normal_quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// P(χ² > `x`) with `freedom` degrees of freedom: the regularised upper gamma function Q(freedom/2, x/2). One where there is no freedom.
pub fn chi_square_above(x: f64, freedom: usize) -> f64 {
    if freedom == 0 || !(x > 0.0) {
        return 1.0;
    }
    checked_gamma_ur(0.5 * freedom as f64, 0.5 * x).unwrap_or(1.0)
}

/// √(n m / (n + m)) with the correction for small samples of Stephens (1970).
fn root_of_effective(n: usize, m: usize) -> f64 {
    let root = (n as f64 * m as f64 / (n + m) as f64).sqrt();
    root + 0.12 + 0.11 / root
}

/// P(D > `d`) for the largest difference D of two empirical distribution functions, of n and m draws from one continuous density
/// (Kolmogorov 1933; Smirnov 1939): 2 Σₖ (−1)^(k−1) exp(−2 k² λ²). At most that where values are tied.
pub fn kolmogorov_above(d: f64, n: usize, m: usize) -> f64 {
    let lambda = root_of_effective(n, m) * d;
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
        sign * (-2.0 * f64::from(k * k) * lambda * lambda).exp()
    };
    // Below λ = 0.2 the series needs more terms, and is one to ten digits.
    (2.0 * (1..=40).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

/// The d that D exceeds with a (small) probability `p`.
pub fn kolmogorov_quantile(p: f64, n: usize, m: usize) -> f64 {
    ((-0.5 * (0.5 * p).ln()).sqrt() / root_of_effective(n, m)).min(1.0)
}

/// E[D²], by which chance alone makes the square of the largest difference larger: π²/12 (1/n + 1/m) in the limit.
pub fn kolmogorov_square(n: usize, m: usize) -> f64 {
    PI * PI / 12.0 * (1.0 / n as f64 + 1.0 / m as f64)
}

/// A size less what chance adds to it on average, in squares, for it adds to the square: √max(0, found² − by_chance²).
pub fn less_chance(found: f64, by_chance_squared: f64) -> f64 {
    (found * found - by_chance_squared).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, right: f64) {
        assert!((found / right - 1.0).abs() < 1e-3, "{found}, {right}");
    }

    #[test]
    fn tails_are_those_of_the_tables() {
        close(normal_above(3.090_232), 0.001);
        close(normal_quantile(0.975), 1.959_964);
        close(chi_square_above(18.307, 10), 0.05);
        close(chi_square_above(86.661, 50), 0.001);
        assert_eq!(
            (chi_square_above(1.0, 0), chi_square_above(0.0, 3), chi_square_above(f64::NAN, 3)),
            (1.0, 1.0, 1.0)
        );
        // λ = 1.3581 is the five per cent point; samples so large that the correction is nothing.
        let n = 2_000_000_000;
        close(kolmogorov_above(1.3581 / (n as f64 / 2.0).sqrt(), n, n), 0.05);
        close(kolmogorov_quantile(0.05, n, n), 1.3581 / (n as f64 / 2.0).sqrt());
        assert_eq!((kolmogorov_above(0.0, 10, 10), kolmogorov_above(1.0, 1000, 1000)), (1.0, 0.0));
    }
}
