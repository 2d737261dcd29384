//! What the passes of a spline share: the bins of a group of lanes, the bin of each lane, and the curve in it.

use super::super::affine::scale;
use super::{Spline, FLATTEST, MOST_BINS, NARROWEST, SWING};
use crate::ops::group::{each, group, Group};
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use pulp::Simd;

/// The constants of a spline in the precision at hand.
#[derive(Clone, Copy)]
pub(super) struct Shape<E> {
    pub bins: usize,
    pub limit: E,
    /// The least width of a bin, and what the softmax shares out beyond that.
    pub narrowest: E,
    pub width: E,
    /// The least slope of a bin, and the height that the softmax shares out beyond that.
    pub flattest: E,
    pub height: E,
    swing: E,
    bound: E,
}

impl<E: Real> Shape<E> {
    #[inline(always)]
    pub fn new(spline: &Spline) -> Self {
        let whole = 2.0 * spline.limit;
        Self {
            bins: spline.bins,
            limit: E::of(spline.limit),
            narrowest: E::of(whole * NARROWEST),
            width: E::of(whole * (1.0 - NARROWEST * spline.bins as f64)),
            flattest: E::of(FLATTEST),
            height: E::of(whole * (1.0 - FLATTEST)),
            swing: E::of(SWING.ln()),
            bound: E::of(spline.bound),
        }
    }

    /// The nearest number between the limits.
    #[inline(always)]
    pub fn clamp(&self, x: E) -> E {
        let x = if x > self.limit { self.limit } else { x };
        if x < -self.limit {
            -self.limit
        } else {
            x
        }
    }

    /// Whether a number is between the limits; NaN is not.
    #[inline(always)]
    pub fn holds(&self, x: E) -> bool {
        (x >= -self.limit) & (x <= self.limit)
    }

    /// (s, eˢ, ds/draw) of the affine map.
    #[inline(always)]
    pub fn scale(&self, raw: E) -> (E, E, E) {
        scale(self.bound, E::ONE / self.bound, raw)
    }
}

/// The raw parameters of one variable at a group of lanes.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a, E> {
    bins: usize,
    stride: usize,
    lane: usize,
    parameters: &'a [E],
}

impl<'a, E: Real> Raw<'a, E> {
    #[inline(always)]
    pub fn new(bins: usize, stride: usize, lane: usize, parameters: &'a [E]) -> Self {
        Self { bins, stride, lane, parameters }
    }

    #[inline(always)]
    fn slot(&self, slot: usize) -> Group<E> {
        group(self.parameters, slot * self.stride + self.lane)
    }

    /// The raw slope at the right end of bin `k`; any number for the last bin.
    #[inline(always)]
    fn slope(&self, k: usize) -> Group<E> {
        self.slot(2 * self.bins + k)
    }

    #[inline(always)]
    pub fn scale(&self) -> Group<E> {
        self.slot(3 * self.bins - 1)
    }

    #[inline(always)]
    pub fn shift(&self) -> Group<E> {
        self.slot(3 * self.bins)
    }
}

/// Widths and heights of the bins of a group of lanes.
pub(super) struct Lengths<E> {
    pub widths: [Group<E>; MOST_BINS],
    pub heights: [Group<E>; MOST_BINS],
}

impl<E: Real> Lengths<E> {
    pub fn zeros() -> Self {
        Self { widths: [[E::ZERO; LANES]; MOST_BINS], heights: [[E::ZERO; LANES]; MOST_BINS] }
    }

