//! A random division of rows into those to fit, to validate and to test.

use crate::error::{Error, Result};
use crate::seed::{open_unit, Stream};

/// Row numbers, each in exactly one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to fit.
    pub train: Vec<usize>,
    /// Rows that decide when to stop.
    pub validation: Vec<usize>,
    /// Rows that are only used to report.
    pub test: Vec<usize>,
}

impl Split {
    /// Shuffles `rows` rows by `stream` and gives the shares `validation` and `test` to those parts.
    ///
    /// # Errors
    /// If a part would be empty.
    pub fn new(rows: usize, validation: f64, test: f64, stream: &Stream) -> Result<Self> {
        let count = |share: f64| (share * rows as f64).round() as usize;
        let (validation, test) = (count(validation), count(test));
        if validation == 0 || test == 0 || validation + test >= rows {
            return Err(Error::invalid(format!(
                "{rows} rows divide into {} to fit, {validation} to validate and {test} to test; \
                 more rows or other shares are needed, so that no part is empty",
                rows.saturating_sub(validation + test)
            )));
        }
        // Fisher and Yates.
        let mut order: Vec<usize> = (0..rows).collect();
        let mut rng = stream.row(0);
        for last in (1..rows).rev() {
            let pick = (open_unit(&mut rng) * (last + 1) as f64) as usize;
            order.swap(last, pick.min(last));
        }
        let train = order.split_off(validation + test);
        let test = order.split_off(validation);
        Ok(Self { train, validation: order, test })
    }
}
