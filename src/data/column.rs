//! What a column of the user's table is, and the way between its numbers, the coordinates of a flow, and cells of text.

use super::days;
use super::grid::Grid;
use crate::seed::{open_unit, Stream};
use serde::{Deserialize, Serialize};

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Kind {
    /// Any number.
    #[default]
    Real,
    /// Numbers on a grid: one coordinate, dithered uniformly within half a step of its place.
    Grid(Grid),
    /// One of a few words. The column's number is the word's place in the list. Of two words there is one coordinate, which is 1 for the
    /// second; of k ≥ 3 there are k, of which that of the word is 1 and the others 0. All are dithered by ±½.
    Categories {
        /// The words.
        words: Vec<String>,
    },
    /// Two words, of which the second is a yes: one coordinate, 0 or 1, dithered by ±½.
    Boolean {
        /// The words for no and yes.
        words: [String; 2],
    },
    /// Calendar days: one coordinate, the days since 1970-01-01, dithered by ±½.
    Days,
}

/// A column of the user's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

impl Kind {
    /// The number of coordinates.
    pub fn coordinates(&self) -> usize {
        match self {
            Kind::Categories { words } if words.len() > 2 => words.len(),
            _ => 1,
        }
    }

    /// The words, where the values are words.
    pub fn words(&self) -> Option<&[String]> {
        match self {
            Kind::Categories { words } => Some(words),
            Kind::Boolean { words } => Some(words),
            Kind::Real | Kind::Grid(_) | Kind::Days => None,
        }
    }

    /// The distance between neighbouring places of a coordinate; none where any number is one.
    fn step(&self) -> Option<f64> {
        match self {
            Kind::Real => None,
            Kind::Grid(grid) => Some(grid.step),
            Kind::Categories { .. } | Kind::Boolean { .. } | Kind::Days => Some(1.0),
        }
    }

    /// Puts the coordinates of one value on the nearest place.
    fn snap(&self, point: &mut [f64]) {
        match self {
            Kind::Real => {}
            Kind::Grid(grid) => point[0] = grid.nearest(point[0]),
            Kind::Days => point[0] = Grid::WHOLE.nearest(point[0]),
            Kind::Categories { .. } | Kind::Boolean { .. } => {
                let word = self.number(point);
                self.place(word, point);
            }
        }
    }

    /// The coordinates of a number.
    fn place(&self, number: f64, point: &mut [f64]) {
        match point {
            [coordinate] => *coordinate = number,
            many => many
                .iter_mut()
                .zip(0..)
                .for_each(|(coordinate, word)| *coordinate = f64::from(u8::from(number == f64::from(word)))),
        }
    }

    /// The number of coordinates: of words that of the most likely one, else the coordinate itself.
    fn number(&self, point: &[f64]) -> f64 {
        match point {
            [coordinate] if self.words().is_some() => f64::from(u8::from(*coordinate >= 0.5)),
            [coordinate] => *coordinate,
            many => {
                many.iter().enumerate().fold(0, |best, (word, value)| if *value > many[best] { word } else { best })
                    as f64
            }
        }
    }
}

impl Column {
    /// A column of any numbers.
    pub fn real(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Real }
    }

    /// The names of its coordinates: its own, or `sex=male` for words.
    fn coordinate_names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Categories { words } => {
                let named = if words.len() == 2 { &words[1..] } else { &words[..] };
                named.iter().map(|word| format!("{}={word}", self.name)).collect()
            }
            Kind::Boolean { words: [_, yes] } => vec![format!("{}={yes}", self.name)],
            Kind::Real | Kind::Grid(_) | Kind::Days => vec![self.name.clone()],
        }
    }

    /// The cell of a number, as it is read again.
    pub fn cell(&self, number: f64) -> String {
        match &self.kind {
            Kind::Real | Kind::Grid(_) => format!("{number}"),
            Kind::Days => days::written(number),
            Kind::Categories { .. } | Kind::Boolean { .. } => {
                let word = self.kind.words().and_then(|words| words.get(number as usize));
                word.cloned().unwrap_or_else(|| format!("{number}"))
            }
        }
    }

    /// What it is and what becomes of it, in a few words; none for a column of any numbers.
    pub fn describe(&self) -> Option<String> {
        let name = &self.name;
        match &self.kind {
            Kind::Real => None,
            Kind::Grid(Grid { origin: 0.0, step }) => Some(format!("`{name}` (steps of {step})")),
            Kind::Grid(Grid { origin, step }) => Some(format!("`{name}` (steps of {step} from {origin})")),
            Kind::Categories { words } => Some(format!("`{name}` ({} categories)", words.len())),
            Kind::Boolean { words: [no, yes] } => Some(format!("`{name}` ({no}/{yes})")),
            Kind::Days => Some(format!("`{name}` (days)")),
        }
    }
}

