//! Scores from log importance weights log w = log γ − log q, all sums in `f64` and shifted by the largest weight.

use super::pareto::k_hat;

/// Scores from draws of the student.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReverseScores {
    /// mean log w ≤ log Z, in nats; −∞ if some weight is zero.
    pub elbo: f64,
    /// log of the mean weight: the importance-sampled evidence, in nats.
    pub log_z: f64,
    /// Its standard error by the delta method, sd(w) / (√N · mean(w)).
    pub log_z_se: f64,
    /// Kish's effective sample size over N: (Σw)² / (N Σw²).
    pub ess: f64,
    /// Pareto tail index of the weights; none where it cannot be fitted.
    pub k_hat: Option<f64>,
    /// N, zero weights included.
    pub draws: usize,
    /// How many weights are zero.
    pub zero_weights: usize,
}

/// Scores from draws of the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardScores {
    /// mean log w ≥ log Z, in nats.
    pub eubo: f64,
    /// Z / mean(w) where Z is known, else 1 / (mean(w) · mean(1/w)): the ESS/N that the student's draws would have.
    pub forward_ess: f64,
    /// EUBO − log Z, in nats, where Z is known.
    pub forward_kl: Option<f64>,
    /// Pareto tail index of the weights.
    pub forward_k_hat: Option<f64>,
    /// N.
    pub draws: usize,
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanWithError {
    /// The mean.
    pub mean: f64,
    /// sd / √N, with N − 1 in the standard deviation.
    pub standard_error: f64,
}

/// The mean of `values` and its standard error.
pub fn mean(values: &[f64]) -> MeanWithError {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    MeanWithError { mean, standard_error: (squares / (n - 1.0) / n).sqrt() }
}

/// The mean of `values` by their `weights`, Σ wx / Σ w, and its standard error: that of as many equal values as they are worth,
/// n = (Σ w)² / Σ w² (Kish 1965).
pub fn weighted_mean(values: &[f64], weights: &[f64]) -> MeanWithError {
    let sum: f64 = weights.iter().sum();
    let n = sum * sum / weights.iter().map(|weight| weight * weight).sum::<f64>();
    let of = |value: &dyn Fn(f64) -> f64| values.iter().zip(weights).map(|(x, w)| w * value(*x)).sum::<f64>() / sum;
    let mean = of(&|x| x);
    MeanWithError { mean, standard_error: (of(&|x| (x - mean).powi(2)) / (n - 1.0)).sqrt() }
}

/// The sums of powers of weights relative to the largest.
struct Relative {
    largest: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl Relative {
    fn new(log_weights: impl Iterator<Item = f64> + Clone) -> Self {
        let largest = log_weights.clone().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut sum_of_squares) = (0.0, 0.0);
        if largest.is_finite() {
            for log_weight in log_weights {
                let weight = (log_weight - largest).exp();
                sum += weight;
                sum_of_squares += weight * weight;
            }
        }
        Self { largest, sum, sum_of_squares }
    }

    fn log_mean(&self, n: f64) -> f64 {
        if self.sum > 0.0 {
            self.largest + (self.sum / n).ln()
        } else {
            self.largest
        }
    }
}

/// Scores of a student from log weights at its own draws. A NaN is a row that failed: its weight is zero and it stays in N.
pub fn reverse(log_weights: &[f64]) -> ReverseScores {
    let n = log_weights.len() as f64;
    let usable = log_weights.iter().map(|&w| if w.is_nan() { f64::NEG_INFINITY } else { w });
    let relative = Relative::new(usable.clone());
    let ess = if relative.sum > 0.0 { relative.sum.powi(2) / (n * relative.sum_of_squares) } else { 0.0 };
    // Var(w) / mean(w)² = (mean w² / mean(w)²) − 1 = 1/ESS − 1.
    let log_z_se = if ess > 0.0 { ((1.0 / ess - 1.0).max(0.0) / n).sqrt() } else { f64::INFINITY };
    let usable: Vec<f64> = usable.collect();
    ReverseScores {
        elbo: usable.iter().sum::<f64>() / n,
        log_z: relative.log_mean(n),
        log_z_se,
        ess,
        k_hat: k_hat(&usable),
        draws: log_weights.len(),
        zero_weights: usable.iter().filter(|&&w| w == f64::NEG_INFINITY).count(),
    }
}

/// Scores of a student from log weights at draws of the target; `log_z` is the logarithm of its normaliser, where known.
pub fn forward(log_weights: &[f64], log_z: Option<f64>) -> ForwardScores {
    let n = log_weights.len() as f64;
    let eubo = log_weights.iter().sum::<f64>() / n;
    let log_mean = Relative::new(log_weights.iter().copied()).log_mean(n);
    let log_forward_ess = match log_z {
        Some(log_z) => log_z - log_mean,
        None => -(log_mean + Relative::new(log_weights.iter().map(|w| -w)).log_mean(n)),
    };
    ForwardScores {
        eubo,
        forward_ess: log_forward_ess.exp(),
        forward_kl: log_z.map(|log_z| eubo - log_z),
        forward_k_hat: k_hat(log_weights),
        draws: log_weights.len(),
    }
}

