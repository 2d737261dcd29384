//! The eight-schools posterior: a small hierarchical model that is a standard test of samplers.

use super::settings::fieldless;
use super::Pointwise;
use std::f64::consts::{PI, TAU};

/// μ ~ N(0, 5²), τ ~ half-Cauchy(0, 5), θ̃ᵢ ~ N(0, 1), yᵢ ~ N(μ + τ θ̃ᵢ, σᵢ²) (Rubin 1981; the non-centred form of Betancourt and
/// Girolami 2015), in the coordinates (μ, ln τ, θ̃₁ .. θ̃₈), with the Jacobian of ln τ and all constants kept.
#[derive(Debug, Clone, Copy)]
pub struct EightSchools;

/// The estimated effects of coaching, in points, and their standard errors.
const EFFECTS: [f64; 8] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
const ERRORS: [f64; 8] = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
const SCHOOLS: usize = 8;
const MEAN_SCALE: f64 = 5.0;
const SPREAD_SCALE: f64 = 5.0;

/// By quadrature over τ with μ and θ̃ integrated out (`tests/target.rs` repeats it).
const LOG_EVIDENCE: f64 = -31.311_347_352_29;

fieldless! {
    EightSchoolsSettings = "EightSchools", "a hierarchical posterior, non-centred (Rubin 1981)", EightSchools;
}

impl Pointwise for EightSchools {
    fn dim(&self) -> usize {
        2 + SCHOOLS
    }

    fn log_density(&self, x: &[f64], mut gradient: Option<&mut [f64]>) -> f64 {
        let constant =
            -0.5 * (1 + 2 * SCHOOLS) as f64 * TAU.ln() - MEAN_SCALE.ln() - ERRORS.map(f64::ln).iter().sum::<f64>()
                + (2.0 / (PI * SPREAD_SCALE)).ln();
        let (mean, log_spread, spread) = (x[0], x[1], x[1].exp());
        // ln τ − ln(1 + (τ/5)²), written so that neither end overflows.
        let twice = 2.0 * (log_spread - SPREAD_SCALE.ln());
        let log_one_plus = twice.max(0.0) + (-twice.abs()).exp().ln_1p();
        let mut value = constant - 0.5 * (mean / MEAN_SCALE).powi(2) + log_spread - log_one_plus;
        if let Some(gradient) = gradient.as_deref_mut() {
            gradient[0] = -mean / (MEAN_SCALE * MEAN_SCALE);
            gradient[1] = 1.0 - 2.0 / (1.0 + (-twice).exp());
        }
        for (i, (effect, error)) in EFFECTS.iter().zip(ERRORS).enumerate() {
            let offset = x[2 + i];
            let residual = (effect - mean - spread * offset) / error;
            value -= 0.5 * offset * offset + 0.5 * residual * residual;
            if let Some(gradient) = gradient.as_deref_mut() {
                let pull = residual / error;
                gradient[0] += pull;
                gradient[1] += pull * spread * offset;
                gradient[2 + i] = -offset + pull * spread;
            }
        }
        // Where the spread overflows this is −∞ or NaN, which [`Pointwise`] takes for density zero.
        value
    }

    fn names(&self) -> Vec<String> {
        let fixed = ["mu".to_string(), "log_tau".to_string()];
        fixed.into_iter().chain((1..=SCHOOLS).map(|i| format!("theta_tilde{i}"))).collect()
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(LOG_EVIDENCE)
    }
}
