//! The loop over rows that densities of one point share.

use super::Faults;

/// Calls `log_density` on each row, with the row of `gradients` where there is one.
///
/// A point that is not finite is a fault. At a finite point a density in closed form is NaN only where its terms overflow far
/// out in the tails, so NaN is density zero there; and where the density is zero, so is the gradient.
pub(super) fn each_row(
    dim: usize,
    points: &[f64],
    values: &mut [f64],
    gradients: Option<&mut [f64]>,
    faults: &mut Faults,
    mut log_density: impl FnMut(&[f64], Option<&mut [f64]>) -> f64,
) {
    let mut gradients = gradients.map(|gradients| gradients.chunks_exact_mut(dim));
    for (row, (point, value)) in points.chunks_exact(dim).zip(values).enumerate() {
        let mut gradient = gradients.as_mut().and_then(Iterator::next);
        if point.iter().all(|x| x.is_finite()) {
            *value = log_density(point, gradient.as_deref_mut());
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
}
