//! The rows of an experiment: read or drawn, with what their columns are and their weights, in coordinates.

use super::data_spec::{DataSpec, GridSpec, GridsSpec, Missing, SourceSpec};
use super::given_rows;
use super::weight;
use crate::data::look::Finding;
use crate::data::{
    self, declare, grid_of, read_text, Column, Columns, CsvOptions, Dialect, Grid, Kind, Table, Text, STANDARD_INPUT,
};
use crate::error::{Error, Result};
use crate::evaluate::draws::exact_draws;
use crate::seed::Seed;
use crate::target::Density;
use std::path::{Path, PathBuf};

/// Rows as they are to be prepared.
pub(super) struct Rows {
    /// Their coordinates, not dithered.
    pub table: Table,
    /// What the coordinates stand for.
    pub columns: Columns,
    /// How many of the coordinates, the first ones, are given.
    pub given: usize,
    /// Their weights, all above 0.
    pub weights: Option<Vec<f64>>,
    /// How many were left out for a missing value.
    pub dropped: usize,
    /// What a person should know of them.
    pub notes: Vec<String>,
    /// What is odd about them.
    pub findings: Vec<Finding>,
}

impl Rows {
    /// Rows of nothing but numbers.
    pub fn plain(table: Table) -> Self {
        let (columns, notes, findings) = (Columns::default(), Vec::new(), Vec::new());
        Self { table, columns, given: 0, weights: None, dropped: 0, notes, findings }
    }
}

impl SourceSpec {
    /// How its text is written, as far as that is told.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match *self {
            SourceSpec::Csv { delimiter, header, decimal, comment, .. } => {
                Some(Dialect { delimiter, header, decimal, comment })
            }
            _ => None,
        }
    }
}

/// `path` as an experiment in `folder` names it; `-` is standard input.
fn inside(folder: &Path, path: &Path) -> PathBuf {
    if path == Path::new(STANDARD_INPUT) {
        path.to_path_buf()
    } else {
        folder.join(path)
    }
}

/// Reads or draws the rows of `data`, relative to `folder`, at most `most_draws` in the latter case.
pub(super) fn read(
    data: &DataSpec,
    folder: &Path,
    target: Option<&dyn Density>,
    seed: Seed,
    most_draws: usize,
) -> Result<Rows> {
    let categories = data.categories.iter().map(|name| (name, Kind::Categories { words: Vec::new() }));
    let kinds: Vec<Column> = categories
        .chain(data.dates.iter().map(|name| (name, Kind::Days)))
        .map(|(name, kind)| Column { name: name.clone(), kind })
        .collect();
    let array = |table: Result<Table>| {
        let mut table = table?;
        let columns = declare(&mut table, &kinds)?;
        Ok::<_, Error>(Text { table, columns, dropped: 0 })
    };
    let Text { table, columns, dropped } = match &data.source {
        SourceSpec::Csv { path, columns, missing, .. } | SourceSpec::Parquet { path, columns, missing } => {
            let mut columns = columns.clone();
            if let (Some(columns), Some(weights)) = (&mut columns, &data.weights) {
                if !columns.contains(weights) {
                    columns.push(weights.clone());
                }
            }
            let options = CsvOptions {
                columns,
                dialect: data.source.dialect().unwrap_or_default(),
                drop_missing: *missing == Missing::Drop,
                kinds: kinds.clone(),
                ..CsvOptions::default()
            };
            let text = match data.source {
                SourceSpec::Parquet { .. } => data::read_parquet(&folder.join(path), &options)?,
                _ => read_text(&inside(folder, path), &options)?,
            };
            if let Some(unknown) = kinds.iter().find(|column| !text.table.names.contains(&column.name)) {
                let field = if unknown.kind == Kind::Days { "dates" } else { "categories" };
                let there = text.table.names.join(", ");
                return Err(Error::invalid(format!("data.{field} names column `{}`; there are {there}", unknown.name)));
            }
            text
        }
        SourceSpec::Npy { path } => array(data::read_npy(&folder.join(path)))?,
        SourceSpec::Npz { path, array: name } => array(data::read_npz(&folder.join(path), name.as_deref()))?,
        SourceSpec::Draws { rows } => {
            let sampler = target.and_then(|target| Some((target, target.sampler()?)));
            let (target, sampler) = sampler.ok_or_else(|| {
                let advice = "`flowdistill targets` lists those that have";
                Error::invalid(format!("data.source is `Draws`, but the target has no exact sampler; {advice}"))
            })?;
            let values = exact_draws(sampler, target.dim(), most_draws.min(*rows), &seed.stream("data/draws"));
            return Ok(Rows::plain(Table::new(target.names(), values)?));
        }
        SourceSpec::Toy { density, rows } => {
            let values = density.draws(most_draws.min(*rows), &seed.stream("data/toy"));
            return Ok(Rows::plain(Table::new(vec!["x".into(), "y".into()], values)?));
        }
    };
    let mut rows = Rows { columns, dropped, ..Rows::plain(table) };
    if let Some(name) = &data.weights {
        let (table, weights, note) = weight::take(rows.table, name)?;
        rows.columns.0.retain(|column| column.name != *name);
        (rows.table, rows.weights) = (table, Some(weights));
        rows.notes.push(note);
    }
    rows.put_on_grids(data, target.is_some())?;
    rows.given = given_rows::to_front(data, &mut rows.table, &mut rows.columns)?;
    rows.findings = rows.look(data);
    let has_supports = target.is_some_and(|target| target.constraint().value_names().is_some());
    if has_supports && !rows.columns.is_plain() {
        let what: Vec<String> = rows.columns.0.iter().filter_map(Column::describe).collect();
        return Err(Error::invalid(format!(
            "data.integers, grids, categories, dates or words ({}) with a target whose parameters have supports; one or the other is right",
            what.join(", ")
        )));
    }
    let described: Vec<String> = rows.columns.0.iter().skip(data.given.len()).filter_map(Column::describe).collect();
    if !described.is_empty() {
        let list = described.join(", ");
        rows.notes
            .push(format!("dithered within their cells for the fit, and drawn back onto them by `sample`: {list}"));
    }
    if !rows.columns.is_plain() {
        let values = rows.columns.expand(&rows.table.values);
        rows.table = Table::new(rows.columns.coordinate_names(), values)?;
    } else {
        rows.columns = Columns::default();
    }
    Ok(rows)
}

