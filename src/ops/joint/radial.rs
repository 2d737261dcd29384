//! y = x + β (x − c) / (α + |x − c|): space swells or shrinks about a point (Tabak and Turner 2013; Rezende and Mohamed 2015).

use super::super::linear::bounded::scale;
use super::super::ways::Ways;
use super::row::{ByRow, RowFormula};
use super::{dot, excess, Formula, FormulaSettings, Kind};
use std::sync::Arc;

/// With e = x − c, r = |e|, k = α / (α + r) and β = m α: y = x + m k e. Along e space stretches by 1 + m k², across it by 1 + m k, both
/// positive for m > −1, and ln |det J| = ln(1 + m k²) + (d − 1) ln(1 + m k).
///
/// The inverse keeps the direction of e; its length solves a quadratic equation.
#[derive(Debug)]
pub struct Radial {
    centre: Vec<f64>,
    /// What ln α and m are before they are bounded.
    raw: [f64; 2],
    alpha: f64,
    m: f64,
}

/// A row seen from the centre.
struct At {
    /// e / r, zero at the centre.
    unit: Vec<f64>,
    r: f64,
    k: f64,
    along: f64,
    across: f64,
}

/// What is written for `Radial`: nothing.
pub struct RadialSettings;

impl FormulaSettings for RadialSettings {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        vec![("centre", dim), ("reach", 1), ("strength", 1)]
    }

    fn starts(&self, _: usize) -> Vec<f64> {
        vec![1.0, 1e-2, 1e-2]
    }

    fn ways(&self) -> Ways {
        Ways::PASSES
    }

    fn multiplications(&self, dim: usize) -> usize {
        2 * dim
    }

    fn work(&self, dim: usize) -> usize {
        20 * dim
    }

    fn within(&self, _: &[usize]) -> Kind {
        Kind::Radial
    }

    fn formula(&self, _: usize, tensors: &[Vec<f64>]) -> Arc<dyn Formula> {
        Arc::new(ByRow(Radial::new(tensors)))
    }
}

impl Radial {
    /// From the values of the tensors.
    pub fn new(tensors: &[Vec<f64>]) -> Self {
        let raw = [tensors[1][0], tensors[2][0]];
        Self { centre: tensors[0].clone(), raw, alpha: scale(raw[0]).0, m: excess(raw[1]).0 }
    }

    fn at(&self, x: &[f64]) -> At {
        let mut unit: Vec<f64> = x.iter().zip(&self.centre).map(|(x, c)| x - c).collect();
        // In parts of the largest, whose square is always a number.
        let most = unit.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
        if most > 0.0 {
            unit.iter_mut().for_each(|e| *e /= most);
        }
        let length = dot(&unit, &unit).sqrt();
        if length > 0.0 {
            unit.iter_mut().for_each(|e| *e /= length);
        }
        let r = most * length;
        let k = self.alpha / (self.alpha + r);
        At { unit, r, k, along: 1.0 + self.m * k * k, across: 1.0 + self.m * k }
    }

    fn log_det(&self, at: &At) -> f64 {
        at.along.ln() + (self.centre.len() - 1) as f64 * at.across.ln()
    }

    /// The derivative of the log-det by k, and of k by r.
    fn bends(&self, at: &At) -> (f64, f64) {
        let others = (self.centre.len() - 1) as f64;
        (2.0 * self.m * at.k / at.along + others * self.m / at.across, -at.k * at.k / self.alpha)
    }
}

impl RowFormula for Radial {
    fn forward(&self, x: &mut [f64]) -> f64 {
        let at = self.at(x);
        let moved = self.m * at.k * at.r;
        x.iter_mut().zip(&at.unit).for_each(|(x, e)| *x += moved * e);
        self.log_det(&at)
    }

    fn inverse(&self, y: &mut [f64]) -> f64 {
        // |y − c| = r (1 + m α / (α + r)), so that r² + r (α (1 + m) − |y − c|) − |y − c| α = 0, of which one root is positive.
        let seen = self.at(y);
        let half = 0.5 * (seen.r - self.alpha * (1.0 + self.m));
        let root = half.hypot((seen.r * self.alpha).sqrt());
        let r = if half > 0.0 { half + root } else { seen.r * self.alpha / (root - half) };
        let k = self.alpha / (self.alpha + r);
        let at = At { along: 1.0 + self.m * k * k, across: 1.0 + self.m * k, r, k, unit: Vec::new() };
        // What was added, rather than all of it: far out it is next to nothing.
        y.iter_mut().zip(&seen.unit).for_each(|(y, e)| *y -= self.m * k * r * e);
        -self.log_det(&at)
    }

    fn backward(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64) {
        let at = self.at(x);
        let (by_k, by_r) = self.bends(&at);
        let outward = dot(&at.unit, gradient);
        // J = (1 + m k) I + m k′ r (e/r)(e/r)ᵀ.
        let along = (at.along - at.across) * outward + d_log_det * by_k * by_r;
        gradient.iter_mut().zip(&at.unit).for_each(|(g, e)| *g = *g * at.across + along * e);
    }

    fn adjoint(&self, x: &[f64], gradient: &mut [f64], d_log_det: f64) {
        let at = self.at(x);
        let (by_k, by_r) = self.bends(&at);
        let bend = d_log_det * by_k * by_r;
        gradient.iter_mut().zip(&at.unit).for_each(|(g, e)| *g -= bend * e);
        let outward = dot(&at.unit, gradient) * (1.0 / at.along - 1.0 / at.across);
        gradient.iter_mut().zip(&at.unit).for_each(|(g, e)| *g = *g / at.across + outward * e);
    }

    fn sums(&self) -> usize {
        // The gradients of c, α and m.
        self.centre.len() + 2
    }

    fn add(&self, x: &[f64], d_y: &[f64], d_log_det: f64, sums: &mut [f64]) {
        let at = self.at(x);
        let (by_k, _) = self.bends(&at);
        let outward = at.r * dot(&at.unit, d_y);
        let mut d_x = d_y.to_vec();
        self.backward(x, &mut d_x, d_log_det);
        let (d_centre, rest) = sums.split_at_mut(x.len());
        // y − x is a function of x − c.
        d_centre.iter_mut().zip(d_y.iter().zip(&d_x)).for_each(|(d, (d_y, d_x))| *d += d_y - d_x);
        let others = (x.len() - 1) as f64;
        rest[0] += (self.m * outward + d_log_det * by_k) * at.r / (self.alpha + at.r).powi(2);
        rest[1] += at.k * outward + d_log_det * (at.k * at.k / at.along + others * at.k / at.across);
    }

    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        let dim = self.centre.len();
        let by_reach = self.alpha * scale(self.raw[0]).1;
        vec![sums[..dim].to_vec(), vec![sums[dim] * by_reach], vec![sums[dim + 1] * excess(self.raw[1]).1]]
    }
}
