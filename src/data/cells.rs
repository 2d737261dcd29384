//! Cells of text as numbers: plain ones, words, days, and what stands for a missing value.

use super::column::Kind;
use super::days;
use crate::shown;
use std::collections::HashMap;

/// What stands for a missing value.
const MISSING: [&str; 8] = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"];

/// Words for no and yes, in lower case.
const BOOLEANS: [[&str; 2]; 4] = [["false", "true"], ["f", "t"], ["no", "yes"], ["n", "y"]];

/// More words than this are no categories.
pub const MOST_WORDS: usize = 100;

/// More words than this are not counted.
const MOST_COUNTED: usize = 100_000;

/// What becomes of text that nobody has declared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Undeclared {
    /// It is refused, with the field that would take it.
    Advise,
    /// It is refused.
    Refuse,
    /// It is taken as categories, however many.
    Take,
}

/// Whether a cell stands for a missing value.
pub(super) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell)
}

/// The finite number that a cell holds, if it holds one; `decimal` is the only decimal point.
pub(super) fn number(cell: &str, decimal: char) -> Option<f64> {
    let parsed = match decimal {
        ',' if cell.contains('.') => None,
        ',' if cell.contains(',') => cell.replacen(',', ".", 1).parse().ok(),
        _ => cell.parse().ok(),
    };
    parsed.filter(|number: &f64| number.is_finite())
}

/// A column as far as it has been read.
pub(super) struct Cells {
    decimal: char,
    state: State,
}

enum State {
    /// Nothing read and nothing declared.
    Open,
    Numbers,
    Days {
        numbers: bool,
    },
    /// The words found so far, or those that there may be.
    Words {
        found: Words,
        from: Declared,
    },
}

/// Why a column is one of words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declared {
    /// It begins with a cell that is no number.
    No,
    /// The user says that it has categories.
    Yes,
    /// A model knows its words.
    Fixed(Fixed),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fixed {
    Categories,
    Boolean,
}

/// Different words, in the order of their first rows.
#[derive(Default)]
struct Words {
    list: Vec<String>,
    places: HashMap<String, usize>,
    /// Cells that are numbers, and all cells.
    numbers: usize,
    cells: usize,
    /// The line of the first cell that is no number.
    first: Option<u64>,
}

impl Cells {
    /// A column that is to be of `kind`, if that is known; categories without words have those that are found, and days may be numbers.
    pub(super) fn new(kind: Option<&Kind>, decimal: char, numbers_as_days: bool) -> Self {
        let state = match kind {
            None => State::Open,
            Some(Kind::Real | Kind::Grid(_)) => State::Numbers,
            Some(Kind::Days) => State::Days { numbers: numbers_as_days },
            Some(Kind::Categories { words }) if words.is_empty() => {
                State::Words { found: Words::default(), from: Declared::Yes }
            }
            Some(Kind::Categories { words }) => {
                State::Words { found: Words::of(words), from: Declared::Fixed(Fixed::Categories) }
            }
            Some(Kind::Boolean { words }) => {
                State::Words { found: Words::of(words), from: Declared::Fixed(Fixed::Boolean) }
            }
        };
        Self { decimal, state }
    }

    /// The number of a cell that is not missing; of a word, its place in the list.
    ///
    /// # Errors
    /// With what would be right in its place.
    pub(super) fn read(&mut self, cell: &str, line: u64) -> Result<f64, String> {
        let found = number(cell, self.decimal);
        if let State::Open = self.state {
            // What is nearly a number (1e999, 1,5) is not the first of many words.
            let nearly = cell.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
                && days::day_of(cell).is_none();
            self.state = match found {
                None if !nearly && cell.parse::<f64>().is_err() => {
                    State::Words { found: Words::default(), from: Declared::No }
                }
                _ => State::Numbers,
            };
        }
        match &mut self.state {
            State::Open | State::Numbers => found.ok_or_else(|| self.advice(cell)),
            State::Days { numbers } => days::day_of(cell)
                .or(found.filter(|_| *numbers))
                .ok_or_else(|| "an ISO 8601 day such as 2024-02-29 is right".into()),
            State::Words { found: words, from: Declared::Fixed(kind) } => {
                let place = words.places.get(cell).copied().or_else(|| words.alike(cell, *kind));
                place.map(|place| place as f64).ok_or_else(|| {
                    let list: Vec<String> = words.list.iter().map(|word| format!("`{word}`")).collect();
                    format!("one of {} is right", shown::list(&list))
                })
            }
            State::Words { found: words, .. } => {
                words.cells += 1;
                words.numbers += usize::from(found.is_some());
                if found.is_none() {
                    words.first.get_or_insert(line);
                }
                words.place(cell)
            }
        }
    }

    fn advice(&self, cell: &str) -> String {
        match self.decimal {
            '.' if number(cell, ',').is_some() => {
                "a finite number is right; `decimal: ','` reads decimal commas".into()
            }
            ',' if number(cell, '.').is_some() => "a finite number with a decimal comma is right".into(),
            _ => "a finite number is right".into(),
        }
    }

