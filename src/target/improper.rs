//! Coordinates along which a density does not fall, so that its integral is likely infinite.

use super::{evaluate_in_pieces, Approximation, Density, Faults};

/// How far from the approximation's mean that is looked at, in its standard deviations and units of the coordinate, whichever are larger.
const FAR: f64 = 1e8;
/// A density that falls by less than the logarithm of the distance times this is not integrable that far out.
const FALL: f64 = 0.9;

/// The coordinates in which `density` has not fallen as an integrable one must, on one of the two sides of `around`, 10⁸ units out. Directions
/// across coordinates are not looked at.
pub fn improper(density: &dyn Density, around: &Approximation) -> Vec<usize> {
    let dim = around.mean.len();
    let mut points = around.mean.repeat(2 * dim + 1);
    for k in 0..2 * dim {
        let deviation = around.covariance[k / 2 * (dim + 1)].sqrt();
        let unit = if deviation.is_finite() { deviation.max(1.0) } else { 1.0 };
        points[(k + 1) * dim + k / 2] += if k % 2 == 0 { FAR * unit } else { -FAR * unit };
    }
    let (mut values, mut faults) = (vec![0.0; 2 * dim + 1], Faults::default());
    if evaluate_in_pieces(density, &points, &mut values, None, &mut faults).is_err() {
        return Vec::new();
    }
    // What cannot be evaluated says nothing.
    faults.rows().iter().for_each(|&row| values[row] = f64::NAN);
    let least = values[0] - FALL * FAR.ln();
    (0..dim).filter(|i| values[2 * i + 1] > least || values[2 * i + 2] > least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::target::{survey, Pointwise, StudentT};

    /// A normal density of the first coordinate, and of the second what `0.` makes of it.
    struct Beside(fn(f64) -> (f64, f64));

    impl Pointwise for Beside {
        fn dim(&self) -> usize {
            2
        }

        fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
            let (value, slope) = self.0(x[1]);
            if let Some(gradient) = gradient {
                gradient.copy_from_slice(&[-x[0], slope]);
            }
            -0.5 * x[0] * x[0] + value
        }
    }

    fn found(density: &dyn Density) -> Vec<usize> {
        let starts = [vec![0.3; density.dim()]];
        let best = survey(density, &starts, &Seed(1).stream("survey")).best.expect("an approximation");
        improper(density, &best)
    }

    #[test]
    fn flat_and_growing_coordinates_are_told_from_heavy_tails() {
        let heavy = StudentT::new(2, 0.5).expect("a target");
        assert_eq!(found(&heavy), [] as [usize; 0]);
        assert_eq!(found(&Beside(|x| (-0.5 * x * x / 1e20, -x / 1e20))), [] as [usize; 0]);
        assert_eq!(found(&Beside(|_| (0.0, 0.0))), [1]);
        // A level that it never falls below: a logistic regression of separated groups, on one side.
        assert_eq!(found(&Beside(|x| (-(1.0 + (-x).exp()).ln(), 1.0 / (1.0 + x.exp())))), [1]);
    }
}
