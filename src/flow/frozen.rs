//! A flow without tape or device: packed weights, slices in and out, for draws, evaluation and a teacher that no longer learns.

use super::base::fresh_noise;
use super::{Base, Cost, Flow, Orientation};
use crate::ops::autoregressive::{Buffers, Record};
use crate::ops::chunks::{chunk_rows, for_each_piece, to_lanes, to_rows, Chunk};
use crate::ops::linear::folded;
use crate::ops::map::Map;
use crate::ops::pool::{Lent, Pool};
use crate::ops::real::Real;
use crate::ops::ways::Ways;
use crate::ops::Kernels;
use crate::seed::Stream;
use crate::transformer::Transformer;
use std::sync::Arc;

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
    given: usize,
    orientation: Orientation,
    base: Arc<dyn Base>,
    maps: Vec<Map<F, Transformer>>,
    scratch: Pool<Scratch<F>>,
}

/// Where the base noise of a draw comes from.
enum Noise<'a> {
    /// Given, row-major.
    Given(&'a [f64]),
    /// Rows of a stream, from this one on.
    Fresh(&'a Stream, u64),
}

/// The scratch space of one thread.
#[derive(Debug, Default)]
struct Scratch<F> {
    chunk: Chunk<F>,
    buffers: Buffers<F>,
    records: Vec<Record<F>>,
    gradient: Vec<F>,
    noise: Vec<f64>,
    z: Vec<f64>,
}

impl<F: Real> FrozenFlow<F> {
    pub(super) fn new<E: Real, D: Kernels<E>>(flow: &Flow<E, D>) -> Self {
        let maps = folded(flow.layers().iter().map(|layer| layer.on_slices(true)).collect());
        let (dim, given) = (flow.dim(), flow.space().given);
        Self { dim, given, orientation: flow.orientation(), base: flow.base(), maps, scratch: Pool::default() }
    }

    /// The number of columns of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many of them, the first ones, are given.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Which direction takes one pass.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// What its densities and draws cost.
    pub fn cost(&self) -> Cost {
        let ways = self.maps.iter().map(Map::ways).fold(Ways::PASSES, Ways::and);
        Cost::new(ways, self.orientation)
    }

    /// The base density.
    pub fn base(&self) -> &dyn Base {
        self.base.as_ref()
    }

    /// The numbers that one draw takes: the columns that are given, and standard normals.
    pub fn noise_width(&self) -> usize {
        self.base.noise_width()
    }

    /// Fills `points` and `log_prob` from base `noise`.
    ///
    /// # Panics
    /// If the slices are not `log_prob.len()` × dim, and those of the noise × [`FrozenFlow::noise_width`].
    pub fn push(&self, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        self.push_with(Method::Cached, noise, points, log_prob);
    }

    /// [`FrozenFlow::push`] by a chosen method.
    ///
    /// # Panics
    /// As [`FrozenFlow::push`].
    pub fn push_with(&self, method: Method, noise: &[f64], points: &mut [f64], log_prob: &mut [f64]) {
        assert_eq!(noise.len(), log_prob.len() * self.noise_width(), "rows × noise width numbers");
        self.sample(method, Noise::Given(noise), points, log_prob);
    }

    /// Fills `points` and `log_prob` with draws from the base noise of rows `first ..` of `stream`; what the points' columns that are given hold
    /// already is what is given.
    ///
    /// # Panics
    /// As [`FrozenFlow::push`].
    pub fn draw(&self, method: Method, stream: &Stream, first: u64, points: &mut [f64], log_prob: &mut [f64]) {
        self.sample(method, Noise::Fresh(stream, first), points, log_prob);
    }

    fn sample(&self, method: Method, noise: Noise, points: &mut [f64], log_prob: &mut [f64]) {
        let (rows, dim, forward) = (log_prob.len(), self.dim, self.orientation == Orientation::Sampling);
        let width = self.noise_width();
        assert_eq!(points.len(), rows * dim, "rows × dim numbers");
        let size = chunk_rows(rows);
        let pieces = points.chunks_mut(size * dim).zip(log_prob.chunks_mut(size)).enumerate();
        for_each_piece(
            pieces,
            rows * self.work(),
            || self.scratch.lend(),
            |scratch: &mut Lent<Scratch<F>>, (p, (points, values))| {
                let Scratch { chunk, buffers, noise: fresh, z, .. } = &mut **scratch;
                let noise = match noise {
                    Noise::Given(noise) => &noise[p * size * width..][..values.len() * width],
                    Noise::Fresh(stream, first) => {
                        fresh_noise(stream, first + (p * size) as u64, (points, dim, self.given), width, fresh);
                        fresh
                    }
                };
                z.resize(points.len(), 0.0);
                let rows = z.chunks_exact_mut(dim).zip(noise.chunks_exact(width));
                rows.for_each(|(z, noise)| self.base.push(noise, z));
                chunk.load(dim, z, F::of);
                self.transport(forward, method, chunk, buffers);
                chunk.store(dim, points, F::widen);
                for ((value, log_det), z) in values.iter_mut().zip(&chunk.log_det).zip(z.chunks_exact(dim)) {
                    *value = self.base.log_prob(z) - log_det;
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
        for_each_piece(
            pieces,
            rows * self.work(),
            || self.scratch.lend(),
            |scratch: &mut Lent<Scratch<F>>, (points, values)| {
                let Scratch { chunk, buffers, z, .. } = &mut **scratch;
                chunk.load(dim, points, F::of);
                self.transport(forward, method, chunk, buffers);
                self.add_base(chunk, z, values);
            },
        );
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
        self.maps.iter().map(Map::work).sum()
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
        let evaluate = |scratch: &mut Lent<Scratch<F>>,
                        ((points, values), gradients): ((&[f64], &mut [f64]), &mut [f64])| {
            let Scratch { chunk, buffers, records, gradient, z, .. } = &mut **scratch;
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
            self.add_base(chunk, z, values);
            // The gradient of the base's log density starts the way back.
            self.score(chunk, z, gradient);
            if forward {
                buffers.backward(&self.maps, chunk.stride(), records, gradient);
            } else {
                buffers.adjoint(&self.maps, chunk.stride(), records, gradient);
            }
            to_rows(dim, gradient, chunk.stride(), gradients, |to, value| *to = value.widen());
        };
        for_each_piece(pieces, 2 * rows * self.work(), || self.scratch.lend(), evaluate);
    }

    /// Whether [`FrozenFlow::carry`] takes any numbers: it draws in one pass, is given nothing, and its base is everywhere.
    pub fn carries_anything(&self) -> bool {
        self.orientation == Orientation::Sampling && self.given == 0 && self.base.is_everywhere()
    }

    /// Carries rows in place through one pass, z to x of a flow in the `Sampling` orientation, and fills ln |det ∂x/∂z|.
    ///
    /// # Panics
    /// If `rows` is not `log_det.len()` × dim.
    pub fn carry(&self, rows: &mut [f64], log_det: &mut [f64]) {
        assert_eq!(rows.len(), log_det.len() * self.dim, "rows × dim numbers");
        let scratch = &mut *self.scratch.lend();
        let Scratch { chunk, buffers, .. } = scratch;
        chunk.load(self.dim, rows, F::of);
        self.transport(true, Method::Cached, chunk, buffers);
        chunk.store(self.dim, rows, F::widen);
        log_det.copy_from_slice(&chunk.log_det[..log_det.len()]);
    }

    /// [`FrozenFlow::carry`] of `z`, and back: `at` fills the gradients of some f at the points to which they come, and `slopes` becomes those of
    /// f(x(z)) + ln |det ∂x/∂z| by z. Returns what `at` does.
    ///
    /// # Panics
    /// If `z` and `slopes` are not `log_det.len()` × dim.
    pub fn carry_back<R>(
        &self,
        z: &[f64],
        log_det: &mut [f64],
        slopes: &mut [f64],
        at: impl FnOnce(&[f64], &mut [f64]) -> R,
    ) -> R {
        let (rows, dim) = (log_det.len(), self.dim);
        assert!(z.len() == rows * dim && slopes.len() == rows * dim, "rows × dim numbers");
        let scratch = &mut *self.scratch.lend();
        let Scratch { chunk, buffers, records, gradient, z: points, .. } = scratch;
        chunk.load(dim, z, F::of);
        records.resize_with(self.maps.len(), Record::default);
        self.maps.iter().zip(&mut *records).for_each(|(map, record)| map.forward_recorded(chunk, record));
        points.resize(rows * dim, 0.0);
        chunk.store(dim, points, F::widen);
        log_det.copy_from_slice(&chunk.log_det[..rows]);
        let outcome = at(points, slopes);
        to_lanes(dim, slopes, chunk.stride(), gradient, F::of);
        buffers.backward(&self.maps, chunk.stride(), records, gradient);
        to_rows(dim, gradient, chunk.stride(), slopes, |to, value| *to = value.widen());
        outcome
    }

    /// The log densities of the rows that were carried to base draws, which are left in `z`, row-major.
    fn add_base(&self, chunk: &Chunk<F>, z: &mut Vec<f64>, log_prob: &mut [f64]) {
        z.resize(log_prob.len() * self.dim, 0.0);
        chunk.store(self.dim, z, F::widen);
        for ((value, log_det), z) in log_prob.iter_mut().zip(&chunk.log_det).zip(z.chunks_exact(self.dim)) {
            *value = self.base.log_prob(z) + log_det;
        }
    }

    /// The gradients of the base's log density at the rows of `z`, in the lanes of `chunk`.
    fn score(&self, chunk: &Chunk<F>, z: &mut [f64], gradient: &mut Vec<F>) {
        let mut score = vec![0.0; self.dim];
        for z in z.chunks_exact_mut(self.dim) {
            self.base.score(z, &mut score);
            z.copy_from_slice(&score);
        }
        to_lanes(self.dim, z, chunk.stride(), gradient, F::of);
    }
}
