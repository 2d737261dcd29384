//! The kernels on slices as one differentiable tensor op: `Kernels<f32> for Cpu`.

use super::autoregressive::{AutoregressiveMap, Buffers};
use super::chunks::{for_each_piece, to_lanes, to_rows, CHUNK};
use super::map::Map;
use super::real::Real;
use super::recompute;
use super::transform::Transform;
use super::weight_gradient::Shared;
use super::weighted::{reset, Gradients, WeightedNetwork};
use super::workspace::{Memory, Recorded, Workspace};
use super::{Kernels, Link, Mapped, Points, Rows};
use crate::error::Result;
use dfdx::prelude::*;

impl Kernels<f32> for Cpu {
    fn maps<T: Tape<f32, Self>, M: Transform>(
        links: &[Link<'_, f32, Self, M>],
        x: Points<f32, Self, T>,
        workspace: &Workspace<f32>,
    ) -> Result<Mapped<f32, Self, T>> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let (rows, dim) = *x.shape();
        let mut memory = workspace.take();
        let maps = take_weights(links, &mut memory, T::OWNS_TAPE);
        let work = rows * maps.iter().map(Map::work).sum::<usize>();

        let mut points = std::mem::take(&mut memory.points);
        points.resize(rows * dim, 0.0);
        x.copy_into(&mut points);
        let chunk_rows = even_chunks(rows);
        memory.chunks.resize_with(rows.div_ceil(chunk_rows), Recorded::default);
        let recomputes = workspace.recomputes();
        for_each_piece(
            memory.chunks.iter_mut().zip(points.chunks(chunk_rows * dim)),
            work,
            || (),
            |(), (Recorded { chunk, records, buffers, .. }, points)| {
                chunk.load(dim, points, |value| value);
                if T::OWNS_TAPE && !recomputes {
                    records.resize_with(maps.len(), Default::default);
                    maps.iter().zip(records).for_each(|(map, record)| map.forward_recorded(chunk, record));
                } else {
                    maps.iter().for_each(|map| map.forward(chunk, buffers));
                }
            },
        );
        let mut sums = std::mem::take(&mut memory.sums);
        sums.clear();
        for (points, Recorded { chunk, .. }) in points.chunks_mut(chunk_rows * dim).zip(&memory.chunks) {
            chunk.store(dim, points, |value| value);
            sums.extend(chunk.log_det[..chunk.rows()].iter().map(|&sum| sum as f32));
        }
        // Made by the device, which may keep their memory from step to step.
        let mut y = x.device().try_zeros_like(&(rows, dim))?;
        y.copy_from(&points);
        let mut log_det = x.device().try_zeros_like(&(rows,))?;
        log_det.copy_from(&sums);
        (memory.points, memory.sums) = (points, sums);

        if !T::OWNS_TAPE {
            give_back(maps, memory, workspace);
            return Ok((y.put_tape(tape), log_det.put_tape(T::default())));
        }
        let (x_ghost, y_ghost, log_det_ghost) = (x.ghost(), y.ghost(), log_det.ghost());
        let tensors: Vec<_> = links.iter().flat_map(Link::tensors).map(|tensor| tensor.ghost()).collect();
        let workspace = workspace.share();
        tape.add_backward_op(move |gradients| {
            exchange(&mut memory.points, gradients.get_or_alloc_mut(&y_ghost)?);
            exchange(&mut memory.sums, gradients.get_or_alloc_mut(&log_det_ghost)?);
            // The weight gradients are added straight to the library's buffers.
            let mut sums = Vec::with_capacity(tensors.len());
            for ghost in &tensors {
                sums.push(std::mem::take(&mut **gradients.get_or_alloc_mut(ghost)?));
            }
            if recomputes {
                recompute::backward(&maps, &mut memory, &mut sums, chunk_rows, work);
            } else {
                backward(&maps, &mut memory, &mut sums, chunk_rows, work);
            }
            for (ghost, sum) in tensors.iter().zip(sums) {
                **gradients.get_or_alloc_mut(ghost)? = sum;
            }
            let d_x = &mut **gradients.get_or_alloc_mut(&x_ghost)?;
            for (d_x, chunk) in d_x.chunks_mut(chunk_rows * dim).zip(&memory.chunks) {
                to_rows(dim, &chunk.gradient, chunk.chunk.stride(), d_x, |d_x, value| *d_x += value);
            }
            give_back(maps, memory, &workspace);
            Ok(())
        });
        Ok((y.put_tape(tape), log_det.put_tape(T::default())))
    }
}

/// Elementary operations in whose time a number is copied from where it is not near.
const COST_OF_COPY: usize = 4;

