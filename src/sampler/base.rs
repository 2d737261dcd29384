//! Where a tempered path begins: a Student-t distribution, round in coordinates of its own, and others around places that are known.

use super::Shape;
use crate::cholesky;
use crate::seed::{open_unit, Stream};

/// A place where a density is known to have mass, such as a mode with the curvature there.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its centre.
    pub mean: Vec<f64>,
    /// A matrix A, row-major, such that A Aᵀ is its covariance.
    pub factor: Vec<f64>,
    /// Its weight among the components, up to a factor.
    pub weight: f64,
}

/// Degrees of freedom. Few, for a normal base has lighter tails than many a target: the weights of the path's last step would have no
/// variance then, however small the step. Even, so that χ² is a sum of squares.
pub(super) const FREEDOM: usize = 4;

/// How a mixture is made of components.
#[derive(Debug, Clone, Copy)]
struct Mix {
    /// The share of the round distribution.
    round: f64,
    /// Each component is there as many times as there are numbers, as much wider than what is known of it.
    inflation: &'static [f64],
}

/// Where a path begins: what nobody knows of is found by the round distribution alone.
const BASE: Mix = Mix { round: 0.5, inflation: &[1.5] };

/// Where particles jump to: mostly into the components as they are known.
const JUMPS: Mix = Mix { round: 0.1, inflation: &[1.05, 1.5] };

/// A mixture of multivariate Student-t distributions of [`FREEDOM`] degrees of freedom ν, the first of which is round:
/// log b(z) = ln Σ_k w_k det(P_k)^½ (1 + (z − m_k)ᵀ P_k (z − m_k) / ν)^{−½ (ν + dim)} + constant with m_0 = 0 and P_0 = I.
#[derive(Debug, Clone)]
pub(super) struct Base {
    dim: usize,
    constant: f64,
    round: f64,
    around: Vec<Around>,
}

/// One of the others.
#[derive(Debug, Clone)]
struct Around {
    weight: f64,
    mean: Vec<f64>,
    /// The Cholesky factor of the covariance.
    lower: Vec<f64>,
    /// The inverse of the covariance, P.
    precision: Vec<f64>,
    /// ln w + ½ ln det P.
    constant: f64,
}

impl Base {
    /// The round one alone.
    pub fn new(dim: usize) -> Self {
        let (nu, d) = (FREEDOM as f64, dim as f64);
        let constant =
            libm::lgamma(0.5 * (nu + d)) - libm::lgamma(0.5 * nu) - 0.5 * d * (nu * std::f64::consts::PI).ln();
        Self { dim, constant, round: 1.0, around: Vec::new() }
    }

    /// With `components`, which are given in the coordinates x = m + L z of `shape`. One whose covariance is no such matrix is left out.
    pub fn with(components: &[Component], shape: &Shape) -> Self {
        Self::mixed(components, shape, BASE)
    }

    /// The distribution of the points to which particles jump; none without components.
    pub fn of_jumps(components: &[Component], shape: &Shape) -> Option<Self> {
        Some(Self::mixed(components, shape, JUMPS)).filter(|jumps| !jumps.around.is_empty())
    }

    fn mixed(components: &[Component], shape: &Shape, mix: Mix) -> Self {
        let mut base = Self::new(shape.dim());
        let all = components.iter().flat_map(|component| mix.inflation.iter().map(move |width| (component, *width)));
        base.around = all.filter_map(|(component, width)| Around::of(component, shape, width)).collect();
        let total: f64 = base.around.iter().map(|around| around.weight).sum();
        for around in &mut base.around {
            around.weight *= (1.0 - mix.round) / total;
            around.constant += around.weight.ln();
        }
        base.round = if base.around.is_empty() { 1.0 } else { mix.round };
        base
    }

    /// Fills the rows of `z` with draws, each component the share of the rows that is its weight.
    pub fn draw(&self, stream: &Stream, z: &mut [f64]) {
        let rows = z.len() / self.dim;
        self.draw_at(stream, z, |row| (row as f64 + 0.5) / rows as f64);
    }

