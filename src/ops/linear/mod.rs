//! Linear layers, y = A x + b, whatever A is made of: the map over chunks of rows, and its weight gradients.

pub(crate) mod bounded;
pub mod dense;
mod diagonal;
mod fold;
mod low_rank;
mod lu;
mod permutation;
mod qr;

pub use fold::folded;

use super::chunks::Chunk;
use super::real::Real;
use super::weight_gradient::{add_all, Shared};
use diagonal::Diagonal;
use low_rank::LowRank;
use lu::Lu;
use permutation::Permutation;
use qr::Qr;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// What the matrix of a linear layer is made of. Each is invertible whatever its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Matrix {
    /// Scales of the variables.
    Diagonal,
    /// The same, started so that the first data leave it with mean 0 and standard deviation 1 (Kingma and Dhariwal 2018).
    ActNorm,
    /// A lower triangle.
    Triangular,
    /// A lower times an upper triangle.
    Lu,
    /// Reflections times an upper triangle.
    Qr {
        /// The number of reflections.
        #[serde(default = "four")]
        reflections: usize,
    },
    /// Scales of the variables, and some directions.
    LowRank {
        /// The number of directions.
        #[serde(default = "four")]
        rank: usize,
    },
    /// The variables last to first.
    Reverse,
    /// The variables in a random order, fixed by this seed.
    Shuffled(u64),
    /// Reflections alone.
    Orthogonal {
        /// Their number.
        #[serde(default = "four")]
        reflections: usize,
    },
}

fn four() -> usize {
    4
}

/// More reflections or directions than this are taken for a slip of the pen.
const MOST_DIRECTIONS: usize = 1_024;

/// A family of invertible matrices A(θ), row-major in double precision.
pub trait Parametrisation {
    /// The names and lengths of the tensors of θ.
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)>;

    /// Whether a shift belongs to it.
    fn shifts(&self) -> bool {
        true
    }

    /// A.
    fn matrix(&self, dim: usize, values: &[Vec<f64>]) -> Vec<f64>;

    /// ln |det A|.
    fn log_det(&self, dim: usize, values: &[Vec<f64>]) -> f64;

    /// Adds to `d_values` the gradient of ⟨`d_a`, A⟩ + `d_log_det` · ln |det A| by θ.
    fn pull_back(&self, dim: usize, values: &[Vec<f64>], d_a: &[f64], d_log_det: f64, d_values: &mut [Vec<f64>]);
}

impl Matrix {
    fn parametrisation(self) -> Box<dyn Parametrisation> {
        match self {
            Matrix::Diagonal | Matrix::ActNorm => Box::new(Diagonal),
            Matrix::Triangular => Box::new(Lu { upper: false }),
            Matrix::Lu => Box::new(Lu { upper: true }),
            Matrix::Qr { reflections } => Box::new(Qr { reflections, orthogonal: false }),
            Matrix::LowRank { rank } => Box::new(LowRank { rank }),
            Matrix::Reverse => Box::new(Permutation::Reverse),
            Matrix::Shuffled(seed) => Box::new(Permutation::Shuffled(seed)),
            Matrix::Orthogonal { reflections } => Box::new(Qr { reflections, orthogonal: true }),
        }
    }

    /// What is wrong with its constants.
    pub fn fault(self) -> Option<String> {
        let (name, count) = match self {
            Matrix::LowRank { rank } => ("rank", rank),
            Matrix::Qr { reflections } | Matrix::Orthogonal { reflections } => ("reflections", reflections),
            _ => return None,
        };
        (!(1..=MOST_DIRECTIONS).contains(&count)).then(|| format!("{name} is {count}; 1 to {MOST_DIRECTIONS} is right"))
    }

    /// The values of its tensors that stretch and shift each variable so, where it starts from data.
    pub fn started(self, log_scales: &[f64], shift: Vec<f64>) -> Option<[Vec<f64>; 2]> {
        (self == Matrix::ActNorm).then(|| [log_scales.iter().map(|&s| bounded::raw_log_scale(s)).collect(), shift])
    }

    /// The names and lengths of its tensors for `dim` variables, those without values left out; the shift b at last.
    pub fn tensors(self, dim: usize) -> Vec<(&'static str, usize)> {
        let of = self.parametrisation();
        let shift = if of.shifts() { dim } else { 0 };
        of.tensors(dim).into_iter().chain([("shift", shift)]).filter(|(_, len)| *len > 0).collect()
    }

