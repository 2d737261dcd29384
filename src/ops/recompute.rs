//! Ways through maps of which no record is kept: each map's points are found again when their turn comes, by its inverse on the way back (Gomez
//! et al. 2017), so that what a step holds does not grow with the number of maps. For maps whose inverse takes one pass.

use super::autoregressive::Buffers;
use super::chunks::for_each_piece;
use super::map::Map;
use super::real::Real;
use super::taped::{add_weight_gradients, lay_out_gradients};
use super::transform::Transform;
use super::weighted::Gradients;
use super::workspace::{Memory, Recorded};
use std::slice::from_ref;

/// As [`super::taped::backward`], from chunks that hold the images; they end with the points.
pub(super) fn backward<E: Real, M: Transform>(
    maps: &[Map<E, M>],
    memory: &mut Memory<E>,
    tensors: &mut [Vec<E>],
    chunk_rows: usize,
    work: usize,
) {
    lay_out_gradients(memory, chunk_rows);
    let mut tensors = tensors;
    for map in maps.iter().rev() {
        each(&mut memory.chunks, work / maps.len(), |recorded| {
            let Recorded { chunk, records, gradients, gradient, d_log_det, buffers, .. } = recorded;
            map.inverse_recorded(chunk, &mut records[0], buffers);
            map.backward(chunk.stride(), &records[0], &mut gradients[0], gradient, d_log_det, buffers);
        });
        let (before, here) = tensors.split_at_mut(tensors.len() - map.tensor_count());
        add_weight_gradients(from_ref(map), 0, &memory.chunks, here, work / maps.len());
        tensors = before;
    }
}

/// Carries gradients of log q at the points, which are laid out in the chunks, on to those at the images ([`Map::adjoint`]), and adds those of
/// the weights. From chunks that hold the points; they end with the images.
pub(super) fn adjoint<E: Real, M: Transform>(
    maps: &[Map<E, M>],
    chunks: &mut [Recorded<E>],
    tensors: &mut [Vec<E>],
    work: usize,
) {
    let mut tensors = tensors;
    for map in maps {
        each(chunks, work / maps.len(), |recorded| adjoint_of_one(map, recorded));
        let (here, after) = tensors.split_at_mut(map.tensor_count());
        add_weight_gradients(from_ref(map), 0, chunks, here, work / maps.len());
        tensors = after;
    }
}

/// The same of one map and one chunk, without its weights.
pub(super) fn adjoint_of_one<E: Real, M: Transform>(map: &Map<E, M>, recorded: &mut Recorded<E>) {
    let Recorded { chunk, records, gradients, gradient, d_log_det, buffers, .. } = recorded;
    map.forward_recorded(chunk, &mut records[0]);
    map.adjoint(chunk.stride(), &records[0], &mut gradients[0], gradient, d_log_det, buffers);
}

/// Makes room for one record in each chunk and has `f` work on them.
fn each<E: Real>(chunks: &mut [Recorded<E>], work: usize, f: impl Fn(&mut Recorded<E>) + Send + Sync) {
    for_each_piece(
        chunks.iter_mut(),
        work,
        || (),
        |(), recorded| {
            one_record(recorded);
            f(recorded);
        },
    );
}

/// Leaves room for what one map keeps.
pub(super) fn one_record<E: Real>(recorded: &mut Recorded<E>) {
    recorded.records.resize_with(1, Default::default);
    recorded.gradients.resize_with(1, Gradients::default);
}

/// Carries a chunk there, or back, keeping nothing but where a way there starts.
pub(super) fn carry<E: Real, M: Transform>(maps: &[Map<E, M>], recorded: &mut Recorded<E>, back: bool) {
    let Recorded { chunk, start, buffers, .. } = recorded;
    if back {
        maps.iter().rev().for_each(|map| map.inverse(chunk, buffers));
    }
    start.clone_from(&chunk.points);
    if !back {
        through(maps, recorded);
    }
}

fn through<E: Real, M: Transform>(maps: &[Map<E, M>], recorded: &mut Recorded<E>) {
    let buffers: &mut Buffers<E> = &mut recorded.buffers;
    maps.iter().for_each(|map| map.forward(&mut recorded.chunk, buffers));
}

/// Brings the chunks back to where their way starts; on to the images, if so asked.
pub(super) fn start_over<E: Real, M: Transform>(
    maps: &[Map<E, M>],
    chunks: &mut [Recorded<E>],
    to_images: bool,
    work: usize,
) {
    each(chunks, work, |recorded| {
        recorded.chunk.points.clone_from(&recorded.start);
        if to_images {
            through(maps, recorded);
        }
    });
}
