//! Loops over lanes, compiled for the widest registers that the processor has.

use super::operations::{with_binary, with_binary_slopes, with_unary, Binary, Unary};
use super::program::MOST_LANES;
use super::{elementary, operations};
use crate::gamma;
use pulp::{Arch, Simd, WithSimd};

/// The numbers of an argument: one for each place and lane, one for each lane, one for each place, or one.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Full(&'a [f64]),
    Lanes(&'a [f64]),
    Places(&'a [f64]),
    Number(f64),
}

impl<'a> View<'a> {
    /// The lanes of one place; `spare` holds them where they are all the same.
    #[inline(always)]
    pub fn lanes<'b>(&self, place: usize, spare: &'b mut [f64]) -> &'b [f64]
    where
        'a: 'b,
    {
        let lanes = spare.len();
        match self {
            View::Full(numbers) => &numbers[place * lanes..(place + 1) * lanes],
            View::Lanes(numbers) => numbers,
            View::Places(numbers) => {
                spare.fill(numbers[place]);
                spare
            }
            View::Number(number) => {
                spare.fill(*number);
                spare
            }
        }
    }
}

/// An adjoint times a slope; what has no influence passes nothing on, even where its slope is not finite.
#[inline(always)]
pub(super) fn weigh(adjoint: f64, slope: f64) -> f64 {
    if adjoint == 0.0 {
        0.0
    } else {
        adjoint * slope
    }
}

/// A function of one number with its slope.
trait Curve {
    fn at(&self, x: f64) -> (f64, f64);
}

struct UnaryRun<'a, F> {
    f: F,
    x: &'a [f64],
    out: &'a mut [f64],
    slopes: Option<&'a mut [f64]>,
}

impl<F: Curve> WithSimd for UnaryRun<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let f = self.f;
        match self.slopes {
            Some(slopes) => {
                for ((x, out), slope) in self.x.iter().zip(self.out).zip(slopes) {
                    (*out, *slope) = f.at(*x);
                }
            }
            None => {
                for (x, out) in self.x.iter().zip(self.out) {
                    *out = f.at(*x).0;
                }
            }
        }
    }
}

/// out = f(x), and its slopes where they are wanted.
pub(super) fn unary(f: Unary, x: &[f64], out: &mut [f64], slopes: Option<&mut [f64]>) {
    macro_rules! go {
        ($k:ident = $constant:expr, $x:ident => $body:expr) => {{
            struct Local(f64);
            impl Curve for Local {
                #[inline(always)]
                fn at(&self, $x: f64) -> (f64, f64) {
                    let $k = self.0;
                    let _ = $k;
                    $body
                }
            }
            Arch::new().dispatch(UnaryRun { f: Local($constant), x, out, slopes })
        }};
    }
    with_unary!(f, go)
}

/// A function of two numbers.
trait Pair {
    fn at(&self, a: f64, b: f64) -> f64;
}

impl<F: Fn(f64, f64) -> f64> Pair for F {
    #[inline(always)]
    fn at(&self, a: f64, b: f64) -> f64 {
        self(a, b)
    }
}

/// ln(eᵃ + eᵇ): no closure, since one of this size would not be inlined and so not be compiled for wide registers.
struct LogAddExp;

impl Pair for LogAddExp {
    #[inline(always)]
    fn at(&self, a: f64, b: f64) -> f64 {
        elementary::log_add_exp(a, b)
    }
}

struct BinaryRun<'a, F> {
    f: F,
    a: View<'a>,
    b: View<'a>,
    out: &'a mut [f64],
    lanes: usize,
}

