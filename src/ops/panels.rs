//! From unit-major to row-major: panels of units in which the units of a row lie together, as the weight gradient reads its inputs.

use super::lanes::LANES;
use super::real::Real;

/// A block of units × lanes, or lanes × units.
type Square<E> = [[E; LANES]; LANES];

/// Brings unit-major `x` (`stride` lanes to a unit) into panels of [`LANES`] units with `rows` rows to a panel, of which these are the
/// first `stride`: `out[panel][lane][unit]`, padded with zeros.
///
/// # Panics
/// If a slice is too short, or `stride` is not a multiple of [`LANES`].
pub fn panels<E: Real>(units: usize, stride: usize, x: &[E], out: &mut [E], rows: usize) {
    assert!(stride.is_multiple_of(LANES) && stride <= rows && x.len() >= units * stride);
    let transpose = Transpose::best();
    for (p, panel) in out.chunks_mut(LANES * rows).enumerate().take(units.div_ceil(LANES)) {
        for (b, block) in panel[..LANES * stride].chunks_exact_mut(LANES * LANES).enumerate() {
            let mut square = [[E::ZERO; LANES]; LANES];
            let x = &x[p * LANES * stride + b * LANES..];
            for (row, lanes) in square.iter_mut().zip(x.chunks(stride)).take(units - p * LANES) {
                row.copy_from_slice(&lanes[..LANES]);
            }
            transpose.apply(&square, block);
        }
    }
}

/// A way to transpose.
enum Transpose {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    Plain,
}

impl Transpose {
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Transpose::Avx512(simd);
        }
        Transpose::Plain
    }

    #[inline]
    fn apply<E: Real>(&self, square: &Square<E>, out: &mut [E]) {
        assert_eq!(out.len(), LANES * LANES);
        #[cfg(target_arch = "x86_64")]
        if let (Transpose::Avx512(simd), true) = (self, std::any::TypeId::of::<E>() == std::any::TypeId::of::<f32>()) {
            // SAFETY: E is f32, and both hold LANES × LANES of them.
            let (square, out) = unsafe {
                (&*std::ptr::from_ref(square).cast::<Square<f32>>(), &mut *out.as_mut_ptr().cast::<Square<f32>>())
            };
            return simd.vectorize(Shuffles { simd: *simd, square, out });
        }
        for (lane, row) in out.chunks_exact_mut(LANES).enumerate() {
            for (value, lanes) in row.iter_mut().zip(square) {
                *value = lanes[lane];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
struct Shuffles<'a> {
    simd: pulp::x86::V4,
    square: &'a Square<f32>,
    out: &'a mut Square<f32>,
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Shuffles<'_> {
    type Output = ();

    /// Pairs of rows, then pairs of pairs, are interleaved within quarters of registers; then quarters change places.
    #[inline(always)]
    fn call(self) {
        use pulp::cast;
        use std::arch::x86_64::{__m512, __m512d};
        const EVEN: i32 = 0x88;
        const ODD: i32 = 0xdd;
        let f = self.simd.avx512f;
        let pairs = |a: __m512, b: __m512| (f._mm512_unpacklo_ps(a, b), f._mm512_unpackhi_ps(a, b));
        let pairs_of_pairs = |a: __m512, b: __m512| {
            let (a, b): (__m512d, __m512d) = (cast(a), cast(b));
            let halves: (__m512, __m512) = (cast(f._mm512_unpacklo_pd(a, b)), cast(f._mm512_unpackhi_pd(a, b)));
            halves
        };
        // quads[q][c]: in each quarter L of the register, column 4 L + c of rows 4 q .. 4 q + 4.
        let mut quads: [[__m512; 4]; 4] = cast([[0.0f32; LANES]; LANES]);
        for (quad, rows) in quads.iter_mut().zip(self.square.chunks_exact(4)) {
            let (low, high) = pairs(cast(rows[0]), cast(rows[1]));
            let (low_next, high_next) = pairs(cast(rows[2]), cast(rows[3]));
            (quad[0], quad[1]) = pairs_of_pairs(low, low_next);
            (quad[2], quad[3]) = pairs_of_pairs(high, high_next);
        }
        for c in 0..4 {
            let [a, b, c_, d] = [quads[0][c], quads[1][c], quads[2][c], quads[3][c]];
            let (even, odd) = (f._mm512_shuffle_f32x4::<EVEN>(a, b), f._mm512_shuffle_f32x4::<ODD>(a, b));
            let (even_next, odd_next) = (f._mm512_shuffle_f32x4::<EVEN>(c_, d), f._mm512_shuffle_f32x4::<ODD>(c_, d));
            self.out[c] = cast(f._mm512_shuffle_f32x4::<EVEN>(even, even_next));
            self.out[4 + c] = cast(f._mm512_shuffle_f32x4::<EVEN>(odd, odd_next));
            self.out[8 + c] = cast(f._mm512_shuffle_f32x4::<ODD>(even, even_next));
            self.out[12 + c] = cast(f._mm512_shuffle_f32x4::<ODD>(odd, odd_next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_finds_its_place_by_either_way() {
        for (units, stride) in [(1usize, 16), (16, 16), (17, 32), (40, 64)] {
            let x: Vec<f32> = (0..units * stride).map(|i| i as f32 + 1.0).collect();
            let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let (rows, whole) = (stride + 16, units.div_ceil(LANES) * LANES);
            let (mut fast, mut plain) = (vec![9.0; whole * rows], vec![9.0; whole * rows]);
            panels(units, stride, &x, &mut fast, rows);
            panels(units, stride, &wide, &mut plain, rows);
            for lane in 0..stride {
                for unit in 0..whole {
                    let at = (unit / LANES * rows + lane) * LANES + unit % LANES;
                    let exact = if unit < units { wide[unit * stride + lane] } else { 0.0 };
                    assert_eq!((f64::from(fast[at]), plain[at]), (exact, exact));
                }
            }
        }
    }
}
