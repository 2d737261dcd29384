//! The base of a flow that learns: its tensors, and its draws and log densities on a tape.

use super::{Base, BaseConfig, Beside, Limited};
use crate::error::{Error, Result};
use crate::flow::{Space, HALF_LOG_TAU};
use crate::ops::real::Real;
use crate::ops::{Kernels, Mapped, Points, Rows};
use crate::params::{self, values, Parameters};
use crate::seed::Stream;
use dfdx::prelude::*;
use std::sync::Arc;

/// The trainable tensors of a base.
///
/// Values and slopes are computed on slices in `f64` by [`Base`]. On the tape goes the straight line through them,
/// f₀ + Σ slope · (θ − θ₀), which has the value and the gradient of f at θ₀, and the tape is never asked for more.
#[derive(Debug, Clone)]
pub struct LearnedBase<E: Real, D: Kernels<E>> {
    space: Space,
    config: BaseConfig,
    tail_limit: Option<f64>,
    tensors: Vec<Rows<E, D>>,
}

impl<E: Real, D: Kernels<E>> LearnedBase<E, D> {
    /// Of the given kind, its extreme draws drawn in softly where there is a limit ([`Limited`]).
    pub fn new(
        device: &D,
        space: Space,
        (config, tail_limit): (BaseConfig, Option<f64>),
        stream: &Stream,
    ) -> Result<Self> {
        let start = config.settings().start(space.variables, stream);
        let tensor = |values: Vec<f64>| params::tensor(device, values.into_iter().map(E::of).collect());
        let tensors = start.into_iter().map(tensor).collect::<Result<_>>()?;
        Ok(Self { space, config, tail_limit, tensors })
    }

    /// Fits it to draws (rows of all columns, row-major) in groups of these sizes, if any, where its kind is fitted.
    pub fn fit(&mut self, draws: &[f64], groups: &[usize], stream: &Stream) {
        let Space { given, variables } = self.space;
        let mut draws: Vec<f64> =
            draws.chunks_exact(self.space.columns()).flat_map(|row| &row[given..]).copied().collect();
        if let Some(limit) = self.tail_limit {
            draws = Limited::new(self.unlimited(), limit).spread_out(&draws);
        }
        if let Some(fitted) = self.config.settings().fitted(variables, &draws, groups, stream) {
            let narrow = |values: Vec<f64>| values.into_iter().map(E::of).collect();
            self.restore(&fitted.into_iter().map(narrow).collect::<Vec<_>>());
        }
    }

    /// A copy on slices.
    pub fn on_slices(&self) -> Arc<dyn Base> {
        let base = match self.tail_limit {
            Some(limit) => Arc::new(Limited::new(self.unlimited(), limit)),
            None => self.unlimited(),
        };
        Beside::columns(self.space.given, base)
    }

    /// That of the variables, without the limit of its tails.
    fn unlimited(&self) -> Arc<dyn Base> {
        let wide = |tensor| values(tensor).into_iter().map(|value: E| value.widen()).collect();
        self.config.settings().build(self.space.variables, &self.tensors.iter().map(wide).collect::<Vec<_>>())
    }

    /// Whether draws are the noise itself.
    fn is_standard_normal(&self) -> bool {
        self.config == BaseConfig::Normal && self.tail_limit.is_none() && self.space.given == 0
    }

    /// The draws that belong to the rows of `noise`, and their log densities.
    ///
    /// Differentiable in the parameters, and in the noise for the standard normal only.
    pub fn push<T: Tape<E, D>>(&self, noise: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        if self.is_standard_normal() {
            let log_prob = standard_normal(noise.with_empty_tape())?;
            return Ok((noise, log_prob));
        }
        let (noise, tape) = noise.split_tape();
        let device = noise.device();
        let (rows, dim) = (noise.shape().0, self.space.columns());
        let (base, wide) = (self.on_slices(), widen(&noise));
        let rows_of = || wide.chunks_exact(base.noise_width());
        let mut z = vec![0.0; rows * dim];
        z.chunks_exact_mut(dim).zip(rows_of()).for_each(|(z, noise)| base.push(noise, z));
        let mut taped: Points<E, D, T> = narrow(device, &z, (rows, dim))?.put_tape(tape);
        if T::OWNS_TAPE {
            for (t, tensor) in self.tensors.iter().enumerate() {
                let (mut places, mut slopes) = (vec![0; rows * dim], vec![0.0; rows * dim]);
                let cells = places.chunks_exact_mut(dim).zip(slopes.chunks_exact_mut(dim));
                cells.zip(rows_of()).for_each(|((places, slopes), noise)| base.push_slopes(t, noise, places, slopes));
                let places: Tensor<(usize,), usize, D> =
                    tensor_result(device.try_tensor_from_vec(places, (rows * dim,)))?;
                let moved: Rows<E, D, T> = tensor_result(shift_from_here::<E, D, T>(tensor)?.try_gather(places))?;
                let moved: Points<E, D, T> = tensor_result(moved.try_reshape_like(&(rows, dim)))?;
                let moved = tensor_result(moved.try_mul(narrow(device, &slopes, (rows, dim))?))?;
                taped = tensor_result(taped.try_add(moved))?;
            }
        }
        let log_prob = self.log_prob_of(base.as_ref(), taped.with_empty_tape(), &z)?;
        Ok((taped, log_prob))
    }

