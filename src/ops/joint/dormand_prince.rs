//! The steps of Dormand and Prince (1980): of order 5, with an error estimate of order 4.

use super::net::Trace;

/// Steps of one row at most; the last one is as long as what is left.
pub const STEPS: usize = 2_000;
pub const STAGES: usize = 6;
/// The places of the stages within a step.
pub const PLACES: [f64; STAGES] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0];
/// What each stage takes of those before.
pub const MIX: [[f64; 5]; STAGES] = [
    [0.0; 5],
    [0.2, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0],
    [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0, 0.0],
    [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
];
/// The solution of order 5.
pub const FIFTH: [f64; STAGES] = [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0];
/// What it differs by from that of order 4, which takes the next step's first stage as well.
pub const ERROR: [f64; STAGES + 1] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// A step of all lanes: where it starts, and how long it is; 0 of a lane that stays.
pub struct Step {
    pub x: Vec<f64>,
    pub t: Vec<f64>,
    pub h: Vec<f64>,
}

/// The stages of a step.
#[derive(Default)]
pub struct Stages {
    pub traces: [Trace; STAGES],
    pub slopes: [Vec<f64>; STAGES],
    pub divergences: [Vec<f64>; STAGES],
}

/// to += factor · h · from, with the h of each lane.
pub fn add(factor: f64, h: &[f64], from: &[f64], to: &mut [f64]) {
    for (to, from) in to.chunks_exact_mut(h.len()).zip(from.chunks_exact(h.len())) {
        to.iter_mut().zip(from).zip(h).for_each(|((to, from), h)| *to += factor * h * from);
    }
}
