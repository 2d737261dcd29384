//! Two half-moons facing each other: the smallest test of whether a fit has kept both modes.

use super::settings::fieldless;
use super::{Pointwise, Sampler};
use crate::seed::{normal_pair, open_unit};
use rand::RngCore;
use std::f64::consts::TAU;

/// log γ(x) = −½ ((‖x‖ − 2)/t)² + ln(e^{−½((x₁−2)/w)²} + e^{−½((x₁+2)/w)²}) with thickness t and width w.
#[derive(Debug, Clone, Copy)]
pub struct Moons {
    thickness: f64,
    width: f64,
    log_normalizer: f64,
}

const RADIUS: f64 = 2.0;

impl Moons {
    /// t = 0.2, w = 0.3: two well separated moons (as in the package normflows; Stimper et al. 2023).
    pub fn separated() -> Self {
        // By quadrature, as below; `tests/target.rs` repeats both.
        Self { thickness: 0.2, width: 0.3, log_normalizer: 0.804_214_448_632 }
    }

    /// t = 0.4, w = 0.6: the energy U1 of Rezende and Mohamed (2015), whose moons touch.
    pub fn u1() -> Self {
        Self { thickness: 0.4, width: 0.6, log_normalizer: 1.877_501_626_110 }
    }
}

fieldless! {
    TwoMoonsSettings = "TwoMoons", "two separated modes (after Rezende and Mohamed 2015)", Moons::separated();
    EnergyU1Settings = "EnergyU1", "two modes that touch (Rezende and Mohamed 2015)", Moons::u1();
}

impl Pointwise for Moons {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let variance = self.width * self.width;
        let radius = x[0].hypot(x[1]);
        let ring = (radius - RADIUS) / self.thickness;
        // The nearer moon's exponent, plus the log of one and the ratio of the two.
        let near = -0.5 * ((x[0].abs() - RADIUS) / self.width).powi(2);
        let log_ratio = -2.0 * x[0].abs() * RADIUS / variance;
        if let Some(gradient) = gradient {
            // d/dx₁ of the log-sum is −(x₁ − 2·tanh(2x₁/w²))/w².
            let pull = -(x[0] - RADIUS * (RADIUS * x[0] / variance).tanh()) / variance;
            // At the origin the ring has no direction.
            let outward = if radius > 0.0 { -ring / (self.thickness * radius) } else { 0.0 };
            gradient[0] = outward * x[0] + pull;
            gradient[1] = outward * x[1];
        }
        -0.5 * ring * ring + near + log_ratio.exp().ln_1p()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(self.log_normalizer)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Moons {
    /// Joint rejection in polar form, where the density is r e^{−½((r−2)/t)²} (e^{−½((x₁−2)/w)²} + e^{−½((x₁+2)/w)²}) with
    /// x₁ = r cos θ: r is proposed from N(2, t²) and θ uniformly. What is left is bounded by the largest r times the moons' sum, of
    /// which the nearer is at most 1 and the farther, two or more from its centre, at most e^{−½(2/w)²}.
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        // Ten standard deviations beyond the ring, where no normal of Box and Muller's from 53-bit numbers comes: 8.7 is its most.
        let largest = RADIUS + 10.0 * self.thickness;
        let moon = |distance: f64| (-0.5 * (distance / self.width).powi(2)).exp();
        let bound = largest * (1.0 + moon(RADIUS));
        loop {
            let radius = RADIUS + self.thickness * normal_pair(rng)[0];
            let angle = TAU * open_unit(rng);
            let x = radius * angle.cos();
            // A negative radius has a negative weight and is never taken.
            if open_unit(rng) * bound < radius * (moon(x - RADIUS) + moon(x + RADIUS)) {
                point[0] = x;
                point[1] = radius * angle.sin();
                return;
            }
        }
    }
}
