//! The images of a spline.

use super::bins::{locate, Curve, Lengths, Raw, Shape};
use super::Spline;
use crate::ops::group::{each, group};
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use pulp::{Simd, WithSimd};

/// See [`Transform::forward_lanes`].
pub(super) struct Forward<'a, E> {
    pub spline: Spline,
    pub stride: usize,
    pub x: &'a mut [E],
    pub parameters: &'a [E],
    pub log_det: &'a mut [f64],
    pub keep: Option<&'a mut [E]>,
}

impl<E: Real> WithSimd for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { spline, stride, x, parameters, log_det, mut keep } = self;
        let shape = Shape::<E>::new(&spline);
        let (per_variable, per_kept) = (spline.per_variable() * stride, spline.kept() * stride);
        let mut lengths = Lengths::zeros();
        for (i, x) in x.chunks_exact_mut(stride).enumerate() {
            let parameters = &parameters[i * per_variable..][..per_variable];
            for lane in (0..stride).step_by(LANES) {
                let raw = Raw::new(shape.bins, stride, lane, parameters);
                lengths.fill(simd, &shape, &raw);
                let points = group(x, lane);
                let inner = each(|c| shape.clamp(points[c]));
                let place = locate::<E, S, false>(simd, &shape, &raw, &lengths, &inner);
                let (slopes, bends) = place.knots(&shape);
                let (raw_scale, shift) = (raw.scale(), raw.shift());
                let (mut y, mut log_slope) = (points, [E::ZERO; LANES]);
                let (mut scale, mut scale_bend) = ([E::ZERO; LANES], [E::ZERO; LANES]);
                for c in 0..LANES {
                    let curve = place.curve(&slopes, c);
                    let (image, slope) = curve.at(Curve::part(inner[c], curve.left, curve.width));
                    let inside = shape.holds(points[c]);
                    let (z, ln) = (if inside { image } else { points[c] }, Real::ln(slope));
                    let s;
                    (s, scale[c], scale_bend[c]) = shape.scale(raw_scale[c]);
                    y[c] = z * scale[c] + shift[c];
                    log_slope[c] = s + if inside { ln } else { E::ZERO };
                }
                x[lane..lane + LANES].copy_from_slice(&y);
                for (total, log_slope) in log_det[lane..lane + LANES].iter_mut().zip(log_slope) {
                    *total += log_slope.widen();
                }
                if let Some(keep) = &mut keep {
                    let keep = &mut keep[i * per_kept..][..per_kept];
                    let mut slots = keep.chunks_exact_mut(stride);
                    let mut put = |values: &[E; LANES]| {
                        let slot = slots.next().expect("as many slots as are kept");
                        slot[lane..lane + LANES].copy_from_slice(values);
                    };
                    lengths.widths[..shape.bins].iter().for_each(&mut put);
                    lengths.heights[..shape.bins].iter().for_each(&mut put);
                    [&place.index, &place.left, &place.bottom].into_iter().for_each(&mut put);
                    place.widths.iter().chain(&place.heights).for_each(&mut put);
                    slopes.iter().chain(&bends).for_each(&mut put);
                    put(&scale);
                    put(&scale_bend);
                }
            }
        }
    }
}
