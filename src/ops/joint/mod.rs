//! Maps of all variables at once by formula, row by row in double precision: the map over chunks of rows, and its weight gradients.

mod planar;
mod radial;

use super::chunks::Chunk;
use super::linear::{widen, Matrix};
use super::real::Real;
use super::weight_gradient::{add_all, Shared};
use planar::Planar;
use radial::Radial;
use std::fmt::Debug;
use std::sync::Arc;

/// What a layer of all variables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// A linear map.
    Linear(Matrix),
    /// Any other.
    Formula(Kind),
}

/// What is not linear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A fold along a plane; see [`Planar`].
    Planar,
    /// A swelling about a point; see [`Radial`].
    Radial,
}

/// A bijection of R^d with its values, on rows.
pub trait Formula: Debug + Send + Sync {
    /// Turns a row into its image and returns ln |det J|.
    fn forward(&self, x: &mut [f64]) -> f64;

    /// Turns an image into its row and returns ln |det J⁻¹|.
    fn inverse(&self, y: &mut [f64]) -> f64;

    /// Turns the gradient at the image of `x` in place into that at `x`, Jᵀ g + `d_log_det` · ∇ ln |det J|.
    fn backward(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64);

    /// The other way round: [`Formula::backward`] solved for the gradient at the image.
    fn adjoint(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64);

    /// The number of sums over rows that [`Formula::pull_back`] needs.
    fn sums(&self) -> usize;

    /// Adds to them what `x` gives, with the gradient at its image.
    fn add(&self, x: &[f64], d_y: &[f64], d_log_det: f64, sums: &mut [f64]);

    /// The gradient by the values, from those sums.
    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>>;
}

impl Joint {
    /// The names and lengths of its tensors for `dim` variables.
    pub fn tensors(self, dim: usize) -> Vec<(&'static str, usize)> {
        match self {
            Joint::Linear(matrix) => matrix.tensors(dim),
            Joint::Formula(kind) => kind.tensors(dim),
        }
    }

    /// The standard deviation of the values of a tensor at the start: of near the identity, or of what is drawn at random.
    pub fn start(name: &str, dim: usize) -> f64 {
        match name {
            "reflections" | "centre" => 1.0,
            "normal" => 1.0 / (dim as f64).sqrt(),
            "shift" => 0.0,
            _ => 1e-2,
        }
    }

    /// The values of its tensors that stretch and shift each variable so, where it starts from data.
    pub fn started(self, log_scales: &[f64], shift: Vec<f64>) -> Option<[Vec<f64>; 2]> {
        match self {
            Joint::Linear(matrix) => matrix.started(log_scales, shift),
            Joint::Formula(_) => None,
        }
    }

    /// What is wrong with its constants.
    pub fn fault(self) -> Option<String> {
        match self {
            Joint::Linear(matrix) => matrix.fault(),
            Joint::Formula(_) => None,
        }
    }

    /// Multiplications for a row of `dim` variables, roughly.
    pub fn multiplications(self, dim: usize) -> usize {
        match self {
            Joint::Linear(_) => dim * dim,
            Joint::Formula(_) => 2 * dim,
        }
    }
}

impl Kind {
    fn tensors(self, dim: usize) -> Vec<(&'static str, usize)> {
        match self {
            Kind::Planar => Planar::tensors(dim).to_vec(),
            Kind::Radial => Radial::tensors(dim).to_vec(),
        }
    }

