//! How the rows of a batch are divided among threads: always the same pieces, whatever the number of threads.

use rayon::prelude::*;
use std::ops::Range;

/// Rows of one piece: small enough for its activations to stay in a core's cache.
pub const CHUNK: usize = 64;

/// Elementary operations below which dividing work costs more than it saves.
pub const SERIAL_BELOW: usize = 400_000;

/// Calls `f` on consecutive pieces of `rows` rows and returns the results in order; in parallel if `work`, the number of elementary
/// operations in all, is worth it.
pub fn map_chunks<R: Send>(rows: usize, work: usize, f: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    map_pieces((0..rows.div_ceil(CHUNK)).collect(), work, |p: usize| f(p * CHUNK..((p + 1) * CHUNK).min(rows)))
}

/// Calls `f` on each of `pieces` and returns the results in order; in parallel if `work` is worth it.
pub fn map_pieces<P: Send, R: Send>(pieces: Vec<P>, work: usize, f: impl Fn(P) -> R + Sync) -> Vec<R> {
    if pieces.len() < 2 || work < SERIAL_BELOW {
        pieces.into_iter().map(f).collect()
    } else {
        pieces.into_par_iter().map(&f).collect()
    }
}
