//! The list of maps by formula. What each is written with stands beside its formula.

use super::planar::PlanarSettings;
use super::radial::RadialSettings;
use super::{Continuous, FormulaSettings, Residual};

/// What is not linear.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A fold along a plane, x + û tanh(w·x + b) (Rezende and Mohamed 2015).
    Planar,
    /// A swelling about a point, x + m α (x − c) / (α + |x − c|) (Rezende and Mohamed 2015).
    Radial,
    /// x + f(x) with a network f that contracts (Behrmann et al. 2019).
    Residual(Residual),
    /// x(1) of dx/dt = f(x, t), x(0) = x, with a network f (Chen et al. 2018).
    Continuous(Continuous),
}

impl Kind {
    /// What it is written with.
    pub fn settings(&self) -> &dyn FormulaSettings {
        match self {
            Kind::Planar => &PlanarSettings,
            Kind::Radial => &RadialSettings,
            Kind::Residual(of) => of,
            Kind::Continuous(of) => of,
        }
    }
}
