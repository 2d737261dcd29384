//! The floating-point types of the kernels, with elementary functions that the compiler can vectorise.

use super::compiled::Compilable;
use dfdx::prelude::Dtype;
use pulp::Simd;
use std::ops::Neg;

/// `f32` at work, `f64` in evaluation and oracles.
pub trait Real: Dtype + Neg<Output = Self> + Compilable {
    /// The number 0.
    const ZERO: Self;
    /// The distance from 1 to the next number.
    const EPSILON: Self;
    /// `self · a + b`, rounded once.
    fn fma(self, a: Self, b: Self) -> Self;
    /// e to the power `self`; relative error below 3·10⁻⁷ in `f32`, 10⁻¹⁵ in `f64`; saturating beyond ±87 and ±708.
    fn exp(self) -> Self;
    /// Hyperbolic tangent; relative error below 5·10⁻⁷ in `f32`, 10⁻¹⁵ in `f64`.
    fn tanh(self) -> Self;
    /// Natural logarithm of a positive normal number, relative error below 3·10⁻⁷ in `f32`, 10⁻¹⁵ in `f64`; NaN for what is not positive.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// The nearest number of this type.
    fn of(value: f64) -> Self;
    /// The same number as `f64`.
    fn widen(self) -> f64;

    /// A register of these numbers.
    type Vector<S: Simd>: Copy;
    /// A register full of one number.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// Overwrites `old` with `new` where `values` are at least `edges`: slices of one length, which fills whole registers.
    ///
    /// A loop with a comparison in it would do, but where several in a row have one condition, compilers make branches of them.
    fn choose<S: Simd>(simd: S, values: &[Self], edges: &[Self], new: &[Self], old: &mut [Self]);
    /// `value = value · factor + term` in each place: slices as for [`Real::choose`].
    fn scale_and_add<S: Simd>(simd: S, values: &mut [Self], factors: &[Self], terms: &[Self]);
    /// `a · b + c` in every place of a register, rounded once.
    fn vector_fma<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const EPSILON: Self = f32::EPSILON;

    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // Beyond these the result would leave the normal range; comparisons rather than `clamp` let NaN pass.
        let x = if self > 87.0 { 87.0 } else { self };
        let x = if x < -87.0 { -87.0 } else { x };
        let (power, fraction) = split_exponent(x);
        power + power * fraction
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        // tanh |x| = −m / (m + 2) with m = e^{−2|x|} − 1, which keeps small arguments exact to rounding.
        let x = self.abs();
        let x = if x > 10.0 { 10.0 } else { x };
        let (power, fraction) = split_exponent(-2.0 * x);
        let m = power * fraction + (power - 1.0);
        (-m / (m + 2.0)).copysign(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        // x = 2ⁿ m with m in [√½, √2): the bits of √½ are taken off, so that the exponent counts from there.
        const ROOT_HALF: u32 = 0x3f35_04f3;
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let bits = self.to_bits().wrapping_sub(ROOT_HALF);
        let n = (bits as i32 >> 23) as f32;
        let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(ROOT_HALF));
        // ln m = 2 artanh f with f = (m − 1) / (m + 1), |f| < 0.172: what the series leaves out is below 10⁻⁸ of it.
        let f = (m - 1.0) / (m + 1.0);
        let square = f * f;
        let tail = 2.0 / 9.0;
        let tail = tail * square + 2.0 / 7.0;
        let tail = tail * square + 2.0 / 5.0;
        let tail = tail * square + 2.0 / 3.0;
        let ln = n * LN_2_HIGH + (2.0 * f + (f * square * tail + n * LN_2_LOW));
        if self > 0.0 {
            ln
        } else {
            f32::NAN
        }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }

    type Vector<S: Simd> = S::f32s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn choose<S: Simd>(simd: S, values: &[Self], edges: &[Self], new: &[Self], old: &mut [Self]) {
        let (values, edges, new) = (S::as_simd_f32s(values).0, S::as_simd_f32s(edges).0, S::as_simd_f32s(new).0);
        let (old, rest) = S::as_mut_simd_f32s(old);
        debug_assert!(rest.is_empty(), "whole registers");
        for (((old, &new), &value), &edge) in old.iter_mut().zip(new).zip(values).zip(edges) {
            *old = simd.select_f32s(simd.greater_than_or_equal_f32s(value, edge), new, *old);
        }
    }

    #[inline(always)]
    fn scale_and_add<S: Simd>(simd: S, values: &mut [Self], factors: &[Self], terms: &[Self]) {
        let (factors, terms) = (S::as_simd_f32s(factors).0, S::as_simd_f32s(terms).0);
        let (values, rest) = S::as_mut_simd_f32s(values);
        debug_assert!(rest.is_empty(), "whole registers");
        for ((value, &factor), &term) in values.iter_mut().zip(factors).zip(terms) {
            *value = simd.mul_add_f32s(*value, factor, term);
        }
    }

    #[inline(always)]
    fn vector_fma<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_f32s(a, b, c)
    }
}

