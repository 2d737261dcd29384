//! Log weights as a histogram, with the tail that was fitted to them: what a picture of them is drawn from.

use super::pareto::Fitted;
use super::weights;
use serde::Serialize;

/// How many of the log weights are in each of even bins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// All log weights, those of zero included.
    pub draws: usize,
    /// Those of zero weight.
    pub zero: usize,
    /// Where the first bin begins, in nats above the logarithm of the mean weight.
    pub low: f64,
    /// Where the last one ends.
    pub high: f64,
    /// Counts; what is below the first bin is in it.
    pub counts: Vec<usize>,
    /// The tail of the largest, if one was fitted.
    pub tail: Option<TailOfSpread>,
}

/// The Pareto tail of a histogram.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TailOfSpread {
    /// Where it begins, in nats above the logarithm of the mean weight.
    pub from: f64,
    /// How many of its weights the fitted distribution has in each bin.
    pub expected: Vec<f64>,
}

/// Bins.
const BINS: usize = 60;
/// The share of small weights that may lie below the first bin.
const LEFT_OUT: f64 = 0.001;

impl Spread {
    /// None where fewer than two weights are above zero.
    pub fn of(log_weights: &[f64]) -> Option<Self> {
        let log_mean = weights::reverse(log_weights).log_z;
        let mut sorted: Vec<f64> = log_weights.iter().copied().filter(|w| w.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (&largest, draws) = (sorted.last()?, log_weights.len());
        let smallest = sorted[(LEFT_OUT * sorted.len() as f64) as usize];
        // Weights that are all the same have a width to be drawn by, too.
        let room = (0.02 * (largest - smallest)).max(1e-3);
        let (low, high) = (smallest - room, largest + room);
        let width = (high - low) / BINS as f64;
        let mut counts = vec![0; BINS];
        sorted.iter().for_each(|w| counts[(((w - low) / width).max(0.0) as usize).min(BINS - 1)] += 1);
        let tail = Fitted::of(log_weights).map(|fitted| {
            let up_to: Vec<f64> = (0..=BINS).map(|bin| fitted.expected_up_to(low + bin as f64 * width)).collect();
            let expected = up_to.windows(2).map(|ends| ends[1] - ends[0]).collect();
            TailOfSpread { from: fitted.from - log_mean, expected }
        });
        let zero = draws - sorted.len();
        (sorted.len() > 1).then_some(Self { draws, zero, low: low - log_mean, high: high - log_mean, counts, tail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_weights_are_counted_and_the_tail_is_the_fitted_one() {
        let n = 20_000;
        let mut log_weights: Vec<f64> = (0..n).map(|i| -0.4 * ((i as f64 + 0.5) / n as f64).ln()).collect();
        log_weights.push(f64::NEG_INFINITY);
        let spread = Spread::of(&log_weights).expect("weights");
        assert_eq!((spread.draws, spread.zero, spread.counts.iter().sum::<usize>()), (n + 1, 1, n));
        let tail = spread.tail.expect("a tail");
        let width = (spread.high - spread.low) / spread.counts.len() as f64;
        for (bin, expected) in tail.expected.iter().enumerate().filter(|(_, expected)| **expected > 30.0) {
            if spread.low + bin as f64 * width > tail.from {
                let found = spread.counts[bin] as f64;
                assert!((found - expected).abs() < 0.15 * expected + 3.0, "{found} {expected}");
            }
        }
        assert_eq!(Spread::of(&[f64::NEG_INFINITY; 9]), None);
        assert_eq!(Spread::of(&[2.5; 9]).expect("weights").counts.iter().sum::<usize>(), 9);
    }
}
