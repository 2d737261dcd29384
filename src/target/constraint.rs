//! The way from the unconstrained space of a density to the space that its user thinks in.

use super::{Parameter, Support};
use serde::{Deserialize, Serialize};

/// What is known of that way without the density; model files carry it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Constraint {
    /// The coordinates are the user's own.
    #[default]
    Identity,
    /// The parameters in order, each with its support.
    Supports(
        /// Their names and supports.
        Vec<Parameter>,
    ),
    /// It is in a library that is not at hand.
    Elsewhere,
}

impl Constraint {
    /// Whether the coordinates are the user's own.
    pub fn is_identity(&self) -> bool {
        *self == Constraint::Identity
    }

    /// Without that of the first `coordinates`.
    pub fn without(&self, coordinates: usize) -> Self {
        let Constraint::Supports(parameters) = self else { return self.clone() };
        let mut before = 0;
        let left = parameters.iter().skip_while(|parameter| {
            let skipped = before < coordinates;
            before += parameter.support.coordinates();
            skipped
        });
        Constraint::Supports(left.cloned().collect())
    }

    /// What is wrong with one read from a file, for `dim` coordinates.
    pub fn fault(&self, dim: usize) -> Option<String> {
        let Constraint::Supports(parameters) = self else { return None };
        if let Some(fault) = parameters.iter().find_map(|parameter| parameter.support.fault()) {
            return Some(fault);
        }
        let found: usize = parameters.iter().map(|parameter| parameter.support.coordinates()).sum();
        (found != dim).then(|| format!("its parameters have {found} coordinates; {dim} are right"))
    }

    /// The names of the user's values, where they are not those of the coordinates.
    pub fn value_names(&self) -> Option<Vec<String>> {
        match self {
            Constraint::Supports(parameters) => Some(parameters.iter().flat_map(Parameter::value_names).collect()),
            _ => None,
        }
    }

    /// The number of the user's values of a point of `dim` coordinates.
    pub fn values(&self, dim: usize) -> usize {
        match self {
            Constraint::Supports(parameters) => parameters.iter().map(|parameter| parameter.support.values()).sum(),
            _ => dim,
        }
    }

    /// Fills `values` with the user's values at the coordinates `point` and returns the log Jacobian ln |det ∂ values / ∂ point|,
    /// which the log density of the point exceeds that of the values by. Copies where there is no map at hand.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn constrain(&self, point: &[f64], values: &mut [f64]) -> f64 {
        let Constraint::Supports(parameters) = self else {
            values.copy_from_slice(point);
            return 0.0;
        };
        let (mut point, mut values, mut log_jacobian) = (point, values, 0.0);
        for Parameter { support, .. } in parameters {
            let (u, rest) = point.split_at(support.coordinates());
            let (x, more) = values.split_at_mut(support.values());
            log_jacobian += support.constrain(u, x);
            (point, values) = (rest, more);
        }
        log_jacobian
    }

    /// The way back: fills `point` with the coordinates of `values` and returns the same log Jacobian; the name of the parameter that
    /// is outside its support or on its edge otherwise.
    ///
    /// # Errors
    /// With that name and support.
    ///
    /// # Panics
    /// If a slice is too short.
    pub fn unconstrain(&self, values: &[f64], point: &mut [f64]) -> Result<f64, (String, Support)> {
        let Constraint::Supports(parameters) = self else {
            point.copy_from_slice(values);
            return Ok(0.0);
        };
        let (mut values, mut point, mut log_jacobian) = (values, point, 0.0);
        for Parameter { name, support } in parameters {
            let (x, more) = values.split_at(support.values());
            let (u, rest) = point.split_at_mut(support.coordinates());
            log_jacobian += support.unconstrain(x, u).ok_or_else(|| (name.clone(), support.clone()))?;
            (values, point) = (more, rest);
        }
        Ok(log_jacobian)
    }

    /// The first parameter whose value at the coordinates `point` is so near one of its bounds that the distance from it is lost in
    /// rounding, with that bound.
    pub fn rounded_at(&self, point: &[f64]) -> Option<(&str, f64)> {
        let Constraint::Supports(parameters) = self else { return None };
        let mut rest = point;
        parameters.iter().find_map(|Parameter { name, support }| {
            let (u, more) = rest.split_at(support.coordinates());
            rest = more;
            support.rounded_at(u).map(|bound| (name.as_str(), bound))
        })
    }
}
