//! The list of all targets that an experiment can name. What each is written with stands beside its density.

use super::expression_spec::ExpressionSpec;
use crate::foreign::{CompiledSettings, ProcessSettings};
use crate::target::{
    BananaSettings, Density, EightSchoolsSettings, EnergyU1Settings, EnergyU2Settings, EnergyU3Settings,
    EnergyU4Settings, FortyModesSettings, FunnelSettings, GaussianSettings, LatticeSettings, LinearRegressionSettings,
    LogisticRegressionSettings, ManyWellSettings, MixtureSettings, NineModesSettings, NormalSettings, RingsSettings,
    RosenbrockSettings, StudentTSettings, TargetSettings, TwoModesSettings, TwoMoonsSettings,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a target says of itself: its example, and what it is in a line.
pub type Entry = (&'static str, &'static str);

/// Writes the enumeration of all targets, each with what it is written with.
macro_rules! targets {
    ($($(#[$doc:meta])* $target:ident($settings:ty),)+) => {
        /// A target density. Paths are relative to the experiment file.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub enum TargetSpec {
            $(
                $(#[$doc])*
                $target(
                    /// What it is written with.
                    $settings,
                ),
            )+
        }

        impl TargetSpec {
            /// All targets, in the order in which they are shown.
            pub const CATALOGUE: &'static [Entry] =
                &[$((<$settings as TargetSettings>::EXAMPLE, <$settings as TargetSettings>::ABOUT),)+];

            /// Builds the density; `folder` is that of the experiment file. Whoever calls this has the permission that
            /// [`TargetSpec::native`] may need.
            ///
            /// # Errors
            /// What is wrong with a parameter or a table.
            pub(super) fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
                match self {
                    $(TargetSpec::$target(settings) => settings.build(folder),)+
                }
            }

            /// What building this loads or starts, none for everything that only this program computes; `folder` is that of the
            /// experiment file.
            pub fn native(&self, folder: &Path) -> Option<String> {
                match self {
                    $(TargetSpec::$target(settings) => settings.native(folder),)+
                }
            }

            /// The files that it names.
            pub fn files(&mut self) -> Vec<&mut PathBuf> {
                match self {
                    $(TargetSpec::$target(settings) => settings.files(),)+
                }
            }
        }
    };
}

targets! {
    /// A normal distribution bent along a parabola.
    Banana(BananaSettings),
    /// Two separated half-moons facing each other.
    TwoMoons(TwoMoonsSettings),
    /// Two half-moons that touch.
    EnergyU1(EnergyU1Settings),
    /// A sine-shaped ridge.
    EnergyU2(EnergyU2Settings),
    /// A ridge that forks and joins again.
    EnergyU3(EnergyU3Settings),
    /// A ridge that forks.
    EnergyU4(EnergyU4Settings),
    /// Two concentric rings.
    Rings(RingsSettings),
    /// Rosenbrock's function at temperature 20.
    Rosenbrock(RosenbrockSettings),
    /// Two round modes at ±(4, 4).
    TwoModes(TwoModesSettings),
    /// Nine round modes on a grid.
    NineModes(NineModesSettings),
    /// Forty round modes at random places.
    FortyModes(FortyModesSettings),
    /// Round normal modes of one's own.
    Mixture(MixtureSettings),
    /// Neal's funnel.
    Funnel(FunnelSettings),
    /// Pairs of coordinates with two wells each.
    ManyWell(ManyWellSettings),
    /// Heavy-tailed coordinates.
    StudentT(StudentTSettings),
    /// The φ⁴ field on a periodic square lattice.
    Lattice(LatticeSettings),
    /// The eight-schools posterior, non-centred.
    EightSchools(EightSchoolsSettings),
    /// A centred normal distribution with log-spaced eigenvalues in a random rotation.
    Gaussian(GaussianSettings),
    /// A normal distribution with a given mean and covariance.
    Normal(NormalSettings),
    /// A density written as text over named parameters and data.
    Expression(ExpressionSpec),
    /// The posterior of a logistic regression on a table.
    LogisticRegression(LogisticRegressionSettings),
    /// The posterior of a linear regression with known noise on a table; its evidence has a closed form.
    LinearRegression(LinearRegressionSettings),
    /// A compiled model with BridgeStan's C interface.
    Compiled(CompiledSettings),
    /// A density that another program evaluates.
    Process(ProcessSettings),
}
