//! Monotone scalar maps, given their parameters: what an autoregressive bijection does to each variable.

use crate::error::Result;
use crate::ops::additive::Additive;
use crate::ops::affine::Affine;
use crate::ops::real::Real;
use crate::ops::shape::{
    Bins, ByFormula, Curve, Ends, Leaky, MixtureCdf, MonotoneNet, Rational, Shape, ThenAffine, MOST,
};
use crate::ops::spline::{Spline, MOST_BINS};
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points};
use dfdx::prelude::Tape;
use serde::{Deserialize, Serialize};

/// Which monotone map, with its constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Transformer {
    /// y = x + t: no stretching, log |det J| = 0.
    Additive,
    /// y = x·eˢ + t with s = c·tanh(raw / c) and c = ln `max_scale`.
    ///
    /// A soft bound rather than a clamp: it leaves small scales alone, never cuts a gradient to zero, and allows the large
    /// ones that a funnel needs.
    Affine {
        /// The largest factor by which one layer may stretch or shrink a variable.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// A monotone rational-quadratic spline between ±`limit`, the identity outside, followed by the affine map.
    ///
    /// One layer can then bend a variable into several modes, which affine layers cannot. See [`Spline`] for its parameters.
    Spline {
        /// The number of bins, 2 to [`MOST_BINS`].
        #[serde(default = "default_bins")]
        bins: usize,
        /// Where the linear tails begin.
        #[serde(default = "default_limit")]
        limit: f64,
        /// As for the affine map.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// Straight lines within bins between ±`limit`, the identity outside ([`Bins`]), followed by the affine map.
    PiecewiseLinear {
        /// The number of bins.
        #[serde(default = "default_bins")]
        bins: usize,
        /// Where the tails begin.
        #[serde(default = "default_limit")]
        limit: f64,
        /// As for the affine map.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// The same with sines within the bins.
    Sinusoid {
        /// The number of bins.
        #[serde(default = "default_bins")]
        bins: usize,
        /// Where the tails begin.
        #[serde(default = "default_limit")]
        limit: f64,
        /// As for the affine map.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// The log odds of the distribution function of a mixture of logistic distributions ([`MixtureCdf`]), followed by the affine map.
    MixtureCdf {
        /// The number of components.
        #[serde(default = "default_bins")]
        components: usize,
        /// As for the affine map.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// A network with positive weights ([`MonotoneNet`]), followed by the affine map.
    MonotoneNet {
        /// The number of hidden units.
        #[serde(default = "default_bins")]
        units: usize,
        /// As for the affine map.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// A fixed bend at zero ([`Leaky`]), followed by the affine map.
    LeakyRelu {
        /// The slope below zero.
        #[serde(default = "default_slope")]
        slope: f64,
        /// As for the affine map.
        #[serde(default = "default_max_scale")]
        max_scale: f64,
    },
    /// A rational-quadratic spline of the circle (−π, π], turned at last ([`Rational`]): for flows whose variables are all angles. Networks see cosine
    /// and sine of an angle, so that nothing happens where a turn begins.
    Circular {
        /// The number of bins.
        #[serde(default = "default_bins")]
        bins: usize,
    },
    /// A rational-quadratic spline of the interval between ±`limit` ([`Rational`]): for flows whose variables all are within it.
    Interval {
        /// The number of bins.
        #[serde(default = "default_bins")]
        bins: usize,
        /// Half the length of the interval.
        #[serde(default = "one")]
        limit: f64,
    },
}

/// Where the variables of a flow are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// Anywhere.
    Line,
    /// On the circle (−π, π].
    Circle,
    /// Between ± this.
    Interval(f64),
}

impl Domain {
    /// Half the length of the stretch in which the variables are, where there is an end to it.
    pub fn half_length(self) -> Option<f64> {
        match self {
            Domain::Line => None,
            Domain::Circle => Some(std::f64::consts::PI),
            Domain::Interval(limit) => Some(limit),
        }
    }
}

impl std::fmt::Display for Domain {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Domain::Line => out.write_str("the line"),
            Domain::Circle => out.write_str("a circle"),
            Domain::Interval(limit) => write!(out, "the interval from {} to {limit}", -limit),
        }
    }
}

fn one() -> f64 {
    1.0
}

fn affine<S: Shape>(shape: S, max_scale: f64) -> ByFormula<ThenAffine<S>> {
    ByFormula(ThenAffine { shape, bound: max_scale.ln() })
}

fn default_slope() -> f64 {
    0.1
}

fn default_bins() -> usize {
    8
}

fn default_limit() -> f64 {
    4.0
}

fn default_max_scale() -> f64 {
    1000.0
}

impl Default for Transformer {
    fn default() -> Self {
        Transformer::Affine { max_scale: default_max_scale() }
    }
}

impl Transformer {
    /// Splines of the usual fineness.
    pub fn spline() -> Self {
        Transformer::Spline { bins: default_bins(), limit: default_limit(), max_scale: default_max_scale() }
    }

    /// Where the variables are that it maps.
    pub fn domain(&self) -> Domain {
        match self {
            Transformer::Circular { .. } => Domain::Circle,
            Transformer::Interval { limit, .. } => Domain::Interval(*limit),
            _ => Domain::Line,
        }
    }

    fn max_scale(&self) -> Option<f64> {
        match self {
            Transformer::Additive | Transformer::Circular { .. } | Transformer::Interval { .. } => None,
            Transformer::Affine { max_scale }
            | Transformer::Spline { max_scale, .. }
            | Transformer::PiecewiseLinear { max_scale, .. }
            | Transformer::Sinusoid { max_scale, .. }
            | Transformer::MixtureCdf { max_scale, .. }
            | Transformer::MonotoneNet { max_scale, .. }
            | Transformer::LeakyRelu { max_scale, .. } => Some(*max_scale),
        }
    }

    /// What is wrong with its constants.
    pub fn fault(&self) -> Option<String> {
        if let Some(max_scale) = self.max_scale() {
            if !(max_scale.is_finite() && max_scale > 1.0 && max_scale <= 1e12) {
                return Some(format!("max_scale is {max_scale}; a number above 1 and at most 1e12 is right"));
            }
        }
        let (name, count, most) = match self {
            Transformer::Spline { bins, .. } => ("bins", *bins, MOST_BINS),
            Transformer::PiecewiseLinear { bins, .. }
            | Transformer::Sinusoid { bins, .. }
            | Transformer::Circular { bins }
            | Transformer::Interval { bins, .. } => ("bins", *bins, MOST),
            Transformer::MixtureCdf { components, .. } => ("components", *components, MOST),
            Transformer::MonotoneNet { units, .. } => ("units", *units, MOST),
            _ => ("bins", 2, 2),
        };
        if !(2..=most).contains(&count) {
            return Some(format!("{name} is {count}; 2 to {most} is right"));
        }
        if let Transformer::LeakyRelu { slope, .. } = self {
            if !(slope.is_finite() && *slope >= 1e-3 && *slope <= 1e3) {
                return Some(format!("slope is {slope}; a number from 0.001 to 1000 is right"));
            }
        }
        if let Transformer::Spline { limit, .. }
        | Transformer::PiecewiseLinear { limit, .. }
        | Transformer::Sinusoid { limit, .. }
        | Transformer::Interval { limit, .. } = self
        {
            if !(limit.is_finite() && *limit >= 0.1 && *limit <= 100.0) {
                return Some(format!("limit is {limit}; a number from 0.1 to 100 is right"));
            }
        }
        None
    }
}

/// Evaluates `$call`, in which `$transform` is the map that the variant stands for.
macro_rules! transform {
    ($transformer:expr, $transform:ident => $call:expr) => {
        match *$transformer {
            Transformer::Additive => {
                let $transform = Additive;
                $call
            }
            Transformer::Affine { max_scale } => {
                let $transform = Affine { bound: max_scale.ln() };
                $call
            }
            Transformer::Spline { bins, limit, max_scale } => {
                let $transform = Spline { bins, limit, bound: max_scale.ln() };
                $call
            }
            Transformer::PiecewiseLinear { bins, limit, max_scale } => {
                let $transform = affine(Bins { bins, limit, curve: Curve::Line }, max_scale);
                $call
            }
            Transformer::Sinusoid { bins, limit, max_scale } => {
                let $transform = affine(Bins { bins, limit, curve: Curve::Sine }, max_scale);
                $call
            }
            Transformer::MixtureCdf { components, max_scale } => {
                let $transform = affine(MixtureCdf { components }, max_scale);
                $call
            }
            Transformer::MonotoneNet { units, max_scale } => {
                let $transform = affine(MonotoneNet { units }, max_scale);
                $call
            }
            Transformer::LeakyRelu { slope, max_scale } => {
                let $transform = affine(Leaky { slope }, max_scale);
                $call
            }
            Transformer::Circular { bins } => {
                let $transform = ByFormula(Rational { bins, ends: Ends::Meet });
                $call
            }
            Transformer::Interval { bins, limit } => {
                let $transform = ByFormula(Rational { bins, ends: Ends::Stay(limit) });
                $call
            }
        }
    };
}

impl Transform for Transformer {
    fn inputs(&self) -> usize {
        transform!(self, transform => transform.inputs())
    }

    fn per_variable(&self) -> usize {
        transform!(self, transform => transform.per_variable())
    }

    fn kept(&self) -> usize {
        transform!(self, transform => transform.kept())
    }

    fn forward_lanes<E: Real>(
        &self,
        stride: usize,
        x: &mut [E],
        parameters: &[E],
        log_det: &mut [f64],
        keep: Option<&mut [E]>,
    ) {
        transform!(self, transform => transform.forward_lanes(stride, x, parameters, log_det, keep));
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
        transform!(self, transform => transform.backward_lanes(stride, x, kept, d_y, d_log_det, d_parameters));
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
        transform!(self, transform => transform.adjoint_lanes(stride, x, kept, d_x, d_log_det, d_parameters));
    }

    fn inverse_lanes<E: Real>(&self, stride: usize, y: &mut [E], parameters: &[E], log_det: &mut [f64]) {
        transform!(self, transform => transform.inverse_lanes(stride, y, parameters, log_det));
    }

    fn on_tape<E: Real, D: Kernels<E>, T: Tape<E, D>>(
        &self,
        x: Points<E, D, T>,
        parameters: Points<E, D, T>,
    ) -> Result<Mapped<E, D, T>> {
        transform!(self, transform => transform.on_tape(x, parameters))
    }
}
