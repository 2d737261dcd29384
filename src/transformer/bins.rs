//! Bins of one width whose heights add up to the whole: straight within each (the chapter's 16.12), or bent like a sine (its 16.33).

use super::by_formula::{softmax, ByFormula, Shape, MOST};
use super::settings::{fault_of_count, fault_of_limit, fault_of_scale, TransformerSettings};
use super::then_affine::{then_affine, ThenAffine};
use crate::ops::root;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// What is written for straight lines within bins between ±`limit`, the identity outside ([`Bins`]), followed by the affine map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "PiecewiseLinear", deny_unknown_fields, default)]
pub struct PiecewiseLinearSettings {
    /// The number of bins.
    pub bins: usize,
    /// Where the tails begin.
    pub limit: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for PiecewiseLinearSettings {
    fn default() -> Self {
        Self { bins: 8, limit: 4.0, max_scale: 1000.0 }
    }
}

impl TransformerSettings for PiecewiseLinearSettings {
    type Map = ByFormula<ThenAffine<Bins>>;
    const EXAMPLE: &'static str = "PiecewiseLinear(bins: 8, limit: 4.0, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale)
            .or_else(|| fault_of_count("bins", self.bins, MOST))
            .or_else(|| fault_of_limit(self.limit))
    }

    fn map(&self) -> Self::Map {
        then_affine(Bins { bins: self.bins, limit: self.limit, curve: Curve::Line }, self.max_scale)
    }
}

/// What is written for the same with sines within the bins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Sinusoid", deny_unknown_fields, default)]
pub struct SinusoidSettings {
    /// The number of bins.
    pub bins: usize,
    /// Where the tails begin.
    pub limit: f64,
    /// As for the affine map.
    pub max_scale: f64,
}

impl Default for SinusoidSettings {
    fn default() -> Self {
        Self { bins: 8, limit: 4.0, max_scale: 1000.0 }
    }
}

impl TransformerSettings for SinusoidSettings {
    type Map = ByFormula<ThenAffine<Bins>>;
    const EXAMPLE: &'static str = "Sinusoid(bins: 8, limit: 4.0, max_scale: 1000.0)";

    fn fault(&self) -> Option<String> {
        fault_of_scale(self.max_scale)
            .or_else(|| fault_of_count("bins", self.bins, MOST))
            .or_else(|| fault_of_limit(self.limit))
    }

    fn map(&self) -> Self::Map {
        then_affine(Bins { bins: self.bins, limit: self.limit, curve: Curve::Sine }, self.max_scale)
    }
}

/// What is drawn in a bin, from (0, 0) to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// A straight line.
    Line,
    /// sin(π u / 2), of which a tenth is a straight line: the sine alone is flat at its end, where its inverse has no slope.
    Sine,
}

/// The identity beyond ±`limit`; within, bin k of K has the height 2 · limit · φ_k of positive shares φ that add up to one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bins {
    /// The number K of bins.
    pub bins: usize,
    /// Where the tails begin.
    pub limit: f64,
    /// What is drawn in each.
    pub curve: Curve,
}

/// The part of the sine.
const BENT: f64 = 0.9;
/// The part of its even share that every bin has.
const LEAST: f64 = 0.01;

impl Curve {
    /// Value, slope and ∂ ln slope at `u`.
    fn at(self, u: f64) -> (f64, f64, f64) {
        match self {
            Curve::Line => (u, 1.0, 0.0),
            Curve::Sine => {
                let (sine, cosine) = (FRAC_PI_2 * u).sin_cos();
                let slope = (1.0 - BENT) + BENT * FRAC_PI_2 * cosine;
                ((1.0 - BENT) * u + BENT * sine, slope, -BENT * FRAC_PI_2 * FRAC_PI_2 * sine / slope)
            }
        }
    }

    fn solve(self, v: f64) -> f64 {
        match self {
            Curve::Line => v,
            Curve::Sine => root::solve(v, |u| {
                // Beyond its bin it goes on in a straight line, for the bracket's sake.
                let (value, slope, _) = self.at(u.clamp(0.0, 1.0));
                (value + slope * (u - u.clamp(0.0, 1.0)), slope.ln())
            })
            .clamp(0.0, 1.0),
        }
    }
}