    /// The same, where the component of each row is a matter of chance.
    pub fn draw_apart(&self, stream: &Stream, z: &mut [f64]) {
        let chance = stream.child("component");
        self.draw_at(stream, z, |row| open_unit(&mut chance.row(row as u64)));
    }

    /// Draws a normal point over √(χ²_ν/ν) for each row, of the component in which `place` falls when all weights lie side by side.
    fn draw_at(&self, stream: &Stream, z: &mut [f64], place: impl Fn(usize) -> f64) {
        let wide = self.dim + FREEDOM;
        let rows = z.len() / self.dim;
        let mut normals = vec![0.0; rows * wide];
        stream.normals(0, wide, &mut normals);
        for (row, (z, normals)) in z.chunks_exact_mut(self.dim).zip(normals.chunks_exact(wide)).enumerate() {
            let (point, others) = normals.split_at(self.dim);
            let chi: f64 = others.iter().map(|x| x * x).sum();
            let scale = (FREEDOM as f64 / chi).sqrt();
            z.iter_mut().zip(point).for_each(|(z, x)| *z = scale * x);
            let mut rest = place(row) - self.round;
            if rest < 0.0 || self.around.is_empty() {
                continue;
            }
            let chosen = self.around.iter().find(|around| {
                rest -= around.weight;
                rest < 0.0
            });
            // Rounding may leave the last row beyond all of them.
            if let Some(around) = chosen.or(self.around.last()) {
                cholesky::multiply(&around.lower, z);
                z.iter_mut().zip(&around.mean).for_each(|(z, mean)| *z += mean);
            }
        }
    }

    /// log b at one point; its gradient there.
    pub fn log_density_and_gradient(&self, z: &[f64], gradient: &mut [f64]) -> f64 {
        let (nu, squares) = (FREEDOM as f64, z.iter().map(|z| z * z).sum::<f64>());
        let power = nu + self.dim as f64;
        let pull = power / (nu + squares);
        gradient.iter_mut().zip(z).for_each(|(g, z)| *g = -pull * z);
        let round = -0.5 * power * (squares / nu).ln_1p();
        if self.around.is_empty() {
            return self.constant + round;
        }
        // The sum relative to its largest term so far, and its gradient.
        let (mut largest, mut sum) = (round + self.round.ln(), 1.0);
        let mut turned = vec![0.0; self.dim];
        for around in &self.around {
            let squares = around.turn(z, &mut turned);
            let (term, pull) = (around.constant - 0.5 * power * (squares / nu).ln_1p(), power / (nu + squares));
            let (kept, added) =
                if term > largest { ((largest - term).exp(), 1.0) } else { (1.0, (term - largest).exp()) };
            largest = largest.max(term);
            sum = sum * kept + added;
            gradient.iter_mut().zip(&turned).for_each(|(g, t)| *g = *g * kept - added * pull * t);
        }
        gradient.iter_mut().for_each(|g| *g /= sum);
        self.constant + largest + sum.ln()
    }

    /// log b at one point.
    pub fn log_density(&self, z: &[f64]) -> f64 {
        if self.around.is_empty() {
            // It is asked for each particle at each energy: no gradient is made for it.
            let (nu, squares) = (FREEDOM as f64, z.iter().map(|z| z * z).sum::<f64>());
            return self.constant - 0.5 * (nu + self.dim as f64) * (squares / nu).ln_1p();
        }
        self.log_density_and_gradient(z, &mut vec![0.0; z.len()])
    }
}

impl Around {
    fn of(component: &Component, shape: &Shape, width: f64) -> Option<Self> {
        let dim = shape.dim();
        let mut mean = component.mean.clone();
        shape.undo(&mut mean);
        // Columns of the factor are turned back one by one; its rows are what is stored.
        let mut columns: Vec<f64> =
            (0..dim * dim).map(|cell| component.factor[cell % dim * dim + cell / dim]).collect();
        columns.chunks_exact_mut(dim).for_each(|column| shape.turn_back(column));
        let mut covariance = vec![0.0; dim * dim];
        for column in columns.chunks_exact(dim) {
            for i in 0..dim {
                let scaled = width * width * column[i];
                covariance[i * dim..(i + 1) * dim].iter_mut().zip(column).for_each(|(c, x)| *c += scaled * x);
            }
        }
        let (lower, _) = cholesky::regularised(&covariance, dim).ok()?;
        let half_log_det: f64 = lower.iter().step_by(dim + 1).map(|pivot| pivot.ln()).sum();
        let precision = cholesky::inverse(&lower, dim);
        let usable = mean.iter().chain(&precision).all(|x| x.is_finite()) && half_log_det.is_finite();
        usable.then_some(Self { weight: component.weight, mean, lower, precision, constant: -half_log_det })
    }

