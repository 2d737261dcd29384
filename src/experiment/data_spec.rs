//! What an experiment file says of its data: where the rows come from, what their columns are, how they are divided.

use crate::data::Toy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the teacher's data come from, and how they are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// The rows.
    pub source: SourceSpec,
    /// The share of the rows that decides when to stop.
    #[serde(default = "tenth")]
    pub validation: f64,
    /// The share of the rows that is only used to report.
    #[serde(default = "tenth")]
    pub test: f64,
    /// Whether columns are shifted and scaled to mean 0 and standard deviation 1 inside the model.
    #[serde(default = "yes")]
    pub standardise: bool,
    /// Columns that stay positive or between bounds, as part of the model.
    #[serde(default)]
    pub transforms: Vec<TransformSpec>,
    /// Columns of whole numbers: a grid of step 1.
    #[serde(default)]
    pub integers: Vec<String>,
    /// Which columns are on a grid, within whose cells their values are dithered for the fit.
    #[serde(default)]
    pub grids: GridsSpec,
    /// Columns of words, or of numbers that are mere names.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Columns of calendar days.
    #[serde(default)]
    pub dates: Vec<String>,
    /// The column of the rows' weights, which is no coordinate.
    #[serde(default)]
    pub weights: Option<String>,
    /// Columns that are given: models are of the others, whatever these are.
    #[serde(default)]
    pub given: Vec<String>,
}

impl DataSpec {
    /// The rows of `source`, with all defaults.
    pub fn new(source: SourceSpec) -> Self {
        Self {
            source,
            validation: tenth(),
            test: tenth(),
            standardise: true,
            transforms: Vec::new(),
            integers: Vec::new(),
            grids: GridsSpec::default(),
            categories: Vec::new(),
            dates: Vec::new(),
            weights: None,
            given: Vec::new(),
        }
    }
}

/// Which columns are on a grid.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum GridsSpec {
    /// Those whose values say so, where there is no target, whose space has no grids.
    #[default]
    Auto,
    /// None but those of `integers`.
    None,
    /// These and those of `integers`.
    Only(
        /// The grids.
        Vec<GridSpec>,
    ),
}

/// The grid of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSpec {
    /// The column.
    pub column: String,
    /// The distance between neighbouring values.
    pub step: f64,
    /// One of the values.
    #[serde(default)]
    pub origin: f64,
}

/// A transform of a column, as part of the model: draws keep the bounds, and log densities have the Jacobian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum TransformSpec {
    /// The logarithm of the distance above a bound.
    Log {
        /// The column.
        column: String,
        /// The lower bound.
        #[serde(default)]
        above: f64,
    },
    /// The log odds of the place between two bounds.
    Logit {
        /// The column.
        column: String,
        /// The lower bound.
        #[serde(default)]
        low: f64,
        /// The upper bound.
        #[serde(default = "unit")]
        high: f64,
    },
    /// Angles, or the times of a day or a year: the end of a turn is its beginning. A turn is cut open where the data are thinnest.
    Circular {
        /// The column.
        column: String,
        /// The length of a turn, such as 360.
        period: f64,
        /// Where a turn begins.
        #[serde(default)]
        low: f64,
    },
}

impl TransformSpec {
    /// The column.
    pub fn column(&self) -> &String {
        match self {
            TransformSpec::Log { column, .. }
            | TransformSpec::Logit { column, .. }
            | TransformSpec::Circular { column, .. } => column,
        }
    }
}

fn unit() -> f64 {
    1.0
}

/// What becomes of rows with a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Missing {
    /// The file is refused.
    #[default]
    Refuse,
    /// They are left out and counted.
    Drop,
}

fn point() -> char {
    '.'
}

fn hash() -> Option<char> {
    Some('#')
}

fn tenth() -> f64 {
    0.1
}

fn yes() -> bool {
    true
}

/// A source of rows. Paths are relative to the experiment file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum SourceSpec {
    /// Exact draws from the target.
    Draws {
        /// How many.
        rows: usize,
    },
    /// Draws from a density of the plane on which papers show their pictures.
    Toy {
        /// Which.
        density: Toy,
        /// How many.
        rows: usize,
    },
    /// A text file, compressed by gzip or not.
    Csv {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// The columns to take, all if left out.
        #[serde(default)]
        columns: Option<Vec<String>>,
        /// What separates cells, a space standing for runs of spaces and tabs; found out if left out.
        #[serde(default)]
        delimiter: Option<char>,
        /// Whether the first line has the names; it must have, if left out.
        #[serde(default)]
        header: Option<bool>,
        /// The decimal point, `.` or `,`.
        #[serde(default = "point")]
        decimal: char,
        /// What lines that are no rows begin with.
        #[serde(default = "hash")]
        comment: Option<char>,
        /// What becomes of rows with a missing value.
        #[serde(default)]
        missing: Missing,
    },
    /// A Parquet file (a build with the feature `parquet`).
    Parquet {
        /// The file.
        path: PathBuf,
        /// The columns to take, all if left out.
        #[serde(default)]
        columns: Option<Vec<String>>,
        /// What becomes of rows with a missing value.
        #[serde(default)]
        missing: Missing,
    },
    /// A NumPy file with a two-dimensional array of floats, integers or booleans.
    Npy {
        /// The file.
        path: PathBuf,
    },
    /// A NumPy archive with such an array.
    Npz {
        /// The file.
        path: PathBuf,
        /// The name of the array, where there are several.
        #[serde(default)]
        array: Option<String>,
    },
}

impl SourceSpec {
    /// How many rows it draws, if it does not read them.
    pub fn drawn(&self) -> Option<usize> {
        match self {
            SourceSpec::Draws { rows } | SourceSpec::Toy { rows, .. } => Some(*rows),
            _ => None,
        }
    }
}