    /// The standard deviations of the values of each tensor at the start: near the identity, or near a product of random reflections.
    pub fn starts(self, dim: usize) -> Vec<f64> {
        let by_name = |(name, _)| match name {
            "reflections" => 1.0,
            "shift" => 0.0,
            _ => 1e-2,
        };
        self.tensors(dim).into_iter().map(by_name).collect()
    }

    /// A, b, which is empty where there is none, and ln |det A| from the values of those tensors.
    pub fn build(self, dim: usize, tensors: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>, f64) {
        let (values, shift) = self.values(dim, tensors);
        let of = self.parametrisation();
        (of.matrix(dim, &values), shift, of.log_det(dim, &values))
    }

    /// Adds to `d_tensors` the gradient of ⟨`d_a`, A⟩ + ⟨`d_shift`, b⟩ + `d_log_det` · ln |det A|.
    pub fn pull_back(
        self,
        dim: usize,
        tensors: &[Vec<f64>],
        (d_a, d_shift, d_log_det): (&[f64], &[f64], f64),
        d_tensors: &mut [Vec<f64>],
    ) {
        let (values, _) = self.values(dim, tensors);
        let mut d_values: Vec<Vec<f64>> = values.iter().map(|values| vec![0.0; values.len()]).collect();
        self.parametrisation().pull_back(dim, &values, d_a, d_log_det, &mut d_values);
        let found = d_values.into_iter().filter(|values| !values.is_empty()).chain([d_shift.to_vec()]);
        for (to, from) in d_tensors.iter_mut().zip(found) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
    }

    /// The values of all tensors of the parametrisation, also of those that are empty, and the shift.
    fn values(self, dim: usize, tensors: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut tensors = tensors.iter();
        let mut next = |len: usize| if len == 0 { Vec::new() } else { tensors.next().cloned().unwrap_or_default() };
        let values = self.parametrisation().tensors(dim).into_iter().map(|(_, len)| next(len)).collect();
        (values, next(dim))
    }
}

/// y = A x + b of some columns with the values of A and b.
#[derive(Debug, Clone)]
pub struct LinearMap<E> {
    /// None of a product.
    matrix: Option<Matrix>,
    columns: Arc<[usize]>,
    tensors: Vec<Vec<E>>,
    forward: Vec<E>,
    shift: Vec<E>,
    /// A⁻¹, made when it is first asked for.
    backward: OnceLock<Vec<E>>,
    log_det: f64,
}

/// The values in double precision.
pub fn widen<E: Real>(tensors: &[Vec<E>]) -> Vec<Vec<f64>> {
    tensors.iter().map(|tensor| tensor.iter().map(|value| value.widen()).collect()).collect()
}

fn narrow<E: Real>(values: Vec<f64>) -> Vec<E> {
    values.into_iter().map(E::of).collect()
}

impl<E: Real> LinearMap<E> {
    /// A map of these columns from the values of its tensors.
    pub fn new(matrix: Matrix, columns: Arc<[usize]>, tensors: Vec<Vec<E>>) -> Self {
        let (forward, shift, backward) = (Vec::new(), Vec::new(), OnceLock::new());
        let mut map = Self { matrix: Some(matrix), columns, tensors, forward, shift, backward, log_det: 0.0 };
        map.refresh();
        map
    }

    /// Follows values that have been overwritten.
    ///
    /// # Panics
    /// If it is a product.
    pub fn refresh(&mut self) {
        let (forward, shift, log_det) = self.build();
        (self.forward, self.shift, self.log_det) = (narrow(forward), narrow(shift), log_det);
        self.backward = OnceLock::new();
    }

    fn matrix(&self) -> Matrix {
        self.matrix.expect("a product has no values of its own")
    }

    fn build(&self) -> (Vec<f64>, Vec<f64>, f64) {
        self.matrix().build(self.columns.len(), &widen(&self.tensors))
    }

    /// Whether it is of that matrix and those columns.
    pub fn is(&self, matrix: Matrix, columns: &Arc<[usize]>) -> bool {
        self.matrix == Some(matrix) && Arc::ptr_eq(&self.columns, columns)
    }

    /// The values of its tensors.
    pub fn tensors(&self) -> &[Vec<E>] {
        &self.tensors
    }

    /// The same, to be overwritten; [`LinearMap::refresh`] follows.
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

    fn inverse_matrix(&self) -> &[E] {
        self.backward.get_or_init(|| {
            let (a, _, _) = self.build();
            narrow(dense::inverse(&a, self.columns.len()))
        })
    }

