//! A map by formula over chunks of rows, and its weight gradients.

use super::super::chunks::Chunk;
use super::super::linear::widen;
use super::super::real::Real;
use super::super::weight_gradient::{add_all, Shared};
use super::{Formula, Kind};
use std::sync::Arc;

/// A [`Formula`] of some columns.
#[derive(Debug, Clone)]
pub struct JointMap<E> {
    kind: Kind,
    columns: Arc<[usize]>,
    tensors: Vec<Vec<E>>,
    formula: Arc<dyn Formula>,
}

impl<E: Real> JointMap<E> {
    /// A map of these columns from the values of its tensors.
    pub fn new(kind: Kind, columns: Arc<[usize]>, tensors: Vec<Vec<E>>) -> Self {
        let formula = kind.settings().formula(columns.len(), &widen(&tensors));
        Self { kind, columns, tensors, formula }
    }

    /// Follows values that have been overwritten.
    pub fn refresh(&mut self) {
        self.formula = self.kind.settings().formula(self.columns.len(), &widen(&self.tensors));
    }

    /// Whether it is of that kind and those columns.
    pub fn is(&self, kind: &Kind, columns: &Arc<[usize]>) -> bool {
        self.kind == *kind && Arc::ptr_eq(&self.columns, columns)
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The values of its tensors.
    pub fn tensors(&self) -> &[Vec<E>] {
        &self.tensors
    }

    /// The same, to be overwritten; [`JointMap::refresh`] follows.
    pub fn tensors_mut(&mut self) -> &mut [Vec<E>] {
        &mut self.tensors
    }

    /// Gives them back.
    pub fn into_tensors(self) -> Vec<Vec<E>> {
        self.tensors
    }

    /// The number of variables.
    pub fn variables(&self) -> usize {
        self.columns.len()
    }

    /// The elementary operations for one row, roughly.
    pub fn work(&self) -> usize {
        // Numbers one at a time, and a few of them by transcendental functions.
        100 + self.kind.settings().work(self.variables())
    }

    /// Has `f` work on the columns of `lanes`. A lane without a row is one of zeros, with no gradient.
    fn on(&self, lanes: &mut [E], stride: usize, f: impl FnOnce(&mut [f64])) {
        let mut block = Vec::with_capacity(self.columns.len() * stride);
        let of_column = |&column: &usize| column * stride..(column + 1) * stride;
        let places = || self.columns.iter().map(of_column);
        places().for_each(|place| block.extend(lanes[place].iter().map(|value| value.widen())));
        f(&mut block);
        for (place, block) in places().zip(block.chunks_exact(stride)) {
            lanes[place].iter_mut().zip(block).for_each(|(to, value)| *to = E::of(*value));
        }
    }

    /// The columns, one after another, as the record of a pass.
    fn gather(&self, lanes: &[E], stride: usize, to: &mut Vec<E>) {
        to.clear();
        self.columns.iter().for_each(|&column| to.extend_from_slice(&lanes[column * stride..][..stride]));
    }

    /// See [`Formula::match_velocities`].
    pub fn match_velocities(&self, lanes: (usize, usize), points: &[f64], velocities: &[f64]) -> (f64, Vec<f64>) {
        self.formula.match_velocities(lanes, points, velocities)
    }

    /// See [`Formula::pull_back`].
    pub fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        self.formula.pull_back(sums)
    }

    /// Carries a chunk forward; `x` is left as the record.
    pub fn forward(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>) {
        let stride = chunk.stride();
        self.gather(&chunk.points, stride, x);
        let Chunk { points, log_det, .. } = chunk;
        self.on(points, stride, |x| self.formula.forward(stride, x, log_det));
    }

    /// Carries a chunk back; the points found are left in `x` as a forward pass would leave them.
    pub fn inverse(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>) {
        let stride = chunk.stride();
        let Chunk { points, log_det, .. } = chunk;
        self.on(points, stride, |y| self.formula.inverse(stride, y, log_det));
        self.gather(&chunk.points, stride, x);
    }

    /// Turns the gradient at the images in place into that at the points; in `kept`, where there is such, the sums for the weights are left.
    pub fn backward(&self, stride: usize, x: &[E], gradient: &mut [E], d_log_det: &[E], kept: Option<&mut Vec<E>>) {
        let (x, d_log_det) = (wide(x), wide(&d_log_det[..stride]));
        let mut sums = vec![0.0; if kept.is_some() { self.formula.sums() } else { 0 }];
        self.on(gradient, stride, |g| match kept.is_some() {
            true => self.formula.backward_and_add(stride, &x, g, &d_log_det, &mut sums),
            false => self.formula.backward(stride, &x, g, &d_log_det),
        });
        leave(&sums, kept);
    }

    /// The other way round: the gradient of a log density at the points becomes that at the images.
    pub fn adjoint(&self, stride: usize, x: &[E], gradient: &mut [E], d_log_det: &[E], kept: Option<&mut Vec<E>>) {
        let (x, d_log_det) = (wide(x), wide(&d_log_det[..stride]));
        let mut sums = vec![0.0; if kept.is_some() { self.formula.sums() } else { 0 }];
        self.on(gradient, stride, |g| {
            self.formula.adjoint(stride, &x, g, &d_log_det);
            if kept.is_some() {
                self.formula.add(stride, &x, g, &d_log_det, &mut sums);
            }
        });
        leave(&sums, kept);
    }

    /// Adds the gradients of the tensors, from what a way back has kept of each chunk.
    ///
    /// # Safety
    /// No two calls may overlap in time.
    pub unsafe fn add_weight_gradients<'a>(&self, passes: impl Iterator<Item = &'a [E]>, tensors: &[Shared<'_, E>]) {
        let mut sums = vec![0.0; self.formula.sums()];
        for kept in passes {
            sums.iter_mut().zip(kept).for_each(|(sum, kept)| *sum += kept.widen());
        }
        for (shared, values) in tensors.iter().zip(self.formula.pull_back(&sums)) {
            // SAFETY: the caller's promise.
            unsafe { add_all(shared, &values) };
        }
    }
}

/// Leaves the sums of a chunk for [`JointMap::add_weight_gradients`].
fn leave<E: Real>(sums: &[f64], kept: Option<&mut Vec<E>>) {
    if let Some(kept) = kept {
        kept.clear();
        kept.extend(sums.iter().map(|&sum| E::of(sum)));
    }
}

fn wide<E: Real>(lanes: &[E]) -> Vec<f64> {
    lanes.iter().map(|value| value.widen()).collect()
}
