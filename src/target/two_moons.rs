//! Two half-moons facing each other: the smallest test of whether a fit has kept both modes.

use super::{each_row, Density, Fatal, Faults, Sampler};
use crate::seed::open_unit;
use rand::RngCore;
use std::f64::consts::TAU;

/// log γ(x) = −½ ((‖x‖ − 2)/0.2)² + ln(e^{−½((x₁−2)/0.3)²} + e^{−½((x₁+2)/0.3)²}), after the first energy of Rezende and Mohamed
/// (2015) with narrower moons.
#[derive(Debug, Clone, Copy)]
pub struct TwoMoons;

const RADIUS: f64 = 2.0;
const THICKNESS: f64 = 0.2;
const WIDTH: f64 = 0.3;

/// By quadrature in polar coordinates (`tests/target.rs` repeats it).
const LOG_NORMALIZER: f64 = 0.804_214_448_632;

impl Density for TwoMoons {
    fn dim(&self) -> usize {
        2
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        each_row(2, points, values, gradients, faults, |x, gradient| {
            let radius = x[0].hypot(x[1]);
            let ring = (radius - RADIUS) / THICKNESS;
            // The nearer moon's exponent, plus the log of one and the ratio of the two.
            let near = -0.5 * ((x[0].abs() - RADIUS) / WIDTH).powi(2);
            let log_ratio = -2.0 * x[0].abs() * RADIUS / (WIDTH * WIDTH);
            if let Some(gradient) = gradient {
                // d/dx₁ of the log-sum is −(x₁ − 2·tanh(2x₁/0.3²))/0.3².
                let pull = -(x[0] - RADIUS * (RADIUS * x[0] / (WIDTH * WIDTH)).tanh()) / (WIDTH * WIDTH);
                // At the origin the ring has no direction; the density there is e⁻⁵⁰.
                let outward = if radius > 0.0 { -ring / (THICKNESS * radius) } else { 0.0 };
                gradient[0] = outward * x[0] + pull;
                gradient[1] = outward * x[1];
            }
            -0.5 * ring * ring + near + log_ratio.exp().ln_1p()
        });
        Ok(())
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(LOG_NORMALIZER)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for TwoMoons {
    /// Joint rejection in polar form, where the density is r e^{−½((r−2)/0.2)²} (e^{−½((x₁−2)/0.3)²} + e^{−½((x₁+2)/0.3)²}) with
    /// x₁ = r cos θ: r is proposed from N(2, 0.2²) and θ uniformly. What is left has the bound 4 (1 + 10⁻⁹), as r ≤ 4 and, of the
    /// two moons, the nearer is at most 1 and the farther, two or more from its centre, at most e⁻²²·² < 10⁻⁹.
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        // Ten standard deviations beyond the ring, where no normal of Box and Muller's from 53-bit numbers comes: 8.7 is its most.
        const LARGEST: f64 = RADIUS + 10.0 * THICKNESS;
        let mut uniform = rng;
        loop {
            let [z, _] = super::banana::normal_pair(&mut uniform);
            let radius = RADIUS + THICKNESS * z;
            let angle = TAU * open_unit(&mut uniform);
            if radius <= 0.0 || radius > LARGEST {
                continue;
            }
            let x = radius * angle.cos();
            let moons = |centre: f64| (-0.5 * ((x - centre) / WIDTH).powi(2)).exp();
            let weight = radius / LARGEST * (moons(RADIUS) + moons(-RADIUS)) / (1.0 + 1e-9);
            if open_unit(&mut uniform) < weight {
                point[0] = x;
                point[1] = radius * angle.sin();
                return;
            }
        }
    }
}
