//! A location and a scale matrix fitted to weighted points: the base of a tempered path, and the coordinates in which it is walked.

use crate::cholesky;

/// The map x = m + L z with a lower triangular L, dense or diagonal; it carries N(0, I) to N(m, L Lᵀ).
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    mean: Vec<f64>,
    factor: Factor,
}

#[derive(Debug, Clone, PartialEq)]
enum Factor {
    /// Row-major, zero above the diagonal.
    Dense(Vec<f64>),
    Diagonal(Vec<f64>),
}

/// Dimensions beyond this get a diagonal scale: the dense map would cost more than it saves.
const MOST_DENSE: usize = 128;

impl Shape {
    /// m = 0 and L = `scale` · I.
    pub fn round(dim: usize, scale: f64) -> Self {
        Self { mean: vec![0.0; dim], factor: Factor::Diagonal(vec![scale; dim]) }
    }

    /// The mean of row-major `points` and `inflation` times the Cholesky factor of their covariance, shrunk towards its diagonal by
    /// dim / (dim + effective number of points) so that it is positive definite. `weights` sum to one.
    pub fn fit(dim: usize, points: &[f64], weights: &[f64], inflation: f64) -> Self {
        let rows = || points.chunks_exact(dim).zip(weights).filter(|(_, &weight)| weight > 0.0);
        let mut mean = vec![0.0; dim];
        rows().for_each(|(point, weight)| mean.iter_mut().zip(point).for_each(|(m, x)| *m += weight * x));
        let mut deviations = vec![0.0; dim];
        for (point, weight) in rows() {
            deviations.iter_mut().zip(point).zip(&mean).for_each(|((v, x), m)| *v += weight * (x - m).powi(2));
        }
        // A coordinate that does not vary among the points gets a scale all the same.
        let smallest = |m: f64| 1e-8 * (1.0 + m.abs());
        deviations.iter_mut().zip(&mean).for_each(|(v, m)| *v = v.sqrt().max(smallest(*m)));
        let diagonal = || Factor::Diagonal(deviations.iter().map(|d| inflation * d).collect());
        let effective = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        if dim > MOST_DENSE {
            return Self { factor: diagonal(), mean };
        }
        let shrink = dim as f64 / (dim as f64 + effective);
        // The correlation matrix is better scaled than the covariance.
        let mut correlation = vec![0.0; dim * dim];
        let mut z = vec![0.0; dim];
        for (point, weight) in rows() {
            z.iter_mut().zip(point).zip(&mean).zip(&deviations).for_each(|(((z, x), m), d)| *z = (x - m) / d);
            for i in 0..dim {
                let scaled = (1.0 - shrink) * weight * z[i];
                correlation[i * dim..=i * dim + i].iter_mut().zip(&z).for_each(|(c, z)| *c += scaled * z);
            }
        }
        (0..dim).for_each(|i| correlation[i * dim + i] = 1.0 + 1e-9);
        let factor = match cholesky::factor(&correlation, dim) {
            Err(_) => diagonal(),
            Ok(mut lower) => {
                let rows = lower.chunks_exact_mut(dim).zip(&deviations);
                rows.for_each(|(row, d)| row.iter_mut().for_each(|l| *l *= inflation * d));
                Factor::Dense(lower)
            }
        };
        Self { mean, factor }
    }

    /// The number of coordinates.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// ln det L.
    pub fn log_det(&self) -> f64 {
        let dim = self.dim();
        match &self.factor {
            Factor::Dense(lower) => (0..dim).map(|i| lower[i * dim + i].ln()).sum(),
            Factor::Diagonal(scales) => scales.iter().map(|s| s.ln()).sum(),
        }
    }

