//! Columns that are equal to another one, or a linear combination of others.

use super::column::{quantile, Column};
use super::finding::{Finding, Kind};
use crate::cholesky;
use crate::data::Table;

/// A column is called dependent if the others leave less than this share of its variance, 1 − R².
const UNEXPLAINED: f64 = 1e-4;

/// Largest residual, in standard deviations of the column or in its largest term, that is put down to rounding.
const ROUNDING: f64 = 1e-6;

/// Coefficients per standard deviation below which a column does not count as one of the others.
const NEGLIGIBLE: f64 = 1e-4;

/// Rows farther out than so many standard deviations of a column do not enter the covariance, which they would rule.
const FAR: f64 = 20.0;

/// Rows, and products of a covariance matrix, at most; of larger tables some rows are taken.
const MOST_ROWS: usize = 50_000;
const MOST_WORK: usize = 1_000_000_000;

/// The largest share of rows that may break a combination which holds in all others.
const EXCEPTIONS: f64 = 1e-3;

/// Rows beyond the number of columns that a regression needs to say anything.
const SPARE_ROWS: usize = 10;

/// What is found among the columns `places`, and which of them it is about.
///
/// The columns are taken in order; a Cholesky factor of the correlation matrix of those that are independent so far gives the
/// variance that they leave of the next one (Golub and Van Loan 2013, section 4.2.8, without pivoting, so that of equal columns the later
/// one is named), and its coefficients.
pub(super) fn dependent(table: &Table, columns: &[Column], places: &[usize]) -> (Vec<Finding>, Vec<usize>) {
    let (mut found, mut redundant) = (Vec::new(), Vec::new());
    let mut distinct: Vec<usize> = Vec::new();
    for &place in places {
        match distinct.iter().find(|&&other| equal(table, columns, place, other)) {
            Some(&other) => {
                let (column, other) = (columns[place].name.clone(), columns[other].name.clone());
                found.push(Finding::new(Kind::Equal { column, other }));
                redundant.push(place);
            }
            None => distinct.push(place),
        }
    }
    let dim = distinct.len();
    let work = table.len().saturating_mul(dim * dim / 2 + 1);
    let stride = work.div_ceil(MOST_WORK).max(table.len().div_ceil(MOST_ROWS));
    let scaled = scaled_rows(table, columns, &distinct, stride);
    let rows = scaled.len() / dim.max(1);
    let Some((means, correlation, deviations)) = moments(&scaled, dim) else { return (found, redundant) };

    let sample = Sample { scaled: &scaled, dim, means: &means, deviations: &deviations };
    let mut independent: Vec<usize> = Vec::new();
    let mut factor: Vec<Vec<f64>> = Vec::new();
    for j in 0..dim {
        if independent.len() + SPARE_ROWS >= rows {
            break;
        }
        let mut row: Vec<f64> = independent.iter().map(|&i| correlation[j * dim + i]).collect();
        let flat = square(&factor);
        cholesky::solve(&flat, &mut row);
        let left = 1.0 - row.iter().map(|value| value * value).sum::<f64>();
        let mut slopes = row.clone();
        cholesky::solve_transposed(&flat, &mut slopes);
        let slopes = sample.slopes(j, &independent, &slopes);
        if left < UNEXPLAINED && sample.explains_the_bulk(j, &slopes) {
            found.push(Finding::new(combination(table, columns, &distinct, &sample, (j, &slopes), left.max(0.0))));
            redundant.push(distinct[j]);
        } else {
            row.push(left.max(1e-8).sqrt());
            independent.push(j);
            factor.push(row);
        }
    }
    (found, redundant)
}

/// Some rows of the table, each column less its centre over its scale, with the columns' means and standard deviations.
struct Sample<'a> {
    scaled: &'a [f64],
    dim: usize,
    means: &'a [f64],
    deviations: &'a [f64],
}

impl Sample<'_> {
    /// The columns that count in a regression of column `j` on `others`, with their slopes; `slopes` are those of standardised columns.
    fn slopes(&self, j: usize, others: &[usize], slopes: &[f64]) -> Vec<(usize, f64)> {
        let counting = others.iter().zip(slopes).filter(|(_, slope)| slope.abs() > NEGLIGIBLE);
        counting.map(|(&i, slope)| (i, slope * self.deviations[j] / self.deviations[i])).collect()
    }

    /// Whether the bulk of the rows is explained as well: a few of them far out may make any columns look dependent.
    fn explains_the_bulk(&self, j: usize, slopes: &[(usize, f64)]) -> bool {
        let residual = |z: &[f64]| {
            let sum: f64 = slopes.iter().map(|&(i, slope)| slope * (z[i] - self.means[i])).sum();
            (z[j] - self.means[j] - sum).abs()
        };
        let mut residuals: Vec<f64> = self.scaled.chunks_exact(self.dim).map(residual).collect();
        residuals.sort_unstable_by(f64::total_cmp);
        // Nine tenths of a normal density lie within 1.645 standard deviations.
        quantile(&residuals, 0.9) <= 1.645 * UNEXPLAINED.sqrt()
    }
}

