//! Passes of maps of one variable that are compiled once for each type of numbers: generic code is compiled anew in every crate that uses it, and there
//! is much of it in kernels.

/// The passes of a map on lanes of numbers `E`; see [`super::transform::Transform`] for what they do.
pub trait Passes<E> {
    /// [`super::transform::Transform::forward_lanes`].
    fn forward(&self, stride: usize, x: &mut [E], parameters: &[E], log_det: &mut [f64], keep: Option<&mut [E]>);

    /// [`super::transform::Transform::backward_lanes`], of points and what has been kept.
    fn backward(&self, stride: usize, x: (&[E], &[E]), d_y: &mut [E], d_log_det: &[E], d_parameters: &mut [E]);

    /// [`super::transform::Transform::adjoint_lanes`], of points and what has been kept.
    fn adjoint(&self, stride: usize, x: (&[E], &[E]), d_x: &mut [E], d_log_det: &[E], d_parameters: &mut [E]);

    /// [`super::transform::Transform::inverse_lanes`].
    fn inverse(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]);
}

/// What has passes of both types of numbers.
pub trait Compiled: Passes<f32> + Passes<f64> {}

impl<P: Passes<f32> + Passes<f64>> Compiled for P {}

/// A type of numbers for which passes are compiled.
pub trait Compilable: Sized {
    /// The passes for this type.
    fn passes(of: &dyn Compiled) -> &dyn Passes<Self>;
}

impl Compilable for f32 {
    fn passes(of: &dyn Compiled) -> &dyn Passes<f32> {
        of
    }
}

impl Compilable for f64 {
    fn passes(of: &dyn Compiled) -> &dyn Passes<f64> {
        of
    }
}
