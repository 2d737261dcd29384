//! Self-describing model files: weights, architecture, standardisation and names in one safetensors file.

use super::{Flow, FlowConfig, Model, Orientation, Space, Standardisation, MOST_HELD_OUT};
use crate::data::{Column, Columns, Grid, Kind};
use crate::error::{Error, Result};
use crate::params::{self, values, Parameters};
use crate::seed::Seed;
use crate::shown;
use crate::target::Constraint;
use dfdx::prelude::Cpu;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 6;

/// The first version whose files have a checksum.
const CHECKED: u32 = 6;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    dim: usize,
    orientation: Orientation,
    flow: FlowConfig,
    standardisation: Standardisation,
    names: Vec<String>,
    /// The coordinates that are whole numbers, in files of formats 1 and 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    integers: Vec<usize>,
    #[serde(default, skip_serializing_if = "Columns::is_plain")]
    columns: Columns,
    #[serde(default, skip_serializing_if = "Constraint::is_identity")]
    constraint: Constraint,
    /// The log densities of rows that had no part in the fit, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held_out: Vec<f64>,
}

/// Only the version, so that a file from a newer program is refused for that reason and no other.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Model {
    /// Writes the model to `path`, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header {
            format: FORMAT,
            dim: self.flow.dim(),
            orientation: self.flow.orientation(),
            flow: self.flow.config().clone(),
            standardisation: self.standardisation.clone(),
            names: self.names.clone(),
            integers: Vec::new(),
            columns: self.columns.clone(),
            constraint: self.constraint.clone(),
            held_out: self.held_out.clone(),
        };
        let tensors: Vec<params::NamedTensor> =
            self.flow.parameters().into_iter().map(|(name, tensor)| (name, values(tensor))).collect();
        params::save(path, &tensors, &header)
    }

    /// Reads a model written by [`Model::save`].
    ///
    /// # Errors
    /// If the file is not a whole model of a format that this program knows.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self::load_noting(path)?.0)
    }

    /// The same with a note for people where the file is of an older format without a checksum, so that a damage to its weights goes unseen.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_noting(path: &Path) -> Result<(Self, Option<String>)> {
        let params::Loaded::<serde_json::Value> { header, mut tensors, verified } = params::load(path)?;
        let malformed = |error: serde_json::Error| {
            Error::input(path, format!("its header is malformed: {}", shown::quoted(&error.to_string())))
        };
        let Version { format } = Version::deserialize(&header).map_err(malformed)?;
        if format == 0 || format > FORMAT {
            let message =
                format!("has format version {format}; this program reads up to {FORMAT}: a newer one is needed");
            return Err(Error::input(path, message));
        }
        if format >= CHECKED && !verified {
            let message = format!("is damaged: a file of format version {format} has a checksum, which this one lacks");
            return Err(Error::input(path, message));
        }
        let header = Header::deserialize(header).map_err(malformed)?;
        let refuse = |fault: String| Error::input(path, format!("its header does not describe a flow: {fault}"));
        let given = header.standardisation.given;
        if given >= header.dim.max(1) {
            return Err(refuse(format!("{given} of {} columns are given", header.dim)));
        }
        let space = Space { given, variables: header.dim - given };
        if let Some(fault) = header.flow.faults(space).into_iter().next() {
            return Err(refuse(fault));
        }
        header.standardisation.validate(header.dim).map_err(|error| refuse(error.to_string()))?;
        if header.names.len() != header.dim {
            return Err(refuse(format!("{} names for {} coordinates", header.names.len(), header.dim)));
        }
        if let Some(i) = header.integers.iter().find(|&&i| i >= header.dim) {
            return Err(refuse(format!("coordinate {i} is said to be whole; there are {}", header.dim)));
        }
        if let Some(fault) = header.columns.fault(&header.names) {
            return Err(refuse(fault));
        }
        if let Some(fault) = header.constraint.fault(header.dim) {
            return Err(refuse(fault));
        }
        if header.held_out.len() > MOST_HELD_OUT || !header.held_out.is_sorted() {
            return Err(refuse(format!("`held_out` is no list of up to {MOST_HELD_OUT} numbers in ascending order")));
        }
        // Compared before anything of that size is allocated.
        let (expected, found) = (header.flow.parameters(space), tensors.values().map(Vec::len).sum::<usize>());
        if expected != found {
            return Err(Error::input(path, format!("holds {found} weights; its architecture has {expected}")));
        }
        let stream = Seed(0).stream("overwritten");
        let mut flow = Flow::new(&Cpu::default(), space, &header.flow, header.orientation, &stream)?;
        let mut snapshot = Vec::new();
        for (name, tensor) in flow.parameters() {
            let values = tensors
                .remove(&name)
                .ok_or_else(|| Error::input(path, format!("tensor `{name}` is missing: the file is not whole")))?;
            let expected = params::tensor_len(tensor);
            if values.len() != expected {
                let message = format!("tensor `{name}` has {} values; {expected} are right", values.len());
                return Err(Error::input(path, message));
            }
            snapshot.push(values);
        }
        if let Some(extra) = tensors.keys().next() {
            return Err(Error::input(path, format!("tensor `{extra}` does not belong to its architecture")));
        }
        flow.restore(&snapshot);
        let Header { standardisation, names, integers, mut columns, constraint, held_out, .. } = header;
        if !integers.is_empty() {
            columns = Columns(names.iter().map(Column::real).collect());
            integers.into_iter().for_each(|i| columns.0[i].kind = Kind::Grid(Grid::WHOLE));
        }
        let note = (!verified).then(|| {
            let what = "was written by an older program and has no checksum: a damage to its weights would not be seen";
            format!("{} {what}", path.display())
        });
        Ok((Self { flow, standardisation, names, columns, constraint, held_out }, note))
    }
}
