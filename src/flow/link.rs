//! Links for columns that are bounded or go around.

use serde::{Deserialize, Serialize};

/// How a coordinate u of the user's depends on an unbounded w.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Link {
    /// u = w.
    Identity,
    /// u = low + eʷ, always above `low`.
    Above(
        /// The lower bound.
        f64,
    ),
    /// u = low + (high − low) σ(w), always between the two.
    Between(
        /// The lower bound.
        f64,
        /// The upper bound.
        f64,
    ),
    /// u is an angle, of which `low` up to `low + period` is one turn: u = cut + period σ(w), brought into that turn. The turn is cut open at
    /// `cut`, where the data are thinnest.
    Around {
        /// Where a turn begins, as the user counts.
        low: f64,
        /// The length of a turn.
        period: f64,
        /// Where it is cut open.
        cut: f64,
    },
}

/// How near to a cut an angle may be, in turns.
const NEAREST: f64 = 1e-12;

impl Link {
    /// u, ln du/dw and the derivative of the latter by w.
    pub(super) fn at(self, w: f64) -> (f64, f64, f64) {
        match self {
            Link::Around { low, period, cut } => {
                let (opened, log_slope, bend) = Link::Between(cut, cut + period).at(w);
                (low + (opened - low).rem_euclid(period), log_slope, bend)
            }
            Link::Identity => (w, 0.0, 0.0),
            Link::Above(low) => (low + w.exp(), w, 1.0),
            Link::Between(low, high) => {
                let sigmoid = 1.0 / (1.0 + (-w).exp());
                // ln σ(w) + ln σ(−w), written so that neither end underflows.
                let log_slope = -w.abs() - 2.0 * (-w.abs()).exp().ln_1p();
                (low + (high - low) * sigmoid, (high - low).ln() + log_slope, 1.0 - 2.0 * sigmoid)
            }
        }
    }

    /// w; not finite outside the bounds.
    pub(super) fn inverse(self, u: f64) -> f64 {
        match self {
            Link::Around { period, cut, .. } => {
                let turned = ((u - cut).rem_euclid(period) / period).clamp(NEAREST, 1.0 - NEAREST);
                (turned / (1.0 - turned)).ln()
            }
            Link::Identity => u,
            Link::Above(low) => (u - low).ln(),
            Link::Between(low, high) => ((u - low) / (high - u)).ln(),
        }
    }

    /// Whether its bounds are finite and in order.
    pub fn is_sound(self) -> bool {
        match self {
            Link::Identity => true,
            Link::Above(low) => low.is_finite(),
            Link::Between(low, high) => low.is_finite() && high.is_finite() && low < high,
            Link::Around { low, period, cut } => {
                low.is_finite() && cut.is_finite() && period.is_finite() && period > 0.0
            }
        }
    }

    /// The link of angles with this turn, cut open in the middle of the widest of the gaps that lie in the stretch where `angles` are thinnest.
    pub fn around(low: f64, period: f64, angles: &[f64]) -> Self {
        let mut turned: Vec<f64> = angles.iter().map(|u| (u - low).rem_euclid(period)).collect();
        turned.sort_unstable_by(f64::total_cmp);
        let n = turned.len();
        let at = |k: usize| turned[k % n] + period * (k / n) as f64;
        let together = (n / 50).max(1);
        let width = |k: &usize| at(k + together) - at(*k);
        let thinnest = (0..n).max_by(|a, b| width(a).total_cmp(&width(b))).unwrap_or(0);
        let gap = |k: &usize| at(k + 1) - at(*k);
        let widest = (thinnest..thinnest + together).max_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0);
        let cut = if n == 0 { 0.0 } else { 0.5 * (at(widest) + at(widest + 1)) };
        Link::Around { low, period, cut: low + cut.rem_euclid(period) }
    }

    /// What a value must be, in words.
    pub(super) fn right(self) -> String {
        match self {
            Link::Identity | Link::Around { .. } => "a finite number".into(),
            Link::Above(low) => format!("a number above {low}"),
            Link::Between(low, high) => format!("a number above {low} and below {high}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_cut_where_nobody_is_and_comes_back() {
        // Angles around 0 in degrees, on both sides of where a turn begins.
        let angles: Vec<f64> = (0..200).map(|k| (f64::from(k) - 100.0) * 0.8).map(|u| u.rem_euclid(360.0)).collect();
        let link = Link::around(0.0, 360.0, &angles);
        let Link::Around { cut, .. } = link else { panic!("{link:?}") };
        assert!((cut - 180.0).abs() < 21.0, "{cut}");
        for u in [0.1, 359.9, 100.0, 270.0] {
            let w = link.inverse(u);
            let (back, log_slope, _) = link.at(w);
            assert!((back - u).abs() < 1e-9, "{back}, {u}");
            let h = 1e-6;
            let slope = (link.at(w + h).0 - link.at(w - h).0) / (2.0 * h);
            assert!((slope.ln() - log_slope).abs() < 1e-6);
        }
        assert_eq!(link.inverse(370.0), link.inverse(10.0));
        assert!(link.inverse(cut).is_finite());
    }
}
