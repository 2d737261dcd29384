//! Any map as the straight line that touches it at a batch of points, on tape: with the slopes of its kernels, which no tape is asked for more than.

use super::autoregressive::{Buffers, Record};
use super::chunks::Chunk;
use super::map::Map;
use super::real::Real;
use super::stock::{columns, tensor_error};
use super::transform::Transform;
use super::weight_gradient::Shared;
use super::weighted::Gradients;
use super::{Kernels, Mapped, Points, Rows};
use crate::error::Result;
use dfdx::prelude::*;

/// Values and slopes of a batch. Every row has an output for each column, and the log-det at last.
struct Line {
    values: Vec<f64>,
    /// By the row's columns, for each output.
    by_x: Vec<f64>,
    /// By the values of each tensor, for each output.
    by_tensor: Vec<Vec<f64>>,
}

fn line<M: Transform>(map: &Map<f64, M>, lens: &[usize], x: &[f64], dim: usize) -> Line {
    let (mut chunk, mut record, mut gradients) = (Chunk::default(), Record::default(), Gradients::default());
    let (mut buffers, mut scratch) = (Buffers::default(), Vec::new());
    let mut found = Line { values: Vec::new(), by_x: Vec::new(), by_tensor: vec![Vec::new(); lens.len()] };
    for row in x.chunks_exact(dim) {
        chunk.load(dim, row, |value| value);
        map.forward_recorded(&mut chunk, &mut record);
        let stride = chunk.stride();
        found.values.extend(chunk.points.iter().step_by(stride).chain([&chunk.log_det[0]]));
        for output in 0..=dim {
            let (mut gradient, mut d_log_det) = (vec![0.0; dim * stride], vec![0.0; stride]);
            match output == dim {
                true => d_log_det[0] = 1.0,
                false => gradient[output * stride] = 1.0,
            }
            map.backward(stride, &record, &mut gradients, &mut gradient, &d_log_det, &mut buffers);
            found.by_x.extend(gradient.iter().step_by(stride));
            let mut slopes: Vec<Vec<f64>> = lens.iter().map(|&len| vec![0.0; len]).collect();
            for job in map.gradient_jobs() {
                let shared: Vec<_> = slopes.iter_mut().map(|slopes| Shared::new(slopes)).collect();
                let pass = std::iter::once((&chunk, &record, &gradients));
                // SAFETY: one call after another.
                unsafe { map.add_weight_gradients(job, pass, &shared, &mut scratch) };
            }
            found.by_tensor.iter_mut().zip(slopes).for_each(|(all, slopes)| all.extend(slopes));
        }
    }
    found
}

/// The images of `x` under a map with these tensors, and the log-dets of the rows.
pub fn straight<E: Real, D: Kernels<E>, T: Tape<E, D>, M: Transform>(
    of: impl FnOnce(Vec<Vec<f64>>) -> Map<f64, M>,
    tensors: &[&Rows<E, D>],
    x: Points<E, D, T>,
) -> Result<Mapped<E, D, T>> {
    let ((rows, dim), device) = (*x.shape(), x.device().clone());
    let outputs = dim + 1;
    let wide = |values: Vec<E>| values.into_iter().map(E::widen).collect::<Vec<f64>>();
    let at = wide(x.as_vec());
    let values: Vec<Vec<f64>> = tensors.iter().map(|tensor| wide(tensor.as_vec())).collect();
    let lens: Vec<usize> = values.iter().map(Vec::len).collect();
    let found = line(&of(values.clone()), &lens, &at, dim);
    let narrow = |values: &[f64], shape: (usize, usize)| -> Result<Points<E, D>> {
        let values = values.iter().map(|&value| E::of(value)).collect();
        device.try_tensor_from_vec(values, shape).map_err(tensor_error)
    };
    let moved = x.try_sub(narrow(&at, (rows, dim))?).map_err(tensor_error)?;
    let each: Vec<usize> = (0..outputs).flat_map(|_| 0..dim).collect();
    let moved = columns(moved, &each)?.try_mul(narrow(&found.by_x, (rows, outputs * dim))?).map_err(tensor_error)?;
    let moved: Tensor<(usize, usize, usize), E, D, T> =
        moved.try_reshape_like(&(rows, outputs, dim)).map_err(tensor_error)?;
    let mut all: Points<E, D, T> = moved.try_sum::<(usize, usize), Axis<2>>().map_err(tensor_error)?;
    for ((tensor, values), slopes) in tensors.iter().zip(&values).zip(&found.by_tensor) {
        let len = values.len();
        let turned: Vec<f64> =
            (0..len).flat_map(|i| (0..rows * outputs).map(move |o| o * len + i)).map(|cell| slopes[cell]).collect();
        let here = narrow(values, (1, len))?;
        let moved: Points<E, D, T> = tensor.retaped::<T>().try_reshape_like(&(1, len)).map_err(tensor_error)?;
        let moved = moved.try_sub(here).map_err(tensor_error)?;
        let moved = moved.try_matmul(narrow(&turned, (len, rows * outputs))?).map_err(tensor_error)?;
        let moved: Points<E, D, T> = moved.try_reshape_like(&(rows, outputs)).map_err(tensor_error)?;
        all = all.try_add(moved).map_err(tensor_error)?;
    }
    let all = all.try_add(narrow(&found.values, (rows, outputs))?).map_err(tensor_error)?;
    let log_det = columns(all.with_empty_tape(), &[dim])?;
    let log_det: Rows<E, D, T> = log_det.try_reshape_like(&(rows,)).map_err(tensor_error)?;
    Ok((columns(all, &(0..dim).collect::<Vec<_>>())?, log_det))
}
