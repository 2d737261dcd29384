//! The gradients of a spline: from image to point, or from point to image.

use super::bins::{Curve, Shape};
use super::Spline;
use crate::ops::group::{each, group, Group};
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use pulp::{Simd, WithSimd};

/// What is given, and where the results go.
pub(super) struct Gradients<'a, E> {
    /// The gradient of y, turned in place into that of x; in the adjoint pass the other way round.
    pub values: &'a mut [E],
    pub log_det: &'a [E],
    pub parameters: &'a mut [E],
}

/// See [`Transform::backward_lanes`] and, with `ADJOINT`, [`Transform::adjoint_lanes`].
pub(super) struct Backward<'a, E, const ADJOINT: bool> {
    pub spline: Spline,
    pub stride: usize,
    pub x: &'a [E],
    pub kept: &'a [E],
    pub d: Gradients<'a, E>,
}

/// What the forward pass has kept of a lane, besides the lengths of all bins.
struct Local<E> {
    index: E,
    curve: Curve<E>,
    widths: [E; 3],
    heights: [E; 3],
    bends: [E; 2],
    scale: E,
    scale_bend: E,
}

/// The gradients of what a lane's image depends on.
struct Pulled<E> {
    value: E,
    left: E,
    bottom: E,
    widths: [E; 3],
    heights: [E; 3],
    raws: [E; 2],
    raw_scale: E,
    shift: E,
}

impl<E: Real, const ADJOINT: bool> WithSimd for Backward<'_, E, ADJOINT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { spline, stride, x, kept, d } = self;
        let shape = Shape::<E>::new(&spline);
        let bins = shape.bins;
        let (per_variable, per_kept) = (spline.per_variable() * stride, spline.kept() * stride);
        for (i, values) in d.values.chunks_exact_mut(stride).enumerate() {
            let d_parameters = &mut d.parameters[i * per_variable..][..per_variable];
            let (x, kept) = (&x[i * stride..][..stride], &kept[i * per_kept..][..per_kept]);
            for lane in (0..stride).step_by(LANES) {
                let slot = |slot: usize| group(kept, slot * stride + lane);
                let locals: [Group<E>; Spline::LOCALS] = std::array::from_fn(|l| slot(2 * bins + l));
                let (points, given, d_log_det) = (group(x, lane), group(values, lane), group(d.log_det, lane));
                let mut put = |slot: usize, values: &Group<E>| {
                    d_parameters[slot * stride + lane..][..LANES].copy_from_slice(values);
                };
                let mut out = [[E::ZERO; LANES]; 15];
                for c in 0..LANES {
                    let local = Local::new(&locals, c);
                    let pulled = local.pull::<ADJOINT>(&shape, points[c], given[c], d_log_det[c]);
                    let Pulled { value, left, bottom, widths, heights, raws, raw_scale, shift } = pulled;
                    // The mean gradient over the softmax: all bins before this one have that of its left or bottom.
                    let mean = |before: E, d_before: E, shares: [E; 3], d: &[E; 3], whole: E| {
                        (before * d_before + shares[0] * d[0] + shares[1] * d[1] + shares[2] * d[2]) / whole
                    };
                    let (done, risen) = (local.curve.left + shape.limit, local.curve.bottom + shape.limit);
                    let shares: [E; 3] = std::array::from_fn(|n| local.heights[n] - shape.flattest * local.widths[n]);
                    let before = risen - shape.flattest * done;
                    let mean_height = mean(before, bottom, shares, &heights, shape.height);
                    // A height has a part that is proportional to the width.
                    let left = left + shape.flattest * bottom;
                    let widths: [E; 3] = std::array::from_fn(|n| widths[n] + shape.flattest * heights[n]);
                    let shares = local.widths.map(|width| width - shape.narrowest);
                    let before = done - shape.narrowest * local.index;
                    let mean_width = mean(before, left, shares, &widths, shape.width);
                    out[0][c] = value;
                    out[1][c] = left;
                    out[2][c] = widths[0];
                    out[3][c] = widths[1];
                    out[4][c] = widths[2];
                    out[5][c] = mean_width;
                    out[6][c] = bottom;
                    out[7][c] = heights[0];
                    out[8][c] = heights[1];
                    out[9][c] = heights[2];
                    out[10][c] = mean_height;
                    out[11][c] = raws[0];
                    out[12][c] = raws[1];
                    out[13][c] = raw_scale;
                    out[14][c] = shift;
                }
                values[lane..lane + LANES].copy_from_slice(&out[0]);
                let index = &locals[0];
                for k in 0..bins {
                    let (here, next) = (E::of(k as f64), E::of(k as f64 + 1.0));
                    let previous = E::of(k as f64 - 1.0);
                    // The bin's own gradient, less the mean: the derivative of a softmax.
                    let logit = |share: &Group<E>, d: &[Group<E>]| {
                        each(|c| {
                            let before = if index[c] > here { d[0][c] } else { E::ZERO };
                            let own = if index[c] == here { d[2][c] } else { before };
                            let own = if index[c] == previous { d[3][c] } else { own };
                            let own = own + if index[c] == next { d[1][c] } else { E::ZERO };
                            share[c] * (own - d[4][c])
                        })
                    };
                    let (width, height) = (slot(k), slot(bins + k));
                    put(k, &logit(&each(|c| width[c] - shape.narrowest), &out[1..6]));
                    put(bins + k, &logit(&each(|c| height[c] - shape.flattest * width[c]), &out[6..11]));
                    if k + 1 < bins {
                        let raw = each(|c| {
                            let last = if index[c] == here { out[12][c] } else { E::ZERO };
                            if index[c] == next {
                                out[11][c]
                            } else {
                                last
                            }
                        });
                        put(2 * bins + k, &raw);
                    }
                }
                put(3 * bins - 1, &out[13]);
                put(3 * bins, &out[14]);
            }
        }
    }
}