impl Rows {
    /// Finds the columns on a grid: those that the experiment names, and those whose values say so, if nobody names any.
    fn put_on_grids(&mut self, data: &DataSpec, has_target: bool) -> Result<()> {
        let whole = |column: &String| (column.clone(), Grid::WHOLE, "integers");
        let mut named: Vec<(String, Grid, &str)> = data.integers.iter().map(whole).collect();
        if let GridsSpec::Only(grids) = &data.grids {
            named.extend(grids.iter().map(|GridSpec { column, step, origin }| {
                (column.clone(), Grid { step: *step, origin: *origin }, "grids")
            }));
        }
        for (name, grid, field) in named {
            let place = self.table.names.iter().position(|other| *other == name).ok_or_else(|| {
                Error::invalid(format!("data.{field} names column `{name}`; there are {}", self.table.names.join(", ")))
            })?;
            if self.columns.0[place].kind != Kind::Real {
                return Err(Error::invalid(format!(
                    "data.{field} names column `{name}`, which is something else already; naming it once is right"
                )));
            }
            if let Some(row) = (0..self.table.len()).find(|&row| !grid.holds(self.table.row(row)[place])) {
                let (value, row) = (self.table.row(row)[place], row + 1);
                let says = match field {
                    "integers" => "it holds whole numbers".to_string(),
                    _ => format!("it is on the grid {} + k · {}", grid.origin, grid.step),
                };
                return Err(Error::invalid(format!(
                    "row {row}, column `{name}` is {value}, but data.{field} says that {says}"
                )));
            }
            self.columns.0[place].kind = Kind::Grid(grid);
        }
        if data.grids == GridsSpec::Auto && !has_target {
            for (place, column) in self.columns.0.iter_mut().enumerate().filter(|(_, column)| column.kind == Kind::Real)
            {
                let values: Vec<f64> =
                    self.table.values.iter().skip(place).step_by(self.table.dim()).copied().collect();
                column.kind = grid_of(&values).map_or(Kind::Real, Kind::Grid);
            }
        }
        Ok(())
    }
}

/// What is wrong with the fields of `data` whatever its rows are.
pub(super) fn faults(data: &DataSpec) -> Vec<String> {
    let of_text = data.source.dialect().map(|dialect| dialect.faults()).unwrap_or_default();
    let mut faults: Vec<String> = of_text.into_iter().map(|fault| format!("data.source.{fault}")).collect();
    if let GridsSpec::Only(grids) = &data.grids {
        for GridSpec { column, step, origin } in grids {
            if !(step.is_finite() && *step > 0.0) {
                faults.push(format!(
                    "data.grids: the step of column `{column}` is {step}; a finite number above 0 is right"
                ));
            }
            if !origin.is_finite() {
                faults
                    .push(format!("data.grids: the origin of column `{column}` is {origin}; a finite number is right"));
            }
        }
    }
    if data.source.drawn().is_some() {
        for (field, given) in [
            ("integers", !data.integers.is_empty()),
            ("grids", matches!(data.grids, GridsSpec::Only(_))),
            ("categories", !data.categories.is_empty()),
            ("dates", !data.dates.is_empty()),
            ("weights", data.weights.is_some()),
            ("given", !data.given.is_empty()),
        ] {
            if given {
                faults.push(format!("data.{field} is given, but rows that are drawn have none; leave it out"));
            }
        }
    }
    let mut given = data.given.clone();
    given.sort();
    if let Some(twice) = given.windows(2).find(|pair| pair[0] == pair[1]) {
        faults.push(format!("data.given names column `{}` twice; naming it once is right", twice[0]));
    }
    if let Some(weights) = data.weights.as_ref().filter(|weights| data.given.contains(weights)) {
        faults.push(format!("data.given names column `{weights}`, which holds the weights of the rows; leave it out"));
    }
    let mut named: Vec<&String> = data.categories.iter().chain(&data.dates).chain(&data.weights).collect();
    named.sort();
    if let Some(twice) = named.windows(2).find(|pair| pair[0] == pair[1]) {
        faults.push(format!(
            "data.categories, dates and weights name column `{}` twice; naming it once is right",
            twice[0]
        ));
    }
    faults
}