    #[inline(always)]
    pub fn fill<S: Simd>(&mut self, simd: S, shape: &Shape<E>, raw: &Raw<E>) {
        let Self { widths, heights } = self;
        let (narrowest, flattest) = ([shape.narrowest; LANES], [shape.flattest; LANES]);
        let zero = [E::ZERO; LANES];
        let share = powers(shape, raw, 0, widths, shape.width);
        for width in &mut widths[..shape.bins] {
            E::scale_and_add(simd, width, &share, &narrowest);
        }
        let share = powers(shape, raw, shape.bins, heights, shape.height);
        for (height, width) in heights[..shape.bins].iter_mut().zip(widths) {
            let mut floor = *width;
            E::scale_and_add(simd, &mut floor, &flattest, &zero);
            E::scale_and_add(simd, height, &share, &floor);
        }
    }
}

/// The powers of e to the logits that begin at slot `first`, up to a factor; returns `whole` / their sum.
#[inline(always)]
fn powers<E: Real>(shape: &Shape<E>, raw: &Raw<E>, first: usize, to: &mut [Group<E>; MOST_BINS], whole: E) -> Group<E> {
    let mut most = raw.slot(first);
    for k in 1..shape.bins {
        let logits = raw.slot(first + k);
        most = each(|c| if logits[c] > most[c] { logits[c] } else { most[c] });
    }
    let mut sum = [E::ZERO; LANES];
    for k in 0..shape.bins {
        let logits = raw.slot(first + k);
        let powers = each(|c| Real::exp(logits[c] - most[c]));
        sum = each(|c| sum[c] + powers[c]);
        to[k] = powers;
    }
    each(|c| whole / sum[c])
}

/// The bin of each lane. Of the three widths and heights, the middle ones are its own, the others its neighbours'.
pub(super) struct Place<E> {
    pub index: Group<E>,
    pub left: Group<E>,
    pub bottom: Group<E>,
    pub widths: [Group<E>; 3],
    pub heights: [Group<E>; 3],
    raws: [Group<E>; 2],
}

/// Finds the bins that hold `values`, which are points (or, with `IMAGES`, images of points) between the limits.
#[inline(always)]
pub(super) fn locate<E: Real, S: Simd, const IMAGES: bool>(
    simd: S,
    shape: &Shape<E>,
    raw: &Raw<E>,
    lengths: &Lengths<E>,
    values: &Group<E>,
) -> Place<E> {
    let Lengths { widths, heights } = lengths;
    let start = [-shape.limit; LANES];
    let mut place = Place {
        index: [E::ZERO; LANES],
        left: start,
        bottom: start,
        widths: [widths[0], widths[0], widths[1]],
        heights: [heights[0], heights[0], heights[1]],
        raws: [raw.slope(0); 2],
    };
    let (mut left, mut bottom) = (start, start);
    for k in 1..shape.bins {
        left = each(|c| left[c] + widths[k - 1][c]);
        bottom = each(|c| bottom[c] + heights[k - 1][c]);
        let edge = if IMAGES { bottom } else { left };
        let next = if k + 1 < shape.bins { k + 1 } else { k };
        let index = E::of(k as f64);
        let raws = [raw.slope(k - 1), raw.slope(k)];
        E::choose(simd, values, &edge, &[index; LANES], &mut place.index);
        E::choose(simd, values, &edge, &left, &mut place.left);
        E::choose(simd, values, &edge, &bottom, &mut place.bottom);
        E::choose(simd, values, &edge, &widths[k - 1], &mut place.widths[0]);
        E::choose(simd, values, &edge, &widths[k], &mut place.widths[1]);
        E::choose(simd, values, &edge, &widths[next], &mut place.widths[2]);
        E::choose(simd, values, &edge, &heights[k - 1], &mut place.heights[0]);
        E::choose(simd, values, &edge, &heights[k], &mut place.heights[1]);
        E::choose(simd, values, &edge, &heights[next], &mut place.heights[2]);
        E::choose(simd, values, &edge, &raws[0], &mut place.raws[0]);
        E::choose(simd, values, &edge, &raws[1], &mut place.raws[1]);
    }
    place
}

