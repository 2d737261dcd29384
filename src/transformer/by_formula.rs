//! A shape on lanes and on tape.

use super::point;
use super::shape::{Shape, Slopes};
use crate::error::Result;
use crate::ops::group::{each, group, Group};
use crate::ops::lanes::LANES;
use crate::ops::real::Real;
use crate::ops::stock::tensor_error;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points, Rows};
use dfdx::prelude::*;
use pulp::{Arch, Simd, WithSimd};

/// A map by its formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByFormula<S>(pub S);

/// Fills `slots` from group after group of one variable, `stride` lanes to each.
#[inline(always)]
fn take<E: Real>(values: &[E], stride: usize, lane: usize, slots: &mut [Group<E>]) {
    for (slot, values) in slots.iter_mut().zip(values.chunks_exact(stride)) {
        *slot = group(values, lane);
    }
}

/// The other way round.
#[inline(always)]
fn put<E: Real>(slots: &[Group<E>], stride: usize, lane: usize, values: &mut [E]) {
    for (slot, values) in slots.iter().zip(values.chunks_exact_mut(stride)) {
        values[lane..lane + LANES].copy_from_slice(slot);
    }
}

/// See [`Transform::forward_lanes`] and, with `INVERSE`, [`Transform::inverse_lanes`].
struct Forward<'a, E, F, const INVERSE: bool> {
    shape: F,
    stride: usize,
    x: &'a mut [E],
    parameters: &'a [E],
    log_det: &'a mut [f64],
    keep: Option<&'a mut [E]>,
}

impl<E: Real, F: Shape, const INVERSE: bool> WithSimd for Forward<'_, E, F, INVERSE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<R: Simd>(self, simd: R) {
        let Self { shape, stride, x, parameters, log_det, mut keep } = self;
        let (width, prepared) = (shape.parameters(), shape.prepared());
        let mut theta = vec![[E::ZERO; LANES]; width];
        let mut ready = vec![[E::ZERO; LANES]; prepared];
        for (v, x) in x.chunks_exact_mut(stride).enumerate() {
            let parameters = &parameters[v * width * stride..][..width * stride];
            for lane in (0..stride).step_by(LANES) {
                take(parameters, stride, lane, &mut theta);
                shape.prepare(&theta, &mut ready);
                let from = group(x, lane);
                let (to, log_slope) = if INVERSE {
                    let found = shape.solve(simd, &from, &ready);
                    (found, shape.at(simd, &found, &ready).1)
                } else {
                    shape.at(simd, &from, &ready)
                };
                x[lane..lane + LANES].copy_from_slice(&to);
                for (total, log_slope) in log_det[lane..lane + LANES].iter_mut().zip(log_slope) {
                    *total += if INVERSE { -log_slope.widen() } else { log_slope.widen() };
                }
                if let Some(keep) = &mut keep {
                    put(&ready, stride, lane, &mut keep[v * prepared * stride..][..prepared * stride]);
                }
            }
        }
    }
}

/// See [`Transform::backward_lanes`] and, with `ADJOINT`, [`Transform::adjoint_lanes`].
struct Backward<'a, E, F, const ADJOINT: bool> {
    shape: F,
    stride: usize,
    x: &'a [E],
    kept: &'a [E],
    /// Turned in place into the other one.
    gradient: &'a mut [E],
    d_log_det: &'a [E],
    d_parameters: &'a mut [E],
}

impl<E: Real, F: Shape, const ADJOINT: bool> WithSimd for Backward<'_, E, F, ADJOINT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<R: Simd>(self, simd: R) {
        let Self { shape, stride, x, kept, gradient, d_log_det, d_parameters } = self;
        let (width, prepared) = (shape.parameters(), shape.prepared());
        let mut ready = vec![[E::ZERO; LANES]; prepared];
        let (mut d_value, mut d_log_slope) = (vec![[E::ZERO; LANES]; width], vec![[E::ZERO; LANES]; width]);
        for (v, gradient) in gradient.chunks_exact_mut(stride).enumerate() {
            let kept = &kept[v * prepared * stride..][..prepared * stride];
            let d_parameters = &mut d_parameters[v * width * stride..][..width * stride];
            for lane in (0..stride).step_by(LANES) {
                take(kept, stride, lane, &mut ready);
                let point = group(x, v * stride + lane);
                let Slopes { log_slope, bend, .. } = shape.slopes(simd, &point, &ready, &mut d_value, &mut d_log_slope);
                let (given, d_log) = (group(gradient, lane), group(d_log_det, lane));
                let d_y =
                    each(
                        |c| {
                            if ADJOINT {
                                (given[c] - d_log[c] * bend[c]) * Real::exp(-log_slope[c])
                            } else {
                                given[c]
                            }
                        },
                    );
                let passed =
                    each(|c| if ADJOINT { d_y[c] } else { d_y[c] * Real::exp(log_slope[c]) + d_log[c] * bend[c] });
                gradient[lane..lane + LANES].copy_from_slice(&passed);
                for (d, &log) in d_value.iter_mut().zip(&d_log_slope) {
                    let value = *d;
                    *d = each(|c| d_y[c] * value[c] + d_log[c] * log[c]);
                }
                put(&d_value, stride, lane, d_parameters);
            }
        }
    }
}

