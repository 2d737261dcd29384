//! A written density as a target.

use super::graph::{Graph, Value};
use super::lower::{Lowering, CONSTANTS};
use super::operations::Binary;
use super::program::Program;
use super::run::Workspace;
use super::{lexer::KEYWORDS, parameters, parser};
use crate::target::{Constraint, Density, Fatal, Faults, Parameter};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What an expression knows beside its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// A number.
    Number(f64),
    /// A vector.
    Vector(Vec<f64>),
    /// A matrix, row by row, with its number of columns.
    Matrix(Vec<f64>, usize),
}

/// A log density given as text over named parameters and data; `docs/expression.md` has the language.
///
/// It is a density on the unconstrained space of the parameters: the log Jacobian of their supports is added, as in Stan.
#[derive(Debug)]
pub struct Expression {
    parameters: Vec<Parameter>,
    given: usize,
    program: Program,
    idle: Mutex<Vec<Workspace>>,
}

/// The most coordinates of all parameters together.
const MOST_COORDINATES: usize = 65_536;

impl Expression {
    /// Compiles `text`, the log density of `parameters` in their own space, over named `data`.
    ///
    /// # Errors
    /// If a name or a support is not sound, or the text is not an expression in those names; with the place in the text.
    pub fn new(parameters: Vec<Parameter>, data: Vec<(String, Datum)>, text: &str) -> Result<Self, String> {
        let mut graph = Graph::default();
        let mut names: BTreeMap<String, Value> = BTreeMap::new();
        let mut add = |name: &str, value: Value| {
            check_name(name)?;
            match names.insert(name.into(), value) {
                Some(_) => Err(format!("`{name}` occurs twice among parameters and data; names must differ")),
                None => Ok(()),
            }
        };
        for (name, datum) in data {
            let value = match datum {
                Datum::Number(x) => Value::number(x),
                Datum::Vector(numbers) => {
                    let len = numbers.len();
                    Value::constant(numbers, vec![len])
                }
                Datum::Matrix(numbers, columns) => {
                    let rows = numbers.len() / columns.max(1);
                    Value::constant(numbers, vec![rows, columns])
                }
            };
            if value.known().is_some_and(|numbers| numbers.is_empty() || numbers.iter().any(|x| !x.is_finite())) {
                return Err(format!("data `{name}` is empty or not finite; finite numbers, at least one, are right"));
            }
            add(&name, value)?;
        }
        let (mut dim, mut log_jacobian) = (0, Value::number(0.0));
        for Parameter { name, support } in &parameters {
            let in_it = |message: String| format!("parameter `{name}`: {message}");
            if let Some(fault) = support.fault() {
                return Err(in_it(fault));
            }
            if dim + support.coordinates() > MOST_COORDINATES {
                return Err(in_it(format!("more than {MOST_COORDINATES} coordinates in all")));
            }
            let (value, jacobian) = parameters::place(&mut graph, support, dim).map_err(in_it)?;
            log_jacobian = graph.binary(Binary::Add, &log_jacobian, &jacobian).map_err(in_it)?;
            dim += support.coordinates();
            add(name, value)?;
        }
        if dim == 0 {
            return Err("there are no parameters; at least one is right".into());
        }
        let in_text = |fault: super::fault::Fault| fault.show(text);
        let statements = parser::parse(text).map_err(in_text)?;
        let log_density = Lowering::new(&mut graph, names).log_density(&statements).map_err(in_text)?;
        let root = graph.binary(Binary::Add, &log_density, &log_jacobian)?;
        let program = Program::new(&graph, &root, dim);
        Ok(Self { parameters, given: 0, program, idle: Mutex::default() })
    }

    /// The same as a density of the others where the first `coordinates` are given.
    ///
    /// # Errors
    /// If there are no others.
    pub fn given(self, coordinates: usize) -> Result<Self, String> {
        if coordinates >= self.program.dim {
            return Err("all coordinates are given; at least one parameter is right".into());
        }
        Ok(Self { given: coordinates, ..self })
    }

