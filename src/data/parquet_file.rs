//! Tables from Parquet files, in builds with the feature `parquet`.

use super::cells::{is_missing, Cells};
use super::column::Kind;
use super::csv_file::{finish, CsvOptions, Text};
use super::{fault_of_columns, Table};
use crate::error::{Error, Result};
use crate::{intake, memory, shown};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::path::Path;

/// Reads a table of numbers, words and days, as [`super::read_text`] does; a null is a missing value, and days are days without being said to be.
///
/// # Errors
/// If the file is missing or no Parquet file, a column is unknown or nested, or a cell is not what its column was said to be.
pub fn read_parquet(path: &Path, options: &CsvOptions) -> Result<Text> {
    let refuse = |message: String| Error::input(path, message);
    let broken = |error: parquet::errors::ParquetError| {
        refuse(format!("is not a whole Parquet file that can be read ({error})"))
    };
    let reader = SerializedFileReader::new(intake::open(path)?.0).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema();
    let there: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_string()).collect();
    if let Some(fault) = fault_of_columns(there.len() as u64) {
        return Err(refuse(fault));
    }
    let claimed = reader.metadata().file_metadata().num_rows().max(0) as f64 * there.len() as f64;
    memory::weigh("to hold its numbers", 3.0 * 8.0 * claimed).map_err(refuse)?;
    let names = options.columns.clone().unwrap_or_else(|| there.clone());
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            let place = there.iter().position(|other| other == name);
            place.ok_or_else(|| refuse(format!("has no column `{name}`; it has {}", shown::list(&there))))
        })
        .collect::<Result<_>>()?;
    let declared = |name: &String| options.kinds.iter().find(|column| column.name == *name).map(|column| &column.kind);
    let mut cells: Vec<Option<Cells>> =
        names.iter().map(|name| Some(Cells::new(Some(declared(name)?), '.', options.numbers_as_days))).collect();

    let (mut values, mut dropped) = (Vec::new(), 0);
    let rows = reader.get_row_iter(None).map_err(broken)?;
    'rows: for (row, record) in rows.enumerate() {
        let record = record.map_err(broken)?;
        let fields: Vec<&Field> = record.get_column_iter().map(|(_, field)| field).collect();
        let at = |name: &str, found: &str, right: &str| {
            refuse(format!("row {}, column `{name}` holds `{}`; {right}", row + 1, shown::quoted(found)))
        };
        let mut found = Vec::with_capacity(names.len());
        for (&place, name) in places.iter().zip(&names) {
            let field = fields.get(place).copied().unwrap_or(&Field::Null);
            let cell = cell(field)
                .ok_or_else(|| at(name, &field.to_string(), "a number, text, a boolean or a day is right"))?;
            if is_missing(&cell) {
                if options.drop_missing {
                    dropped += 1;
                    continue 'rows;
                }
                return Err(at(name, &cell, "a value is right; `missing: Drop` leaves such rows out"));
            }
            found.push((cell, matches!(field, Field::Date(_))));
        }
        for (((cell, is_day), name), column) in found.iter().zip(&names).zip(&mut cells) {
            let kind = is_day.then_some(&Kind::Days);
            let column = column.get_or_insert_with(|| Cells::new(kind, '.', options.numbers_as_days));
            values.push(column.read(cell, row as u64 + 1).map_err(|right| at(name, cell, &right))?);
        }
    }
    if values.is_empty() {
        return Err(refuse(format!("has no rows without a missing value ({dropped} with one)")));
    }
    let columns =
        finish(cells.into_iter().flatten().collect(), &names, options.undeclared(), &mut values).map_err(refuse)?;
    let table = Table::new(names, values).map_err(|error| refuse(error.to_string()))?;
    Ok(Text { table, columns, dropped })
}

/// A value as it would be written in a text table; none for what has no such form.
fn cell(field: &Field) -> Option<String> {
    Some(match field {
        Field::Null => String::new(),
        Field::Bool(value) => value.to_string(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        Field::Float(value) => f64::from(*value).to_string(),
        Field::Double(value) => value.to_string(),
        Field::Str(value) => value.clone(),
        Field::Date(day) => super::days::written(f64::from(*day)),
        _ => return None,
    })
}
