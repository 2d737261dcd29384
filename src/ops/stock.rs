//! The ops of [`super::Kernels`] composed from the tensor library's own: slow, differentiable, and the oracle of the kernels.

use super::activation::Activation;
use super::map::Map;
use super::network::Network;
use super::real::Real;
use super::staircase::Staircase;
use super::straight::straight;
use super::transform::Transform;
use super::{Kernels, Link, Mapped, Points, Rows};
use crate::error::{Error, Result};
use dfdx::prelude::*;
use std::sync::Arc;

pub fn tensor_error(error: impl std::fmt::Debug) -> Error {
    Error::Tensor(format!("{error:?}"))
}

/// The columns of `x` named by `picks`, in that order.
///
/// The library's own `slice` is of no use here: on the CPU its backward pass assigns where it should accumulate.
pub fn columns<E: Dtype, D: Device<E>, T: Tape<E, D>>(x: Points<E, D, T>, picks: &[usize]) -> Result<Points<E, D, T>> {
    let (rows, _) = *x.shape();
    let index = picks.iter().copied().cycle().take(rows * picks.len()).collect();
    let index: Tensor<(usize, usize), usize, D> =
        x.device().try_tensor_from_vec(index, (rows, picks.len())).map_err(tensor_error)?;
    x.try_gather(index).map_err(tensor_error)
}

/// The dense (inputs × outputs) matrix of flat unmasked weights, with zeros where the mask forbids.
fn dense<E: Dtype, D: Device<E>, T: Tape<E, D>>(stairs: &Staircase, flat: &Rows<E, D>) -> Result<Points<E, D, T>> {
    let (inputs, outputs) = (stairs.inputs(), stairs.outputs());
    let mut index = Vec::with_capacity(inputs * outputs);
    let mut mask = Vec::with_capacity(inputs * outputs);
    for k in 0..inputs {
        for j in 0..outputs {
            let seen = k < stairs.reach(j);
            index.push(if seen { stairs.offset(j) + k } else { 0 });
            mask.push(if seen { E::ONE } else { E::default() });
        }
    }
    let index: Tensor<(usize,), usize, D> =
        flat.device().try_tensor_from_vec(index, (inputs * outputs,)).map_err(tensor_error)?;
    let mask = flat.device().try_tensor_from_vec(mask, (inputs, outputs)).map_err(tensor_error)?;
    let picked: Rows<E, D, T> = flat.retaped::<T>().try_gather(index).map_err(tensor_error)?;
    let matrix: Points<E, D, T> = picked.try_reshape_like(&(inputs, outputs)).map_err(tensor_error)?;
    matrix.try_mul(mask).map_err(tensor_error)
}

