//! Two concentric rings.

use super::mixture::log_sum_exp;
use super::settings::fieldless;
use super::{Pointwise, Sampler};
use crate::seed::{normal_pair, open_unit};
use rand::RngCore;
use std::f64::consts::{PI, TAU};

/// log γ(x) = ln(e^{−32(r−1)²} + e^{−32(r−2)²}) with r = ‖x‖; log Z = ln(6π √(π/32)) but for e⁻³².
#[derive(Debug, Clone, Copy)]
pub struct Rings;

const RADII: [f64; 2] = [1.0, 2.0];
const SHARPNESS: f64 = 32.0;

fieldless! {
    RingsSettings = "Rings", "holes that a smooth map of the plane can only approach", Rings;
}

impl Pointwise for Rings {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let radius = x[0].hypot(x[1]);
        let mut terms = RADII.map(|centre| -SHARPNESS * (radius - centre).powi(2));
        let value = log_sum_exp(&mut terms);
        if let Some(gradient) = gradient {
            // `terms` now holds the shares of the two rings.
            let slope: f64 =
                terms.iter().zip(RADII).map(|(share, centre)| -2.0 * SHARPNESS * (radius - centre) * share).sum();
            // At the origin there is no direction outward.
            let outward = if radius > 0.0 { slope / radius } else { 0.0 };
            gradient[0] = outward * x[0];
            gradient[1] = outward * x[1];
        }
        value
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some((TAU * (RADII[0] + RADII[1]) * (PI / SHARPNESS).sqrt()).ln())
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Rings {
    /// The radius has density ∝ r (e^{−32(r−1)²} + e^{−32(r−2)²}): proposed from either ring's normal and accepted in
    /// proportion to r.
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        let deviation = (0.5 / SHARPNESS).sqrt();
        let largest = RADII[1] + 10.0 * deviation;
        loop {
            let centre = if open_unit(rng) < 0.5 { RADII[0] } else { RADII[1] };
            let radius = centre + deviation * normal_pair(rng)[0];
            if open_unit(rng) * largest < radius {
                let (sin, cos) = (TAU * open_unit(rng)).sin_cos();
                point[0] = radius * cos;
                point[1] = radius * sin;
                return;
            }
        }
    }
}
