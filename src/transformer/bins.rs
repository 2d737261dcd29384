//! Bins of one width whose heights add up to the whole: straight within each (the chapter's 16.12), or bent like a sine (its 16.33).

use super::by_formula::ByFormula;
use super::settings::{fault_of_count, fault_of_limit, fault_of_scale, TransformerSettings};
use super::shape::{softmax, Shape, Slopes, MOST};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::group::{both, clamp, each, size, Group};
use crate::ops::real::Real;
use crate::ops::root::solve_lanes;
use pulp::Simd;
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2};

/// What is written for straight lines within bins between ±`limit`, the identity outside ([`Bins`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "PiecewiseLinear", deny_unknown_fields, default)]
pub struct PiecewiseLinearSettings {
    /// The number of bins.
    pub bins: usize,
    /// Where the tails begin.
    pub limit: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for PiecewiseLinearSettings {
    fn default() -> Self {
        Self { bins: 8, limit: 4.0, max_scale: 1000.0 }
    }
}

impl TransformerSettings for PiecewiseLinearSettings {
    type Map = ByFormula<ThenAffine<Bins>>;
    const EXAMPLE: &'static str = "PiecewiseLinear(bins: 8, limit: 4.0, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale)
            .or_else(|| fault_of_count("bins", self.bins, MOST))
            .or_else(|| fault_of_limit(self.limit))
    }

    fn map(&self) -> Self::Map {
        then_affine(Bins { bins: self.bins, limit: self.limit, curve: Curve::Line }, self.max_scale)
    }
}

/// What is written for the same with sines within the bins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Sinusoid", deny_unknown_fields, default)]
pub struct SinusoidSettings {
    /// The number of bins.
    pub bins: usize,
    /// Where the tails begin.
    pub limit: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for SinusoidSettings {
    fn default() -> Self {
        Self { bins: 8, limit: 4.0, max_scale: 1000.0 }
    }
}

impl TransformerSettings for SinusoidSettings {
    type Map = ByFormula<ThenAffine<Bins>>;
    const EXAMPLE: &'static str = "Sinusoid(bins: 8, limit: 4.0, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale)
            .or_else(|| fault_of_count("bins", self.bins, MOST))
            .or_else(|| fault_of_limit(self.limit))
    }

    fn map(&self) -> Self::Map {
        then_affine(Bins { bins: self.bins, limit: self.limit, curve: Curve::Sine }, self.max_scale)
    }
}

/// What is drawn in a bin, from (0, 0) to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// A straight line.
    Line,
    /// sin(π u / 2), of which a tenth is a straight line: the sine alone is flat at its end, where its inverse has no slope.
    Sine,
}

/// The identity beyond ±`limit`; within, bin k of K has the height 2 · limit · φ_k of positive shares φ that add up to one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bins {
    /// The number K of bins.
    pub bins: usize,
    /// Where the tails begin.
    pub limit: f64,
    /// What is drawn in each.
    pub curve: Curve,
}

/// The part of the sine.
const BENT: f64 = 0.9;
/// The part of its even share that every bin has.
const LEAST: f64 = 0.01;

/// Sine and cosine of π u / 2 for u between 0 and 1.
///
/// Both are those of an angle r between ± π/4, turned by π/4: what their series leave out there is below 10⁻¹⁷.
#[inline(always)]
fn sine_and_cosine<E: Real>(u: E) -> (E, E) {
    let r = (u - E::of(0.5)) * E::of(FRAC_PI_2);
    let square = r * r;
    let (mut sine, mut cosine) = (E::ONE, E::ONE);
    for n in [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        sine = E::ONE - sine * square * E::of(1.0 / (2.0 * n * (2.0 * n + 1.0)));
        cosine = E::ONE - cosine * square * E::of(1.0 / (2.0 * n * (2.0 * n - 1.0)));
    }
    let sine = sine * r;
    let half = E::of(FRAC_1_SQRT_2);
    ((cosine + sine) * half, (cosine - sine) * half)
}

