//! The multivariate normal distribution.

use super::{Density, Pointwise, Sampler, TargetSettings};
use crate::cholesky;
use crate::seed::{normal_pair, Seed};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::path::Path;

/// log p(x) = −½ (x − m)ᵀ Σ⁻¹ (x − m) − ½ ln det Σ − ½ dim ln 2π with mean m and covariance Σ: normalised, so log Z = 0.
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// The lower Cholesky factor of the covariance, row-major.
    factor: Vec<f64>,
    constant: f64,
}

impl Gaussian {
    /// From a mean and a covariance matrix (row-major).
    ///
    /// # Errors
    /// If the sizes differ, a number is not finite, or the matrix is not symmetric or not positive definite.
    pub fn new(mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self, String> {
        let dim = mean.len();
        if dim == 0 || covariance.len() != dim * dim {
            return Err(format!(
                "a mean of {dim} and a covariance of {} numbers; n and n × n are right",
                covariance.len()
            ));
        }
        if let Some(bad) = mean.iter().chain(&covariance).find(|value| !value.is_finite()) {
            return Err(format!("mean or covariance holds {bad}; finite numbers are right"));
        }
        for i in 0..dim {
            for j in 0..i {
                let (a, b) = (covariance[i * dim + j], covariance[j * dim + i]);
                if (a - b).abs() > 1e-9 * (a.abs() + b.abs()) {
                    return Err(format!(
                        "covariance[{i}][{j}] is {a} but covariance[{j}][{i}] is {b}; they must be equal"
                    ));
                }
            }
        }
        let factor = factor_of(&covariance, dim)?;
        let log_det: f64 = (0..dim).map(|i| factor[i * dim + i].ln()).sum();
        Ok(Self { constant: -0.5 * dim as f64 * TAU.ln() - log_det, mean, factor })
    }

    /// N(A⁻¹b, A⁻¹) from a precision matrix A and a vector b, with ln det A.
    ///
    /// # Errors
    /// If A is not positive definite.
    pub(super) fn from_precision(precision: &[f64], b: &[f64]) -> Result<(Self, f64), String> {
        let dim = b.len();
        let factor = factor_of(precision, dim)?;
        let covariance = cholesky::inverse(&factor, dim);
        let mean = covariance.chunks_exact(dim).map(|row| row.iter().zip(b).map(|(c, b)| c * b).sum()).collect();
        let log_det = 2.0 * (0..dim).map(|i| factor[i * dim + i].ln()).sum::<f64>();
        Ok((Self::new(mean, covariance)?, log_det))
    }

    /// The mean.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Centred, with eigenvalues log-spaced from `condition`^−½ to `condition`^½ in a random rotation, uniform over all rotations
    /// (Stewart 1980) and fixed by `rotation`.
    ///
    /// # Errors
    /// If `dim` is 0 or beyond 512, or `condition` is not between 1 and 10⁸.
    pub fn conditioned(dim: usize, condition: f64, rotation: u64) -> Result<Self, String> {
        if !(1..=512).contains(&dim) {
            return Err(format!("dim is {dim}; 1 to 512 is right"));
        }
        if !(condition.is_finite() && (1.0..=1e8).contains(&condition)) {
            return Err(format!("condition is {condition}; 1 to 1e8 is right"));
        }
        let axes = random_rotation(dim, rotation);
        let eigenvalues: Vec<f64> =
            (0..dim).map(|k| if dim == 1 { 1.0 } else { condition.powf(k as f64 / (dim - 1) as f64 - 0.5) }).collect();
        let mut covariance = vec![0.0; dim * dim];
        for (axis, eigenvalue) in axes.iter().zip(eigenvalues) {
            for i in 0..dim {
                for j in 0..dim {
                    covariance[i * dim + j] += eigenvalue * axis[i] * axis[j];
                }
            }
        }
        Self::new(vec![0.0; dim], covariance)
    }
}

/// The lower Cholesky factor of a covariance matrix.
fn factor_of(matrix: &[f64], dim: usize) -> Result<Vec<f64>, String> {
    cholesky::factor(matrix, dim)
        .map_err(|(i, pivot)| format!("covariance is not positive definite: pivot {} is {pivot:.3e}", i + 1))
}

/// Orthonormal rows, from normal vectors by Gram and Schmidt's process, done twice for orthogonality to rounding.
fn random_rotation(dim: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut entries = vec![0.0; dim * dim];
    Seed(seed).stream("gaussian/rotation").normals(0, dim, &mut entries);
    let mut axes: Vec<Vec<f64>> = Vec::with_capacity(dim);
    for row in entries.chunks_exact(dim) {
        let mut axis = row.to_vec();
        for _ in 0..2 {
            for earlier in &axes {
                let dot: f64 = axis.iter().zip(earlier).map(|(a, b)| a * b).sum();
                axis.iter_mut().zip(earlier).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = axis.iter().map(|a| a * a).sum::<f64>().sqrt();
        axis.iter_mut().for_each(|a| *a /= norm);
        axes.push(axis);
    }
    axes
}

/// What is written for `Gaussian`: centred, with log-spaced eigenvalues in a random rotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Gaussian", deny_unknown_fields)]
pub struct GaussianSettings {
    /// The number of coordinates.
    pub dim: usize,
    /// The ratio of the largest to the smallest variance.
    #[serde(default = "thousand")]
    pub condition: f64,
    /// The seed of the rotation.
    #[serde(default = "one")]
    pub rotation: u64,
}

fn thousand() -> f64 {
    1000.0
}

fn one() -> u64 {
    1
}

impl TargetSettings for GaussianSettings {
    const EXAMPLE: &'static str = "Gaussian(dim: 20, condition: 1000.0, rotation: 1)";
    const ABOUT: &'static str = "strong correlations, everything known in closed form";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(Gaussian::conditioned(self.dim, self.condition, self.rotation)?))
    }
}

/// What is written for `Normal`: a normal distribution of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Normal", deny_unknown_fields)]
pub struct NormalSettings {
    /// The mean.
    pub mean: Vec<f64>,
    /// The rows of the covariance matrix.
    pub covariance: Vec<Vec<f64>>,
}

impl TargetSettings for NormalSettings {
    const EXAMPLE: &'static str = "Normal(mean: [0.0, 1.0], covariance: [[2.0, 0.5], [0.5, 1.0]])";
    const ABOUT: &'static str = "a normal distribution of your own";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        if let Some(row) = self.covariance.iter().position(|row| row.len() != self.mean.len()) {
            let (found, right) = (self.covariance[row].len(), self.mean.len());
            return Err(format!("covariance[{row}] has {found} entries; {right}, as many as the mean, are right"));
        }
        Ok(Box::new(Gaussian::new(self.mean.clone(), self.covariance.concat())?))
    }
}

