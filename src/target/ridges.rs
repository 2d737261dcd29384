//! Curved ridges in the plane: x₂ is normal about curves of x₁.

use super::mixture::log_sum_exp;
use super::settings::fieldless;
use super::{Pointwise, Sampler};
use crate::seed::{normal_pair, open_unit};
use rand::RngCore;
use std::f64::consts::{PI, TAU};

/// log γ(x) = log g(x₁) + ln Σ_k e^{−½((x₂ − c_k(x₁))/s_k)²} with a normal envelope g.
#[derive(Debug, Clone, Copy)]
pub struct Ridges {
    envelope: Envelope,
    /// One or two ridges: curve and standard deviation.
    ridges: &'static [(Curve, f64)],
}

/// −½ ((x₁ − mean)/deviation)².
#[derive(Debug, Clone, Copy)]
struct Envelope {
    mean: f64,
    deviation: f64,
}

/// c(x₁).
#[derive(Debug, Clone, Copy)]
enum Curve {
    /// x₁².
    Square,
    /// sin(2πx₁/4).
    Sine,
    /// sin(2πx₁/4) − 3e^{−½((x₁−1)/0.6)²}.
    SineWithDip,
    /// sin(2πx₁/4) − 3σ((x₁−1)/0.3).
    SineWithStep,
}

impl Curve {
    /// The curve's height and slope.
    fn at(self, x: f64) -> (f64, f64) {
        let (sin, cos) = (0.5 * PI * x).sin_cos();
        let (sine, slope) = (sin, 0.5 * PI * cos);
        match self {
            Curve::Square => (x * x, 2.0 * x),
            Curve::Sine => (sine, slope),
            Curve::SineWithDip => {
                let dip = 3.0 * (-0.5 * ((x - 1.0) / 0.6).powi(2)).exp();
                (sine - dip, slope + dip * (x - 1.0) / 0.36)
            }
            Curve::SineWithStep => {
                let step = 1.0 / (1.0 + (-(x - 1.0) / 0.3).exp());
                (sine - 3.0 * step, slope - 10.0 * step * (1.0 - step))
            }
        }
    }
}

/// e^{−x₁²/8}, without which the energies would not be integrable.
const WIDE: Envelope = Envelope { mean: 0.0, deviation: 2.0 };

impl Ridges {
    /// The energy U2 of Rezende and Mohamed (2015): a sine.
    pub fn u2() -> Self {
        Self { envelope: WIDE, ridges: &[(Curve::Sine, 0.4)] }
    }

    /// Their energy U3: a sine that forks and joins again.
    pub fn u3() -> Self {
        Self { envelope: WIDE, ridges: &[(Curve::Sine, 0.35), (Curve::SineWithDip, 0.35)] }
    }

    /// Their energy U4: a sine that forks for good.
    pub fn u4() -> Self {
        Self { envelope: WIDE, ridges: &[(Curve::Sine, 0.4), (Curve::SineWithStep, 0.35)] }
    }

    /// −(100(x₂ − x₁²)² + (1 − x₁)²)/20: Rosenbrock's function (1960) at temperature 20.
    pub fn rosenbrock() -> Self {
        let envelope = Envelope { mean: 1.0, deviation: 3.162_277_660_168_379_5 };
        Self { envelope, ridges: &[(Curve::Square, 0.316_227_766_016_837_94)] }
    }

    fn total_deviation(&self) -> f64 {
        self.ridges.iter().map(|(_, deviation)| deviation).sum()
    }
}

fieldless! {
    EnergyU2Settings = "EnergyU2", "a wave (Rezende and Mohamed 2015, with an envelope)", Ridges::u2();
    EnergyU3Settings = "EnergyU3", "a wave that forks and joins again (Rezende and Mohamed 2015, with an envelope)", Ridges::u3();
    EnergyU4Settings = "EnergyU4", "a wave that forks (Rezende and Mohamed 2015, with an envelope)", Ridges::u4();
    RosenbrockSettings = "Rosenbrock", "a narrow curved valley (Rosenbrock 1960)", Ridges::rosenbrock();
}

impl Pointwise for Ridges {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let Envelope { mean, deviation } = self.envelope;
        let across = |&(curve, deviation): &(Curve, f64)| {
            let (height, slope) = curve.at(x[0]);
            ((x[1] - height) / deviation, slope, deviation)
        };
        let mut terms = [f64::NEG_INFINITY; 2];
        for (term, ridge) in terms.iter_mut().zip(self.ridges) {
            *term = -0.5 * across(ridge).0.powi(2);
        }
        let value = log_sum_exp(&mut terms) - 0.5 * ((x[0] - mean) / deviation).powi(2);
        if let Some(gradient) = gradient {
            gradient[0] = -(x[0] - mean) / (deviation * deviation);
            gradient[1] = 0.0;
            for (share, ridge) in terms.iter().zip(self.ridges) {
                let (offset, slope, deviation) = across(ridge);
                gradient[0] += share * offset / deviation * slope;
                gradient[1] -= share * offset / deviation;
            }
        }
        value
    }

    /// ln(2π · deviation of the envelope · Σ deviations of the ridges).
    fn log_normalizer(&self) -> Option<f64> {
        Some((TAU * self.envelope.deviation * self.total_deviation()).ln())
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Ridges {
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]) {
        let [along, across] = normal_pair(rng);
        point[0] = self.envelope.mean + self.envelope.deviation * along;
        // Given x₁, ridge k has a mass in proportion to its deviation.
        let mut left = open_unit(rng) * self.total_deviation();
        for &(curve, deviation) in self.ridges {
            point[1] = curve.at(point[0]).0 + deviation * across;
            left -= deviation;
            if left < 0.0 {
                return;
            }
        }
    }
}
