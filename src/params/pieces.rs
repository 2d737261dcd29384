//! Work on all values of all tensors, in pieces that several threads can take.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Values of one piece; fixed, so that no sum depends on the number of threads.
pub const PIECE: usize = 16_384;

/// Pieces below which dividing them costs more than it saves.
const FEW: usize = 8;

/// Calls `f` on every piece, in parallel where there are many.
pub fn for_each<P: Send>(pieces: impl Iterator<Item = P>, f: impl Fn(P) + Send + Sync) {
    let pieces: Vec<P> = pieces.collect();
    if pieces.len() < FEW {
        pieces.into_iter().for_each(f);
    } else {
        pieces.into_par_iter().for_each(f);
    }
}

/// Calls `f` on every tensor, in parallel where they have many values (`count`) together.
pub fn for_each_tensor<P: Send>(count: usize, tensors: impl Iterator<Item = P>, f: impl Fn(P) + Send + Sync) {
    if count < FEW * PIECE {
        tensors.for_each(f);
    } else {
        tensors.collect::<Vec<P>>().into_par_iter().for_each(f);
    }
}

/// The Euclidean norm over all tensors, summed in `f64`.
pub fn norm(tensors: &[Vec<f32>]) -> f64 {
    let mut sums = vec![0.0; tensors.iter().map(|tensor| tensor.len().div_ceil(PIECE)).sum()];
    let pieces = tensors.iter().flat_map(|tensor| tensor.chunks(PIECE));
    for_each(sums.iter_mut().zip(pieces), |(sum, piece)| *sum = Arch::new().dispatch(Squares(piece)));
    sums.iter().sum::<f64>().sqrt()
}

/// The sum of squares of a piece, as what `pulp` compiles once per instruction set.
struct Squares<'a>(&'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        const PARTS: usize = 16;
        let mut parts = [0.0f64; PARTS];
        let (groups, rest) = self.0.split_at(self.0.len() / PARTS * PARTS);
        for group in groups.chunks_exact(PARTS) {
            for (part, &value) in parts.iter_mut().zip(group) {
                *part += f64::from(value) * f64::from(value);
            }
        }
        parts.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>()
    }
}