impl Pointwise for Gaussian {
    fn dim(&self) -> usize {
        self.mean.len()
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let dim = self.mean.len();
        let mut z = vec![0.0; dim];
        // z = L⁻¹ (x − mean): the value is −½‖z‖², the gradient −L⁻ᵀ z.
        for i in 0..dim {
            let row = &self.factor[i * dim..][..i];
            let dot: f64 = row.iter().zip(&z).map(|(l, z)| l * z).sum();
            z[i] = (x[i] - self.mean[i] - dot) / self.factor[i * dim + i];
        }
        let value = self.constant - 0.5 * z.iter().map(|z| z * z).sum::<f64>();
        if let Some(gradient) = gradient {
            for i in (0..dim).rev() {
                let solved = z[i] / self.factor[i * dim + i];
                gradient[i] = -solved;
                let row = &self.factor[i * dim..][..i];
                z.iter_mut().zip(row).for_each(|(z, l)| *z -= l * solved);
            }
        }
        value
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Gaussian {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        let dim = self.mean.len();
        for pair in point.chunks_mut(2) {
            let z = normal_pair(rng);
            pair.copy_from_slice(&z[..pair.len()]);
        }
        // From the last row up, so that L z can take z's place.
        for i in (0..dim).rev() {
            let row = &self.factor[i * dim..][..=i];
            point[i] = self.mean[i] + row.iter().zip(point.iter()).map(|(l, z)| l * z).sum::<f64>();
        }
    }
}
