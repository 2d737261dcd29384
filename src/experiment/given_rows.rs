//! What the models of a run are given: the columns of its table that are, and the rows that they take.

use super::check::Plan;
use super::data_spec::{DataSpec, SourceSpec};
use super::prepare::{self, Divided};
use super::rows::Rows;
use super::spec::{Against, Spec, StageSpec};
use crate::data::{Column, Columns, Kind, Split, Table};
use crate::error::{Error, Result};
use crate::flow::{Link, Space, Standardisation};
use crate::seed::{Seed, Stream};
use crate::target::Density;
use crate::train::Contexts;

/// Rows of the columns that are given, row-major in the user's coordinates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenRows {
    /// The number of columns.
    pub columns: usize,
    /// How flows see them, where `data.transforms` says so.
    pub links: Vec<Link>,
    /// What draws are given in training.
    pub train: Vec<f64>,
    /// What they are given for the verdict.
    pub judged: Vec<f64>,
}

impl GivenRows {
    /// Those of rows of all columns, which are judged by rows that had no part in the fit.
    pub fn of(columns: usize, data: &Divided, dim: usize) -> Self {
        let cut = |rows: &[f64]| rows.chunks_exact(dim).flat_map(|row| &row[..columns]).copied().collect::<Vec<f64>>();
        let judged = if data.test.is_empty() { &data.validation } else { &data.test };
        Self { columns, train: cut(&data.train), judged: cut(judged), links: Vec::new() }
    }

    /// Row `row` of those that are judged.
    pub fn judged(&self, row: usize) -> &[f64] {
        &self.judged[row * self.columns..][..self.columns]
    }

    /// The number of rows that are judged.
    pub fn judged_rows(&self) -> usize {
        self.judged.len() / self.columns.max(1)
    }
}

impl Plan<'_> {
    /// The columns of the flows' rows.
    pub fn space(&self) -> Space {
        let given = self.standardisation.given;
        Space { given, variables: self.dim - given }
    }

    /// What the draws of an objective are given.
    pub(super) fn contexts(&self, stream: Stream) -> Option<Contexts> {
        let rows = self.given_rows.as_ref()?;
        Some(Contexts::new(&rows.train, &self.standardisation, stream))
    }
}

/// Brings the columns that `data` gives to the front; the number of their coordinates.
pub(super) fn to_front(data: &DataSpec, table: &mut Table, columns: &mut Columns) -> Result<usize> {
    if data.given.is_empty() {
        return Ok(0);
    }
    let place = |name: &String| {
        let place = table.names.iter().position(|other| other == name);
        let there = || format!("data.given names column `{name}`; there are {}", table.names.join(", "));
        place.ok_or_else(|| Error::invalid(there()))
    };
    let mut places = data.given.iter().map(place).collect::<Result<Vec<usize>>>()?;
    let given = places.len();
    if given == table.dim() {
        return Err(Error::invalid("data.given names every column; one that is not given, at least, is right"));
    }
    places.extend((0..table.dim()).filter(|place| !data.given.contains(&table.names[*place])));
    let values = table.values.chunks_exact(table.dim()).flat_map(|row| places.iter().map(|&place| row[place]));
    let names = places.iter().map(|&place| table.names[place].clone()).collect();
    *table = Table::new(names, values.collect())?;
    columns.0 = places.iter().map(|&place| columns.0[place].clone()).collect();
    Ok(columns.0[..given].iter().map(|column: &Column| column.kind.coordinates()).sum())
}

/// `data` as the table of what `target` is given, of whose columns no others are read.
pub(super) fn of_target(data: &DataSpec, target: &dyn Density) -> DataSpec {
    let names = target.names()[..target.given()].to_vec();
    let mut data = data.clone();
    if let SourceSpec::Csv { columns, .. } | SourceSpec::Parquet { columns, .. } = &mut data.source {
        *columns = Some(names);
    }
    data.given.clear();
    data
}

