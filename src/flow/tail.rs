//! Extremes drawn in softly, so that one row in a thousand does not rule the scale of all.

use serde::{Deserialize, Serialize};

/// w = v within `centre` ± `width`; beyond, the distance a of w from the edge is the logarithm of that of v: v's distance is
/// `unit` ln(1 + a/`unit`). Slopes agree at the edges, so that a density that is carried through has no step there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The median.
    pub centre: f64,
    /// From where values are drawn in.
    pub width: f64,
    /// The spread of the bulk.
    pub unit: f64,
}

/// Spreads from the median beyond which a value is extreme.
const FAR: f64 = 6.0;
/// The largest share of a column that is drawn in: what is more is no extreme but a part of its own.
const MOST_FAR: f64 = 0.02;
/// An extreme draws the standard deviation apart by this factor, or is left alone.
const RULED: f64 = 1.5;
/// The distance between the quartiles of a normal density, in standard deviations.
const QUARTILES: f64 = 1.349;

impl Tail {
    /// The tails of a column, where its extremes rule its standard deviation. The spread is the distance between the quartiles over that of
    /// a normal density; between the 5 and 95 per cent points where half of the column is one value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |p: f64| sorted[(p * last as f64).round() as usize];
        let between = |low: f64, high: f64, normal: f64| (quantile(high) - quantile(low)) / normal;
        let unit = Some(between(0.25, 0.75, QUARTILES)).filter(|unit| *unit > 0.0);
        let unit = unit.or(Some(between(0.05, 0.95, 3.29)).filter(|unit| *unit > 0.0))?;
        let (centre, width) = (quantile(0.5), FAR * unit);
        let is_far = |value: &&f64| (**value - centre).abs() > width;
        let far = values.iter().filter(is_far).count();
        if far == 0 || far as f64 > (MOST_FAR * values.len() as f64).max(1.0) {
            return None;
        }
        let deviation = |all: &mut dyn Iterator<Item = f64>| {
            let (n, sum) = all.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + (value - centre).powi(2)));
            f64::sqrt(sum / n)
        };
        let all = deviation(&mut values.iter().copied());
        let near = deviation(&mut values.iter().filter(|value| !is_far(value)).copied());
        (all > RULED * near).then_some(Self { centre, width, unit })
    }

    /// w, ln dw/dv and the derivative of the latter by v.
    pub(super) fn at(self, v: f64) -> (f64, f64, f64) {
        let Self { centre, width, unit } = self;
        let beyond = ((v - centre).abs() - width) / unit;
        if beyond <= 0.0 {
            return (v, 0.0, 0.0);
        }
        let sign = (v - centre).signum();
        (centre + sign * (width + unit * beyond.exp_m1()), beyond, sign / unit)
    }

    /// v.
    pub(super) fn inverse(self, w: f64) -> f64 {
        let Self { centre, width, unit } = self;
        let beyond = ((w - centre).abs() - width) / unit;
        if beyond <= 0.0 {
            return w;
        }
        centre + (w - centre).signum() * (width + unit * beyond.ln_1p())
    }

    /// Whether its numbers are finite, and positive where they are lengths.
    pub(super) fn is_sound(self) -> bool {
        let lengths = [self.width, self.unit];
        self.centre.is_finite() && lengths.iter().all(|length| length.is_finite() && *length > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_come_back_with_their_slopes() {
        let tail = Tail { centre: 2.0, width: 3.0, unit: 0.5 };
        for w in [2.0, 4.9, 5.1, -1.5, 1e6, -1e6] {
            let v = tail.inverse(w);
            let (back, log_slope, bend) = tail.at(v);
            assert!((back / w - 1.0).abs() < 1e-9, "{back}, {w}");
            let h = 1e-6;
            let slope = (tail.at(v + h).0 - tail.at(v - h).0) / (2.0 * h);
            assert!((slope.ln() - log_slope).abs() < 1e-5);
            let change = (tail.at(v + h).1 - tail.at(v - h).1) / (2.0 * h);
            assert!((change - bend).abs() < 1e-5);
        }
    }

    #[test]
    fn only_a_few_extremes_are_drawn_in() {
        let normal: Vec<f64> = (0..1000).map(|k| 4.0 * (f64::from(k) / 999.0 - 0.5)).collect();
        assert_eq!(Tail::of(&normal), None);
        let one: Vec<f64> = normal.iter().copied().chain([1e6]).collect();
        let tail = Tail::of(&one).expect("one extreme");
        assert!(tail.inverse(1e6) < 30.0 && tail.inverse(2.0) == 2.0);
        // A far cluster of a tenth is a part of its own.
        let cluster: Vec<f64> = normal.iter().copied().chain((0..100).map(|k| 50.0 + 0.01 * f64::from(k))).collect();
        assert_eq!(Tail::of(&cluster), None);
        assert_eq!(Tail::of(&[1.0; 10]), None);
        assert_eq!(Tail::of(&[]), None);
    }
}