/// The columns of a table, in order. None at all stand for as many columns of any numbers as there are coordinates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(pub Vec<Column>);

impl Columns {
    /// Whether every column is of any numbers, so that numbers, coordinates and cells are the same.
    pub fn is_plain(&self) -> bool {
        self.0.iter().all(|column| column.kind == Kind::Real)
    }

    /// The number of coordinates.
    pub fn coordinates(&self) -> usize {
        self.0.iter().map(|column| column.kind.coordinates()).sum()
    }

    /// The names of the coordinates.
    pub fn coordinate_names(&self) -> Vec<String> {
        self.0.iter().flat_map(Column::coordinate_names).collect()
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|column| column.name.clone()).collect()
    }

    /// Without those of the first `coordinates`.
    pub fn without(&self, coordinates: usize) -> Self {
        let left = self.0.iter().zip(self.parts()).filter(|(_, (_, part))| part.start >= coordinates);
        Self(left.map(|(column, _)| column.clone()).collect())
    }

    /// What is wrong with them as columns of points with the coordinates `names`.
    pub fn fault(&self, names: &[String]) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let sound = |column: &Column| match &column.kind {
            Kind::Grid(grid) => grid.is_sound(),
            Kind::Categories { words } => words.len() >= 2,
            Kind::Real | Kind::Boolean { .. } | Kind::Days => true,
        };
        if let Some(column) = self.0.iter().find(|column| !sound(column)) {
            return Some(format!("column `{}` is {:?}", column.name, column.kind));
        }
        let own = self.coordinate_names();
        (own != names).then(|| format!("columns of the coordinates {}; there are {}", own.join(", "), names.join(", ")))
    }

    /// The columns with each one's part of a point.
    fn parts<'a>(&'a self) -> impl Iterator<Item = (&'a Kind, std::ops::Range<usize>)> + 'a {
        let mut from = 0;
        self.0.iter().map(move |Column { kind, .. }| {
            let part = from..from + kind.coordinates();
            from = part.end;
            (kind, part)
        })
    }

    /// Rows of numbers, one to a column, as rows of coordinates.
    pub fn expand(&self, numbers: &[f64]) -> Vec<f64> {
        if self.is_plain() {
            return numbers.to_vec();
        }
        let width = self.coordinates();
        let mut points = vec![0.0; numbers.len() / self.0.len() * width];
        for (row, point) in numbers.chunks_exact(self.0.len()).zip(points.chunks_exact_mut(width)) {
            self.parts().zip(row).for_each(|((kind, part), &number)| kind.place(number, &mut point[part]));
        }
        points
    }

    /// Rows of coordinates as rows of numbers, one to a column: of words the number of the most likely one; other coordinates as they are.
    pub fn collapse(&self, points: &[f64]) -> Vec<f64> {
        if self.is_plain() {
            return points.to_vec();
        }
        let numbers =
            |point| self.parts().map(move |(kind, part): (&Kind, _)| kind.number(&<[f64]>::as_ref(point)[part]));
        points.chunks_exact(self.coordinates()).flat_map(numbers).collect()
    }

    /// Puts rows of coordinates on the nearest places: grids, whole days, words.
    pub fn snap(&self, points: &mut [f64]) {
        if self.is_plain() {
            return;
        }
        for point in points.chunks_exact_mut(self.coordinates()) {
            self.parts().for_each(|(kind, part)| kind.snap(&mut point[part]));
        }
    }

    /// Spreads rows of coordinates that are on their places evenly over the cells around them, so that the density of a coordinate,
    /// integrated over a cell, is the probability of its place (Uria, Murray and Larochelle 2013). The noise of row i is that of row i of
    /// `stream`. A cell ends at the `bounds` of its coordinate (one pair to a coordinate, or none at all); a place that is not between them stays.
    pub fn dither(&self, points: &mut [f64], bounds: &[(f64, f64)], stream: &Stream) {
        if self.is_plain() {
            return;
        }
        for (row, point) in points.chunks_exact_mut(self.coordinates()).enumerate() {
            let mut rng = stream.row(row as u64);
            for (kind, part) in self.parts() {
                let Some(step) = kind.step() else { continue };
                for i in part {
                    let (place, u) = (point[i], open_unit(&mut rng));
                    let (low, high) = bounds.get(i).copied().unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
                    if place <= low || place >= high {
                        continue;
                    }
                    let (from, to) = ((place - 0.5 * step).max(low), (place + 0.5 * step).min(high));
                    point[i] = from + (to - from) * u;
                }
            }
        }
    }
}
