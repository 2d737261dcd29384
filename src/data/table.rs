//! A table of finite numbers with named columns.

use crate::error::{Error, Result};
use crate::shown;
use std::collections::HashSet;

/// Rows of finite numbers, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub names: Vec<String>,
    /// The numbers, row by row.
    pub values: Vec<f64>,
}

impl Table {
    /// A table from its columns' names and its values.
    ///
    /// # Errors
    /// If there is no column or no row, names are empty or repeated, a row is not whole, or a value is not finite.
    pub fn new(names: Vec<String>, values: Vec<f64>) -> Result<Self> {
        if names.is_empty() {
            return Err(Error::invalid("a table without columns"));
        }
        let mut known = HashSet::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(Error::invalid(format!("column {} has no name", i + 1)));
            }
            if !known.insert(name) {
                let name = shown::quoted(name);
                return Err(Error::invalid(format!("column `{name}` occurs twice; names must differ")));
            }
        }
        if values.is_empty() || !values.len().is_multiple_of(names.len()) {
            let (found, columns) = (values.len(), names.len());
            return Err(Error::invalid(format!(
                "{found} values in {columns} columns; whole rows, at least one, are right"
            )));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, name) = (at / names.len() + 1, &names[at % names.len()]);
            return Err(Error::invalid(format!(
                "row {row}, column `{name}` is {}; a finite number is right",
                values[at]
            )));
        }
        Ok(Self { names, values })
    }

    /// The number of columns.
    pub fn dim(&self) -> usize {
        self.names.len()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len()
    }

    /// Never: a table has at least one row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The columns at `places`, in that order.
    pub fn columns(&self, places: &[usize]) -> Self {
        let rows = self.values.chunks_exact(self.dim());
        let values = rows.flat_map(|row| places.iter().map(move |&place| row[place])).collect();
        Self { names: places.iter().map(|&place| self.names[place].clone()).collect(), values }
    }

    /// Row `row`.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.dim()..(row + 1) * self.dim()]
    }
}