impl Curve {
    /// Value, slope and ∂ ln slope at `u`.
    #[inline(always)]
    fn at<E: Real>(self, u: E) -> (E, E, E) {
        match self {
            Curve::Line => (u, E::ONE, E::ZERO),
            Curve::Sine => {
                let (sine, cosine) = sine_and_cosine(u);
                let (straight, bent) = (E::of(1.0 - BENT), E::of(BENT));
                let slope = straight + E::of(BENT * FRAC_PI_2) * cosine;
                let bend = E::of(-BENT * FRAC_PI_2 * FRAC_PI_2) * sine / slope;
                (straight * u + bent * sine, slope, bend)
            }
        }
    }

    #[inline(always)]
    fn solve<E: Real>(self, v: &Group<E>) -> Group<E> {
        match self {
            Curve::Line => *v,
            Curve::Sine => {
                let u = solve_lanes(v, *v, |u| {
                    // Beyond its bin it goes on in a straight line, for the bracket's sake.
                    let u = *u;
                    both(|c| {
                        let inner = clamp(u[c], E::ZERO, E::ONE);
                        let (value, slope, _) = self.at(inner);
                        (value + slope * (u[c] - inner), Real::ln(slope))
                    })
                });
                each(|c| clamp(u[c], E::ZERO, E::ONE))
            }
        }
    }
}

/// The bin of each lane: how many are before it, their shares, its own, and the place in it.
struct Place<E> {
    index: Group<E>,
    before: Group<E>,
    own: Group<E>,
    u: Group<E>,
}

impl Bins {
    /// What the softmax does not decide of a share.
    #[inline(always)]
    fn least<E: Real>(&self) -> E {
        E::of(LEAST / self.bins as f64)
    }

    /// Finds the bins of points, given in widths of a bin from the lower limit; or of images, given in heights of all bins.
    #[inline(always)]
    fn place<E: Real, R: Simd, const IMAGES: bool>(&self, simd: R, at: &Group<E>, shares: &[Group<E>]) -> Place<E> {
        let zero = each(|_| E::ZERO);
        let mut place = Place { index: zero, before: zero, own: shares[0], u: zero };
        let mut sum = zero;
        for k in 1..self.bins {
            let last = shares[k - 1];
            sum = each(|c| sum[c] + last[c]);
            let index = each(|_| E::of(k as f64));
            let edge = if IMAGES { sum } else { index };
            E::choose(simd, at, &edge, &index, &mut place.index);
            E::choose(simd, at, &edge, &sum, &mut place.before);
            E::choose(simd, at, &edge, &shares[k], &mut place.own);
        }
        let (at, index, before, own) = (*at, place.index, place.before, place.own);
        place.u = each(|c| {
            let part = if IMAGES { (at[c] - before[c]) / own[c] } else { at[c] - index[c] };
            clamp(part, E::ZERO, E::ONE)
        });
        place
    }

    /// The place of the points that are between the limits; of others, that of the limit.
    #[inline(always)]
    fn of_points<E: Real, R: Simd>(&self, simd: R, x: &Group<E>, shares: &[Group<E>]) -> Place<E> {
        let (limit, widths) = (E::of(self.limit), E::of(self.bins as f64 / (2.0 * self.limit)));
        let x = *x;
        let at = each(|c| (clamp(x[c], -limit, limit) + limit) * widths);
        self.place::<E, R, false>(simd, &at, shares)
    }

