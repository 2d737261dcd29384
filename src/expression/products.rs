//! Products of vectors and matrices over lanes.

use super::kernels::weigh;
use pulp::{Arch, Simd, WithSimd};

/// Sums that are kept side by side, so that additions need not wait for one another.
const SUMS: usize = 4;

struct DotRun<'a> {
    a: &'a [f64],
    b: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for DotRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Lanes are multiples of eight, and so whole registers.
        let width = self.out.len() / S::F64_LANES;
        let (a, b) = (S::as_simd_f64s(self.a).0, S::as_simd_f64s(self.b).0);
        for (block, out) in S::as_mut_simd_f64s(self.out).0.iter_mut().enumerate() {
            let mut sums = [simd.splat_f64s(0.0); SUMS];
            let (mut a, mut b) = (a.chunks_exact(SUMS * width), b.chunks_exact(SUMS * width));
            for (a, b) in (&mut a).zip(&mut b) {
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.mul_add_f64s(a[k * width + block], b[k * width + block], *sum);
                }
            }
            for (a, b) in a.remainder().chunks_exact(width).zip(b.remainder().chunks_exact(width)) {
                sums[0] = simd.mul_add_f64s(a[block], b[block], sums[0]);
            }
            *out = simd.add_f64s(simd.add_f64s(sums[0], sums[1]), simd.add_f64s(sums[2], sums[3]));
        }
    }
}

/// out = Σ a b over the stretches of its length.
pub(super) fn dot(a: &[f64], b: &[f64], out: &mut [f64]) {
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

/// Rows that are summed side by side, for the same reason.
const ROWS: usize = 8;

impl WithSimd for ProductRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { matrix, columns, x, out, lanes } = self;
        let (x, out) = (S::as_simd_f64s(x).0, S::as_mut_simd_f64s(out).0);
        let width = lanes / S::F64_LANES;
        let (mut groups, mut outs) = (matrix.chunks_exact(ROWS * columns), out.chunks_exact_mut(ROWS * width));
        for (rows, out) in (&mut groups).zip(&mut outs) {
            for block in 0..width {
                let mut sums = [simd.splat_f64s(0.0); ROWS];
                for (column, x) in x.chunks_exact(width).enumerate() {
                    for (row, sum) in rows.chunks_exact(columns).zip(&mut sums) {
                        *sum = simd.mul_add_f64s(simd.splat_f64s(row[column]), x[block], *sum);
                    }
                }
                for (out, sum) in out.chunks_exact_mut(width).zip(sums) {
                    out[block] = simd.add_f64s(out[block], sum);
                }
            }
        }
        let rest = groups.remainder().chunks_exact(columns).zip(outs.into_remainder().chunks_exact_mut(width));
        for (row, out) in rest {
            for (block, out) in out.iter_mut().enumerate() {
                let mut sums = [simd.splat_f64s(0.0); SUMS];
                for (row, x) in row.chunks(SUMS).zip(x.chunks(SUMS * width)) {
                    for ((m, x), sum) in row.iter().zip(x.chunks_exact(width)).zip(&mut sums) {
                        *sum = simd.mul_add_f64s(simd.splat_f64s(*m), x[block], *sum);
                    }
                }
                let sum = simd.add_f64s(simd.add_f64s(sums[0], sums[1]), simd.add_f64s(sums[2], sums[3]));
                *out = simd.add_f64s(*out, sum);
            }
        }
    }
}

/// out += M x for each lane; `out` has as many places as M has rows.
pub(super) fn add_product(matrix: &[f64], columns: usize, x: &[f64], out: &mut [f64], lanes: usize) {
    if columns > 0 {
        Arch::new().dispatch(ProductRun { matrix, columns, x, out, lanes });
    }
}

/// out += Mᵀ adjoint for each lane, where a row of no influence passes nothing on, though M may have numbers that are not finite.
pub(super) fn add_weighed_transposed(matrix: &[f64], columns: usize, adjoint: &[f64], out: &mut [f64], lanes: usize) {
    if columns == 0 {
        return;
    }
    for (row, adjoint) in matrix.chunks_exact(columns).zip(adjoint.chunks_exact(lanes)) {
        for (m, out) in row.iter().zip(out.chunks_exact_mut(lanes)) {
            out.iter_mut().zip(adjoint).for_each(|(out, adjoint)| *out += weigh(*adjoint, *m));
        }
    }
}
