//! Which particles go on, and how far the temperature may go: systematic resampling and the conditional effective sample size.

/// Systematic resampling (Kitagawa 1996; Carpenter, Clifford and Fearnhead 1999): `n` places in a list of `weights` (which need not sum to
/// one), place i as often as its share of `n`, rounded up or down, from the one uniform number `u` in (0, 1).
pub fn systematic(weights: &[f64], n: usize, u: f64) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let mut chosen = Vec::with_capacity(n);
    let (mut place, mut passed) = (0, weights[0]);
    for k in 0..n {
        let at = (k as f64 + u) / n as f64 * total;
        while passed <= at && place + 1 < weights.len() {
            place += 1;
            passed += weights[place];
        }
        chosen.push(place);
    }
    chosen
}

/// The conditional effective sample size over N of the weights exp(step · d) (Zhou, Johansen and Aston 2016), for particles of equal
/// weight and the differences d = log γ − log base; −∞ is left out, since no step however small would keep such a particle.
fn conditional_ess(differences: &[f64], step: f64) -> f64 {
    let alive = || differences.iter().copied().filter(|d| *d > f64::NEG_INFINITY);
    let largest = alive().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
    for difference in alive() {
        let weight = (step * (difference - largest)).exp();
        (sum, squares, n) = (sum + weight, squares + weight * weight, n + 1.0);
    }
    sum * sum / (squares * n)
}

/// The largest step of inverse temperature, at most `left`, that keeps the conditional ESS/N at `keep`: by bisection.
pub fn next_step(differences: &[f64], left: f64, keep: f64) -> f64 {
    if conditional_ess(differences, left) >= keep {
        return left;
    }
    // On a logarithmic scale: the first steps from a broad base may be of size 10⁻⁹.
    let (mut low, mut high) = ((left * 1e-16).ln(), left.ln());
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if conditional_ess(differences, middle.exp()) >= keep {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_shares_to_within_one() {
        let weights = [0.5, 0.0, 2.0, 1.0, 0.03, 3.0];
        let total: f64 = weights.iter().sum();
        for u in [1e-9, 0.2, 0.5, 0.999_999] {
            for n in [1, 2, 7, 100] {
                let chosen = systematic(&weights, n, u);
                assert_eq!(chosen.len(), n);
                for (place, weight) in weights.iter().enumerate() {
                    let times = chosen.iter().filter(|&&c| c == place).count() as f64;
                    assert!((times - n as f64 * weight / total).abs() < 1.0, "{place} {times}");
                }
            }
        }
    }

    #[test]
    fn resampling_is_unbiased_over_its_number() {
        let (weights, n) = ([0.2, 0.5, 0.3], 4);
        let grid = 1000;
        let mut counts = [0usize; 3];
        for k in 0..grid {
            systematic(&weights, n, (f64::from(k) + 0.5) / f64::from(grid)).iter().for_each(|&c| counts[c] += 1);
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!((*count as f64 / f64::from(grid) - 4.0 * weight).abs() < 0.01);
        }
    }

    #[test]
    fn the_step_keeps_what_was_asked() {
        let differences: Vec<f64> = (0..1000).map(|i| -1e6 * (f64::from(i) / 1000.0).powi(2)).collect();
        let step = next_step(&differences, 1.0, 0.8);
        assert!((conditional_ess(&differences, step) - 0.8).abs() < 1e-3, "{step}");
        assert_eq!(next_step(&[1.0; 10], 0.3, 0.8), 0.3);
        let half_dead: Vec<f64> = (0..10).map(|i| if i % 2 == 0 { f64::NEG_INFINITY } else { 3.0 }).collect();
        assert_eq!(next_step(&half_dead, 1.0, 0.8), 1.0);
    }
}
