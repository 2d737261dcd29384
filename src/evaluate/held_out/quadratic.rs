//! A quadratic discriminant on normal scores that tells rows from draws: means, spreads and all correlations at once.
//!
//! Trees see what is local; a weak dependence that is spread over many pairs is better seen by one sum of products. This is Fisher's
//! discriminant (1936) with squares and products as further features. The covariance of the features is that of both sides together.

use crate::cholesky::{regularised, solve, solve_transposed};
use rayon::prelude::*;

/// Features, at most: with more columns products are left out.
const MOST_FEATURES: usize = 350;
/// Cases of either side from which the covariance of the features is taken, at most.
const MADE_FROM: usize = 6_000;
/// Added to the variances, as a share: features may depend on each other.
const RIDGE: f64 = 1e-3;
/// Cases that are taken together.
const PIECE: usize = 1024;

/// Normal scores of all cases, of which features are made.
pub(super) struct Discriminant<'a> {
    /// Column by column.
    pub scores: &'a [Vec<f64>],
    /// Whether a case is a held-out row; else it is a draw.
    pub is_row: &'a [bool],
    /// The fold of each case.
    pub fold: &'a [u8],
    /// The number of folds.
    pub folds: usize,
}

impl Discriminant<'_> {
    fn products(&self) -> bool {
        let dim = self.scores.len();
        2 * dim + dim * (dim - 1) / 2 <= MOST_FEATURES
    }

    fn width(&self) -> usize {
        let dim = self.scores.len();
        2 * dim + if self.products() { dim * (dim - 1) / 2 } else { 0 }
    }

    /// The features of a case: x, (x² − 1)/√2, and x y for all pairs.
    fn features(&self, case: usize, features: &mut Vec<f64>) {
        features.clear();
        for (i, column) in self.scores.iter().enumerate() {
            let x = column[case];
            features.push(x);
            features.push((x * x - 1.0) * std::f64::consts::FRAC_1_SQRT_2);
            if self.products() {
                features.extend(self.scores[..i].iter().map(|other| x * other[case]));
            }
        }
    }

    /// The sums of the features, and the number of cases, of each fold and side.
    fn sums(&self) -> Vec<[(Vec<f64>, f64); 2]> {
        let width = self.width();
        let empty = || vec![[(vec![0.0; width], 0.0), (vec![0.0; width], 0.0)]; self.folds];
        let pieces: Vec<_> = (0..self.is_row.len().div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let (mut sums, mut features) = (empty(), Vec::with_capacity(width));
                for case in piece * PIECE..self.is_row.len().min((piece + 1) * PIECE) {
                    self.features(case, &mut features);
                    let (sum, count) = &mut sums[usize::from(self.fold[case])][usize::from(!self.is_row[case])];
                    sum.iter_mut().zip(&features).for_each(|(sum, feature)| *sum += feature);
                    *count += 1.0;
                }
                sums
            })
            .collect();
        pieces.into_iter().fold(empty(), |mut all, piece| {
            for (all, piece) in all.iter_mut().flatten().zip(piece.into_iter().flatten()) {
                all.0.iter_mut().zip(&piece.0).for_each(|(sum, more)| *sum += more);
                all.1 += piece.1;
            }
            all
        })
    }

    /// The covariance of the features around `means`, both sides counted alike.
    fn covariance(&self, means: &[f64]) -> Vec<f64> {
        let width = self.width();
        let of_side = |row: bool| (0..self.is_row.len()).filter(move |case| self.is_row[*case] == row);
        let mut total = vec![0.0; width * width];
        for row in [true, false] {
            let cases: Vec<usize> = of_side(row).take(MADE_FROM).collect();
            let pieces: Vec<Vec<f64>> = cases
                .par_chunks(PIECE)
                .map(|cases| {
                    let (mut sums, mut features) = (vec![0.0; width * width], Vec::with_capacity(width));
                    for &case in cases {
                        self.features(case, &mut features);
                        features.iter_mut().zip(means).for_each(|(feature, mean)| *feature -= mean);
                        for (i, line) in sums.chunks_exact_mut(width).enumerate() {
                            let x = features[i];
                            line[..=i].iter_mut().zip(&features).for_each(|(sum, y)| *sum += x * y);
                        }
                    }
                    sums
                })
                .collect();
            let share = 0.5 / cases.len().max(1) as f64;
            for piece in pieces {
                total.iter_mut().zip(piece).for_each(|(sum, more)| *sum += share * more);
            }
        }
        (0..width).for_each(|i| total[i * width + i] *= 1.0 + RIDGE);
        total
    }

    /// A score of each case that is above zero where rows are more likely, from the cases of the other folds; nothing where the features
    /// have no covariance.
    pub fn scores(&self) -> Option<Vec<f64>> {
        let (width, sums) = (self.width(), self.sums());
        // The mean of a side without the fold `left_out`.
        let mean = |side: usize, left_out: usize| {
            let (mut mean, mut count) = (vec![0.0; width], 0.0);
            for (_, sums) in sums.iter().enumerate().filter(|(fold, _)| *fold != left_out) {
                mean.iter_mut().zip(&sums[side].0).for_each(|(sum, more)| *sum += more);
                count += sums[side].1;
            }
            mean.iter_mut().for_each(|sum| *sum /= f64::max(count, 1.0));
            mean
        };
        let halfway =
            |fold: usize| -> Vec<f64> { mean(0, fold).iter().zip(mean(1, fold)).map(|(a, b)| 0.5 * (a + b)).collect() };
        let (factor, _) = regularised(&self.covariance(&halfway(usize::MAX)), width).ok()?;
        let discriminants: Vec<(Vec<f64>, f64)> = (0..self.folds)
            .map(|fold| {
                let mut direction: Vec<f64> = mean(0, fold).iter().zip(mean(1, fold)).map(|(a, b)| a - b).collect();
                solve(&factor, &mut direction);
                solve_transposed(&factor, &mut direction);
                let middle = halfway(fold).iter().zip(&direction).map(|(x, w)| x * w).sum();
                (direction, middle)
            })
            .collect();
        let score = |features: &mut Vec<f64>, case: usize| {
            self.features(case, features);
            let (direction, middle) = &discriminants[usize::from(self.fold[case])];
            features.iter().zip(direction).map(|(x, w)| x * w).sum::<f64>() - middle
        };
        let cases = (0..self.is_row.len()).into_par_iter().with_min_len(PIECE);
        Some(cases.map_init(|| Vec::with_capacity(width), score).collect())
    }
}
