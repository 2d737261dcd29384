//! The log odds of a mixture's distribution function (Ho, Chen, Srinivas, Duan and Abbeel 2019, Flow++).

use super::affine::scale;
use super::by_formula::ByFormula;
use super::settings::{fault_of_count, fault_of_scale, TransformerSettings};
use super::shape::{sigmoids, spread, Shape, Slopes, MOST};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::group::{both, clamp, each, larger, Group};
use crate::ops::linear::bounded::LOG_SCALE;
use crate::ops::real::Real;
use pulp::Simd;
use serde::{Deserialize, Serialize};

/// What is written for the log odds of the distribution function of a mixture of logistic distributions ([`MixtureCdf`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "MixtureCdf", deny_unknown_fields, default)]
pub struct MixtureCdfSettings {
    /// The number of components.
    pub components: usize,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for MixtureCdfSettings {
    fn default() -> Self {
        Self { components: 8, max_scale: 1000.0 }
    }
}

impl TransformerSettings for MixtureCdfSettings {
    type Map = ByFormula<ThenAffine<MixtureCdf>>;
    const EXAMPLE: &'static str = "MixtureCdf(components: 8, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale).or_else(|| fault_of_count("components", self.components, MOST))
    }

    fn map(&self) -> Self::Map {
        then_affine(MixtureCdf { components: self.components }, self.max_scale)
    }
}

/// S(x) = ln F − ln(1 − F) with F = Σ π_k σ((x − μ_k)/s_k). The parameters are the logits of π, then μ around places that are spread evenly, then ln s.
///
/// All is computed by shares of F, of 1 − F and of the density, which are well behaved however far out x is; there S is a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureCdf {
    /// The number of components.
    pub components: usize,
}

/// Arguments of σ are within ± this: numbers beyond it would leave the range of single precision on their way.
const FARTHEST: f64 = 1e30;

/// What is prepared of the components: ln π up to a number that all have, μ, 1/s, and the slope of ln s by its raw value.
struct Ready<'a, E> {
    log_weights: &'a [Group<E>],
    centres: &'a [Group<E>],
    rates: &'a [Group<E>],
    bends: &'a [Group<E>],
}

impl<'a, E: Real> Ready<'a, E> {
    #[inline(always)]
    fn new(n: usize, ready: &'a [Group<E>]) -> Self {
        let (log_weights, rest) = ready[..4 * n].split_at(n);
        let (centres, rest) = rest.split_at(n);
        let (rates, bends) = rest.split_at(n);
        Self { log_weights, centres, rates, bends }
    }

    /// (x − μ)/s of component `k`.
    #[inline(always)]
    fn arguments(&self, k: usize, x: &Group<E>) -> Group<E> {
        let (x, centre, rate, far) = (*x, self.centres[k], self.rates[k], E::of(FARTHEST));
        each(|c| clamp((x[c] - centre[c]) * rate[c], -far, far))
    }

    /// ln π σ(z), and ln π σ(−z), but for a factor between ½ and 1.
    #[inline(always)]
    fn logs(&self, k: usize, z: &Group<E>) -> (Group<E>, Group<E>) {
        let (weight, z) = (self.log_weights[k], *z);
        both(|c| {
            let above = z[c] > E::ZERO;
            (if above { weight[c] } else { weight[c] + z[c] }, if above { weight[c] - z[c] } else { weight[c] })
        })
    }
}

/// Sums over components, by which their shares are measured: of F and 1 − F, each divided by e to the power of the largest term's logarithm.
struct Sums<E> {
    below: Group<E>,
    above: Group<E>,
    /// Those of the density, divided as F is, and as 1 − F is.
    density: [Group<E>; 2],
    most: [Group<E>; 2],
}

impl<E: Real> Sums<E> {
    /// Calls `each_part(k, shares of F, shares of 1 − F, σ(z), σ(−z))` on the way.
    #[inline(always)]
    fn new(x: &Group<E>, ready: &Ready<E>, mut each_part: impl FnMut(usize, [Group<E>; 4])) -> Self {
        let n = ready.rates.len();
        let (zero, least) = (each(|_| E::ZERO), each(|_| E::of(f64::NEG_INFINITY)));
        let (mut most_below, mut most_above) = (least, least);
        for k in 0..n {
            let (below, above) = ready.logs(k, &ready.arguments(k, x));
            most_below = each(|c| larger(most_below[c], below[c]));
            most_above = each(|c| larger(most_above[c], above[c]));
        }
        let (mut below, mut above, mut of_below, mut of_above) = (zero, zero, zero, zero);
        for k in 0..n {
            let (z, rate) = (ready.arguments(k, x), ready.rates[k]);
            let (log_below, log_above) = ready.logs(k, &z);
            let (left, right) = both(|c| sigmoids(z[c]));
            let near = each(|c| larger(left[c], right[c]));
            let part_below = each(|c| Real::exp(log_below[c] - most_below[c]) * near[c]);
            let part_above = each(|c| Real::exp(log_above[c] - most_above[c]) * near[c]);
            below = each(|c| below[c] + part_below[c]);
            above = each(|c| above[c] + part_above[c]);
            of_below = each(|c| of_below[c] + part_below[c] * right[c] * rate[c]);
            of_above = each(|c| of_above[c] + part_above[c] * left[c] * rate[c]);
            each_part(k, [part_below, part_above, left, right]);
        }
        Sums { below, above, density: [of_below, of_above], most: [most_below, most_above] }
    }

