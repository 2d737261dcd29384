//! The Pareto tail index of importance weights, which says whether averages over them can be trusted.

/// Log weights whose largest are replaced by quantiles of the distribution fitted to them, and that distribution's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoothed {
    /// The log weights, in the order given.
    pub log_weights: Vec<f64>,
    /// The shape k̂.
    pub k_hat: f64,
}

/// k̂: the shape of a generalised Pareto distribution fitted to the largest min(0.2 N, 3√N) weights by the estimator of Zhang and
/// Stephens (2009) with the prior of Vehtari et al. (2024). Below 0.7 the estimates are usable.
///
/// None where fewer than five distinct weights make the tail.
pub fn k_hat(log_weights: &[f64]) -> Option<f64> {
    Tail::of(log_weights).map(|tail| tail.fit().0)
}

/// Pareto-smoothed log weights (Vehtari et al. 2024): those of the tail become the expected order statistics of the fitted distribution,
/// at most the largest weight found. None where there is no tail to fit.
pub fn smooth(log_weights: &[f64]) -> Option<Smoothed> {
    let tail = Tail::of(log_weights)?;
    let (k, raw, sigma) = tail.fit();
    let mut smoothed = log_weights.to_vec();
    let n = tail.places.len() as f64;
    for (rank, &place) in tail.places.iter().enumerate() {
        let p = (rank as f64 + 0.5) / n;
        // The quantile with the shape after the prior, as in the reference implementation.
        let quantile = if k.abs() < 1e-15 { -sigma * (-p).ln_1p() } else { sigma * (-k * (-p).ln_1p()).exp_m1() / k };
        smoothed[place] = tail.largest + (quantile + tail.cut).ln().min(0.0);
    }
    debug_assert!(raw.is_finite());
    Some(Smoothed { log_weights: smoothed, k_hat: k })
}

/// The tail of log weights and the distribution that was fitted to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitted {
    /// The log weight above which it begins.
    pub from: f64,
    /// How many weights it has.
    pub count: usize,
    shape: f64,
    scale: f64,
    largest: f64,
    cut: f64,
}

impl Fitted {
    /// None where there is no tail to fit.
    pub fn of(log_weights: &[f64]) -> Option<Self> {
        let tail = Tail::of(log_weights)?;
        let (shape, _, scale) = tail.fit();
        let Tail { largest, cut, ref excess, .. } = tail;
        Some(Self { from: largest + cut.ln(), count: excess.len(), shape, scale, largest, cut })
    }

    /// The expected number of its log weights up to a value.
    pub fn expected_up_to(&self, log_weight: f64) -> f64 {
        let excess = ((log_weight - self.largest).exp() - self.cut).max(0.0);
        let share = match self.shape.abs() < 1e-9 {
            true => -(-excess / self.scale).exp_m1(),
            // Beyond the end of a bounded tail is nothing.
            false => 1.0 - (1.0 + self.shape * excess / self.scale).max(0.0).powf(-1.0 / self.shape),
        };
        self.count as f64 * share
    }
}

/// The largest weights relative to the very largest.
struct Tail {
    largest: f64,
    /// The largest weight that does not belong to the tail.
    cut: f64,
    /// What the tail's weights exceed it by, in rising order.
    excess: Vec<f64>,
    /// Where they are in the list.
    places: Vec<usize>,
}

impl Tail {
    fn of(log_weights: &[f64]) -> Option<Self> {
        let n = log_weights.len();
        let length = (0.2 * n as f64).min(3.0 * (n as f64).sqrt()).ceil() as usize;
        let mut order: Vec<usize> = (0..n).filter(|&i| log_weights[i] > f64::NEG_INFINITY).collect();
        if length < 5 || order.len() <= length || order.iter().any(|&i| !log_weights[i].is_finite()) {
            return None;
        }
        order.sort_by(|&a, &b| log_weights[a].total_cmp(&log_weights[b]));
        let largest = log_weights[order[order.len() - 1]];
        let cut = (log_weights[order[order.len() - length - 1]] - largest).exp();
        let places: Vec<usize> = order[order.len() - length..].to_vec();
        let places: Vec<usize> = places.into_iter().filter(|&i| (log_weights[i] - largest).exp() > cut).collect();
        let excess: Vec<f64> = places.iter().map(|&i| (log_weights[i] - largest).exp() - cut).collect();
        // Weights that differ by rounding only have no tail to speak of.
        if excess.len() < 5 || excess[excess.len() - 1] <= 1e-12 {
            return None;
        }
        Some(Self { largest, cut, excess, places })
    }

    /// The shape with the prior, the shape without, and the scale.
    ///
    /// The posterior mean of θ = −k/σ over a grid, weighted by profile likelihoods, then the shape pulled towards ½ by a prior worth ten
    /// observations.
    fn fit(&self) -> (f64, f64, f64) {
        let excess = &self.excess;
        let n = excess.len() as f64;
        let quartile = excess[(n / 4.0 + 0.5).floor() as usize - 1];
        let top = excess[excess.len() - 1];
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
        let raw = shape_at(theta);
        ((n * raw + 10.0 * 0.5) / (n + 10.0), raw, -raw / theta)
    }
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
