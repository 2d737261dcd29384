//! Densities written for one point at a time, which is all that most of them need.

use super::{Density, Fatal, Faults, Sampler};

/// A [`Density`] given point by point; the loop over the batch, and what happens far out in the tails, is taken care of.
///
/// A point that is not finite is a fault. At a finite point a density in closed form is NaN only where its terms overflow far
/// out in the tails, so NaN is density zero there; and where the density is zero, so is the gradient.
pub trait Pointwise: Send + Sync {
    /// See [`Density::dim`].
    fn dim(&self) -> usize;

    /// log γ(x); fills `gradient`, when asked, with ∇ log γ(x).
    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64;

    /// See [`Density::names`].
    fn names(&self) -> Vec<String> {
        (1..=self.dim()).map(|i| format!("x{i}")).collect()
    }

    /// See [`Density::log_normalizer`].
    fn log_normalizer(&self) -> Option<f64> {
        None
    }

    /// See [`Density::sampler`].
    fn sampler(&self) -> Option<&dyn Sampler> {
        None
    }
}

impl<T: Pointwise> Density for T {
    fn dim(&self) -> usize {
        Pointwise::dim(self)
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let dim = Pointwise::dim(self);
        let mut gradients = gradients.map(|gradients| gradients.chunks_exact_mut(dim));
        for (row, (point, value)) in points.chunks_exact(dim).zip(values).enumerate() {
            let mut gradient = gradients.as_mut().and_then(Iterator::next);
            if point.iter().all(|x| x.is_finite()) {
                *value = self.log_density(point, gradient.as_deref_mut());
                if value.is_nan() {
                    *value = f64::NEG_INFINITY;
                }
            } else {
                *value = f64::NAN;
                faults.mark(row, "the point is not finite");
            }
            if let Some(gradient) = gradient.filter(|_| !value.is_finite()) {
                gradient.fill(0.0);
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        Pointwise::names(self)
    }

    fn log_normalizer(&self) -> Option<f64> {
        Pointwise::log_normalizer(self)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Pointwise::sampler(self)
    }
}
