//! Monotone rational-quadratic splines of an interval or of a circle (Durkan et al. 2019; Rezende et al. 2020): both ends stay where they are, or
//! meet.

use super::by_formula::ByFormula;
use super::settings::{fault_of_count, fault_of_limit, Domain, TransformerSettings};
use super::shape::{Shape, Slopes, MOST};
use crate::ops::group::{each, Group};
use crate::ops::linear::bounded::{bounded, LOG_SCALE};
use crate::ops::real::Real;
use pulp::Simd;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// What is written for a rational-quadratic spline of the circle (−π, π], turned at last ([`Rational`]): for flows whose variables are all angles. Networks see cosine
/// and sine of an angle, so that nothing happens where a turn begins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Circular", deny_unknown_fields, default)]
pub struct CircularSettings {
    /// The number of bins.
    pub bins: usize,
}

impl Default for CircularSettings {
    fn default() -> Self {
        Self { bins: 8 }
    }
}

impl TransformerSettings for CircularSettings {
    type Map = ByFormula<Rational>;
    const EXAMPLE: &'static str = "Circular(bins: 8)";

    fn fault(&self) -> Option<String> {
        fault_of_count("bins", self.bins, MOST)
    }

    fn map(&self) -> Self::Map {
        ByFormula(Rational { bins: self.bins, ends: Ends::Meet })
    }

    fn domain(&self) -> Domain {
        Domain::Circle
    }
}

/// What is written for a rational-quadratic spline of the interval between ±`limit` ([`Rational`]): for flows whose variables all are within it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Interval", deny_unknown_fields, default)]
pub struct IntervalSettings {
    /// The number of bins.
    pub bins: usize,
    /// Half the length of the interval.
    pub limit: f64,
}

impl Default for IntervalSettings {
    fn default() -> Self {
        Self { bins: 8, limit: 1.0 }
    }
}

impl TransformerSettings for IntervalSettings {
    type Map = ByFormula<Rational>;
    const EXAMPLE: &'static str = "Interval(bins: 8, limit: 1.0)";

    fn fault(&self) -> Option<String> {
        fault_of_count("bins", self.bins, MOST).or_else(|| fault_of_limit(self.limit))
    }

    fn map(&self) -> Self::Map {
        ByFormula(Rational { bins: self.bins, ends: Ends::Stay(self.limit) })
    }

    fn domain(&self) -> Domain {
        Domain::Interval(self.limit)
    }
}

/// What happens at the ends of a spline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ends {
    /// They stay at ±this, with slopes of their own; the identity beyond.
    Stay(f64),
    /// They are one point of a circle, ±π, with one slope; the circle is turned at last.
    Meet,
}

/// A spline with the parameters raw widths, raw heights and raw slopes at knots, of which there are `bins` each, and one more: the slope at the
/// upper end where [`Ends::Stay`], the angle by which the circle is turned where [`Ends::Meet`]. All zero is the identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rational {
    /// The number of bins.
    pub bins: usize,
    /// Its ends.
    pub ends: Ends,
}

/// The part of its even share that every bin has, in width and in height.
const LEAST: f64 = 0.01;

/// The bin of a point: where it begins, its lengths and the slopes at its ends.
struct Bin {
    k: usize,
    left: f64,
    bottom: f64,
    width: f64,
    height: f64,
    slopes: [f64; 2],
}

/// A curve at a point: value, log slope, and the derivatives of both by the point, left, bottom, width, height and the two slopes.
struct Local {
    value: f64,
    log_slope: f64,
    d_value: [f64; 7],
    d_log: [f64; 7],
}

/// An angle in [−π, π).
fn wrapped(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}

impl Bin {
    /// Durkan et al. 2019, equations 4 and 5, and their derivatives.
    fn at(&self, x: f64) -> Local {
        let (w, h, [first, last]) = (self.width, self.height, self.slopes);
        let xi = ((x - self.left) / w).clamp(0.0, 1.0);
        let (eta, s) = (1.0 - xi, h / w);
        let q = xi * eta;
        let n = xi * (s * xi + first * eta);
        let d = s + (first + last - 2.0 * s) * q;
        let b = last * xi * xi + 2.0 * s * q + first * eta * eta;
        let theta = n / d;
        let slope = s * s * b / (d * d);
        // By ξ, s, first and last, with θ′ = ∂θ/∂ξ = slope / s.
        let turn = 1.0 - 2.0 * xi;
        let log_by_xi = 2.0 * ((last * xi + s * turn - first * eta) / b - (first + last - 2.0 * s) * turn / d);
        let theta_by_s = (xi * xi - theta * (1.0 - 2.0 * q)) / d;
        let log_by_s = 2.0 / s + 2.0 * q / b - 2.0 * (1.0 - 2.0 * q) / d;
        let theta_by = [(q - theta * q) / d, -theta * q / d];
        let log_by = [eta * eta / b - 2.0 * q / d, xi * xi / b - 2.0 * q / d];
        let (s_by_w, s_by_h) = (-s / w, 1.0 / w);
        let (by_left, by_width) = (-1.0 / w, -xi / w);
        let value_by_xi = slope * w;
        Local {
            value: self.bottom + h * theta,
            log_slope: slope.ln(),
            d_value: [
                slope,
                value_by_xi * by_left,
                1.0,
                value_by_xi * by_width + h * theta_by_s * s_by_w,
                theta + h * theta_by_s * s_by_h,
                h * theta_by[0],
                h * theta_by[1],
            ],
            d_log: [
                log_by_xi / w,
                log_by_xi * by_left,
                0.0,
                log_by_xi * by_width + log_by_s * s_by_w,
                log_by_s * s_by_h,
                log_by[0],
                log_by[1],
            ],
        }
    }
}

