//! A mixture fitted to draws, as the start of one that learns: k-means++ seeding, then expectation maximisation.

use super::Mixture;
use crate::cholesky;
use crate::seed::{open_unit, Stream};

/// Draws beyond this number are left out, evenly.
const MOST_DRAWS: usize = 20_000;
/// Rounds of expectation maximisation.
const ROUNDS: usize = 200;
/// Starts that are tried, each for a few rounds on some of the draws: one alone often puts two components into one mode.
const STARTS: u64 = 10;
/// Those rounds, and those draws.
const TRIAL_ROUNDS: usize = 20;
/// See [`TRIAL_ROUNDS`].
const TRIAL_DRAWS: usize = 2_000;
/// A round that gains less log density than this, on average over the draws, is the last.
const LEAST_GAIN: f64 = 1e-5;
/// The least scale of a component, in standard deviations of all draws.
const LEAST_SCALE: f64 = 1e-2;
/// The same where it is known which draws belong to it.
const LEAST_OF_GROUP: f64 = 1e-4;

/// Means, log scales and logits of a mixture of at most `components` fitted to `rows` (row-major), component after component.
///
/// Means start at rows drawn far from one another (Arthur and Vassilvitskii 2007); the rounds are those of Dempster, Laird and Rubin
/// (1977) with scales kept from collapsing onto single draws.
pub(super) fn fit(rows: &[f64], dim: usize, components: usize, stream: &Stream) -> [Vec<f64>; 3] {
    let thinned = |most: usize| -> Vec<f64> {
        let every = (rows.len() / dim).div_ceil(most).max(1);
        rows.chunks_exact(dim).step_by(every).flatten().copied().collect()
    };
    let some = thinned(TRIAL_DRAWS);
    let trials = (0..if components > 1 { STARTS } else { 1 }).map(|start| {
        let begun = begin(&some, dim, components, start, stream);
        maximise(&some, dim, begun, TRIAL_ROUNDS)
    });
    let best = trials.max_by(|a, b| a.0.total_cmp(&b.0));
    let begun = best.map_or_else(|| begin(&some, dim, components, 0, stream), |(_, begun)| begun);
    let [means, log_scales, mut logits] = maximise(&thinned(MOST_DRAWS), dim, begun, ROUNDS).1;
    let mean_logit = logits.iter().sum::<f64>() / components as f64;
    logits.iter_mut().for_each(|logit| *logit -= mean_logit);
    [means, log_scales, logits]
}

/// Means, log scales and logits of a mixture with one component for each of the groups that `rows` come in, of these sizes.
///
/// Which rows belong together is known then, and need not be seen: modes that lie apart along no axis look like one to axis-parallel components.
/// A component keeps to where its rows are, as [`inner_scales`] say, for draws of it that are outside would be pulled to other modes.
pub(super) fn to_groups(rows: &[f64], dim: usize, sizes: &[usize]) -> [Vec<f64>; 3] {
    let spread = spread_of(rows, dim);
    let (mut means, mut log_scales, mut first) = (Vec::new(), Vec::new(), 0);
    for size in sizes {
        let group = &rows[first * dim..][..size * dim];
        first += size;
        means.extend((0..dim).map(|j| group.iter().skip(j).step_by(dim).sum::<f64>() / *size as f64));
        let scales = inner_scales(group, dim).unwrap_or_else(|| spread_of(group, dim));
        log_scales.extend(scales.iter().zip(&spread).map(|(scale, spread)| scale.max(LEAST_OF_GROUP * spread).ln()));
    }
    let logits: Vec<f64> = sizes.iter().map(|size| (*size as f64).ln()).collect();
    let mean_logit = logits.iter().sum::<f64>() / sizes.len() as f64;
    [means, log_scales, logits.iter().map(|logit| logit - mean_logit).collect()]
}

/// The standard deviation of each coordinate where all others are held: 1/√(Σ⁻¹)ⱼⱼ for the covariance Σ of the rows. The axis-parallel normal
/// density nearest to a normal one by reverse KL has these scales. None of rows that are too few to tell.
fn inner_scales(rows: &[f64], dim: usize) -> Option<Vec<f64>> {
    let n = rows.len() / dim;
    if n < 2 * dim + 2 {
        return None;
    }
    let mean: Vec<f64> = (0..dim).map(|j| rows.iter().skip(j).step_by(dim).sum::<f64>() / n as f64).collect();
    let mut covariance = vec![0.0; dim * dim];
    for row in rows.chunks_exact(dim) {
        for (cell, sum) in covariance.iter_mut().enumerate() {
            *sum += (row[cell / dim] - mean[cell / dim]) * (row[cell % dim] - mean[cell % dim]) / n as f64;
        }
    }
    let (factor, _) = cholesky::regularised(&covariance, dim).ok()?;
    // The inverse of so few rows' covariance is too large by this, on average.
    let shrink = (n - dim - 2) as f64 / n as f64;
    let scales = cholesky::inverse(&factor, dim)
        .into_iter()
        .step_by(dim + 1)
        .map(|precision| (shrink * precision).sqrt().recip());
    let scales: Vec<f64> = scales.collect();
    scales.iter().all(|scale| scale.is_finite()).then_some(scales)
}

/// The standard deviation of each coordinate.
fn spread_of(rows: &[f64], dim: usize) -> Vec<f64> {
    let n = (rows.len() / dim) as f64;
    let points = || rows.chunks_exact(dim);
    let centre: Vec<f64> = (0..dim).map(|j| points().map(|row| row[j]).sum::<f64>() / n).collect();
    (0..dim).map(|j| (points().map(|row| (row[j] - centre[j]).powi(2)).sum::<f64>() / n).sqrt().max(1e-12)).collect()
}

/// A start: means at rows far from one another, components as wide as their neighbours are near, on the scale of all draws.
fn begin(rows: &[f64], dim: usize, components: usize, start: u64, stream: &Stream) -> [Vec<f64>; 3] {
    let spread = spread_of(rows, dim);
    let means = seeds(rows, &spread, components, start, stream);
    let narrow = (components as f64).powf(-1.0 / dim as f64).ln();
    let log_scales = (0..components).flat_map(|_| spread.iter().map(|s| s.ln() + narrow)).collect();
    [means, log_scales, vec![0.0; components]]
}

/// Expectation maximisation from `begun`, for at most `rounds` rounds, and the mean log density of the rows before the last.
fn maximise(rows: &[f64], dim: usize, begun: [Vec<f64>; 3], rounds: usize) -> (f64, [Vec<f64>; 3]) {
    let n = (rows.len() / dim) as f64;
    let points = || rows.chunks_exact(dim);
    let spread = spread_of(rows, dim);
    let [mut means, mut log_scales, mut logits] = begun;
    let components = logits.len();
    let mut before = f64::NEG_INFINITY;
    for _ in 0..rounds {
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
        let gain = total - before;
        before = total;
        if gain < LEAST_GAIN {
            break;
        }
    }
    (before, [means, log_scales, logits])
}

/// Rows of which each was drawn with a probability that grows as the square of its distance, in units of `spread`, from those before.
fn seeds(rows: &[f64], spread: &[f64], components: usize, start: u64, stream: &Stream) -> Vec<f64> {
    let dim = spread.len();
    let n = rows.len() / dim;
    let mut rng = stream.row(start);
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
