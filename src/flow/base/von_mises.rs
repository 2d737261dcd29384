//! The von Mises base: independent angles around 0.

use super::settings::BaseSettings;
use super::Base;
use crate::seed::Stream;
use crate::transformer::Domain;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, SQRT_2, TAU};
use std::sync::Arc;

/// p(z) = e^{κ cos z} / (2π I₀(κ)) in each coordinate (von Mises 1918; Mardia and Jupp 2000, section 3.5.4). What is learned are raw = ln κ.
///
/// A draw is the quantile of z that belongs to a standard normal's, by Newton's method on the Fourier series of the distribution function,
/// F(z) = ½ + z/2π + Σ_j r_j sin(j z) / (π j) with r_j = I_j(κ) / I₀(κ).
#[derive(Debug, Clone)]
pub struct VonMises {
    angles: Vec<Angle>,
}

#[derive(Debug, Clone)]
struct Angle {
    concentration: f64,
    /// ∂κ/∂raw.
    slope: f64,
    log_normaliser: f64,
    /// r_j and its derivative by κ, from j = 1 on.
    ratios: Vec<[f64; 2]>,
}

/// The range of ln κ: beyond the first it is as good as uniform, beyond the second as a normal.
const RANGE: (f64, f64) = (-9.0, 6.0);

impl VonMises {
    /// From the raw values of all coordinates.
    pub fn new(raw: &[f64]) -> Self {
        Self { angles: raw.iter().map(|&raw| Angle::new(raw)).collect() }
    }
}

impl Angle {
    fn new(raw: f64) -> Self {
        let log = raw.clamp(RANGE.0, RANGE.1);
        let concentration = log.exp();
        let slope = if log == raw { concentration } else { 0.0 };
        // Ratios of Bessel functions by their recurrence from above, which is stable that way (Amos 1974).
        let terms = 12 + (9.0 * concentration.sqrt()) as usize;
        let mut step = vec![0.0; terms + 2];
        for j in (1..=terms).rev() {
            step[j] = 1.0 / (2.0 * j as f64 / concentration + step[j + 1]);
        }
        let mut all = vec![1.0];
        (1..=terms).for_each(|j| all.push(all[j - 1] * step[j]));
        let ratio = |j: usize| all.get(j).copied().unwrap_or(0.0);
        let ratios = (1..=terms).map(|j| [ratio(j), 0.5 * (ratio(j - 1) + ratio(j + 1)) - ratio(j) * ratio(1)]);
        // e^κ = I₀ + 2 Σ I_j.
        let log_normaliser = concentration - (1.0 + 2.0 * all[1..].iter().sum::<f64>()).ln() + TAU.ln();
        Self { concentration, slope, log_normaliser, ratios: ratios.collect() }
    }

    /// Σ r_j sin(j z) / (π j), of the ratios themselves or of their derivatives.
    fn series(&self, z: f64, part: usize) -> f64 {
        let (sine, cosine) = z.sin_cos();
        let (mut before, mut here, mut sum) = (0.0, sine, 0.0);
        for (j, ratio) in self.ratios.iter().enumerate() {
            sum += ratio[part] * here / (j + 1) as f64;
            (before, here) = (here, 2.0 * cosine * here - before);
        }
        sum / PI
    }

    fn density(&self, z: f64) -> f64 {
        (self.concentration * z.cos() - self.log_normaliser).exp()
    }

    /// The angle z in [−π, π] of which ∫₀^z p = `part`, from −½ to ½.
    fn quantile(&self, part: f64) -> f64 {
        let (mut low, mut high) = if part < 0.0 { (-PI, 0.0) } else { (0.0, PI) };
        let mut z = 0.5 * (low + high);
        for _ in 0..100 {
            let gap = z / TAU + self.series(z, 0) - part;
            if gap > 0.0 {
                high = z;
            } else {
                low = z;
            }
            let newton = z - gap / self.density(z);
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - z).abs() <= 1e-15 * z.abs() || high - low <= 1e-15 {
                return next;
            }
            z = next;
        }
        z
    }
}

/// What is written for independent von Mises angles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "VonMises", deny_unknown_fields, default)]
pub struct VonMisesBase {
    /// The concentration at the start.
    pub concentration: f64,
}

impl Default for VonMisesBase {
    fn default() -> Self {
        Self { concentration: 1.0 }
    }
}

