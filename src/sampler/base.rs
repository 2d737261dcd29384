//! Where a tempered path begins: a Student-t distribution, round in coordinates of its own.

use crate::seed::Stream;

/// Degrees of freedom. Few, for a normal base has lighter tails than many a target: the weights of the path's last step would have no
/// variance then, however small the step. Even, so that χ² is a sum of squares.
pub(super) const FREEDOM: usize = 4;

/// The multivariate Student-t distribution of [`FREEDOM`] degrees of freedom ν on R^dim:
/// log b(z) = −½ (ν + dim) ln(1 + ‖z‖²/ν) + constant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    dim: usize,
    constant: f64,
}

impl Base {
    pub fn new(dim: usize) -> Self {
        let (nu, d) = (FREEDOM as f64, dim as f64);
        let constant =
            libm::lgamma(0.5 * (nu + d)) - libm::lgamma(0.5 * nu) - 0.5 * d * (nu * std::f64::consts::PI).ln();
        Self { dim, constant }
    }

    /// Fills the rows of `z` with draws: a normal point over √(χ²_ν/ν).
    pub fn draw(&self, stream: &Stream, z: &mut [f64]) {
        let wide = self.dim + FREEDOM;
        let mut normals = vec![0.0; z.len() / self.dim * wide];
        stream.normals(0, wide, &mut normals);
        for (z, normals) in z.chunks_exact_mut(self.dim).zip(normals.chunks_exact(wide)) {
            let (point, others) = normals.split_at(self.dim);
            let chi: f64 = others.iter().map(|x| x * x).sum();
            let scale = (FREEDOM as f64 / chi).sqrt();
            z.iter_mut().zip(point).for_each(|(z, x)| *z = scale * x);
        }
    }

    /// log b at one point, and the factor a of its gradient −a z.
    pub fn log_density_and_pull(&self, z: &[f64]) -> (f64, f64) {
        let (nu, squares) = (FREEDOM as f64, z.iter().map(|z| z * z).sum::<f64>());
        let power = nu + self.dim as f64;
        (self.constant - 0.5 * power * (squares / nu).ln_1p(), power / (nu + squares))
    }

    /// log b at one point.
    pub fn log_density(&self, z: &[f64]) -> f64 {
        self.log_density_and_pull(z).0
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

    #[test]
    fn the_gradient_is_that_of_the_density() {
        let (base, z) = (Base::new(2), [0.7, -3.0]);
        for i in 0..2 {
            let at = |h: f64| {
                let mut z = z;
                z[i] += h;
                base.log_density(&z)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope + base.log_density_and_pull(&z).1 * z[i]).abs() < 1e-8, "{slope}");
        }
    }
}
