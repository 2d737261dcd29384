//! Unnormalized log densities with gradients, batched, on plain `f64` slices: what a student is trained against.

mod banana;
mod constraint;
mod counted;
mod eight_schools;
mod exploration;
mod funnel;
mod gaussian;
mod given;
mod improper;
mod laplace;
mod lattice;
mod logistic;
mod many_well;
mod mixture;
mod mode;
mod moons;
mod pieces;
mod pointwise;
mod regression;
mod ridges;
mod rings;
mod settings;
mod student_t;
mod support;
mod survey;
mod within;

pub use banana::{Banana, BananaSettings};
pub use constraint::Constraint;
pub use counted::{Counted, Evaluations, Lent};
pub use eight_schools::{EightSchools, EightSchoolsSettings};
pub use funnel::{Funnel, FunnelSettings};
pub use gaussian::{Gaussian, GaussianSettings, NormalSettings};
pub use given::At;
pub use improper::improper;
pub use laplace::{laplace, Laplace};
pub use lattice::{Lattice, LatticeSettings};
pub use many_well::{ManyWell, ManyWellSettings};
pub use mixture::{FortyModesSettings, Mixture, MixtureSettings, NineModesSettings, TwoModesSettings};
pub use mode::{climb, Mode};
pub use moons::{EnergyU1Settings, Moons, TwoMoonsSettings};
pub use pieces::evaluate_in_pieces;
pub use pointwise::Pointwise;
pub use regression::{LinearRegression, LinearRegressionSettings, LogisticRegression, LogisticRegressionSettings};
pub use ridges::{EnergyU2Settings, EnergyU3Settings, EnergyU4Settings, Ridges, RosenbrockSettings};
pub use rings::{Rings, RingsSettings};
pub use settings::TargetSettings;
pub use student_t::{StudentT, StudentTSettings};
pub use support::{Parameter, Support};
pub use survey::{survey, survey_around, Approximation, Survey};
pub use within::Within;

use rand::RngCore;

/// An unnormalized log density log γ(x) on R^dim.
///
/// Only [`Density::dim`] and [`Density::evaluate`] must be written; the rest says what else is known.
pub trait Density: Send + Sync {
    /// The number of coordinates of a point.
    fn dim(&self) -> usize;

    /// Fills `values[r]` with log γ of row `r` of `points` (row-major, `values.len()` × [`Density::dim`]) and, when asked,
    /// `gradients` (same layout as `points`) with ∇ log γ.
    ///
    /// A point of density zero has the value −∞. A row that cannot be evaluated is named in `faults`; it keeps its place
    /// in every average with weight zero. An error ends the run.
    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal>;

    /// How many of the coordinates, the first ones, are given: the density is one of the others, for every value of these.
    fn given(&self) -> usize {
        0
    }

    /// Rows that are best evaluated in one call; must not depend on the number of threads.
    fn piece(&self) -> usize {
        pieces::PIECE
    }

    /// The names of the coordinates.
    fn names(&self) -> Vec<String> {
        (1..=self.dim()).map(|i| format!("x{i}")).collect()
    }

    /// What is known, without this density, of the way from its coordinates to the user's values. Model files keep it.
    fn constraint(&self) -> Constraint {
        Constraint::Identity
    }

    /// The names of the user's values.
    fn constrained_names(&self) -> Vec<String> {
        self.constraint().value_names().unwrap_or_else(|| self.names())
    }

    /// Fills `values` (as many as [`Density::constrained_names`]) with the user's values at `point`.
    fn constrain(&self, point: &[f64], values: &mut [f64]) -> Result<(), Fatal> {
        self.constraint().constrain(point, values);
        Ok(())
    }

    /// log ∫ γ, where it is known.
    fn log_normalizer(&self) -> Option<f64> {
        None
    }

    /// Exact independent draws, where there is a way to make them.
    fn sampler(&self) -> Option<&dyn Sampler> {
        None
    }
}

/// What a density in the field of this name knows besides its values, for one that only watches over it.
macro_rules! as_of {
    ($density:ident) => {
        fn piece(&self) -> usize {
            self.$density.piece()
        }

        fn given(&self) -> usize {
            self.$density.given()
        }

        fn names(&self) -> Vec<String> {
            self.$density.names()
        }

        fn constraint(&self) -> $crate::target::Constraint {
            self.$density.constraint()
        }

        fn constrained_names(&self) -> Vec<String> {
            self.$density.constrained_names()
        }

        fn constrain(&self, point: &[f64], values: &mut [f64]) -> Result<(), $crate::target::Fatal> {
            self.$density.constrain(point, values)
        }

        fn log_normalizer(&self) -> Option<f64> {
            self.$density.log_normalizer()
        }

        fn sampler(&self) -> Option<&dyn $crate::target::Sampler> {
            self.$density.sampler()
        }
    };
}
pub(crate) use as_of;

/// Exact independent draws from a density.
pub trait Sampler: Send + Sync {
    /// Overwrites `point` with one draw, using as many random numbers as it takes.
    fn draw(&self, rng: &mut dyn RngCore, point: &mut [f64]);
}

/// The rows of one call that could not be evaluated, and why the first of them failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    rows: Vec<usize>,
    reason: Option<String>,
}

impl Faults {
    /// Names `row` (counted from the start of the call) as failed.
    pub fn mark(&mut self, row: usize, reason: impl Into<String>) {
        self.rows.push(row);
        self.reason.get_or_insert_with(|| reason.into());
    }

    /// The failed rows.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Why the first of them failed.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Takes over the faults of a part that began at row `offset`.
    pub fn absorb(&mut self, part: Faults, offset: usize) {
        self.rows.extend(part.rows.into_iter().map(|row| row + offset));
        if self.reason.is_none() {
            self.reason = part.reason;
        }
    }
}

/// A failure after which there is no sense in going on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);
