//! Maps of all variables at once by formula, in double precision. One file for each, with what it is written with.

mod continuous;
mod contraction;
mod dormand_prince;
mod kind;
mod map;
mod matrices;
mod net;
mod planar;
mod probe;
mod products;
mod radial;
mod residual;
mod row;
mod search;
mod series;
mod settings;

pub use continuous::{Continuous, Steps, TraceBy};
pub use kind::Kind;
pub use map::JointMap;
pub use residual::{Residual, MOST_EXACT};
pub use series::LogDet;
pub use settings::FormulaSettings;

use super::linear::Matrix;
use super::ways::Ways;
use std::fmt::Debug;

/// What a layer of all variables is.
#[derive(Debug, Clone, PartialEq)]
pub enum Joint {
    /// A linear map.
    Linear(Matrix),
    /// Any other.
    Formula(Kind),
}

/// A bijection of R^d with its values, on chunks of rows: `stride` lanes to a variable, one variable after another.
pub trait Formula: Debug + Send + Sync {
    /// Turns rows into their images and adds their ln |det J| to `log_det`.
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]);

    /// Turns images into their rows and adds their ln |det J⁻¹| to `log_det`.
    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]);

    /// Turns the gradients at the images of `x` in place into those at `x`, Jᵀ g + `d_log_det` · ∇ ln |det J|.
    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]);

    /// The other way round: [`Formula::backward`] solved for the gradients at the images.
    fn adjoint(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]);

    /// The number of sums over rows that [`Formula::pull_back`] needs.
    fn sums(&self) -> usize;

    /// Adds to them what `x` gives, with the gradients at its images.
    fn add(&self, stride: usize, x: &[f64], d_y: &[f64], d_log_det: &[f64], sums: &mut [f64]);

    /// [`Formula::backward`] and [`Formula::add`] of the same gradients, together.
    fn backward_and_add(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64], sums: &mut [f64]) {
        self.add(stride, x, gradient, d_log_det, sums);
        self.backward(stride, x, gradient, d_log_det);
    }

    /// The gradients by the values of each tensor, from those sums.
    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>>;

    /// Σ ‖f − v‖² of the first `rows` lanes at points and times, one variable after another and the time at last, and what
    /// [`Formula::pull_back`] needs of it; nothing of what has no velocity f.
    fn match_velocities(&self, _lanes: (usize, usize), _points: &[f64], _velocities: &[f64]) -> (f64, Vec<f64>) {
        (0.0, vec![0.0; self.sums()])
    }
}

impl Joint {
    /// The same with nothing estimated and nothing held against what it does: what draws, scores and certificates go by.
    pub fn exact(&self) -> Self {
        match self {
            Joint::Linear(_) => self.clone(),
            Joint::Formula(kind) => Joint::Formula(kind.settings().exact()),
        }
    }

