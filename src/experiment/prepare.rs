//! The teacher's data: dithered, put behind their links, divided.

use super::data_spec::{DataSpec, TransformSpec};
use super::given_rows;
use super::rows::Rows;
use super::weight;
use crate::data::look::Finding;
use crate::data::{Columns, Split, Table};
use crate::error::{Error, Result};
use crate::flow::{Link, Standardisation};
use crate::sampler::systematic;
use crate::seed::Seed;
use crate::target::Density;
use std::borrow::Cow;

/// Rows of the user's data, row-major and in the user's units.
#[derive(Debug, Clone)]
pub struct Divided {
    /// The rows that are fitted.
    pub train: Vec<f64>,
    /// The rows that decide when to stop.
    pub validation: Vec<f64>,
    /// The rows that are only used to report: where rows have weights, a part of them that has none (see [`Divided::weights`]).
    pub test: Vec<f64>,
    /// The weights of the rows that are fitted and of those that decide when to stop, each of mean 1; empty where rows have none. Rows for
    /// tests are kept with a probability that is their weight over the largest: what is kept are draws of the weighted distribution.
    pub weights: [Vec<f64>; 2],
    /// Rows that were left out for a missing value.
    pub dropped: usize,
    /// What is odd about the rows as they were read, the gravest first.
    pub findings: Vec<Finding>,
}

/// A table from elsewhere in the coordinates of the target: one of the values of its parameters, where they have supports. Columns
/// go by name where all names are there, else by place.
pub(super) fn to_coordinates(target: Option<&dyn Density>, table: Table, what: &str) -> Result<Table> {
    let Some((target, names)) = target.and_then(|target| Some((target, target.constraint().value_names()?))) else {
        return Ok(table);
    };
    let (constraint, dim) = (target.constraint(), target.dim());
    let by_name: Option<Vec<usize>> =
        names.iter().map(|name| table.names.iter().position(|other| other == name)).collect();
    let places = match by_name {
        Some(places) => places,
        None if table.dim() == names.len() => (0..names.len()).collect(),
        None => {
            let (found, right) = (table.dim(), names.len());
            return Err(Error::invalid(format!(
                "{what} has {found} columns; {right}, the parameters' values, are right"
            )));
        }
    };
    let mut coordinates = vec![0.0; table.len() * dim];
    for (row, point) in coordinates.chunks_exact_mut(dim).enumerate() {
        let values: Vec<f64> = places.iter().map(|&place| table.row(row)[place]).collect();
        constraint.unconstrain(&values, point).map_err(|(name, support)| {
            Error::invalid(format!("{what}, row {}: `{name}` is outside its support {support:?}", row + 1))
        })?;
    }
    Table::new(target.names(), coordinates)
}

/// Columns that `data.transforms` wants to map and a support of the target maps already: they are not there any more when it would.
pub(super) fn faults_of_columns(data: &DataSpec, target: Option<&dyn Density>, faults: &mut Vec<String>) {
    let Some((coordinates, values)) =
        target.and_then(|target| Some((target.names(), target.constraint().value_names()?)))
    else {
        return;
    };
    for transform in &data.transforms {
        let column = transform.column();
        if values.contains(column) && !coordinates.contains(column) {
            faults.push(format!(
                "data.transforms names `{column}`, which the support of that parameter maps to an unconstrained coordinate already; \
                 leave it out"
            ));
        }
    }
}

impl Divided {
    /// The rows that are fitted, or as many of them drawn by their weights (systematically, so that each comes as often as its share, rounded
    /// up or down): for what is made from rows that have no weights.
    pub fn by_weight(&self, dim: usize) -> Cow<'_, [f64]> {
        if self.weights[0].is_empty() {
            return Cow::Borrowed(&self.train);
        }
        let places = systematic(&self.weights[0], self.train.len() / dim, 0.5);
        Cow::Owned(places.into_iter().flat_map(|row| self.train[row * dim..][..dim].iter().copied()).collect())
    }
}

