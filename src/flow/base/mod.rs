//! The density that a flow carries through its bijections: what it is, how it is drawn from, and the slopes by which it learns.

mod beside;
mod config;
mod fit;
mod limited;
mod mixture;
mod normal;
mod settings;
mod strata;
mod student_t;
mod taped;
mod uniform;
mod von_mises;

pub(crate) use beside::fresh_noise;
use beside::Beside;
pub use config::BaseConfig;
pub use limited::Limited;
pub use mixture::{Mixture, MixtureBase};
pub use normal::{Normal, NormalBase};
pub use settings::BaseSettings;
pub use strata::Strata;
pub use student_t::{StudentT, StudentTBase};
pub(super) use taped::LearnedBase;
pub use uniform::{CircleBase, IntervalBase, Uniform};
pub use von_mises::{VonMises, VonMisesBase};

use std::fmt::Debug;

/// A normalised density on R^dim with the parameters that it was built from, on plain `f64` slices.
///
/// A draw z is a function of a fixed number of standard normals, so that streams stay addressable by row, and its derivative by the
/// parameters at fixed normals is the reparameterised gradient (Kingma and Welling 2014). Parameters are in tensors, which are those of
/// [`BaseSettings::tensors`] in their order.
pub trait Base: Debug + Send + Sync {
    /// The number of coordinates.
    fn dim(&self) -> usize;

    /// The number of standard normals that one draw takes.
    fn noise_width(&self) -> usize {
        self.dim()
    }

    /// Whether it has a density at every z, which angles and intervals have not.
    fn is_everywhere(&self) -> bool {
        true
    }

    /// Fills `z` with the draw that belongs to `noise`.
    fn push(&self, noise: &[f64], z: &mut [f64]);

    /// The log density at `z`.
    fn log_prob(&self, z: &[f64]) -> f64;

    /// Fills `score` with the gradient of [`Base::log_prob`] by `z`.
    fn score(&self, z: &[f64], score: &mut [f64]);

    /// Fills ∂z_j/∂θ of the draw that belongs to `noise`, for the one value θ of tensor number `tensor` on which coordinate j depends,
    /// and the place of that value in the tensor.
    fn push_slopes(&self, _tensor: usize, _noise: &[f64], _places: &mut [usize], _slopes: &mut [f64]) {}

    /// Fills the derivatives of [`Base::log_prob`] at `z` by all parameters, tensor after tensor.
    fn log_prob_slopes(&self, _z: &[f64], _slopes: &mut [f64]) {}

    /// How a batch of `rows` is divided where draws depend on a choice without a derivative; none where there is no such choice.
    fn strata(&self, _rows: usize) -> Option<Strata> {
        None
    }
}
