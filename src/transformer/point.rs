//! A shape at one number, in double precision: for oracles and laws.

use super::shape::{Shape, Slopes};
use crate::ops::group::Group;
use crate::ops::lanes::LANES;
use pulp::Scalar;

/// All lanes of a group are this one number; what is prepared of `theta`.
fn ready(shape: &impl Shape, theta: &[f64]) -> Vec<Group<f64>> {
    assert_eq!(theta.len(), shape.parameters(), "as many parameters as there are");
    let theta: Vec<Group<f64>> = theta.iter().map(|&theta| [theta; LANES]).collect();
    let mut ready = vec![[0.0; LANES]; shape.prepared()];
    shape.prepare(&theta, &mut ready);
    ready
}

/// S(x) and ln S′(x).
pub fn at(shape: &impl Shape, x: f64, theta: &[f64]) -> (f64, f64) {
    let (value, log_slope) = shape.at(Scalar, &[x; LANES], &ready(shape, theta));
    (value[0], log_slope[0])
}

/// The same; fills ∂S/∂θ and ∂ ln S′/∂θ, and returns ∂ ln S′/∂x at last.
pub fn slopes(
    shape: &impl Shape,
    x: f64,
    theta: &[f64],
    d_value: &mut [f64],
    d_log_slope: &mut [f64],
) -> (f64, f64, f64) {
    let mut d = [(); 2].map(|()| vec![[0.0; LANES]; theta.len()]);
    let [values, logs] = &mut d;
    let Slopes { value, log_slope, bend } = shape.slopes(Scalar, &[x; LANES], &ready(shape, theta), values, logs);
    for (to, from) in [(d_value, values), (d_log_slope, logs)] {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from[0]);
    }
    (value[0], log_slope[0], bend[0])
}

/// The x with S(x) = y.
pub fn solve(shape: &impl Shape, y: f64, theta: &[f64]) -> f64 {
    shape.solve(Scalar, &[y; LANES], &ready(shape, theta))[0]
}