impl<F: Pair> WithSimd for BinaryRun<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let f = self.f;
        match (self.a, self.b) {
            (View::Full(a), View::Full(b)) => {
                self.out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = f.at(*a, *b));
            }
            (View::Full(a), View::Number(b)) => self.out.iter_mut().zip(a).for_each(|(out, a)| *out = f.at(*a, b)),
            (View::Number(a), View::Full(b)) => self.out.iter_mut().zip(b).for_each(|(out, b)| *out = f.at(a, *b)),
            (View::Full(a), View::Places(b)) => {
                for ((out, a), b) in self.out.chunks_exact_mut(self.lanes).zip(a.chunks_exact(self.lanes)).zip(b) {
                    out.iter_mut().zip(a).for_each(|(out, a)| *out = f.at(*a, *b));
                }
            }
            (View::Places(a), View::Full(b)) => {
                for ((out, b), a) in self.out.chunks_exact_mut(self.lanes).zip(b.chunks_exact(self.lanes)).zip(a) {
                    out.iter_mut().zip(b).for_each(|(out, b)| *out = f.at(*a, *b));
                }
            }
            (a, b) => {
                let (mut spare_a, mut spare_b) = ([0.0; MOST_LANES], [0.0; MOST_LANES]);
                for (place, out) in self.out.chunks_exact_mut(self.lanes).enumerate() {
                    let a = a.lanes(place, &mut spare_a[..self.lanes]);
                    let b = b.lanes(place, &mut spare_b[..self.lanes]);
                    out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = f.at(*a, *b));
                }
            }
        }
    }
}

/// out = f(a, b).
pub(super) fn binary(f: Binary, a: View, b: View, out: &mut [f64], lanes: usize) {
    if f == Binary::LogAddExp {
        return Arch::new().dispatch(BinaryRun { f: LogAddExp, a, b, out, lanes });
    }
    macro_rules! go {
        ($f:expr) => {
            Arch::new().dispatch(BinaryRun { f: $f, a, b, out, lanes })
        };
    }
    with_binary!(f, go)
}

/// What an adjoint is added to: places and lanes, or lanes for all places.
pub(super) struct Target<'a> {
    pub adjoints: &'a mut [f64],
    pub spread: bool,
}

/// A slope from two arguments and the result.
trait Slope {
    fn at(&self, a: f64, b: f64, value: f64) -> f64;
}

impl<F: Fn(f64, f64, f64) -> f64> Slope for F {
    #[inline(always)]
    fn at(&self, a: f64, b: f64, value: f64) -> f64 {
        self(a, b, value)
    }
}

/// The share of the first (or second) argument in ln(eᵃ + eᵇ); nothing has a share in nothing.
struct Share {
    first: bool,
}

impl Slope for Share {
    #[inline(always)]
    fn at(&self, a: f64, b: f64, value: f64) -> f64 {
        let x = if self.first { a } else { b };
        if x == f64::NEG_INFINITY {
            0.0
        } else {
            elementary::exp(x - value)
        }
    }
}

struct BinaryBack<'a, F> {
    /// The slope by the argument in question, from both arguments and the result.
    slope: F,
    a: View<'a>,
    b: View<'a>,
    value: &'a [f64],
    adjoint: &'a [f64],
    target: Target<'a>,
    lanes: usize,
}

impl<F: Slope> WithSimd for BinaryBack<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (lanes, f) = (self.lanes, self.slope);
        let (mut spare_a, mut spare_b) = ([0.0; MOST_LANES], [0.0; MOST_LANES]);
        let places = self.adjoint.chunks_exact(lanes).zip(self.value.chunks_exact(lanes)).enumerate();
        for (place, (adjoint, value)) in places {
            let a = self.a.lanes(place, &mut spare_a[..lanes]);
            let b = self.b.lanes(place, &mut spare_b[..lanes]);
            let first = if self.target.spread { 0 } else { place * lanes };
            let target = &mut self.target.adjoints[first..first + lanes];
            let arguments = a.iter().zip(b).zip(value);
            for ((target, adjoint), ((a, b), value)) in target.iter_mut().zip(adjoint).zip(arguments) {
                *target += weigh(*adjoint, f.at(*a, *b, *value));
            }
        }
    }
}

