//! The learning rate as a function of the step.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decay {
    /// Not at all.
    Constant,
    /// Along half a cosine to zero at the last step (Loshchilov and Hutter 2017).
    Cosine,
}

/// A learning-rate schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// The largest rate.
    pub peak: f64,
    /// Steps over which the rate rises from zero to the peak in a straight line.
    pub warm_up: u64,
    /// What follows the warm-up.
    pub decay: Decay,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { peak: 1e-3, warm_up: 0, decay: Decay::Cosine }
    }
}

impl Schedule {
    /// The rate of step `step` (from 0) of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Cosine => {
                let done = (step - self.warm_up) as f64 / steps.saturating_sub(self.warm_up).max(1) as f64;
                self.peak * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }

    /// What is wrong with it.
    pub fn fault(&self) -> Option<String> {
        (!(self.peak.is_finite() && self.peak > 0.0 && self.peak <= 10.0))
            .then(|| format!("peak is {}; a number above 0 and at most 10 is right", self.peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_zero() {
        let schedule = Schedule { peak: 1.0, warm_up: 10, decay: Decay::Cosine };
        assert!((schedule.rate(0, 110) - 0.1).abs() < 1e-12);
        assert!((schedule.rate(10, 110) - 1.0).abs() < 1e-12);
        assert!((schedule.rate(60, 110) - 0.5).abs() < 1e-12);
        assert!(schedule.rate(110, 110).abs() < 1e-12);
        assert_eq!(Schedule { decay: Decay::Constant, ..schedule }.rate(100, 110), 1.0);
    }
}
