//! Tables out, row by row: which format a file has by its name, and what its rows consist of.

mod arrays;
mod merge;
#[cfg(not(feature = "parquet"))]
mod no_parquet;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;
mod plain;
mod stan;
mod zarr;

#[cfg(not(feature = "parquet"))]
use no_parquet as parquet;

use super::column::Columns;
use super::extension;
use crate::error::{Error, Result};
pub use merge::{merge, shard_of};
use plain::{Plain, Sink, Text};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What stands beside the values of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// The log density that the model has there.
    LogProb,
    /// ln(γ/q): the target's log density less the model's.
    LogWeight,
}

impl Beside {
    /// The name of the column.
    pub fn name(self) -> &'static str {
        match self {
            Beside::LogProb => "log_prob",
            Beside::LogWeight => "log_weight",
        }
    }
}

/// What rows consist of: values, and after them what stands beside.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The names of the values.
    pub names: &'a [String],
    /// What the values are, where they are not just numbers.
    pub columns: Option<&'a Columns>,
    /// What stands beside them, in this order.
    pub beside: &'a [Beside],
    /// How many rows there will be.
    pub rows: u64,
}

impl Header<'_> {
    fn width(&self) -> usize {
        self.names.len() + self.beside.len()
    }

    /// All names.
    fn all_names(&self) -> Vec<String> {
        self.names.iter().cloned().chain(self.beside.iter().map(|beside| beside.name().to_string())).collect()
    }

    /// The place of something beside the values in a row.
    fn place(&self, of: Beside) -> Option<usize> {
        self.beside.iter().position(|&beside| beside == of).map(|place| self.names.len() + place)
    }

    fn columns(&self) -> Columns {
        self.columns.cloned().unwrap_or_default()
    }
}

/// The format of a file of draws, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// `.csv`: text with a header.
    Csv,
    /// `.jsonl`: an object for each row.
    JsonLines,
    /// `.npy`: an array of rows and columns.
    Npy,
    /// `.npz`: the array `draws`, its `names`, and what stands beside.
    Npz,
    /// `.stan.csv`: as CmdStan writes it.
    Stan,
    /// `.parquet`: a table.
    Parquet,
    /// `.zarr`: groups `posterior` and `sample_stats`, as ArviZ has them.
    Zarr,
}

impl Written {
    /// The format of `path`.
    ///
    /// # Errors
    /// If its name says none.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        match extension(path).as_str() {
            "csv" if name.ends_with(".stan.csv") => Ok(Written::Stan),
            "csv" => Ok(Written::Csv),
            "jsonl" => Ok(Written::JsonLines),
            "npy" => Ok(Written::Npy),
            "npz" => Ok(Written::Npz),
            "parquet" => Ok(Written::Parquet),
            "zarr" => Ok(Written::Zarr),
            _ => Err(Error::invalid(format!(
                "{}: a name ending in .csv, .jsonl, .npy, .npz, .stan.csv, .parquet or .zarr is right",
                path.display()
            ))),
        }
    }

    /// Whether its readers expect a log density of each draw.
    pub fn has_log_density(self) -> bool {
        matches!(self, Written::Stan | Written::Zarr)
    }

    /// Whether such files can be put together from pieces, byte by byte.
    pub fn is_divisible(self) -> bool {
        matches!(self, Written::Csv | Written::JsonLines | Written::Npy | Written::Stan)
    }
}

/// A format under way.
trait Rows {
    /// Writes rows.
    fn write(&mut self, rows: &[f64]) -> Result<()>;

    /// Completes the file.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Writes rows of numbers, in full precision and constant memory.
pub struct RowWriter {
    rows: Box<dyn Rows>,
    path: PathBuf,
    missing: u64,
    /// Whether the file says before its end how many there are.
    is_counted: bool,
}

impl RowWriter {
    /// A file of rows of numbers that appears with [`RowWriter::finish`]; see [`RowWriter::of`].
    ///
    /// # Errors
    /// If the name says no format, the file cannot be made, or the disk is too small for it.
    pub fn to_path(path: &Path, names: &[String], rows: u64) -> Result<Self> {
        Self::of(path, &Header { names, columns: None, beside: &[], rows })
    }

    /// A file of exactly so many rows in the format that its name says.
    ///
    /// # Errors
    /// If the name says none, the file cannot be made, or the disk is too small for it.
    pub fn of(path: &Path, header: &Header) -> Result<Self> {
        let format = Written::of(path)?;
        let rows: Box<dyn Rows> = match format {
            Written::Csv => Box::new(Plain::text(Sink::to(path)?, header, Text::Csv)?),
            Written::JsonLines => Box::new(Plain::text(Sink::to(path)?, header, Text::JsonLines)?),
            Written::Npy => Box::new(Plain::npy(path, header)?),
            Written::Npz => Box::new(npz::Npz::new(path, header)?),
            Written::Stan => Box::new(stan::Stan::new(path, header)?),
            Written::Parquet => Box::new(parquet::Parquet::new(path, header)?),
            Written::Zarr => Box::new(zarr::Zarr::new(path, header)?),
        };
        let is_counted = !matches!(format, Written::Csv | Written::JsonLines | Written::Parquet);
        Ok(Self { rows, path: path.to_path_buf(), missing: header.rows, is_counted })
    }

    /// Text to a stream such as standard output: JSON lines or CSV.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn stream(out: Box<dyn Write>, header: &Header, json: bool) -> Result<Self> {
        let text = if json { Text::JsonLines } else { Text::Csv };
        let rows = Box::new(Plain::text(Sink::stream(out), header, text)?);
        Ok(Self { rows, path: PathBuf::new(), missing: header.rows, is_counted: false })
    }

    /// Writes rows (row-major, `width` numbers to a row).
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_rows(&mut self, rows: &[f64], width: usize) -> Result<()> {
        self.missing = self.missing.saturating_sub((rows.len() / width) as u64);
        self.rows.write(rows)
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written, or did not get the rows that its header promises.
    pub fn finish(self) -> Result<()> {
        if self.is_counted && self.missing > 0 {
            let path = self.path.display();
            return Err(Error::invalid(format!("{path}: {} rows short of what its header says", self.missing)));
        }
        self.rows.finish()
    }
}
