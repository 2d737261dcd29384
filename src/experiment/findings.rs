//! What is odd about the rows that an experiment reads, given what it does with their columns.

use super::check::Plan;
use super::data_spec::DataSpec;
use super::rows::Rows;
use crate::data::look::{look, Finding, Known};
use crate::data::Kind;

impl Rows {
    /// What is odd about the columns of numbers; their values are not yet dithered, nor words taken apart.
    pub(super) fn look(&self, data: &DataSpec) -> Vec<Finding> {
        let grid = |kind: &Kind| match kind {
            Kind::Real => Some(None),
            Kind::Grid(grid) => Some(Some(*grid)),
            _ => None,
        };
        let numbers: Vec<usize> = (0..self.table.dim()).filter(|&i| grid(&self.columns.0[i].kind).is_some()).collect();
        if numbers.is_empty() {
            return Vec::new();
        }
        // Of what is given there are no draws, which could be beyond its bounds.
        let linked = |name: &String| {
            data.given.contains(name) || data.transforms.iter().any(|transform| transform.column() == name)
        };
        let table = self.table.columns(&numbers);
        let known = Known {
            grids: numbers.iter().map(|&i| grid(&self.columns.0[i].kind).flatten()).collect(),
            linked: table.names.iter().map(linked).collect(),
            left_out: self.dropped,
        };
        look(&table, &known)
    }
}

impl Plan<'_> {
    /// What is odd about the data, the gravest first; nothing where they are exact draws, or there are none.
    pub fn findings(&self) -> &[Finding] {
        self.data.as_ref().map_or(&[], |data| &data.findings)
    }
}
