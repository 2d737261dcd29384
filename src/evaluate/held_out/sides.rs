//! The two samples that are compared, column by column, and the cells that both fill evenly.

use super::super::regions::Cells;

/// Held-out rows and draws of a model, in the user's units.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The names of the columns.
    pub names: &'a [String],
    /// Rows that the model has not seen, row-major.
    pub rows: &'a [f64],
    /// Draws of the model, row-major.
    pub draws: &'a [f64],
    /// The model's log densities at the rows and at the draws, where they are known: the classifier may use them.
    pub log_densities: Option<(&'a [f64], &'a [f64])>,
}

/// One column of both sides.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// Of the rows.
    pub rows: Vec<f64>,
    /// Of the draws.
    pub draws: Vec<f64>,
}

impl Column {
    /// Values in rising order with the weight that each side has there, ties together: (value, share of rows, share of draws).
    pub fn steps(&self) -> Vec<(f64, f64, f64)> {
        let (n, m) = (self.rows.len() as f64, self.draws.len() as f64);
        let mut all: Vec<(f64, f64, f64)> = self.rows.iter().map(|x| (*x, 1.0 / n, 0.0)).collect();
        all.extend(self.draws.iter().map(|x| (*x, 0.0, 1.0 / m)));
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut steps: Vec<(f64, f64, f64)> = Vec::with_capacity(all.len());
        for (x, row, draw) in all {
            match steps.last_mut() {
                Some(last) if last.0 == x => {
                    last.1 += row;
                    last.2 += draw;
                }
                _ => steps.push((x, row, draw)),
            }
        }
        steps
    }
}

/// At most `cells` cells of the line, each with an equal share of the average of both sides where ties allow: their upper ends, but for
/// the last, which is open.
pub(super) fn even_edges(steps: &[(f64, f64, f64)], cells: usize) -> Vec<f64> {
    let mut edges = Vec::with_capacity(cells);
    let mut below = 0.0;
    for (i, &(x, row, draw)) in steps.iter().enumerate() {
        below += 0.5 * (row + draw);
        // Rounding must not make an edge of what is a last cell of nothing.
        let next = (edges.len() + 1) as f64 / cells as f64;
        if below >= next - 1e-9 && i + 1 < steps.len() && edges.len() + 1 < cells {
            edges.push(x);
            // A tie may fill several cells at once.
            while (edges.len() + 1) as f64 / (cells as f64) <= below - 1e-9 && edges.len() + 1 < cells {
                edges.push(x);
            }
        }
    }
    edges.dedup();
    edges
}

/// The cell of `x`: cell c holds what is above edge c − 1 and not above edge c.
pub(super) fn cell_of(edges: &[f64], x: f64) -> usize {
    edges.partition_point(|edge| *edge < x)
}

/// How many of `values` are in each of the cells.
pub(super) fn counts(edges: &[f64], values: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; edges.len() + 1];
    values.iter().for_each(|x| counts[cell_of(edges, *x)] += 1.0);
    counts
}

impl Sides<'_> {
    pub(super) fn dim(&self) -> usize {
        self.names.len()
    }

    /// The number of held-out rows.
    pub(super) fn n(&self) -> usize {
        self.rows.len() / self.dim()
    }

    /// The number of draws.
    pub(super) fn m(&self) -> usize {
        self.draws.len() / self.dim()
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        let column = |values: &[f64], i: usize| values.iter().skip(i).step_by(self.dim()).copied().collect();
        (0..self.dim()).map(|i| Column { rows: column(self.rows, i), draws: column(self.draws, i) }).collect()
    }

    /// Rows and draws in turns, as many of each: where cells are looked for.
    pub(super) fn mixed(&self) -> Vec<f64> {
        let dim = self.dim();
        let both = self.rows.chunks_exact(dim).zip(self.draws.chunks_exact(dim));
        both.flat_map(|(row, draw)| row.iter().chain(draw).copied()).collect()
    }

    /// How many rows and draws are in each of the cells.
    pub(super) fn counts_in(&self, cells: &Cells) -> [Vec<f64>; 2] {
        [self.rows, self.draws].map(|points| {
            let mut counts = vec![0.0; cells.len()];
            cells.places(points).into_iter().for_each(|cell| counts[cell] += 1.0);
            counts
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_even_and_merge_at_ties() {
        let column = Column { rows: (0..100).map(f64::from).collect(), draws: (0..100).map(f64::from).collect() };
        let edges = even_edges(&column.steps(), 4);
        assert_eq!(edges, [24.0, 49.0, 74.0]);
        assert_eq!(counts(&edges, &column.rows), [25.0; 4]);
        // Six tenths of the rows at one value: that value ends a cell, and is not cut.
        let rows: Vec<f64> = (0..100).map(|i| if i < 60 { 7.0 } else { f64::from(i) }).collect();
        let column = Column { rows, draws: vec![7.0; 50] };
        let edges = even_edges(&column.steps(), 10);
        assert_eq!(edges.iter().filter(|edge| **edge == 7.0).count(), 1);
        assert_eq!(counts(&edges, &column.draws)[0], 50.0);
        assert!(even_edges(&Column { rows: vec![1.0; 5], draws: vec![1.0; 5] }.steps(), 8).is_empty());
    }
}