/// What is wrong with an experiment whose target has columns that are given.
pub(super) fn faults_of_target(spec: &Spec, target: &dyn Density, faults: &mut Vec<String>) {
    let names = target.names()[..target.given()].join(", ");
    let Some(data) = &spec.data else {
        faults.push(format!("the target is given {names}, but there is no `data` whose rows have them"));
        return;
    };
    if !data.given.is_empty() {
        faults.push(format!("data.given names columns, but the target says that {names} are given; leave it out"));
    }
    for (field, there) in [
        ("weights", data.weights.is_some()),
        ("categories", !data.categories.is_empty()),
        ("dates", !data.dates.is_empty()),
    ] {
        if there {
            faults.push(format!("data.{field}: what a target is given are plain numbers; leave it out"));
        }
    }
    if data.source.drawn().is_some() {
        faults.push("data.source draws its rows, but what a target is given is read; a table is right".into());
    }
    for (i, stage) in spec.stages.iter().enumerate() {
        let wrong = match stage {
            StageSpec::Sample { .. } => "draws from the target",
            StageSpec::MaximumLikelihood(_) | StageSpec::FlowMatching(_) => "fits rows",
            StageSpec::ForwardKl { against: Against::Target, .. } => "has forward KL on rows",
            StageSpec::ReverseKl { anneal: Some(_), .. } => "anneals the target",
            StageSpec::ReverseKl { against: Against::Target, forward, .. } if *forward > 0.0 => {
                "has forward KL on rows"
            }
            _ => continue,
        };
        faults.push(format!(
            "stages[{i}] {wrong}, but the rows of `data` are what the target is given; `ReverseKl(against: Target)` is right"
        ));
    }
    if spec.evaluation.reference.is_some() {
        faults.push("evaluation.reference is given, but each row that the target is given has draws of its own".into());
    }
}

/// Cells that are not dithered: of what is given there is no density.
pub(super) fn stay(columns: usize, bounds: &mut [(f64, f64)]) {
    // A place that is not between its bounds stays.
    bounds[..columns].fill((f64::INFINITY, f64::NEG_INFINITY));
}

/// Fewer rows than this are all both trained on and judged by.
const FEW: usize = 20;

/// The table that `target` is given, in its order of columns.
pub(super) fn contexts(rows: Rows, target: &dyn Density, data: &DataSpec, seed: Seed) -> Result<GivenRows> {
    let Rows { table, columns, .. } = rows;
    let right = &target.names()[..target.given()];
    if let Some(column) = columns.0.iter().find(|column| column.kind != Kind::Real) {
        let name = &column.name;
        return Err(Error::invalid(format!("data: column `{name}` holds no plain numbers, which a target is given")));
    }
    let by_name: Option<Vec<usize>> = right.iter().map(|name| table.names.iter().position(|n| n == name)).collect();
    let places = match by_name {
        Some(places) => places,
        None if table.dim() == right.len() => (0..right.len()).collect(),
        None => {
            let (found, right) = (table.dim(), right.join(", "));
            return Err(Error::invalid(format!(
                "data has {found} columns; what the target is given is right: {right}"
            )));
        }
    };
    let wanted = places.iter().map(|&place| table.values.iter().skip(place).step_by(table.dim()).copied());
    let turned: Vec<Vec<f64>> = wanted.map(Iterator::collect).collect();
    let values = (0..table.len()).flat_map(|row| turned.iter().map(move |column| column[row])).collect();
    let table = Table::new(right.to_vec(), values)?;
    let links = prepare::links(data, &table, &columns)?;
    Standardisation { links: links.clone(), ..Standardisation::identity(right.len()) }.check(&table.values, right)?;
    let all = |rows: &[usize]| -> Vec<f64> { rows.iter().flat_map(|&row| table.row(row)).copied().collect() };
    if table.len() < FEW {
        let every: Vec<usize> = (0..table.len()).collect();
        let rows = all(&every);
        return Ok(GivenRows { columns: right.len(), links, train: rows.clone(), judged: rows });
    }
    // Nothing but the steps decides when to stop, so that rows to validate are as good as others.
    let Split { mut train, validation, test } =
        Split::new(table.len(), data.validation, data.test, &seed.stream("data/split"))?;
    train.extend(validation);
    Ok(GivenRows { columns: right.len(), links, train: all(&train), judged: all(&test) })
}
