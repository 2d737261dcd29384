//! A model of which some columns are given: what holds in rows of all columns, and where the given ones are fixed.

use super::{FrozenModel, Space};
use crate::error::{Error, Result};
use crate::ops::real::Real;

impl<F: Real> FrozenModel<F> {
    /// The columns of its rows: how many are given, and how many have a density.
    pub fn space(&self) -> Space {
        let given = self.standardisation.given;
        Space { given, variables: self.names.len() - given }
    }

    /// The model of the variables alone where these values of the columns are given: a model like any other.
    ///
    /// # Errors
    /// If there are not as many values as columns that are given, or one is not within the bounds that the model knows.
    pub fn at(&self, given: &[f64]) -> Result<Self> {
        let count = self.space().given;
        if given.len() != count {
            let found = given.len();
            return Err(Error::invalid(format!("{found} values are given; {count}, one for each column, are right")));
        }
        if count == 0 {
            return Ok(self.clone());
        }
        let fixed = self.standardisation.of_given(given);
        if let Some(i) = fixed.iter().position(|z| !z.is_finite()) {
            let (name, value) = (&self.names[i], given[i]);
            return Err(Error::invalid(format!("`{name}` is given as {value}, where the model has no values")));
        }
        Ok(Self {
            flow: self.flow.clone(),
            standardisation: self.standardisation.at(given),
            names: self.names[count..].to_vec(),
            columns: self.columns.without(count),
            constraint: self.constraint.without(count),
            fixed,
        })
    }

    /// What is given in the middle of what the model has seen, in the user's coordinates.
    pub fn middle(&self) -> Vec<f64> {
        let mut row = vec![0.0; self.dim()];
        self.standardisation.undo(&mut row, &mut [0.0]);
        row.truncate(self.space().given);
        row
    }

    /// Rows of the flow's coordinates of the variables as rows of all columns, beside what is fixed.
    pub(super) fn beside_fixed(&self, rows: &[f64]) -> Vec<f64> {
        let beside = |row: &[f64]| self.fixed.iter().chain(row).copied().collect::<Vec<f64>>();
        rows.chunks_exact(self.dim()).flat_map(beside).collect()
    }

    /// Takes the variables out of rows of all columns.
    pub(super) fn take_variables(&self, wide: &[f64], rows: &mut [f64]) {
        let (skipped, width) = (self.fixed.len(), self.dim());
        let pairs = rows.chunks_exact_mut(width).zip(wide.chunks_exact(skipped + width));
        pairs.for_each(|(row, wide)| row.copy_from_slice(&wide[skipped..]));
    }

    /// Has `draw` fill rows of the flow's coordinates that begin with what is given; on return `points` are in the user's, with what was given
    /// in them as it was. Returns ln det of the way there.
    pub(super) fn drawn_by(&self, points: &mut [f64], draw: impl FnOnce(&mut [f64])) -> Vec<f64> {
        let (dim, Space { given, .. }) = (self.dim(), self.space());
        let kept: Vec<f64> = points.chunks_exact(dim).flat_map(|row| &row[..given]).copied().collect();
        if self.fixed.is_empty() {
            if given > 0 {
                for (row, kept) in points.chunks_exact_mut(dim).zip(kept.chunks_exact(given)) {
                    row[..given].copy_from_slice(&self.standardisation.of_given(kept));
                }
            }
            draw(points);
        } else {
            let mut wide = self.beside_fixed(points);
            draw(&mut wide);
            self.take_variables(&wide, points);
        }
        let mut log_jacobian = vec![0.0; points.len() / dim];
        self.standardisation.undo(points, &mut log_jacobian);
        if given > 0 {
            let rows = points.chunks_exact_mut(dim).zip(kept.chunks_exact(given));
            rows.for_each(|(row, kept)| row[..given].copy_from_slice(kept));
        }
        log_jacobian
    }
}
