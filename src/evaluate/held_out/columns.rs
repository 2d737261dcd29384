//! Each column by itself: the largest difference of the distribution functions, shares of cells, and what is odd about its values.

use super::chance::{kolmogorov_above, kolmogorov_square, less_chance};
use super::partition::{standard_error, Partition};
use super::sides::{counts, even_edges, Column, Sides};
use rayon::prelude::*;
use serde::Serialize;

/// How a column of the draws compares with that of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnResult {
    /// Its name.
    pub name: String,
    /// The largest difference of the empirical distribution functions (Kolmogorov 1933; Smirnov 1939).
    pub ks: f64,
    /// The probability of as large a one by chance.
    pub ks_p_value: f64,
    /// The same less what chance adds.
    pub ks_size: f64,
    /// Shares of cells of even mass.
    pub cells: Partition,
    /// The stretch of the line whose mass is most wrong.
    pub stretch: Stretch,
    /// A single value that many rows have and few draws.
    pub spike: Option<Spike>,
    /// The share of rows, and of as many draws, that have a value twice or more often.
    pub tied: [f64; 2],
    /// The share of draws below all rows and above all of them.
    pub outside: [f64; 2],
    /// The least and the largest value of the rows.
    pub range: [f64; 2],
}

/// A stretch of a column, above `low` and not above `high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stretch {
    /// Its lower end; −∞ where it has none.
    pub low: f64,
    /// Its upper end; ∞ where it has none.
    pub high: f64,
    /// The share of the rows in it.
    pub rows: f64,
    /// The share of the model's draws in it.
    pub draws: f64,
}

/// One value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    /// The value.
    pub value: f64,
    /// The share of the rows that have it.
    pub rows: f64,
    /// The share of the draws that have it.
    pub draws: f64,
}

impl ColumnResult {
    /// The larger of the two sizes, both lower bounds of the total variation distance, and its standard error.
    pub fn size(&self, n: usize, m: usize) -> (f64, f64) {
        if self.cells.total_variation >= self.ks_size {
            return (self.cells.total_variation, self.cells.standard_error);
        }
        (self.ks_size, standard_error([self.stretch.rows, self.stretch.draws], n as f64, m as f64))
    }
}

/// Cells of a column, at most.
const CELLS: usize = 32;
/// Rows to a cell, at least.
const ROWS_TO_A_CELL: usize = 15;
/// A value that so many more of the rows have than of the draws is a spike.
const SPIKE: f64 = 0.03;

/// Compares all columns.
pub(super) fn compare(sides: &Sides, columns: &[Column]) -> Vec<ColumnResult> {
    columns.par_iter().zip(sides.names).map(|(column, name)| compare_one(column, name)).collect()
}

fn compare_one(column: &Column, name: &str) -> ColumnResult {
    let (n, m) = (column.rows.len(), column.draws.len());
    let steps = column.steps();
    let (mut below, mut ks) = ([0.0; 2], 0.0f64);
    let mut spike: Option<Spike> = None;
    for &(value, rows, draws) in &steps {
        below = [below[0] + rows, below[1] + draws];
        ks = ks.max((below[0] - below[1]).abs());
        if rows - draws > spike.map_or(SPIKE, |spike| spike.rows - spike.draws) && rows * n as f64 > 4.5 {
            spike = Some(Spike { value, rows, draws });
        }
    }
    let edges = even_edges(&steps, (n / ROWS_TO_A_CELL).clamp(2, CELLS));
    let cells = Partition::of_counts(&counts(&edges, &column.rows), &counts(&edges, &column.draws));
    let of_rows = || steps.iter().filter(|step| step.1 > 0.0).map(|step| step.0);
    let range = [of_rows().next().unwrap_or(f64::NAN), of_rows().next_back().unwrap_or(f64::NAN)];
    let share = |outside: &dyn Fn(f64) -> bool| {
        column.draws.iter().filter(|x| outside(**x)).count() as f64 / column.draws.len().max(1) as f64
    };
    ColumnResult {
        name: name.into(),
        ks,
        ks_p_value: kolmogorov_above(ks, n, m),
        ks_size: less_chance(ks, kolmogorov_square(n, m)),
        stretch: most_wrong(&edges, &cells),
        cells,
        spike,
        tied: [tied(&column.rows), tied(&column.draws[..n.min(m)])],
        outside: [share(&|x| x < range[0]), share(&|x| x > range[1])],
        range,
    }
}

/// The run of cells whose masses differ most (the largest sum of a contiguous part, Bentley 1984, of either sign).
fn most_wrong(edges: &[f64], cells: &Partition) -> Stretch {
    let mut best = (0.0, 0, 0);
    for sign in [1.0, -1.0] {
        let (mut sum, mut first) = (0.0, 0);
        for (c, (rows, draws)) in cells.rows.iter().zip(&cells.draws).enumerate() {
            if sum <= 0.0 {
                (sum, first) = (0.0, c);
            }
            sum += sign * (rows - draws);
            if sum > best.0 + 1e-12 {
                best = (sum, first, c);
            }
        }
    }
    let (_, first, last) = best;
    let sum = |shares: &[f64]| shares.iter().skip(first).take(last + 1 - first).sum();
    Stretch {
        low: if first == 0 { f64::NEG_INFINITY } else { edges[first - 1] },
        high: edges.get(last).copied().unwrap_or(f64::INFINITY),
        rows: sum(&cells.rows),
        draws: sum(&cells.draws),
    }
}

/// The share of values that occur more than once.
fn tied(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let groups = sorted.chunk_by(|a, b| a == b).map(<[f64]>::len);
    groups.filter(|&size| size > 1).sum::<usize>() as f64 / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_that_is_not_there_is_a_stretch() {
        // Rows evenly on (0, 1); draws that put half of the mass of (0.4, 0.6) elsewhere.
        let rows: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        let draws: Vec<f64> = (0..4000)
            .map(|i| (f64::from(i) + 0.5) / 4000.0)
            .map(|u: f64| if u > 0.4 && u < 0.5 { u + 0.5 } else { u })
            .collect();
        let found = compare_one(&Column { rows, draws }, "x");
        assert!((found.ks - 0.1).abs() < 2e-3 && found.ks_p_value < 1e-6, "{found:?}");
        // A tenth, less what chance may have added.
        let total_variation = found.cells.total_variation;
        assert!(total_variation > 0.06 && total_variation < 0.105, "{found:?}");
        let Stretch { low, high, rows, draws } = found.stretch;
        // Beside the hole both sides are the same, so that a longer stretch has as much too many.
        assert!(low < 0.41 && high > 0.49 && high < 0.6, "{low} {high}");
        assert!(((rows - draws).abs() - 0.1).abs() < 0.02);
        assert_eq!((found.spike, found.tied, found.outside), (None, [0.0, 0.0], [0.0005, 0.001]));
    }

    #[test]
    fn spikes_ties_and_what_lies_outside_are_named() {
        let rows: Vec<f64> = (0..100).map(|i| if i < 30 { 0.0 } else { f64::from(i) }).collect();
        let draws: Vec<f64> = (0..1000).map(|i| f64::from(i) / 10.0 - 9.95).collect();
        let found = compare_one(&Column { rows, draws }, "x");
        assert_eq!(found.spike.map(|spike| (spike.value, spike.draws)), Some((0.0, 0.0)));
        assert!((found.tied[0] - 0.3).abs() < 1e-12 && found.tied[1] == 0.0);
        assert!((found.outside[0] - 0.1).abs() < 1e-12 && found.outside[1] == 0.0);
        assert_eq!(found.range, [0.0, 99.0]);
    }
}
