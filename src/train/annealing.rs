//! Annealing by effective sample size: the target comes forth from a broad base only as fast as the flow can follow.

use serde::{Deserialize, Serialize};

/// How a target is annealed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealConfig {
    /// The ESS/N that a batch must have for the target to come forth further.
    pub ess: f64,
    /// The standard deviation, in the flow's coordinates, of the normal density that it comes forth from: broad enough to cover the target.
    pub scale: f64,
}

impl Default for AnnealConfig {
    fn default() -> Self {
        Self { ess: 0.8, scale: 5.0 }
    }
}

impl AnnealConfig {
    /// Everything that is wrong with it, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(self.ess > 0.0 && self.ess < 1.0) {
            faults.push(format!("ess is {}; an ESS/N above 0 and below 1 is right", self.ess));
        }
        if !(self.scale > 0.0 && self.scale <= 1e6) {
            faults.push(format!("scale is {}; a number above 0 and at most 1e6 is right", self.scale));
        }
        faults
    }
}

/// The inverse temperature β of log γ_β = β log γ + (1 − β) log b, where b is a broad normal density, on its way from 0 to 1.
///
/// At each step β rises as long as the batch, weighted by γ_β / q, has the demanded effective sample size, as sequential Monte Carlo
/// chooses its temperatures (Jasra et al. 2011); it never falls. Weights of draws of a flow that misses a part of the target
/// do not show it, so β begins where the flow can miss nothing: first it has to spread over b.
///
/// The demand holds for half of the steps. If β has not reached 1 by then the flow cannot follow, and the demand is lowered along a
/// straight line to nothing at three quarters of the steps: training always ends on the target itself.
#[derive(Debug, Clone)]
pub struct Annealing {
    config: AnnealConfig,
    steps: u64,
    beta: f64,
}

/// The part of what is left of the way that is tried first.
const STRIDES: f64 = 256.0;

impl Annealing {
    /// From β = 0, over a training of `steps` steps.
    pub fn new(config: AnnealConfig, steps: u64) -> Self {
        Self { config, steps, beta: 0.0 }
    }

    /// log b at a point, but for a constant.
    pub fn log_base(&self, point: &[f64]) -> f64 {
        let squares: f64 = point.iter().map(|x| x * x).sum();
        -0.5 * squares / self.config.scale.powi(2)
    }

    /// Turns the gradient of log γ at `point` into that of log γ_β.
    pub fn temper(&self, point: &[f64], gradient: &mut [f64]) {
        let of_base = (1.0 - self.beta) / self.config.scale.powi(2);
        gradient.iter_mut().zip(point).for_each(|(gradient, x)| *gradient = self.beta * *gradient - of_base * x);
    }

    /// The inverse temperature.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// Goes on from β as it was.
    pub(super) fn go_on(&mut self, beta: f64) {
        self.beta = beta;
    }

    /// Raises β as far as the draws of step `step` allow, given log γ − log q and log b − log q of each,
    /// both but for a constant.
    pub fn advance(&mut self, step: u64, to_target: &[f64], to_base: &[f64]) -> f64 {
        let demand = self.demand_at(step);
        let ess_at = |beta: f64| {
            let log_weight =
                |(target, base): (&f64, &f64)| if beta > 0.0 { beta * target + (1.0 - beta) * base } else { *base };
            ess(to_target.iter().zip(to_base).map(log_weight))
        };
        if demand <= 0.0 {
            self.beta = 1.0;
        }
        // In growing steps to the first β that is too much: beyond it, the weights of a flow that has missed a part may look well again.
        let mut stride = (1.0 - self.beta) / STRIDES;
        while self.beta < 1.0 && ess_at(self.beta) >= demand {
            let next = if self.beta + 1.5 * stride < 1.0 { self.beta + stride } else { 1.0 };
            if ess_at(next) < demand {
                break;
            }
            self.beta = next;
            stride *= 2.0;
        }
        self.beta
    }

    fn demand_at(&self, step: u64) -> f64 {
        let done = step as f64 / self.steps.max(1) as f64;
        self.config.ess * (3.0 - 4.0 * done).min(1.0)
    }
}

/// (Σw)² / (N Σw²) from log weights; a weight that is not a number counts as zero.
pub(super) fn ess(log_weights: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = log_weights.clone().fold(f64::NEG_INFINITY, f64::max);
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for log_weight in log_weights {
        let weight = (log_weight - largest).exp();
        n += 1.0;
        if weight.is_finite() {
            sum += weight;
            squares += weight * weight;
        }
    }
    if squares > 0.0 {
        sum * sum / (n * squares)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn beta_is_the_largest_that_the_demand_allows_and_never_falls() {
        // γ_β / b has log weights β s z: a log-normal, whose ESS/N is exp(−β² s²).
        let n = 100_000;
        let mut z = vec![0.0; n];
        Seed(1).stream("weights").normals(0, 1, &mut z);
        let to_target: Vec<f64> = z.iter().map(|z| 3.0 * z).collect();
        let to_base = vec![0.0; n];
        let mut annealing = Annealing::new(AnnealConfig { ess: 0.5, scale: 1.0 }, 100);
        let first = annealing.advance(0, &to_target, &to_base);
        let beta = (0..100).map(|_| annealing.advance(0, &to_target, &to_base)).last().expect("some");
        assert!(0.0 < first && first < beta, "{first}, {beta}");
        let exact = 2f64.ln().sqrt() / 3.0;
        assert!((beta - exact).abs() < 0.01, "{beta}, not {exact}");
        let worse: Vec<f64> = to_target.iter().map(|w| 2.0 * w).collect();
        assert_eq!(annealing.advance(1, &worse, &to_base), beta);
        let better: Vec<f64> = to_target.iter().map(|w| 0.1 * w).collect();
        assert_eq!(annealing.advance(2, &better, &to_base), 1.0);
        assert_eq!(annealing.advance(3, &worse, &to_base), 1.0);
    }

    #[test]
    fn beta_waits_until_the_flow_has_spread_over_the_base() {
        // Draws of a narrow flow: well weighted against a narrow target, badly against a broad base.
        let mut annealing = Annealing::new(AnnealConfig { ess: 0.8, scale: 5.0 }, 100);
        let mut x = vec![0.0; 1000];
        Seed(1).stream("draws").normals(0, 1, &mut x);
        let to_base: Vec<f64> = x.iter().map(|x| annealing.log_base(&[*x]) + 0.5 * x * x).collect();
        assert_eq!(annealing.advance(0, &[0.0; 1000], &to_base), 0.0);
        assert!(annealing.advance(1, &[0.0; 1000], &[0.0; 1000]) == 1.0);
    }

    #[test]
    fn beta_ends_at_one_whatever_the_weights() {
        let to_target = [0.0, f64::NEG_INFINITY, -1e6, f64::NAN];
        let mut annealing = Annealing::new(AnnealConfig { ess: 0.9, scale: 1.0 }, 100);
        let before = annealing.advance(49, &to_target, &[0.0; 4]);
        assert!(before < 1.0);
        let betas: Vec<f64> = (50..=75).map(|step| annealing.advance(step, &to_target, &[0.0; 4])).collect();
        assert!(betas.is_sorted() && betas[25] == 1.0, "{betas:?}");
    }
}
