//! Weights of rows: what they may be, and rows that need none.

use crate::data::Table;
use crate::error::{Error, Result};
use crate::seed::{open_unit, Stream};

/// Takes the column `name` out of `table` as the rows' weights; rows of weight 0 are left out. Also a line that says so.
///
/// # Errors
/// If there is no such column or no other, a weight is negative, or all are 0.
pub(super) fn take(table: Table, name: &str) -> Result<(Table, Vec<f64>, String)> {
    let place = table.names.iter().position(|other| other == name).ok_or_else(|| {
        Error::invalid(format!("data.weights names column `{name}`; there are {}", table.names.join(", ")))
    })?;
    if table.dim() == 1 {
        return Err(Error::invalid(format!(
            "data.weights names column `{name}`, but there is no other; a second is right"
        )));
    }
    let (mut values, mut weights) = (Vec::with_capacity(table.values.len()), Vec::with_capacity(table.len()));
    for row in 0..table.len() {
        let weight = table.row(row)[place];
        if weight < 0.0 {
            return Err(Error::invalid(format!(
                "row {}, column `{name}` is {weight}, but data.weights says that it holds weights; 0 or more is right",
                row + 1
            )));
        }
        if weight > 0.0 {
            weights.push(weight);
            values.extend(table.row(row).iter().enumerate().filter(|(i, _)| *i != place).map(|(_, value)| *value));
        }
    }
    if weights.is_empty() {
        return Err(Error::invalid(format!(
            "data.weights: column `{name}` is 0 in every row; a positive weight is right"
        )));
    }
    // Relative to the largest: a sum of squares of large weights is beyond all numbers.
    let largest = weights.iter().copied().fold(0.0, f64::max);
    weights.iter_mut().for_each(|weight| *weight /= largest);
    let out = match table.len() - weights.len() {
        0 => String::new(),
        out => format!("; {out} of weight 0 are left out"),
    };
    let note =
        format!("rows are weighted by `{name}`: {} are worth {:.0} equal ones{out}", weights.len(), worth(&weights));
    let names = table.names.iter().filter(|other| *other != name).cloned().collect();
    Ok((Table::new(names, values)?, weights, note))
}

/// The number of equal rows that rows of these weights are worth, (Σ w)² / Σ w² (Kish 1965).
fn worth(weights: &[f64]) -> f64 {
    weights.iter().sum::<f64>().powi(2) / weights.iter().map(|weight| weight * weight).sum::<f64>()
}

/// The weights of `rows`, divided by their mean.
///
/// # Errors
/// If they are too small beside the others for numbers to hold.
pub(super) fn of(weights: &[f64], rows: &[usize], what: &str) -> Result<Vec<f64>> {
    let picked: Vec<f64> = rows.iter().map(|&row| weights[row]).collect();
    let mean = picked.iter().sum::<f64>() / picked.len() as f64;
    if !(mean > f64::MIN_POSITIVE) {
        return Err(Error::invalid(format!(
            "data.weights: the weights of the {} rows to be {what} vanish beside the largest; more even weights are right",
            rows.len()
        )));
    }
    Ok(picked.into_iter().map(|weight| weight / mean).collect())
}

/// Keeps each of `rows` with the probability w / max w: draws of the weighted distribution that are all worth the same (von Neumann 1951).
/// The largest weight is that of the whole table.
///
/// # Errors
/// If fewer than two are left.
pub(super) fn thin(weights: &[f64], rows: &mut Vec<usize>, stream: &Stream) -> Result<String> {
    let (all, largest) = (rows.len(), weights.iter().copied().fold(0.0, f64::max));
    rows.retain(|&row| open_unit(&mut stream.row(row as u64)) * largest < weights[row]);
    match rows.len() {
        left @ 0..2 => Err(Error::invalid(format!(
            "data.weights: {left} of {all} rows for tests are left after thinning by weight, which makes them rows of equal weight; \
             more rows, a larger share `test` or more even weights are right"
        ))),
        left => Ok(format!("{left} of {all} rows for tests are left after thinning by weight")),
    }
}
