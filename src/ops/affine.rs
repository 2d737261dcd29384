//! The affine transformer on slices: y = x·eˢ + t with a soft bound on s, its inverse, its log-det and its gradients.

use super::real::Real;
use pulp::{Arch, Simd, WithSimd};

/// The number of parameters of one variable: the raw log scale and the shift.
pub const PER_VARIABLE: usize = 2;

/// s = c·tanh(raw / c), elementwise: |s| < c with slope 1 at 0.
fn log_scales<E: Real>(bound: f64, raw: &mut [E], slopes: Option<&mut [E]>) {
    Arch::new().dispatch(Bounded { bound: E::of(bound), inverse: E::of(1.0 / bound), raw, slopes });
}

/// The arguments of [`log_scales`], as what `pulp` compiles once per instruction set.
struct Bounded<'a, E> {
    bound: E,
    inverse: E,
    raw: &'a mut [E],
    slopes: Option<&'a mut [E]>,
}

impl<E: Real> WithSimd for Bounded<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { bound, inverse, raw, slopes } = self;
        match slopes {
            Some(slopes) => {
                for (raw, slope) in raw.iter_mut().zip(slopes) {
                    let t = Real::tanh(*raw * inverse);
                    *raw = bound * t;
                    *slope = E::ONE - t * t;
                }
            }
            None => {
                for raw in raw {
                    *raw = bound * Real::tanh(*raw * inverse);
                }
            }
        }
    }
}

/// eˣ, elementwise.
fn exponentials<E: Real>(values: &mut [E]) {
    Arch::new().dispatch(Exponentials(values));
}

/// The argument of [`exponentials`], as what `pulp` compiles once per instruction set.
struct Exponentials<'a, E>(&'a mut [E]);

impl<E: Real> WithSimd for Exponentials<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for value in self.0 {
            *value = Real::exp(*value);
        }
    }
}

/// What [`forward`] keeps for [`backward`]: scales eˢ and the slopes ds/draw, rows × variables.
#[derive(Debug, Clone, Default)]
pub struct Scales<E> {
    scale: Vec<E>,
    slope: Vec<E>,
}

/// Transforms rows of `x` (`width` values to a row, in the order of the parameters) in place, with parameters at
/// `parameters[row · stride + 2 i]`, and adds each row's log-det Σ s to `log_det`.
pub fn forward<E: Real>(
    bound: f64,
    width: usize,
    x: &mut [E],
    parameters: &[E],
    stride: usize,
    log_det: &mut [f64],
    keep: Option<&mut Scales<E>>,
) {
    let mut scale: Vec<E> = Vec::with_capacity(x.len());
    for row in parameters.chunks_exact(stride).take(log_det.len()) {
        scale.extend(row[..PER_VARIABLE * width].iter().step_by(PER_VARIABLE));
    }
    let mut slope = vec![E::ZERO; if keep.is_some() { scale.len() } else { 0 }];
    log_scales(bound, &mut scale, keep.is_some().then_some(&mut slope[..]));
    for (total, row) in log_det.iter_mut().zip(scale.chunks_exact(width)) {
        *total += row.iter().map(|s| s.widen()).sum::<f64>();
    }
    exponentials(&mut scale);
    let rows = x.chunks_exact_mut(width).zip(scale.chunks_exact(width)).zip(parameters.chunks_exact(stride));
    for ((x, scale), parameters) in rows {
        for ((x, &scale), pair) in x.iter_mut().zip(scale).zip(parameters.chunks_exact(PER_VARIABLE)) {
            *x = scale.fma(*x, pair[1]);
        }
    }
    if let Some(keep) = keep {
        *keep = Scales { scale, slope };
    }
}

/// The gradients of [`forward`]: overwrites `d_y` (rows × `width`) with the gradient of x, and fills that of the parameters.
pub fn backward<E: Real>(
    width: usize,
    x: &[E],
    kept: &Scales<E>,
    d_y: &mut [E],
    d_log_det: &[E],
    d_parameters: &mut [E],
    stride: usize,
) {
    for (row, &d_log_det) in d_log_det.iter().enumerate() {
        let at = row * width;
        for i in 0..width {
            let (scale, slope) = (kept.scale[at + i], kept.slope[at + i]);
            let d_scaled = d_y[at + i] * scale;
            let pair = &mut d_parameters[row * stride + PER_VARIABLE * i..][..PER_VARIABLE];
            pair[0] = (d_scaled * x[at + i] + d_log_det) * slope;
            pair[1] = d_y[at + i];
            d_y[at + i] = d_scaled;
        }
    }
}

/// Inverts one variable over many lanes: x = (y − t)·e⁻ˢ, with `parameters` holding the raw log scales of all lanes and then the
/// shifts; adds −s, the inverse's log-det, to `log_det`.
pub fn inverse_lanes<E: Real>(bound: f64, parameters: &[E], y_to_x: &mut [E], log_det: &mut [f64]) {
    let (raw, shift) = parameters.split_at(parameters.len() / PER_VARIABLE);
    let mut s = raw.to_vec();
    log_scales(bound, &mut s, None);
    for (total, s) in log_det.iter_mut().zip(&mut s) {
        *total -= s.widen();
        *s = -*s;
    }
    exponentials(&mut s);
    for ((y, &scale), &shift) in y_to_x.iter_mut().zip(&s).zip(shift) {
        *y = (*y - shift) * scale;
    }
}
