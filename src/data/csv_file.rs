//! Tables from comma-separated text with a header.

use super::{open, Table};
use crate::error::{Error, Result};
use csv::{ByteRecord, ReaderBuilder, Trim};
use std::path::Path;

/// Reads the columns named in `columns`, in that order, or all of them.
///
/// # Errors
/// If the file is missing, empty or ragged, a column is unknown, or a cell is not a finite number; the error names line, column and
/// value.
pub fn read_csv(path: &Path, columns: Option<&[String]>) -> Result<Table> {
    let refuse = |message: String| Error::input(path, message);
    let file = open(path)?;
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(std::io::BufReader::new(file));
    let header = reader.headers().map_err(|error| refuse(describe(&error)))?.clone();
    if header.is_empty() {
        return Err(refuse("is empty; a header with the columns' names and rows of numbers are right".into()));
    }
    let legal: Vec<&str> = header.iter().collect();
    let names: Vec<String> = match columns {
        Some(columns) => columns.to_vec(),
        None => legal.iter().map(|name| name.trim_start_matches('\u{feff}').to_string()).collect(),
    };
    let mut places = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let place = match columns {
            None => Some(i),
            Some(_) => legal.iter().position(|other| other.trim_start_matches('\u{feff}') == name),
        };
        places.push(place.ok_or_else(|| refuse(format!("has no column `{name}`; it has {}", legal.join(", "))))?);
    }

    let mut values = Vec::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| refuse(describe(&error)))? {
        for (&place, name) in places.iter().zip(&names) {
            let cell = record.get(place).unwrap_or_default();
            let number = std::str::from_utf8(cell).ok().and_then(|text| text.parse::<f64>().ok());
            match number.filter(|number| number.is_finite()) {
                Some(number) => values.push(number),
                None => {
                    let line = record.position().map_or(0, |position| position.line());
                    let found =
                        if cell.is_empty() { "nothing".into() } else { format!("`{}`", String::from_utf8_lossy(cell)) };
                    return Err(refuse(format!(
                        "line {line}, column `{name}` holds {found}; a finite number is right"
                    )));
                }
            }
        }
    }
    if values.is_empty() {
        return Err(refuse("has a header but no rows".into()));
    }
    Table::new(names, values).map_err(|error| refuse(error.to_string()))
}

/// The reader's error in our words where we have some.
fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, |position| position.line());
            format!("line {line} has {len} cells; {expected_len}, as many as the header, are right")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".into(),
        _ => error.to_string(),
    }
}
