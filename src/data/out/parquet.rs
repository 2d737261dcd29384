//! Parquet files, in builds with that feature: a column of doubles, or of words, for each column.

use super::super::column::{Columns, Kind};
use super::{Header, Rows};
use crate::durable::Draft;
use crate::error::{Error, Result};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most numbers of a group of rows, which is held until it is written.
const HELD: usize = 1 << 23;

pub(super) struct Parquet {
    path: PathBuf,
    writer: SerializedFileWriter<Draft>,
    columns: Columns,
    width: usize,
    held: Vec<f64>,
}

fn refuse(path: &Path, error: ParquetError) -> Error {
    Error::output(path, std::io::Error::other(error))
}

impl Parquet {
    pub fn new(path: &Path, header: &Header) -> Result<Self> {
        let (columns, width) = (header.columns(), header.width());
        let field = |(i, name): (usize, &String)| {
            let (physical, logical) = match is_text(&columns, i) {
                true => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                false => (Physical::DOUBLE, None),
            };
            let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
            field.with_logical_type(logical).build().map(Arc::new)
        };
        let fields = header.all_names().iter().enumerate().map(field).collect::<std::result::Result<Vec<_>, _>>();
        let schema = fields.and_then(|fields| Type::group_type_builder("draws").with_fields(fields).build());
        let schema = schema.map_err(|error| refuse(path, error))?;
        // Draws hardly repeat: a dictionary of them would only cost time.
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let writer = SerializedFileWriter::new(Draft::create(path)?, Arc::new(schema), Arc::new(properties));
        let writer = writer.map_err(|error| refuse(path, error))?;
        Ok(Self { path: path.to_path_buf(), writer, columns, width, held: Vec::new() })
    }

    fn flush(&mut self) -> std::result::Result<(), ParquetError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut place = 0;
        while let Some(mut column) = group.next_column()? {
            let values = self.held.iter().skip(place).step_by(self.width).copied();
            match self.columns.0.get(place).filter(|_| is_text(&self.columns, place)) {
                Some(words) => {
                    let words: Vec<ByteArray> = values.map(|value| words.cell(value).as_str().into()).collect();
                    column.typed::<ByteArrayType>().write_batch(&words, None, None)?;
                }
                None => {
                    column.typed::<DoubleType>().write_batch(&values.collect::<Vec<f64>>(), None, None)?;
                }
            }
            column.close()?;
            place += 1;
        }
        group.close()?;
        self.held.clear();
        Ok(())
    }
}

/// Whether a column is of words or days.
fn is_text(columns: &Columns, place: usize) -> bool {
    columns.0.get(place).is_some_and(|column| !matches!(column.kind, Kind::Real | Kind::Grid(_)))
}

impl Rows for Parquet {
    fn write(&mut self, rows: &[f64]) -> Result<()> {
        self.held.extend_from_slice(rows);
        if self.held.len() >= HELD {
            self.flush().map_err(|error| refuse(&self.path, error))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let path = self.path.clone();
        self.flush().and_then(|()| self.writer.into_inner()).map_err(|error| refuse(&path, error))?.commit()
    }
}