    fn batch(&self, work: &mut Workspace, points: &[f64], values: &mut [f64], gradients: Option<&mut [f64]>) {
        let (dim, lanes, rows) = (self.program.dim, self.program.lanes, values.len());
        for block in blocks(dim) {
            for lane in 0..lanes {
                // Lanes without a row repeat the last one.
                let first = lane.min(rows - 1) * dim;
                for (i, u) in block.clone().zip(&points[first + block.start..first + block.end]) {
                    work.values[i * lanes + lane] = *u;
                }
            }
        }
        self.program.forward(work, gradients.is_some());
        let root = self.program.root;
        for (lane, value) in values.iter_mut().enumerate() {
            *value = if root.known { self.program.known[root.at] } else { work.values[root.at * lanes + lane] };
        }
        if let Some(gradients) = gradients {
            self.program.backward(work);
            for block in blocks(dim) {
                for (row, gradient) in gradients.chunks_exact_mut(dim).enumerate() {
                    for (i, g) in block.clone().zip(&mut gradient[block.clone()]) {
                        *g = work.adjoints[i * lanes + row];
                    }
                }
            }
        }
    }
}

/// Coordinates in blocks: so many numbers of a row lie in one cache line, and their lanes stay in the cache while rows become lanes.
fn blocks(dim: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..dim).step_by(8).map(move |first| first..(first + 8).min(dim))
}

fn check_name(name: &str) -> Result<(), String> {
    let mut letters = name.chars();
    let sound = letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_');
    if !sound || name.len() > 200 {
        return Err(format!("{name:?} is no name; letters, digits and `_`, beginning with a letter, are right"));
    }
    if KEYWORDS.contains(&name) || CONSTANTS.iter().any(|(constant, _)| *constant == name) {
        return Err(format!("`{name}` has a meaning of its own in expressions; another name is right"));
    }
    Ok(())
}

impl Density for Expression {
    fn dim(&self) -> usize {
        self.program.dim
    }

    fn given(&self) -> usize {
        self.given
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let (dim, lanes) = (self.program.dim, self.program.lanes);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut work = idle.unwrap_or_else(|| Workspace::new(&self.program));
        let mut gradients = gradients.map(|gradients| gradients.chunks_mut(lanes * dim));
        for (batch, (points, values)) in points.chunks(lanes * dim).zip(values.chunks_mut(lanes)).enumerate() {
            let mut gradients = gradients.as_mut().and_then(Iterator::next);
            self.batch(&mut work, points, values, gradients.as_deref_mut());
            for (row, value) in values.iter_mut().enumerate() {
                let point = &points[row * dim..(row + 1) * dim];
                if !point.iter().all(|x| x.is_finite()) {
                    *value = f64::NAN;
                    faults.mark(batch * lanes + row, "the point is not finite");
                } else if value.is_nan() || *value == f64::INFINITY {
                    let found = if value.is_nan() { "not a number" } else { "plus infinity" };
                    faults.mark(batch * lanes + row, format!("log_density is {found} at {}", self.describe(point)));
                    *value = f64::NAN;
                }
                if let Some(gradients) = gradients.as_deref_mut().filter(|_| !value.is_finite()) {
                    gradients[row * dim..(row + 1) * dim].fill(0.0);
                }
            }
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.parameters.iter().flat_map(Parameter::coordinate_names).collect()
    }

    fn constraint(&self) -> Constraint {
        Constraint::Supports(self.parameters.clone())
    }
}

impl Expression {
    /// A point in the user's space, for messages.
    fn describe(&self, point: &[f64]) -> String {
        let constraint = self.constraint();
        let mut values = vec![0.0; constraint.values(point.len())];
        constraint.constrain(point, &mut values);
        let names = constraint.value_names().unwrap_or_default();
        let mut shown: Vec<String> =
            names.iter().zip(&values).take(8).map(|(name, x)| format!("{name} = {x:.4}")).collect();
        if names.len() > 8 {
            shown.push("…".into());
        }
        shown.join(", ")
    }
}
