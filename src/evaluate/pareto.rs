//! The Pareto tail index of importance weights, which says whether averages over them can be trusted.

/// k̂: the shape of a generalised Pareto distribution fitted to the largest min(0.2 N, 3√N) weights by the estimator of Zhang and
/// Stephens (2009) with the prior of Vehtari et al. (2024). Below 0.7 the estimates are usable.
///
/// None where fewer than five distinct weights make the tail.
pub fn k_hat(log_weights: &[f64]) -> Option<f64> {
    let n = log_weights.len();
    let tail_len = (0.2 * n as f64).min(3.0 * (n as f64).sqrt()).ceil() as usize;
    let mut sorted: Vec<f64> = log_weights.iter().copied().filter(|w| *w > f64::NEG_INFINITY).collect();
    if tail_len < 5 || sorted.len() <= tail_len || sorted.iter().any(|w| !w.is_finite()) {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let largest = sorted[sorted.len() - 1];
    let cut = (sorted[sorted.len() - tail_len - 1] - largest).exp();
    let excess: Vec<f64> = sorted[sorted.len() - tail_len..].iter().map(|w| (w - largest).exp() - cut).collect();
    let quartile = excess[(tail_len as f64 / 4.0 + 0.5).floor() as usize - 1];
    let top = excess[tail_len - 1];
    // Weights that differ by rounding only have no tail to speak of.
    if quartile <= 0.0 || top <= 1e-12 {
        return None;
    }
    Some(shape(&excess, quartile, top))
}

/// The posterior mean of the shape over a grid of θ = −k/σ, weighted by profile likelihoods, pulled towards ½ by a prior worth
/// ten observations. `excess` is sorted.
fn shape(excess: &[f64], quartile: f64, top: f64) -> f64 {
    let n = excess.len() as f64;
    let points = 30 + n.sqrt().floor() as usize;
    let thetas: Vec<f64> = (1..=points)
        .map(|j| 1.0 / top + (1.0 - (points as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile))
        .collect();
    let shape_at = |theta: f64| excess.iter().map(|x| (-theta * x).ln_1p()).sum::<f64>() / n;
    let log_likelihoods: Vec<f64> = thetas
        .iter()
        .map(|&theta| {
            let k = shape_at(theta);
            n * ((-theta / k).ln() - k - 1.0)
        })
        .collect();
    let largest = log_likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_likelihoods.iter().map(|l| (l - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let theta = thetas.iter().zip(&weights).map(|(theta, weight)| theta * weight).sum::<f64>() / total;
    (n * shape_at(theta) + 10.0 * 0.5) / (n + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log weights whose tail has the shape `k`: u^{−k} at evenly spaced u.
    fn pareto(n: usize, k: f64) -> Vec<f64> {
        (0..n).map(|i| -k * ((i as f64 + 0.5) / n as f64).ln()).collect()
    }

    #[test]
    fn recovers_the_shape_of_exact_tails() {
        for k in [0.2, 0.5, 0.7, 1.0, 1.5] {
            let found = k_hat(&pareto(100_000, k)).expect("a tail");
            assert!((found - k).abs() < 0.06, "{found} for {k}");
        }
    }

    #[test]
    fn bounded_weights_have_a_negative_or_small_index() {
        let uniform: Vec<f64> = (1..10_000).map(|i| f64::from(i).ln()).collect();
        assert!(k_hat(&uniform).expect("a tail") < 0.0);
    }

    #[test]
    fn does_not_depend_on_the_normaliser() {
        let weights = pareto(10_000, 0.6);
        let shifted: Vec<f64> = weights.iter().map(|w| w - 1234.5).collect();
        let (a, b) = (k_hat(&weights).expect("a tail"), k_hat(&shifted).expect("a tail"));
        assert!((a - b).abs() < 1e-6);
    }

    #[test]
    fn has_nothing_to_say_without_a_tail() {
        assert_eq!(k_hat(&[0.0; 1000]), None);
        assert_eq!(k_hat(&[0.0, 1.0, 2.0]), None);
        assert_eq!(k_hat(&[f64::NEG_INFINITY; 100]), None);
        assert_eq!(k_hat(&[]), None);
    }
}
