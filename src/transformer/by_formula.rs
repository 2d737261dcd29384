//! Monotone maps of one variable by formula: value, slope and derivatives of one number at a time, in double precision.

use crate::error::Result;
use crate::ops::real::Real;
use crate::ops::root::solve;
use crate::ops::stock::tensor_error;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points, Rows};
use dfdx::prelude::*;

/// The most bins, components or units.
pub const MOST: usize = 64;

/// A strictly increasing map S of R, of an interval or of a circle, with parameters θ.
pub trait Shape: Copy + Send + Sync + 'static {
    /// The number of parameters θ.
    fn parameters(&self) -> usize;

    /// What a network sees of x; see [`Transform::inputs`].
    fn inputs(&self) -> usize {
        1
    }

    /// S(x) and ln S′(x).
    fn at(&self, x: f64, theta: &[f64]) -> (f64, f64);

    /// The same; fills ∂S/∂θ and ∂ ln S′/∂θ, and returns ∂ ln S′/∂x at last.
    fn slopes(&self, x: f64, theta: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> (f64, f64, f64);

    /// The x with S(x) = y: by Newton's method within a bracket, to the last bits that are meaningful, where there is no formula.
    fn solve(&self, y: f64, theta: &[f64]) -> f64 {
        solve(y, |x| self.at(x, theta))
    }
}

/// A map by its formula, on lanes and on tape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByFormula<S>(pub S);

/// What is known of a point.
struct Point {
    value: f64,
    log_slope: f64,
    d_log_slope: f64,
}

impl<S: Shape> ByFormula<S> {
    fn width(&self) -> usize {
        self.0.parameters()
    }

    /// Value, log slope and derivatives at `x`.
    fn point(&self, x: f64, parameters: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> Point {
        let (value, log_slope, d_log_slope) = self.0.slopes(x, parameters, d_value, d_log_slope);
        Point { value, log_slope, d_log_slope }
    }

    /// Calls `f` with each lane's number and its parameters, variable after variable; `values` are numbers of `width` to a lane.
    fn each<E: Real>(stride: usize, lanes: usize, width: usize, values: &[E], mut f: impl FnMut(usize, usize, &[f64])) {
        let mut theta = vec![0.0; width];
        for v in 0..lanes / stride {
            for lane in 0..stride {
                for (k, theta) in theta.iter_mut().enumerate() {
                    *theta = values[(v * width + k) * stride + lane].widen();
                }
                f(v * stride + lane, lane, &theta);
            }
        }
    }

    /// The ways back share this: `gradient` of each lane by its point's slopes, and what is left for the parameters.
    #[allow(clippy::too_many_arguments)]
    fn back<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        gradient: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
        turn: impl Fn(f64, f64, &Point) -> (f64, f64),
    ) {
        let width = self.width();
        let (mut d_value, mut d_log_slope) = (vec![0.0; width], vec![0.0; width]);
        Self::each(stride, x.len(), width, kept, |place, lane, theta| {
            let point = self.point(x[place].widen(), theta, &mut d_value, &mut d_log_slope);
            let d_log = d_log_det[lane].widen();
            let (d_y, passed) = turn(gradient[place].widen(), d_log, &point);
            gradient[place] = E::of(passed);
            let first = place / stride * width;
            for (k, (d_value, d_log_slope)) in d_value.iter().zip(&d_log_slope).enumerate() {
                d_parameters[(first + k) * stride + lane] = E::of(d_y * d_value + d_log * d_log_slope);
            }
        });
    }
}

impl<S: Shape> Transform for ByFormula<S> {
    fn inputs(&self) -> usize {
        self.0.inputs()
    }

    fn per_variable(&self) -> usize {
        self.width()
    }

    /// The parameters.
    fn kept(&self) -> usize {
        self.width()
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        Self::each(stride, x.len(), self.width(), parameters, |place, lane, theta| {
            let (value, log_slope) = self.0.at(x[place].widen(), theta);
            x[place] = E::of(value);
            log_det[lane] += log_slope;
        });
        if let Some(keep) = keep {
            keep.copy_from_slice(parameters);
        }
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
        self.back(stride, x, kept, d_y, d_log_det, d_parameters, |d_y, d_log, point| {
            (d_y, d_y * point.log_slope.exp() + d_log * point.d_log_slope)
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
        self.back(stride, x, kept, d_x, d_log_det, d_parameters, |d_x, d_log, point| {
            let d_y = (d_x - d_log * point.d_log_slope) * (-point.log_slope).exp();
            (d_y, d_y)
        });
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        Self::each(stride, y.len(), self.width(), parameters, |place, lane, theta| {
            let x = self.0.solve(y[place].widen(), theta);
            log_det[lane] -= self.0.at(x, theta).1;
            y[place] = E::of(x);
        });
    }

    /// The straight line through value and log slope, with the slopes of [`Shape::slopes`]: what a tape is asked for at this point, and no more.
    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        let ((rows, variables), width) = (*x.shape(), self.width());
        let device = x.device().clone();
        let wide = |values: Vec<E>| values.into_iter().map(E::widen).collect::<Vec<f64>>();
        let (at, theta) = (wide(x.as_vec()), wide(parameters.as_vec()));
        let count = rows * variables;
        let [mut value, mut log_slope, mut by_x, mut log_by_x] = [(); 4].map(|()| vec![0.0; count]);
        let (mut by_theta, mut log_by_theta) = (vec![0.0; count * width], vec![0.0; count * width]);
        for (cell, &x) in at.iter().enumerate() {
            let places = cell * width..(cell + 1) * width;
            let (d_value, d_log) = (&mut by_theta[places.clone()], &mut log_by_theta[places.clone()]);
            let point = self.point(x, &theta[places], d_value, d_log);
            (value[cell], log_slope[cell]) = (point.value, point.log_slope);
            (by_x[cell], log_by_x[cell]) = (point.log_slope.exp(), point.d_log_slope);
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

/// ln σ(z).
pub(super) fn log_sigmoid(z: f64) -> f64 {
    z.min(0.0) - (-z.abs()).exp().ln_1p()
}

/// σ(z).
pub(super) fn sigmoid(z: f64) -> f64 {
    log_sigmoid(z).exp()
}

/// Softmax of `raw` into `out`.
pub(super) fn softmax(raw: &[f64], out: &mut [f64]) {
    let most = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for (out, raw) in out.iter_mut().zip(raw) {
        *out = (raw - most).exp();
        total += *out;
    }
    out.iter_mut().for_each(|out| *out /= total);
}