    fn gather(&self, lanes: &[E], stride: usize, to: &mut Vec<E>) {
        to.clear();
        self.columns.iter().for_each(|&column| to.extend_from_slice(&lanes[column * stride..][..stride]));
    }

    /// Writes Σ_j matrix[i][j] from_j into column i, or that of the transposed matrix.
    fn apply(&self, matrix: &[E], transposed: bool, from: &[E], stride: usize, to: &mut [E]) {
        let dim = self.columns.len();
        for (i, &column) in self.columns.iter().enumerate() {
            let to = &mut to[column * stride..][..stride];
            to.fill(E::ZERO);
            for (j, from) in from.chunks_exact(stride).take(dim).enumerate() {
                let factor = matrix[if transposed { j * dim + i } else { i * dim + j }];
                if factor != E::ZERO {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * *from);
                }
            }
        }
    }

    /// Carries a chunk forward; `x` is left as the record.
    pub fn forward(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>) {
        let stride = chunk.stride();
        self.gather(&chunk.points, stride, x);
        self.apply(&self.forward, false, x, stride, &mut chunk.points);
        for (&column, shift) in self.columns.iter().zip(&self.shift) {
            chunk.points[column * stride..][..stride].iter_mut().for_each(|y| *y += *shift);
        }
        chunk.log_det.iter_mut().for_each(|sum| *sum += self.log_det);
    }

    /// Carries a chunk back; the points found are left in `x` as a forward pass would leave them.
    pub fn inverse(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>) {
        let stride = chunk.stride();
        self.gather(&chunk.points, stride, x);
        for (y, shift) in x.chunks_exact_mut(stride).zip(&self.shift) {
            y.iter_mut().for_each(|y| *y -= *shift);
        }
        self.apply(self.inverse_matrix(), false, x, stride, &mut chunk.points);
        self.gather(&chunk.points, stride, x);
        chunk.log_det.iter_mut().for_each(|sum| *sum -= self.log_det);
    }

    /// Turns the gradient at the images in place into that at the points; `kept` is left for the weights.
    pub fn backward(&self, stride: usize, gradient: &mut [E], d_log_det: &[E], kept: &mut Vec<E>) {
        self.gather(gradient, stride, kept);
        self.apply(&self.forward, true, kept, stride, gradient);
        kept.extend_from_slice(&d_log_det[..stride]);
    }

    /// The other way round: the gradient of a log density at the points becomes that at the images.
    pub fn adjoint(&self, stride: usize, gradient: &mut [E], d_log_det: &[E], kept: &mut Vec<E>) {
        self.gather(gradient, stride, kept);
        self.apply(self.inverse_matrix(), true, kept, stride, gradient);
        self.gather(gradient, stride, kept);
        kept.extend_from_slice(&d_log_det[..stride]);
    }

    /// Adds the gradients of the tensors, summed over the rows of `passes` (lanes, record, what a way back has kept).
    ///
    /// # Safety
    /// No two calls may overlap in time.
    pub unsafe fn add_weight_gradients<'a>(
        &self,
        passes: impl Iterator<Item = (usize, &'a [E], &'a [E])>,
        tensors: &[Shared<'_, E>],
    ) {
        let dim = self.columns.len();
        let (mut d_a, mut d_shift, mut d_log_det) = (vec![0.0; dim * dim], vec![0.0; dim], 0.0);
        let sum = |lanes: &[E]| lanes.iter().map(|value| value.widen()).sum::<f64>();
        for (stride, x, kept) in passes {
            let (gradient, d_log) = kept.split_at(dim * stride);
            d_log_det += sum(d_log);
            for (i, g) in gradient.chunks_exact(stride).enumerate() {
                d_shift[i] += sum(g);
                for (d, x) in d_a[i * dim..][..dim].iter_mut().zip(x.chunks_exact(stride)) {
                    *d += g.iter().zip(x).map(|(g, x)| g.widen() * x.widen()).sum::<f64>();
                }
            }
        }
        let mut d_tensors: Vec<Vec<f64>> = self.tensors.iter().map(|tensor| vec![0.0; tensor.len()]).collect();
        self.matrix().pull_back(dim, &widen(&self.tensors), (&d_a, &d_shift, d_log_det), &mut d_tensors);
        for (shared, values) in tensors.iter().zip(d_tensors) {
            // SAFETY: the caller's promise.
            unsafe { add_all(shared, &values) };
        }
    }
}
