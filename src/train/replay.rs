//! Draws that were paid for are trained on again while the flow that drew them is near.

use super::annealing::ess;
use crate::params::Parts;
use crate::seed::{open_unit, Stream};
use serde::{Deserialize, Serialize};

/// How often draws of a reverse KL are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replay {
    /// Steps over kept draws after each step over fresh ones.
    pub times: u64,
    /// Batches that are kept: the latest.
    pub batches: usize,
}

impl Default for Replay {
    fn default() -> Self {
        Self { times: 3, batches: 8 }
    }
}

impl Replay {
    /// Everything that is wrong with it.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.times == 0 || self.times > 1_000 {
            faults.push(format!("replay: times is {}; 1 to 1000 is right", self.times));
        }
        if self.batches == 0 || self.batches > 10_000 {
            faults.push(format!("replay: batches is {}; 1 to 10000 is right", self.batches));
        }
        faults
    }
}

/// ESS/N of a kept batch's weights below which the flow has moved on from it: fresh draws take its place.
const STILL_NEAR: f64 = 0.3;
/// Importance weights are truncated there (Ionides 2008): far fewer draws than a batch would decide otherwise.
const LARGEST_WEIGHT: f64 = 2.0;

/// The latest draws of a target with what they cost: its gradients. Row-major, in the flow's coordinates.
#[derive(Debug, Default)]
pub(super) struct Paid {
    dim: usize,
    next: usize,
    points: Vec<f64>,
    slopes: Vec<f64>,
    /// log q as it was when the flow drew them.
    log_q: Vec<f64>,
    /// log γ with the Jacobian of the coordinates.
    values: Vec<f64>,
}

/// Kept draws that a step is made of.
#[derive(Debug, Default)]
pub(super) struct Again {
    rows: Vec<usize>,
    pub points: Vec<f64>,
    pub slopes: Vec<f64>,
    pub values: Vec<f64>,
    /// What each adds to a mean over draws of the flow as it is now; filled by [`Again::weigh`].
    pub shares: Vec<f64>,
}

impl Paid {
    /// Puts them into `parts`.
    pub fn put(&self, under: &str, parts: &mut Parts) {
        parts.words.insert(format!("{under}.paid"), vec![self.dim as u64, self.next as u64]);
        let all =
            [("points", &self.points), ("slopes", &self.slopes), ("log_q", &self.log_q), ("values", &self.values)];
        all.into_iter().for_each(|(name, values)| {
            parts.doubles.insert(format!("{under}.paid.{name}"), values.clone());
        });
    }

    /// Those that [`Paid::put`] put there.
    pub fn of(under: &str, parts: &Parts) -> Result<Self, String> {
        let [dim, next] = parts.counters(&format!("{under}.paid"))?;
        let take = |name: &str| parts.doubles_of(&format!("{under}.paid.{name}"));
        let (points, slopes, log_q, values) = (take("points")?, take("slopes")?, take("log_q")?, take("values")?);
        let (dim, rows) = (dim as usize, log_q.len());
        if points.len() != rows * dim || slopes.len() != rows * dim || values.len() != rows {
            return Err("kept draws have not all of their parts".into());
        }
        Ok(Self { dim, next: next as usize, points, slopes, log_q, values })
    }

    pub fn rows(&self) -> usize {
        self.log_q.len()
    }

    /// Keeps a draw; the oldest goes where there are `most`.
    pub fn keep(&mut self, most: usize, point: &[f64], slope: &[f64], log_q: f64, value: f64) {
        self.dim = point.len();
        if self.rows() < most {
            self.points.extend_from_slice(point);
            self.slopes.extend_from_slice(slope);
            self.log_q.push(log_q);
            self.values.push(value);
            return;
        }
        let (row, dim) = (self.next % self.rows(), self.dim);
        self.points[row * dim..][..dim].copy_from_slice(point);
        self.slopes[row * dim..][..dim].copy_from_slice(slope);
        (self.log_q[row], self.values[row]) = (log_q, value);
        self.next = row + 1;
    }

    /// Takes a batch of them at random, with replacement.
    pub fn take(&self, batch: usize, stream: &Stream, step: u64, again: &mut Again) {
        let mut words = stream.row(step);
        again.rows.clear();
        again.rows.extend((0..batch).map(|_| (open_unit(&mut words) * self.rows() as f64) as usize));
        let dim = self.dim;
        let copy = |from: &[f64], to: &mut Vec<f64>| {
            to.clear();
            again.rows.iter().for_each(|row| to.extend_from_slice(&from[row * dim..][..dim]));
        };
        copy(&self.points, &mut again.points);
        copy(&self.slopes, &mut again.slopes);
        again.values.clear();
        again.values.extend(again.rows.iter().map(|&row| self.values[row]));
    }

    /// Weighs a batch by the flow's log densities now; false where the flow is no longer near enough.
    pub fn weigh(&self, log_q: &[f64], again: &mut Again) -> bool {
        let log_weights = || log_q.iter().zip(&again.rows).map(|(now, &row)| now - self.log_q[row]);
        let near = ess(log_weights()) >= STILL_NEAR;
        let batch = log_q.len() as f64;
        let share =
            |log_weight: f64| if log_weight.is_nan() { 0.0 } else { log_weight.exp().min(LARGEST_WEIGHT) / batch };
        let shares = log_weights().map(share).collect();
        again.shares = shares;
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn the_latest_draws_are_kept_and_weighed_by_how_likely_they_are_now() {
        let mut paid = Paid::default();
        for i in 0..7 {
            let x = f64::from(i);
            paid.keep(3, &[x, -x], &[10.0 * x, 0.0], 0.5 * x, x);
        }
        let mut values = paid.values.clone();
        values.sort_by(f64::total_cmp);
        assert_eq!(values, [4.0, 5.0, 6.0]);
        let (stream, mut again) = (Seed(1).stream("again"), Again::default());
        paid.take(600, &stream, 3, &mut again);
        for (row, value) in again.values.iter().enumerate() {
            assert_eq!(&again.points[2 * row..][..2], [*value, -value]);
            assert_eq!(again.slopes[2 * row], 10.0 * value);
        }
        let of_five = again.values.iter().filter(|value| **value == 5.0).count();
        assert!((150..250).contains(&of_five), "{of_five}");
        // Twice, half and a hundred times as likely as they were.
        let factor = |value: f64| {
            if value == 4.0 {
                2.0f64
            } else if value == 5.0 {
                0.5
            } else {
                100.0
            }
        };
        let now: Vec<f64> = again.values.iter().map(|value| 0.5 * value + factor(*value).ln()).collect();
        assert!(paid.weigh(&now, &mut again), "a third of the rows has nearly all of the weight: still near");
        for (share, value) in again.shares.iter().zip(&again.values) {
            assert!((share - factor(*value).min(2.0) / 600.0).abs() < 1e-15);
        }
        let far: Vec<f64> = (0..600).map(|row| if row == 0 { 20.0 } else { 0.5 * again.values[row] }).collect();
        assert!(!paid.weigh(&far, &mut again));
    }
}
