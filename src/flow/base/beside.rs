//! A base beside columns that are given, which it passes on.

use super::{Base, Strata};
use crate::seed::Stream;
use std::sync::Arc;

/// The noise of draws from rows `first ..` of `stream`, `width` numbers to a row: the first `given` columns of rows of `dim`, and standard
/// normals.
pub fn fresh_noise(
    stream: &Stream,
    first: u64,
    (points, dim, given): (&[f64], usize, usize),
    width: usize,
    noise: &mut Vec<f64>,
) {
    let (rows, normals) = (points.len() / dim, width - given);
    noise.resize(rows * width, 0.0);
    stream.normals(first, normals, &mut noise[..rows * normals]);
    if given == 0 {
        return;
    }
    // From the last row on, so that nothing is overwritten before it has been moved.
    for (row, point) in points.chunks_exact(dim).enumerate().rev() {
        noise.copy_within(row * normals..(row + 1) * normals, row * width + given);
        noise[row * width..][..given].copy_from_slice(&point[..given]);
    }
}

/// The density of another base over all but the first `given` columns of a row, whatever those are. The noise of a draw begins with the
/// columns that are given.
#[derive(Debug, Clone)]
pub struct Beside {
    given: usize,
    base: Arc<dyn Base>,
}

impl Beside {
    /// `base` beside so many columns; itself where there are none.
    pub fn columns(given: usize, base: Arc<dyn Base>) -> Arc<dyn Base> {
        if given == 0 {
            base
        } else {
            Arc::new(Self { given, base })
        }
    }
}

impl Base for Beside {
    fn dim(&self) -> usize {
        self.given + self.base.dim()
    }

    fn noise_width(&self) -> usize {
        self.given + self.base.noise_width()
    }

    fn is_everywhere(&self) -> bool {
        self.base.is_everywhere()
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        let ((context, noise), (kept, z)) = (noise.split_at(self.given), z.split_at_mut(self.given));
        kept.copy_from_slice(context);
        self.base.push(noise, z);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        self.base.log_prob(&z[self.given..])
    }

    fn score(&self, z: &[f64], score: &mut [f64]) {
        let (of_given, score) = score.split_at_mut(self.given);
        of_given.fill(0.0);
        self.base.score(&z[self.given..], score);
    }

    fn push_slopes(&self, tensor: usize, noise: &[f64], places: &mut [usize], slopes: &mut [f64]) {
        let ((no_place, places), (no_slope, slopes)) =
            (places.split_at_mut(self.given), slopes.split_at_mut(self.given));
        no_place.fill(0);
        no_slope.fill(0.0);
        self.base.push_slopes(tensor, &noise[self.given..], places, slopes);
    }

    fn log_prob_slopes(&self, z: &[f64], slopes: &mut [f64]) {
        self.base.log_prob_slopes(&z[self.given..], slopes);
    }

    fn strata(&self, rows: usize) -> Option<Strata> {
        self.base.strata(rows)
    }
}
