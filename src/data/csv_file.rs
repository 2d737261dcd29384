//! Tables from comma-separated text with a header.

use super::{open, Table};
use crate::error::{Error, Result};
use csv::{ByteRecord, ReaderBuilder, Trim};
use std::path::Path;

/// How a text table is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// The columns to take, in this order; all if none.
    pub columns: Option<Vec<String>>,
    /// What separates cells.
    pub delimiter: u8,
    /// Whether rows with a missing cell are left out rather than refused.
    pub drop_missing: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { columns: None, delimiter: b',', drop_missing: false }
    }
}

/// What stands for a missing value.
const MISSING: [&str; 8] = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"];

/// Reads a table and returns it with the number of rows that were left out for a missing cell. Only the numbers are held in
/// memory, not the text.
///
/// # Errors
/// If the file is missing, empty or ragged, a column is unknown, or a cell is not a finite number; the error names line, column and
/// value.
pub fn read_csv(path: &Path, options: &CsvOptions) -> Result<(Table, usize)> {
    let refuse = |message: String| Error::input(path, message);
    let file = open(path)?;
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .delimiter(options.delimiter)
        .from_reader(std::io::BufReader::with_capacity(1 << 18, file));
    let header = reader.headers().map_err(|error| refuse(describe(&error)))?.clone();
    if header.is_empty() {
        return Err(refuse("is empty; a header with the columns' names and rows of numbers are right".into()));
    }
    // Some programs begin a file with a byte-order mark.
    let legal: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let names = options.columns.clone().unwrap_or_else(|| legal.iter().map(|name| name.to_string()).collect());
    let mut places = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let place = match options.columns {
            None => Some(i),
            Some(_) => legal.iter().position(|other| other == name),
        };
        places.push(place.ok_or_else(|| refuse(format!("has no column `{name}`; it has {}", legal.join(", "))))?);
    }

    let (mut values, mut dropped) = (Vec::new(), 0);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| refuse(describe(&error)))? {
        let row = values.len();
        for (&place, name) in places.iter().zip(&names) {
            let cell = record.get(place).unwrap_or_default();
            let text = std::str::from_utf8(cell).ok();
            if let Some(number) = text.and_then(|text| text.parse().ok()).filter(|number: &f64| number.is_finite()) {
                values.push(number);
                continue;
            }
            let missing = text.is_some_and(|text| MISSING.contains(&text));
            if missing && options.drop_missing {
                values.truncate(row);
                dropped += 1;
                break;
            }
            let line = record.position().map_or(0, |position| position.line());
            let found = if cell.is_empty() { "nothing".into() } else { format!("`{}`", String::from_utf8_lossy(cell)) };
            let advice = if missing { "; `missing: Drop` leaves such rows out" } else { "" };
            return Err(refuse(format!(
                "line {line}, column `{name}` holds {found}; a finite number is right{advice}"
            )));
        }
    }
    if values.is_empty() {
        let why = if dropped > 0 {
            format!("no rows without a missing value ({dropped} with one)")
        } else {
            "no rows".into()
        };
        return Err(refuse(format!("has a header but {why}")));
    }
    let table = Table::new(names, values).map_err(|error| refuse(error.to_string()))?;
    Ok((table, dropped))
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