impl<S: Shape> ByFormula<S> {
    /// Whole variables of whole groups of lanes, and the right amount of all that belongs to them.
    fn check(&self, stride: usize, len: usize, parameters: usize, kept: Option<usize>, lanes: usize) {
        assert!(stride.is_multiple_of(LANES) && len.is_multiple_of(stride) && lanes == stride, "whole groups of lanes");
        assert!(parameters == self.per_variable() * len, "parameters for each variable");
        assert!(kept.is_none_or(|kept| kept == self.kept() * len), "room for each variable");
    }
}

impl<S: Shape> Transform for ByFormula<S> {
    fn inputs(&self) -> usize {
        self.0.inputs()
    }

    fn per_variable(&self) -> usize {
        self.0.parameters()
    }

    /// What is prepared.
    fn kept(&self) -> usize {
        self.0.prepared()
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        self.check(stride, x.len(), parameters.len(), keep.as_ref().map(|kept| kept.len()), log_det.len());
        let shape = self.0;
        Arch::new().dispatch(Forward::<E, S, false> { shape, stride, x, parameters, log_det, keep });
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
        self.check(stride, d_y.len(), d_parameters.len(), Some(kept.len()), d_log_det.len());
        let shape = self.0;
        Arch::new().dispatch(Backward::<E, S, false> {
            shape,
            stride,
            x,
            kept,
            gradient: d_y,
            d_log_det,
            d_parameters,
        });
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
        self.check(stride, d_x.len(), d_parameters.len(), Some(kept.len()), d_log_det.len());
        let shape = self.0;
        Arch::new().dispatch(Backward::<E, S, true> { shape, stride, x, kept, gradient: d_x, d_log_det, d_parameters });
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        self.check(stride, y.len(), parameters.len(), None, log_det.len());
        let shape = self.0;
        Arch::new().dispatch(Forward::<E, S, true> { shape, stride, x: y, parameters, log_det, keep: None });
    }

    /// The straight line through value and log slope, with the slopes of [`Shape::slopes`]: what a tape is asked for at this point, and no more.
    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        let ((rows, variables), width) = (*x.shape(), self.per_variable());
        let device = x.device().clone();
        let wide = |values: Vec<E>| values.into_iter().map(E::widen).collect::<Vec<f64>>();
        let (at, theta) = (wide(x.as_vec()), wide(parameters.as_vec()));
        let count = rows * variables;
        let [mut value, mut log_slope, mut by_x, mut log_by_x] = [(); 4].map(|()| vec![0.0; count]);
        let (mut by_theta, mut log_by_theta) = (vec![0.0; count * width], vec![0.0; count * width]);
        for (cell, &x) in at.iter().enumerate() {
            let places = cell * width..(cell + 1) * width;
            let (d_value, d_log) = (&mut by_theta[places.clone()], &mut log_by_theta[places.clone()]);
            (value[cell], log_slope[cell], log_by_x[cell]) = point::slopes(&self.0, x, &theta[places], d_value, d_log);
            by_x[cell] = log_slope[cell].exp();
        }
        let narrow = |values: &[f64], shape: (usize, usize)| -> Result<Points<E, D>> {
            let values = values.iter().map(|&value| E::of(value)).collect();
            device.try_tensor_from_vec(values, shape).map_err(tensor_error)
        };
        let (cells, all) = ((rows, variables), (rows, variables * width));
        let moved_x = x.try_sub(narrow(&at, cells)?).map_err(tensor_error)?;
        let moved = parameters.try_sub(narrow(&theta, all)?).map_err(tensor_error)?;
        let along = |moved: Points<E, D, T>, slopes: &[f64], sum: usize| -> Result<Points<E, D, T>> {
            let product = moved.try_mul(narrow(slopes, (rows, variables * sum))?).map_err(tensor_error)?;
            let product: Tensor<(usize, usize, usize), E, D, T> =
                product.try_reshape_like(&(rows, variables, sum)).map_err(tensor_error)?;
            product.try_sum::<(usize, usize), Axis<2>>().map_err(tensor_error)
        };
        // The image has the tape that comes from the points and the parameters, as that of every transformer has.
        let log = along(moved_x.with_empty_tape(), &log_by_x, 1)?
            .try_add(along(moved.with_empty_tape(), &log_by_theta, width)?)
            .map_err(tensor_error)?;
        let log = log.try_add(narrow(&log_slope, cells)?).map_err(tensor_error)?;
        let y = along(moved_x, &by_x, 1)?.try_add(along(moved, &by_theta, width)?).map_err(tensor_error)?;
        let y = y.try_add(narrow(&value, cells)?).map_err(tensor_error)?;
        let log_det: Rows<E, D, T> = log.try_sum::<(usize,), Axis<1>>().map_err(tensor_error)?;
        Ok((y, log_det))
    }
}