/// What is ready to be fitted.
pub(super) struct Prepared {
    pub data: Divided,
    pub standardisation: Standardisation,
    /// What the coordinates stand for.
    pub columns: Columns,
    /// What a person should know of the table.
    pub notes: Vec<String>,
}

/// The links that `data.transforms` names, for the columns of `table`.
pub(super) fn links(data: &DataSpec, table: &Table, columns: &Columns) -> Result<Vec<Link>> {
    let mut links = vec![Link::Identity; if data.transforms.is_empty() { 0 } else { table.dim() }];
    for transform in &data.transforms {
        let column = transform.column();
        let link = match *transform {
            TransformSpec::Log { above, .. } => Link::Above(above),
            TransformSpec::Logit { low, high, .. } => Link::Between(low, high),
            TransformSpec::Circular { period, low, .. } => Link::Around { low, period, cut: low },
        };
        if !link.is_sound() {
            let wrong = match link {
                Link::Around { low, period, .. } => {
                    format!("the turn of column `{column}` begins at {low} and is {period} long; finite numbers, the latter above 0, are right")
                }
                _ => format!("the bounds of column `{column}` are not in order"),
            };
            return Err(Error::invalid(format!("data.transforms: {wrong}")));
        }
        if columns.0.iter().any(|of| of.name == *column && of.kind.words().is_some()) {
            return Err(Error::invalid(format!(
                "data.transforms names column `{column}`, which holds words; leave it out"
            )));
        }
        let place = table.names.iter().position(|name| name == column).ok_or_else(|| {
            Error::invalid(format!("data.transforms names column `{column}`; there are {}", table.names.join(", ")))
        })?;
        links[place] = match link {
            Link::Around { low, period, .. } => {
                let angles: Vec<f64> = table.values.iter().skip(place).step_by(table.dim()).copied().collect();
                Link::around(low, period, &angles)
            }
            bounded => bounded,
        };
    }
    Ok(links)
}

/// Dithers what is on places, divides the rows, and fits the standardisation to those that will be fitted.
pub(super) fn prepare(data: &DataSpec, rows: Rows, seed: Seed) -> Result<Prepared> {
    let Rows { mut table, columns, given, weights, dropped, mut notes, findings } = rows;
    let links = links(data, &table, &columns)?;
    let mut bounds: Vec<(f64, f64)> = links
        .iter()
        .map(|link| match *link {
            Link::Above(low) => (low, f64::INFINITY),
            Link::Between(low, high) => (low, high),
            Link::Identity | Link::Around { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        })
        .collect();
    if given > 0 {
        bounds.resize(table.dim(), (f64::NEG_INFINITY, f64::INFINITY));
        given_rows::stay(given, &mut bounds);
    }
    let whole = Standardisation { links: links.clone(), ..Standardisation::identity(table.dim()) };
    columns.dither(&mut table.values, &bounds, &seed.stream("data/dither"));
    whole.turn(&mut table.values);
    whole.check(&table.values, &table.names)?;

    let mut split = Split::new(table.len(), data.validation, data.test, &seed.stream("data/split"))?;
    let weights = match &weights {
        Some(weights) => {
            notes.push(weight::thin(weights, &mut split.test, &seed.stream("data/thin"))?);
            [weight::of(weights, &split.train, "fitted")?, weight::of(weights, &split.validation, "validated")?]
        }
        None => Default::default(),
    };
    let pick = |rows: &[usize]| rows.iter().flat_map(|&row| table.row(row).iter().copied()).collect::<Vec<f64>>();
    let (train, validation, test) = (pick(&split.train), pick(&split.validation), pick(&split.test));
    let divided = Divided { train, validation, test, weights, dropped, findings };
    let standardisation = Standardisation::fit(&divided.by_weight(table.dim()), &table.names, links, data.standardise)?;
    Ok(Prepared { data: divided, standardisation: standardisation.beside(given), columns, notes })
}
