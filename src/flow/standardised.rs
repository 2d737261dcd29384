//! A target seen through a standardisation: the same density in the flow's coordinates.

use super::Standardisation;
use crate::target::{Density, Fatal, Faults};

/// log γ(u(z)) + ln det du/dz as a density of z. Its normaliser is that of γ.
pub struct Standardised<'a> {
    /// The density of u.
    pub target: &'a dyn Density,
    /// u(z).
    pub standardisation: &'a Standardisation,
}

impl Density for Standardised<'_> {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let (mut outer, mut log_jacobian) = (points.to_vec(), vec![0.0; values.len()]);
        self.standardisation.undo(&mut outer, &mut log_jacobian);
        let Some(gradients) = gradients else {
            self.target.evaluate(&outer, values, None, faults)?;
            values.iter_mut().zip(log_jacobian).for_each(|(value, log_jacobian)| *value += log_jacobian);
            return Ok(());
        };
        self.target.evaluate(&outer, values, Some(gradients), faults)?;
        values.iter_mut().zip(log_jacobian).for_each(|(value, log_jacobian)| *value += log_jacobian);
        self.standardisation.pull_back(points, gradients);
        Ok(())
    }

    fn log_normalizer(&self) -> Option<f64> {
        self.target.log_normalizer()
    }
}
