//! Maps of all variables at once by formula, in double precision: the map over chunks of rows, and its weight gradients.

mod continuous;
mod contraction;
mod dormand_prince;
mod matrices;
mod net;
mod planar;
mod probe;
mod products;
mod radial;
mod residual;
mod row;
mod series;

pub use continuous::{Continuous, Steps, TraceBy};
pub use residual::{Residual, MOST_EXACT};
pub use series::LogDet;

use super::chunks::Chunk;
use super::linear::{widen, Matrix};
use super::real::Real;
use super::ways::{Way, Ways};
use super::weight_gradient::{add_all, Shared};
use planar::Planar;
use radial::Radial;
use row::ByRow;
use std::fmt::Debug;
use std::sync::Arc;

/// What a layer of all variables is.
#[derive(Debug, Clone, PartialEq)]
pub enum Joint {
    /// A linear map.
    Linear(Matrix),
    /// Any other.
    Formula(Kind),
}

/// What is not linear.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A fold along a plane, x + û tanh(w·x + b) (Rezende and Mohamed 2015).
    Planar,
    /// A swelling about a point, x + m α (x − c) / (α + |x − c|) (Rezende and Mohamed 2015).
    Radial,
    /// x + f(x) with a network f that contracts (Behrmann et al. 2019).
    Residual(Residual),
    /// x(1) of dx/dt = f(x, t), x(0) = x, with a network f (Chen et al. 2018).
    Continuous(Continuous),
}

/// A bijection of R^d with its values, on chunks of rows: `stride` lanes to a variable, one variable after another.
pub trait Formula: Debug + Send + Sync {
    /// Turns rows into their images and adds their ln |det J| to `log_det`.
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]);

    /// Turns images into their rows and adds their ln |det J⁻¹| to `log_det`.
    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]);

    /// Turns the gradients at the images of `x` in place into those at `x`, Jᵀ g + `d_log_det` · ∇ ln |det J|.
    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]);

    /// The other way round: [`Formula::backward`] solved for the gradients at the images.
    fn adjoint(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]);

    /// The number of sums over rows that [`Formula::pull_back`] needs.
    fn sums(&self) -> usize;

    /// Adds to them what `x` gives, with the gradients at its images.
    fn add(&self, stride: usize, x: &[f64], d_y: &[f64], d_log_det: &[f64], sums: &mut [f64]);

    /// [`Formula::backward`] and [`Formula::add`] of the same gradients, together.
    fn backward_and_add(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64], sums: &mut [f64]) {
        self.add(stride, x, gradient, d_log_det, sums);
        self.backward(stride, x, gradient, d_log_det);
    }

    /// The gradients by the values of each tensor, from those sums.
    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>>;

    /// Σ ‖f − v‖² of the first `rows` lanes at points and times, one variable after another and the time at last, and what
    /// [`Formula::pull_back`] needs of it; nothing of what has no velocity f.
    fn match_velocities(&self, _lanes: (usize, usize), _points: &[f64], _velocities: &[f64]) -> (f64, Vec<f64>) {
        (0.0, vec![0.0; self.sums()])
    }
}

impl Joint {
    /// The same with nothing estimated and nothing held against what it does: what draws, scores and certificates go by.
    pub fn exact(&self) -> Self {
        match self {
            Joint::Formula(Kind::Residual(of)) => {
                Joint::Formula(Kind::Residual(Residual { log_det: LogDet::Exact, ..of.clone() }))
            }
            Joint::Formula(Kind::Continuous(of)) => Joint::Formula(Kind::Continuous(of.exact())),
            joint => joint.clone(),
        }
    }

