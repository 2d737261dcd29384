//! Values and rows far outside all others.

use super::column::{quantile, Column};
use super::finding::{Finding, Kind, Outlier};
use super::tail::beyond_a_gap;
use crate::cholesky;
use crate::data::Table;

/// The least distance of an outlier from the centre of its column, in standard deviations of the bulk.
const FAR: f64 = 10.0;

/// The least distance of a joint outlier, in units of that within which 95 in 100 rows lie.
const FAR_JOINTLY: f64 = 4.0;

/// Outliers that are listed.
const LISTED: usize = 5;

/// Rows that share a value far out, at least, for it to be called a code.
const CODE: usize = 3;

/// Products of the distances, at most; of larger tables some rows are taken.
const MOST_WORK: usize = 1_000_000_000;

/// Rows that shape the ellipsoid, at most.
const SHAPING: usize = 20_000;

/// Rows for each column that a joint distance needs.
const ROWS_FOR_EACH_COLUMN: usize = 5;

/// The share of the rows that shapes the ellipsoid, and how often it is drawn anew.
const CORE: f64 = 0.75;
const STEPS: usize = 3;

/// Outliers of single columns, and rows that are outliers only jointly in the columns `places`.
pub(super) fn outliers(table: &Table, columns: &[Column], places: &[usize], left_out: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut values: Vec<(usize, usize)> = Vec::new();
    let limits: Vec<[f64; 2]> = columns.iter().map(column_limits).collect();
    for &place in places {
        let (column, [low, high]) = (&columns[place], limits[place]);
        if [low, high] == column.range() {
            continue;
        }
        let codes = codes(column, [low, high]);
        for &(value, rows) in &codes {
            found.push(Finding::new(Kind::Code { column: column.name.clone(), value, rows, others: [low, high] }));
        }
        let out = table.values.chunks_exact(table.dim()).map(|row| row[place]).enumerate().filter(|(_, value)| {
            !(low..=high).contains(value) && codes.iter().all(|(code, _)| code != value) && !column.is_spike(*value)
        });
        values.extend(out.map(|(row, _)| (row, place)));
    }
    values.sort_unstable();
    let mut rows: Vec<usize> = values.iter().map(|&(row, _)| row).collect();
    rows.dedup();
    if !values.is_empty() {
        let listed = values.iter().take_while(|(row, _)| rows.iter().take(LISTED).any(|first| first == row));
        let listed = listed.map(|&(row, place)| Outlier {
            row: row + 1,
            column: columns[place].name.clone(),
            value: table.row(row)[place],
            others: limits[place],
        });
        let values = listed.collect();
        found.push(Finding::new(Kind::Outliers { rows: rows.len(), values, left_out }));
    }
    let joint = joint(table, columns, places, &rows, &limits);
    found.extend(joint.map(|(rows, first)| Finding::new(Kind::JointOutliers { rows, first, left_out })));
    found
}

/// The least and the largest value that are no outliers.
fn column_limits(column: &Column) -> [f64; 2] {
    let bulk = &column.bulk;
    let above: Vec<f64> = bulk.iter().map(|value| value - column.centre).filter(|&y| y > 0.0).collect();
    let below: Vec<f64> = bulk.iter().rev().map(|value| column.centre - value).filter(|&y| y > 0.0).collect();
    let beyond = |distances: &[f64]| {
        let out = beyond_a_gap(distances, bulk.len());
        if out > 0 && distances[distances.len() - out] > FAR * column.scale {
            out
        } else {
            0
        }
    };
    let ([low, high], [first, last]) =
        (column.range(), [beyond(&below), bulk.len().saturating_sub(beyond(&above) + 1)]);
    let at = |place: usize, otherwise: f64| bulk.get(place).copied().unwrap_or(otherwise);
    // A spike may lie outside of the bulk, and is told as such.
    let low = if first > 0 { at(first, low) } else { low };
    let high = if last + 1 < bulk.len() { at(last, high) } else { high };
    [low, high]
}

/// Values outside `inside` that several rows share.
fn codes(column: &Column, inside: [f64; 2]) -> Vec<(f64, usize)> {
    let outside = column.bulk.iter().filter(|value| !(inside[0]..=inside[1]).contains(*value));
    let outside: Vec<f64> = outside.copied().collect();
    let runs = outside.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
    runs.filter(|&(_, rows)| rows >= CODE).collect()
}