    /// What the column turned out to be, and the new numbers of its words, if they changed.
    ///
    /// # Errors
    /// If it holds text that is not declared, or its words are too few or too many.
    pub(super) fn finish(self, name: &str, undeclared: Undeclared) -> Result<(Kind, Option<Vec<f64>>), String> {
        let (found, from) = match self.state {
            State::Open | State::Numbers => return Ok((Kind::Real, None)),
            State::Days { .. } => return Ok((Kind::Days, None)),
            State::Words { found, from } => (found, from),
        };
        let any = undeclared == Undeclared::Take;
        let Words { list, numbers, cells, first, .. } = &found;
        let count = list.len();
        if let Declared::Fixed(kind) = from {
            let words = match <[String; 2]>::try_from(found.list) {
                Ok(words) if kind == Fixed::Boolean => return Ok((Kind::Boolean { words }, None)),
                Ok(words) => words.into(),
                Err(words) => words,
            };
            return Ok((Kind::Categories { words }, None));
        }
        if from == Declared::No && !any {
            if 2 * numbers > *cells {
                let line = first.unwrap_or(0);
                return Err(format!(
                    "line {line}, column `{name}` holds `{}`; a finite number is right",
                    shown::quoted(&found.list[0])
                ));
            }
            if let Some((words, order)) = found.boolean() {
                return Ok((Kind::Boolean { words }, Some(order)));
            }
            let shown: Vec<String> = list.iter().take(3).map(|word| format!("`{}`", shown::quoted(word))).collect();
            let more = if count > 3 { ", …" } else { "" };
            let of_days = undeclared == Undeclared::Advise && list.iter().all(|word| days::day_of(word).is_some());
            let advice = if of_days {
                format!("`dates: [{name:?}]` takes it as days, or `columns` leaves it out")
            } else if count > MOST_WORDS || undeclared == Undeclared::Refuse {
                "`columns` leaves it out".into()
            } else {
                format!("`categories: [{name:?}]` takes it as categories, or `columns` leaves it out")
            };
            let shown = shown.join(", ");
            return Err(format!("column `{name}` holds text with {count} distinct values ({shown}{more}); {advice}"));
        }
        if let Some((words, order)) = found.boolean().filter(|_| any) {
            return Ok((Kind::Boolean { words }, Some(order)));
        }
        if let (true, Some(days)) = (any, list.iter().map(|word| days::day_of(word)).collect()) {
            return Ok((Kind::Days, Some(days)));
        }
        if from == Declared::Yes && !(2..=MOST_WORDS).contains(&count) {
            return Err(format!(
                "column `{name}` has {count} distinct values; 2 to {MOST_WORDS} are right for categories, and `columns` leaves others out"
            ));
        }
        let order = found.sorted(self.decimal);
        let mut words = found.list;
        let mut numbers = vec![0.0; count];
        order.iter().zip(0..).for_each(|(&old, new)| numbers[old] = f64::from(new));
        words = order.iter().map(|&old| std::mem::take(&mut words[old])).collect();
        Ok((Kind::Categories { words }, Some(numbers)))
    }
}

impl Words {
    fn of(words: &[String]) -> Self {
        let places = words.iter().cloned().zip(0..).collect();
        Self { list: words.to_vec(), places, ..Self::default() }
    }

    fn place(&mut self, cell: &str) -> Result<f64, String> {
        if let Some(&place) = self.places.get(cell) {
            return Ok(place as f64);
        }
        let place = self.list.len();
        if place == MOST_COUNTED {
            return Err(format!("which makes more than {MOST_COUNTED} distinct words; a number is right"));
        }
        self.list.push(cell.into());
        self.places.insert(cell.into(), place);
        Ok(place as f64)
    }

    /// The place of another spelling of a yes or a no.
    fn alike(&self, cell: &str, kind: Fixed) -> Option<usize> {
        (kind == Fixed::Boolean).then(|| self.list.iter().position(|word| word.eq_ignore_ascii_case(cell))).flatten()
    }

    /// The words for no and yes in their first spellings, and the number of each word, if there are no others.
    fn boolean(&self) -> Option<([String; 2], Vec<f64>)> {
        BOOLEANS.iter().find_map(|pair| {
            let side = |word: &String| pair.iter().position(|yes| word.eq_ignore_ascii_case(yes));
            let sides = self.list.iter().map(side).collect::<Option<Vec<usize>>>()?;
            let first = |wanted: usize| sides.iter().position(|&side| side == wanted).map(|at| self.list[at].clone());
            Some(([first(0)?, first(1)?], sides.iter().map(|&side| side as f64).collect()))
        })
    }

    /// The order of the words: by number where all are numbers, else by letters; so it does not depend on the order of rows.
    fn sorted(&self, decimal: char) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        let numbers: Option<Vec<f64>> = self.list.iter().map(|word| number(word, decimal)).collect();
        match numbers {
            Some(numbers) => order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b])),
            None => order.sort_by(|&a, &b| self.list[a].cmp(&self.list[b])),
        }
        order
    }
}
