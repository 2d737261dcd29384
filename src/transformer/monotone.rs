//! A network of one hidden layer whose weights are positive: an increasing function of one number, and any such with enough units.

use super::affine::scale;
use super::by_formula::ByFormula;
use super::settings::{fault_of_count, fault_of_scale, TransformerSettings};
use super::shape::{sigmoids, spread, Shape, Slopes, MOST};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::group::{both, each, larger, size, Group};
use crate::ops::linear::bounded::LOG_SCALE;
use crate::ops::real::Real;
use pulp::Simd;
use serde::{Deserialize, Serialize};

/// What is written for a network with positive weights ([`MonotoneNet`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MonotoneNet", deny_unknown_fields, default)]
pub struct MonotoneNetSettings {
    /// The number of hidden units.
    pub units: usize,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for MonotoneNetSettings {
    fn default() -> Self {
        Self { units: 8, max_scale: 1000.0 }
    }
}

impl TransformerSettings for MonotoneNetSettings {
    type Map = ByFormula<ThenAffine<MonotoneNet>>;
    const EXAMPLE: &'static str = "MonotoneNet(units: 8, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale).or_else(|| fault_of_count("units", self.units, MOST))
    }

    fn map(&self) -> Self::Map {
        then_affine(MonotoneNet { units: self.units }, self.max_scale)
    }
}

/// S(x) = x + Σ a_k tanh-like steps: a_k (2 σ(b_k (x − c_k)) − 1), with positive heights a = softplus(raw) and rates b = eˢ. The parameters are raw
/// heights, raw rates, then places c around ones that are spread evenly. Its tails have the slope 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonotoneNet {
    /// The number of hidden units.
    pub units: usize,
}

/// What a raw height is at the start: a height of 0.1.
const LOW: f64 = -2.25;

/// What is prepared of the units: heights, rates and places, and the slopes of the first two by their raw values.
struct Ready<'a, E> {
    heights: &'a [Group<E>],
    d_heights: &'a [Group<E>],
    rates: &'a [Group<E>],
    d_rates: &'a [Group<E>],
    places: &'a [Group<E>],
}

impl<'a, E: Real> Ready<'a, E> {
    #[inline(always)]
    fn new(n: usize, ready: &'a [Group<E>]) -> Self {
        let part = |i: usize| &ready[i * n..(i + 1) * n];
        Self { heights: part(0), d_heights: part(1), rates: part(2), d_rates: part(3), places: part(4) }
    }
}

impl Shape for MonotoneNet {
    fn parameters(&self) -> usize {
        3 * self.units
    }

    fn prepared(&self) -> usize {
        5 * self.units
    }

    #[inline(always)]
    fn prepare<E: Real>(&self, theta: &[Group<E>], ready: &mut [Group<E>]) {
        let n = self.units;
        let (bound, inverse) = (E::of(LOG_SCALE), E::of(1.0 / LOG_SCALE));
        for k in 0..n {
            let (raw_height, raw_rate, place) = (theta[k], theta[n + k], theta[2 * n + k]);
            let (start, low) = (spread::<E>(k, n), E::of(LOW));
            // ln(1 + eʳᵃʷ).
            let (height, d_height) = both(|c| {
                let raw = raw_height[c] + low;
                (larger(E::ZERO, raw) + Real::ln(E::ONE + Real::exp(-size(raw))), sigmoids(raw).0)
            });
            let (rate, d_rate) = both(|c| {
                let (_, rate, slope) = scale(bound, inverse, raw_rate[c]);
                (rate, slope)
            });
            (ready[k], ready[n + k]) = (height, d_height);
            (ready[2 * n + k], ready[3 * n + k]) = (rate, d_rate);
            ready[4 * n + k] = each(|c| place[c] + start);
        }
    }

    #[inline(always)]
    fn at<E: Real, R: Simd>(&self, _: R, x: &Group<E>, ready: &[Group<E>]) -> (Group<E>, Group<E>) {
        let ready = Ready::new(self.units, ready);
        let x = *x;
        let (mut value, mut slope) = (x, each(|_| E::ONE));
        for k in 0..self.units {
            let (height, rate, place) = (ready.heights[k], ready.rates[k], ready.places[k]);
            (value, slope) = both(|c| {
                let (up, down) = sigmoids(rate[c] * (x[c] - place[c]));
                (value[c] + height[c] * (up - down), slope[c] + (height[c] + height[c]) * rate[c] * (up * down))
            });
        }
        (value, each(|c| Real::ln(slope[c])))
    }

    #[inline(always)]
    fn slopes<E: Real, R: Simd>(
        &self,
        _: R,
        x: &Group<E>,
        ready: &[Group<E>],
        d_value: &mut [Group<E>],
        d_log_slope: &mut [Group<E>],
    ) -> Slopes<E> {
        let n = self.units;
        let ready = Ready::new(n, ready);
        let (d_value, d_log_slope) = (&mut d_value[..3 * n], &mut d_log_slope[..3 * n]);
        let x = *x;
        let (mut value, mut slope, mut bend) = (x, each(|_| E::ONE), each(|_| E::ZERO));
        for k in 0..n {
            let (height, rate, place) = (ready.heights[k], ready.rates[k], ready.places[k]);
            let (d_height, d_rate) = (ready.d_heights[k], ready.d_rates[k]);
            let (up, down) = both(|c| sigmoids(rate[c] * (x[c] - place[c])));
            let (step, steep) = both(|c| (up[c] - down[c], up[c] * down[c]));
            let (twice, along) = both(|c| (height[c] + height[c], rate[c] * (x[c] - place[c]) * d_rate[c]));
            // ∂ σ(1 − σ) along the argument.
            let turn = each(|c| -steep[c] * step[c]);
            let by_x = each(|c| twice[c] * rate[c] * rate[c] * turn[c]);
            value = each(|c| value[c] + height[c] * step[c]);
            slope = each(|c| slope[c] + twice[c] * rate[c] * steep[c]);
            bend = each(|c| bend[c] + by_x[c]);
            d_value[k] = each(|c| step[c] * d_height[c]);
            d_value[n + k] = each(|c| twice[c] * steep[c] * along[c]);
            d_value[2 * n + k] = each(|c| -twice[c] * steep[c] * rate[c]);
            // Of the slope itself until it is known.
            d_log_slope[k] = each(|c| (rate[c] + rate[c]) * steep[c] * d_height[c]);
            d_log_slope[n + k] = each(|c| twice[c] * rate[c] * (steep[c] * d_rate[c] + turn[c] * along[c]));
            d_log_slope[2 * n + k] = each(|c| -by_x[c]);
        }
        let share = each(|c| E::ONE / slope[c]);
        for d in d_log_slope {
            let of_slope = *d;
            *d = each(|c| of_slope[c] * share[c]);
        }
        Slopes { value, log_slope: each(|c| Real::ln(slope[c])), bend: each(|c| bend[c] * share[c]) }
    }
}