/// Column `j` of `places` as a combination of others, in the units of the table, with the number of rows that break it.
fn combination(
    table: &Table,
    columns: &[Column],
    places: &[usize],
    sample: &Sample<'_>,
    (j, slopes): (usize, &[(usize, f64)]),
    unexplained: f64,
) -> Kind {
    let of = |i: usize| &columns[places[i]];
    let (unit, mut intercept) = (unit(of(j)), of(j).centre + unit(of(j)) * sample.means[j]);
    let mut on: Vec<(usize, f64)> = Vec::with_capacity(slopes.len());
    for &(i, slope) in slopes {
        let coefficient = tidy(slope * unit / self::unit(of(i)));
        intercept -= coefficient * (of(i).centre + self::unit(of(i)) * sample.means[i]);
        on.push((i, coefficient));
    }
    let size = unit.max(of(j).centre.abs());
    let intercept = if intercept.abs() < 1e-6 * size { 0.0 } else { tidy(intercept) };
    let breaks = |row: &&[f64]| {
        let terms = on.iter().map(|&(i, coefficient)| coefficient * row[places[i]]);
        let (sum, largest) =
            terms.fold((intercept, unit), |(sum, largest), term| (sum + term, largest.max(term.abs())));
        !((row[places[j]] - sum).abs() <= ROUNDING * largest.max(intercept.abs()))
    };
    let exceptions = table.values.chunks_exact(table.dim()).filter(breaks).count();
    let exact = exceptions as f64 <= EXCEPTIONS * table.len() as f64;
    let on = on.into_iter().map(|(i, coefficient)| (of(i).name.clone(), coefficient)).collect();
    let exceptions = if exact { exceptions } else { 0 };
    Kind::Dependent { column: of(j).name.clone(), on, intercept, unexplained, exact, exceptions }
}

/// What a column is measured in.
fn unit(column: &Column) -> f64 {
    if column.scale > 0.0 {
        column.scale
    } else {
        1.0
    }
}

/// Whether two columns have the same value in every row.
fn equal(table: &Table, columns: &[Column], place: usize, other: usize) -> bool {
    let (a, b) = (&columns[place], &columns[other]);
    a.range() == b.range()
        && a.centre == b.centre
        && table.values.chunks_exact(table.dim()).all(|row| row[place] == row[other])
}

/// Every `stride`th row of the columns `places`, each less its centre over its scale, without the rows that are far out; all rows where
/// those are the half.
fn scaled_rows(table: &Table, columns: &[Column], places: &[usize], stride: usize) -> Vec<f64> {
    let all = table.values.chunks_exact(table.dim()).step_by(stride).flat_map(|row| {
        places.iter().map(|&place| {
            let column = &columns[place];
            (row[place] - column.centre) / unit(column)
        })
    });
    let all: Vec<f64> = all.collect();
    let near = |row: &&[f64]| row.iter().all(|z| z.abs() <= FAR);
    let kept: Vec<f64> = all.chunks_exact(places.len().max(1)).filter(near).flatten().copied().collect();
    if 2 * kept.len() >= all.len() {
        kept
    } else {
        all
    }
}

/// Mean, correlation (row-major) and standard deviation of the columns of `rows`; none where one of them does not vary.
fn moments(rows: &[f64], dim: usize) -> Option<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (means, mut covariance) = super::outliers::covariance(rows.chunks_exact(dim.max(1)), dim)?;
    let deviations: Vec<f64> = (0..dim).map(|i| covariance[i * dim + i].sqrt()).collect();
    if !deviations.iter().all(|&deviation| deviation > 0.0 && deviation.is_finite()) {
        return None;
    }
    for i in 0..dim {
        for j in 0..dim {
            covariance[i * dim + j] /= deviations[i] * deviations[j];
        }
    }
    Some((means, covariance, deviations))
}

/// A triangle of rows as a square matrix.
fn square(triangle: &[Vec<f64>]) -> Vec<f64> {
    let dim = triangle.len();
    let mut square = vec![0.0; dim * dim];
    triangle
        .iter()
        .zip(square.chunks_exact_mut(dim.max(1)))
        .for_each(|(row, all)| all[..row.len()].copy_from_slice(row));
    square
}

/// A coefficient without its rounding: at most seven digits.
fn tidy(value: f64) -> f64 {
    format!("{value:.6e}").parse().unwrap_or(value)
}