/// The links as maps on slices, with their weights copied into memory that is used again; with estimates where they are for learning.
fn take_weights<M: Transform>(
    links: &[Link<'_, f32, Cpu, M>],
    memory: &mut Memory<f32>,
    learns: bool,
) -> Vec<Map<f32, M>> {
    let mut kept = std::mem::take(&mut memory.tensors);
    kept.resize_with(links.len(), Vec::new);
    let mut copied: Vec<_> = links.iter().zip(kept).collect();
    let count = |tensor: &&Rows<f32, Cpu>| tensor.shape().num_elements();
    let work = COST_OF_COPY * links.iter().flat_map(|link| link.tensors().iter().map(count)).sum::<usize>();
    let pairs = copied.iter_mut().flat_map(|(link, values)| {
        values.resize_with(link.tensors().len(), Vec::new);
        values.iter_mut().zip(link.tensors())
    });
    let copy = |(): &mut (), (values, tensor): (&mut Vec<f32>, &&Rows<f32, Cpu>)| {
        values.resize(count(tensor), 0.0);
        tensor.copy_into(values);
    };
    for_each_piece(pairs, work, || (), copy);
    let map = |(link, values): (&Link<'_, f32, Cpu, M>, _)| match link {
        Link::Masked { network, order, transform, .. } => {
            let network = WeightedNetwork::new(network, values);
            Map::Masked(AutoregressiveMap::new((*order).clone(), *transform, network, false))
        }
        Link::Joint { joint, columns, .. } => {
            let joint = if learns { joint.clone() } else { joint.exact() };
            Map::joint(joint, (*columns).clone(), values)
        }
    };
    copied.into_iter().map(map).collect()
}

fn give_back<M: Transform>(maps: Vec<Map<f32, M>>, mut memory: Box<Memory<f32>>, workspace: &Workspace<f32>) {
    memory.tensors = maps.into_iter().map(|map| map.into_tensors()).collect();
    workspace.put(memory);
}

/// Carries the gradients back through every chunk: those of the images and log-dets are in `memory.points` and `memory.sums`, those
/// of the points end in the chunks, those of the tensors are added to `tensors`.
pub(super) fn backward<E: Real, M: Transform>(
    maps: &[Map<E, M>],
    memory: &mut Memory<E>,
    tensors: &mut [Vec<E>],
    chunk_rows: usize,
    work: usize,
) {
    lay_out_gradients(memory, chunk_rows);
    let (chunks, rows) = (&mut memory.chunks, memory.sums.len());
    let mut end = maps.len();
    let mut tensors = tensors;
    while end > 0 {
        // What one half of a turn leaves for the other should still be near; but each turn costs two hand-overs between threads.
        let mut start = end - 1;
        while start > 0 && are_near(&maps[start - 1..end], rows) {
            start -= 1;
        }
        let first_tensor = maps[..start].iter().map(|map| map.tensor_count()).sum();
        let (before, here) = tensors.split_at_mut(first_tensor);
        turn(&maps[start..end], start, chunks, here, work * (end - start) / maps.len());
        (tensors, end) = (before, start);
    }
}

/// Lays the gradients of images and log-dets out in the chunks.
pub(super) fn lay_out_gradients<E: Real>(memory: &mut Memory<E>, chunk_rows: usize) {
    let Memory { chunks, points, sums, .. } = memory;
    let dim = points.len() / sums.len();
    for (recorded, (d_y, d_sums)) in chunks.iter_mut().zip(points.chunks(chunk_rows * dim).zip(sums.chunks(chunk_rows)))
    {
        let Recorded { chunk, gradient, d_log_det, .. } = recorded;
        to_lanes(dim, d_y, chunk.stride(), gradient, |value| value);
        reset(d_log_det, chunk.stride());
        d_log_det[..d_sums.len()].copy_from_slice(d_sums);
    }
}

/// Numbers that a processor's outer cache holds besides what else a step needs.
const NEAR: usize = 2_000_000;

/// Whether what `maps` leave of a batch of `rows` for their weight gradients stays near.
pub(super) fn are_near<E: Real, M: Transform>(maps: &[Map<E, M>], rows: usize) -> bool {
    rows * maps.iter().map(|map| map.units()).sum::<usize>() < NEAR
}

/// The backward pass of consecutive `maps`, of which the first is number `first`: first through every chunk, then for every weight.
fn turn<E: Real, M: Transform>(
    maps: &[Map<E, M>],
    first: usize,
    chunks: &mut [Recorded<E>],
    tensors: &mut [Vec<E>],
    work: usize,
) {
    for_each_piece(chunks.iter_mut(), work, Buffers::default, |buffers, recorded| {
        let Recorded { chunk, records, gradients, gradient, d_log_det, .. } = recorded;
        gradients.resize_with(maps.len(), Gradients::default);
        for ((map, record), gradients) in maps.iter().zip(&records[first..]).zip(gradients).rev() {
            map.backward(chunk.stride(), record, gradients, gradient, d_log_det, buffers);
        }
    });
    add_weight_gradients(maps, first, chunks, tensors, work);
}

/// Adds the weight gradients of consecutive `maps`, of which the first is number `first`, after their turn through every chunk.
pub(super) fn add_weight_gradients<E: Real, M: Transform>(
    maps: &[Map<E, M>],
    first: usize,
    chunks: &[Recorded<E>],
    tensors: &mut [Vec<E>],
    work: usize,
) {
    // Every weight's sum over the rows is made by one thread, in the order of the rows.
    let mut tensors = tensors.iter_mut();
    let mut jobs = Vec::new();
    let mut shared = Vec::new();
    for (l, map) in maps.iter().enumerate() {
        let count = map.tensor_count();
        shared.push(tensors.by_ref().take(count).map(|tensor| Shared::new(tensor)).collect::<Vec<_>>());
        jobs.extend(map.gradient_jobs().into_iter().map(|job| (l, job)));
    }
    let shared = &shared;
    for_each_piece(jobs, work, Vec::new, |buffer, (l, job)| {
        let passes = chunks.iter().map(|recorded| {
            let Recorded { chunk, records, gradients, .. } = recorded;
            (chunk, &records[first + l], &gradients[l])
        });
        // SAFETY: no two jobs of the list are the same.
        unsafe { maps[l].add_weight_gradients(job, passes, &shared[l], buffer) }
    });
}

/// Rows of a chunk that divide `rows` about evenly.
pub(super) fn even_chunks(rows: usize) -> usize {
    // A multiple of four, because a chunk whose rows fill its lanes wastes none.
    rows.div_ceil(rows.div_ceil(CHUNK)).next_multiple_of(4)
}

/// Takes a gradient out of the library without a copy, and leaves a buffer of the same length in its place.
fn exchange(buffer: &mut Vec<f32>, gradient: &mut Vec<f32>) {
    buffer.resize(gradient.len(), 0.0);
    std::mem::swap(buffer, gradient);
}