    /// The names and lengths of its tensors for `dim` variables.
    pub fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        match self {
            Joint::Linear(matrix) => matrix.tensors(dim),
            Joint::Formula(kind) => kind.settings().tensors(dim),
        }
    }

    /// The standard deviations of the values of each tensor at the start: near the identity, or near a product of random reflections.
    pub fn starts(&self, dim: usize) -> Vec<f64> {
        match self {
            Joint::Linear(matrix) => matrix.starts(dim),
            Joint::Formula(kind) => kind.settings().starts(dim),
        }
    }

    /// The values of its tensors that stretch and shift each variable so, where it starts from data.
    pub fn started(&self, log_scales: &[f64], shift: Vec<f64>) -> Option<[Vec<f64>; 2]> {
        match self {
            Joint::Linear(matrix) => matrix.started(log_scales, shift),
            Joint::Formula(_) => None,
        }
    }

    /// What is wrong with its constants for `dim` variables.
    pub fn fault(&self, dim: usize) -> Option<String> {
        match self {
            Joint::Linear(matrix) => matrix.fault(),
            Joint::Formula(kind) => kind.settings().fault(dim),
        }
    }

    /// Multiplications for a row of `dim` variables, roughly.
    pub fn multiplications(&self, dim: usize) -> usize {
        match self {
            Joint::Linear(_) => dim * dim,
            Joint::Formula(kind) => kind.settings().multiplications(dim),
        }
    }

    /// How its two directions go.
    pub fn ways(&self) -> Ways {
        match self {
            Joint::Linear(_) => Ways::PASSES,
            Joint::Formula(kind) => kind.settings().ways(),
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// How far below zero a slope's excess over one may go: m(raw) ≥ δ − 1 with m(0) = 0, without bound above; and its derivative.
fn excess(raw: f64) -> (f64, f64) {
    /// The least slope.
    const LEAST: f64 = 0.01;
    // (1 − δ) (softplus(raw + ln(e − 1)) − 1): a slope of about 0.63 at 0, and of 1 far up.
    let shifted = raw + 0.541_324_854_612_918_1;
    let softplus = shifted.max(0.0) + (-shifted.abs()).exp().ln_1p();
    let slope = if shifted > 0.0 { 1.0 / (1.0 + (-shifted).exp()) } else { shifted.exp() / (1.0 + shifted.exp()) };
    ((1.0 - LEAST) * (softplus - 1.0), (1.0 - LEAST) * slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn random(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| (((i + 3) * (seed + 11) * 7919) % 1000) as f64 / 250.0 - 2.0).collect()
    }

    fn each(mut f: impl FnMut(&Kind, usize, &dyn Fn(&[Vec<f64>]) -> Arc<dyn Formula>, Vec<Vec<f64>>)) {
        let residual = Residual { hidden: vec![7, 5], ..Residual::default() };
        let continuous = Continuous { hidden: vec![7, 5], tolerance: 1e-13, ..Continuous::default() };
        for kind in [Kind::Planar, Kind::Radial, Kind::Residual(residual), Kind::Continuous(continuous)] {
            for dim in [1, 2, 5] {
                let sized = Joint::Formula(kind.clone()).tensors(dim).into_iter().enumerate();
                let values: Vec<Vec<f64>> = sized.map(|(t, (_, len))| random(len, t + dim)).collect();
                f(&kind, dim, &|values| kind.settings().formula(dim, values), values);
            }
        }
    }

    #[test]
    fn an_image_far_out_or_of_hostile_values_comes_back() {
        each(|kind, dim, of, values| {
            // Steep fields far out have no solution that a double holds.
            if matches!(kind, Kind::Continuous(_)) {
                return;
            }
            for (hostile, tolerance) in [(1.0, 1e-12), (10.0, 1e-10), (1e6, 1e-9)] {
                let values: Vec<Vec<f64>> = values.iter().map(|v| v.iter().map(|v| v * hostile).collect()).collect();
                let formula = of(&values);
                for far in [0.0, 1e-9, 1.0, 1e3, 1e6, 1e12] {
                    let x: Vec<f64> = random(dim, 5).iter().map(|x| x * far).collect();
                    let mut y = x.clone();
                    let (mut there, mut back) = ([0.0], [0.0]);
                    formula.forward(1, &mut y, &mut there);
                    formula.inverse(1, &mut y, &mut back);
                    // The least slope of a layer is a hundredth.
                    let error = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max) / (1.0 + far);
                    assert!(error < 100.0 * tolerance, "{kind:?}, dim {dim}, {hostile}, {far}: {x:?} {y:?}");
                    let [there, back] = [there[0], back[0]];
                    assert!((there + back).abs() < 1e-6 * (1.0 + there.abs()), "{kind:?} {there} {back}");
                }
            }
        });
    }

    #[test]
    fn slopes_are_central_differences() {
        each(|kind, dim, of, values| {
            let (x, weights) = (random(dim, 7), random(dim, 8));
            // A loss that asks for every image and for the log-det.
            let loss = |values: &[Vec<f64>], x: &[f64]| {
                let mut y = x.to_vec();
                let mut log_det = [0.0];
                of(values).forward(1, &mut y, &mut log_det);
                dot(&y, &weights) + 0.3 * log_det[0]
            };
            let near = |name: &str, found: f64, plus: f64, minus: f64, step: f64| {
                let expected = (plus - minus) / (2.0 * step);
                assert!(
                    (found - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "{kind:?} {dim} {name}: {found} {expected}"
                );
            };
            let formula = of(&values);
            let mut back = weights.clone();
            formula.backward(1, &x, &mut back, &[0.3]);
            for i in 0..dim {
                let at = |step: f64| {
                    let mut x = x.clone();
                    x[i] += step;
                    loss(&values, &x)
                };
                near("x", back[i], at(1e-5), at(-1e-5), 1e-5);
            }
            formula.adjoint(1, &x, &mut back, &[0.3]);
            back.iter()
                .zip(&weights)
                .for_each(|(back, weight)| assert!((back - weight).abs() < 1e-9, "{kind:?} {dim}"));
            let mut sums = vec![0.0; formula.sums()];
            formula.add(1, &x, &weights, &[0.3], &mut sums);
            for (t, found) in formula.pull_back(&sums).into_iter().enumerate() {
                for (i, found) in found.into_iter().enumerate() {
                    let at = |step: f64| {
                        let mut values = values.clone();
                        values[t][i] += step;
                        loss(&values, &x)
                    };
                    near(Joint::Formula(kind.clone()).tensors(dim)[t].0, found, at(1e-5), at(-1e-5), 1e-5);
                }
            }
        });
    }
}