impl Rational {
    fn limit(&self) -> f64 {
        match self.ends {
            Ends::Stay(limit) => limit,
            Ends::Meet => PI,
        }
    }

    /// Lengths of all bins from the softmax of raw ones.
    fn lengths(&self, raw: &[f64], lengths: &mut [f64; MOST], soft: &mut [f64; MOST]) {
        softmax(raw, &mut soft[..self.bins]);
        let whole = 2.0 * self.limit();
        for (length, soft) in lengths.iter_mut().zip(&soft[..self.bins]) {
            *length = whole * (LEAST / self.bins as f64 + (1.0 - LEAST) * soft);
        }
    }

    /// The place of the slope at knot `k` among the raw ones.
    fn knot(&self, k: usize) -> usize {
        match self.ends {
            Ends::Meet => k % self.bins,
            Ends::Stay(_) => k,
        }
    }

    /// The bin in which `x` is by its widths, or by its heights.
    fn bin(&self, x: f64, widths: &[f64; MOST], heights: &[f64; MOST], by_height: bool, theta: &[f64]) -> Bin {
        let (mut left, mut bottom, mut k) = (-self.limit(), -self.limit(), 0);
        let reached = |left: f64, bottom: f64, k: usize| if by_height { bottom + heights[k] } else { left + widths[k] };
        while k + 1 < self.bins && x > reached(left, bottom, k) {
            (left, bottom, k) = (left + widths[k], bottom + heights[k], k + 1);
        }
        let slope = |k: usize| bounded(theta[2 * self.bins + self.knot(k)], LOG_SCALE).0.exp();
        Bin { k, left, bottom, width: widths[k], height: heights[k], slopes: [slope(k), slope(k + 1)] }
    }

    /// The point in the interval or on the circle; none beyond the ends, where nothing happens.
    fn within(&self, x: f64) -> Option<f64> {
        match self.ends {
            Ends::Meet => x.is_finite().then(|| wrapped(x)),
            Ends::Stay(limit) => (x.abs() < limit).then_some(x),
        }
    }

    fn turn(&self, theta: &[f64]) -> f64 {
        match self.ends {
            Ends::Meet => theta[3 * self.bins],
            Ends::Stay(_) => 0.0,
        }
    }

    fn turned(&self, value: f64, theta: &[f64]) -> f64 {
        match self.ends {
            Ends::Meet => wrapped(value + self.turn(theta)),
            Ends::Stay(limit) => value.clamp(-limit, limit),
        }
    }

    /// [`Shape::at`] of one number.
    fn at_point(&self, x: f64, theta: &[f64]) -> (f64, f64) {
        let Some(x) = self.within(x) else { return (x, 0.0) };
        let [mut widths, mut heights, mut soft] = [[0.0; MOST]; 3];
        self.lengths(&theta[..self.bins], &mut widths, &mut soft);
        self.lengths(&theta[self.bins..2 * self.bins], &mut heights, &mut soft);
        let local = self.bin(x, &widths, &heights, false, theta).at(x);
        (self.turned(local.value, theta), local.log_slope)
    }

