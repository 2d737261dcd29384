//! One thing that is odd about a table, as a value.

use crate::data::Grid;
use serde::{Serialize, Serializer};
use serde_json::{json, Map, Value};
use std::fmt::{Display, Formatter};

/// How grave a finding is; the graver is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A fit to the table as it is will fail, or its draws will be wrong.
    Warning,
    /// Worth knowing.
    Note,
}

/// A value far outside the others of its column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlier {
    /// The row, counted from 1 after the header.
    pub row: usize,
    /// The column.
    pub column: String,
    /// The value.
    pub value: f64,
    /// The least and the largest of the column's other values.
    pub others: [f64; 2],
}

/// What is odd.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The table has few rows for its columns.
    FewRows {
        /// The rows.
        rows: usize,
        /// The columns.
        columns: usize,
    },
    /// A column has one value only, up to rounding.
    Constant {
        /// The column.
        column: String,
        /// Its value.
        value: f64,
    },
    /// A column repeats another one in every row.
    Equal {
        /// The column.
        column: String,
        /// The earlier one.
        other: String,
    },
    /// A column is a linear combination of others.
    Dependent {
        /// The column.
        column: String,
        /// The others, each with its coefficient.
        on: Vec<(String, f64)>,
        /// What is added to them.
        intercept: f64,
        /// The share of the column's variance that they leave, 1 − R².
        unexplained: f64,
        /// Whether they leave rounding only.
        exact: bool,
        /// Rows, few, in which they leave more.
        exceptions: usize,
    },
    /// A column is a smooth function of another one.
    Function {
        /// The column.
        column: String,
        /// The other.
        of: String,
        /// How far its values lie off a line between their neighbours, after sorting by the other, against how far any two of
        /// them differ (medians).
        roughness: f64,
    },
    /// A value, or several, each of which holds much of a column that else varies freely.
    Spikes {
        /// The column.
        column: String,
        /// The values, ascending, each with the share of the rows that have it.
        values: Vec<(f64, f64)>,
        /// Rows that have one of them.
        rows: usize,
        /// Whether one of them is the least or the largest value of all.
        edge: bool,
    },
    /// A column takes a few values only, which lie on no grid.
    FewValues {
        /// The column.
        column: String,
        /// The values, ascending.
        values: Vec<f64>,
    },
    /// A value far outside the others that many rows share: perhaps it stands for what is missing.
    Code {
        /// The column.
        column: String,
        /// The value.
        value: f64,
        /// Rows that have it.
        rows: usize,
        /// The least and the largest of the column's other values.
        others: [f64; 2],
    },
    /// Values far outside the others of their column.
    Outliers {
        /// The rows that have one.
        rows: usize,
        /// Values of the first of them.
        values: Vec<Outlier>,
        /// Rows of the file that are not counted, as they were left out on reading.
        left_out: usize,
    },
    /// Rows far from all others although each of their values is ordinary.
    JointOutliers {
        /// The number of such rows.
        rows: usize,
        /// The first of them, counted from 1, with how many times as far out it lies as 95 in 100 rows reach.
        first: Vec<(usize, f64)>,
        /// Rows of the file that are not counted, as they were left out on reading.
        left_out: usize,
    },
    /// Rows that repeat earlier ones in every column.
    Repeated {
        /// Rows that repeat an earlier one.
        rows: usize,
        /// Their share.
        share: f64,
    },
    /// A column ends at a bound and has mass there.
    Bound {
        /// The column.
        column: String,
        /// The lower bound.
        low: Option<f64>,
        /// The upper bound.
        high: Option<f64>,
        /// The share of draws that a smooth fit without a link would put outside.
        outside: f64,
        /// Rows exactly on a bound, which no link can take.
        on_bound: usize,
    },
    /// Columns lie on grids other than that of whole numbers, and are not dithered.
    OnGrid {
        /// The columns with their grids.
        columns: Vec<(String, Grid)>,
        /// Whether all the grids are so fine that a fit does not make a comb of them.
        fine: bool,
    },
    /// Columns hold whole numbers and are not dithered.
    WholeNumbers {
        /// The columns.
        columns: Vec<String>,
    },
}

/// One thing that is odd about a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is.
    pub kind: Kind,
}

impl Finding {
    pub(super) fn new(kind: Kind) -> Self {
        let small = |share: f64| if share < 0.01 { Severity::Note } else { Severity::Warning };
        let severity = match &kind {
            Kind::FewRows { rows, columns } if *rows > 2 * columns => Severity::Note,
            Kind::WholeNumbers { .. } | Kind::OnGrid { fine: true, .. } => Severity::Note,
            Kind::Repeated { share, .. } => small(*share),
            _ => Severity::Warning,
        };
        Self { severity, kind }
    }

    /// The columns that it is about.
    pub fn columns(&self) -> Vec<&str> {
        match &self.kind {
            Kind::FewRows { .. } | Kind::JointOutliers { .. } | Kind::Repeated { .. } => Vec::new(),
            Kind::Equal { column, other } => vec![column, other],
            Kind::Dependent { column, on, .. } => {
                std::iter::once(column.as_str()).chain(on.iter().map(|(name, _)| name.as_str())).collect()
            }
            Kind::Function { column, of, .. } => vec![column, of],
            Kind::Outliers { values, .. } => {
                let mut columns: Vec<&str> = Vec::new();
                for value in values {
                    if !columns.contains(&value.column.as_str()) {
                        columns.push(&value.column);
                    }
                }
                columns
            }
            Kind::Constant { column, .. }
            | Kind::Spikes { column, .. }
            | Kind::FewValues { column, .. }
            | Kind::Code { column, .. }
            | Kind::Bound { column, .. } => vec![column],
            Kind::OnGrid { columns, .. } => columns.iter().map(|(name, _)| name.as_str()).collect(),
            Kind::WholeNumbers { columns } => columns.iter().map(String::as_str).collect(),
        }
    }

    /// The column that a fit does better without, as it says nothing that the others do not.
    pub fn redundant(&self) -> Option<&str> {
        match &self.kind {
            Kind::Constant { column, .. }
            | Kind::Equal { column, .. }
            | Kind::Dependent { column, exact: true, .. } => Some(column),
            Kind::Function { column, roughness, .. } if *roughness < super::function::EXACT => Some(column),
            _ => None,
        }
    }

    /// The finding for programs: its kind and severity, columns and numbers, and the words for people.
    pub fn to_json(&self) -> Value {
        let mut all = Map::new();
        if let Ok(Value::Object(fields)) = serde_json::to_value(&self.kind) {
            all.extend(fields);
        }
        all.insert("severity".into(), json!(self.severity));
        all.insert("columns_concerned".into(), json!(self.columns()));
        all.insert("words".into(), json!(self.words()));
        all.insert("advice".into(), json!(self.advice()));
        Value::Object(all)
    }
}

impl Display for Finding {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "data: {}; {}", self.words(), self.advice())
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
