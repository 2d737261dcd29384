//! Elementary functions without branches, which the compiler turns into code on whole registers.

/// Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits of the sum.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; the first has few enough bits for its product with an exponent to be exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const MANTISSA: u32 = 52;
const BIAS: u64 = 1023;

/// Σ xᵏ / (k + 2)! for |x| ≤ ln 2 / 2: (eˣ − 1 − x) / x², cut off where the rest is below 10⁻¹⁷.
#[inline(always)]
fn exp_tail(x: f64) -> f64 {
    const INVERSE_FACTORIALS: [f64; 12] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    let mut sum = 0.0f64;
    for coefficient in INVERSE_FACTORIALS {
        sum = sum.mul_add(x, coefficient);
    }
    sum
}

/// (2ⁿ⁻¹, e^r − 1) with x = n ln 2 + r, n the nearest integer to x / ln 2, for |x| below 710.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    let shifted = x.mul_add(std::f64::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    let fraction = (r * r).mul_add(exp_tail(r), r);
    let half = f64::from_bits(shifted.to_bits().wrapping_add(BIAS - 1) << MANTISSA);
    (half, fraction)
}

const LARGEST_EXPONENT: f64 = 709.782_712_893_384;
const SMALLEST_EXPONENT: f64 = -708.0;

/// eˣ; results below the normal numbers are 0.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let y = if x > LARGEST_EXPONENT { LARGEST_EXPONENT } else { x };
    let y = if y < SMALLEST_EXPONENT { SMALLEST_EXPONENT } else { y };
    let (half, fraction) = split(y);
    let value = half.mul_add(fraction, half) * 2.0;
    let value = if x > LARGEST_EXPONENT { f64::INFINITY } else { value };
    if x < SMALLEST_EXPONENT {
        0.0
    } else {
        value
    }
}

/// eˣ − 1, exact to rounding near 0.
#[inline(always)]
pub(super) fn expm1(x: f64) -> f64 {
    let y = if x > LARGEST_EXPONENT { LARGEST_EXPONENT } else { x };
    let y = if y < -40.0 { -40.0 } else { y };
    let (half, fraction) = split(y);
    let value = half.mul_add(fraction, half - 0.5) * 2.0;
    if x > LARGEST_EXPONENT {
        f64::INFINITY
    } else {
        value
    }
}

/// ln x.
#[inline(always)]
pub(super) fn log(x: f64) -> f64 {
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    /// The bits of 1 less those of √½: added to a number, they carry into the exponent where its mantissa is above √2.
    const CARRY: u64 = 0x3ff0_0000_0000_0000 - 0x3fe6_a09e_667f_3bcd;
    const TWO_52_BITS: u64 = 0x4330_0000_0000_0000;
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let small = x < f64::MIN_POSITIVE;
    let bits = (if small { x * TWO_54 } else { x }).to_bits();
    let biased = bits.wrapping_add(CARRY) >> MANTISSA;
    let exponent = f64::from_bits(TWO_52_BITS | biased) - (TWO_52 + BIAS as f64) - if small { 54.0 } else { 0.0 };
    let mantissa = f64::from_bits(bits.wrapping_sub(biased.wrapping_sub(BIAS) << MANTISSA));
    // ln m = 2 artanh s with s = (m − 1) / (m + 1), |s| ≤ 0.1716.
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    const ODD: [f64; 11] = [
        2.0 / 23.0,
        2.0 / 21.0,
        2.0 / 19.0,
        2.0 / 17.0,
        2.0 / 15.0,
        2.0 / 13.0,
        2.0 / 11.0,
        2.0 / 9.0,
        2.0 / 7.0,
        2.0 / 5.0,
        2.0 / 3.0,
    ];
    let mut sum = 0.0f64;
    for coefficient in ODD {
        sum = sum.mul_add(z, coefficient);
    }
    // 2 s = f − s f, written so that the largest term is exact.
    let low = exponent.mul_add(LN_2_LOW, s * (z * sum - f));
    let value = exponent.mul_add(LN_2_HIGH, f + low);
    let value = if x == f64::INFINITY { x } else { value };
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    if x >= 0.0 {
        value
    } else {
        f64::NAN
    }
}

/// ln(1 + x), exact to rounding near 0.
#[inline(always)]
pub(super) fn log1p(x: f64) -> f64 {
    let u = 1.0 + x;
    // What rounding took from u, to first order.
    let lost = (x - (u - 1.0)) / u;
    let value = log(u) + lost;
    if x == f64::INFINITY || u == 0.0 {
        log(u)
    } else {
        value
    }
}