/// Rows that are far from the others only jointly, their number and the first of them: robust Mahalanobis distances, judged by their own tail.
///
/// The ellipsoid is that of the correlations of values drawn in to ±3 standard deviations, drawn anew three times from the three quarters of the rows that
/// lie nearest: concentration steps as in Rousseeuw and Van Driessen (1999), from the robust start of Hubert, Rousseeuw and Verdonck
/// (2012), who choose among several.
fn joint(
    table: &Table,
    columns: &[Column],
    places: &[usize],
    told: &[usize],
    limits: &[[f64; 2]],
) -> Option<(usize, Vec<(usize, f64)>)> {
    let places: Vec<usize> = places.iter().copied().filter(|&place| columns[place].is_continuous()).collect();
    let dim = places.len();
    let stride = table.len().saturating_mul(dim * dim).div_ceil(MOST_WORK).max(1);
    let rows: Vec<usize> = (0..table.len()).step_by(stride).filter(|row| told.binary_search(row).is_err()).collect();
    if dim < 2 || rows.len() < ROWS_FOR_EACH_COLUMN * dim {
        return None;
    }
    let scaled = |row: usize| {
        places.iter().map(move |&place| {
            let [low, high] = limits[place];
            // A code is told already, and is no place to measure from.
            (table.row(row)[place].clamp(low, high) - columns[place].centre) / columns[place].scale
        })
    };
    let shaping = rows.iter().step_by(rows.len().div_ceil(SHAPING)).flat_map(|&row| scaled(row));
    let shaping: Vec<f64> = shaping.collect();
    let drawn_in: Vec<f64> = shaping.iter().map(|z| z.clamp(-3.0, 3.0)).collect();
    let (mut mean, mut matrix) = covariance(drawn_in.chunks_exact(dim), dim)?;
    for _ in 0..STEPS {
        let (factor, _) = cholesky::regularised(&matrix, dim).ok()?;
        let distances: Vec<f64> =
            shaping.chunks_exact(dim).map(|z| distance(&mut z.to_vec(), &mean, &factor)).collect();
        let mut sorted = distances.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let within = quantile(&sorted, CORE);
        let near = shaping.chunks_exact(dim).zip(&distances).filter(|(_, &distance)| distance <= within);
        (mean, matrix) = covariance(near.map(|(z, _)| z), dim)?;
    }
    let (factor, _) = cholesky::regularised(&matrix, dim).ok()?;
    let mut z = vec![0.0; dim];
    let distances = rows.iter().map(|&row| {
        z.iter_mut().zip(scaled(row)).for_each(|(z, value)| *z = value);
        distance(&mut z, &mean, &factor)
    });
    let distances: Vec<f64> = distances.collect();
    let mut sorted: Vec<f64> = distances.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let (out, usual) = (beyond_a_gap(&sorted, sorted.len()), quantile(&sorted, 0.95));
    let first = sorted.len() - out;
    if out == 0 || !(sorted[first] > FAR_JOINTLY * usual) {
        return None;
    }
    let listed = rows.iter().zip(&distances).filter(|(_, &distance)| distance >= sorted[first]);
    let listed = listed.take(LISTED).map(|(&row, distance)| (row + 1, distance / usual)).collect();
    Some((out, listed))
}

/// The Mahalanobis distance of `z`, which is overwritten, from `mean`.
fn distance(z: &mut [f64], mean: &[f64], factor: &[f64]) -> f64 {
    z.iter_mut().zip(mean).for_each(|(z, mean)| *z -= mean);
    cholesky::solve(factor, z);
    z.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Mean and covariance (row-major) of rows; none where there are none.
pub(super) fn covariance<'a>(
    rows: impl Iterator<Item = &'a [f64]> + Clone,
    dim: usize,
) -> Option<(Vec<f64>, Vec<f64>)> {
    let (mut mean, mut count) = (vec![0.0; dim], 0.0);
    for row in rows.clone() {
        count += 1.0;
        mean.iter_mut().zip(row).for_each(|(sum, z)| *sum += z);
    }
    if count == 0.0 {
        return None;
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let (mut covariance, mut off) = (vec![0.0; dim * dim], vec![0.0; dim]);
    for row in rows {
        off.iter_mut().zip(row.iter().zip(&mean)).for_each(|(off, (z, mean))| *off = z - mean);
        for (i, sums) in covariance.chunks_exact_mut(dim).enumerate() {
            sums[..=i].iter_mut().zip(&off).for_each(|(sum, z)| *sum += off[i] * z);
        }
    }
    for i in 0..dim {
        for j in 0..=i {
            let value = covariance[i * dim + j] / count;
            (covariance[i * dim + j], covariance[j * dim + i]) = (value, value);
        }
    }
    Some((mean, covariance))
}
