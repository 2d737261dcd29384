//! Draws from an unnormalized density by samplers that know nothing of any flow: an independent look at a target, and a teacher's data.

mod base;
mod convergence;
mod hamiltonian;
mod islands;
mod jumps;
#[cfg(feature = "nuts")]
mod nuts;
mod path;
mod resampling;
mod shape;
mod smc;

pub use base::Component;
pub use convergence::{effective_draws, split_r_hat};
pub use islands::{smc, smc_scaled};
#[cfg(feature = "nuts")]
pub use nuts::nuts;
pub use resampling::{next_step, systematic};
pub use shape::Shape;

use serde::{Deserialize, Serialize};

/// How tempered sequential Monte Carlo is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmcSettings {
    /// Independent runs; their spread is the standard error of log Z.
    pub islands: usize,
    /// Particles in each of them.
    pub particles: usize,
    /// Hamiltonian moves at each temperature, at least; up to twelve times as many where particles move slowly.
    pub moves: usize,
    /// The conditional ESS/N that each step of temperature keeps.
    pub keep: f64,
    /// Particles of each of the four pilots that find a base, at most as many as of an island.
    pub pilots: usize,
    /// The scale of the round base (Student-t of four degrees of freedom) around the origin; none finds a base by itself.
    pub scale: Option<f64>,
}

impl Default for SmcSettings {
    fn default() -> Self {
        Self { islands: 8, particles: 1024, moves: 3, keep: 0.9, pilots: 512, scale: None }
    }
}

/// Settings from the cheapest that may do to the most thorough: each takes several times the evaluations of the one before.
pub const EFFORTS: [SmcSettings; 4] = [
    SmcSettings { islands: 4, particles: 256, moves: 1, keep: 0.5, pilots: 32, scale: None },
    SmcSettings { islands: 8, particles: 512, moves: 3, keep: 0.8, pilots: 256, scale: None },
    SmcSettings { islands: 8, particles: 1024, moves: 3, keep: 0.9, pilots: 512, scale: None },
    SmcSettings { islands: 8, particles: 1024, moves: 12, keep: 0.9, pilots: 512, scale: None },
];

impl SmcSettings {
    /// Everything that is wrong with them, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(2..=1024).contains(&self.islands) {
            faults.push(format!("islands is {}; 2 to 1024 is right", self.islands));
        }
        if !(64..=1 << 24).contains(&self.particles) {
            faults.push(format!("particles is {}; 64 to {} is right", self.particles, 1 << 24));
        }
        if !(16..=1 << 24).contains(&self.pilots) {
            faults.push(format!("pilots is {}; 16 to {} is right", self.pilots, 1 << 24));
        }
        if !(1..=1000).contains(&self.moves) {
            faults.push(format!("moves is {}; 1 to 1000 is right", self.moves));
        }
        if !(self.keep > 0.0 && self.keep < 1.0) {
            faults.push(format!("keep is {}; a share above 0 and below 1 is right", self.keep));
        }
        if let Some(scale) = self.scale.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
            faults.push(format!("scale is {scale}; a positive number is right"));
        }
        faults
    }
}

/// How the no-U-turn sampler is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NutsSettings {
    /// Independent chains.
    pub chains: usize,
    /// Steps of each chain that adapt and are thrown away.
    pub warm_up: usize,
    /// Steps of each chain that are kept.
    pub keep: usize,
    /// The standard deviation of the starts around the origin.
    pub spread: f64,
}

impl Default for NutsSettings {
    fn default() -> Self {
        Self { chains: 8, warm_up: 1000, keep: 2500, spread: 2.0 }
    }
}

impl NutsSettings {
    /// Everything that is wrong with them, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(2..=1024).contains(&self.chains) {
            faults.push(format!("chains is {}; 2 to 1024 is right", self.chains));
        }
        if !(100..=10_000_000).contains(&self.warm_up) {
            faults.push(format!("warm_up is {}; 100 to 10000000 is right", self.warm_up));
        }
        if !(100..=10_000_000).contains(&self.keep) {
            faults.push(format!("keep is {}; 100 to 10000000 is right", self.keep));
        }
        if !(self.spread.is_finite() && self.spread > 0.0) {
            faults.push(format!("spread is {}; a positive number is right", self.spread));
        }
        faults
    }
}

/// What a sampler found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Draws of equal weight, row-major.
    #[serde(skip)]
    pub draws: Vec<f64>,
    /// log Z and its standard error, from samplers that know it.
    pub log_z: Option<(f64, f64)>,
    /// How many independent draws these are worth for the worst coordinate, roughly.
    pub effective: f64,
    /// The largest rank-normalised split R̂ of a coordinate over islands or chains; 1 where they agree.
    pub r_hat: f64,
    /// The mean acceptance probability at the end; NaN of a sampler that accepts nothing or all (the no-U-turn sampler).
    pub acceptance: f64,
    /// Steps of temperature (the most of an island); absent where there are none.
    pub temperatures: Option<usize>,
    /// First particles that still have descendants, in the island with the fewest.
    pub ancestors: Option<usize>,
    /// Divergent transitions that were kept.
    pub divergences: Option<usize>,
    /// Evaluations of the density with its gradient.
    pub evaluations: usize,
    /// Evaluations that failed.
    pub failed: usize,
    /// Wall-clock time.
    pub seconds: f64,
    /// Why these draws should not be relied on; empty where nothing speaks against them.
    pub faults: Vec<String>,
    /// Signs that the particles move slowly, which may do no harm.
    pub doubts: Vec<String>,
}

impl Drawn {
    /// Whether nothing speaks against the draws.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.doubts.is_empty()
    }
}
