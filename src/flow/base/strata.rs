//! A batch whose rows are divided among the components of a mixture beforehand, so that no gradient needs the score function.

/// Which component each row of a batch is drawn from, and what it counts.
///
/// E_q f = Σ_k w_k E_k f is estimated by the mean of f over the n_k rows of each component: row r of component k has the share w_k/n_k.
/// The derivative by a logit of the weights is then w_k (F_k − Σ_j w_j F_j) with those means F_k, beside what f itself depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Strata {
    weights: Vec<f64>,
    counts: Vec<usize>,
    shares: Vec<f64>,
}

impl Strata {
    /// Every component gets a row, and of the others as many as fit its weight (largest remainders); a batch too small for that has
    /// rows of the heaviest components only.
    pub(super) fn new(weights: &[f64], rows: usize) -> Self {
        let spare = rows.saturating_sub(weights.len());
        let ideal: Vec<f64> = weights.iter().map(|weight| weight * spare as f64).collect();
        let mut counts: Vec<usize> = ideal.iter().map(|ideal| 1 + ideal.floor() as usize).collect();
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by(|&a, &b| ideal[b].fract().total_cmp(&ideal[a].fract()).then(a.cmp(&b)));
        let mut total: usize = counts.iter().sum();
        for &k in order.iter().cycle().take(rows.saturating_sub(total)) {
            counts[k] += 1;
            total += 1;
        }
        order.sort_by(|&a, &b| weights[a].total_cmp(&weights[b]).then(a.cmp(&b)));
        let mut lightest = order.iter().cycle();
        while total > rows {
            let Some(&k) = lightest.next() else { break };
            if counts[k] > 0 {
                counts[k] -= 1;
                total -= 1;
            }
        }
        let shares = counts.iter().zip(weights).flat_map(|(&n, weight)| vec![weight / n as f64; n]).collect();
        Self { weights: weights.to_vec(), counts, shares }
    }

    /// What each row counts; they add up to one.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Puts into the last of the `width` standard normals of each row one that chooses its component.
    pub fn fix(&self, noise: &mut [f64], width: usize) {
        let mut rows = noise.chunks_exact_mut(width);
        let mut below = 0.0;
        for (&count, weight) in self.counts.iter().zip(&self.weights) {
            let choice = quantile(below + 0.5 * weight);
            below += weight;
            rows.by_ref().take(count).for_each(|row| row[width - 1] = choice);
        }
    }

    /// Adds the derivatives by the logits of the weights of Σ shares · `values`, with the values held fixed; a value that is not
    /// finite is left out.
    pub fn add_gradient(&self, values: &[f64], logits: &mut [f32]) {
        let mut values = values.iter();
        let means: Vec<f64> = self
            .counts
            .iter()
            .map(|&count| {
                let usable: Vec<f64> = values.by_ref().take(count).copied().filter(|value| value.is_finite()).collect();
                usable.iter().sum::<f64>() / usable.len() as f64
            })
            .collect();
        let sound = || self.weights.iter().zip(&means).filter(|(_, mean)| mean.is_finite());
        let overall =
            sound().map(|(weight, mean)| weight * mean).sum::<f64>() / sound().map(|(weight, _)| weight).sum::<f64>();
        for ((logit, weight), mean) in logits.iter_mut().zip(&self.weights).zip(means) {
            if mean.is_finite() {
                *logit += (weight * (mean - overall)) as f32;
            }
        }
    }
}

/// The standard normal quantile of `u`, by bisection.
fn quantile(u: f64) -> f64 {
    let (mut low, mut high) = (-8.5, 8.5);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if 0.5 * libm::erfc(-middle * std::f64::consts::FRAC_1_SQRT_2) < u {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_gets_rows_by_its_weight() {
        let strata = Strata::new(&[0.7, 0.001, 0.299], 100);
        assert_eq!(strata.counts, [69, 1, 30]);
        assert!((strata.shares().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for rows in [1, 2, 3, 4, 7] {
            let strata = Strata::new(&[0.7, 0.001, 0.299], rows);
            assert_eq!(strata.counts.iter().sum::<usize>(), rows);
            assert_eq!(strata.shares().len(), rows);
        }
        assert_eq!(Strata::new(&[0.7, 0.001, 0.299], 2).counts, [1, 0, 1]);
    }

    #[test]
    fn the_gradient_by_the_logits_is_that_of_the_weighted_sum() {
        let logits = [0.3, -1.0, 0.9];
        let weights = |logits: &[f64]| -> Vec<f64> {
            let total: f64 = logits.iter().map(|l| l.exp()).sum();
            logits.iter().map(|l| l.exp() / total).collect()
        };
        let means = [2.0, -1.0, 0.5];
        let strata = Strata::new(&weights(&logits), 50);
        let values: Vec<f64> = means
            .iter()
            .zip(&strata.counts)
            .flat_map(|(&mean, &n)| (0..n).map(move |i| mean + (i as f64) - (n as f64 - 1.0) / 2.0))
            .collect();
        let mut gradient = [0.0f32; 3];
        strata.add_gradient(&values, &mut gradient);
        for k in 0..3 {
            let at = |shift: f64| -> f64 {
                let mut moved = logits;
                moved[k] += shift;
                weights(&moved).iter().zip(means).map(|(w, m)| w * m).sum()
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((f64::from(gradient[k]) - difference).abs() < 1e-6, "{gradient:?}");
        }
    }
}
