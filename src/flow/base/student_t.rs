//! Independent Student-t coordinates with learned degrees of freedom: tails that a bijection of a normal cannot have.

use super::settings::BaseSettings;
use super::Base;
use crate::gamma::digamma;
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::sync::Arc;

/// The product of Student-t densities with ν_j degrees of freedom and scale 1.
///
/// A draw of one coordinate takes two standard normals a and b: with s = a² + b², z = a √(ν (e^{s/ν} − 1) / s) has exactly that density
/// (Bailey 1994, who writes it with a uniform for s and an angle), in closed form and smooth in ν; for ν → ∞ it is a. The
/// parameters are raw, with ν = ¼ + e^raw.
#[derive(Debug, Clone)]
pub struct StudentT {
    coordinates: Vec<Coordinate>,
}

#[derive(Debug, Clone, Copy)]
struct Coordinate {
    freedom: f64,
    /// dν/draw.
    slope: f64,
    /// ln Γ((ν + 1)/2) − ln Γ(ν/2) − ½ ln νπ, and its derivative by ν.
    constant: f64,
    constant_slope: f64,
}

/// The least degrees of freedom, where a draw with s = 73 (there are none beyond) is still a finite number in double precision.
const LEAST: f64 = 0.25;

/// Raw values beyond this are as good as a normal, and ν must stay small enough for its ln Γ to keep digits.
const LARGEST_RAW: f64 = 14.0;

impl StudentT {
    /// From the raw values of all coordinates.
    pub fn new(raw: &[f64]) -> Self {
        let coordinate = |&raw: &f64| {
            let slope = raw.min(LARGEST_RAW).exp();
            let freedom = LEAST + slope;
            let constant =
                libm::lgamma(0.5 * (freedom + 1.0)) - libm::lgamma(0.5 * freedom) - 0.5 * (freedom * PI).ln();
            let constant_slope = 0.5 * (digamma(0.5 * (freedom + 1.0)) - digamma(0.5 * freedom) - 1.0 / freedom);
            Coordinate { freedom, slope, constant, constant_slope }
        };
        Self { coordinates: raw.iter().map(coordinate).collect() }
    }

    /// The raw value of ν.
    pub fn raw(freedom: f64) -> f64 {
        (freedom - LEAST).ln()
    }

    /// The degrees of freedom of all coordinates.
    pub fn freedom(&self) -> Vec<f64> {
        self.coordinates.iter().map(|c| c.freedom).collect()
    }
}

/// s/ν and √(ν (e^{s/ν} − 1) / s) for the normals of one coordinate.
fn stretch(noise: &[f64], freedom: f64) -> (f64, f64) {
    let ratio = (noise[0] * noise[0] + noise[1] * noise[1]) / freedom;
    (ratio, if ratio > 0.0 { (ratio.exp_m1() / ratio).sqrt() } else { 1.0 })
}

/// What is written for independent Student-t coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "StudentT", deny_unknown_fields, default)]
pub struct StudentTBase {
    /// The degrees of freedom at the start.
    pub freedom: f64,
}

impl Default for StudentTBase {
    fn default() -> Self {
        Self { freedom: 5.0 }
    }
}

impl StudentTBase {
    /// The base as it is written, every field shown with its default.
    pub const EXAMPLE: &'static str = "StudentT(freedom: 5.0)";
}

impl BaseSettings for StudentTBase {
    fn fault(&self) -> Option<String> {
        (!(0.5..=1000.0).contains(&self.freedom))
            .then(|| format!("freedom is {}; 0.5 to 1000 degrees of freedom are right", self.freedom))
    }

    fn noise_width(&self, dim: usize) -> usize {
        2 * dim
    }

    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        vec![("raw_freedom", dim)]
    }

    fn start(&self, dim: usize, _: &Stream) -> Vec<Vec<f64>> {
        vec![vec![StudentT::raw(self.freedom); dim]]
    }

    fn build(&self, _: usize, tensors: &[Vec<f64>]) -> Arc<dyn Base> {
        Arc::new(StudentT::new(&tensors[0]))
    }
}

impl Base for StudentT {
    fn dim(&self) -> usize {
        self.coordinates.len()
    }

    fn noise_width(&self) -> usize {
        2 * self.coordinates.len()
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        for ((z, noise), c) in z.iter_mut().zip(noise.chunks_exact(2)).zip(&self.coordinates) {
            *z = noise[0] * stretch(noise, c.freedom).1;
        }
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        // Where z² would overflow, 1 + z²/ν is as good as z²/ν.
        let log = |z: f64, freedom: f64| {
            if z.abs() < 1e100 {
                (z * z / freedom).ln_1p()
            } else {
                2.0 * z.abs().ln() - freedom.ln()
            }
        };
        let term = |(z, c): (&f64, &Coordinate)| c.constant - 0.5 * (c.freedom + 1.0) * log(*z, c.freedom);
        z.iter().zip(&self.coordinates).map(term).sum()
    }

    fn score(&self, z: &[f64], score: &mut [f64]) {
        for ((score, z), c) in score.iter_mut().zip(z).zip(&self.coordinates) {
            *score = -(c.freedom + 1.0) / (c.freedom / z + z);
        }
    }

    fn push_slopes(&self, _tensor: usize, noise: &[f64], places: &mut [usize], slopes: &mut [f64]) {
        let rows = slopes.iter_mut().zip(noise.chunks_exact(2)).zip(&self.coordinates);
        for ((j, place), ((slope, noise), c)) in places.iter_mut().enumerate().zip(rows) {
            // With r = s/ν and h = (eʳ − 1)/r: z = a √h and dh/dν = −(eʳ − h)/ν.
            let (ratio, root) = stretch(noise, c.freedom);
            let by_freedom = -noise[0] * (ratio.exp() - root * root) / (2.0 * root * c.freedom);
            (*place, *slope) = (j, by_freedom * c.slope);
        }
    }

    fn log_prob_slopes(&self, z: &[f64], slopes: &mut [f64]) {
        for ((slope, z), c) in slopes.iter_mut().zip(z).zip(&self.coordinates) {
            let q = z * z / c.freedom;
            let tail = if q.is_finite() { q / (1.0 + q) } else { 1.0 };
            *slope = c.slope * (c.constant_slope + 0.5 * ((c.freedom + 1.0) / c.freedom * tail - q.ln_1p()));
        }
    }
}
