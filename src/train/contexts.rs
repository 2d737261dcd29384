//! What the draws of a step are given: rows of a table, at random.

use crate::flow::Standardisation;
use crate::seed::{open_unit, Stream};

/// Draws of a look that share what is given, so that weights among them can be compared where each context has a normaliser of its own.
pub(super) const TOGETHER: usize = 64;

/// Contexts that draws are given: rows of a table, picked at random with replacement.
#[derive(Debug, Clone)]
pub struct Contexts {
    given: usize,
    /// In the user's coordinates, row-major.
    users: Vec<f64>,
    /// In the flow's.
    flows: Vec<f64>,
    stream: Stream,
}

impl Contexts {
    /// Of `rows` (row-major, as many values each as columns are given in `standardisation`); `stream` picks them.
    ///
    /// # Panics
    /// If nothing is given, or there is no row.
    pub fn new(rows: &[f64], standardisation: &Standardisation, stream: Stream) -> Self {
        let given = standardisation.given;
        assert!(given > 0 && rows.len() >= given, "rows of columns that are given");
        let flows = rows.chunks_exact(given).flat_map(|row| standardisation.of_given(row)).collect();
        Self { given, users: rows.to_vec(), flows, stream }
    }

    /// The row that draw number `draw` is given.
    fn pick(&self, draw: u64) -> usize {
        let rows = self.users.len() / self.given;
        ((open_unit(&mut self.stream.row(draw)) * rows as f64) as usize).min(rows - 1)
    }

    /// Writes what draws `first ..` are given, `together` in a row the same, into the first columns of rows of `dim` in the flow's coordinates.
    pub(super) fn fill_flows(&self, first: u64, together: usize, points: &mut [f64], dim: usize) {
        self.fill(&self.flows, first, together, points, dim);
    }

    /// The same in the user's.
    pub(super) fn fill_users(&self, first: u64, together: usize, points: &mut [f64], dim: usize) {
        self.fill(&self.users, first, together, points, dim);
    }

    fn fill(&self, from: &[f64], first: u64, together: usize, points: &mut [f64], dim: usize) {
        for (k, rows) in points.chunks_mut(together * dim).enumerate() {
            let context = &from[self.pick(first + (k * together) as u64) * self.given..][..self.given];
            rows.chunks_exact_mut(dim).for_each(|row| row[..self.given].copy_from_slice(context));
        }
    }
}