/// The total variation distance between student q and target p = γ/Z, sup over events of |q − p|, from log weights at draws of each: the
/// larger of the two unbiased estimates mean over q of max(0, 1 − w/Z) and mean over p of max(0, 1 − Z/w). Both average numbers between 0
/// and 1, so that no outlier can spoil them (definition as in Levin, Peres and Wilmer 2009, chapter 4).
pub fn total_variation(own: &[f64], foreign: &[f64], log_z: f64) -> f64 {
    // A weight of zero is a draw where the target has nothing, and a row that failed counts as one.
    let lacking = |excess: f64| if excess.is_nan() { 1.0 } else { -excess.min(0.0).exp_m1() };
    let mean = |terms: &mut dyn Iterator<Item = f64>, n: usize| terms.sum::<f64>() / n as f64;
    let of_own = mean(&mut own.iter().map(|w| lacking(w - log_z)), own.len());
    let of_foreign = mean(&mut foreign.iter().map(|w| lacking(log_z - w)), foreign.len());
    of_own.max(of_foreign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const DRAWS: usize = 400_000;

    fn normal(mean: f64, deviation: f64) -> Vec<f64> {
        let mut z = vec![0.0; DRAWS];
        Seed(5).stream("weights").normals(0, 1, &mut z);
        z.iter().map(|z| mean + deviation * z).collect()
    }

    #[test]
    fn log_normal_weights_have_their_closed_form() {
        let (mu, sigma) = (700.0, 0.5);
        let scores = reverse(&normal(mu, sigma));
        assert!((scores.elbo - mu).abs() < 5e-3);
        assert!((scores.log_z - (mu + sigma * sigma / 2.0)).abs() < 5.0 * scores.log_z_se);
        assert!((scores.ess - (-sigma * sigma).exp()).abs() < 5e-3);
        let exact_se = ((sigma * sigma).exp_m1() / DRAWS as f64).sqrt();
        assert!((scores.log_z_se / exact_se - 1.0).abs() < 0.05);
    }

    #[test]
    fn forward_scores_mirror_them() {
        // Under p, log w has mean μ + σ² when it has mean μ under q.
        let (mu, sigma) = (-3.0, 0.5);
        let log_z = mu + sigma * sigma / 2.0;
        let log_weights = normal(mu + sigma * sigma, sigma);
        let known = forward(&log_weights, Some(log_z));
        assert!((known.forward_ess - (-sigma * sigma).exp()).abs() < 5e-3);
        assert!((known.forward_kl.expect("known") - sigma * sigma / 2.0).abs() < 5e-3);
        assert!((forward(&log_weights, None).forward_ess - (-sigma * sigma).exp()).abs() < 1e-2);
    }

    #[test]
    fn the_distance_of_log_normal_weights_has_its_closed_form() {
        // log w ~ N(μ, σ²) under q and N(μ + σ², σ²) under p: the distance is 2 Φ(σ/2) − 1.
        let (mu, sigma) = (-3.0, 0.5);
        let (own, foreign) = (normal(mu, sigma), normal(mu + sigma * sigma, sigma));
        let log_z = mu + sigma * sigma / 2.0;
        let exact = libm::erf(sigma / 2.0 * std::f64::consts::FRAC_1_SQRT_2);
        let found = total_variation(&own, &foreign, log_z);
        assert!((found - exact).abs() < 2e-3, "{found} {exact}");
        // Half of the target is where the student never comes; a few monstrous weights change nothing.
        let half = [vec![2.0f64.ln(); 500], vec![1e3; 500]].concat();
        assert!((total_variation(&[0.0; 10], &half, 2.0f64.ln()) - 0.5).abs() < 1e-12);
        assert_eq!(total_variation(&[f64::NEG_INFINITY, f64::NAN], &[0.0], 0.0), 1.0);
    }

    #[test]
    fn zero_and_failed_weights_stay_in_n() {
        let scores = reverse(&[0.0, f64::NEG_INFINITY, f64::NAN, 0.0]);
        assert_eq!((scores.zero_weights, scores.elbo, scores.ess), (2, f64::NEG_INFINITY, 0.5));
        assert!((scores.log_z - 0.5f64.ln()).abs() < 1e-12);
        let none = reverse(&[f64::NEG_INFINITY; 3]);
        assert_eq!((none.ess, none.log_z, none.elbo), (0.0, f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert!(!none.log_z_se.is_nan());
    }

    #[test]
    fn means_have_their_standard_error() {
        let MeanWithError { mean, standard_error } = mean(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(mean, 2.5);
        assert!((standard_error - (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
