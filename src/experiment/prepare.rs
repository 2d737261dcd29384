//! The teacher's data: read or drawn, dithered, put behind their links, divided.

use super::spec::{DataSpec, Missing, SourceSpec, TransformSpec};
use crate::data::{self, CsvOptions, Split, Table};
use crate::error::{Error, Result};
use crate::evaluate::draws::exact_draws;
use crate::flow::{Link, Standardisation};
use crate::seed::{open_unit, Seed};
use crate::target::Density;
use std::path::Path;

/// Rows of the user's data, row-major and in the user's units.
#[derive(Debug, Clone)]
pub struct Divided {
    /// The rows that are fitted.
    pub train: Vec<f64>,
    /// The rows that decide when to stop.
    pub validation: Vec<f64>,
    /// The rows that are only used to report.
    pub test: Vec<f64>,
    /// Rows that were left out for a missing value.
    pub dropped: usize,
}

/// Reads or draws the rows of `data`, relative to `folder`, at most `most_draws` in the latter case; also the number that was left
/// out for a missing value.
pub(super) fn read(
    data: &DataSpec,
    folder: &Path,
    target: Option<&dyn Density>,
    seed: Seed,
    most_draws: usize,
) -> Result<(Table, usize)> {
    match &data.source {
        SourceSpec::Csv { path, columns, delimiter, missing } => {
            if !delimiter.is_ascii() {
                return Err(Error::invalid(format!(
                    "data.source.delimiter is {delimiter:?}; an ASCII character is right"
                )));
            }
            let options = CsvOptions {
                columns: columns.clone(),
                delimiter: *delimiter as u8,
                drop_missing: *missing == Missing::Drop,
            };
            data::read_csv(&folder.join(path), &options)
        }
        SourceSpec::Npy { path } => Ok((data::read_npy(&folder.join(path))?, 0)),
        SourceSpec::Npz { path, array } => Ok((data::read_npz(&folder.join(path), array.as_deref())?, 0)),
        SourceSpec::Draws { rows } => {
            let sampler = target.and_then(|target| Some((target, target.sampler()?)));
            let (target, sampler) = sampler.ok_or_else(|| {
                let advice = "`flowdistill targets` lists those that have";
                Error::invalid(format!("data.source is `Draws`, but the target has no exact sampler; {advice}"))
            })?;
            let values = exact_draws(sampler, target.dim(), most_draws.min(*rows), &seed.stream("data/draws"));
            Ok((Table::new(target.names(), values)?, 0))
        }
    }
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
        let (TransformSpec::Log { column, .. } | TransformSpec::Logit { column, .. }) = transform;
        if values.contains(column) && !coordinates.contains(column) {
            faults.push(format!(
                "data.transforms names `{column}`, which the support of that parameter maps to an unconstrained coordinate already; \
                 leave it out"
            ));
        }
    }
}

/// What is ready to be fitted.
pub(super) struct Prepared {
    pub data: Divided,
    pub standardisation: Standardisation,
    /// The columns of whole numbers.
    pub integers: Vec<usize>,
}

/// Dithers whole numbers, divides the rows, and fits the standardisation to those that will be fitted.
pub(super) fn prepare(data: &DataSpec, mut table: Table, dropped: usize, seed: Seed) -> Result<Prepared> {
    let place = |column: &String, field: &str| {
        let place = table.names.iter().position(|name| name == column);
        place.ok_or_else(|| {
            Error::invalid(format!("data.{field} names column `{column}`; there are {}", table.names.join(", ")))
        })
    };
    let integers = data.integers.iter().map(|column| place(column, "integers")).collect::<Result<Vec<_>>>()?;
    let mut links = vec![Link::Identity; if data.transforms.is_empty() { 0 } else { table.dim() }];
    for transform in &data.transforms {
        let (column, link) = match transform {
            TransformSpec::Log { column, above } => (column, Link::Above(*above)),
            TransformSpec::Logit { column, low, high } => (column, Link::Between(*low, *high)),
        };
        if !link.is_sound() {
            return Err(Error::invalid(format!("data.transforms: the bounds of column `{column}` are not in order")));
        }
        links[place(column, "transforms")?] = link;
    }
    let whole = Standardisation { links: links.clone(), ..Standardisation::identity(table.dim()) };
    dither(&mut table, &integers, seed)?;
    whole.check(&table.values, &table.names)?;

    let split = Split::new(table.len(), data.validation, data.test, &seed.stream("data/split"))?;
    let pick = |rows: &[usize]| rows.iter().flat_map(|&row| table.row(row).iter().copied()).collect::<Vec<f64>>();
    let (train, validation, test) = (pick(&split.train), pick(&split.validation), pick(&split.test));
    let standardisation = Standardisation::fit(&train, &table.names, links, data.standardise)?;
    Ok(Prepared { data: Divided { train, validation, test, dropped }, standardisation, integers })
}

/// Adds uniform noise within ±½ to columns of whole numbers: the density of the sum, integrated over a unit interval, is the
/// probability of the number at its centre (Uria, Murray and Larochelle 2013).
fn dither(table: &mut Table, integers: &[usize], seed: Seed) -> Result<()> {
    let stream = seed.stream("data/dither");
    let dim = table.dim();
    for (row, values) in table.values.chunks_exact_mut(dim).enumerate() {
        if integers.is_empty() {
            break;
        }
        let mut rng = stream.row(row as u64);
        for &i in integers {
            if values[i].fract() != 0.0 {
                let (name, value) = (&table.names[i], values[i]);
                return Err(Error::invalid(format!(
                    "row {}, column `{name}` is {value}, but data.integers says that it holds whole numbers",
                    row + 1
                )));
            }
            values[i] += open_unit(&mut rng) - 0.5;
        }
    }
    Ok(())
}
