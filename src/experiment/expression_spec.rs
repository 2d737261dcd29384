//! A target written in the experiment file: parameters with supports, data, and the log density.

use super::ordered::Ordered;
use crate::data::{self, CsvOptions, Dialect};
use crate::expression::{Datum, Expression};
use crate::target::{Density, Parameter, Support, TargetSettings};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A density as an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpressionSpec {
    /// The parameters and where they live, in the order in which draws have them.
    pub parameters: Ordered<Support>,
    /// What is given, column by column of `data` of the experiment: a student is conditional on it.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub given: Ordered<Support>,
    /// What is known.
    #[serde(default)]
    pub data: Ordered<DatumSpec>,
    /// Lines that make up the log density of the parameters in their own space.
    pub log_density: String,
}

/// Something known. Paths are relative to the experiment file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum DatumSpec {
    /// A number.
    Number(
        /// It.
        f64,
    ),
    /// A list of numbers.
    Vector(
        /// They.
        Vec<f64>,
    ),
    /// Rows of numbers.
    Matrix(
        /// The rows.
        Vec<Vec<f64>>,
    ),
    /// Columns of a text file with a header: one as a vector, several as a matrix.
    Csv {
        /// The file.
        path: PathBuf,
        /// The one column that is the vector.
        #[serde(default)]
        column: Option<String>,
        /// The columns of the matrix, all if left out.
        #[serde(default)]
        columns: Option<Vec<String>>,
        /// Columns that the matrix goes without.
        #[serde(default)]
        except: Vec<String>,
        /// What separates cells.
        #[serde(default = "comma")]
        delimiter: char,
        /// How columns are scaled.
        #[serde(default)]
        scaling: Scaling,
    },
    /// A NumPy file with a two-dimensional array.
    Npy {
        /// The file.
        path: PathBuf,
        /// The one column, from 0, that is the vector; all columns are a matrix.
        #[serde(default)]
        column: Option<usize>,
        /// How columns are scaled.
        #[serde(default)]
        scaling: Scaling,
    },
}

fn comma() -> char {
    ','
}

/// How columns are scaled before anything is computed from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scaling {
    /// Not at all.
    #[default]
    Unscaled,
    /// Divided by their standard deviation.
    Deviation,
    /// Shifted to mean 0 and then divided by their standard deviation.
    Standard,
}

impl ExpressionSpec {
    /// Reads the data and compiles the expression; `folder` is that of the experiment file.
    fn compile(&self, folder: &Path) -> Result<Expression, String> {
        for (name, support) in &self.given.0 {
            let plain = match support {
                Support::Real => true,
                Support::Vector(_, of) => **of == Support::Real,
                _ => false,
            };
            if !plain {
                return Err(format!(
                    "given `{name}` is {support:?}; `Real` or `Vector(n)` is right, since values are given as they are"
                ));
            }
        }
        let all = self.given.0.iter().chain(&self.parameters.0);
        let all = all.map(|(name, support)| Parameter { name: name.clone(), support: support.clone() }).collect();
        let given = self.given.0.iter().map(|(_, support)| support.coordinates()).sum();
        let read = |(name, datum): &(String, DatumSpec)| match datum.read(folder) {
            Ok(datum) => Ok((name.clone(), datum)),
            Err(fault) => Err(format!("data `{name}`: {fault}")),
        };
        let data = self.data.0.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Expression::new(all, data, &self.log_density)
            .and_then(|expression| expression.given(given))
            .map_err(|fault| format!("log_density: {fault}"))
    }
}

impl TargetSettings for ExpressionSpec {
    const EXAMPLE: &'static str =
        "Expression(parameters: {\"mu\": Real, \"sigma\": Positive}, data: {\"y\": Vector([1.2, 0.7, 2.9])}, \
         log_density: \"mu ~ normal(0, 10); sigma ~ half_cauchy(5); y ~ normal(mu, sigma)\")";
    const ABOUT: &'static str = "a density of your own, written down: see docs/expression.md";

    fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(self.compile(folder)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        self.data.0.iter_mut().filter_map(|(_, datum)| datum.file()).collect()
    }
}