    /// Value and log slope at a place; the identity where `x` is beyond the limits.
    #[inline(always)]
    fn value<E: Real>(&self, x: &Group<E>, place: &Place<E>) -> (Group<E>, Group<E>) {
        let (limit, whole, bins) = (E::of(self.limit), E::of(2.0 * self.limit), E::of(self.bins as f64));
        let (x, u, own, before) = (*x, place.u, place.own, place.before);
        both(|c| {
            let (part, slope, _) = self.curve.at(u[c]);
            let (inner, log) = (whole * (before[c] + own[c] * part) - limit, Real::ln(own[c] * bins * slope));
            let inside = size(x[c]) < limit;
            (if inside { inner } else { x[c] }, if inside { log } else { E::ZERO })
        })
    }
}

impl Shape for Bins {
    fn parameters(&self) -> usize {
        self.bins
    }

    /// The shares of the bins.
    fn prepared(&self) -> usize {
        self.bins
    }

    #[inline(always)]
    fn prepare<E: Real>(&self, theta: &[Group<E>], ready: &mut [Group<E>]) {
        softmax(theta, ready);
        let least = self.least::<E>();
        for share in ready {
            let soft = *share;
            *share = each(|c| least + E::of(1.0 - LEAST) * soft[c]);
        }
    }

    #[inline(always)]
    fn at<E: Real, R: Simd>(&self, simd: R, x: &Group<E>, shares: &[Group<E>]) -> (Group<E>, Group<E>) {
        self.value(x, &self.of_points(simd, x, shares))
    }

    #[inline(always)]
    fn slopes<E: Real, R: Simd>(
        &self,
        simd: R,
        x: &Group<E>,
        shares: &[Group<E>],
        d_value: &mut [Group<E>],
        d_log_slope: &mut [Group<E>],
    ) -> Slopes<E> {
        let (least, limit) = (self.least::<E>(), E::of(self.limit));
        let (whole, rest) = (E::of(2.0 * self.limit), E::of(1.0 / (1.0 - LEAST)));
        let place = self.of_points(simd, x, shares);
        let (value, log_slope) = self.value(x, &place);
        let (x, Place { index, before, own, u }) = (*x, place);
        let (parts, bends) = both(|c| {
            let (part, _, bend) = self.curve.at(u[c]);
            (part, bend)
        });
        // By the shares first: 1 for those before, the part for a lane's own, 0 for those after; then through the softmax.
        let (before, through_own) = both(|c| (before[c] - index[c] * least, own[c] - least));
        let mean = each(|c| (before[c] + through_own[c] * parts[c]) * rest);
        let inside = each(|c| if size(x[c]) < limit { E::ONE } else { E::ZERO });
        let (scale, of_log) = both(|c| (inside[c] * whole, inside[c] / own[c]));
        for k in 0..self.bins {
            let (here, share) = (E::of(k as f64), shares[k]);
            d_value[k] = each(|c| {
                let by_share = if index[c] > here { E::ONE } else { E::ZERO };
                let by_share = if index[c] == here { parts[c] } else { by_share };
                scale[c] * (share[c] - least) * (by_share - mean[c])
            });
            d_log_slope[k] = each(|c| {
                let of_own = if index[c] == here { E::ONE } else { E::ZERO };
                of_log[c] * (share[c] - least) * (of_own - through_own[c] * rest)
            });
        }
        let d_u = E::of(self.bins as f64 / (2.0 * self.limit));
        Slopes { value, log_slope, bend: each(|c| inside[c] * bends[c] * d_u) }
    }

    #[inline(always)]
    fn solve<E: Real, R: Simd>(&self, simd: R, y: &Group<E>, shares: &[Group<E>]) -> Group<E> {
        let (limit, share) = (E::of(self.limit), E::of(1.0 / (2.0 * self.limit)));
        let y = *y;
        let at = each(|c| (clamp(y[c], -limit, limit) + limit) * share);
        let place = self.place::<E, R, true>(simd, &at, shares);
        let (u, index) = (self.curve.solve(&place.u), place.index);
        let width = E::of(2.0 * self.limit / self.bins as f64);
        each(|c| if size(y[c]) < limit { width * (index[c] + u[c]) - limit } else { y[c] })
    }
}
