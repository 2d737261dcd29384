//! All columns at once: can a classifier tell held-out rows from draws? (Lopez-Paz and Oquab 2017)

use super::chance::{normal_above, normal_quantile};
use super::partition::standard_error;
use super::quadratic::Discriminant;
use super::sides::{cell_of, even_edges, Column, Sides};
use super::trees::{Cases, Parts, BINS};
use crate::seed::{open_unit, Stream};
use rayon::prelude::*;

/// What a cross-fitted classifier makes of rows and draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// P(A) − Q(A) for the set A that the classifier takes for rows, P being the density of the rows and Q that of the draws. Each case is
    /// judged by a classifier that has not seen it, so that the mean is at most the total variation distance, and 0 if P = Q.
    pub mass: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The probability of as large a one by chance.
    pub p_value: f64,
    /// The area under the receiver operating characteristic: the probability that a row has the higher score (Hanley and McNeil 1982).
    pub auc: f64,
    /// P(A) and Q(A).
    pub shares: [f64; 2],
}

/// Parts of the cases, each judged by a classifier made from the others.
const FOLDS: usize = 5;
/// Every so manieth of the cases from which a classifier is made says when to stop.
const STOPPING: usize = 5;
/// The masses of the folds are not independent: what one holds, the classifiers of the others have learned, so that the variance of their
/// sum is about twice that of independent ones if P = Q (no estimate of it is unbiased: Bengio and Grandvalet 2004). Measured: see
/// `docs/certificate.md`.
pub(super) const OVERLAP: f64 = 2.0;

/// Rows and draws as cases with their folds: rows at random, for a table may be sorted; draws are at random.
struct Folded {
    columns: Vec<Column>,
    is_row: Vec<bool>,
    fold: Vec<u8>,
}

impl Folded {
    fn new(sides: &Sides, columns: &[Column], stream: &Stream) -> Self {
        let (n, m) = (sides.n(), sides.m());
        let mut columns = columns.to_vec();
        if let Some((rows, draws)) = sides.log_densities {
            // A row beyond a bound has the density zero; the order is all that counts.
            let finite = |values: &[f64]| values.iter().map(|v| v.clamp(-1e300, 1e300)).collect();
            columns.push(Column { rows: finite(rows), draws: finite(draws) });
        }
        let mut order: Vec<u8> = (0..n).map(|row| (row % FOLDS) as u8).collect();
        let mut rng = stream.child("folds").row(0);
        for last in (1..n).rev() {
            let pick = (open_unit(&mut rng) * (last + 1) as f64) as usize;
            order.swap(last, pick.min(last));
        }
        order.extend((0..m).map(|draw| (draw % FOLDS) as u8));
        let is_row = (0..n + m).map(|case| case < n).collect();
        Self { columns, is_row, fold: order }
    }

    /// Each case's place in each column, mapped by `map` from the values in rising order with the shares of both sides there.
    fn mapped<T: Send>(&self, map: impl Fn(&[(f64, f64, f64)], f64) -> T + Sync) -> Vec<Vec<T>> {
        let of_column = |column: &Column| {
            let steps = column.steps();
            column.rows.iter().chain(&column.draws).map(|x| map(&steps, *x)).collect()
        };
        self.columns.par_iter().map(of_column).collect()
    }