/// σ(x) = 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(super) fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// (ln(1 + eˣ), σ(x)).
#[inline(always)]
pub(super) fn softplus(x: f64) -> (f64, f64) {
    let e = exp(-x.abs());
    let positive = if x > 0.0 { x } else { 0.0 };
    let value = positive + log1p(e);
    let value = if x.is_nan() { x } else { value };
    (value, (if x < 0.0 { e } else { 1.0 }) / (1.0 + e))
}

/// ln(eᵃ + eᵇ), without overflow.
#[inline(always)]
pub(super) fn log_add_exp(a: f64, b: f64) -> f64 {
    let most = if a > b || a.is_nan() { a } else { b };
    let value = most + log1p(exp(-(a - b).abs()));
    // An infinite one is the result itself; the difference of two would be nothing.
    if most.is_infinite() {
        most
    } else {
        value
    }
}

/// Hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh(x: f64) -> f64 {
    // tanh |x| = −m / (m + 2) with m = e^{−2|x|} − 1, which keeps small arguments exact to rounding.
    let m = expm1(-2.0 * x.abs());
    (-m / (m + 2.0)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(low: f64, high: f64, fast: impl Fn(f64) -> f64, exact: impl Fn(f64) -> f64) -> f64 {
        let points = (0..=200_000).map(|i| low + (high - low) * f64::from(i) / 200_000.0);
        let error = |x: f64| if exact(x) == 0.0 { fast(x).abs() } else { (fast(x) / exact(x) - 1.0).abs() };
        points.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_within_a_few_units_in_the_last_place() {
        for range in [1e-9, 1e-3, 0.3, 1.0, 30.0, 700.0] {
            assert!(worst(-range, range, exp, f64::exp) < 1e-15, "exp on ±{range}");
            assert!(worst(-range, range, expm1, f64::exp_m1) < 2e-15, "expm1 on ±{range}");
            assert!(worst(-range, range, tanh, f64::tanh) < 2e-15, "tanh on ±{range}");
            assert!(worst(1e-300, range, log, f64::ln) < 1e-15, "log to {range}");
            assert!(worst(-range.min(0.999_999), range, log1p, f64::ln_1p) < 2e-15, "log1p on ±{range}");
            assert!(worst(-range, range, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 2e-15, "sigmoid on ±{range}");
            let softplus_of = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
            assert!(worst(-range, range, |x| softplus(x).0, softplus_of) < 2e-15, "softplus on ±{range}");
        }
        assert!(worst(0.5, 2.0, log, f64::ln) < 1e-15);
        assert!(worst(1e-320, 1e-310, log, f64::ln) < 1e-15, "log of subnormal numbers");
    }

    #[test]
    fn special_values() {
        for f in [exp, expm1, log, log1p, sigmoid, tanh, |x| softplus(x).0] {
            assert!(f(f64::NAN).is_nan());
        }
        let infinity = f64::INFINITY;
        assert_eq!((exp(infinity), exp(-infinity), exp(710.0), exp(0.0)), (infinity, 0.0, infinity, 1.0));
        assert_eq!((expm1(infinity), expm1(-infinity), expm1(0.0)), (infinity, -1.0, 0.0));
        assert_eq!((log(infinity), log(0.0), log(-0.0), log(1.0)), (infinity, -infinity, -infinity, 0.0));
        assert!(log(-1.0).is_nan() && log1p(-1.5).is_nan() && log(-infinity).is_nan());
        assert_eq!((log1p(infinity), log1p(-1.0), log1p(0.0), log1p(1e-300)), (infinity, -infinity, 0.0, 1e-300));
        assert_eq!((sigmoid(infinity), sigmoid(-infinity)), (1.0, 0.0));
        assert_eq!((softplus(infinity).0, softplus(-infinity).0), (infinity, 0.0));
        assert_eq!((log_add_exp(infinity, infinity), log_add_exp(-infinity, infinity)), (infinity, infinity));
        assert_eq!((log_add_exp(-infinity, -infinity), log_add_exp(-infinity, 3.0)), (-infinity, 3.0));
        assert!(log_add_exp(f64::NAN, infinity).is_nan() && log_add_exp(infinity, f64::NAN).is_nan());
        assert_eq!((tanh(infinity), tanh(-infinity)), (1.0, -1.0));
    }
}
