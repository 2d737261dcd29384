//! A batch of rows on its way through maps, there and back, in chunks on all threads and without a tape: what a training step is made of.

use super::chunks::{for_each_piece, to_lanes, to_rows};
use super::map::Map;
use super::real::Real;
use super::recompute;
use super::taped::{add_weight_gradients, are_near, backward, even_chunks};
use super::transform::Transform;
use super::weighted::reset;
use super::workspace::{Memory, Recorded};

/// A batch with a record of its way through maps. Its memory is used again from batch to batch.
///
/// Points, images and gradients are row-major. Results do not depend on the number of threads.
#[derive(Debug, Default)]
pub struct Batch<E> {
    dim: usize,
    rows: usize,
    memory: Memory<E>,
    /// Whether no records are kept, as where memory must not grow with the number of maps.
    recompute: bool,
    /// Whether the chunks hold the images, where there are no records.
    at_images: bool,
}

impl<E: Real> Batch<E> {
    /// Whether points are found again by the maps' inverses instead of being kept on record; all inverses must take one pass then.
    pub fn recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// Carries `points` (`log_det.len()` rows) through `maps`, one after another; fills their `images` and the log-dets.
    ///
    /// # Panics
    /// If the slices are not of one number of rows.
    pub fn forward<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        points: &[f64],
        images: &mut [f64],
        log_det: &mut [f64],
    ) {
        let recompute = self.recompute;
        self.transport(maps, points, images, log_det, |maps, recorded| {
            if recompute {
                return recompute::carry(maps, recorded, false);
            }
            let Recorded { chunk, records, .. } = recorded;
            maps.iter().zip(records).for_each(|(map, record)| map.forward_recorded(chunk, record));
        });
        self.at_images = true;
    }

    /// Carries `images` back through `maps`, the last one first, leaving the record of the way there; fills the `points` that they come
    /// from and the log-dets of the way back.
    ///
    /// # Panics
    /// As [`Batch::forward`].
    pub fn inverse<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        images: &[f64],
        points: &mut [f64],
        log_det: &mut [f64],
    ) {
        let recompute = self.recompute;
        self.transport(maps, images, points, log_det, |maps, recorded| {
            if recompute {
                return recompute::carry(maps, recorded, true);
            }
            let Recorded { chunk, records, buffers, .. } = recorded;
            for (map, record) in maps.iter().zip(records).rev() {
                map.inverse_recorded(chunk, record, buffers);
            }
        });
        self.at_images = false;
    }

    fn transport<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        from: &[f64],
        to: &mut [f64],
        log_det: &mut [f64],
        carry: impl Fn(&[Map<E, M>], &mut Recorded<E>) + Send + Sync,
    ) {
        (self.rows, self.dim) = (log_det.len(), from.len() / log_det.len());
        assert!(from.len() == self.rows * self.dim && to.len() == from.len(), "rows × dim numbers");
        let (dim, chunk_rows) = (self.dim, even_chunks(self.rows));
        let records = if self.recompute { 1 } else { maps.len() };
        self.memory.chunks.resize_with(self.rows.div_ceil(chunk_rows), Recorded::default);
        let rows =
            from.chunks(chunk_rows * dim).zip(to.chunks_mut(chunk_rows * dim)).zip(log_det.chunks_mut(chunk_rows));
        let pieces = self.memory.chunks.iter_mut().zip(rows);
        for_each_piece(
            pieces,
            work(maps, self.rows),
            || (),
            |(), (recorded, ((from, to), log_det))| {
                recorded.chunk.load(dim, from, E::of);
                recorded.records.resize_with(records, Default::default);
                carry(maps, recorded);
                recorded.chunk.store(dim, to, E::widen);
                log_det.copy_from_slice(&recorded.chunk.log_det[..log_det.len()]);
            },
        );
    }

    /// Given the gradient of log q at the points, fills that at the images, parameters held fixed; see [`Map::adjoint`].
    ///
    /// # Panics
    /// If the slices are not as long as the points.
    pub fn adjoint<M: Transform>(&mut self, maps: &[Map<E, M>], d_points: &[f64], d_images: &mut [f64]) {
        let (dim, chunk_rows) = (self.dim, even_chunks(self.rows));
        assert!(d_points.len() == self.rows * dim && d_images.len() == d_points.len(), "rows × dim numbers");
        let recompute = self.recompute;
        let rows = d_points.chunks(chunk_rows * dim).zip(d_images.chunks_mut(chunk_rows * dim));
        let pieces = self.memory.chunks.iter_mut().zip(rows);
        for_each_piece(
            pieces,
            work(maps, self.rows),
            || (),
            |(), (recorded, (d_points, d_images))| {
                let stride = recorded.chunk.stride();
                to_lanes(dim, d_points, stride, &mut recorded.gradient, E::of);
                if recompute {
                    recorded.d_log_det.clear();
                    recorded.d_log_det.resize(stride, E::ONE);
                    recorded.chunk.points.clone_from(&recorded.start);
                    recompute::one_record(recorded);
                    maps.iter().for_each(|map| recompute::adjoint_of_one(map, recorded));
                } else {
                    let Recorded { records, buffers, gradient, .. } = &mut *recorded;
                    buffers.adjoint(maps, stride, records, gradient);
                }
                to_rows(dim, &recorded.gradient, stride, d_images, |to, value| *to = value.widen());
            },
        );
        self.at_images = true;
    }

    /// Adds Σ_rows −share · ∂ log q(image)/∂θ at fixed images to the gradients of the maps' tensors.
    ///
    /// `d_points` is the gradient of log q at the points, times the shares.
    ///
    /// # Panics
    /// If the slices are not of the batch's size, or the tensors not those of the maps.
    pub fn add_adjoint_weight_gradients<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        d_points: &[f64],
        shares: &[f64],
        tensors: &mut [Vec<E>],
    ) {
        self.start_gradients(d_points, shares);
        if self.recompute {
            let work = work(maps, self.rows);
            recompute::start_over(maps, &mut self.memory.chunks, false, work);
            recompute::adjoint(maps, &mut self.memory.chunks, tensors, work);
            self.at_images = true;
            return;
        }
        let work = work(maps, self.rows) / maps.len();
        let (mut tensors, mut start) = (tensors, 0);
        while start < maps.len() {
            // As on the way back: what is left for the weights should still be near.
            let mut end = start + 1;
            while end < maps.len() && are_near(&maps[start..=end], self.rows) {
                end += 1;
            }
            let turn = &maps[start..end];
            let chunks = &mut self.memory.chunks;
            for_each_piece(
                chunks.iter_mut(),
                work * turn.len(),
                || (),
                |(), Recorded { chunk, records, gradients, buffers, gradient, d_log_det, .. }| {
                    gradients.resize_with(gradients.len().max(turn.len()), Default::default);
                    for ((map, record), gradients) in turn.iter().zip(&records[start..]).zip(gradients) {
                        map.adjoint(chunk.stride(), record, gradients, gradient, d_log_det, buffers);
                    }
                },
            );
            let count = turn.iter().map(|map| map.tensor_count()).sum();
            let (here, after) = tensors.split_at_mut(count);
            add_weight_gradients(turn, start, chunks, here, work * turn.len());
            (tensors, start) = (after, end);
        }
    }

    /// Adds Σ_rows (d_image · ∂image/∂θ + d_log_det · ∂(log-det)/∂θ) at fixed points to the gradients of the maps' tensors.
    ///
    /// # Panics
    /// As [`Batch::add_adjoint_weight_gradients`].
    pub fn add_weight_gradients<M: Transform>(
        &mut self,
        maps: &[Map<E, M>],
        d_images: &[f64],
        d_log_det: &[f64],
        tensors: &mut [Vec<E>],
    ) {
        assert!(d_images.len() == self.rows * self.dim && d_log_det.len() == self.rows, "rows × dim numbers");
        let narrow = |to: &mut Vec<E>, from: &[f64]| {
            to.clear();
            to.extend(from.iter().map(|&value| E::of(value)));
        };
        narrow(&mut self.memory.points, d_images);
        narrow(&mut self.memory.sums, d_log_det);
        let (chunk_rows, work) = (even_chunks(self.rows), work(maps, self.rows));
        if !self.recompute {
            return backward(maps, &mut self.memory, tensors, chunk_rows, work);
        }
        if !self.at_images {
            recompute::start_over(maps, &mut self.memory.chunks, true, work);
        }
        recompute::backward(maps, &mut self.memory, tensors, chunk_rows, work);
        self.at_images = false;
    }

    /// Fills the gradient at the points that the last [`Batch::add_weight_gradients`] ended with.
    ///
    /// # Panics
    /// If `d_points` is not as long as the points.
    pub fn d_points(&self, d_points: &mut [f64]) {
        assert_eq!(d_points.len(), self.rows * self.dim, "rows × dim numbers");
        let chunks = d_points.chunks_mut(even_chunks(self.rows) * self.dim).zip(&self.memory.chunks);
        for (d_points, Recorded { chunk, gradient, .. }) in chunks {
            to_rows(self.dim, gradient, chunk.stride(), d_points, |to, value| *to = value.widen());
        }
    }

    /// Lays gradients out in the chunks.
    fn start_gradients(&mut self, d_points: &[f64], d_log_det: &[f64]) {
        let (dim, chunk_rows) = (self.dim, even_chunks(self.rows));
        assert!(d_points.len() == self.rows * dim && d_log_det.len() == self.rows, "rows × dim numbers");
        let rows = d_points.chunks(chunk_rows * dim).zip(d_log_det.chunks(chunk_rows));
        for (recorded, (d_points, d_sums)) in self.memory.chunks.iter_mut().zip(rows) {
            let Recorded { chunk, gradient, d_log_det, .. } = recorded;
            to_lanes(dim, d_points, chunk.stride(), gradient, E::of);
            reset(d_log_det, chunk.stride());
            d_log_det.iter_mut().zip(d_sums).for_each(|(to, &from)| *to = E::of(from));
        }
    }
}

/// The elementary operations of one way of `rows` rows through `maps`, roughly.
fn work<E: Real, M: Transform>(maps: &[Map<E, M>], rows: usize) -> usize {
    rows * maps.iter().map(Map::work).sum::<usize>()
}