    /// ln F − ln(1 − F), and ln S′. Of the two ways to the density, one is by shares of what is the smaller: F or 1 − F.
    #[inline(always)]
    fn value(&self) -> (Group<E>, Group<E>) {
        let (below, above, [of_below, of_above], most) = (self.below, self.above, self.density, self.most);
        let value = each(|c| most[0][c] - most[1][c] + (Real::ln(below[c]) - Real::ln(above[c])));
        let log_slope = each(|c| {
            let right = value[c] >= E::ZERO;
            let share = if right { of_above[c] / above[c] } else { of_below[c] / below[c] };
            let power = Real::exp(if right { -value[c] } else { value[c] });
            Real::ln(share * (E::ONE + power))
        });
        (value, log_slope)
    }
}

impl Shape for MixtureCdf {
    fn parameters(&self) -> usize {
        3 * self.components
    }

    fn prepared(&self) -> usize {
        4 * self.components
    }

    #[inline(always)]
    fn prepare<E: Real>(&self, theta: &[Group<E>], ready: &mut [Group<E>]) {
        let n = self.components;
        let mut most = theta[0];
        for &logits in &theta[..n] {
            most = each(|c| larger(logits[c], most[c]));
        }
        let (bound, inverse) = (E::of(LOG_SCALE), E::of(1.0 / LOG_SCALE));
        for k in 0..n {
            let (logit, place, raw) = (theta[k], theta[n + k], theta[2 * n + k]);
            let start = spread::<E>(k, n);
            ready[k] = each(|c| logit[c] - most[c]);
            ready[n + k] = each(|c| place[c] + start);
            (ready[2 * n + k], ready[3 * n + k]) = both(|c| {
                let (_, rate, bend) = scale(bound, inverse, -raw[c]);
                (rate, bend)
            });
        }
    }

    #[inline(always)]
    fn at<E: Real, R: Simd>(&self, _: R, x: &Group<E>, ready: &[Group<E>]) -> (Group<E>, Group<E>) {
        Sums::new(x, &Ready::new(self.components, ready), |_, _| ()).value()
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
        let n = self.components;
        let ready = Ready::new(n, ready);
        let (d_value, d_log_slope) = (&mut d_value[..3 * n], &mut d_log_slope[..3 * n]);
        // What the sums are made of lies where the derivatives will be.
        let sums = Sums::new(x, &ready, |k, [below, above, left, right]| {
            (d_value[k], d_log_slope[k]) = (below, above);
            (d_value[n + k], d_log_slope[n + k]) = (left, right);
        });
        let (value, log_slope) = sums.value();
        let (parts, rests) = both(|c| sigmoids(value[c]));
        let below_share = each(|c| E::ONE / sums.below[c]);
        let above_share = each(|c| E::ONE / sums.above[c]);
        let of_above = each(|c| if value[c] >= E::ZERO { E::ONE / sums.density[1][c] } else { E::ZERO });
        let of_below = each(|c| if value[c] >= E::ZERO { E::ZERO } else { E::ONE / sums.density[0][c] });
        let (x, mut bend) = (*x, each(|_| E::ZERO));
        for k in 0..n {
            let (rate, centre, slope) = (ready.rates[k], ready.centres[k], ready.bends[k]);
            let (part_below, part_above) = (d_value[k], d_log_slope[k]);
            let (left, right) = (d_value[n + k], d_log_slope[n + k]);
            // The component's shares of F, of 1 − F and of the density.
            let (below, above) = both(|c| (part_below[c] * below_share[c], part_above[c] * above_share[c]));
            let density =
                each(|c| (part_below[c] * right[c] * of_below[c] + part_above[c] * left[c] * of_above[c]) * rate[c]);
            let weight = each(|c| below[c] * parts[c] + above[c] * rests[c]);
            // ∂F/F, ∂F/(1 − F) and ∂f/f along x, of which those along μ and s are multiples.
            let (first, second) = both(|c| (below[c] * right[c] * rate[c], above[c] * left[c] * rate[c]));
            let third = each(|c| density[c] * (right[c] - left[c]) * rate[c]);
            let (by_value, by_log) = both(|c| (first[c] + second[c], third[c] - first[c] + second[c]));
            let along = each(|c| (x[c] - centre[c]) * slope[c]);
            bend = each(|c| bend[c] + by_log[c]);
            d_value[k] = each(|c| below[c] - above[c]);
            d_log_slope[k] = each(|c| density[c] + weight[c] - below[c] - above[c]);
            d_value[n + k] = each(|c| -by_value[c]);
            d_log_slope[n + k] = each(|c| -by_log[c]);
            d_value[2 * n + k] = each(|c| -by_value[c] * along[c]);
            d_log_slope[2 * n + k] = each(|c| -by_log[c] * along[c] - density[c] * slope[c]);
        }
        Slopes { value, log_slope, bend }
    }
}
