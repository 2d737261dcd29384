//! One number for each of a group of lanes: what formulas are written in, so that compilers fill registers with them.

use super::lanes::LANES;
use super::real::Real;

/// One number for each of [`LANES`] lanes.
pub type Group<E> = [E; LANES];

/// The group of these values.
#[inline(always)]
pub fn each<E: Real>(value: impl Fn(usize) -> E) -> Group<E> {
    let mut group = [E::ZERO; LANES];
    for c in 0..LANES {
        group[c] = value(c);
    }
    group
}

/// Two groups at once. Whatever lanes are computed from had better be arrays: an index into a slice may be out of its bounds, and then nothing is vectorised.
#[inline(always)]
pub fn both<E: Real>(values: impl Fn(usize) -> (E, E)) -> (Group<E>, Group<E>) {
    let mut groups = ([E::ZERO; LANES], [E::ZERO; LANES]);
    for c in 0..LANES {
        (groups.0[c], groups.1[c]) = values(c);
    }
    groups
}

/// The group of lanes at `at`.
#[inline(always)]
pub fn group<E: Real>(values: &[E], at: usize) -> Group<E> {
    let mut group = [E::ZERO; LANES];
    group.copy_from_slice(&values[at..at + LANES]);
    group
}

/// The larger of two; NaN where the second is.
#[inline(always)]
pub fn larger<E: Real>(a: E, b: E) -> E {
    if a > b {
        a
    } else {
        b
    }
}

/// The nearest number to `x` between `low` and `high`; NaN stays.
#[inline(always)]
pub fn clamp<E: Real>(x: E, low: E, high: E) -> E {
    let x = if x > high { high } else { x };
    if x < low {
        low
    } else {
        x
    }
}

/// |x|.
#[inline(always)]
pub fn size<E: Real>(x: E) -> E {
    if x < E::ZERO {
        -x
    } else {
        x
    }
}
