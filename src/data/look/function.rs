//! Columns that are a smooth function of another one.

use super::column::{quantile, Column};
use super::finding::{Finding, Kind};
use crate::data::Table;
use rayon::prelude::*;

/// Rows that are looked at, and the fewest that say anything.
const ROWS: (usize, usize) = (2000, 50);

/// Below this roughness a column is called a function of another.
const SMOOTH: f64 = 3e-3;

/// Below this one nothing but the function is in it.
pub(super) const EXACT: f64 = 1e-4;

/// Columns among `places` that are functions of another of them, which is none itself. After sorting the rows by that other column, each
/// value is compared with the straight line between its neighbours: for a smooth function of n rows it is off by about 1/n² of
/// the column's spread, for independent columns by about its spread.
pub(super) fn functions(table: &Table, columns: &[Column], places: &[usize]) -> Vec<Finding> {
    let stride = table.len().div_ceil(ROWS.0);
    let rows: Vec<&[f64]> = (0..table.len()).step_by(stride).map(|row| table.row(row)).collect();
    let free: Vec<usize> = places.iter().copied().filter(|&place| columns[place].is_continuous()).collect();
    if rows.len() < ROWS.1 || free.len() < 2 {
        return Vec::new();
    }
    let roughness = free.par_iter().map(|&by| {
        let mut order: Vec<&[f64]> = rows.clone();
        order.sort_by(|a, b| a[by].total_cmp(&b[by]));
        let of = |&column: &usize| if column == by { f64::INFINITY } else { roughness(&order, &rows, by, column) };
        free.iter().map(of).collect::<Vec<f64>>()
    });
    let roughness: Vec<Vec<f64>> = roughness.collect();
    let mut found: Vec<(usize, Finding)> = Vec::new();
    // Of two that are functions of each other the later one is named.
    for (j, &column) in free.iter().enumerate().rev() {
        let named = |place: usize| found.iter().any(|(other, _)| *other == place);
        let best =
            (0..free.len()).filter(|&i| !named(free[i])).min_by(|&a, &b| roughness[a][j].total_cmp(&roughness[b][j]));
        if let Some(i) = best.filter(|&i| roughness[i][j] < SMOOTH) {
            let (name, of) = (columns[column].name.clone(), columns[free[i]].name.clone());
            found.push((column, Finding::new(Kind::Function { column: name, of, roughness: roughness[i][j] })));
        }
    }
    found.into_iter().rev().map(|(_, finding)| finding).collect()
}

/// The median distance of `column`'s values from the lines between their neighbours in `order` (by column `by`), against the median
/// difference of any two.
fn roughness(order: &[&[f64]], rows: &[&[f64]], by: usize, column: usize) -> f64 {
    let half = rows.len() / 2;
    let differences = (0..half).map(|i| (rows[i][column] - rows[i + half][column]).abs());
    // Of rows with the same value of `by` one takes part in the lines, and all must agree.
    let groups: Vec<&[&[f64]]> = order.chunk_by(|a, b| a[by] == b[by]).collect();
    if groups.len() < ROWS.1 {
        return f64::INFINITY;
    }
    let apart = groups.iter().flat_map(|group| group[1..].iter().map(|row| (row[column] - group[0][column]).abs()));
    let mut apart: Vec<f64> = apart.collect();
    apart.sort_unstable_by(f64::total_cmp);
    let apart = if apart.is_empty() { 0.0 } else { quantile(&apart, 0.9) };
    let off = groups.windows(3).map(|three| {
        let [x0, x1, x2] = [0, 1, 2].map(|i| three[i][0][by]);
        let part = (x1 - x0) / (x2 - x0);
        (three[1][0][column] - (1.0 - part) * three[0][0][column] - part * three[2][0][column]).abs()
    });
    let spread = median(differences.collect());
    if spread > 0.0 {
        median(off.collect()).max(apart) / spread
    } else {
        f64::INFINITY
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