/// See [`Kernels::maps`].
pub fn maps<E: Real, D: Kernels<E>, T: Tape<E, D>, M: Transform>(
    links: &[Link<'_, E, D, M>],
    x: Points<E, D, T>,
) -> Result<Mapped<E, D, T>> {
    let (rows, _) = *x.shape();
    let log_det: Rows<E, D> = x.device().try_zeros_like(&(rows,)).map_err(tensor_error)?;
    let (mut y, mut total) = (x, log_det.put_tape(T::default()));
    for link in links {
        let (images, log_det) = match link {
            Link::Masked { network, tensors, order, transform } => {
                let (x, tape) = y.split_tape();
                let parameters = masked_network(network, tensors, order, x.clone().put_tape(tape))?;
                let (given, variables) = order.split_at(network.given());
                let (images, log_det) = transform.on_tape(columns(x.retaped::<T>(), variables)?, parameters)?;
                (beside(x, given, images, variables)?, log_det)
            }
            Link::Joint { joint, tensors, columns } => {
                let joint = if T::OWNS_TAPE { joint.clone() } else { joint.exact() };
                straight(|values| Map::<f64, M>::joint(joint, (*columns).clone(), values), tensors, y)?
            }
        };
        total = total.try_add(log_det).map_err(tensor_error)?;
        y = images;
    }
    Ok((y, total))
}

/// The columns `given` of `x` beside `images`, which are the columns `variables`.
fn beside<E: Real, D: Kernels<E>, T: Tape<E, D>>(
    x: Points<E, D>,
    given: &[usize],
    images: Points<E, D, T>,
    variables: &[usize],
) -> Result<Points<E, D, T>> {
    let (rows, dim) = *x.shape();
    let mut place = vec![0; dim];
    variables.iter().enumerate().for_each(|(i, &column)| place[column] = i);
    let images = columns(images, &place)?;
    if given.is_empty() {
        return Ok(images);
    }
    let mask = |inside: E, outside: E| {
        let row = (0..dim).map(|column| if given.contains(&column) { inside } else { outside });
        let mask = row.collect::<Vec<_>>().repeat(rows);
        x.device().try_tensor_from_vec(mask, (rows, dim)).map_err(tensor_error)
    };
    let kept = x.retaped::<T>().try_mul(mask(E::ONE, E::ZERO)?).map_err(tensor_error)?;
    images.try_mul(mask(E::ZERO, E::ONE)?).and_then(|images| images.try_add(kept)).map_err(tensor_error)
}

/// The outputs of a masked network (rows × [`Network::outputs`], variable-major in degree order) at `x`.
fn masked_network<E: Real, D: Kernels<E>, T: Tape<E, D>>(
    network: &Arc<Network>,
    tensors: &[&Rows<E, D>],
    order: &Arc<[usize]>,
    x: Points<E, D, T>,
) -> Result<Points<E, D, T>> {
    let (rows, _) = *x.shape();
    let mut tensors = tensors.iter();
    let mut next = || *tensors.next().expect("as many tensors as the network lists");
    let x = if network.each() > 1 { turned(network, columns(x, order)?)? } else { columns(x, order)? };
    let (x, mut tape) = x.split_tape();
    let mut h = x.clone();
    for (l, stairs) in network.hidden().iter().enumerate() {
        let z = linear(stairs, Some(next()), Some(next()), h.clone().put_tape(tape), rows)?;
        let z = match network.activation() {
            Activation::Relu => z.try_relu(),
            Activation::Tanh => z.try_tanh(),
            Activation::Silu => z.with_empty_tape().try_sigmoid().and_then(|sigmoid| z.try_mul(sigmoid)),
        }
        .map_err(tensor_error)?;
        let z = if network.adds_input(l) { z.try_add(h).map_err(tensor_error)? } else { z };
        (h, tape) = z.split_tape();
    }
    let weight = if network.output().weights() > 0 { Some(next()) } else { None };
    let mut out = linear(network.output(), weight, Some(next()), h.put_tape(tape), rows)?;
    if let Some(stairs) = network.skip() {
        let skipped: Points<E, D, T> = linear(stairs, Some(next()), None, x.retaped::<T>(), rows)?;
        out = out.try_add(skipped).map_err(tensor_error)?;
    }
    Ok(out)
}

/// What the network sees of the columns `x`: cosine and sine of those that are angles.
fn turned<E: Real, D: Kernels<E>, T: Tape<E, D>>(network: &Network, x: Points<E, D, T>) -> Result<Points<E, D, T>> {
    let ((rows, count), plain) = (*x.shape(), network.plain());
    let picks: Vec<usize> = (0..plain).chain((plain..count).flat_map(|column| [column, column])).collect();
    let x = columns(x, &picks)?;
    let device = x.device().clone();
    let mask = |part: usize| {
        let of = |input: usize| if input < plain { 0 } else { 1 + (input - plain) % 2 };
        let row = (0..picks.len()).map(|input| if of(input) == part { E::ONE } else { E::ZERO });
        let mask: Points<E, D> = device
            .try_tensor_from_vec(row.collect::<Vec<_>>().repeat(rows), (rows, picks.len()))
            .map_err(tensor_error)?;
        Ok::<_, Error>(mask)
    };
    let [of_kept, of_cosines, of_sines] = [mask(0)?, mask(1)?, mask(2)?];
    let cosines = x.with_empty_tape().try_cos().and_then(|c| c.try_mul(of_cosines)).map_err(tensor_error)?;
    let sines = x.with_empty_tape().try_sin().and_then(|s| s.try_mul(of_sines)).map_err(tensor_error)?;
    let kept = x.try_mul(of_kept).map_err(tensor_error)?;
    kept.try_add(cosines).and_then(|sum| sum.try_add(sines)).map_err(tensor_error)
}

/// x W + b. The tape of `x` is carried on even where there is no weight.
fn linear<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    stairs: &Staircase,
    weight: Option<&Rows<E, D>>,
    bias: Option<&Rows<E, D>>,
    x: Points<E, D, T>,
    rows: usize,
) -> Result<Points<E, D, T>> {
    let shape = (rows, stairs.outputs());
    let product = match weight {
        Some(weight) => x.try_matmul(dense::<E, D, T>(stairs, weight)?).map_err(tensor_error)?,
        None => {
            let (x, tape) = x.split_tape();
            x.device().try_zeros_like(&shape).map_err(tensor_error)?.put_tape(tape)
        }
    };
    match bias {
        None => Ok(product),
        Some(bias) => {
            let bias: Points<E, D, T> =
                bias.retaped::<T>().try_broadcast_like::<_, Axis<0>>(&shape).map_err(tensor_error)?;
            product.try_add(bias).map_err(tensor_error)
        }
    }
}
