//! The shift and scale between the user's units and those that a flow sees.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// x = shift + scale · z, coordinate by coordinate. It is part of the model: log p(x) = log p(z) − Σ ln scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardisation {
    /// What z = 0 stands for.
    pub shift: Vec<f64>,
    /// The length of a unit of z; positive.
    pub scale: Vec<f64>,
}

impl Standardisation {
    /// Leaves everything as it is.
    pub fn identity(dim: usize) -> Self {
        Self { shift: vec![0.0; dim], scale: vec![1.0; dim] }
    }

    /// Mean and standard deviation of each column of `rows` (row-major), summed in two passes.
    ///
    /// # Errors
    /// If there is no row, or a column is constant; the error names it by its entry in `names`.
    pub fn fit(rows: &[f64], names: &[String]) -> Result<Self> {
        let dim = names.len();
        let n = (rows.len() / dim.max(1)) as f64;
        if n < 1.0 {
            return Err(Error::invalid("there are no rows to standardise by"));
        }
        let mean_of = |value: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; dim];
            for row in rows.chunks_exact(dim) {
                sums.iter_mut().zip(row).enumerate().for_each(|(i, (sum, &x))| *sum += value(i, x));
            }
            sums.into_iter().map(|sum| sum / n).collect()
        };
        let shift = mean_of(&|_, x| x);
        let scale: Vec<f64> = mean_of(&|i, x| (x - shift[i]).powi(2)).into_iter().map(f64::sqrt).collect();
        for (i, scale) in scale.iter().enumerate() {
            // Rounding leaves a constant column a spread of a few units in the last place of its mean.
            if !(*scale > 1e-12 * shift[i].abs() && scale.is_finite()) {
                let message =
                    format!("column `{}` is constant (or nearly: its standard deviation is {scale:.1e})", names[i]);
                return Err(Error::invalid(format!("{message}; leave it out, or scale the data")));
            }
        }
        Ok(Self { shift, scale })
    }

    /// From the user's units to the flow's, in place.
    pub fn apply(&self, rows: &mut [f64]) {
        for row in rows.chunks_exact_mut(self.shift.len()) {
            for ((x, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                *x = (*x - shift) / scale;
            }
        }
    }

    /// From the flow's units to the user's, in place.
    pub fn undo(&self, rows: &mut [f64]) {
        for row in rows.chunks_exact_mut(self.shift.len()) {
            for ((z, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                *z = *z * scale + shift;
            }
        }
    }

    /// Σ ln scale, to be taken off a log density in the flow's units.
    pub fn log_det(&self) -> f64 {
        self.scale.iter().map(|scale| scale.ln()).sum()
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// If it is not for `dim` coordinates, or a number is out of its range.
    pub fn validate(&self, dim: usize) -> Result<()> {
        if self.shift.len() != dim || self.scale.len() != dim {
            let (shift, scale) = (self.shift.len(), self.scale.len());
            return Err(Error::invalid(format!(
                "a standardisation of {shift} shifts and {scale} scales for {dim} coordinates"
            )));
        }
        let sound = |scale: &f64| scale.is_finite() && *scale > 0.0;
        if !self.shift.iter().all(|shift| shift.is_finite()) || !self.scale.iter().all(sound) {
            return Err(Error::invalid(
                "a standardisation with a shift that is not finite or a scale that is not positive",
            ));
        }
        Ok(())
    }
}