    /// The log densities of the rows of `z`, differentiable in them and in the parameters.
    pub fn log_prob<T: Tape<E, D>>(&self, z: Points<E, D, T>) -> Result<Rows<E, D, T>> {
        if self.is_standard_normal() {
            return standard_normal(z);
        }
        let wide = widen(&z);
        self.log_prob_of(self.on_slices().as_ref(), z, &wide)
    }

    /// [`LearnedBase::log_prob`] of `z`, whose values are `wide`.
    fn log_prob_of<T: Tape<E, D>>(&self, base: &dyn Base, z: Points<E, D, T>, wide: &[f64]) -> Result<Rows<E, D, T>> {
        let device = z.device().clone();
        let (rows, dim) = *z.shape();
        let points = || wide.chunks_exact(dim);
        let log_prob: Vec<f64> = points().map(|z| base.log_prob(z)).collect();
        let log_prob: Rows<E, D> = narrow(&device, &log_prob, (rows,))?;
        if !T::OWNS_TAPE {
            let (_, tape) = z.split_tape();
            return Ok(log_prob.put_tape(tape));
        }
        let mut scores = vec![0.0; rows * dim];
        scores.chunks_exact_mut(dim).zip(points()).for_each(|(score, z)| base.score(z, score));
        let (z, tape) = z.split_tape();
        let here = narrow(&device, &widen(&z), (rows, dim))?;
        let moved = tensor_result(z.put_tape(tape).try_sub(here))?;
        let moved = tensor_result(moved.try_mul(narrow(&device, &scores, (rows, dim))?))?;
        let moved: Rows<E, D, T> = tensor_result(moved.try_sum::<(usize,), Axis<1>>())?;
        let mut total = tensor_result(moved.try_add(log_prob))?;
        let lengths: Vec<usize> =
            self.config.settings().tensors(self.space.variables).into_iter().map(|(_, len)| len).collect();
        let all: usize = lengths.iter().sum();
        let mut slopes = vec![0.0; rows * all];
        slopes.chunks_exact_mut(all.max(1)).zip(points()).for_each(|(slopes, z)| base.log_prob_slopes(z, slopes));
        let mut first = 0;
        for (tensor, len) in self.tensors.iter().zip(lengths) {
            // One column for each row of z.
            let transposed: Vec<f64> =
                (first..first + len).flat_map(|p| slopes.iter().skip(p).step_by(all).copied()).collect();
            let transposed: Points<E, D> = narrow(&device, &transposed, (len, rows))?;
            let moved: Rows<E, D, T> = tensor_result(shift_from_here::<E, D, T>(tensor)?.try_matmul(transposed))?;
            total = tensor_result(total.try_add(moved))?;
            first += len;
        }
        Ok(total)
    }
}

/// θ − θ₀ with θ₀ the values of θ: zero, with the gradient of θ.
fn shift_from_here<E: Real, D: Kernels<E>, T: Tape<E, D>>(tensor: &Rows<E, D>) -> Result<Rows<E, D, T>> {
    let here: Rows<E, D> = params::tensor(tensor.device(), values(tensor))?;
    tensor_result(tensor.retaped::<T>().try_sub(here))
}

/// log N(z; 0, I) of each row.
fn standard_normal<E: Real, D: Kernels<E>, T: Tape<E, D>>(z: Points<E, D, T>) -> Result<Rows<E, D, T>> {
    let (_, width) = *z.shape();
    let squares: Rows<E, D, T> = tensor_result(z.try_square().and_then(|s| s.try_sum::<(usize,), Axis<1>>()))?;
    let half = tensor_result(squares.try_mul(E::of(-0.5)))?;
    tensor_result(half.try_sub(E::of(width as f64 * HALF_LOG_TAU)))
}

fn widen<E: Real, D: Kernels<E>, T>(points: &Points<E, D, T>) -> Vec<f64> {
    points.as_vec().into_iter().map(E::widen).collect()
}

fn narrow<S: Shape, E: Real, D: Kernels<E>>(device: &D, values: &[f64], shape: S) -> Result<Tensor<S, E, D>> {
    tensor_result(device.try_tensor_from_vec(values.iter().map(|&value| E::of(value)).collect(), shape))
}

fn tensor_result<T, R: std::fmt::Debug>(result: std::result::Result<T, R>) -> Result<T> {
    result.map_err(|error| Error::Tensor(format!("{error:?}")))
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for LearnedBase<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        let names =
            self.config.settings().tensors(self.space.variables).into_iter().map(|(name, _)| format!("base.{name}"));
        names.zip(&self.tensors).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.tensors.iter_mut().collect()
    }
}