    /// The map with these values.
    fn formula(self, tensors: &[Vec<f64>]) -> Arc<dyn Formula> {
        match self {
            Kind::Planar => Arc::new(Planar::new(tensors)),
            Kind::Radial => Arc::new(Radial::new(tensors)),
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
        let formula = kind.formula(&widen(&tensors));
        Self { kind, columns, tensors, formula }
    }

    /// Follows values that have been overwritten.
    pub fn refresh(&mut self) {
        self.formula = self.kind.formula(&widen(&self.tensors));
    }

    /// Whether it is of that kind and those columns.
    pub fn is(&self, kind: Kind, columns: &Arc<[usize]>) -> bool {
        self.kind == kind && Arc::ptr_eq(&self.columns, columns)
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
        100 + 20 * self.variables()
    }

    /// Calls `f` with each lane's number and row of `lanes`, and puts the row back. A lane without a row is one of zeros, with no gradient.
    fn each(&self, lanes: &mut [E], stride: usize, mut f: impl FnMut(usize, &mut [f64])) {
        let mut row = vec![0.0; self.columns.len()];
        for lane in 0..stride {
            let places = || self.columns.iter().map(|column| column * stride + lane);
            row.iter_mut().zip(places()).for_each(|(value, place)| *value = lanes[place].widen());
            f(lane, &mut row);
            places().zip(&row).for_each(|(place, value)| lanes[place] = E::of(*value));
        }
    }

    /// The columns, one after another, as the record of a pass.
    fn gather(&self, lanes: &[E], stride: usize, to: &mut Vec<E>) {
        to.clear();
        self.columns.iter().for_each(|&column| to.extend_from_slice(&lanes[column * stride..][..stride]));
    }

    /// Carries a chunk forward; `x` is left as the record.
    pub fn forward(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>) {
        let stride = chunk.stride();
        self.gather(&chunk.points, stride, x);
        let Chunk { points, log_det, .. } = chunk;
        self.each(points, stride, |lane, row| log_det[lane] += self.formula.forward(row));
    }

    /// Carries a chunk back; the points found are left in `x` as a forward pass would leave them.
    pub fn inverse(&self, chunk: &mut Chunk<E>, x: &mut Vec<E>) {
        let stride = chunk.stride();
        let Chunk { points, log_det, .. } = chunk;
        self.each(points, stride, |lane, row| log_det[lane] += self.formula.inverse(row));
        self.gather(&chunk.points, stride, x);
    }

    /// Turns the gradient at the images in place into that at the points; `kept` is left for the weights.
    pub fn backward(&self, stride: usize, x: &[E], gradient: &mut [E], d_log_det: &[E], kept: &mut Vec<E>) {
        self.gather(gradient, stride, kept);
        kept.extend_from_slice(&d_log_det[..stride]);
        let mut at = Row::default();
        self.each(gradient, stride, |lane, g| {
            self.formula.backward(at.of(x, stride, lane), g, d_log_det[lane].widen());
        });
    }

    /// The other way round: the gradient of a log density at the points becomes that at the images.
    pub fn adjoint(&self, stride: usize, x: &[E], gradient: &mut [E], d_log_det: &[E], kept: &mut Vec<E>) {
        let mut at = Row::default();
        self.each(gradient, stride, |lane, g| {
            self.formula.adjoint(at.of(x, stride, lane), g, d_log_det[lane].widen());
        });
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
        let mut sums = vec![0.0; self.formula.sums()];
        let [mut at, mut d_y] = [Row::default(), Row::default()];
        for (stride, x, kept) in passes {
            let (gradient, d_log) = kept.split_at(self.columns.len() * stride);
            for lane in 0..stride {
                let (x, d_y) = (at.of(x, stride, lane), d_y.of(gradient, stride, lane));
                self.formula.add(x, d_y, d_log[lane].widen(), &mut sums);
            }
        }
        for (shared, values) in tensors.iter().zip(self.formula.pull_back(&sums)) {
            // SAFETY: the caller's promise.
            unsafe { add_all(shared, &values) };
        }
    }
}

/// Memory for one row.
#[derive(Default)]
struct Row(Vec<f64>);

impl Row {
    /// The row of a lane.
    fn of<E: Real>(&mut self, lanes: &[E], stride: usize, lane: usize) -> &[f64] {
        self.0.clear();
        self.0.extend(lanes.iter().skip(lane).step_by(stride).map(|value| value.widen()));
        &self.0
    }
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

    fn each(mut f: impl FnMut(Kind, usize, &dyn Fn(&[Vec<f64>]) -> Arc<dyn Formula>, Vec<Vec<f64>>)) {
        for joint in [Kind::Planar, Kind::Radial] {
            for dim in [1, 2, 5] {
                let sized = joint.tensors(dim).into_iter().enumerate();
                let values: Vec<Vec<f64>> = sized.map(|(t, (_, len))| random(len, t + dim)).collect();
                f(joint, dim, &|values| joint.formula(values), values);
            }
        }
    }

    #[test]
    fn an_image_far_out_or_of_hostile_values_comes_back() {
        each(|joint, dim, of, values| {
            for (hostile, tolerance) in [(1.0, 1e-12), (10.0, 1e-10), (1e6, 1e-9)] {
                let values: Vec<Vec<f64>> = values.iter().map(|v| v.iter().map(|v| v * hostile).collect()).collect();
                let formula = of(&values);
                for far in [0.0, 1e-9, 1.0, 1e3, 1e6, 1e12] {
                    let x: Vec<f64> = random(dim, 5).iter().map(|x| x * far).collect();
                    let mut y = x.clone();
                    let there = formula.forward(&mut y);
                    let back = formula.inverse(&mut y);
                    // The least slope of a layer is a hundredth.
                    let error = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max) / (1.0 + far);
                    assert!(error < 100.0 * tolerance, "{joint:?}, dim {dim}, {hostile}, {far}: {x:?} {y:?}");
                    assert!(there.is_finite() && back.is_finite(), "{joint:?} {there} {back}");
                }
            }
        });
    }

    #[test]
    fn slopes_are_central_differences() {
        each(|joint, dim, of, values| {
            let (x, weights) = (random(dim, 7), random(dim, 8));
            // A loss that asks for every image and for the log-det.
            let loss = |values: &[Vec<f64>], x: &[f64]| {
                let mut y = x.to_vec();
                let log_det = of(values).forward(&mut y);
                dot(&y, &weights) + 0.3 * log_det
            };
            let near = |name: &str, found: f64, plus: f64, minus: f64, step: f64| {
                let expected = (plus - minus) / (2.0 * step);
                assert!(
                    (found - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "{joint:?} {dim} {name}: {found} {expected}"
                );
            };
            let formula = of(&values);
            let mut back = weights.clone();
            formula.backward(&x, &mut back, 0.3);
            for i in 0..dim {
                let at = |step: f64| {
                    let mut x = x.clone();
                    x[i] += step;
                    loss(&values, &x)
                };
                near("x", back[i], at(1e-5), at(-1e-5), 1e-5);
            }
            formula.adjoint(&x, &mut back, 0.3);
            back.iter()
                .zip(&weights)
                .for_each(|(back, weight)| assert!((back - weight).abs() < 1e-9, "{joint:?} {dim}"));
            let mut sums = vec![0.0; formula.sums()];
            formula.add(&x, &weights, 0.3, &mut sums);
            for (t, found) in formula.pull_back(&sums).into_iter().enumerate() {
                for (i, found) in found.into_iter().enumerate() {
                    let at = |step: f64| {
                        let mut values = values.clone();
                        values[t][i] += step;
                        loss(&values, &x)
                    };
                    near(joint.tensors(dim)[t].0, found, at(1e-5), at(-1e-5), 1e-5);
                }
            }
        });
    }
}
