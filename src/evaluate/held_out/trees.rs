//! Gradient-boosted trees on binned columns that tell rows from draws.
//!
//! Logistic loss, second-order gains, trees of fixed depth grown level by level from histograms (Friedman 2001; Chen and Guestrin
//! 2016; Ke et al. 2017). Each tree sees half of the cases (Friedman 2002), and trees are added until the loss on cases that none has seen
//! falls no more. Sums run over the cases in their order, so that the result does not depend on threads.

use crate::seed::{open_unit, Stream};
use rayon::prelude::*;

/// Bins of a column, at most.
pub(super) const BINS: usize = 64;
/// Levels of a tree.
const DEPTH: usize = 4;
/// Trees, at most.
const MOST_TREES: usize = 160;
/// How far each tree goes towards the optimum.
const SHRINKAGE: f64 = 0.15;
/// Trees without a smaller loss after which no more are grown.
const PATIENCE: usize = 12;
/// Share of the cases from which a tree is grown.
const SHARE: f64 = 0.5;
/// Rows that a leaf must hold, roughly.
const LEAST_LEAF: f64 = 8.0;
/// Columns × cases from which a level is worth several threads.
const WORTH_THREADS: usize = 100_000;

/// What trees are grown from: for each column the bin of each case, and which cases are rows.
pub(super) struct Cases<'a> {
    /// Column by column.
    pub bins: &'a [Vec<u8>],
    /// Whether a case is a held-out row; else it is a draw.
    pub is_row: &'a [bool],
    /// The weights of rows and of draws: both sides count alike.
    pub weights: [f64; 2],
}

/// The parts of the cases.
pub(super) struct Parts<'a> {
    /// Cases from which trees are grown.
    pub grown: &'a [u32],
    /// Cases that say when to stop.
    pub stopping: &'a [u32],
    /// Cases of which the score is wanted.
    pub scored: &'a [u32],
}

/// A complete binary tree: node k has the children 2k + 1 and 2k + 2.
struct Tree {
    /// Column and the largest bin that goes to the left; all go to the left where there is nothing to split.
    splits: Vec<(usize, u8)>,
    leaves: Vec<f64>,
}

impl Tree {
    fn score(&self, bins: &[Vec<u8>], case: usize) -> f64 {
        let mut node = 0;
        for _ in 0..DEPTH {
            let (column, most) = self.splits[node];
            node = 2 * node + 1 + usize::from(bins[column][case] > most);
        }
        self.leaves[node - self.splits.len()]
    }
}

type Sums = [f64; 2];

