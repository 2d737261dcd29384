//! Tables from text: cells divided by a character or by spaces, with or without a header.

use super::cells::{is_missing, Cells, Undeclared};
use super::column::{Column, Columns, Kind};
use super::dialect::Dialect;
use super::source::{self, Lines};
use super::{fault_of_columns, Table};
use crate::error::{Error, Result};
use crate::{memory, shown};
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator, Trim};
use std::cell::Cell;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How a text table is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CsvOptions {
    /// The columns to take, in this order; all if none.
    pub columns: Option<Vec<String>>,
    /// How it is written.
    pub dialect: Dialect,
    /// Whether rows with a missing cell are left out rather than refused.
    pub drop_missing: bool,
    /// What some of the columns are: categories (without words: those that are found), days. Others hold numbers, or yes and no.
    pub kinds: Vec<Column>,
    /// Whether text in other columns is taken as categories, however many, rather than refused.
    pub any_text: bool,
    /// Whether nothing but numbers is of use, so that no field that takes something else is advised.
    pub only_numbers: bool,
    /// Whether columns of days may hold numbers, days since 1970-01-01, as well.
    pub numbers_as_days: bool,
}

impl CsvOptions {
    /// What becomes of text that nobody has declared.
    pub(super) fn undeclared(&self) -> Undeclared {
        match (self.any_text, self.only_numbers) {
            (true, _) => Undeclared::Take,
            (false, true) => Undeclared::Refuse,
            (false, false) => Undeclared::Advise,
        }
    }
}

/// A text table that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// One number for each cell: of words, their place among the column's words.
    pub table: Table,
    /// What the columns turned out to be.
    pub columns: Columns,
    /// The rows that were left out for a missing cell.
    pub dropped: usize,
}

/// Bytes from which the dialect is told.
const START: usize = 1 << 16;

/// Numbers that are held without asking whether the memory does.
const FEW: usize = 1 << 20;

/// Reads a table of numbers and returns it with the number of rows that were left out for a missing cell. Only the numbers are held in
/// memory, not the text.
///
/// # Errors
/// If the file is missing, empty or ragged, a column is unknown, or a cell is not a finite number; the error names line, column and
/// value.
pub fn read_csv(path: &Path, options: &CsvOptions) -> Result<(Table, usize)> {
    let Text { table, dropped, .. } = OpenText::open(path, &options.dialect)?.read(options)?;
    Ok((table, dropped))
}

/// Reads a table of numbers, words and days.
///
/// # Errors
/// As [`read_csv`]; and if a cell is not what its column was said to be, or a column holds text and was not said to.
pub fn read_text(path: &Path, options: &CsvOptions) -> Result<Text> {
    OpenText::open(path, &options.dialect)?.read(options)
}

/// A text table of which the names are known and the rows are still to be read.
pub struct OpenText {
    path: PathBuf,
    reader: Reader<Box<dyn Read>>,
    names: Vec<String>,
    dialect: Dialect,
    /// The first row and its line, where there is no header.
    first: Option<(ByteRecord, u64)>,
    /// Bytes since the last row.
    since: Rc<Cell<usize>>,
}

impl OpenText {
    /// Opens `path` (`-` is standard input), finds out what `dialect` leaves open, and reads the names; without a header they are c0, c1, …
    ///
    /// # Errors
    /// If the file is missing, empty, no text, or begins with numbers only and nobody says whether it has a header.
    pub fn open(path: &Path, dialect: &Dialect) -> Result<Self> {
        Self::open_as(path, dialect, None)
    }

    /// The same for a table of which the `names` are known: a first line of as many numbers that are none of the names is a row.
    ///
    /// # Errors
    /// As [`OpenText::open`].
    pub fn open_by(path: &Path, dialect: &Dialect, names: &[String]) -> Result<Self> {
        Self::open_as(path, dialect, Some(names))
    }

