//! A table in the user's terms as points of a model.

use super::FrozenModel;
use crate::data::{read_npy, read_npz, read_parquet, Columns, CsvOptions, Dialect, Format, OpenText, Table, Text};
use crate::error::{Error, Result};
use crate::ops::real::Real;
use std::path::Path;

impl<F: Real> FrozenModel<F> {
    /// Reads the table at `path` (`-` is text on standard input) as rows of the model's coordinates, by the model's own columns: words,
    /// days and numbers, on their grids or off them, are taken as they are. Text goes by the names of the columns, of the parameters' values,
    /// or of the coordinates, whichever are all there, and may have other columns besides; an array, and text without a header, goes by
    /// place. `dialect` is that of the text.
    ///
    /// # Errors
    /// If the file cannot be read or has not the columns, or a cell is not of its column: another word, a value outside its support.
    pub fn read_points(&self, path: &Path, dialect: &Dialect) -> Result<Table> {
        let Text { table, columns, .. } =
            self.read_table(path, dialect, &[self.value_names(), self.names().to_vec()])?;
        if table.names == self.names() {
            return Ok(table);
        }
        if !columns.is_plain() {
            let values = columns.expand(&table.values);
            return Table::new(self.names().to_vec(), values);
        }
        let mut points = vec![0.0; table.len() * self.dim()];
        for (row, point) in points.chunks_exact_mut(self.dim()).enumerate() {
            self.constraint().unconstrain(table.row(row), point).map_err(|(name, support)| {
                Error::input(path, format!("row {}: `{name}` is outside its support {support:?}", row + 1))
            })?;
        }
        Table::new(self.names().to_vec(), points)
    }

    /// Reads the table at `path` as rows of the model's coordinates, by their own names.
    ///
    /// # Errors
    /// As [`FrozenModel::read_points`].
    pub fn read_coordinates(&self, path: &Path, dialect: &Dialect) -> Result<Table> {
        Ok(self.read_table(path, dialect, &[self.names().to_vec()])?.table)
    }

    /// Reads the table at `path` as rows of the user's values, as [`FrozenModel::log_prob_of_values`] takes them.
    ///
    /// # Errors
    /// As [`FrozenModel::read_points`]; values outside their supports are none.
    pub fn read_values(&self, path: &Path, dialect: &Dialect) -> Result<Table> {
        Ok(self.read_table(path, dialect, &[self.value_names()])?.table)
    }

    /// The names of the user's columns that are given.
    pub fn given_names(&self) -> Vec<String> {
        let given = self.space().given;
        let mut names = self.value_names();
        let kept = if self.columns().is_plain() { given } else { names.len() - self.columns().without(given).0.len() };
        names.truncate(kept);
        names
    }

    /// Reads the columns that are given from the table at `path`, as rows of the model's coordinates of them.
    ///
    /// # Errors
    /// As [`FrozenModel::read_points`], and if the model is given nothing.
    pub fn read_given(&self, path: &Path, dialect: &Dialect) -> Result<Table> {
        let (given, names) = (self.space().given, self.given_names());
        if given == 0 {
            return Err(Error::invalid("the model is given nothing; a table of what is given has no use"));
        }
        let Text { table, columns, .. } = self.read_table(path, dialect, &[names])?;
        let values = if columns.is_plain() { table.values } else { columns.expand(&table.values) };
        let table = Table::new(self.names()[..given].to_vec(), values)?;
        let row = table.values.chunks_exact(given).position(|row| self.at(row).is_err());
        match row {
            None => Ok(table),
            Some(row) => {
                let fault = self.at(table.row(row)).err().map_or(String::new(), |fault| fault.to_string());
                Err(Error::input(path, format!("row {}: {fault}", row + 1)))
            }
        }
    }

    /// Reads a table with the first of the lists of columns `ways` that it has.
    fn read_table(&self, path: &Path, dialect: &Dialect, ways: &[Vec<String>]) -> Result<Text> {
        let of = |names: &[String]| {
            let all = self.columns().names();
            if !names.is_empty() && names == &all[..names.len().min(all.len())] {
                Columns(self.columns().0[..names.len()].to_vec())
            } else {
                Columns::default()
            }
        };
        let mut table = match Format::of(path)? {
            Format::Text => {
                let text = OpenText::open_by(path, dialect, &ways[0])?;
                let has = |names: &&Vec<String>| names.iter().all(|name| text.names().contains(name));
                // Where neither is there, the columns that are missing are those of the user's table.
                let names = ways.iter().find(has).unwrap_or(&ways[0]);
                let kinds = of(names);
                let options = CsvOptions {
                    columns: Some(names.clone()),
                    dialect: *dialect,
                    kinds: kinds.0.clone(),
                    numbers_as_days: true,
                    ..CsvOptions::default()
                };
                return Ok(Text { columns: plain_or(kinds), ..text.read(&options)? });
            }
            Format::Parquet => {
                let read = |names: &Vec<String>| {
                    let (columns, kinds) = (Some(names.clone()), of(names).0);
                    read_parquet(path, &CsvOptions { columns, kinds, numbers_as_days: true, ..CsvOptions::default() })
                };
                let first = read(&ways[0]);
                let (names, text) = match ways.get(1).map(|names| (names, read(names))) {
                    Some((names, Ok(text))) if first.is_err() => (names, text),
                    _ => (&ways[0], first?),
                };
                return Ok(Text { columns: plain_or(of(names)), ..text });
            }
            Format::Npy => read_npy(path)?,
            Format::Npz => read_npz(path, None)?,
        };
        let width = table.dim();
        let names = ways.iter().find(|names| names.len() == width).ok_or_else(|| {
            let right: Vec<String> = ways.iter().map(|names| names.len().to_string()).collect();
            Error::input(path, format!("has {width} columns; {} are right for this model", right.join(" or ")))
        })?;
        let columns = of(names);
        for (place, column) in columns.0.iter().enumerate() {
            let Some(words) = column.kind.words() else { continue };
            let places: Vec<f64> = (0..words.len()).map(|place| place as f64).collect();
            if let Some(row) = (0..table.len()).find(|&row| !places.contains(&table.row(row)[place])) {
                let value = table.row(row)[place];
                return Err(Error::input(
                    path,
                    format!(
                        "row {}, column `{}` is {value}; the number of a word, 0 to {}, is right",
                        row + 1,
                        column.name,
                        words.len() - 1
                    ),
                ));
            }
        }
        table.names.clone_from(names);
        Ok(Text { table, columns: plain_or(columns), dropped: 0 })
    }
}

/// The columns, or none where they are all of any numbers.
fn plain_or(columns: Columns) -> Columns {
    if columns.is_plain() {
        Columns::default()
    } else {
        columns
    }
}
