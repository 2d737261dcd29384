//! Draws of models and of targets, and the log weights between them, in bounded memory.

use crate::error::{Error, Result};
use crate::flow::{FrozenModel, Method};
use crate::seed::Stream;
use crate::target::{evaluate_in_pieces, Density, Faults, Sampler};

/// Rows carried through a model at a time.
const ROWS: usize = 8192;

/// Draws of a model with their log weights.
#[derive(Debug, Clone, Default)]
pub struct WeightedDraws {
    /// The first of the draws, row-major.
    pub points: Vec<f64>,
    /// log γ − log q of all of them.
    pub log_weights: Vec<f64>,
    /// How many the density could not evaluate; their weight is zero.
    pub failed: usize,
    /// Draws of the density by somebody else that are kept beside them, row-major.
    pub independent: Vec<f64>,
}

/// log γ − log q at `draws` draws of `model`, with base noise from `noise`; and how many rows the density could not evaluate, which
/// have the weight zero.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn log_weights_of_draws(
    model: &FrozenModel<f64>,
    density: &dyn Density,
    draws: usize,
    noise: &Stream,
) -> Result<(Vec<f64>, usize)> {
    let WeightedDraws { log_weights, failed, .. } = weighted_draws(model, density, draws, noise, 0)?;
    Ok((log_weights, failed))
}

/// The same, with the first `kept` of the draws.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn weighted_draws(
    model: &FrozenModel<f64>,
    density: &dyn Density,
    draws: usize,
    noise: &Stream,
    kept: usize,
) -> Result<WeightedDraws> {
    let dim = model.dim();
    let mut all = WeightedDraws { log_weights: Vec::with_capacity(draws), ..WeightedDraws::default() };
    for first in (0..draws).step_by(ROWS) {
        let rows = ROWS.min(draws - first);
        let (mut points, mut log_q) = (vec![0.0; rows * dim], vec![0.0; rows]);
        model.draw(Method::Cached, noise, first as u64, &mut points, &mut log_q);
        let mut values = vec![0.0; rows];
        let mut faults = Faults::default();
        evaluate_in_pieces(density, &points, &mut values, None, &mut faults).map_err(|fatal| Error::Target(fatal.0))?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        all.failed += faults.rows().len();
        all.log_weights.extend(values.iter().zip(&log_q).map(|(value, q)| value - q));
        points.truncate(kept.saturating_sub(first) * dim);
        all.points.append(&mut points);
    }
    Ok(all)
}

/// log γ − log q at `points`, which are draws from elsewhere; NaN where the density could not be evaluated.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn log_weights_at(model: &FrozenModel<f64>, density: &dyn Density, points: &[f64]) -> Result<Vec<f64>> {
    let dim = model.dim();
    let mut log_weights = Vec::with_capacity(points.len() / dim);
    for points in points.chunks(ROWS * dim) {
        let rows = points.len() / dim;
        let (mut values, mut log_q) = (vec![0.0; rows], vec![0.0; rows]);
        let mut faults = Faults::default();
        evaluate_in_pieces(density, points, &mut values, None, &mut faults).map_err(|fatal| Error::Target(fatal.0))?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NAN);
        model.log_prob(points, &mut log_q);
        log_weights.extend(values.iter().zip(&log_q).map(|(value, q)| value - q));
    }
    Ok(log_weights)
}

/// `draws` draws of `model`, which is given nothing, with base noise from `noise`.
pub fn draws_of(model: &FrozenModel<f64>, draws: usize, noise: &Stream) -> Vec<f64> {
    draws_beside(model, &[], draws, noise)
}

/// `draws` draws of `model`, which are given in turn what each of `rows` (of all its columns, row-major) has where the model is given something.
pub fn draws_beside(model: &FrozenModel<f64>, rows: &[f64], draws: usize, noise: &Stream) -> Vec<f64> {
    let (dim, given) = (model.dim(), model.space().given);
    let mut points = vec![0.0; draws * dim];
    if given > 0 {
        let rows = rows.chunks_exact(dim).cycle();
        points.chunks_exact_mut(dim).zip(rows).for_each(|(point, row)| point[..given].copy_from_slice(&row[..given]));
    }
    for (piece, points) in points.chunks_mut(ROWS * dim).enumerate() {
        let rows = points.len() / dim;
        model.draw(Method::Cached, noise, (piece * ROWS) as u64, points, &mut vec![0.0; rows]);
    }
    points
}

/// `rows` exact draws, each from its own place in the stream.
pub fn exact_draws(sampler: &dyn Sampler, dim: usize, rows: usize, stream: &Stream) -> Vec<f64> {
    let mut values = vec![0.0; rows * dim];
    for (row, point) in values.chunks_exact_mut(dim).enumerate() {
        sampler.draw(&mut stream.row(row as u64), point);
    }
    values
}
