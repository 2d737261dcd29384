//! Annealing by effective sample size: the target comes forth from the base only as fast as the flow can follow.

/// The inverse temperature β of log γ_β = β log γ + (1 − β) log b, where b is the flow's base, on its way from 0 to 1.
///
/// At each step β becomes the largest for which the batch, weighted by γ_β / q, still has the demanded effective sample size, as sequential
/// Monte Carlo chooses its temperatures (Jasra et al. 2011); it never falls. Weights of draws of a flow that misses a part of the target
/// do not show it, so β must begin where the flow misses nothing, at the base.
///
/// The demand holds for half of the steps. If β has not reached 1 by then the flow cannot follow, and the demand is lowered along a
/// straight line to nothing at three quarters of the steps: training always ends on the target itself.
#[derive(Debug, Clone)]
pub struct Annealing {
    demand: f64,
    steps: u64,
    beta: f64,
}

/// Halvings of the interval in which β is looked for.
const HALVINGS: usize = 8;

impl Annealing {
    /// From β = 0, with the ESS/N `demand` (above 0, below 1), over a training of `steps` steps.
    pub fn new(demand: f64, steps: u64) -> Self {
        Self { demand, steps, beta: 0.0 }
    }

    /// The inverse temperature.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// Raises β as far as the draws of step `step` allow, given log γ − log q and log b − log q of each.
    pub fn advance(&mut self, step: u64, to_target: &[f64], to_base: &[f64]) -> f64 {
        let demand = self.demand_at(step);
        let ess_at = |beta: f64| {
            let log_weight =
                |(target, base): (&f64, &f64)| if beta > 0.0 { beta * target + (1.0 - beta) * base } else { *base };
            ess(to_target.iter().zip(to_base).map(log_weight))
        };
        if self.beta < 1.0 && (demand <= 0.0 || ess_at(1.0) >= demand) {
            self.beta = 1.0;
        }
        let mut above = 1.0;
        for _ in 0..HALVINGS {
            if self.beta >= 1.0 {
                break;
            }
            let middle = 0.5 * (self.beta + above);
            if ess_at(middle) >= demand {
                self.beta = middle;
            } else {
                above = middle;
            }
        }
        self.beta
    }

    fn demand_at(&self, step: u64) -> f64 {
        let done = step as f64 / self.steps.max(1) as f64;
        self.demand * (3.0 - 4.0 * done).min(1.0)
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
        let mut annealing = Annealing::new(0.5, 100);
        let beta = annealing.advance(0, &to_target, &to_base);
        let exact = 2f64.ln().sqrt() / 3.0;
        assert!((beta - exact).abs() < 0.01, "{beta}, not {exact}");
        let worse: Vec<f64> = to_target.iter().map(|w| 2.0 * w).collect();
        assert_eq!(annealing.advance(1, &worse, &to_base), beta);
        let better: Vec<f64> = to_target.iter().map(|w| 0.1 * w).collect();
        assert_eq!(annealing.advance(2, &better, &to_base), 1.0);
        assert_eq!(annealing.advance(3, &worse, &to_base), 1.0);
    }

    #[test]
    fn beta_ends_at_one_whatever_the_weights() {
        let to_target = [0.0, f64::NEG_INFINITY, -1e6, f64::NAN];
        let mut annealing = Annealing::new(0.9, 100);
        let before = annealing.advance(49, &to_target, &[0.0; 4]);
        assert!(before < 1.0);
        let betas: Vec<f64> = (50..=75).map(|step| annealing.advance(step, &to_target, &[0.0; 4])).collect();
        assert!(betas.is_sorted() && betas[25] == 1.0, "{betas:?}");
    }
}
