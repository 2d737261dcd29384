//! The kernels on slices as one differentiable tensor op: `Kernels<f32> for Cpu`.

use super::autoregressive::AutoregressiveMap;
use super::chunks::{for_each_piece, to_lanes, to_rows, CHUNK};
use super::transform::Transform;
use super::weighted::{reset, WeightedNetwork};
use super::workspace::{Memory, Recorded, Shard, Workspace};
use super::{Kernels, Link, Mapped, Points};
use crate::error::Result;
use dfdx::prelude::*;

impl Kernels<f32> for Cpu {
    fn autoregressive<T: Tape<f32, Self>, M: Transform>(
        links: &[Link<'_, f32, Self, M>],
        x: Points<f32, Self, T>,
        workspace: &Workspace<f32>,
    ) -> Result<Mapped<f32, Self, T>> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let (rows, dim) = *x.shape();
        let mut memory = workspace.take();
        let maps = take_weights(links, &mut memory);
        let work = rows * maps.iter().map(AutoregressiveMap::work).sum::<usize>();

        let points = x.as_vec();
        memory.chunks.resize_with(rows.div_ceil(CHUNK), Recorded::default);
        for_each_piece(
            memory.chunks.iter_mut().zip(points.chunks(CHUNK * dim)),
            work,
            || (),
            |(), (Recorded { chunk, records, buffers, .. }, points)| {
                chunk.load(dim, points, |value| value);
                if T::OWNS_TAPE {
                    records.resize_with(maps.len(), Default::default);
                    maps.iter().zip(records).for_each(|(map, record)| map.forward_recorded(chunk, record));
                } else {
                    maps.iter().for_each(|map| map.forward(chunk, buffers));
                }
            },
        );
        let (mut y, mut log_det) = (points, Vec::with_capacity(rows));
        for (points, Recorded { chunk, .. }) in y.chunks_mut(CHUNK * dim).zip(&memory.chunks) {
            chunk.store(dim, points, |value| value);
            log_det.extend(chunk.log_det[..chunk.rows()].iter().map(|&sum| sum as f32));
        }
        let y = x.device().try_tensor_from_vec(y, (rows, dim))?;
        let log_det = x.device().try_tensor_from_vec(log_det, (rows,))?;

        if !T::OWNS_TAPE {
            give_back(maps, memory, workspace);
            return Ok((y.put_tape(tape), log_det.put_tape(T::default())));
        }
        let (x_ghost, y_ghost, log_det_ghost) = (x.ghost(), y.ghost(), log_det.ghost());
        let tensors: Vec<_> = links.iter().flat_map(|link| &link.tensors).map(|tensor| tensor.ghost()).collect();
        let workspace = workspace.share();
        tape.add_backward_op(move |gradients| {
            let d_y = std::mem::take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
            let d_log_det = std::mem::take(&mut **gradients.get_or_alloc_mut(&log_det_ghost)?);
            backward(&maps, &mut memory, &d_y, &d_log_det, 2 * work);
            let d_x = &mut **gradients.get_or_alloc_mut(&x_ghost)?;
            for (d_x, chunk) in d_x.chunks_mut(CHUNK * dim).zip(&memory.chunks) {
                to_rows(dim, &chunk.gradient, chunk.chunk.stride(), d_x, |d_x, value| *d_x += value);
            }
            let (first, others) = memory.shards.split_first_mut().expect("at least one shard");
            let mut sums = Vec::with_capacity(tensors.len());
            for ghost in &tensors {
                sums.push(std::mem::take(&mut **gradients.get_or_alloc_mut(ghost)?));
            }
            let places: Vec<(usize, usize)> =
                first.gradients.iter().enumerate().flat_map(|(l, link)| (0..link.len()).map(move |t| (l, t))).collect();
            let values: usize = sums.iter().map(Vec::len).sum();
            let (first, others) = (&*first, &*others);
            for_each_piece(
                sums.iter_mut().zip(places),
                values,
                || (),
                |(), (sum, (l, t))| {
                    for shard in std::iter::once(first).chain(others) {
                        sum.iter_mut().zip(&shard.gradients[l][t]).for_each(|(sum, &value)| *sum += value);
                    }
                },
            );
            for (ghost, sum) in tensors.iter().zip(sums) {
                **gradients.get_or_alloc_mut(ghost)? = sum;
            }
            give_back(maps, memory, &workspace);
            Ok(())
        });
        Ok((y.put_tape(tape), log_det.put_tape(T::default())))
    }
}

