//! The φ⁴ field on a two-dimensional periodic lattice.

use super::{Density, Pointwise, TargetSettings};
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};
use std::path::Path;

/// log γ(φ) = −Σ_sites [−2κ φ Σ_{μ=1,2} φ(x+μ) + φ² + λ(φ² − 1)²] on an L × L torus, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Lattice {
    side: usize,
    hopping: f64,
    coupling: f64,
}

impl Lattice {
    /// With side L, hopping parameter κ and coupling λ.
    ///
    /// # Errors
    /// If L is below 2 or beyond 256, a parameter is not finite, λ is negative, or λ = 0 and |κ| ≥ ¼ (no density then).
    pub fn new(side: usize, hopping: f64, coupling: f64) -> Result<Self, String> {
        if !(2..=256).contains(&side) {
            return Err(format!("side is {side}; 2 to 256 is right"));
        }
        if !hopping.is_finite() || !coupling.is_finite() || coupling < 0.0 {
            return Err(format!(
                "kappa is {hopping} and lambda {coupling}; finite numbers, lambda not negative, are right"
            ));
        }
        if coupling == 0.0 && hopping.abs() >= 0.25 {
            return Err(format!("kappa is {hopping}; without lambda a value between -0.25 and 0.25 is right"));
        }
        Ok(Self { side, hopping, coupling })
    }
}

/// What is written for `Lattice`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Lattice", deny_unknown_fields)]
pub struct LatticeSettings {
    /// The side L; there are L² coordinates.
    #[serde(default = "eight")]
    pub side: usize,
    /// The hopping parameter κ.
    #[serde(default = "fifth")]
    pub kappa: f64,
    /// The coupling λ.
    #[serde(default = "half")]
    pub lambda: f64,
}

fn eight() -> usize {
    8
}

fn fifth() -> f64 {
    0.2
}

fn half() -> f64 {
    0.5
}

impl TargetSettings for LatticeSettings {
    const EXAMPLE: &'static str = "Lattice(side: 8, kappa: 0.2, lambda: 0.5)";
    const ABOUT: &'static str = "the φ⁴ field on a torus";

    fn build(&self, _: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(Lattice::new(self.side, self.kappa, self.lambda)?))
    }
}

impl Pointwise for Lattice {
    fn dim(&self) -> usize {
        self.side * self.side
    }

    fn log_density(&self, x: &[f64], mut gradient: Option<&mut [f64]>) -> f64 {
        let l = self.side;
        let mut value = 0.0;
        for row in 0..l {
            for column in 0..l {
                let at = |r: usize, c: usize| x[(r % l) * l + c % l];
                let field = at(row, column);
                let (right, below) = (at(row, column + 1), at(row + 1, column));
                let well = field * field - 1.0;
                value -= -2.0 * self.hopping * field * (right + below) + field * field + self.coupling * well * well;
                if let Some(gradient) = gradient.as_deref_mut() {
                    let neighbours = right + below + at(row, column + l - 1) + at(row + l - 1, column);
                    gradient[row * l + column] =
                        2.0 * self.hopping * neighbours - 2.0 * field - 4.0 * self.coupling * well * field;
                }
            }
        }
        value
    }

    fn names(&self) -> Vec<String> {
        (0..Pointwise::dim(self)).map(|site| format!("phi_{}_{}", site / self.side + 1, site % self.side + 1)).collect()
    }

    /// For λ = 0: ½L² ln π − ½ Σ_k ln(1 − 2κ(cos k₁ + cos k₂)) over the momenta of the torus.
    fn log_normalizer(&self) -> Option<f64> {
        (self.coupling == 0.0).then(|| {
            let cosine = |k: usize| (TAU * k as f64 / self.side as f64).cos();
            let modes = (0..self.side).flat_map(|k1| (0..self.side).map(move |k2| cosine(k1) + cosine(k2)));
            let log_det: f64 = modes.map(|sum| (1.0 - 2.0 * self.hopping * sum).ln()).sum();
            0.5 * Pointwise::dim(self) as f64 * PI.ln() - 0.5 * log_det
        })
    }
}
