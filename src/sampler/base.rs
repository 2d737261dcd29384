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

    /// log b at one point.
    pub fn log_density(&self, z: &[f64]) -> f64 {
        let (nu, squares) = (FREEDOM as f64, z.iter().map(|z| z * z).sum::<f64>());
        self.constant - 0.5 * (nu + self.dim as f64) * (squares / nu).ln_1p()
    }

    /// The factor a of ∇ log b = −a z.
    pub fn pull(&self, z: &[f64]) -> f64 {
        let nu = FREEDOM as f64;
        (nu + self.dim as f64) / (nu + z.iter().map(|z| z * z).sum::<f64>())
    }
}