    /// The names and lengths of its tensors for `dim` variables.
    pub fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        match self {
            Joint::Linear(matrix) => matrix.tensors(dim),
            Joint::Formula(Kind::Planar) => Planar::tensors(dim).to_vec(),
            Joint::Formula(Kind::Radial) => Radial::tensors(dim).to_vec(),
            Joint::Formula(Kind::Residual(of)) => of.tensors(dim),
            Joint::Formula(Kind::Continuous(of)) => of.tensors(dim),
        }
    }

    /// The standard deviations of the values of each tensor at the start: near the identity, or near a product of random reflections.
    pub fn starts(&self, dim: usize) -> Vec<f64> {
        let by_name = |(name, _)| match name {
            "reflections" | "centre" => 1.0,
            "normal" => 1.0 / (dim as f64).sqrt(),
            "shift" => 0.0,
            _ => 1e-2,
        };
        match self {
            Joint::Formula(Kind::Residual(of)) => of.starts(dim),
            Joint::Formula(Kind::Continuous(of)) => of.starts(dim),
            _ => self.tensors(dim).into_iter().map(by_name).collect(),
        }
    }

    /// The values of its tensors that stretch and shift each variable so, where it starts from data.
    pub fn started(&self, log_scales: &[f64], shift: Vec<f64>) -> Option<[Vec<f64>; 2]> {
        match self {
            Joint::Linear(matrix) => matrix.started(log_scales, shift),
            Joint::Formula(_) => None,
        }
    }

    /// What is wrong with its constants for `dim` variables.
    pub fn fault(&self, dim: usize) -> Option<String> {
        match self {
            Joint::Linear(matrix) => matrix.fault(),
            Joint::Formula(Kind::Planar | Kind::Radial) => None,
            Joint::Formula(Kind::Residual(of)) => of.fault(dim),
            Joint::Formula(Kind::Continuous(of)) => of.fault(dim),
        }
    }

    /// Multiplications for a row of `dim` variables, roughly.
    pub fn multiplications(&self, dim: usize) -> usize {
        match self {
            Joint::Linear(_) => dim * dim,
            Joint::Formula(Kind::Planar | Kind::Radial) => 2 * dim,
            Joint::Formula(Kind::Residual(of)) => of.multiplications(dim),
            Joint::Formula(Kind::Continuous(of)) => of.multiplications(dim),
        }
    }

    /// How its two directions go.
    pub fn ways(&self) -> Ways {
        match self {
            Joint::Linear(_) => Ways::PASSES,
            Joint::Formula(kind) => kind.ways(),
        }
    }
}

impl Kind {
    /// How its two directions go.
    pub fn ways(&self) -> Ways {
        let way = |solved| Way { steps: 1, solved };
        Ways { there: way(matches!(self, Kind::Continuous(_))), back: way(!matches!(self, Kind::Radial)) }
    }

