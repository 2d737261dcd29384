//! A look at a table before anything is fitted to it: what is odd, by how much, and what to do.

mod bounds;
mod column;
mod dependence;
mod finding;
mod function;
mod outliers;
mod repeats;
mod tail;
mod words;

pub use finding::{Finding, Kind, Outlier, Severity};

use super::{Grid, Table};
use column::Column;
use rayon::prelude::*;

/// What the reader of the table knows of its columns already; an entry for each, or none at all.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The grid on which a column's values lie, where they are dithered within its cells for the fit.
    pub grids: Vec<Option<Grid>>,
    /// Whether a link keeps the column within its bounds.
    pub linked: Vec<bool>,
    /// Rows that were left out on reading, so that the others' numbers are not those of the file.
    pub left_out: usize,
}

/// Rows for each column below which a table is called small.
const ROWS_FOR_EACH_COLUMN: usize = 50;

/// Looks at `table` and returns what is odd, the gravest first. The same table always gives the same findings; the work is that of
/// sorting its columns, and of one covariance matrix.
pub fn look(table: &Table, known: &Known) -> Vec<Finding> {
    let (rows, dim) = (table.len(), table.dim());
    let columns: Vec<Column> = (0..dim)
        .into_par_iter()
        .map(|place| Column::of(table, place, known.grids.get(place).copied().flatten()))
        .collect();
    let mut found = Vec::new();
    if rows <= ROWS_FOR_EACH_COLUMN * dim {
        found.push(Finding::new(Kind::FewRows { rows, columns: dim }));
    }
    found.extend(columns.iter().filter_map(Column::constant));
    let varying: Vec<usize> = (0..dim).filter(|&place| !columns[place].is_constant()).collect();
    let (dependent, places) = dependence::dependent(table, &columns, &varying);
    found.extend(dependent);
    let free: Vec<usize> = varying.iter().copied().filter(|place| !places.contains(place)).collect();
    found.extend(function::functions(table, &columns, &free));
    let redundant: Vec<String> = found.iter().filter_map(Finding::redundant).map(str::to_string).collect();
    found.extend(columns.iter().filter_map(Column::lumps));
    let outliers = outliers::outliers(table, &columns, &free, known.left_out);
    let codes = outliers.iter().filter_map(|finding| match &finding.kind {
        Kind::Code { column, value, .. } => Some((column.as_str(), *value)),
        _ => None,
    });
    let repeated = repeats::repeated(table, &columns, &codes.collect::<Vec<_>>());
    found.extend(outliers);
    found.extend(repeated);
    for (place, column) in columns.iter().enumerate() {
        if !known.linked.get(place).copied().unwrap_or(false) && !redundant.contains(&column.name) {
            found.extend(bounds::bound(column));
        }
    }
    let on_grid = columns.iter().filter_map(|column| Some((column, column.undithered()?)));
    let on_grid: Vec<(&Column, Grid)> = on_grid.filter(|&(_, grid)| grid != Grid::WHOLE).collect();
    if !on_grid.is_empty() {
        let fine = on_grid.iter().all(|(column, _)| column.is_fine());
        let columns = on_grid.into_iter().map(|(column, grid)| (column.name.clone(), grid)).collect();
        found.push(Finding::new(Kind::OnGrid { columns, fine }));
    }
    let whole: Vec<String> = columns
        .iter()
        .filter(|column| column.undithered() == Some(Grid::WHOLE))
        .map(|column| column.name.clone())
        .collect();
    if !whole.is_empty() {
        found.push(Finding::new(Kind::WholeNumbers { columns: whole }));
    }
    found.sort_by_key(|finding| finding.severity);
    found
}