    fn by_trees(&self, stream: &Stream) -> Vec<f64> {
        let binned: Vec<Vec<u8>> = self
            .columns
            .par_iter()
            .map(|column| {
                let edges = even_edges(&column.steps(), BINS);
                column.rows.iter().chain(&column.draws).map(|x| cell_of(&edges, *x) as u8).collect()
            })
            .collect();
        let (cases, n) = (self.is_row.len() as f64, self.is_row.iter().filter(|row| **row).count() as f64);
        let weights = [0.5 * cases / n, 0.5 * cases / (cases - n)];
        let cases = Cases { bins: &binned, is_row: &self.is_row, weights };
        let of_fold = |fold: usize| {
            let (scored, others): (Vec<u32>, Vec<u32>) =
                (0..self.is_row.len() as u32).partition(|case| usize::from(self.fold[*case as usize]) == fold);
            // Rows come first, so that both sides are divided in the same way.
            let (stopping, grown): (Vec<_>, Vec<_>) =
                others.into_iter().enumerate().partition(|(place, _)| place % STOPPING == 0);
            let cases_of = |part: Vec<(usize, u32)>| -> Vec<u32> { part.into_iter().map(|(_, case)| case).collect() };
            let (stopping, grown) = (cases_of(stopping), cases_of(grown));
            let parts = Parts { grown: &grown, stopping: &stopping, scored: &scored };
            let scores = cases.scores(&parts, &stream.child(&format!("fold {fold}")));
            scored.into_iter().zip(scores).collect::<Vec<_>>()
        };
        let folds: Vec<Vec<(u32, f64)>> = (0..FOLDS).into_par_iter().map(of_fold).collect();
        let mut scores = vec![0.0; self.is_row.len()];
        folds.into_iter().flatten().for_each(|(case, score)| scores[case as usize] = score);
        scores
    }

    fn by_products(&self) -> Option<Vec<f64>> {
        let scores = self.mapped(|steps, x| {
            let place = steps.partition_point(|step| step.0 < x);
            (place, x)
        });
        let scores: Vec<Vec<f64>> = scores
            .into_par_iter()
            .zip(&self.columns)
            .map(|(places, column)| {
                let steps = column.steps();
                let mut below = 0.0;
                let normal: Vec<f64> = steps
                    .iter()
                    .map(|(_, row, draw)| {
                        let here = 0.5 * (row + draw);
                        below += here;
                        normal_quantile((below - 0.5 * here).clamp(1e-9, 1.0 - 1e-9))
                    })
                    .collect();
                places.into_iter().map(|(place, _)| normal[place]).collect()
            })
            .collect();
        Discriminant { scores: &scores, is_row: &self.is_row, fold: &self.fold, folds: FOLDS }.scores()
    }

    fn told(&self, scores: &[f64]) -> Told {
        let of_side = |side: bool| self.is_row.iter().zip(scores).filter(move |(row, _)| **row == side);
        let share = |side: bool| {
            let all = of_side(side).count() as f64;
            (of_side(side).filter(|(_, score)| **score > 0.0).count() as f64 / all, all)
        };
        let ((rows, n), (draws, m)) = (share(true), share(false));
        let mass = rows - draws;
        let error = standard_error([rows, draws], n, m);
        let auc = (0..FOLDS).map(|fold| self.auc(scores, fold)).sum::<f64>() / FOLDS as f64;
        Told {
            mass,
            standard_error: error,
            p_value: normal_above(mass / (error * OVERLAP.sqrt())),
            auc,
            shares: [rows, draws],
        }
    }

    /// Mann and Whitney's (1947) statistic within a fold; ties count half.
    fn auc(&self, scores: &[f64], fold: usize) -> f64 {
        let cases = (0..scores.len()).filter(|case| usize::from(self.fold[*case]) == fold);
        let mut cases: Vec<(f64, bool)> = cases.map(|case| (scores[case], self.is_row[case])).collect();
        cases.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (mut below, mut wins) = (0.0, 0.0);
        for tie in cases.chunk_by(|a, b| a.0 == b.0) {
            let rows = tie.iter().filter(|case| case.1).count() as f64;
            let draws = tie.len() as f64 - rows;
            wins += rows * (below + 0.5 * draws);
            below += draws;
        }
        let rows = cases.iter().filter(|case| case.1).count() as f64;
        let pairs = rows * (cases.len() as f64 - rows);
        if pairs > 0.0 {
            wins / pairs
        } else {
            0.5
        }
    }
}

/// By boosted trees, and by a quadratic discriminant where there is one.
pub(super) fn tell_apart(sides: &Sides, columns: &[Column], stream: &Stream) -> (Told, Option<Told>) {
    let folded = Folded::new(sides, columns, stream);
    let (trees, products) = rayon::join(|| folded.by_trees(stream), || folded.by_products());
    (folded.told(&trees), products.map(|scores| folded.told(&scores)))
}
