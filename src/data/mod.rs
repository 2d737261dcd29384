//! Tables of numbers, words and days in and out, what their columns are, how rows are divided, and what is odd about them.

mod cells;
mod column;
mod csv_file;
mod days;
mod dialect;
mod grid;
pub mod look;
#[cfg(not(feature = "parquet"))]
mod no_parquet;
mod npy_file;
mod out;
#[cfg(feature = "parquet")]
mod parquet_file;
mod source;
mod split;
mod table;
mod toys;

pub use cells::MOST_WORDS;
pub use column::{Column, Columns, Kind};
pub use csv_file::{declare, read_csv, read_text, CsvOptions, OpenText, Text};
pub use dialect::Dialect;
pub use grid::{grid_of, Grid};
#[cfg(not(feature = "parquet"))]
pub use no_parquet::read_parquet;
pub use npy_file::{read_npy, read_npz};
pub use out::{merge, shard_of, Beside, Header, RowWriter, Written};
#[cfg(feature = "parquet")]
pub use parquet_file::read_parquet;
pub use source::STANDARD_INPUT;
pub use split::Split;
pub use table::Table;
pub use toys::Toy;

use crate::error::{Error, Result};
use std::path::Path;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text: `.csv`, `.tsv`, `.txt` or `.dat`, compressed (`.gz`) or not, or standard input (`-`).
    Text,
    /// A NumPy array.
    Npy,
    /// A NumPy archive.
    Npz,
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// The format of the file at `path`.
    ///
    /// # Errors
    /// If its name ends in nothing that is known.
    pub fn of(path: &Path) -> Result<Self> {
        if path == Path::new(STANDARD_INPUT) {
            return Ok(Format::Text);
        }
        let inner = if extension(path) == "gz" { path.with_extension("") } else { path.to_path_buf() };
        match extension(&inner).as_str() {
            "csv" | "tsv" | "txt" | "dat" => Ok(Format::Text),
            "npy" if inner == path => Ok(Format::Npy),
            "npz" if inner == path => Ok(Format::Npz),
            "parquet" if inner == path => Ok(Format::Parquet),
            _ => Err(Error::input(
                path,
                "is no table by its name; .csv, .tsv, .txt or .dat (with .gz after it, if compressed), .npy, .npz or .parquet is right",
            )),
        }
    }
}

/// Reads a table of numbers: text, Parquet, `.npy` or (with one array) `.npz`; `columns` chooses and orders the columns of the first two.
///
/// # Errors
/// If the file is of no kind that is known, or malformed.
pub fn read(path: &Path, columns: Option<&[String]>) -> Result<Table> {
    let options = CsvOptions { columns: columns.map(<[String]>::to_vec), only_numbers: true, ..CsvOptions::default() };
    match Format::of(path)? {
        Format::Text => Ok(read_csv(path, &options)?.0),
        Format::Parquet => Ok(read_parquet(path, &options)?.table),
        Format::Npy if columns.is_none() => read_npy(path),
        Format::Npz if columns.is_none() => read_npz(path, None),
        Format::Npy | Format::Npz => Err(Error::input(path, "has no column names to choose from; a .csv file has")),
    }
}

/// The extension in lower case.
fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The most columns of a table, which is that of the coordinates of a flow.
const MOST_COLUMNS: usize = 65_536;

/// A file that unfolds to more than this many times its length is no table but made to fill a memory, once it has unfolded to so much.
const MOST_UNFOLDED: u64 = 200;
const UNFOLDED_FREELY: u64 = 8 << 20;

/// Whether so much may come out of `length` compressed bytes.
fn may_unfold(to: u64, length: u64) -> bool {
    to <= UNFOLDED_FREELY || to / MOST_UNFOLDED <= length
}

/// What is wrong with a number of columns.
fn fault_of_columns(columns: u64) -> Option<String> {
    (columns > MOST_COLUMNS as u64).then(|| format!("has {columns} columns; at most {MOST_COLUMNS} are right"))
}
