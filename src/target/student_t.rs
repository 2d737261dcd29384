//! Independent Student-t coordinates: heavy tails.

use super::{Pointwise, Sampler};
use rand::RngCore;
use rand_distr::{Distribution, StudentT as StudentTDraws};
use std::f64::consts::PI;

/// Each coordinate has Student's t distribution with ν degrees of freedom and scale 1; normalised.
#[derive(Debug, Clone, Copy)]
pub struct StudentT {
    dim: usize,
    freedom: f64,
    constant: f64,
    draws: StudentTDraws<f64>,
}

impl StudentT {
    /// On R^`dim` with `freedom` degrees of freedom.
    ///
    /// # Errors
    /// If `dim` is 0 or beyond 65536, or `freedom` is not between 0.01 and 10⁶.
    pub fn new(dim: usize, freedom: f64) -> Result<Self, String> {
        if !(1..=65_536).contains(&dim) {
            return Err(format!("dim is {dim}; 1 to 65536 is right"));
        }
        if !(0.01..=1e6).contains(&freedom) {
            return Err(format!("freedom is {freedom}; 0.01 to 1e6 is right"));
        }
        let constant = libm::lgamma(0.5 * (freedom + 1.0)) - libm::lgamma(0.5 * freedom) - 0.5 * (freedom * PI).ln();
        let draws = StudentTDraws::new(freedom).map_err(|error| error.to_string())?;
        Ok(Self { dim, freedom, constant, draws })
    }
}

impl Pointwise for StudentT {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        if let Some(gradient) = gradient {
            // −(ν + 1) x / (ν + x²), divided through by x so that far tails do not overflow.
            let slope = |&x: &f64| if x == 0.0 { 0.0 } else { -(self.freedom + 1.0) / (self.freedom / x + x) };
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g = slope(x));
        }
        let tail = |x: &f64| 2.0 * x.abs().hypot(self.freedom.sqrt()).ln() - self.freedom.ln();
        x.iter().map(|x| self.constant - 0.5 * (self.freedom + 1.0) * tail(x)).sum()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for StudentT {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        point.iter_mut().for_each(|x| *x = self.draws.sample(rng));
    }
}
