//! From values to places along a line, and the round values that are written beside it.

/// An axis, linear or logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// The least value shown.
    pub low: f64,
    /// The largest value shown.
    pub high: f64,
    /// Where the least value is.
    from: f64,
    /// Where the largest value is.
    to: f64,
    logarithmic: bool,
}

impl Axis {
    /// From `low` to `high`, which are moved apart where they are the same.
    pub fn new(low: f64, high: f64) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        let (low, high) = (low.min(high), low.max(high));
        let least = 1e-9 * low.abs().max(high.abs()).max(1e-300);
        let (low, high) = if high - low > least {
            (low, high)
        } else {
            let room = if low == 0.0 { 0.5 } else { 0.5 * low.abs() };
            (low - room, high + room)
        };
        Self { low, high, from: 0.0, to: 1.0, logarithmic: false }
    }

    /// With all of `values`, and a twentieth more on both sides.
    pub fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        values.filter(|value| value.is_finite()).for_each(|value| (low, high) = (low.min(value), high.max(value)));
        let tight = Self::new(low, high);
        let room = 0.05 * (tight.high - tight.low);
        Self::new(tight.low - room, tight.high + room)
    }

    /// Powers of ten, from the one at or below `low`, which is above 0, to the one at or above `high`.
    pub fn powers(low: f64, high: f64) -> Self {
        let (low, high) = (low.max(1e-300).log10().floor(), high.max(1e-300).log10().ceil());
        let high = if high > low { high } else { low + 1.0 };
        Self { logarithmic: true, ..Self { low: 10f64.powf(low), high: 10f64.powf(high), ..Self::new(0.0, 1.0) } }
    }

    /// Laid out from one place to another.
    pub fn along(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    fn scaled(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => (value.max(1e-300) / self.low).log10() / (self.high / self.low).log10(),
            false => (value - self.low) / (self.high - self.low),
        }
    }

    /// Where a value is; what is beyond the ends is put at the ends.
    pub fn at(&self, value: f64) -> f64 {
        self.from + self.scaled(value).clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Whether it shows a value.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round values, about so many of them, and how they are written.
    pub fn ticks(&self, about: usize) -> Vec<(f64, String)> {
        if self.logarithmic {
            let (low, high) = (self.low.log10().round() as i32, self.high.log10().round() as i32);
            let every = ((high - low) as usize).div_ceil(about.max(1)).max(1);
            return (low..=high).step_by(every).map(|power| (10f64.powi(power), power_of_ten(power))).collect();
        }
        let rough = (self.high - self.low) / about.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        // The round step that is nearest by its ratio.
        let off = |step: &f64| (step / rough).ln().abs();
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(power);
        let first = (self.low / step - 1e-9).ceil();
        let count = ((self.high / step + 1e-9).floor() - first + 1.0).clamp(0.0, 50.0) as usize;
        let values = (0..count).map(|k| (first + k as f64) * step);
        values.map(|value| (value, written(value, step))).collect()
    }
}

fn power_of_ten(power: i32) -> String {
    match power {
        -2..=4 => format!("{}", 10f64.powi(power)),
        _ => format!("1e{power}"),
    }
}

/// A multiple of `step`, with as many decimals as that has.
fn written(value: f64, step: f64) -> String {
    let value = if value.abs() < 1e-9 * step { 0.0 } else { value };
    let largest = value.abs().max(step);
    if !(1e-3..1e5).contains(&largest) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e").replace("0e0", "0");
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(axis: Axis, about: usize) -> Vec<String> {
        axis.ticks(about).into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(words(Axis::new(-3.2, 7.1), 5), ["−2", "0", "2", "4", "6"]);
        assert_eq!(words(Axis::new(0.0, 0.5), 5), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(words(Axis::new(1000.002, 1000.008), 3), ["1000.002", "1000.004", "1000.006", "1000.008"]);
        assert_eq!(words(Axis::powers(3.0, 2e6), 7), ["1", "10", "100", "1000", "10000", "1e5", "1e6", "1e7"]);
        for (low, high) in [(0.0, 0.0), (5.0, 5.0), (f64::NAN, 1.0), (-1e300, 1e300), (1e-12, 2e-12)] {
            let axis = Axis::new(low, high);
            let ticks = axis.ticks(4);
            assert!(!ticks.is_empty() && ticks.iter().all(|(value, _)| axis.holds(*value)), "{low} {high}: {ticks:?}");
        }
    }

    #[test]
    fn places_run_from_end_to_end() {
        let axis = Axis::new(0.0, 10.0).along(100.0, 0.0);
        assert_eq!([axis.at(0.0), axis.at(2.5), axis.at(99.0)], [100.0, 75.0, 0.0]);
        let powers = Axis::powers(1.0, 100.0).along(0.0, 100.0);
        assert!((powers.at(10.0) - 50.0).abs() < 1e-9);
    }
}
