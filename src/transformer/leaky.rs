//! The leaky rectifier: a fixed bend at zero.

use super::by_formula::ByFormula;
use super::settings::{fault_of_scale, TransformerSettings};
use super::shape::{Shape, Slopes};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::group::{each, Group};
use crate::ops::real::Real;
use pulp::Simd;
use serde::{Deserialize, Serialize};

/// What is written for a fixed bend at zero ([`Leaky`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "LeakyRelu", deny_unknown_fields, default)]
pub struct LeakyReluSettings {
    /// The slope below zero.
    pub slope: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for LeakyReluSettings {
    fn default() -> Self {
        Self { slope: 0.1, max_scale: 1000.0 }
    }
}

impl TransformerSettings for LeakyReluSettings {
    type Map = ByFormula<ThenAffine<Leaky>>;
    const EXAMPLE: &'static str = "LeakyRelu(slope: 0.1, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        let right = self.slope.is_finite() && self.slope >= 1e-3 && self.slope <= 1e3;
        let of_slope = || (!right).then(|| format!("slope is {}; a number from 0.001 to 1000 is right", self.slope));
        fault_of_scale(self.max_scale).or_else(of_slope)
    }

    fn map(&self) -> Self::Map {
        then_affine(Leaky { slope: self.slope }, self.max_scale)
    }
}

/// S(x) = x above zero, slope · x below it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaky {
    /// The slope below zero, positive.
    pub slope: f64,
}

impl Shape for Leaky {
    fn parameters(&self) -> usize {
        0
    }

    fn prepared(&self) -> usize {
        0
    }

    fn prepare<E: Real>(&self, _: &[Group<E>], _: &mut [Group<E>]) {}

    #[inline(always)]
    fn at<E: Real, R: Simd>(&self, _: R, x: &Group<E>, _: &[Group<E>]) -> (Group<E>, Group<E>) {
        let (slope, log) = (E::of(self.slope), E::of(self.slope.ln()));
        let value = each(|c| if x[c] < E::ZERO { slope * x[c] } else { x[c] });
        (value, each(|c| if x[c] < E::ZERO { log } else { E::ZERO }))
    }

    #[inline(always)]
    fn slopes<E: Real, R: Simd>(
        &self,
        simd: R,
        x: &Group<E>,
        ready: &[Group<E>],
        _: &mut [Group<E>],
        _: &mut [Group<E>],
    ) -> Slopes<E> {
        let (value, log_slope) = self.at(simd, x, ready);
        Slopes { value, log_slope, bend: each(|_| E::ZERO) }
    }

    #[inline(always)]
    fn solve<E: Real, R: Simd>(&self, _: R, y: &Group<E>, _: &[Group<E>]) -> Group<E> {
        let slope = E::of(self.slope);
        each(|c| if y[c] < E::ZERO { y[c] / slope } else { y[c] })
    }
}
