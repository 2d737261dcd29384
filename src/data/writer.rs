//! Tables out, row by row in constant memory, as CSV or NPY.

use super::column::{Columns, Kind};
use super::extension;
use crate::durable::Draft;
use crate::error::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes rows of numbers, in full precision.
pub struct RowWriter {
    path: PathBuf,
    sink: Sink,
    format: Format,
    columns: Columns,
}

enum Sink {
    File(Draft),
    Stream(Box<dyn Write>),
}

enum Format {
    Csv,
    Npy { missing: u64 },
}

impl RowWriter {
    /// A file that appears with [`RowWriter::finish`]: `.npy` of exactly `rows` rows, or `.csv`, by its name.
    ///
    /// # Errors
    /// If the name says neither, the file cannot be made, or the disk is too small for it.
    pub fn to_path(path: &Path, names: &[String], rows: u64) -> Result<Self> {
        let format = match extension(path).as_str() {
            "csv" => Format::Csv,
            "npy" => Format::Npy { missing: rows },
            _ => return Err(Error::invalid(format!("{}: a name ending in .csv or .npy is right", path.display()))),
        };
        let draft = Draft::create(path)?;
        if let Format::Npy { .. } = format {
            draft.reserve(rows.saturating_mul(8 * names.len() as u64))?;
        }
        let sink = Sink::File(draft);
        let mut writer = Self { path: path.to_path_buf(), sink, format, columns: Columns::default() };
        match writer.format {
            Format::Csv => writer.write_header(names)?,
            Format::Npy { .. } => writer.put(&npy_header(rows, names.len()))?,
        }
        Ok(writer)
    }

    /// CSV to a stream such as standard output.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn csv(out: Box<dyn Write>, names: &[String]) -> Result<Self> {
        let path = PathBuf::from("standard output");
        let mut writer = Self { path, sink: Sink::Stream(out), format: Format::Csv, columns: Columns::default() };
        writer.write_header(names)?;
        Ok(writer)
    }

    /// The same for rows whose first numbers are those of `columns`: in CSV, words and days are written as such.
    pub fn of(mut self, columns: &Columns) -> Self {
        self.columns = columns.clone();
        self
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.sink {
            Sink::File(draft) => draft.write_all(bytes),
            Sink::Stream(out) => out.write_all(bytes),
        };
        written.map_err(|error| Error::output(&self.path, error))
    }

    fn write_header(&mut self, names: &[String]) -> Result<()> {
        let line = record(names.iter().map(String::as_str))?;
        self.put(&line)
    }

    /// Writes rows (row-major, `width` numbers to a row).
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_rows(&mut self, rows: &[f64], width: usize) -> Result<()> {
        let mut bytes = Vec::with_capacity(rows.len() * 20);
        match &mut self.format {
            Format::Npy { missing } => {
                *missing = missing.saturating_sub((rows.len() / width) as u64);
                rows.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            }
            Format::Csv if !self.columns.is_plain() => {
                for row in rows.chunks_exact(width) {
                    let cells = row.iter().enumerate().map(|(i, &value)| match self.columns.0.get(i) {
                        Some(column) if column.kind != Kind::Real => column.cell(value),
                        _ => value.to_string(),
                    });
                    bytes.extend(record(cells)?);
                }
            }
            Format::Csv => {
                for row in rows.chunks_exact(width) {
                    for (i, value) in row.iter().enumerate() {
                        // The shortest decimal that reads back as the same number. Writing to memory cannot fail.
                        let _ = write!(bytes, "{}{value}", if i > 0 { "," } else { "" });
                    }
                    bytes.push(b'\n');
                }
            }
        }
        self.put(&bytes)
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written, or an NPY file did not get the rows that its header promises.
    pub fn finish(self) -> Result<()> {
        if let Format::Npy { missing: missing @ 1.. } = self.format {
            return Err(Error::invalid(format!(
                "{}: {missing} rows short of what its header says",
                self.path.display()
            )));
        }
        match self.sink {
            Sink::File(draft) => draft.commit(),
            Sink::Stream(mut out) => out.flush().map_err(|error| Error::output(&self.path, error)),
        }
    }
}

/// A line of CSV.
fn record(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells).map_err(Error::invalid)?;
    line.into_inner().map_err(Error::invalid)
}

/// The header of format version 1.0: magic string, length, and a Python dictionary padded to a multiple of 64 bytes.
fn npy_header(rows: u64, columns: usize) -> Vec<u8> {
    let mut dictionary = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let unpadded = 10 + dictionary.len() + 1;
    dictionary.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    dictionary.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(dictionary.len() as u16).to_le_bytes());
    header.extend_from_slice(dictionary.as_bytes());
    header
}
