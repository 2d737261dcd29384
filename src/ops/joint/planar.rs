//! y = x + û tanh(w·x + b): space is folded along a plane (Rezende and Mohamed 2015).

use super::super::linear::bounded::bounded;
use super::super::root::solve;
use super::super::ways::{Way, Ways};
use super::row::{ByRow, RowFormula};
use super::{dot, excess, Formula, FormulaSettings, Kind};
use std::sync::Arc;

/// The largest entry of w and of u.
const ENTRY: f64 = 10.0;
/// What |w|² is taken to be at least.
const TINY: f64 = 1e-12;

/// J = I + h′ û wᵀ with h′ = 1 − tanh², and ln |det J| = ln(1 + κ h′) with κ = w·û. So that this has an inverse whatever the values are,
/// û is u moved along w until w·û = m(w·u) > −1; the text has the same with another m, whose û is not bounded where w vanishes.
///
/// The inverse, for which the text has no formula, is one equation of one number: a + κ tanh a = w·y + b for a = w·x + b.
#[derive(Debug)]
pub struct Planar {
    /// What w and u are before they are bounded.
    raw: [Vec<f64>; 2],
    w: Vec<f64>,
    u: Vec<f64>,
    /// û.
    along: Vec<f64>,
    offset: f64,
    /// w·u, and g = m(w·u) − w·u, with which û = u + g w / |w|².
    dot: f64,
    gap: f64,
    kappa: f64,
}

/// What is written for `Planar`: nothing.
pub struct PlanarSettings;

impl FormulaSettings for PlanarSettings {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        vec![("normal", dim), ("direction", dim), ("offset", 1)]
    }

    fn starts(&self, dim: usize) -> Vec<f64> {
        vec![1.0 / (dim as f64).sqrt(), 1e-2, 1e-2]
    }

    fn ways(&self) -> Ways {
        Ways { back: Way { steps: 1, solved: true }, ..Ways::PASSES }
    }

    fn multiplications(&self, dim: usize) -> usize {
        2 * dim
    }

    fn work(&self, dim: usize) -> usize {
        20 * dim
    }

    fn within(&self, _: &[usize]) -> Kind {
        Kind::Planar
    }

    fn formula(&self, _: usize, tensors: &[Vec<f64>]) -> Arc<dyn Formula> {
        Arc::new(ByRow(Planar::new(tensors)))
    }
}

impl Planar {
    /// From the values of the tensors.
    pub fn new(tensors: &[Vec<f64>]) -> Self {
        let bound = |raw: &[f64]| raw.iter().map(|&raw| bounded(raw, ENTRY).0).collect::<Vec<f64>>();
        let (w, u) = (bound(&tensors[0]), bound(&tensors[1]));
        let inner = dot(&w, &u);
        let gap = excess(inner).0 - inner;
        let square = dot(&w, &w) + TINY;
        let along: Vec<f64> = u.iter().zip(&w).map(|(u, w)| u + gap * w / square).collect();
        let kappa = dot(&w, &along);
        Self {
            raw: [tensors[0].clone(), tensors[1].clone()],
            w,
            u,
            along,
            offset: tensors[2][0],
            dot: inner,
            gap,
            kappa,
        }
    }

    /// tanh a, its slope h′ and the det 1 + κ h′.
    fn at(&self, a: f64) -> (f64, f64, f64) {
        let tanh = a.tanh();
        let slope = 1.0 - tanh * tanh;
        (tanh, slope, 1.0 + self.kappa * slope)
    }

    fn argument(&self, x: &[f64]) -> f64 {
        dot(&self.w, x) + self.offset
    }

    /// The derivative of the log-det by a.
    fn bend(&self, (tanh, slope, det): (f64, f64, f64)) -> f64 {
        -2.0 * tanh * slope * self.kappa / det
    }
}

impl RowFormula for Planar {
    fn forward(&self, x: &mut [f64]) -> f64 {
        let (tanh, _, det) = self.at(self.argument(x));
        x.iter_mut().zip(&self.along).for_each(|(x, along)| *x += tanh * along);
        det.ln()
    }

    fn inverse(&self, y: &mut [f64]) -> f64 {
        let a = solve(self.argument(y), |a| {
            let (tanh, _, det) = self.at(a);
            (a + self.kappa * tanh, det.ln())
        });
        let (tanh, _, det) = self.at(a);
        y.iter_mut().zip(&self.along).for_each(|(y, along)| *y -= tanh * along);
        -det.ln()
    }

    fn backward(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64) {
        let at = self.at(self.argument(x));
        let d_a = at.1 * dot(&self.along, gradient) + d_log_det * self.bend(at);
        gradient.iter_mut().zip(&self.w).for_each(|(g, w)| *g += d_a * w);
    }

    fn adjoint(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64) {
        let at = self.at(self.argument(x));
        let bend = d_log_det * self.bend(at);
        gradient.iter_mut().zip(&self.w).for_each(|(g, w)| *g -= bend * w);
        // Sherman and Morrison.
        let across = at.1 * dot(&self.along, gradient) / at.2;
        gradient.iter_mut().zip(&self.w).for_each(|(g, w)| *g -= across * w);
    }

    fn sums(&self) -> usize {
        // The gradients of w and û with κ held fixed, of b and of κ.
        2 * self.w.len() + 2
    }

    fn add(&self, x: &[f64], d_y: &[f64], d_log_det: f64, sums: &mut [f64]) {
        let dim = x.len();
        let at = self.at(self.argument(x));
        let d_a = at.1 * dot(&self.along, d_y) + d_log_det * self.bend(at);
        let (d_w, rest) = sums.split_at_mut(dim);
        let (d_along, rest) = rest.split_at_mut(dim);
        d_w.iter_mut().zip(x).for_each(|(d, x)| *d += d_a * x);
        d_along.iter_mut().zip(d_y).for_each(|(d, d_y)| *d += at.0 * d_y);
        rest[0] += d_a;
        rest[1] += d_log_det * at.1 / at.2;
    }

    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        let dim = self.w.len();
        let (d_offset, d_kappa) = (sums[2 * dim], sums[2 * dim + 1]);
        let mut d_w: Vec<f64> = sums[..dim].iter().zip(&self.along).map(|(d, along)| d + d_kappa * along).collect();
        let d_along: Vec<f64> = sums[dim..2 * dim].iter().zip(&self.w).map(|(d, w)| d + d_kappa * w).collect();
        // û = u + g w / |w|², g = m(w·u) − w·u.
        let square = dot(&self.w, &self.w) + TINY;
        let through = dot(&d_along, &self.w) / square;
        let d_dot = through * (excess(self.dot).1 - 1.0);
        for (i, d) in d_w.iter_mut().enumerate() {
            *d += self.gap * (d_along[i] - 2.0 * through * self.w[i]) / square + d_dot * self.u[i];
            *d *= bounded(self.raw[0][i], ENTRY).1;
        }
        let d_u = d_along.iter().zip(&self.w).zip(&self.raw[1]);
        let d_u = d_u.map(|((d, w), &raw)| (d + d_dot * w) * bounded(raw, ENTRY).1).collect();
        vec![d_w, d_u, vec![d_offset]]
    }
}
