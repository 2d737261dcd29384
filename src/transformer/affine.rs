//! The affine transform: y = x·eˢ + t with a soft bound on s.

use super::settings::{fault_of_scale, TransformerSettings};
use crate::error::Result;
use crate::ops::group::group;
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use crate::ops::stock::{columns, tensor_error};
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points, Rows};
use dfdx::prelude::*;
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// What is written for an affine map: y = x·eˢ + t with s = c·tanh(raw / c) and c = ln `max_scale`.
///
/// A soft bound rather than a clamp: it leaves small scales alone, never cuts a gradient to zero, and allows the large
/// ones that a funnel needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Affine", deny_unknown_fields, default)]
pub struct AffineSettings {
    /// The largest factor by which one layer may stretch or shrink a variable.
    pub max_scale: f64,
}

impl Default for AffineSettings {
    fn default() -> Self {
        Self { max_scale: 1000.0 }
    }
}

impl TransformerSettings for AffineSettings {
    type Map = Affine;
    const EXAMPLE: &'static str = "Affine(max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale)
    }

    fn map(&self) -> Affine {
        Affine { bound: self.max_scale.ln() }
    }
}

/// y = x·eˢ + t with s = c·tanh(raw / c): |s| < c with slope 1 at 0. The parameters are the raw log scale and the shift t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// The bound c.
    pub bound: f64,
}

impl Transform for Affine {
    fn per_variable(&self) -> usize {
        2
    }

    /// The scale eˢ and the slope ds/draw.
    fn kept(&self) -> usize {
        2
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        check(
            stride,
            x.len(),
            &[parameters.len(), keep.as_ref().map_or(2 * x.len(), |kept| kept.len())],
            log_det.len(),
        );
        Arch::new().dispatch(Forward { bound: self.bound, stride, x, parameters, log_det, keep });
    }

    fn backward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_y: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    ) {
        check(stride, x.len(), &[2 * d_y.len(), kept.len(), d_parameters.len()], d_log_det.len());
        Arch::new().dispatch(Backward { stride, x, kept, d_y, d_log_det, d_parameters });
    }

    fn adjoint_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_x: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    ) {
        check(stride, x.len(), &[2 * d_x.len(), kept.len(), d_parameters.len()], d_log_det.len());
        Arch::new().dispatch(Adjoint { stride, x, kept, d_x, d_log_det, d_parameters });
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        check(stride, y.len(), &[parameters.len()], log_det.len());
        Arch::new().dispatch(Inverse { bound: self.bound, stride, y, parameters, log_det });
    }

    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        on_tape(self.bound, x, parameters)
    }
}

/// The same composed from the tensor library's own ops: the oracle of the kernels.
fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
    bound: f64,
    x: Points<E, D, T>,
    parameters: Points<E, D, T>,
) -> Result<Mapped<E, D, T>> {
    let (_, width) = *x.shape();
    let even: Vec<usize> = (0..width).map(|i| 2 * i).collect();
    let odd: Vec<usize> = (0..width).map(|i| 2 * i + 1).collect();
    let shift = columns(parameters.with_empty_tape(), &odd)?;
    let raw = columns(parameters, &even)?;
    let s = raw
        .try_mul(E::of(1.0 / bound))
        .and_then(|s| s.try_tanh())
        .and_then(|s| s.try_mul(E::of(bound)))
        .map_err(tensor_error)?;
    let log_det: Rows<E, D, T> = s.with_empty_tape().try_sum::<(usize,), Axis<1>>().map_err(tensor_error)?;
    let y = s
        .try_exp()
        .and_then(|scale| scale.try_mul(x))
        .and_then(|scaled| scaled.try_add(shift))
        .map_err(tensor_error)?;
    Ok((y, log_det))
}

/// Whole variables of whole groups of lanes, and two numbers to each variable in all `others`.
fn check(stride: usize, len: usize, others: &[usize], lanes: usize) {
    assert!(stride.is_multiple_of(LANES) && len.is_multiple_of(stride) && lanes == stride, "whole groups of lanes");
    assert!(others.iter().all(|&other| other == 2 * len), "two numbers for each variable");
}

/// (s, eˢ, ds/draw) at one raw log scale.
#[inline(always)]
pub(super) fn scale<E: Real>(bound: E, inverse: E, raw: E) -> (E, E, E) {
    let t = Real::tanh(raw * inverse);
    let s = bound * t;
    (s, Real::exp(s), E::ONE - t * t)
}

struct Forward<'a, E> {
    bound: f64,
    stride: usize,
    x: &'a mut [E],
    parameters: &'a [E],
    log_det: &'a mut [f64],
    keep: Option<&'a mut [E]>,
}

