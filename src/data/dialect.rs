//! How a text table is written: what separates its cells, what a decimal point and a comment look like, and whether it has a header.

use super::cells;

/// How a text table is written, as far as that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What separates cells; a space stands for a run of spaces and tabs. None: found out from the first lines.
    pub delimiter: Option<char>,
    /// Whether the first line has the names. None: it has, and a first line of nothing but numbers is refused.
    pub header: Option<bool>,
    /// The decimal point, `.` or `,`.
    pub decimal: char,
    /// What lines that are no part of the table begin with.
    pub comment: Option<char>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: None, header: None, decimal: '.', comment: Some('#') }
    }
}

/// What may separate cells, the surest first: texts hold semicolons more rarely than commas, and commas more rarely than spaces.
const DELIMITERS: [u8; 4] = [b'\t', b';', b',', b' '];

/// Lines from which a delimiter is told.
const LINES: usize = 100;

impl Dialect {
    /// What cannot be, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !matches!(self.decimal, '.' | ',') {
            faults.push(format!("decimal is {:?}; '.' or ',' is right", self.decimal));
        }
        if let Some(delimiter) = self.delimiter {
            let of_cells = |c: char| c.is_ascii_alphanumeric() || matches!(c, '"' | '.' | '-' | '+' | '_');
            if !delimiter.is_ascii() || of_cells(delimiter) || (delimiter.is_ascii_control() && delimiter != '\t') {
                faults.push(format!(
                    "delimiter is {delimiter:?}; an ASCII character that is no part of numbers and names is right, such as ',', ';', \
                     '\\t', or ' ' for runs of spaces"
                ));
            } else if delimiter == self.decimal {
                faults.push(format!("delimiter is {delimiter:?}, the decimal point too; another character is right"));
            } else if Some(delimiter) == self.comment {
                faults
                    .push(format!("delimiter is {delimiter:?}, which begins comments too; another character is right"));
            }
        }
        if let Some(comment) = self.comment {
            let of_rows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '"' | '.' | ',' | '-' | '+' | ' ' | '\t');
            if !comment.is_ascii() || of_rows(comment) || comment.is_ascii_control() {
                faults.push(format!(
                    "comment is {comment:?}; an ASCII character that no row begins with, such as '#', or None is right"
                ));
            }
        }
        faults
    }

    /// The delimiter: the one that is told, or the one that divides most of the first lines of `start` as it divides the first.
    pub(super) fn delimiter_of(&self, start: &[u8]) -> u8 {
        if let Some(delimiter) = self.delimiter {
            return delimiter as u8;
        }
        let lines: Vec<&[u8]> = start
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii_end)
            .filter(|line| !line.is_empty() && !self.is_comment(line))
            .take(LINES)
            .collect();
        let alike = |delimiter: &u8| {
            let cells = cells_in(lines.first()?, *delimiter);
            let alike = lines.iter().filter(|line| cells_in(line, *delimiter) == cells).count();
            // Names and texts may hold spaces; where spaces divide, they divide every line.
            let enough = if *delimiter == b' ' { alike == lines.len() } else { 2 * alike >= lines.len() };
            (cells > 1 && enough).then_some(alike)
        };
        let legal = DELIMITERS.iter().filter(|&&delimiter| char::from(delimiter) != self.decimal);
        let found = legal.filter_map(|delimiter| Some((alike(delimiter)?, *delimiter)));
        // The first of those that are equally good.
        let best =
            found.fold(None, |best: Option<(usize, u8)>, found| best.filter(|best| best.0 >= found.0).or(Some(found)));
        best.map_or(if self.decimal == ',' { b';' } else { b',' }, |(_, delimiter)| delimiter)
    }

    fn is_comment(&self, line: &[u8]) -> bool {
        self.comment.is_some_and(|comment| line.first() == Some(&(comment as u8)))
    }

    /// Whether a first line of these cells has the names; refused where nobody can tell.
    pub(super) fn has_header(&self, cells: &[&str]) -> Result<bool, String> {
        if let Some(header) = self.header {
            return Ok(header);
        }
        let is_number = |cell: &&str| cells::number(cell, self.decimal).is_some();
        let is_row = cells.iter().all(|cell| is_number(cell) || (!cell.is_empty() && cells::is_missing(cell)));
        if is_row && cells.iter().any(is_number) {
            return Err("begins with a line of nothing but numbers; `header: false` takes it as a row and names the columns c0, c1, …, \
                        `header: true` takes it as names"
                .into());
        }
        Ok(true)
    }
}

/// The number of cells of a line.
fn cells_in(line: &[u8], delimiter: u8) -> usize {
    let (mut cells, mut quoted, mut after_space) = (1, false, true);
    let line = if delimiter == b' ' { line.trim_ascii() } else { line };
    for &byte in line {
        quoted ^= byte == b'"';
        let divides = if delimiter == b' ' { byte == b' ' || byte == b'\t' } else { byte == delimiter };
        if divides && !quoted && !(delimiter == b' ' && after_space) {
            cells += 1;
        }
        after_space = divides;
    }
    cells
}
