//! What a masked autoregressive map does to each variable: a monotone scalar map, on lanes and on tape.

use super::real::Real;
use super::{Kernels, Mapped, Points};
use crate::error::Result;
use dfdx::prelude::Tape;

/// A monotone scalar map y = τ(x; θ). On slices, variables and their parameters are unit-major: `stride` lanes to each.
pub trait Transform: Copy + Send + Sync + 'static {
    /// The inputs that a network sees of one variable: itself, or cosine and sine where it is an angle.
    fn inputs(&self) -> usize {
        1
    }

    /// The number of parameters θ of one variable.
    fn per_variable(&self) -> usize;

    /// The number of values of one variable that the forward pass keeps for the backward pass.
    fn kept(&self) -> usize;

    /// Maps the variables in `x` in place and adds log |∂y/∂x| to `log_det`.
    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    );

    /// Turns the gradient of y in place into the gradient of x (with θ held fixed), and fills that of θ.
    #[allow(clippy::too_many_arguments)]
    fn backward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_y: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    );

    /// [`Transform::backward_lanes`] solved for the gradient of y: turns the gradient of x (θ held fixed) in place into that of y, and fills
    /// that of θ. With d_x = d_y · τ'(x) + d_log_det · ∂ log τ'/∂x.
    #[allow(clippy::too_many_arguments)]
    fn adjoint_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_x: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    );

    /// Solves y = τ(x; θ) in place and adds log |∂x/∂y| to `log_det`.
    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]);

    /// The images of the variables `x` (rows × variables) and the log-dets of the rows, on tape, composed from the tensor library's ops.
    ///
    /// # Errors
    /// If the tensor library fails.
    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>>;
}