/// Adds `adjoint` times the slope of f by its first (or second) argument to `target`.
#[allow(clippy::too_many_arguments)]
pub(super) fn binary_back(
    f: Binary,
    by_first: bool,
    a: View,
    b: View,
    value: &[f64],
    adjoint: &[f64],
    target: Target,
    lanes: usize,
) {
    macro_rules! go {
        ($f:expr) => {
            if by_first {
                Arch::new().dispatch(BinaryBack { slope: |a, b, v| $f(a, b, v).0, a, b, value, adjoint, target, lanes })
            } else {
                Arch::new().dispatch(BinaryBack { slope: |a, b, v| $f(a, b, v).1, a, b, value, adjoint, target, lanes })
            }
        };
    }
    if f == Binary::LogAddExp {
        let slope = Share { first: by_first };
        return Arch::new().dispatch(BinaryBack { slope, a, b, value, adjoint, target, lanes });
    }
    // Each slope is dear: not both of them for one.
    if f == Binary::LogRising {
        return if by_first {
            let slope = |x: f64, n: f64, _: f64| gamma::digamma_rise(x, n);
            Arch::new().dispatch(BinaryBack { slope, a, b, value, adjoint, target, lanes })
        } else {
            let slope = |x: f64, n: f64, _: f64| gamma::digamma(x + n);
            Arch::new().dispatch(BinaryBack { slope, a, b, value, adjoint, target, lanes })
        };
    }
    with_binary_slopes!(f, go)
}

struct Accumulate<'a, F> {
    f: F,
    adjoint: &'a [f64],
    other: &'a [f64],
    target: &'a mut [f64],
}

impl<F: Fn(f64, f64) -> f64> WithSimd for Accumulate<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let f = self.f;
        for ((target, adjoint), other) in self.target.iter_mut().zip(self.adjoint).zip(self.other) {
            *target += f(*adjoint, *other);
        }
    }
}

/// target += adjoint · slope.
pub(super) fn weighed(adjoint: &[f64], slopes: &[f64], target: &mut [f64]) {
    Arch::new().dispatch(Accumulate { f: weigh, adjoint, other: slopes, target });
}

/// target += adjoint.
pub(super) fn add(adjoint: &[f64], target: &mut [f64]) {
    Arch::new().dispatch(Accumulate { f: |adjoint, _| adjoint, adjoint, other: adjoint, target });
}

struct SumRun<'a> {
    x: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for SumRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for x in self.x.chunks_exact(self.out.len()) {
            self.out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
        }
    }
}

/// Adds to `out` every stretch of `x` of its length.
pub(super) fn add_stretches(x: &[f64], out: &mut [f64]) {
    if !out.is_empty() {
        Arch::new().dispatch(SumRun { x, out });
    }
}

struct SpreadRun<'a> {
    adjoint: &'a [f64],
    target: &'a mut [f64],
}

impl WithSimd for SpreadRun<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for target in self.target.chunks_exact_mut(self.adjoint.len()) {
            target.iter_mut().zip(self.adjoint).for_each(|(target, adjoint)| *target += adjoint);
        }
    }
}

/// Adds `adjoint` to every stretch of `target` of its length.
pub(super) fn add_to_stretches(adjoint: &[f64], target: &mut [f64]) {
    if !adjoint.is_empty() {
        Arch::new().dispatch(SpreadRun { adjoint, target });
    }
}

/// target −= adjoint.
pub(super) fn subtract(adjoint: &[f64], target: &mut [f64]) {
    Arch::new().dispatch(Accumulate { f: |adjoint: f64, _| -adjoint, adjoint, other: adjoint, target });
}

/// target += adjoint · e^{x − value}, the share of x in a logsumexp.
pub(super) fn add_share(adjoint: &[f64], x: &[f64], value: &[f64], target: &mut [f64]) {
    let mut shares = [0.0; MOST_LANES];
    let shares = &mut shares[..x.len()];
    binary(Binary::Subtract, View::Full(x), View::Full(value), shares, x.len());
    // −∞ less −∞: nothing has a share in nothing.
    shares.iter_mut().zip(x).for_each(|(share, x)| *share = if *x == f64::NEG_INFINITY { *x } else { *share });
    let mut exps = [0.0; MOST_LANES];
    unary(Unary::Exp, shares, &mut exps[..x.len()], None);
    weighed(adjoint, &exps[..x.len()], target);
}