impl<E: Real> Place<E> {
    /// The slopes at the two knots of each lane's bin, and their derivatives by the raw slopes.
    #[inline(always)]
    pub fn knots(&self, shape: &Shape<E>) -> ([Group<E>; 2], [Group<E>; 2]) {
        let (mut slopes, mut bends) = ([[E::ZERO; LANES]; 2], [[E::ZERO; LANES]; 2]);
        let (swing, inverse) = (shape.swing, E::ONE / shape.swing);
        // At the first knot of the first bin and the last of the last the curve meets the identity.
        let ends = [E::ZERO, E::of(shape.bins as f64 - 1.0)];
        for side in 0..2 {
            for c in 0..LANES {
                let here = self.heights[1][c] / self.widths[1][c];
                let there = self.heights[2 * side][c] / self.widths[2 * side][c];
                let (_, ratio, bend) = scale(swing, inverse, self.raws[side][c]);
                let slope = ratio * ((here + here) * there / (here + there));
                let end = self.index[c] == ends[side];
                slopes[side][c] = if end { E::ONE } else { slope };
                bends[side][c] = if end { E::ZERO } else { slope * bend };
            }
        }
        (slopes, bends)
    }

    /// The curve at lane `c`.
    #[inline(always)]
    pub fn curve(&self, slopes: &[Group<E>; 2], c: usize) -> Curve<E> {
        Curve {
            left: self.left[c],
            bottom: self.bottom[c],
            width: self.widths[1][c],
            height: self.heights[1][c],
            slopes: [slopes[0][c], slopes[1][c]],
        }
    }
}

/// A rational-quadratic curve over one bin.
#[derive(Clone, Copy)]
pub(super) struct Curve<E> {
    pub left: E,
    pub bottom: E,
    pub width: E,
    pub height: E,
    /// The slopes at its two ends.
    pub slopes: [E; 2],
}

impl<E: Real> Curve<E> {
    /// The part of the width (or height) that is done at `value`.
    #[inline(always)]
    pub fn part(value: E, start: E, length: E) -> E {
        let part = (value - start) / length;
        // A knot is a sum: rounding may leave the last a little short of the limit.
        let part = if part > E::ONE { E::ONE } else { part };
        if part < E::ZERO {
            E::ZERO
        } else {
            part
        }
    }

    /// The image of the point at part `xi` of the width, and the slope there.
    #[inline(always)]
    pub fn at(&self, xi: E) -> (E, E) {
        let [first, last] = self.slopes;
        let (eta, s) = (E::ONE - xi, self.height / self.width);
        let q = xi * eta;
        // Gregory and Delbourgo's denominator, written as a sum of positive terms.
        let inverse = E::ONE / (s * (E::ONE - (q + q)) + (first + last) * q);
        let image = self.bottom + self.height * (xi * (s * xi + first * eta) * inverse);
        let ratio = s * inverse;
        let slope = ratio * ratio * (last * xi * xi + (s + s) * q + first * eta * eta);
        (image, slope)
    }

    /// The part of the width at which the part `theta` of the height is reached.
    ///
    /// The quadratic equation for ξ has the discriminant e² + 4 s² θ (1 − θ) with e = d₀ (1 − θ) − d₁ θ, which no rounding can make
    /// negative. Its root is written as a quotient of sums of positive terms, from whichever end of the bin e allows that. (0 / 0 could
    /// arise only if a slope were zero, which its bounds exclude.)
    #[inline(always)]
    pub fn solve(&self, theta: E) -> E {
        let [first, last] = self.slopes;
        let (rest, s) = (E::ONE - theta, self.height / self.width);
        let e = first * rest - last * theta;
        let twice = s + s;
        let root = Real::sqrt(e * e + twice * twice * theta * rest);
        let from_left = e >= E::ZERO;
        let size = if from_left { e } else { -e };
        let near = twice * if from_left { theta } else { rest };
        let part = near / (size + near + root);
        if from_left {
            part
        } else {
            E::ONE - part
        }
    }
}
