//! The derivatives of the log gamma function: what densities with a gamma function in them need for their gradients.

/// ψ(x), the derivative of ln |Γ(x)|, by recurrence to large x and its asymptotic series there (Abramowitz and Stegun 1964, 6.3.18).
pub fn digamma(x: f64) -> f64 {
    if x <= 0.0 && x == x.floor() {
        return f64::NAN;
    }
    if x < 0.0 {
        return digamma(1.0 - x) - std::f64::consts::PI / (std::f64::consts::PI * x).tan();
    }
    let (mut x, mut value) = (x, 0.0);
    while x < 10.0 {
        value -= 1.0 / x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    let series = z
        * (1.0 / 12.0
            - z * (1.0 / 120.0 - z * (1.0 / 252.0 - z * (1.0 / 240.0 - z * (5.0 / 660.0 - z * (691.0 / 32_760.0))))));
    value + x.ln() - 0.5 / x - series
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
    while x < 10.0 {
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