    fn open_as(path: &Path, dialect: &Dialect, known: Option<&[String]>) -> Result<Self> {
        let refuse = |message: String| Error::input(path, message);
        if let Some(fault) = dialect.faults().into_iter().next() {
            return Err(Error::invalid(fault));
        }
        let (mut start, rest) =
            source::head(source::text(path)?, START).map_err(|error| refuse(describe_io(&error)))?;
        // Some programs begin a file with a byte-order mark.
        if start.starts_with(b"\xef\xbb\xbf") {
            start.drain(..3);
        }
        // A line that was cut says nothing.
        let whole = if start.len() + 3 < START { None } else { start.iter().rposition(|&byte| byte == b'\n') };
        let delimiter = dialect.delimiter_of(&start[..whole.unwrap_or(start.len())]);
        let bytes = Cursor::new(start).chain(rest);
        let bytes = Lines::new(bytes, delimiter == b' ');
        let since = bytes.since();
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            .has_headers(false)
            .delimiter(delimiter)
            .terminator(Terminator::Any(b'\n'))
            .comment(dialect.comment.map(|comment| comment as u8))
            .buffer_capacity(1 << 18)
            .from_reader(Box::new(bytes) as Box<dyn Read>);
        let mut first = ByteRecord::new();
        let line = next(&mut reader, &mut first).map_err(refuse)?;
        let line = line
            .ok_or_else(|| refuse("is empty; a header with the columns' names and rows of numbers are right".into()))?;
        since.set(0);
        if let Some(fault) = fault_of_columns(first.len() as u64) {
            return Err(refuse(fault));
        }
        let cells: Vec<&str> = first
            .iter()
            .map(|cell| std::str::from_utf8(cell).map_err(|_| refuse("is not UTF-8 text".into())))
            .collect::<Result<_>>()?;
        let told = known.filter(|names| dialect.header.is_none() && names.len() == cells.len());
        let numbers = || dialect.has_header(&cells).is_err();
        let by_place = told.filter(|names| numbers() && !names.iter().any(|name| cells.contains(&name.as_str())));
        let has_header = match told {
            Some(_) => by_place.is_none(),
            None => dialect.has_header(&cells).map_err(refuse)?,
        };
        let names = if let Some(names) = by_place {
            names.to_vec()
        } else if has_header {
            cells.iter().map(|cell| cell.to_string()).collect()
        } else {
            (0..cells.len()).map(|i| format!("c{i}")).collect()
        };
        let first = (!has_header).then_some((first, line));
        Ok(Self { path: path.to_path_buf(), reader, names, dialect: *dialect, first, since })
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the rows; the dialect of `options` is that with which the text was opened.
    ///
    /// # Errors
    /// As [`read_text`].
    pub fn read(mut self, options: &CsvOptions) -> Result<Text> {
        let path = self.path.clone();
        let refuse = |message: String| Error::input(&path, message);
        let names = options.columns.clone().unwrap_or_else(|| self.names.clone());
        let mut places = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let place = match options.columns {
                None => Some(i),
                Some(_) => self.names.iter().position(|other| other == name),
            };
            places.push(
                place.ok_or_else(|| refuse(format!("has no column `{name}`; it has {}", shown::list(&self.names))))?,
            );
        }
        let declared =
            |name: &String| options.kinds.iter().find(|column| column.name == *name).map(|column| &column.kind);
        let mut cells: Vec<Cells> = names
            .iter()
            .map(|name| Cells::new(declared(name), self.dialect.decimal, options.numbers_as_days))
            .collect();

        let (mut values, mut dropped) = (Vec::new(), 0);
        let mut checked = FEW;
        let mut record = ByteRecord::new();
        'rows: loop {
            let line = match self.first.take() {
                Some((first, line)) => {
                    record = first;
                    line
                }
                None => match next(&mut self.reader, &mut record).map_err(refuse)? {
                    Some(line) => line,
                    None => break,
                },
            };
            self.since.set(0);
            let at = |name: &str, cell: &[u8], right: &str| {
                let found = if cell.is_empty() {
                    "nothing".into()
                } else {
                    format!("`{}`", shown::quoted(&String::from_utf8_lossy(cell)))
                };
                refuse(format!("line {line}, column `{}` holds {found}; {right}", shown::quoted(name)))
            };
            // Before any cell is read: a row that is left out has no words either.
            for (&place, name) in places.iter().zip(&names) {
                let cell = record.get(place).unwrap_or_default();
                if std::str::from_utf8(cell).is_ok_and(is_missing) {
                    if options.drop_missing {
                        dropped += 1;
                        continue 'rows;
                    }
                    let right = "a finite number is right";
                    let advice = if options.only_numbers { "" } else { "; `missing: Drop` leaves such rows out" };
                    return Err(at(name, cell, &format!("{right}{advice}")));
                }
            }
            for ((&place, name), column) in places.iter().zip(&names).zip(&mut cells) {
                let cell = record.get(place).unwrap_or_default();
                let text = std::str::from_utf8(cell).map_err(|_| at(name, cell, "UTF-8 text is right"))?;
                values.push(column.read(text, line).map_err(|right| at(name, cell, &right))?);
            }
            if values.len() > checked {
                checked = 2 * values.len();
                // It doubles when it grows, and is copied once more when it is divided.
                memory::weigh("to hold its numbers", 3.0 * 8.0 * values.len() as f64).map_err(refuse)?;
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
        let columns = finish(cells, &names, options.undeclared(), &mut values).map_err(refuse)?;
        let table = Table::new(names, values).map_err(|error| refuse(error.to_string()))?;
        Ok(Text { table, columns, dropped })
    }
}

/// What the columns turned out to be; words get their final numbers.
pub(super) fn finish(
    cells: Vec<Cells>,
    names: &[String],
    undeclared: Undeclared,
    values: &mut [f64],
) -> std::result::Result<Columns, String> {
    let mut columns = Vec::with_capacity(names.len());
    for (i, (cells, name)) in cells.into_iter().zip(names).enumerate() {
        let (kind, numbers) = cells.finish(name, undeclared)?;
        if let Some(numbers) = numbers {
            values.iter_mut().skip(i).step_by(names.len()).for_each(|value| *value = numbers[*value as usize]);
        }
        columns.push(Column { name: name.clone(), kind });
    }
    Ok(Columns(columns))
}

/// Numbers that are said to be of `kinds`, where a column has no words of its own (an array): categories get the numbers as words.
///
/// # Errors
/// If there is no such column, or its numbers cannot be that.
pub fn declare(table: &mut Table, kinds: &[Column]) -> Result<Columns> {
    let mut columns: Vec<Column> = table.names.iter().map(Column::real).collect();
    for Column { name, kind } in kinds {
        let place = table.names.iter().position(|other| other == name);
        let place = place.ok_or_else(|| {
            Error::invalid(format!("there is no column `{name}`; there are {}", shown::list(&table.names)))
        })?;
        let mut cells = Cells::new(Some(kind), '.', true);
        let dim = table.dim();
        if matches!(kind, Kind::Categories { .. }) {
            for value in table.values.iter_mut().skip(place).step_by(dim) {
                *value = cells.read(&format!("{value}"), 0).map_err(Error::invalid)?;
            }
        } else if let Some(row) =
            (0..table.len()).find(|&row| *kind == Kind::Days && table.row(row)[place].fract() != 0.0)
        {
            let value = table.row(row)[place];
            return Err(Error::invalid(format!(
                "row {}, column `{name}` is {value}; a whole number of days since 1970-01-01 is right",
                row + 1
            )));
        }
        let (kind, numbers) = cells.finish(name, Undeclared::Advise).map_err(Error::invalid)?;
        if let Some(numbers) = numbers {
            table.values.iter_mut().skip(place).step_by(dim).for_each(|value| *value = numbers[*value as usize]);
        }
        columns[place].kind = kind;
    }
    Ok(Columns(columns))
}

/// Reads the next record and returns the line on which it begins, none at the end.
fn next(reader: &mut Reader<Box<dyn Read>>, record: &mut ByteRecord) -> std::result::Result<Option<u64>, String> {
    let found = reader.read_byte_record(record);
    // The reader's own position of a record is that of the comments and empty lines before it. After it, all its lines have been counted.
    let breaks = record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
    let line = reader.position().line().saturating_sub(1 + breaks);
    Ok(found.map_err(|error| describe(&error, line))?.then_some(line))
}

/// The reader's error in our words where we have some.
fn describe(error: &csv::Error, line: u64) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("line {line} has {len} cells; {expected_len}, as many as the first line, are right")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".into(),
        csv::ErrorKind::Io(error) => describe_io(error),
        _ => error.to_string(),
    }
}

/// What is wrong with the bytes: a compressed file may be broken.
fn describe_io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            format!("is not a whole gzip file ({error})")
        }
        _ => error.to_string(),
    }
}
