//! Ratios of gamma functions and the derivatives of their logarithm: what densities with a gamma function in them need for values and gradients that
//! hold where the arguments are large.

/// From here on Stirling's series is exact to rounding.
const LARGE: f64 = 10.0;

/// ln Γ(x + n) − ln Γ(x), the logarithm of the rising factorial x (x + 1) … (x + n − 1) for a whole n; from Stirling's series (Abramowitz and Stegun
/// 1964, 6.1.40) where x is large, since there both terms are so much larger than their difference that nothing would be left of it.
pub fn log_rising(x: f64, n: f64) -> f64 {
    if !(x >= LARGE && x + n >= LARGE) {
        return libm::lgamma(x + n) - libm::lgamma(x);
    }
    let tail = |x: f64| {
        let z = 1.0 / (x * x);
        (1.0 / 12.0 - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z * (1.0 / 1680.0 - z / 1188.0)))) / x
    };
    n * x.ln() + ((x + n - 0.5) * (n / x).ln_1p() - n) + (tail(x + n) - tail(x))
}

/// ψ(x + n) − ψ(x), the derivative of [`log_rising`] by x; that by n is ψ(x + n).
pub fn digamma_rise(x: f64, n: f64) -> f64 {
    if !(x >= LARGE && x + n >= LARGE) {
        return digamma(x + n) - digamma(x);
    }
    (n / x).ln_1p() + 0.5 * (n / x) / (x + n) - (digamma_series(x + n) - digamma_series(x))
}

/// ln x − 1 / 2x − ψ(x) for a large x.
fn digamma_series(x: f64) -> f64 {
    let z = 1.0 / (x * x);
    z * (1.0 / 12.0
        - z * (1.0 / 120.0 - z * (1.0 / 252.0 - z * (1.0 / 240.0 - z * (5.0 / 660.0 - z * (691.0 / 32_760.0))))))
}

/// ψ(x), the derivative of ln |Γ(x)|, by recurrence to large x and its asymptotic series there (Abramowitz and Stegun 1964, 6.3.18).
pub fn digamma(x: f64) -> f64 {
    if x <= 0.0 && x == x.floor() {
        return f64::NAN;
    }
    if x < 0.0 {
        return digamma(1.0 - x) - std::f64::consts::PI / (std::f64::consts::PI * x).tan();
    }
    let (mut x, mut value) = (x, 0.0);
    while x < LARGE {
        value -= 1.0 / x;
        x += 1.0;
    }
    value + x.ln() - 0.5 / x - digamma_series(x)
}

/// ψ′(x) in the same way (6.4.12).
pub fn trigamma(x: f64) -> f64 {
    if x <= 0.0 && x == x.floor() {
        return f64::INFINITY;
    }
    if x < 0.0 {
        let sine = (std::f64::consts::PI * x).sin() / std::f64::consts::PI;
        return 1.0 / (sine * sine) - trigamma(1.0 - x);
    }
    let (mut x, mut value) = (x, 0.0);
    while x < LARGE {
        value += 1.0 / (x * x);
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let series = z
        * (1.0 / 6.0
            - z * (1.0 / 30.0 - z * (1.0 / 42.0 - z * (1.0 / 30.0 - z * (5.0 / 66.0 - z * (691.0 / 2730.0))))));
    value + (1.0 + 0.5 / x + series) / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabulated_values() {
        // Abramowitz and Stegun 1964, tables 6.1 and 6.2, and closed forms.
        let close =
            |found: f64, right: f64| assert!((found - right).abs() < 1e-13 * (1.0 + right.abs()), "{found} {right}");
        const EULER: f64 = 0.577_215_664_901_532_9;
        close(digamma(1.0), -EULER);
        close(digamma(0.5), -EULER - 2.0 * 2f64.ln());
        close(digamma(2.0), 1.0 - EULER);
        close(digamma(20.0), 2.970_523_992_242_149);
        close(digamma(-0.5), digamma(0.5) + 2.0);
        let pi_2 = std::f64::consts::PI * std::f64::consts::PI;
        close(trigamma(1.0), pi_2 / 6.0);
        close(trigamma(0.5), pi_2 / 2.0);
        close(trigamma(2.0), pi_2 / 6.0 - 1.0);
        close(trigamma(-0.5), pi_2 / 2.0 + 4.0);
        assert!(digamma(-3.0).is_nan() && trigamma(0.0).is_infinite());
    }

    #[test]
    fn rising_factorials_hold_however_large_they_begin() {
        let close =
            |found: f64, right: f64| assert!((found - right).abs() <= 3e-14 * (1.0 + right.abs()), "{found} {right}");
        for x in [0.3, 2.0, 9.5, 9.999, 10.0, 31.7, 400.0, 1e5, 1e10, 1e20, 1e300] {
            for n in [0u32, 1, 2, 5, 30] {
                let product: f64 = (0..n).map(|k| (x + f64::from(k)).ln()).sum();
                close(log_rising(x, f64::from(n)), product);
                let slope: f64 = (0..n).map(|k| 1.0 / (x + f64::from(k))).sum();
                let found = digamma_rise(x, f64::from(n));
                assert!((found - slope).abs() <= 1e-13 * slope + 3e-15 / x.min(1.0), "{x} {n}: {found} {slope}");
            }
            // Γ(x + ½) / Γ(x) twice is x.
            close(log_rising(x, 0.5) + log_rising(x + 0.5, 0.5), x.ln());
        }
        assert!(log_rising(-1.5, 1.0).is_finite() && log_rising(f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn slopes_and_recurrences_agree() {
        for x in [0.2, 0.9, 1.7, 3.3, 7.9, 8.1, 50.0, 1234.5] {
            let h = 1e-4 * x;
            let slope = (libm::lgamma(x + h) - libm::lgamma(x - h)) / (2.0 * h);
            assert!((digamma(x) - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{x}");
            let slope = (digamma(x + h) - digamma(x - h)) / (2.0 * h);
            assert!((trigamma(x) - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{x}");
            assert!((digamma(x + 1.0) - digamma(x) - 1.0 / x).abs() < 1e-12 * (1.0 + 1.0 / x), "{x}");
        }
    }
}
