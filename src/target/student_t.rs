//! Student-t coordinates, independent or mixed by a triangular matrix: heavy tails.

use super::{Density, Pointwise, Sampler, TargetSettings};
use rand::RngCore;
use rand_distr::{Distribution, StudentT as StudentTDraws};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::path::Path;

/// x = L t, where each t_i has Student's t distribution with ν degrees of freedom and scale 1, and L has ones on the diagonal and the
/// coupling c everywhere below it; normalised, since det L = 1.
#[derive(Debug, Clone, Copy)]
pub struct StudentT {
    dim: usize,
    freedom: f64,
    coupling: f64,
    constant: f64,
    draws: StudentTDraws<f64>,
}

impl StudentT {
    /// Independent coordinates on R^`dim` with `freedom` degrees of freedom.
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
        Ok(Self { dim, freedom, coupling: 0.0, constant, draws })
    }

    /// The same, mixed with this coupling.
    ///
    /// # Errors
    /// If `coupling` is not between −1 and 1.
    pub fn coupled(self, coupling: f64) -> Result<Self, String> {
        if !(-1.0..=1.0).contains(&coupling) {
            return Err(format!("coupling is {coupling}; −1 to 1 is right"));
        }
        Ok(Self { coupling, ..self })
    }
}

/// What is written for `StudentT`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "StudentT", deny_unknown_fields)]
pub struct StudentTSettings {
    /// The number of coordinates.
    #[serde(default = "ten")]
    pub dim: usize,
    /// Degrees of freedom.
    #[serde(default = "two")]
    pub freedom: f64,
    /// What each coordinate has of those before it.
    #[serde(default)]
    pub coupling: f64,
}

fn ten() -> usize {
    10
}

fn two() -> f64 {
    2.0
}

impl TargetSettings for StudentTSettings {
    const EXAMPLE: &'static str = "StudentT(dim: 10, freedom: 2.0, coupling: 0.0)";
    const ABOUT: &'static str = "heavy tails, independent or mixed";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(StudentT::new(self.dim, self.freedom)?.coupled(self.coupling)?))
    }
}

impl Pointwise for StudentT {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        // t = L⁻¹ x, by the sum of the t before.
        let mut before = 0.0;
        let unmix = |&x: &f64| {
            let t = x - self.coupling * before;
            before += t;
            t
        };
        let t: Vec<f64> = x.iter().map(unmix).collect();
        if let Some(gradient) = gradient {
            // −(ν + 1) t / (ν + t²), divided through by t so that far tails do not overflow; then L⁻ᵀ from the last up.
            let slope = |t: f64| if t == 0.0 { 0.0 } else { -(self.freedom + 1.0) / (self.freedom / t + t) };
            let mut after = 0.0;
            for (g, t) in gradient.iter_mut().zip(&t).rev() {
                *g = slope(*t) - self.coupling * after;
                after += *g;
            }
        }
        let tail = |t: &f64| 2.0 * t.abs().hypot(self.freedom.sqrt()).ln() - self.freedom.ln();
        t.iter().map(|t| self.constant - 0.5 * (self.freedom + 1.0) * tail(t)).sum()
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
        let mut before = 0.0;
        for x in point {
            let t = self.draws.sample(rng);
            *x = t + self.coupling * before;
            before += t;
        }
    }
}