/// Writes eˣ = 2ⁿ (1 + f) with n the nearest integer to x / ln 2, and returns (2ⁿ, f): |x| ≤ 87.
///
/// f is the Taylor series of e^r − 1 to degree 7 on |r| ≤ ln 2 / 2, where what is cut off is below 6·10⁻⁹.
#[inline(always)]
fn split_exponent(x: f32) -> (f32, f32) {
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has few enough bits for its product with n to be exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let tail = 1.0 / 5040.0;
    let tail = tail * r + 1.0 / 720.0;
    let tail = tail * r + 1.0 / 120.0;
    let tail = tail * r + 1.0 / 24.0;
    let tail = tail * r + 1.0 / 6.0;
    let tail = tail * r + 0.5;
    let fraction = r + r * r * tail;
    let bits = (shifted.to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32);
    let power = f32::from_bits((bits.wrapping_add(127) << 23) as u32);
    (power, fraction)
}

/// ln 2 in two parts; the first has 21 zero bits at its end, so that its product with an exponent is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// [`split_exponent`] in double precision: |x| ≤ 708, and the series goes to degree 13, where what is cut off is below 10⁻¹⁷.
#[inline(always)]
fn split_exponent_double(x: f64) -> (f64, f64) {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut tail = 1.0 / 6_227_020_800.0;
    for factorial in
        [479_001_600.0, 39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0]
    {
        tail = tail * r + 1.0 / factorial;
    }
    let fraction = r + r * r * tail;
    let bits = shifted.to_bits().wrapping_sub(SHIFT.to_bits());
    let power = f64::from_bits(bits.wrapping_add(1023) << 52);
    (power, fraction)
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const EPSILON: Self = f64::EPSILON;

    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let x = if self > 708.0 { 708.0 } else { self };
        let x = if x < -708.0 { -708.0 } else { x };
        let (power, fraction) = split_exponent_double(x);
        power + power * fraction
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let x = self.abs();
        let x = if x > 20.0 { 20.0 } else { x };
        let (power, fraction) = split_exponent_double(-2.0 * x);
        let m = power * fraction + (power - 1.0);
        (-m / (m + 2.0)).copysign(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
        // The exponent is read off the low bits of a sum with 1.5·2⁵²: not every processor turns 64-bit integers into numbers at once.
        const SHIFT: f64 = 6_755_399_441_055_744.0;
        let bits = self.to_bits().wrapping_sub(ROOT_HALF);
        let exponent = (bits as i64) >> 52;
        let n = f64::from_bits(SHIFT.to_bits().wrapping_add(exponent as u64)) - SHIFT;
        let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
        let f = (m - 1.0) / (m + 1.0);
        let square = f * f;
        // |f| < 0.172: what the series leaves out is below 10⁻¹⁷.
        let mut tail = 2.0 / 23.0;
        for odd in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
            tail = tail * square + 2.0 / odd;
        }
        let ln = n * LN_2_HIGH + (2.0 * f + (f * square * tail + n * LN_2_LOW));
        if self > 0.0 {
            ln
        } else {
            f64::NAN
        }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }

    type Vector<S: Simd> = S::f64s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f64s {
        simd.splat_f64s(value)
    }

    #[inline(always)]
    fn choose<S: Simd>(simd: S, values: &[Self], edges: &[Self], new: &[Self], old: &mut [Self]) {
        let (values, edges, new) = (S::as_simd_f64s(values).0, S::as_simd_f64s(edges).0, S::as_simd_f64s(new).0);
        let (old, rest) = S::as_mut_simd_f64s(old);
        debug_assert!(rest.is_empty(), "whole registers");
        for (((old, &new), &value), &edge) in old.iter_mut().zip(new).zip(values).zip(edges) {
            *old = simd.select_f64s(simd.greater_than_or_equal_f64s(value, edge), new, *old);
        }
    }

    #[inline(always)]
    fn scale_and_add<S: Simd>(simd: S, values: &mut [Self], factors: &[Self], terms: &[Self]) {
        let (factors, terms) = (S::as_simd_f64s(factors).0, S::as_simd_f64s(terms).0);
        let (values, rest) = S::as_mut_simd_f64s(values);
        debug_assert!(rest.is_empty(), "whole registers");
        for ((value, &factor), &term) in values.iter_mut().zip(factors).zip(terms) {
            *value = simd.mul_add_f64s(*value, factor, term);
        }
    }

    #[inline(always)]
    fn vector_fma<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_f64s(a, b, c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(range: f32, fast: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        (0..=steps)
            .map(|i| (f64::from(i) / f64::from(steps) * 2.0 - 1.0) * f64::from(range))
            .map(|x| x as f32)
            .filter(|&x| exact(f64::from(x)) != 0.0)
            .map(|x| (f64::from(fast(x)) / exact(f64::from(x)) - 1.0).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_its_bound() {
        assert!(worst(86.9, <f32 as Real>::exp, f64::exp) < 3e-7);
        assert!(worst(0.5, <f32 as Real>::exp, f64::exp) < 3e-7);
    }

    #[test]
    fn tanh_is_within_its_bound() {
        for range in [1e-4, 0.3, 2.0, 9.0, 40.0] {
            assert!(worst(range, <f32 as Real>::tanh, f64::tanh) < 5e-7, "on ±{range}");
        }
    }

    #[test]
    fn ln_is_within_its_bound() {
        let steps = 400_000;
        for (low, high) in [(-80.0, 80.0), (-1.0, 1.0), (-0.01, 0.01)] {
            for i in 0..=steps {
                let x = f64::exp(low + (high - low) * f64::from(i) / f64::from(steps)) as f32;
                let exact = f64::from(x).ln();
                let error = (f64::from(Real::ln(x)) - exact).abs();
                assert!(error <= 3e-7 * exact.abs(), "ln {x}: {error:e}");
            }
        }
        assert_eq!(Real::ln(1.0f32), 0.0);
        assert!(Real::ln(f32::NAN).is_nan() && Real::ln(-1.0f32).is_nan());
    }

    #[test]
    fn double_precision_is_that_of_the_standard_library() {
        let steps = 400_000;
        for range in [1e-3, 1.0, 30.0, 700.0] {
            for i in 0..=steps {
                let x = (f64::from(i) / f64::from(steps) * 2.0 - 1.0) * range;
                let close = |fast: f64, exact: f64| (fast - exact).abs() <= 1e-15 * exact.abs();
                assert!(close(Real::exp(x), x.exp()), "exp {x}");
                assert!(close(Real::tanh(x), x.tanh()), "tanh {x}");
                let positive = x.exp();
                assert!(close(Real::ln(positive), positive.ln()), "ln {positive}");
            }
        }
        assert!(Real::exp(f64::NAN).is_nan() && Real::tanh(f64::NAN).is_nan() && Real::ln(f64::NAN).is_nan());
        assert!(Real::ln(-1.0f64).is_nan() && Real::exp(f64::INFINITY).is_finite());
        assert_eq!((Real::ln(1.0f64), Real::exp(0.0f64), Real::tanh(f64::NEG_INFINITY)), (0.0, 1.0, -1.0));
    }

    #[test]
    fn special_values() {
        assert!(Real::exp(f32::NAN).is_nan() && Real::tanh(f32::NAN).is_nan());
        assert_eq!(Real::tanh(0.0f32), 0.0);
        assert_eq!(Real::tanh(f32::INFINITY), 1.0);
        assert_eq!(Real::tanh(f32::NEG_INFINITY), -1.0);
        assert!(Real::exp(f32::INFINITY).is_finite() && Real::exp(f32::NEG_INFINITY) > 0.0);
    }
}