    /// The standard deviations of the points, as a diagonal L.
    pub(super) fn diagonal(dim: usize, points: &[f64]) -> Self {
        let n = (points.len() / dim) as f64;
        let mut mean = vec![0.0; dim];
        points.chunks_exact(dim).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n));
        let mut scales = vec![0.0; dim];
        for row in points.chunks_exact(dim) {
            scales.iter_mut().zip(row).zip(&mean).for_each(|((v, x), m)| *v += (x - m).powi(2) / n);
        }
        scales.iter_mut().for_each(|v| *v = v.sqrt().max(1e-12));
        Self { mean, factor: Factor::Diagonal(scales) }
    }

    /// Fills the rows of `x` with m + L z.
    pub fn apply(&self, z: &[f64], x: &mut [f64]) {
        self.turn(z, x);
        let rows = x.chunks_exact_mut(self.dim());
        rows.for_each(|x| x.iter_mut().zip(&self.mean).for_each(|(x, m)| *x += m));
    }

    /// Fills the rows of `x` with L z.
    pub(super) fn turn(&self, z: &[f64], x: &mut [f64]) {
        let dim = self.dim();
        for (z, x) in z.chunks_exact(dim).zip(x.chunks_exact_mut(dim)) {
            match &self.factor {
                Factor::Dense(lower) => {
                    for (i, x) in x.iter_mut().enumerate() {
                        let row = &lower[i * dim..=i * dim + i];
                        *x = dot(row, z);
                    }
                }
                Factor::Diagonal(scales) => {
                    x.iter_mut().zip(scales).zip(z).for_each(|((x, s), z)| *x = s * z);
                }
            }
        }
    }

    /// Turns one point x into z = L⁻¹ (x − m).
    pub(super) fn undo(&self, x: &mut [f64]) {
        x.iter_mut().zip(&self.mean).for_each(|(x, m)| *x -= m);
        self.turn_back(x);
    }

    /// Turns one vector x into L⁻¹ x.
    pub(super) fn turn_back(&self, x: &mut [f64]) {
        match &self.factor {
            Factor::Dense(lower) => {
                let dim = self.dim();
                for i in 0..dim {
                    let known = dot(&lower[i * dim..i * dim + i], x);
                    x[i] = (x[i] - known) / lower[i * dim + i];
                }
            }
            Factor::Diagonal(scales) => x.iter_mut().zip(scales).for_each(|(x, s)| *x /= s),
        }
    }

    /// Turns rows of gradients in x into gradients in z: Lᵀ g.
    pub fn pull_back(&self, gradients: &mut [f64]) {
        let dim = self.dim();
        let mut out = vec![0.0; dim];
        for gradient in gradients.chunks_exact_mut(dim) {
            match &self.factor {
                Factor::Dense(lower) => {
                    out.fill(0.0);
                    for (i, g) in gradient.iter().enumerate() {
                        out.iter_mut().zip(&lower[i * dim..=i * dim + i]).for_each(|(out, l)| *out += l * g);
                    }
                    gradient.copy_from_slice(&out);
                }
                Factor::Diagonal(scales) => gradient.iter_mut().zip(scales).for_each(|(g, s)| *g *= s),
            }
        }
    }
}

/// Σ aᵢ bᵢ over the length of `a`, in sums that the compiler can keep in registers side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let b = &b[..a.len()];
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        (0..LANES).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of N((1, −2, 0), A Aᵀ) with A below, of equal weight.
    fn points() -> (Vec<f64>, Vec<f64>) {
        let rows = 40_000;
        let mut z = vec![0.0; 3 * rows];
        crate::seed::Seed(3).stream("points").normals(0, 3, &mut z);
        let map = |z: &[f64]| [1.0 + 2.0 * z[0], -2.0 + 3.0 * z[0] + 0.5 * z[1], 1e-3 * (z[1] + z[2])];
        (z.chunks_exact(3).flat_map(map).collect(), vec![1.0 / rows as f64; rows])
    }

    #[test]
    fn the_fit_has_the_moments_of_the_points() {
        let (points, weights) = points();
        let shape = Shape::fit(3, &points, &weights, 1.0);
        // det = 2 · 0.5 · 10⁻³.
        assert!((shape.log_det() - 1e-3f64.ln()).abs() < 0.05, "{}", shape.log_det());
        let mut origin = [0.0; 3];
        shape.apply(&[0.0; 3], &mut origin);
        assert!((origin[0] - 1.0).abs() < 0.05 && (origin[1] + 2.0).abs() < 0.1, "{origin:?}");
    }

    #[test]
    fn gradients_are_pulled_back_by_the_transpose() {
        let (points, weights) = points();
        for shape in [Shape::fit(3, &points, &weights, 1.5), Shape::round(3, 4.0)] {
            let (z, g) = ([0.3, -1.0, 2.0], [0.7, 0.1, -40.0]);
            let (mut x, mut origin, mut pulled) = ([0.0; 3], [0.0; 3], g);
            shape.apply(&z, &mut x);
            shape.apply(&[0.0; 3], &mut origin);
            shape.pull_back(&mut pulled);
            let there: f64 = x.iter().zip(origin).zip(g).map(|((x, o), g)| (x - o) * g).sum();
            let here: f64 = z.iter().zip(pulled).map(|(z, g)| z * g).sum();
            assert!((there - here).abs() < 1e-12 * (1.0 + there.abs()), "{there} {here}");
        }
    }

    #[test]
    fn points_without_spread_give_a_shape_all_the_same() {
        let shape = Shape::fit(2, &[1.0, 5.0, 1.0, 6.0], &[0.5, 0.5], 1.0);
        assert!(shape.log_det().is_finite());
    }
}
