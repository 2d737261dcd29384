//! Chunks of rows, laid out for the kernels, and how they are divided among threads.

use super::lanes::{padded, LANES};
use super::real::Real;
use rayon::prelude::*;

/// Rows of one chunk: few enough for its activations to stay in a core's cache.
pub const CHUNK: usize = 64;

/// Elementary operations below which dividing work costs more than it saves.
pub const SERIAL_BELOW: usize = 1_000_000;

/// Rows of a chunk where results do not depend on the division, so that a batch of a few chunks still fills all threads.
pub fn chunk_rows(rows: usize) -> usize {
    padded(rows.div_ceil(rayon::current_num_threads())).clamp(LANES, CHUNK)
}

/// Calls `f` on each of `pieces` with scratch space that is used again from piece to piece; in parallel if `work`, the number of
/// elementary operations in all, is worth it.
pub fn for_each_piece<P: Send, S>(
    pieces: impl IntoIterator<Item = P>,
    work: usize,
    scratch: impl Fn() -> S + Send + Sync,
    f: impl Fn(&mut S, P) + Send + Sync,
) {
    if work < SERIAL_BELOW || rayon::current_num_threads() < 2 {
        let mut scratch = scratch();
        pieces.into_iter().for_each(|piece| f(&mut scratch, piece));
    } else {
        pieces.into_iter().collect::<Vec<P>>().into_par_iter().for_each_init(scratch, f);
    }
}

/// A chunk of rows on its way through maps: unit-major points, in the user's order of columns, and what has come together of the
/// log-dets.
#[derive(Debug, Clone, Default)]
pub struct Chunk<E> {
    rows: usize,
    stride: usize,
    /// The points: `stride` lanes to a column, of which the first `rows` count.
    pub points: Vec<E>,
    /// The log-dets of the lanes.
    pub log_det: Vec<f64>,
}

impl<E: Real> Chunk<E> {
    /// Takes row-major `points` (`dim` numbers to a row), with log-dets of zero.
    pub fn load<A: Copy>(&mut self, dim: usize, points: &[A], convert: impl Fn(A) -> E) {
        self.rows = points.len() / dim;
        self.stride = padded(self.rows);
        self.log_det.clear();
        self.log_det.resize(self.stride, 0.0);
        to_lanes(dim, points, self.stride, &mut self.points, convert);
    }

    /// Hands the points over, row-major.
    pub fn store<A>(&self, dim: usize, points: &mut [A], convert: impl Fn(E) -> A) {
        to_rows(dim, &self.points, self.stride, points, |to, value| *to = convert(value));
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of lanes.
    pub fn stride(&self) -> usize {
        self.stride
    }
}

/// Brings row-major numbers into `stride` lanes to a column; lanes without a row are zero.
pub fn to_lanes<A: Copy, E: Real>(dim: usize, rows: &[A], stride: usize, lanes: &mut Vec<E>, convert: impl Fn(A) -> E) {
    lanes.resize(dim * stride, E::ZERO);
    for (column, lanes) in lanes.chunks_exact_mut(stride).enumerate() {
        let (filled, padding) = lanes.split_at_mut(rows.len() / dim);
        for (value, row) in filled.iter_mut().zip(rows.chunks_exact(dim)) {
            *value = convert(row[column]);
        }
        padding.fill(E::ZERO);
    }
}

/// Calls `take` on each row-major number with the lane that belongs to it.
pub fn to_rows<A, E: Real>(dim: usize, lanes: &[E], stride: usize, rows: &mut [A], take: impl Fn(&mut A, E)) {
    for (r, row) in rows.chunks_exact_mut(dim).enumerate() {
        for (to, lanes) in row.iter_mut().zip(lanes.chunks_exact(stride)) {
            take(to, lanes[r]);
        }
    }
}