impl Cases<'_> {
    fn weight(&self, case: usize) -> f64 {
        self.weights[usize::from(!self.is_row[case])]
    }

    /// The log odds that each scored case is a row.
    pub fn scores(&self, parts: &Parts, stream: &Stream) -> Vec<f64> {
        let mut score = vec![0.0; self.is_row.len()];
        let mut best = (self.loss(parts.stopping, &score), 0, vec![0.0; parts.scored.len()]);
        for tree in 0..MOST_TREES {
            let mut rng = stream.row(tree as u64);
            let sample: Vec<u32> = parts.grown.iter().copied().filter(|_| open_unit(&mut rng) < SHARE).collect();
            let Some(grown) = self.grow(&sample, &score) else { break };
            for &case in parts.grown.iter().chain(parts.stopping).chain(parts.scored) {
                score[case as usize] += grown.score(self.bins, case as usize);
            }
            let loss = self.loss(parts.stopping, &score);
            if loss < best.0 {
                best = (loss, tree + 1, parts.scored.iter().map(|&case| score[case as usize]).collect());
            } else if tree + 1 >= best.1 + PATIENCE {
                break;
            }
        }
        best.2
    }

    /// The mean weighted logistic loss.
    fn loss(&self, cases: &[u32], score: &[f64]) -> f64 {
        let loss = |&case: &u32| {
            let case = case as usize;
            let margin = if self.is_row[case] { score[case] } else { -score[case] };
            self.weight(case) * (-margin).exp().ln_1p()
        };
        cases.iter().map(loss).sum::<f64>() / cases.len().max(1) as f64
    }

    fn grow(&self, sample: &[u32], score: &[f64]) -> Option<Tree> {
        let slopes: Vec<Sums> = sample
            .iter()
            .map(|&case| {
                let (case, weight) = (case as usize, self.weight(case as usize));
                let p = 1.0 / (1.0 + (-score[case]).exp());
                [weight * (f64::from(u8::from(self.is_row[case])) - p), weight * p * (1.0 - p)]
            })
            .collect();
        let ridge = self.weights[0];
        let least = 0.25 * LEAST_LEAF * self.weights[0];
        let mut node_of = vec![0u8; sample.len()];
        let mut splits = Vec::with_capacity((1 << DEPTH) - 1);
        let mut totals: Vec<Sums> = vec![sum(slopes.iter())];
        for level in 0..DEPTH {
            let nodes = 1 << level;
            let best_of = |column: usize| {
                let bins = &self.bins[column];
                let mut sums = vec![[0.0; 2]; nodes * BINS];
                for ((&case, node), slope) in sample.iter().zip(&node_of).zip(&slopes) {
                    let bin = &mut sums[usize::from(*node) * BINS + usize::from(bins[case as usize])];
                    *bin = [bin[0] + slope[0], bin[1] + slope[1]];
                }
                let best = |(bins, total): (&[Sums], &Sums)| best_split(bins, *total, ridge, least);
                sums.chunks_exact(BINS).zip(&totals).map(best).collect::<Vec<_>>()
            };
            let columns = 0..self.bins.len();
            let found: Vec<Vec<Split>> = if columns.len() * sample.len() > WORTH_THREADS {
                columns.into_par_iter().map(best_of).collect()
            } else {
                columns.map(best_of).collect()
            };
            let mut next = Vec::with_capacity(2 * nodes);
            for node in 0..nodes {
                let mut best = (0, Split { gain: 0.0, most: u8::MAX, left: totals[node] });
                for (column, splits) in found.iter().enumerate() {
                    if splits[node].gain > best.1.gain {
                        best = (column, splits[node]);
                    }
                }
                let (column, Split { most, left, .. }) = best;
                splits.push((column, most));
                next.extend([left, [totals[node][0] - left[0], totals[node][1] - left[1]]]);
            }
            if level == 0 && splits[0].1 == u8::MAX {
                return None;
            }
            for (node, &case) in node_of.iter_mut().zip(sample) {
                let (column, most) = splits[nodes - 1 + usize::from(*node)];
                *node = 2 * *node + u8::from(self.bins[column][case as usize] > most);
            }
            totals = next;
        }
        let leaf = |total: &Sums| SHRINKAGE * total[0] / (total[1].max(0.0) + ridge);
        Some(Tree { splits, leaves: totals.iter().map(leaf).collect() })
    }
}

fn sum<'a>(slopes: impl Iterator<Item = &'a Sums>) -> Sums {
    slopes.fold([0.0; 2], |sum, slope| [sum[0] + slope[0], sum[1] + slope[1]])
}

#[derive(Clone, Copy)]
struct Split {
    gain: f64,
    most: u8,
    left: Sums,
}

/// The split of a node that lessens the loss most; none, to all appearances, where no split leaves enough on either side.
fn best_split(bins: &[Sums], total: Sums, ridge: f64, least: f64) -> Split {
    let worth = |[slope, curvature]: Sums| slope * slope / (curvature + ridge);
    let mut best = Split { gain: 0.0, most: u8::MAX, left: total };
    let mut left = [0.0; 2];
    for (bin, sums) in bins.iter().enumerate().take(BINS - 1) {
        left = [left[0] + sums[0], left[1] + sums[1]];
        let right = [total[0] - left[0], total[1] - left[1]];
        if left[1] < least {
            continue;
        }
        if right[1] < least {
            break;
        }
        let gain = worth(left) + worth(right) - worth(total);
        if gain > best.gain + 1e-12 {
            best = Split { gain, most: bin as u8, left };
        }
    }
    best
}
