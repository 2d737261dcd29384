//! Tables of numbers in and out: CSV, NPY, and how rows are divided.

mod csv_file;
mod npy_file;
mod split;
mod table;
mod writer;

pub use csv_file::{read_csv, CsvOptions};
pub use npy_file::{read_npy, read_npz};
pub use split::Split;
pub use table::Table;
pub use writer::RowWriter;

use crate::error::{Error, Result};
use std::path::Path;

/// Reads a `.csv`, `.npy` or (with one array) `.npz` file; `columns` chooses and orders the columns of the first.
///
/// # Errors
/// If the file is of neither kind or malformed.
pub fn read(path: &Path, columns: Option<&[String]>) -> Result<Table> {
    match extension(path).as_str() {
        "csv" => Ok(read_csv(path, &CsvOptions { columns: columns.map(<[String]>::to_vec), ..Default::default() })?.0),
        "npy" if columns.is_none() => read_npy(path),
        "npz" if columns.is_none() => read_npz(path, None),
        "npy" | "npz" => Err(Error::input(path, "has no column names to choose from; a .csv file has")),
        _ => Err(Error::input(path, "is neither a .csv, a .npy nor a .npz file by its name")),
    }
}

/// The extension in lower case.
fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Opens a file for reading, with a clear error where it is missing or a folder.
fn open(path: &Path) -> Result<std::fs::File> {
    let file = std::fs::File::open(path).map_err(|error| Error::input(path, error))?;
    let metadata = file.metadata().map_err(|error| Error::input(path, error))?;
    if metadata.is_dir() {
        return Err(Error::input(path, "is a folder; a file is right"));
    }
    Ok(file)
}
