//! A permutation of the variables: no values, and no stretching.

use super::Parametrisation;
use crate::seed::permutation;

/// y_i = x_{p(i)}.
pub enum Permutation {
    /// Last to first.
    Reverse,
    /// At random, fixed by this seed.
    Shuffled(u64),
}

impl Parametrisation for Permutation {
    fn tensors(&self, _dim: usize) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    fn shifts(&self) -> bool {
        false
    }

    fn matrix(&self, dim: usize, _values: &[Vec<f64>]) -> Vec<f64> {
        let from: Vec<usize> = match self {
            Permutation::Reverse => (0..dim).rev().collect(),
            Permutation::Shuffled(seed) => permutation(*seed, dim),
        };
        (0..dim * dim).map(|cell| f64::from(u8::from(from[cell / dim] == cell % dim))).collect()
    }

    fn log_det(&self, _dim: usize, _values: &[Vec<f64>]) -> f64 {
        0.0
    }

    fn pull_back(&self, _dim: usize, _values: &[Vec<f64>], _d_a: &[f64], _d_log_det: f64, _d_values: &mut [Vec<f64>]) {}
}