/// The links as maps on slices, with their weights copied into memory that is used again.
fn take_weights<M: Transform>(
    links: &[Link<'_, f32, Cpu, M>],
    memory: &mut Memory<f32>,
) -> Vec<AutoregressiveMap<f32, M>> {
    let mut kept = std::mem::take(&mut memory.tensors);
    kept.resize_with(links.len(), Vec::new);
    let mut copied: Vec<_> = links.iter().zip(kept).collect();
    for (link, values) in &mut copied {
        values.resize_with(link.tensors.len(), Vec::new);
        for (values, tensor) in values.iter_mut().zip(&link.tensors) {
            values.resize(tensor.shape().num_elements(), 0.0);
            tensor.copy_into(values);
        }
    }
    let map = |(link, values): (&Link<'_, f32, Cpu, M>, _)| {
        AutoregressiveMap::new(link.order.clone(), link.transform, WeightedNetwork::new(link.network, values), false)
    };
    copied.into_iter().map(map).collect()
}

fn give_back<M: Transform>(
    maps: Vec<AutoregressiveMap<f32, M>>,
    mut memory: Box<Memory<f32>>,
    workspace: &Workspace<f32>,
) {
    memory.tensors = maps.into_iter().map(|map| map.into_network().into_tensors()).collect();
    workspace.put(memory);
}

/// Weights beyond which a shard of the batch is made of several chunks, since each shard has gradients of its own to sum.
const MANY_WEIGHTS: usize = 100_000;

/// How many shards `chunks` chunks make: always the same, whatever the number of threads, since it decides the order of summation.
fn shards(chunks: usize, weights: usize) -> usize {
    if weights < MANY_WEIGHTS {
        chunks.min(16)
    } else {
        chunks.min(4).max(chunks / 4)
    }
}

/// Carries the gradients back through every chunk; those of the tensors end in `memory.shards`, those of the points in the chunks.
fn backward<M: Transform>(
    maps: &[AutoregressiveMap<f32, M>],
    memory: &mut Memory<f32>,
    d_y: &[f32],
    d_log_det: &[f32],
    work: usize,
) {
    let dim = d_y.len() / d_log_det.len();
    let weights: usize = maps.iter().flat_map(|map| map.network().tensors()).map(Vec::len).sum();
    let count = memory.chunks.len();
    let per_shard = count.div_ceil(shards(count, weights));
    memory.shards.resize_with(count.div_ceil(per_shard), Shard::default);
    let parts = memory
        .chunks
        .chunks_mut(per_shard)
        .zip(&mut memory.shards)
        .zip(d_y.chunks(per_shard * CHUNK * dim).zip(d_log_det.chunks(per_shard * CHUNK)));
    for_each_piece(
        parts,
        work,
        || (),
        |(), ((chunks, Shard { gradients, buffers }), (d_y, d_log_det))| {
            gradients.resize_with(maps.len(), Vec::new);
            for (map, gradients) in maps.iter().zip(&mut *gradients) {
                let tensors = map.network().tensors();
                gradients.resize_with(tensors.len(), Vec::new);
                gradients.iter_mut().zip(tensors).for_each(|(gradient, tensor)| reset(gradient, tensor.len()));
            }
            for ((recorded, d_y), d_sums) in chunks.iter_mut().zip(d_y.chunks(CHUNK * dim)).zip(d_log_det.chunks(CHUNK))
            {
                let Recorded { chunk, records, gradient, d_log_det, .. } = recorded;
                to_lanes(dim, d_y, chunk.stride(), gradient, |value| value);
                reset(d_log_det, chunk.stride());
                d_log_det[..d_sums.len()].copy_from_slice(d_sums);
                for ((map, record), gradients) in maps.iter().zip(records).zip(&mut *gradients).rev() {
                    map.backward(chunk, record, gradient, d_log_det, Some(gradients), buffers);
                }
            }
        },
    );
}
