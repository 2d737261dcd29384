//! CSV, JSON lines and NumPy arrays: formats in which row follows row.

use super::super::column::{Column, Columns, Kind};
use super::{Header, Rows};
use crate::durable::Draft;
use crate::error::{Error, Result};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where bytes go.
pub(super) struct Sink {
    path: PathBuf,
    to: To,
}

enum To {
    File(Draft),
    Stream(Box<dyn Write>),
}

impl Sink {
    pub fn to(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), to: To::File(Draft::create(path)?) })
    }

    pub fn stream(out: Box<dyn Write>) -> Self {
        Self { path: PathBuf::from("standard output"), to: To::Stream(out) }
    }

    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.to {
            To::File(draft) => draft.write_all(bytes),
            To::Stream(out) => out.write_all(bytes),
        };
        written.map_err(|error| Error::output(&self.path, error))
    }

    pub fn finish(self) -> Result<()> {
        match self.to {
            To::File(draft) => draft.commit(),
            To::Stream(mut out) => out.flush().map_err(|error| Error::output(&self.path, error)),
        }
    }
}

/// A format of text.
#[derive(Clone, Copy)]
pub(super) enum Text {
    Csv,
    JsonLines,
}

enum Format {
    Csv,
    /// The names as JSON writes them.
    JsonLines(Vec<String>),
    Npy,
}

pub(super) struct Plain {
    sink: Sink,
    format: Format,
    columns: Columns,
    width: usize,
}

impl Plain {
    pub fn text(mut sink: Sink, header: &Header, text: Text) -> Result<Self> {
        let names = header.all_names();
        let format = match text {
            Text::Csv => {
                sink.put(&record(names.iter().map(String::as_str))?)?;
                Format::Csv
            }
            Text::JsonLines => {
                Format::JsonLines(names.into_iter().map(|name| Value::String(name).to_string()).collect())
            }
        };
        Ok(Self { sink, format, columns: header.columns(), width: header.width() })
    }

    pub fn npy(path: &Path, header: &Header) -> Result<Self> {
        let (rows, width) = (header.rows, header.width());
        let draft = Draft::create(path)?;
        draft.reserve(rows.saturating_mul(8 * width as u64))?;
        let mut sink = Sink { path: path.to_path_buf(), to: To::File(draft) };
        sink.put(&npy_header("<f8", &format!("({rows}, {width})")))?;
        Ok(Self { sink, format: Format::Npy, columns: Columns::default(), width })
    }
}

impl Rows for Plain {
    fn write(&mut self, rows: &[f64]) -> Result<()> {
        let mut bytes = Vec::with_capacity(rows.len() * 20);
        let is_plain = self.columns.is_plain();
        let word = |i: usize, value: f64| match self.columns.0.get(i) {
            Some(column) if column.kind != Kind::Real => Some(column.cell(value)),
            _ => None,
        };
        // Writing to memory cannot fail. Numbers are the shortest decimals that read back as the same.
        match &self.format {
            Format::Npy => rows.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes())),
            Format::Csv if is_plain => {
                for row in rows.chunks_exact(self.width) {
                    for (i, value) in row.iter().enumerate() {
                        let _ = write!(bytes, "{}{value}", if i > 0 { "," } else { "" });
                    }
                    bytes.push(b'\n');
                }
            }
            Format::Csv => {
                for row in rows.chunks_exact(self.width) {
                    let cells = row.iter().enumerate().map(|(i, &value)| word(i, value).unwrap_or(value.to_string()));
                    bytes.extend(record(cells)?);
                }
            }
            Format::JsonLines(names) => {
                for row in rows.chunks_exact(self.width) {
                    for (i, (name, &value)) in names.iter().zip(row).enumerate() {
                        let is_number = |column: &Column| matches!(column.kind, Kind::Real | Kind::Grid(_));
                        let is_number = self.columns.0.get(i).is_none_or(is_number);
                        let cell = match word(i, value).filter(|_| !is_number) {
                            Some(word) => Value::String(word),
                            None => Value::from(value),
                        };
                        let _ = write!(bytes, "{}{name}:{cell}", if i > 0 { "," } else { "{" });
                    }
                    bytes.extend_from_slice(b"}\n");
                }
            }
        }
        self.sink.put(&bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.sink.finish()
    }
}

/// A line of CSV.
pub(super) fn record(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells).map_err(Error::invalid)?;
    line.into_inner().map_err(Error::invalid)
}

/// The header of format version 1.0: magic string, length, and a Python dictionary padded to a multiple of 64 bytes.
pub(super) fn npy_header(kind: &str, shape: &str) -> Vec<u8> {
    let mut dictionary = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let unpadded = 10 + dictionary.len() + 1;
    dictionary.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    dictionary.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(dictionary.len() as u16).to_le_bytes());
    header.extend_from_slice(dictionary.as_bytes());
    header
}
