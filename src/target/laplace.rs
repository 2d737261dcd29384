//! Laplace's approximation: the normal distribution at a mode with the curvature of log γ there.

use super::mode::{climb, Mode};
use super::{evaluate_in_pieces, Density, Faults};
use crate::cholesky;
use std::f64::consts::TAU;

/// A normal approximation of a density.
#[derive(Debug, Clone, PartialEq)]
pub struct Laplace {
    /// The highest mode that was found.
    pub mode: Mode,
    /// The inverse of −∇∇ log γ at the mode, row-major.
    pub covariance: Vec<f64>,
    /// log γ(mode) + ½ dim ln 2π − ½ ln det(−∇∇ log γ): log Z if the density were normal.
    pub log_evidence: f64,
    /// What was added to the diagonal of −∇∇ log γ, as a multiple of it; 0 where it was positive definite.
    pub ridge: f64,
    /// Starts from which a mode was reached, and all starts.
    pub arrived: [usize; 2],
}

/// Climbs from each of `starts` and approximates `density` at the highest mode.
///
/// # Errors
/// If no start arrives at a mode, or the curvature there is not finite.
pub fn laplace(density: &dyn Density, starts: &[Vec<f64>]) -> Result<Laplace, String> {
    let mut best: Option<Mode> = None;
    let (mut arrived, mut reason) = (0, String::from("there is no start"));
    for start in starts {
        match climb(density, start) {
            Err(fault) => reason = fault,
            Ok(mode) => {
                arrived += 1;
                if best.as_ref().is_none_or(|best| mode.value > best.value) {
                    best = Some(mode);
                }
            }
        }
    }
    let mode = best.ok_or_else(|| format!("none of {} starts reached a mode of the target: {reason}", starts.len()))?;
    let (covariance, log_evidence, ridge) = normal_at(density, &mode.point, mode.value)?;
    Ok(Laplace { mode, covariance, log_evidence, ridge, arrived: [arrived, starts.len()] })
}

/// The inverse of −∇∇ log γ at `point`, log ∫ of the normal density with that covariance which is γ there, and the multiple of the diagonal
/// that had to be added.
///
/// # Errors
/// If the curvature is not finite.
pub(super) fn normal_at(density: &dyn Density, point: &[f64], value: f64) -> Result<(Vec<f64>, f64, f64), String> {
    let dim = point.len();
    // Once to learn the scales, and again with steps that fit them.
    let mut steps: Vec<f64> = point.iter().map(|x| 1e-4 * (1.0 + x.abs())).collect();
    let mut precision = curvature(density, point, &steps)?;
    for (i, step) in steps.iter_mut().enumerate() {
        if precision[i * dim + i] > 0.0 {
            *step = 1e-3 / precision[i * dim + i].sqrt();
        }
    }
    if let Ok(refined) = curvature(density, point, &steps) {
        if refined.iter().all(|value| value.is_finite()) {
            precision = refined;
        }
    }
    let fault = |fault| format!("the curvature of the target at its mode cannot be used: {fault}");
    let (factor, ridge) = cholesky::regularised(&precision, dim).map_err(fault)?;
    let half_log_det: f64 = factor.iter().step_by(dim + 1).map(|pivot| pivot.ln()).sum();
    let log_evidence = value + 0.5 * dim as f64 * TAU.ln() - half_log_det;
    Ok((cholesky::inverse(&factor, dim), log_evidence, ridge))
}

/// −∇∇ log γ at `point` by central differences of the gradient with these steps, made symmetric.
fn curvature(density: &dyn Density, point: &[f64], steps: &[f64]) -> Result<Vec<f64>, String> {
    let dim = point.len();
    let mut points = point.repeat(2 * dim);
    for (i, pair) in points.chunks_exact_mut(2 * dim).enumerate() {
        pair[i] += steps[i];
        pair[dim + i] -= steps[i];
    }
    let (mut values, mut gradients) = (vec![0.0; 2 * dim], vec![0.0; 2 * dim * dim]);
    let mut faults = Faults::default();
    evaluate_in_pieces(density, &points, &mut values, Some(&mut gradients), &mut faults).map_err(|fatal| fatal.0)?;
    if let Some(reason) = faults.reason() {
        return Err(format!("the target cannot be evaluated near its mode: {reason}"));
    }
    let mut raw = vec![0.0; dim * dim];
    for (i, pair) in gradients.chunks_exact(2 * dim).enumerate() {
        for j in 0..dim {
            raw[i * dim + j] = (pair[dim + j] - pair[j]) / (2.0 * steps[i]);
        }
    }
    Ok((0..dim * dim).map(|cell| 0.5 * (raw[cell] + raw[cell % dim * dim + cell / dim])).collect())
}
