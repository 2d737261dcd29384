//! A mixture fitted to draws, as the start of one that learns: k-means++ seeding, then expectation maximisation.

use super::Mixture;
use crate::seed::{open_unit, Stream};

/// Draws beyond this number are left out, evenly.
const MOST_DRAWS: usize = 20_000;
/// Rounds of expectation maximisation.
const ROUNDS: usize = 200;
/// A round that gains less log density than this, on average over the draws, is the last.
const LEAST_GAIN: f64 = 1e-5;
/// The least scale of a component, in standard deviations of all draws.
const LEAST_SCALE: f64 = 1e-2;

/// Means, log scales and logits of a mixture of at most `components` fitted to `rows` (row-major), component after component.
///
/// Means start at rows drawn far from one another (Arthur and Vassilvitskii 2007); the rounds are those of Dempster, Laird and Rubin
/// (1977) with scales kept from collapsing onto single draws.
pub(super) fn fit(rows: &[f64], dim: usize, components: usize, stream: &Stream) -> [Vec<f64>; 3] {
    let every = (rows.len() / dim).div_ceil(MOST_DRAWS).max(1);
    let rows: Vec<f64> = rows.chunks_exact(dim).step_by(every).flatten().copied().collect();
    let n = (rows.len() / dim) as f64;
    let points = || rows.chunks_exact(dim);
    let centre: Vec<f64> = (0..dim).map(|j| points().map(|row| row[j]).sum::<f64>() / n).collect();
    let spread: Vec<f64> = (0..dim)
        .map(|j| (points().map(|row| (row[j] - centre[j]).powi(2)).sum::<f64>() / n).sqrt().max(1e-12))
        .collect();

    let mut means = seeds(&rows, &spread, components, stream);
    // Components start as wide as their neighbours are near, on the scale of all draws.
    let narrow = (components as f64).powf(-1.0 / dim as f64).ln();
    let mut log_scales: Vec<f64> = (0..components).flat_map(|_| spread.iter().map(|s| s.ln() + narrow)).collect();
    let mut logits = vec![0.0; components];
    let mut before = f64::NEG_INFINITY;
    for _ in 0..ROUNDS {
        let mixture = Mixture::new(dim, &means, &log_scales, &logits);
        let (mut weight, mut first) = (vec![0.0; components], vec![0.0; components * dim]);
        let mut all_shares = Vec::with_capacity(rows.len() / dim * components);
        let mut total = 0.0;
        for row in points() {
            let (log_prob, shares) = mixture.shares(row);
            total += log_prob / n;
            for (k, share) in shares.iter().enumerate() {
                weight[k] += share;
                first[k * dim..][..dim].iter_mut().zip(row).for_each(|(sum, z)| *sum += share * z);
            }
            all_shares.extend(shares);
        }
        for k in (0..components).filter(|&k| weight[k] > 1e-3) {
            means[k * dim..][..dim].iter_mut().zip(&first[k * dim..]).for_each(|(mean, sum)| *mean = sum / weight[k]);
        }
        let mut second = vec![0.0; components * dim];
        for (row, shares) in points().zip(all_shares.chunks_exact(components)) {
            for (k, share) in shares.iter().enumerate() {
                let cells = second[k * dim..][..dim].iter_mut().zip(row).zip(&means[k * dim..]);
                cells.for_each(|((sum, z), mean)| *sum += share * (z - mean).powi(2));
            }
        }
        for k in 0..components {
            // A component that has lost its draws stays where it is, with little weight.
            logits[k] = weight[k].max(1e-3 * n / components as f64).ln();
            for j in (0..dim).filter(|_| weight[k] > 1e-3) {
                let scale = (second[k * dim + j] / weight[k]).sqrt();
                log_scales[k * dim + j] = scale.max(LEAST_SCALE * spread[j]).ln();
            }
        }
        if total - before < LEAST_GAIN {
            break;
        }
        before = total;
    }
    let mean_logit = logits.iter().sum::<f64>() / components as f64;
    logits.iter_mut().for_each(|logit| *logit -= mean_logit);
    [means, log_scales, logits]
}

/// Rows of which each was drawn with a probability that grows as the square of its distance, in units of `spread`, from those before.
fn seeds(rows: &[f64], spread: &[f64], components: usize, stream: &Stream) -> Vec<f64> {
    let dim = spread.len();
    let n = rows.len() / dim;
    let mut rng = stream.row(0);
    let mut distances = vec![1.0; n];
    let mut means = Vec::with_capacity(components * dim);
    for k in 0..components {
        let mut left = open_unit(&mut rng) * distances.iter().sum::<f64>();
        let chosen = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        let chosen = &rows[chosen.unwrap_or(n - 1) * dim..][..dim];
        means.extend_from_slice(chosen);
        for (distance, row) in distances.iter_mut().zip(rows.chunks_exact(dim)) {
            let square: f64 = row.iter().zip(chosen).zip(spread).map(|((a, b), s)| ((a - b) / s).powi(2)).sum();
            *distance = if k == 0 { square } else { distance.min(square) };
        }
    }
    means
}
