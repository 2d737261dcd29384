//! Places from which a target is climbed because somebody knows of them: the user, or an earlier attempt.

use super::check::Plan;
use super::prepare;
use super::spec::Whitening;
use super::whiten::{self, whiten, Whitened};
use crate::data::Table;
use crate::error::{Error, Result};
use crate::flow::Standardisation;
use crate::target::Density;

/// More than these are a table, not places that somebody knows.
const MOST: usize = 1_000;

/// `starts`, which are values of parameters, in the coordinates of `target`.
///
/// # Errors
/// If they are not such places, or nothing climbs from them.
pub(super) fn coordinates(
    starts: &[Vec<f64>],
    target: Option<&dyn Density>,
    has_rows: bool,
    whitening: Whitening,
) -> Result<Vec<Vec<f64>>> {
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let climbs = match whitening {
        Whitening::Auto => !has_rows,
        Whitening::Laplace => true,
        Whitening::None | Whitening::Draws => false,
    };
    let Some(target) = target.filter(|target| climbs && target.given() == 0) else {
        return Err(Error::invalid(
            "starts is given, but nothing climbs: a target without given columns, with `whitening: Auto` and no data or `Laplace`, is right",
        ));
    };
    if starts.len() > MOST {
        return Err(Error::invalid(format!("starts lists {} places; at most {MOST} are right", starts.len())));
    }
    let names = target.constraint().value_names().unwrap_or_else(|| target.names());
    for (i, start) in starts.iter().enumerate() {
        if start.len() != names.len() {
            let (found, right) = (start.len(), names.len());
            return Err(Error::invalid(format!(
                "starts[{i}] has {found} numbers; {right} ({}) are right",
                names.join(", ")
            )));
        }
        if let Some(value) = start.iter().find(|value| !value.is_finite()) {
            return Err(Error::invalid(format!("starts[{i}] has the number {value}; finite ones are right")));
        }
    }
    let table = prepare::to_coordinates(Some(target), Table::new(names, starts.concat())?, "starts")?;
    Ok(table.values.chunks_exact(target.dim()).map(<[f64]>::to_vec).collect())
}

impl Plan<'_> {
    /// The plan in which the target, of which there are no rows, is climbed from `places`, too; these are in its coordinates.
    ///
    /// # Errors
    /// If there is no target.
    pub(super) fn resurveyed(&self, places: &[Vec<f64>]) -> Result<Self> {
        let target = self.target.as_deref().ok_or_else(|| Error::invalid("there is no target to climb"))?;
        let mut plan = self.clone();
        for place in places {
            let constraint = target.constraint();
            let mut values = vec![0.0; constraint.values(self.dim)];
            constraint.constrain(place, &mut values);
            plan.spec.starts.push(values);
        }
        let near = coordinates(&plan.spec.starts, Some(target), false, Whitening::Auto)?;
        let identity = Standardisation::identity(self.dim);
        let seed = (self.seed, whiten::STARTS, near.as_slice());
        let Whitened { standardisation, note, survey } =
            whiten(self.spec.whitening, identity, Some(target), None, &self.names, seed)?;
        (plan.standardisation, plan.whitening_note, plan.survey) = (standardisation, note, survey);
        Ok(plan)
    }
}
