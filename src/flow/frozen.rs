//! A flow without tape or device: packed weights, slices in and out, for draws, evaluation and a teacher that no longer learns.

use super::{Flow, Orientation, HALF_LOG_TAU};
use crate::ops::autoregressive::{AutoregressiveMap, Buffers, Record};
use crate::ops::chunks::{chunk_rows, for_each_piece, to_rows, Chunk};
use crate::ops::real::Real;
use crate::ops::Kernels;
use crate::seed::Stream;
use crate::transformer::Transformer;

/// How the direction that is not the one-pass direction is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One sweep that uses every weight once ([`WeightedNetwork::sweep`](crate::ops::weighted::WeightedNetwork::sweep)).
    Cached,
    /// One pass of the whole conditioner for each variable, as is usual: the reference.
    Passes,
}

/// A [`Flow`] frozen in precision `F`. Points and noise are row-major; log-dets and log densities are summed in `f64`.
///
/// A row's result depends on that row only, not on the batch or the number of threads.
#[derive(Debug, Clone)]
pub struct FrozenFlow<F> {
    dim: usize,
    orientation: Orientation,
    maps: Vec<AutoregressiveMap<F, Transformer>>,
}

/// Where the base noise of a draw comes from.
enum Noise<'a> {
    /// Given, row-major.
    Given(&'a [f64]),
    /// Rows of a stream, from this one on.
    Fresh(&'a Stream, u64),
}

/// The scratch space of one thread.
#[derive(Default)]
struct Scratch<F> {
    chunk: Chunk<F>,
    buffers: Buffers<F>,
    records: Vec<Record<F>>,
    gradient: Vec<F>,
    noise: Vec<f64>,
}

impl<F: Real> FrozenFlow<F> {
    pub(super) fn new<E: Real, D: Kernels<E>>(flow: &Flow<E, D>) -> Self {
        let maps = flow.layers().iter().map(|layer| layer.on_slices(true)).collect();
        Self { dim: flow.dim(), orientation: flow.orientation(), maps }
    }

    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Which direction takes one pass.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Fills `points` and `log_prob` from base `noise`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn push(&self, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        self.push_with(Method::Cached, noise, points, log_prob);
    }

    /// [`FrozenFlow::push`] by a chosen method.
    ///
    /// # Panics
    /// As [`FrozenFlow::push`].
    pub fn push_with(&self, method: Method, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        assert_eq!(noise.len(), points.len(), "rows × dim numbers");
        self.sample(method, Noise::Given(noise), points, log_prob);
    }

    /// Fills `points` and `log_prob` with draws from the base noise of rows `first ..` of `stream`.
    ///
    /// # Panics
    /// As [`FrozenFlow::push`].
    pub fn draw(&self, method: Method, stream: &Stream, first: u64, points: &mut [f64], log_prob: &mut [f64]) {
        self.sample(method, Noise::Fresh(stream, first), points, log_prob);
    }

    fn sample(&self, method: Method, noise: Noise, points: &mut [f64], log_prob: &mut [f64]) {
        let (rows, dim, forward) = (log_prob.len(), self.dim, self.orientation == Orientation::Sampling);
        assert_eq!(points.len(), rows * dim, "rows × dim numbers");
        let size = chunk_rows(rows);
        let pieces = points.chunks_mut(size * dim).zip(log_prob.chunks_mut(size)).enumerate();
        for_each_piece(
            pieces,
            rows * self.work(),
            Scratch::default,
            |scratch: &mut Scratch<F>, (p, (points, values))| {
                let z = match noise {
                    Noise::Given(noise) => &noise[p * size * dim..][..points.len()],
                    Noise::Fresh(stream, first) => {
                        scratch.noise.resize(points.len(), 0.0);
                        stream.normals(first + (p * size) as u64, dim, &mut scratch.noise);
                        &scratch.noise
                    }
                };
                let Scratch { chunk, buffers, .. } = scratch;
                chunk.load(dim, z, F::of);
                self.transport(forward, method, chunk, buffers);
                chunk.store(dim, points, F::widen);
                for ((value, log_det), z) in values.iter_mut().zip(&chunk.log_det).zip(z.chunks_exact(dim)) {
                    *value = standard_normal(z.iter().copied()) - log_det;
                }
            },
        );
    }

    /// Fills `log_prob` at the rows of `points`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob(&self, points: &[f64], log_prob: &mut [f64]) {
        self.log_prob_with(Method::Cached, points, log_prob);
    }

    /// [`FrozenFlow::log_prob`] by a chosen method.
    ///
    /// # Panics
    /// As [`FrozenFlow::log_prob`].
    pub fn log_prob_with(&self, method: Method, points: &[f64], log_prob: &mut [f64]) {
        let (rows, dim, forward) = (log_prob.len(), self.dim, self.orientation == Orientation::Density);
        assert_eq!(points.len(), rows * dim, "rows × dim numbers");
        let size = chunk_rows(rows);
        let pieces = points.chunks(size * dim).zip(log_prob.chunks_mut(size));
        for_each_piece(pieces, rows * self.work(), Scratch::default, |scratch: &mut Scratch<F>, (points, values)| {
            let Scratch { chunk, buffers, .. } = scratch;
            chunk.load(dim, points, F::of);
            self.transport(forward, method, chunk, buffers);
            add_base(chunk, values);
        });
    }

    /// Carries a chunk through the maps, one way or the other.
    fn transport(&self, forward: bool, method: Method, chunk: &mut Chunk<F>, buffers: &mut Buffers<F>) {
        if forward {
            self.maps.iter().for_each(|map| map.forward(chunk, buffers));
            return;
        }
        for map in self.maps.iter().rev() {
            match method {
                Method::Cached => map.inverse(chunk, buffers),
                Method::Passes => map.inverse_by_passes(chunk, buffers),
            }
        }
    }

    /// The elementary operations for one row, roughly.
    fn work(&self) -> usize {
        self.maps.iter().map(AutoregressiveMap::work).sum()
    }

    /// Fills `log_prob` and its gradient at the rows of `points`: by a pass and its way back in the `Density` orientation, by a sequential
    /// sweep and its adjoint in the `Sampling` orientation.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim.
    pub fn log_prob_and_gradient(&self, points: &[f64], log_prob: &mut [f64], gradients: &mut [f64]) {
        let (rows, dim) = (log_prob.len(), self.dim);
        assert!(points.len() == rows * dim && gradients.len() == rows * dim, "rows × dim numbers");
        let size = chunk_rows(rows);
        let pieces = points.chunks(size * dim).zip(log_prob.chunks_mut(size)).zip(gradients.chunks_mut(size * dim));
        let evaluate = |scratch: &mut Scratch<F>, ((points, values), gradients): ((&[f64], &mut [f64]), &mut [f64])| {
            let Scratch { chunk, buffers, records, gradient, .. } = scratch;
            chunk.load(dim, points, F::of);
            records.resize_with(self.maps.len(), Record::default);
            let forward = self.orientation == Orientation::Density;
            if forward {
                self.maps.iter().zip(&mut *records).for_each(|(map, record)| map.forward_recorded(chunk, record));
            } else {
                for (map, record) in self.maps.iter().zip(&mut *records).rev() {
                    map.inverse_recorded(chunk, record, buffers);
                }
            }
            add_base(chunk, values);
            // ∂(−½‖z‖²)/∂z = −z starts the way back.
            gradient.clear();
            gradient.extend(chunk.points.iter().map(|&z| -z));
            if forward {
                buffers.backward(&self.maps, chunk, records, gradient);
            } else {
                buffers.adjoint(&self.maps, chunk.stride(), records, gradient);
            }
            to_rows(dim, gradient, chunk.stride(), gradients, |to, value| *to = value.widen());
        };
        for_each_piece(pieces, 2 * rows * self.work(), Scratch::default, evaluate);
    }
}

/// The log densities of the rows that were carried to base noise.
fn add_base<F: Real>(chunk: &Chunk<F>, log_prob: &mut [f64]) {
    let dim = chunk.points.len() / chunk.stride();
    for (row, (value, log_det)) in log_prob.iter_mut().zip(&chunk.log_det).enumerate() {
        let z = (0..dim).map(|column| chunk.points[column * chunk.stride() + row].widen());
        *value = standard_normal(z) + log_det;
    }
}

/// log N(z; 0, I).
pub(super) fn standard_normal(z: impl ExactSizeIterator<Item = f64>) -> f64 {
    let dim = z.len() as f64;
    -0.5 * z.map(|z| z * z).sum::<f64>() - dim * HALF_LOG_TAU
}