impl VonMisesBase {
    /// The base as it is written, every field shown with its default.
    pub const EXAMPLE: &'static str = "VonMises(concentration: 1.0)";
}

impl BaseSettings for VonMisesBase {
    fn fault(&self) -> Option<String> {
        (!(1e-3..=400.0).contains(&self.concentration))
            .then(|| format!("concentration is {}; 0.001 to 400 is right", self.concentration))
    }

    fn domain(&self) -> Domain {
        Domain::Circle
    }

    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        vec![("log_concentration", dim)]
    }

    fn start(&self, dim: usize, _: &Stream) -> Vec<Vec<f64>> {
        vec![vec![self.concentration.ln(); dim]]
    }

    fn build(&self, _: usize, tensors: &[Vec<f64>]) -> Arc<dyn Base> {
        Arc::new(VonMises::new(&tensors[0]))
    }
}

impl Base for VonMises {
    fn dim(&self) -> usize {
        self.angles.len()
    }

    fn is_everywhere(&self) -> bool {
        false
    }

    fn push(&self, noise: &[f64], z: &mut [f64]) {
        for ((z, n), angle) in z.iter_mut().zip(noise).zip(&self.angles) {
            *z = angle.quantile(0.5 * libm::erf(n / SQRT_2));
        }
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        z.iter().zip(&self.angles).map(|(z, angle)| angle.concentration * z.cos() - angle.log_normaliser).sum()
    }

    fn score(&self, z: &[f64], score: &mut [f64]) {
        for ((score, z), angle) in score.iter_mut().zip(z).zip(&self.angles) {
            *score = -angle.concentration * z.sin();
        }
    }

    fn push_slopes(&self, _tensor: usize, noise: &[f64], places: &mut [usize], slopes: &mut [f64]) {
        let rows = slopes.iter_mut().zip(noise).zip(&self.angles);
        for ((j, place), ((slope, n), angle)) in places.iter_mut().enumerate().zip(rows) {
            let z = angle.quantile(0.5 * libm::erf(n / SQRT_2));
            (*place, *slope) = (j, -angle.slope * angle.series(z, 1) / angle.density(z));
        }
    }

    fn log_prob_slopes(&self, z: &[f64], slopes: &mut [f64]) {
        for ((slope, z), angle) in slopes.iter_mut().zip(z).zip(&self.angles) {
            *slope = angle.slope * (z.cos() - angle.ratios[0][0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_density_and_slopes_are_derivatives() {
        for raw in [-6.0, -1.0, 0.7, 3.0, 5.9] {
            let base = VonMises::new(&[raw]);
            let steps = 20_000;
            let cells = (0..steps).map(|k| -PI + TAU * (f64::from(k) + 0.5) / f64::from(steps));
            let total: f64 = cells.map(|z| base.log_prob(&[z]).exp()).sum::<f64>() * TAU / f64::from(steps);
            assert!((total - 1.0).abs() < 1e-9, "{raw}: {total}");
            for noise in [-3.0, -0.7, 0.0, 1e-3, 2.5] {
                let draw = |raw: f64, noise: f64| {
                    let mut z = [0.0];
                    VonMises::new(&[raw]).push(&[noise], &mut z);
                    z[0]
                };
                // p(z) dz = φ(n) dn.
                let (z, h) = (draw(raw, noise), 1e-5);
                let slope = (draw(raw, noise + h) - draw(raw, noise - h)) / (2.0 * h);
                let normal = (-0.5 * noise * noise).exp() / TAU.sqrt();
                assert!((base.log_prob(&[z]).exp() * slope / normal - 1.0).abs() < 1e-5, "{raw}, {noise}");
                let (mut place, mut by_raw) = ([0], [0.0]);
                base.push_slopes(0, &[noise], &mut place, &mut by_raw);
                let numeric = (draw(raw + h, noise) - draw(raw - h, noise)) / (2.0 * h);
                assert!((by_raw[0] - numeric).abs() < 1e-6 * (1.0 + numeric.abs()), "{raw}, {noise}");
                base.log_prob_slopes(&[z], &mut by_raw);
                let at = |raw: f64| VonMises::new(&[raw]).log_prob(&[z]);
                let numeric = (at(raw + h) - at(raw - h)) / (2.0 * h);
                assert!((by_raw[0] - numeric).abs() < 1e-6 * (1.0 + numeric.abs()), "{raw}, {noise}");
            }
        }
    }
}