impl<E: Real> Local<E> {
    #[inline(always)]
    fn new(locals: &[Group<E>; Spline::LOCALS], c: usize) -> Self {
        let at = |l: usize| locals[l][c];
        let (widths, heights) = ([at(3), at(4), at(5)], [at(6), at(7), at(8)]);
        Self {
            index: at(0),
            curve: Curve { left: at(1), bottom: at(2), width: widths[1], height: heights[1], slopes: [at(9), at(10)] },
            widths,
            heights,
            bends: [at(11), at(12)],
            scale: at(13),
            scale_bend: at(14),
        }
    }

    /// The gradients at the point `x`, given that of y (or of x) and that of the log-det.
    #[inline(always)]
    fn pull<const ADJOINT: bool>(&self, shape: &Shape<E>, x: E, given: E, d_log_det: E) -> Pulled<E> {
        let two = E::ONE + E::ONE;
        let Curve { left, bottom, width, height, slopes: [first, last] } = self.curve;
        let inside = shape.holds(x);
        let xi = Curve::part(shape.clamp(x), left, width);
        let (eta, per_width) = (E::ONE - xi, E::ONE / width);
        let (q, s) = (xi * eta, height * per_width);
        // z = bottom + height · θ with θ = N / D, and dz/dx = s² B / D².
        let sum = first + last;
        let per_d = E::ONE / (s * (E::ONE - two * q) + sum * q);
        let b = last * xi * xi + two * s * q + first * eta * eta;
        let per_b = E::ONE / b;
        let theta = xi * (s * xi + first * eta) * per_d;
        let ratio = s * per_d;
        let slope = ratio * ratio * b;
        // ∂ log(dz/dx) / ∂x.
        let turn = E::ONE - two * xi;
        let bend = two * per_width * ((s * turn + last * xi - first * eta) * per_b - (sum - two * s) * turn * per_d);
        let z = if inside { bottom + height * theta } else { x };
        let slope = if inside { slope } else { E::ONE };
        let bend = if inside { bend } else { E::ZERO };

        let (d_x, d_y, d_z);
        if ADJOINT {
            d_x = given;
            d_z = (given - d_log_det * bend) / slope;
            d_y = d_z / self.scale;
        } else {
            d_y = given;
            d_z = given * self.scale;
            d_x = d_z * slope + d_log_det * bend;
        }
        let raw_scale = (d_z * z + d_log_det) * self.scale_bend;
        let value = if ADJOINT { d_y } else { d_x };

        // Outside nothing reaches the spline.
        let only = |gradient: E| if inside { gradient } else { E::ZERO };
        let (d_x, d_z, d_log_slope) = (only(d_x), only(d_z), only(d_log_det));
        let d_theta = d_z * height;
        let (d_n, d_b) = (d_theta * per_d, d_log_slope * per_b);
        let d_d = -(d_theta * theta + two * d_log_slope) * per_d;
        let d_first = d_b * eta * eta + (d_n + d_d) * q;
        let d_last = d_b * xi * xi + d_d * q;
        let mut d_s = two * (d_log_slope / s + d_b * q) + d_n * xi * xi + d_d * (E::ONE - two * q);
        // The slope at a knot is a multiple of the harmonic mean of the slopes a and s of the bins that meet there; its derivatives are
        // those of that mean over the mean: s / (a (a + s)) and a / (s (a + s)).
        let (mut d_widths, mut d_heights) = ([E::ZERO; 3], [E::ZERO; 3]);
        let ends = [E::ZERO, E::of(shape.bins as f64 - 1.0)];
        for (side, d_slope) in [d_first * first, d_last * last].into_iter().enumerate() {
            let per_there = E::ONE / self.widths[2 * side];
            let there = self.heights[2 * side] * per_there;
            let share = if self.index == ends[side] { E::ZERO } else { d_slope / (there + s) };
            d_s += share * there / s;
            let d_there = share * s / there;
            d_heights[2 * side] = d_there * per_there;
            d_widths[2 * side] = -d_there * there * per_there;
        }
        d_heights[1] = d_z * theta + d_s * per_width;
        d_widths[1] = -d_x * xi - d_s * s * per_width;
        Pulled {
            value,
            left: -d_x,
            bottom: d_z,
            widths: d_widths,
            heights: d_heights,
            raws: [d_first * self.bends[0], d_last * self.bends[1]],
            raw_scale,
            shift: d_y,
        }
    }
}