impl Bins {
    /// Shares, and softmax of `theta` on which they depend.
    fn shares(&self, theta: &[f64], shares: &mut [f64; MOST], soft: &mut [f64; MOST]) {
        softmax(theta, &mut soft[..self.bins]);
        let even = 1.0 / self.bins as f64;
        shares
            .iter_mut()
            .zip(&soft[..self.bins])
            .for_each(|(share, soft)| *share = LEAST * even + (1.0 - LEAST) * soft);
    }

    /// The bin of `x`, which is within the limits, and the place in it.
    fn place(&self, x: f64) -> (usize, f64) {
        let h = (x + self.limit) / (2.0 * self.limit) * self.bins as f64;
        let bin = (h as usize).min(self.bins - 1);
        (bin, h - bin as f64)
    }
}

impl Shape for Bins {
    fn parameters(&self) -> usize {
        self.bins
    }

    fn at(&self, x: f64, theta: &[f64]) -> (f64, f64) {
        if x.is_nan() || x.abs() >= self.limit {
            return (x, 0.0);
        }
        let (mut shares, mut soft) = ([0.0; MOST], [0.0; MOST]);
        self.shares(theta, &mut shares, &mut soft);
        let (bin, u) = self.place(x);
        let (value, slope, _) = self.curve.at(u);
        let before: f64 = shares[..bin].iter().sum();
        let log_slope = (shares[bin] * self.bins as f64 * slope).ln();
        (2.0 * self.limit * (before + shares[bin] * value) - self.limit, log_slope)
    }

    fn slopes(&self, x: f64, theta: &[f64], d_value: &mut [f64], d_log_slope: &mut [f64]) -> (f64, f64, f64) {
        d_value.fill(0.0);
        d_log_slope.fill(0.0);
        if x.is_nan() || x.abs() >= self.limit {
            return (x, 0.0, 0.0);
        }
        let (mut shares, mut soft) = ([0.0; MOST], [0.0; MOST]);
        self.shares(theta, &mut shares, &mut soft);
        let (bin, u) = self.place(x);
        let (value, slope, bend) = self.curve.at(u);
        let before: f64 = shares[..bin].iter().sum();
        // By the shares first, then through the softmax.
        let by_share = |k: usize| match k.cmp(&bin) {
            std::cmp::Ordering::Less => 1.0,
            std::cmp::Ordering::Equal => value,
            std::cmp::Ordering::Greater => 0.0,
        };
        let mean: f64 = (0..self.bins).map(|k| soft[k] * by_share(k)).sum();
        for k in 0..self.bins {
            let through = (1.0 - LEAST) * soft[k];
            d_value[k] = 2.0 * self.limit * through * (by_share(k) - mean);
            let own = f64::from(u8::from(k == bin));
            d_log_slope[k] = through * (own - soft[bin]) / shares[bin];
        }
        let log_slope = (shares[bin] * self.bins as f64 * slope).ln();
        let d_u = self.bins as f64 / (2.0 * self.limit);
        (2.0 * self.limit * (before + shares[bin] * value) - self.limit, log_slope, bend * d_u)
    }

    fn solve(&self, y: f64, theta: &[f64]) -> f64 {
        if y.is_nan() || y.abs() >= self.limit {
            return y;
        }
        let (mut shares, mut soft) = ([0.0; MOST], [0.0; MOST]);
        self.shares(theta, &mut shares, &mut soft);
        let mut left = (y + self.limit) / (2.0 * self.limit);
        let mut bin = 0;
        while bin + 1 < self.bins && left > shares[bin] {
            left -= shares[bin];
            bin += 1;
        }
        let u = self.curve.solve((left / shares[bin]).clamp(0.0, 1.0));
        2.0 * self.limit * (bin as f64 + u) / self.bins as f64 - self.limit
    }
}