impl<E: Real> WithSimd for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { bound, stride, x, parameters, log_det, mut keep } = self;
        let (bound, inverse) = (E::of(bound), E::of(1.0 / bound));
        for (i, x) in x.chunks_exact_mut(stride).enumerate() {
            for lane in (0..stride).step_by(LANES) {
                let (raw, shift) = (2 * i * stride + lane, (2 * i + 1) * stride + lane);
                let (raws, shifts, xs) = (group(parameters, raw), group(parameters, shift), group(x, lane));
                let (mut s, mut e, mut slope, mut y) = ([E::ZERO; LANES], [E::ZERO; LANES], [E::ZERO; LANES], xs);
                for c in 0..LANES {
                    (s[c], e[c], slope[c]) = scale(bound, inverse, raws[c]);
                    y[c] = xs[c] * e[c] + shifts[c];
                }
                x[lane..lane + LANES].copy_from_slice(&y);
                for (total, s) in log_det[lane..lane + LANES].iter_mut().zip(s) {
                    *total += s.widen();
                }
                if let Some(keep) = &mut keep {
                    keep[raw..raw + LANES].copy_from_slice(&e);
                    keep[shift..shift + LANES].copy_from_slice(&slope);
                }
            }
        }
    }
}

struct Backward<'a, E> {
    stride: usize,
    x: &'a [E],
    kept: &'a [E],
    d_y: &'a mut [E],
    d_log_det: &'a [E],
    d_parameters: &'a mut [E],
}

impl<E: Real> WithSimd for Backward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { stride, x, kept, d_y, d_log_det, d_parameters } = self;
        for (i, d_y) in d_y.chunks_exact_mut(stride).enumerate() {
            let (scale, slope) = kept[2 * i * stride..][..2 * stride].split_at(stride);
            let (d_raw, d_shift) = d_parameters[2 * i * stride..][..2 * stride].split_at_mut(stride);
            let x = &x[i * stride..][..stride];
            let d_log_det = &d_log_det[..stride];
            for c in 0..stride {
                let d_scaled = d_y[c] * scale[c];
                d_raw[c] = (d_scaled * x[c] + d_log_det[c]) * slope[c];
                d_shift[c] = d_y[c];
                d_y[c] = d_scaled;
            }
        }
    }
}

struct Adjoint<'a, E> {
    stride: usize,
    x: &'a [E],
    kept: &'a [E],
    d_x: &'a mut [E],
    d_log_det: &'a [E],
    d_parameters: &'a mut [E],
}

impl<E: Real> WithSimd for Adjoint<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { stride, x, kept, d_x, d_log_det, d_parameters } = self;
        for (i, d_x) in d_x.chunks_exact_mut(stride).enumerate() {
            let (scale, slope) = kept[2 * i * stride..][..2 * stride].split_at(stride);
            let (d_raw, d_shift) = d_parameters[2 * i * stride..][..2 * stride].split_at_mut(stride);
            let x = &x[i * stride..][..stride];
            let d_log_det = &d_log_det[..stride];
            for c in 0..stride {
                // log τ' = s does not depend on x.
                d_raw[c] = (d_x[c] * x[c] + d_log_det[c]) * slope[c];
                d_x[c] /= scale[c];
                d_shift[c] = d_x[c];
            }
        }
    }
}

struct Inverse<'a, E> {
    bound: f64,
    stride: usize,
    y: &'a mut [E],
    parameters: &'a [E],
    log_det: &'a mut [f64],
}

impl<E: Real> WithSimd for Inverse<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { bound, stride, y, parameters, log_det } = self;
        let (bound, inverse) = (E::of(bound), E::of(1.0 / bound));
        for (i, y) in y.chunks_exact_mut(stride).enumerate() {
            for lane in (0..stride).step_by(LANES) {
                let raws = group(parameters, 2 * i * stride + lane);
                let shifts = group(parameters, (2 * i + 1) * stride + lane);
                let (ys, mut s, mut x) = (group(y, lane), [E::ZERO; LANES], [E::ZERO; LANES]);
                for c in 0..LANES {
                    s[c] = bound * Real::tanh(raws[c] * inverse);
                    x[c] = (ys[c] - shifts[c]) * Real::exp(-s[c]);
                }
                y[lane..lane + LANES].copy_from_slice(&x);
                for (total, s) in log_det[lane..lane + LANES].iter_mut().zip(s) {
                    *total -= s.widen();
                }
            }
        }
    }
}