    /// The map with these values.
    fn formula(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Formula> {
        match self {
            Kind::Planar => Arc::new(ByRow(Planar::new(tensors))),
            Kind::Radial => Arc::new(ByRow(Radial::new(tensors))),
            Kind::Residual(of) => Arc::new(of.layer(dim, tensors)),
            Kind::Continuous(of) => Arc::new(of.layer(dim, tensors)),
        }
    }
}

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
        let formula = kind.formula(columns.len(), &widen(&tensors));
        Self { kind, columns, tensors, formula }
    }

    /// Follows values that have been overwritten.
    pub fn refresh(&mut self) {
        self.formula = self.kind.formula(self.columns.len(), &widen(&self.tensors));
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
        100 + match &self.kind {
            Kind::Planar | Kind::Radial => 20 * self.variables(),
            Kind::Residual(of) => 2 * of.multiplications(self.variables()),
            Kind::Continuous(of) => 2 * of.multiplications(self.variables()),
        }
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

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// How far below zero a slope's excess over one may go: m(raw) ≥ δ − 1 with m(0) = 0, without bound above; and its derivative.
fn excess(raw: f64) -> (f64, f64) {
    /// The least slope.
    const LEAST: f64 = 0.01;
    // (1 − δ) (softplus(raw + ln(e − 1)) − 1): a slope of about 0.63 at 0, and of 1 far up.
    let shifted = raw + 0.541_324_854_612_918_1;
    let softplus = shifted.max(0.0) + (-shifted.abs()).exp().ln_1p();
    let slope = if shifted > 0.0 { 1.0 / (1.0 + (-shifted).exp()) } else { shifted.exp() / (1.0 + shifted.exp()) };
    ((1.0 - LEAST) * (softplus - 1.0), (1.0 - LEAST) * slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| (((i + 3) * (seed + 11) * 7919) % 1000) as f64 / 250.0 - 2.0).collect()
    }

    fn each(mut f: impl FnMut(&Kind, usize, &dyn Fn(&[Vec<f64>]) -> Arc<dyn Formula>, Vec<Vec<f64>>)) {
        let residual = Residual { hidden: vec![7, 5], contraction: 0.9, log_det: LogDet::Exact };
        let continuous = Continuous { hidden: vec![7, 5], ..Continuous::adaptive(1e-13) };
        for kind in [Kind::Planar, Kind::Radial, Kind::Residual(residual), Kind::Continuous(continuous)] {
            for dim in [1, 2, 5] {
                let sized = Joint::Formula(kind.clone()).tensors(dim).into_iter().enumerate();
                let values: Vec<Vec<f64>> = sized.map(|(t, (_, len))| random(len, t + dim)).collect();
                f(&kind, dim, &|values| kind.formula(dim, values), values);
            }
        }
    }

    #[test]
    fn an_image_far_out_or_of_hostile_values_comes_back() {
        each(|kind, dim, of, values| {
            // Steep fields far out have no solution that a double holds.
            if matches!(kind, Kind::Continuous(_)) {
                return;
            }
            for (hostile, tolerance) in [(1.0, 1e-12), (10.0, 1e-10), (1e6, 1e-9)] {
                let values: Vec<Vec<f64>> = values.iter().map(|v| v.iter().map(|v| v * hostile).collect()).collect();
                let formula = of(&values);
                for far in [0.0, 1e-9, 1.0, 1e3, 1e6, 1e12] {
                    let x: Vec<f64> = random(dim, 5).iter().map(|x| x * far).collect();
                    let mut y = x.clone();
                    let (mut there, mut back) = ([0.0], [0.0]);
                    formula.forward(1, &mut y, &mut there);
                    formula.inverse(1, &mut y, &mut back);
                    // The least slope of a layer is a hundredth.
                    let error = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max) / (1.0 + far);
                    assert!(error < 100.0 * tolerance, "{kind:?}, dim {dim}, {hostile}, {far}: {x:?} {y:?}");
                    let [there, back] = [there[0], back[0]];
                    assert!((there + back).abs() < 1e-6 * (1.0 + there.abs()), "{kind:?} {there} {back}");
                }
            }
        });
    }

    #[test]
    fn slopes_are_central_differences() {
        each(|kind, dim, of, values| {
            let (x, weights) = (random(dim, 7), random(dim, 8));
            // A loss that asks for every image and for the log-det.
            let loss = |values: &[Vec<f64>], x: &[f64]| {
                let mut y = x.to_vec();
                let mut log_det = [0.0];
                of(values).forward(1, &mut y, &mut log_det);
                dot(&y, &weights) + 0.3 * log_det[0]
            };
            let near = |name: &str, found: f64, plus: f64, minus: f64, step: f64| {
                let expected = (plus - minus) / (2.0 * step);
                assert!(
                    (found - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "{kind:?} {dim} {name}: {found} {expected}"
                );
            };
            let formula = of(&values);
            let mut back = weights.clone();
            formula.backward(1, &x, &mut back, &[0.3]);
            for i in 0..dim {
                let at = |step: f64| {
                    let mut x = x.clone();
                    x[i] += step;
                    loss(&values, &x)
                };
                near("x", back[i], at(1e-5), at(-1e-5), 1e-5);
            }
            formula.adjoint(1, &x, &mut back, &[0.3]);
            back.iter()
                .zip(&weights)
                .for_each(|(back, weight)| assert!((back - weight).abs() < 1e-9, "{kind:?} {dim}"));
            let mut sums = vec![0.0; formula.sums()];
            formula.add(1, &x, &weights, &[0.3], &mut sums);
            for (t, found) in formula.pull_back(&sums).into_iter().enumerate() {
                for (i, found) in found.into_iter().enumerate() {
                    let at = |step: f64| {
                        let mut values = values.clone();
                        values[t][i] += step;
                        loss(&values, &x)
                    };
                    near(Joint::Formula(kind.clone()).tensors(dim)[t].0, found, at(1e-5), at(-1e-5), 1e-5);
                }
            }
        });
    }
}
