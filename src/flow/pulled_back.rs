//! A target seen through a flow that draws in one pass: the same density in the coordinates of the flow's base.

use super::{FrozenModel, Standardised};
use crate::ops::real::Real;
use crate::target::{Density, Fatal, Faults};

/// log γ(x(z)) + ln |det ∂x/∂z| as a density of base draws z. Its normaliser is that of γ; where the flow is γ, it is the base.
///
/// What is narrow here and wide there is round in these coordinates, as far as the flow has learned it (Hoffman, Sountsov, Dillon, Langmore,
/// Tran and Vasudevan 2019). A part of γ to which the flow hardly comes is far out in them, and narrow.
pub struct PulledBack<'a, F> {
    target: Standardised<'a>,
    model: &'a FrozenModel<F>,
}

impl<'a, F: Real> PulledBack<'a, F> {
    /// `target` through `model`; none where that draws in more than one pass, is given something, or has a base of bounded coordinates.
    pub fn new(target: &'a dyn Density, model: &'a FrozenModel<F>) -> Option<Self> {
        let target = Standardised { target, standardisation: model.standardisation() };
        (model.fixed.is_empty() && model.flow.carries_anything()).then_some(Self { target, model })
    }

    /// Base draws, row-major, become the user's points in place.
    pub fn carry(&self, z: &mut [f64]) {
        let rows = z.len() / self.dim();
        self.model.flow.carry(z, &mut vec![0.0; rows]);
        self.model.standardisation().undo(z, &mut vec![0.0; rows]);
    }
}

impl<F: Real> Density for PulledBack<'_, F> {
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
        let mut log_det = vec![0.0; values.len()];
        match gradients {
            Some(slopes) => self.model.flow.carry_back(points, &mut log_det, slopes, |images, slopes| {
                self.target.evaluate(images, values, Some(slopes), faults)
            })?,
            None => {
                let mut images = points.to_vec();
                self.model.flow.carry(&mut images, &mut log_det);
                self.target.evaluate(&images, values, None, faults)?;
            }
        }
        values.iter_mut().zip(log_det).for_each(|(value, log_det)| *value += log_det);
        Ok(())
    }

    fn log_normalizer(&self) -> Option<f64> {
        self.target.log_normalizer()
    }
}