    /// [`Shape::slopes`] of one number; the bend is what comes last.
    fn slopes_at_point(&self, x: f64, theta: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> (f64, f64, f64) {
        d_value.fill(0.0);
        d_log_slope.fill(0.0);
        let Some(x) = self.within(x) else { return (x, 0.0, 0.0) };
        let [mut widths, mut heights, mut soft_widths, mut soft_heights] = [[0.0; MOST]; 4];
        let bins = self.bins;
        self.lengths(&theta[..bins], &mut widths, &mut soft_widths);
        self.lengths(&theta[bins..2 * bins], &mut heights, &mut soft_heights);
        let bin = self.bin(x, &widths, &heights, false, theta);
        let local = bin.at(x);
        let through = 2.0 * self.limit() * (1.0 - LEAST);
        for (d, by) in [(&mut *d_value, &local.d_value), (&mut *d_log_slope, &local.d_log)] {
            // A length moves what comes after its bin; those of all bins come out of a softmax.
            let lengths = [(0, &soft_widths, by[1], by[3]), (bins, &soft_heights, by[2], by[4])];
            for (first, soft, by_begin, by_own) in lengths {
                let of = |k: usize| match k.cmp(&bin.k) {
                    std::cmp::Ordering::Less => by_begin,
                    std::cmp::Ordering::Equal => by_own,
                    std::cmp::Ordering::Greater => 0.0,
                };
                let mean: f64 = (0..bins).map(|k| soft[k] * of(k)).sum();
                (0..bins).for_each(|k| d[first + k] = through * soft[k] * (of(k) - mean));
            }
            for side in 0..2 {
                let place = 2 * bins + self.knot(bin.k + side);
                let (_, slope) = bounded(theta[place], LOG_SCALE);
                d[place] += by[5 + side] * bin.slopes[side] * slope;
            }
        }
        if self.ends == Ends::Meet {
            d_value[3 * bins] = 1.0;
        }
        (self.turned(local.value, theta), local.log_slope, local.d_log[0])
    }

    /// [`Shape::solve`] of one number.
    fn solve_point(&self, y: f64, theta: &[f64]) -> f64 {
        let Some(y) = self.within(y - self.turn(theta)) else { return y };
        let [mut widths, mut heights, mut soft] = [[0.0; MOST]; 3];
        self.lengths(&theta[..self.bins], &mut widths, &mut soft);
        self.lengths(&theta[self.bins..2 * self.bins], &mut heights, &mut soft);
        let bin = self.bin(y, &widths, &heights, true, theta);
        // The root of a quadratic that keeps its digits (Durkan et al. 2019, equations 29 to 31).
        let (s, [first, last]) = (bin.height / bin.width, bin.slopes);
        let up = (y - bin.bottom).clamp(0.0, bin.height);
        let spread = first + last - 2.0 * s;
        let (a, b, c) = (bin.height * (s - first) + up * spread, bin.height * first - up * spread, -s * up);
        let xi = 2.0 * c / (-b - (b * b - 4.0 * a * c).max(0.0).sqrt());
        let x = bin.left + xi.clamp(0.0, 1.0) * bin.width;
        match self.ends {
            Ends::Meet => wrapped(x),
            Ends::Stay(limit) => x.clamp(-limit, limit),
        }
    }
}

/// Softmax of `raw` into `out`.
fn softmax(raw: &[f64], out: &mut [f64]) {
    let most = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for (out, raw) in out.iter_mut().zip(raw) {
        *out = (raw - most).exp();
        total += *out;
    }
    out.iter_mut().for_each(|out| *out /= total);
}

/// The most parameters.
const PARAMETERS: usize = 3 * MOST + 1;

/// The parameters of lane `c`.
fn of_lane<E: Real>(ready: &[Group<E>], c: usize, theta: &mut [f64; PARAMETERS]) {
    theta.iter_mut().zip(ready).for_each(|(theta, ready)| *theta = ready[c].widen());
}

/// One lane after another, in double precision.
impl Shape for Rational {
    fn parameters(&self) -> usize {
        3 * self.bins + 1
    }

    fn inputs(&self) -> usize {
        if self.ends == Ends::Meet {
            2
        } else {
            1
        }
    }

    /// The parameters.
    fn prepared(&self) -> usize {
        self.parameters()
    }

    #[inline(always)]
    fn prepare<E: Real>(&self, theta: &[Group<E>], ready: &mut [Group<E>]) {
        ready.copy_from_slice(theta);
    }

    fn at<E: Real, R: Simd>(&self, _: R, x: &Group<E>, ready: &[Group<E>]) -> (Group<E>, Group<E>) {
        let (mut value, mut log_slope, mut theta) = (*x, *x, [0.0; PARAMETERS]);
        for c in 0..x.len() {
            of_lane(ready, c, &mut theta);
            let found = self.at_point(x[c].widen(), &theta);
            (value[c], log_slope[c]) = (E::of(found.0), E::of(found.1));
        }
        (value, log_slope)
    }

    fn slopes<E: Real, R: Simd>(
        &self,
        _: R,
        x: &Group<E>,
        ready: &[Group<E>],
        d_value: &mut [Group<E>],
        d_log_slope: &mut [Group<E>],
    ) -> Slopes<E> {
        let mut slopes = Slopes { value: *x, log_slope: *x, bend: *x };
        let [mut theta, mut by_theta, mut log_by_theta] = [[0.0; PARAMETERS]; 3];
        let count = self.parameters();
        for c in 0..x.len() {
            of_lane(ready, c, &mut theta);
            let (d, d_log) = (&mut by_theta[..count], &mut log_by_theta[..count]);
            let found = self.slopes_at_point(x[c].widen(), &theta, d, d_log);
            (slopes.value[c], slopes.log_slope[c], slopes.bend[c]) = (E::of(found.0), E::of(found.1), E::of(found.2));
            d_value.iter_mut().zip(d).for_each(|(to, from)| to[c] = E::of(*from));
            d_log_slope.iter_mut().zip(d_log).for_each(|(to, from)| to[c] = E::of(*from));
        }
        slopes
    }

    fn solve<E: Real, R: Simd>(&self, _: R, y: &Group<E>, ready: &[Group<E>]) -> Group<E> {
        each(|c| {
            let mut theta = [0.0; PARAMETERS];
            of_lane(ready, c, &mut theta);
            E::of(self.solve_point(y[c].widen(), &theta))
        })
    }
}
