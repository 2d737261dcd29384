//! The mode of a density, by a quasi-Newton method that survives places where the density cannot be evaluated.

use super::{Density, Faults};

/// A point where the gradient of log γ is as good as zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// The point.
    pub point: Vec<f64>,
    /// log γ there.
    pub value: f64,
    /// The largest entry of the gradient there.
    pub slope: f64,
    /// Evaluations of density and gradient.
    pub evaluations: usize,
}

/// Pairs of steps and gradient differences that are remembered.
const MEMORY: usize = 20;
/// Steps after which a search has failed.
const STEPS: usize = 2_000;
/// Trials of one line search.
const TRIALS: usize = 60;

/// Climbs from `start` to a mode, in at most 2,000 steps, by limited-memory BFGS (Nocedal 1980) with a bisecting search for the weak Wolfe
/// conditions (Lewis and Overton 2013). A point whose density is zero, not a number or a fault is a step too far.
///
/// # Errors
/// Why it did not arrive: the start cannot be evaluated, or the steps ran out.
pub fn climb(density: &dyn Density, start: &[f64]) -> Result<Mode, String> {
    walk(density, start, STEPS, &mut Vec::new())
}

/// [`climb`] in at most so many steps, which adds where it comes by to `trail`, the start included.
///
/// # Errors
/// As [`climb`].
pub(super) fn walk(
    density: &dyn Density,
    start: &[f64],
    most_steps: usize,
    trail: &mut Vec<Vec<f64>>,
) -> Result<Mode, String> {
    let mut evaluations = 0;
    // −log γ and its gradient; infinite where there is none.
    let mut evaluate = |point: &[f64]| -> Result<(f64, Vec<f64>), String> {
        evaluations += 1;
        let (mut value, mut gradient, mut faults) = ([0.0], vec![0.0; point.len()], Faults::default());
        density.evaluate(point, &mut value, Some(&mut gradient), &mut faults).map_err(|fatal| fatal.0)?;
        gradient.iter_mut().for_each(|g| *g = -*g);
        let usable = faults.rows().is_empty() && value[0].is_finite() && gradient.iter().all(|g| g.is_finite());
        Ok((if usable { -value[0] } else { f64::INFINITY }, gradient))
    };
    let mut point = start.to_vec();
    let (mut value, mut gradient) = evaluate(&point)?;
    if !value.is_finite() {
        return Err("its density cannot be evaluated".into());
    }
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut still = 0;
    trail.push(point.clone());
    for _ in 0..most_steps {
        let slope = largest(&gradient);
        if slope <= 1e-9 * (1.0 + value.abs()) || still >= 3 {
            return Ok(Mode { point, value: -value, slope, evaluations });
        }
        let mut direction = downhill(&gradient, &pairs);
        if dot(&direction, &gradient) >= 0.0 {
            pairs.clear();
            direction = downhill(&gradient, &pairs);
        }
        let descent = dot(&direction, &gradient);
        let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
        let mut best: Option<(f64, Vec<f64>, Vec<f64>)> = None;
        for _ in 0..TRIALS {
            let moved: Vec<f64> = point.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let (there, slopes) = evaluate(&moved)?;
            if !there.is_finite() || there > value + 1e-4 * step * descent {
                high = step;
            } else {
                let flat = dot(&slopes, &direction) >= 0.9 * descent;
                best = Some((there, moved, slopes));
                if flat {
                    break;
                }
                low = step;
            }
            step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * step };
        }
        let Some((there, moved, slopes)) = best else {
            if pairs.is_empty() {
                // Not even straight downhill: as near as rounding allows.
                still = 3;
            }
            pairs.clear();
            continue;
        };
        still = if value - there <= 1e-13 * (1.0 + value.abs()) { still + 1 } else { 0 };
        let s: Vec<f64> = moved.iter().zip(&point).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = slopes.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        if dot(&s, &y) > 1e-12 * (dot(&s, &s) * dot(&y, &y)).sqrt() {
            pairs.push((s, y));
            if pairs.len() > MEMORY {
                pairs.remove(0);
            }
        }
        (point, value, gradient) = (moved, there, slopes);
        trail.push(point.clone());
    }
    Err(format!(
        "it has not arrived after {most_steps} steps, where log γ is {:.6e} and its slope {:.1e}",
        -value,
        largest(&gradient)
    ))
}

/// −H⁻¹ g by the two-loop recursion; without pairs, a step of at most length 1 straight downhill.
fn downhill(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let Some((s, y)) = pairs.last() else {
        let length = dot(gradient, gradient).sqrt().max(1.0);
        direction.iter_mut().for_each(|d| *d /= length);
        return direction;
    };
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y) in pairs.iter().rev() {
        let alpha = dot(s, &direction) / dot(s, y);
        direction.iter_mut().zip(y).for_each(|(d, y)| *d -= alpha * y);
        alphas.push(alpha);
    }
    let scale = dot(s, y) / dot(y, y);
    direction.iter_mut().for_each(|d| *d *= scale);
    for ((s, y), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(y, &direction) / dot(s, y);
        direction.iter_mut().zip(s).for_each(|(d, s)| *d += (alpha - beta) * s);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}