    /// Fills `turned` with P (z − m) and returns (z − m)ᵀ P (z − m).
    fn turn(&self, z: &[f64], turned: &mut [f64]) -> f64 {
        let mut squares = 0.0;
        for (i, (row, turned)) in self.precision.chunks_exact(z.len()).zip(turned).enumerate() {
            *turned = row.iter().zip(z).zip(&self.mean).map(|((p, z), m)| p * (z - m)).sum();
            squares += *turned * (z[i] - self.mean[i]);
        }
        squares.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn draws_have_the_density_that_is_claimed() {
        let (dim, rows) = (3, 200_000);
        let base = Base::new(dim);
        let mut z = vec![0.0; rows * dim];
        base.draw(&Seed(1).stream("base"), &mut z);
        // ∫ N(z; 0, I) dz = 1, as a mean over draws of the base.
        let ratio = |z: &[f64]| {
            let squares: f64 = z.iter().map(|z| z * z).sum();
            (-0.5 * squares - 0.5 * dim as f64 * std::f64::consts::TAU.ln() - base.log_density(z)).exp()
        };
        let mean = z.chunks_exact(dim).map(ratio).sum::<f64>() / rows as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        // P(|t| > 2.776) = 0.05 for a coordinate with four degrees of freedom.
        let far = z.iter().filter(|z| z.abs() > 2.776_445).count() as f64 / z.len() as f64;
        assert!((far - 0.05).abs() < 0.003, "{far}");
    }

    /// Two components beside the round one, in coordinates that a shape turns.
    fn mixed() -> Base {
        let points = [1.0, 0.0, 3.0, 1.0, -1.0, 2.0, 0.5, -2.0];
        let shape = Shape::fit(2, &points, &[0.25; 4], 1.2);
        let component =
            |mean: [f64; 2], factor: [f64; 4], weight| Component { mean: mean.into(), factor: factor.into(), weight };
        let components =
            [component([4.0, 3.0], [0.5, 0.0, 0.3, 0.4], 2.0), component([-3.0, 1.0], [1.0, 0.2, 0.0, 0.7], 1.0)];
        Base::with(&components, &shape)
    }

    #[test]
    fn a_mixture_has_the_density_of_its_draws() {
        let (base, rows) = (mixed(), 300_000);
        assert_eq!(base.around.len(), 2);
        let mut z = vec![0.0; rows * 2];
        base.draw(&Seed(2).stream("base"), &mut z);
        for around in &base.around {
            // ∫ N(z; m, C) dz = 1 for the normal distribution of each component.
            let mut turned = [0.0; 2];
            let ratio = |z: &[f64]| {
                let squares = around.turn(z, &mut turned);
                let constant = around.constant - around.weight.ln() - std::f64::consts::TAU.ln();
                (constant - 0.5 * squares - base.log_density(z)).exp()
            };
            let mean = z.chunks_exact(2).map(ratio).sum::<f64>() / rows as f64;
            assert!((mean - 1.0).abs() < 0.02, "{mean}");
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_density() {
        for (base, z) in [(Base::new(2), [0.7, -3.0]), (mixed(), [0.7, -3.0]), (mixed(), [1.5, 1.2])] {
            let mut gradient = [0.0; 2];
            base.log_density_and_gradient(&z, &mut gradient);
            for i in 0..2 {
                let at = |h: f64| {
                    let mut z = z;
                    z[i] += h;
                    base.log_density(&z)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - gradient[i]).abs() < 1e-7, "{slope} {gradient:?}");
            }
        }
    }
}