impl DatumSpec {
    /// The file that it comes from, if from one.
    fn file(&mut self) -> Option<&mut PathBuf> {
        match self {
            DatumSpec::Csv { path, .. } | DatumSpec::Npy { path, .. } => Some(path),
            DatumSpec::Number(_) | DatumSpec::Vector(_) | DatumSpec::Matrix(_) => None,
        }
    }

    fn read(&self, folder: &Path) -> Result<Datum, String> {
        match self {
            DatumSpec::Number(x) => Ok(Datum::Number(*x)),
            DatumSpec::Vector(numbers) => Ok(Datum::Vector(numbers.clone())),
            DatumSpec::Matrix(rows) => {
                let columns = rows.first().map_or(0, Vec::len);
                match rows.iter().position(|row| row.len() != columns) {
                    Some(i) => Err(format!("row {i} has {} numbers; {columns}, as row 0, are right", rows[i].len())),
                    None => Ok(Datum::Matrix(rows.concat(), columns)),
                }
            }
            DatumSpec::Csv { path, column, columns, except, delimiter, scaling } => {
                if !delimiter.is_ascii() {
                    return Err(format!("delimiter is {delimiter:?}; an ASCII character is right"));
                }
                if column.is_some() && (columns.is_some() || !except.is_empty()) {
                    return Err("`column` and `columns` or `except`; one column or several are right".into());
                }
                let chosen = column.as_ref().map(|column| vec![column.clone()]).or_else(|| columns.clone());
                let dialect = Dialect { delimiter: Some(*delimiter), ..Dialect::default() };
                let options = CsvOptions { columns: chosen, dialect, only_numbers: true, ..CsvOptions::default() };
                let (table, _) = data::read_csv(&folder.join(path), &options).map_err(|error| error.to_string())?;
                if let Some(unknown) = except.iter().find(|name| !table.names.contains(name)) {
                    return Err(format!("except names column `{unknown}`; there are {}", table.names.join(", ")));
                }
                let kept: Vec<usize> = (0..table.dim()).filter(|&i| !except.contains(&table.names[i])).collect();
                let numbers = table.values.chunks_exact(table.dim()).flat_map(|row| kept.iter().map(|&i| row[i]));
                let numbers =
                    scaling.apply(numbers.collect(), kept.len(), |i| format!("`{}`", table.names[kept[i]]))?;
                Ok(if column.is_some() { Datum::Vector(numbers) } else { Datum::Matrix(numbers, kept.len()) })
            }
            DatumSpec::Npy { path, column, scaling } => {
                let table = data::read_npy(&folder.join(path)).map_err(|error| error.to_string())?;
                let width = table.dim();
                match column {
                    Some(column) if *column >= width => {
                        Err(format!("column is {column}; 0 to {} are right", width.saturating_sub(1)))
                    }
                    Some(column) => {
                        let numbers = table.values.iter().copied().skip(*column).step_by(width).collect();
                        Ok(Datum::Vector(scaling.apply(numbers, 1, |_| column.to_string())?))
                    }
                    None => Ok(Datum::Matrix(scaling.apply(table.values, width, |i| i.to_string())?, width)),
                }
            }
        }
    }
}

impl Scaling {
    /// Scales the columns of `numbers`, of which there are `width`.
    fn apply(self, mut numbers: Vec<f64>, width: usize, name: impl Fn(usize) -> String) -> Result<Vec<f64>, String> {
        if self == Scaling::Unscaled {
            return Ok(numbers);
        }
        let n = (numbers.len() / width.max(1)) as f64;
        for i in 0..width {
            let column = || numbers.iter().skip(i).step_by(width);
            let mean = column().sum::<f64>() / n;
            let deviation = (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            if !(deviation > 1e-12 * mean.abs() && deviation.is_finite()) {
                return Err(format!("column {} is constant and cannot be scaled", name(i)));
            }
            let shift = if self == Scaling::Standard { mean } else { 0.0 };
            numbers.iter_mut().skip(i).step_by(width).for_each(|x| *x = (*x - shift) / deviation);
        }
        Ok(numbers)
    }
}
