//! Monotone scalar maps, given their parameters: what a masked layer does to each variable. One file for each formula, with what it is written with.
#![allow(clippy::needless_range_loop, reason = "kernels count lanes and bins through several arrays at a time")]

mod additive;
mod affine;
mod bins;
mod by_formula;
mod leaky;
mod mixture;
mod monotone;
pub mod point;
mod rational;
mod settings;
mod shape;
mod spline;
mod then_affine;

pub use additive::Additive;
pub use affine::{Affine, AffineSettings};
pub use bins::{Bins, Curve, PiecewiseLinearSettings, SinusoidSettings};
pub use by_formula::ByFormula;
pub use leaky::{Leaky, LeakyReluSettings};
pub use mixture::{MixtureCdf, MixtureCdfSettings};
pub use monotone::{MonotoneNet, MonotoneNetSettings};
pub use rational::{CircularSettings, Ends, IntervalSettings, Rational};
pub use settings::{Domain, TransformerSettings};
pub use shape::{Shape, Slopes, MOST};
pub use spline::{Spline, SplineSettings, FLATTEST, MOST_BINS, NARROWEST, SWING};
pub use then_affine::ThenAffine;

use crate::error::Result;
use crate::ops::compiled::Passes;
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points};
use dfdx::prelude::Tape;
use serde::{Deserialize, Serialize};

/// Writes the enumeration of all transformers, each with what it is written with, those without fields first; `$d` is a dollar.
macro_rules! transformers {
    (
        $d:tt
        without fields { $($(#[$of_bare:meta])* $bare:ident,)* }
        with fields { $($(#[$doc:meta])* $name:ident($settings:ty),)+ }
    ) => {
        /// Which monotone map, with its constants.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        pub enum Transformer {
            $($(#[$of_bare])* $bare,)*
            $(
                $(#[$doc])*
                $name(
                    /// What it is written with.
                    $settings,
                ),
            )+
        }

        impl Transformer {
            /// Each as it is written, every field shown with its default.
            pub const CATALOGUE: &'static [&'static str] = &[
                $(<$bare as TransformerSettings>::EXAMPLE,)*
                $(<$settings as TransformerSettings>::EXAMPLE,)+
            ];
        }

        /// Evaluates `call`, in which `settings` is what the variant is written with.
        macro_rules! of_settings {
            ($d transformer:expr, $d settings:ident => $d call:expr) => {
                match $d transformer {
                    $(
                        Transformer::$bare => {
                            let $d settings = &$bare;
                            $d call
                        }
                    )*
                    $(Transformer::$name($d settings) => $d call,)+
                }
            };
        }
    };
}

transformers! {
    $
    without fields {
        /// y = x + t: no stretching, log |det J| = 0.
        Additive,
    }
    with fields {
        /// y = x·eˢ + t with a soft bound on s.
        Affine(AffineSettings),
        /// A monotone rational-quadratic spline with linear tails, then the affine map.
        Spline(SplineSettings),
        /// Straight lines within bins, then the affine map.
        PiecewiseLinear(PiecewiseLinearSettings),
        /// The same with sines within the bins.
        Sinusoid(SinusoidSettings),
        /// The log odds of the distribution function of a mixture, then the affine map.
        MixtureCdf(MixtureCdfSettings),
        /// A network with positive weights, then the affine map.
        MonotoneNet(MonotoneNetSettings),
        /// A fixed bend at zero, then the affine map.
        LeakyRelu(LeakyReluSettings),
        /// A spline of the circle, turned at last.
        Circular(CircularSettings),
        /// A spline of an interval.
        Interval(IntervalSettings),
    }
}

impl Default for Transformer {
    fn default() -> Self {
        Transformer::Affine(AffineSettings::default())
    }
}

impl Transformer {
    /// Splines of the usual fineness.
    pub fn spline() -> Self {
        Transformer::Spline(SplineSettings::default())
    }

    /// Where the variables are that it maps.
    pub fn domain(&self) -> Domain {
        of_settings!(self, settings => settings.domain())
    }

    /// What is wrong with its constants.
    pub fn fault(&self) -> Option<String> {
        of_settings!(self, settings => settings.fault())
    }
}

impl Transform for Transformer {
    fn inputs(&self) -> usize {
        of_settings!(self, settings => settings.map().inputs())
    }

    fn per_variable(&self) -> usize {
        of_settings!(self, settings => settings.map().per_variable())
    }

    fn kept(&self) -> usize {
        of_settings!(self, settings => settings.map().kept())
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        E::passes(self).forward(stride, x, parameters, log_det, keep);
    }

    fn backward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_y: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    ) {
        E::passes(self).backward(stride, (x, kept), d_y, d_log_det, d_parameters);
    }

    fn adjoint_lanes<E: Real>(
        &self,
        stride: usize,
        x: &[E],
        kept: &[E],
        d_x: &mut [E],
        d_log_det: &[E],
        d_parameters: &mut [E],
    ) {
        E::passes(self).adjoint(stride, (x, kept), d_x, d_log_det, d_parameters);
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        E::passes(self).inverse(stride, y, parameters, log_det);
    }

    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        of_settings!(self, settings => settings.map().on_tape(x, parameters))
    }
}

/// Compiles the passes of all transformers for a type of numbers.
macro_rules! compiled {
    ($E:ty) => {
        impl Passes<$E> for Transformer {
            fn forward(
                &self,
                stride: usize,
                x: &mut [$E],
                parameters: &[$E],
                log_det: &mut [f64],
                keep: Option<&mut [$E]>,
            ) {
                of_settings!(self, settings => settings.map().forward_lanes(stride, x, parameters, log_det, keep));
            }

            fn backward(
                &self,
                stride: usize,
                (x, kept): (&[$E], &[$E]),
                d_y: &mut [$E],
                d_log_det: &[$E],
                d_parameters: &mut [$E],
            ) {
                of_settings!(self, settings => settings.map().backward_lanes(stride, x, kept, d_y, d_log_det, d_parameters));
            }

            fn adjoint(
                &self,
                stride: usize,
                (x, kept): (&[$E], &[$E]),
                d_x: &mut [$E],
                d_log_det: &[$E],
                d_parameters: &mut [$E],
            ) {
                of_settings!(self, settings => settings.map().adjoint_lanes(stride, x, kept, d_x, d_log_det, d_parameters));
            }

            fn inverse(&self, stride: usize, y: &mut [$E], parameters: &[$E], log_det: &mut [f64]) {
                of_settings!(self, settings => settings.map().inverse_lanes(stride, y, parameters, log_det));
            }
        }
    };
}
compiled!(f32);
compiled!(f64);
