//! The preimages of a spline.

use super::bins::{locate, Curve, Lengths, Raw, Shape};
use super::Spline;
use crate::ops::group::{each, group};
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use pulp::{Simd, WithSimd};

/// See [`Transform::inverse_lanes`].
pub(super) struct Inverse<'a, E> {
    pub spline: Spline,
    pub stride: usize,
    pub y: &'a mut [E],
    pub parameters: &'a [E],
    pub log_det: &'a mut [f64],
}

impl<E: Real> WithSimd for Inverse<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { spline, stride, y, parameters, log_det } = self;
        let shape = Shape::<E>::new(&spline);
        let per_variable = spline.per_variable() * stride;
        let mut lengths = Lengths::zeros();
        for (i, y) in y.chunks_exact_mut(stride).enumerate() {
            let parameters = &parameters[i * per_variable..][..per_variable];
            for lane in (0..stride).step_by(LANES) {
                let raw = Raw::new(shape.bins, stride, lane, parameters);
                lengths.fill(simd, &shape, &raw);
                let (raw_scale, shift, images) = (raw.scale(), raw.shift(), group(y, lane));
                let (mut s, mut z) = ([E::ZERO; LANES], images);
                for c in 0..LANES {
                    // Divided by the very number that the forward pass multiplies by: e⁻ˢ is not exactly its inverse.
                    let scale;
                    (s[c], scale, _) = shape.scale(raw_scale[c]);
                    z[c] = (images[c] - shift[c]) / scale;
                }
                let inner = each(|c| shape.clamp(z[c]));
                let place = locate::<E, S, true>(simd, &shape, &raw, &lengths, &inner);
                let (slopes, _) = place.knots(&shape);
                let (mut x, mut log_slope) = (z, s);
                for c in 0..LANES {
                    let curve = place.curve(&slopes, c);
                    let xi = curve.solve(Curve::part(inner[c], curve.bottom, curve.height));
                    let ln = Real::ln(curve.at(xi).1);
                    let inside = shape.holds(z[c]);
                    x[c] = if inside { curve.left + curve.width * xi } else { z[c] };
                    log_slope[c] = s[c] + if inside { ln } else { E::ZERO };
                }
                y[lane..lane + LANES].copy_from_slice(&x);
                for (total, log_slope) in log_det[lane..lane + LANES].iter_mut().zip(log_slope) {
                    *total -= log_slope.widen();
                }
            }
        }
    }
}
