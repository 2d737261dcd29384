//! Products of vectors and matrices over lanes.

use super::kernels::weigh;
use pulp::{Arch, Simd, WithSimd};

struct DotRun<'a> {
    a: &'a [f64],
    b: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for DotRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let lanes = self.out.len();
        for (a, b) in self.a.chunks_exact(lanes).zip(self.b.chunks_exact(lanes)) {
            for ((out, a), b) in self.out.iter_mut().zip(a).zip(b) {
                *out = a.mul_add(*b, *out);
            }
        }
    }
}

/// out = Σ a b over the stretches of its length.
pub(super) fn dot(a: &[f64], b: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    if !out.is_empty() {
        Arch::new().dispatch(DotRun { a, b, out });
    }
}

struct WeighedRun<'a> {
    adjoint: &'a [f64],
    slopes: &'a [f64],
    target: &'a mut [f64],
}

impl WithSimd for WeighedRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let lanes = self.adjoint.len();
        for (target, slopes) in self.target.chunks_exact_mut(lanes).zip(self.slopes.chunks_exact(lanes)) {
            for ((target, adjoint), slope) in target.iter_mut().zip(self.adjoint).zip(slopes) {
                *target += weigh(*adjoint, *slope);
            }
        }
    }
}

/// Adds `adjoint` times each stretch of `slopes` to that of `target`.
pub(super) fn weighed_stretches(adjoint: &[f64], slopes: &[f64], target: &mut [f64]) {
    if !adjoint.is_empty() {
        Arch::new().dispatch(WeighedRun { adjoint, slopes, target });
    }
}

struct ProductRun<'a> {
    matrix: &'a [f64],
    columns: usize,
    x: &'a [f64],
    out: &'a mut [f64],
    lanes: usize,
}

/// Rows that are summed side by side, so that additions need not wait for one another.
const ROWS: usize = 4;

impl ProductRun<'_> {
    #[inline(always)]
    fn run<const LANES: usize>(self) {
        let Self { matrix, columns, x, out, .. } = self;
        let x = x.as_chunks::<LANES>().0;
        let out = out.as_chunks_mut::<LANES>().0;
        for (rows, out) in matrix.chunks(ROWS * columns).zip(out.chunks_mut(ROWS)) {
            if out.len() < ROWS {
                for (row, out) in rows.chunks_exact(columns).zip(out) {
                    for (m, x) in row.iter().zip(x) {
                        (0..LANES).for_each(|lane| out[lane] = m.mul_add(x[lane], out[lane]));
                    }
                }
                continue;
            }
            let mut sums = [[0.0f64; LANES]; ROWS];
            for (column, x) in x.iter().enumerate() {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let m = rows[r * columns + column];
                    (0..LANES).for_each(|lane| sums[lane] = m.mul_add(x[lane], sums[lane]));
                }
            }
            for (out, sums) in out.iter_mut().zip(&sums) {
                (0..LANES).for_each(|lane| out[lane] += sums[lane]);
            }
        }
    }
}

impl WithSimd for ProductRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Blocks of 16 lanes at most keep the sums in registers.
        match self.lanes {
            8 => self.run::<8>(),
            16 => self.run::<16>(),
            32 => self.run::<32>(),
            _ => self.run::<64>(),
        }
    }
}

/// out += M x for each lane; `out` has as many places as M has rows.
pub(super) fn add_product(matrix: &[f64], columns: usize, x: &[f64], out: &mut [f64], lanes: usize) {
    if columns > 0 {
        Arch::new().dispatch(ProductRun { matrix, columns, x, out, lanes });
    }
}
