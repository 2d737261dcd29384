//! Columns whose values lie on a regular grid: recognised from the values, and rounding to it.

use serde::{Deserialize, Serialize};

/// The places origin + k · step, for whole k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// One of the places, in the column's unit; at least 0 and below the step, where the column is written in decimals.
    pub origin: f64,
    /// The distance between neighbours, above 0, in the column's unit.
    pub step: f64,
}

/// Numbers that are written in decimals have at most this many behind the point.
const MOST_DECIMALS: i32 = 12;

/// The parts of the smallest gap that are tried as steps, where a column is not written in decimals.
const PARTS: u32 = 12;

/// A grid is told from a column of its own only if at least this share of its rows (the commonest value aside, which may be a spike)
/// have their value in common with another row: with fewer a cell holds so little that nobody can tell it from a point.
const TIED: f64 = 0.5;

/// Besides, a typical row's cell must hold this many, or a step be at least [`COARSE`] of the range of the middle four fifths of the rows.
const SEVERAL: usize = 3;

/// See [`SEVERAL`].
const COARSE: f64 = 0.01;

/// The largest median distance, in steps, from a row's value to the nearest other value. Beyond it the column is a handful of separate
/// levels, which a grid that fits between all of them does not describe.
const WIDEST_GAP: f64 = 8.0;

/// Rounding that a value may have gone through, relative to the column's largest: to double and to single precision.
const ROUNDING: [f64; 2] = [1e-15, 1.5e-7];

/// A value is on a grid if it is within this share of a step, or its rounding if that is less, of a place.
const ON_GRID: f64 = 0.01;

impl Grid {
    /// The grid of whole numbers.
    pub const WHOLE: Grid = Grid { origin: 0.0, step: 1.0 };

    /// Whether origin and step are finite, and the step above 0.
    pub fn is_sound(&self) -> bool {
        self.origin.is_finite() && self.step.is_finite() && self.step > 0.0
    }

    /// The place nearest to `value`. Where origin and step are decimals so is the place: 20.1, not 20.100000000000001.
    pub fn nearest(&self, value: f64) -> f64 {
        let place = self.origin + self.step * ((value - self.origin) / self.step).round();
        let written = self.decimals().map(|decimals| {
            let power = 10f64.powi(decimals);
            (place * power).round() / power
        });
        // Adding zero takes the sign off −0.
        written.filter(|written| (written - place).abs() < ON_GRID * self.step).unwrap_or(place) + 0.0
    }

    /// Whether `value` is one of the places, up to rounding.
    pub fn holds(&self, value: f64) -> bool {
        let place = self.origin + self.step * ((value - self.origin) / self.step).round();
        (value - place).abs()
            <= (ROUNDING[1] * value.abs().max(self.origin.abs())).clamp(1e-9 * self.step, ON_GRID * self.step)
    }

    /// How many decimals origin and step have, if both are written in decimals.
    fn decimals(&self) -> Option<i32> {
        let whole = |value: f64, power: f64| {
            let scaled = value * power;
            scaled.abs() < 1e15 && (scaled - scaled.round()).abs() <= 4.0 * f64::EPSILON * scaled.abs()
        };
        (0..=MOST_DECIMALS).find(|&decimals| {
            let power = 10f64.powi(decimals);
            whole(self.step, power) && whole(self.origin, power)
        })
    }
}

/// The grid on which all `values` of a column lie, if there is one and it is coarse enough to matter: half of the rows share their
/// values with others, and neighbouring values are few steps apart. Values may carry the rounding of their decimals (20.1 + 10⁻¹⁵) or of
/// single precision. A column of numbers in full precision is on no grid, whatever one of its values repeats.
pub fn grid_of(values: &[f64]) -> Option<Grid> {
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let largest = sorted.first()?.abs().max(sorted.last()?.abs());
    let middle = sorted[sorted.len() * 9 / 10] - sorted[sorted.len() / 10];
    ROUNDING.iter().find_map(|rounding| {
        let levels = Levels::of(&sorted, rounding * largest);
        (levels.places.len() >= 2 && levels.tied() >= TIED).then_some(())?;
        let grids = levels.in_decimals().into_iter().chain(levels.by_gap());
        let coarse = |step: f64| levels.typical_count() >= SEVERAL || step >= COARSE * middle;
        grids.into_iter().find(|grid| levels.median_gap() <= WIDEST_GAP * grid.step && coarse(grid.step))
    })
}

/// The distinct values of a column.
struct Levels {
    /// Their places, ascending.
    places: Vec<f64>,
    /// How many rows have each.
    counts: Vec<usize>,
    /// How far a row may be from the place that it means.
    noise: f64,
}

impl Levels {
    /// The levels of `sorted` values, where those that are closer than twice the noise are one.
    fn of(sorted: &[f64], noise: f64) -> Self {
        let (mut places, mut counts): (Vec<f64>, Vec<usize>) = (Vec::new(), Vec::new());
        for &value in sorted {
            match (places.last(), counts.last_mut()) {
                (Some(place), Some(count)) if value - place <= 2.0 * noise => *count += 1,
                _ => {
                    places.push(value);
                    counts.push(1);
                }
            }
        }
        Self { places, counts, noise }
    }

    /// The share of rows that have their value in common with others, the commonest value aside.
    fn tied(&self) -> f64 {
        let commonest = self.counts.iter().max().copied().unwrap_or(0);
        let rows = self.counts.iter().sum::<usize>() - commonest;
        let tied: usize = self.counts.iter().filter(|&&count| count > 1).sum();
        tied.saturating_sub(commonest) as f64 / rows.max(1) as f64
    }

    /// The number of rows with the value of a row, in the median over rows, the commonest value aside.
    fn typical_count(&self) -> usize {
        let mut counts = self.counts.clone();
        counts.sort_unstable();
        counts.pop();
        let half = counts.iter().sum::<usize>() / 2;
        let mut below = 0;
        let median = counts.iter().find(|&&count| {
            below += count;
            below > half
        });
        median.copied().unwrap_or(0)
    }

    /// The median over rows of the distance to the nearest other value.
    fn median_gap(&self) -> f64 {
        let gap = |i: usize| {
            let below = i.checked_sub(1).map_or(f64::INFINITY, |below| self.places[i] - self.places[below]);
            self.places.get(i + 1).map_or(below, |above| below.min(above - self.places[i]))
        };
        let mut gaps: Vec<(f64, usize)> = self.counts.iter().enumerate().map(|(i, &count)| (gap(i), count)).collect();
        gaps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let half = self.counts.iter().sum::<usize>() / 2;
        let mut below = 0;
        let median = gaps.iter().find(|(_, count)| {
            below += count;
            below > half
        });
        median.map_or(f64::INFINITY, |(gap, _)| *gap)
    }

    /// The grid of the greatest common divisor, where all values are decimals of at most [`MOST_DECIMALS`] places.
    fn in_decimals(&self) -> Option<Grid> {
        let (power, whole) = (0..=MOST_DECIMALS).find_map(|decimals| {
            let power = 10f64.powi(decimals);
            let whole = self.places.iter().map(|place| {
                let scaled = place * power;
                let allowed = (self.noise * power).max(4.0 * f64::EPSILON * scaled.abs());
                // Where rounding is as wide as the decimals, everything is a decimal.
                let on = scaled.abs() < 9e15 && allowed < ON_GRID && (scaled - scaled.round()).abs() <= allowed;
                on.then_some(scaled.round() as i64)
            });
            Some((power, whole.collect::<Option<Vec<i64>>>()?))
        })?;
        let step = whole.iter().fold(0, |divisor, place| common_divisor(divisor, place - whole[0]));
        let step = (step > 0).then_some(step)?;
        Some(Grid { origin: whole[0].rem_euclid(step) as f64 / power, step: step as f64 / power })
    }

    /// The grid whose step is the smallest gap or a small part of it, fitted to the values by least squares: for columns that were
    /// multiplied by a factor on their way, such as degrees Fahrenheit written as Celsius.
    fn by_gap(&self) -> Option<Grid> {
        let (first, last) = (self.places[0], self.places[self.places.len() - 1]);
        let smallest = self.places.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        (1..=PARTS).find_map(|parts| {
            // The smallest gap has the noise of two values. What is found from places near the first makes the step exact enough to
            // number those that are further off.
            let mut step = smallest / f64::from(parts);
            let mut reach = 8.0 * smallest;
            loop {
                let (mut products, mut squares) = (0.0, 0.0);
                for place in self.places.iter().take_while(|&place| place - first <= reach) {
                    let number = ((place - first) / step).round();
                    products += number * (place - first);
                    squares += number * number;
                }
                if squares > 0.0 {
                    step = products / squares;
                }
                if reach >= last - first {
                    break;
                }
                reach *= 2.0;
            }
            let grid = Grid { origin: first, step };
            let allowed = 4.0 * self.noise;
            let on = |place: &f64| (place - first - step * ((place - first) / step).round()).abs() <= allowed;
            (grid.is_sound() && allowed < ON_GRID * step && self.places.iter().all(on)).then_some(grid)
        })
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
fn common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// `rows` draws of a normal distribution.
    fn normals(rows: usize) -> Vec<f64> {
        let mut values = vec![0.0; rows];
        Seed(1).stream("normals").normals(0, 1, &mut values);
        values
    }

    /// Normal draws of a deviation, put on a grid.
    fn on_grid(rows: usize, deviation: f64, origin: f64, step: f64) -> Vec<f64> {
        normals(rows).iter().map(|z| origin + step * (z * deviation / step).round()).collect()
    }

    #[test]
    fn regular_steps_are_found_whatever_they_are() {
        for (origin, step, deviation) in [
            (0.0, 1.0, 3.0),
            (0.0, 0.1, 2.0),
            (0.0, 5.0, 40.0),
            (0.0, 0.25, 3.0),
            (0.05, 0.1, 2.0),
            (2.0, 5.0, 40.0),
            (0.0, 1e-6, 5e-6),
            (0.0, 1000.0, 1e4),
            (0.0, 0.5, 0.3),
        ] {
            for rows in [200, 6000] {
                let values = on_grid(rows, deviation, origin, step);
                let grid = grid_of(&values).unwrap_or_else(|| panic!("{step} of {rows} rows"));
                assert!((grid.step / step - 1.0).abs() < 1e-12, "{grid:?} for {step}");
                assert!((grid.origin - origin).abs() < 1e-12 * step.max(1.0), "{grid:?} for {origin}");
                assert!(values.iter().all(|&value| grid.holds(value)));
                assert!(values.iter().all(|&value| (grid.nearest(value + 0.4 * step) - value).abs() < 1e-9 * step));
            }
        }
    }

    #[test]
    fn steps_that_are_no_decimals_are_found() {
        for step in [1.0 / 3.0, 5.0 / 9.0, 1.0 / 1024.0, std::f64::consts::PI, 0.45359237e-3] {
            let origin = 100.0 * step + 0.123;
            let values = on_grid(3000, 12.0 * step, origin, step);
            let grid = grid_of(&values).unwrap_or_else(|| panic!("{step}"));
            assert!((grid.step / step - 1.0).abs() < 1e-9, "{grid:?} for {step}");
            assert!(values.iter().all(|&value| (grid.nearest(value) - value).abs() < 1e-6 * step));
        }
    }

    #[test]
    fn rounding_of_decimals_and_of_single_precision_is_no_harm() {
        let values = on_grid(6000, 2.0, 20.0, 0.1);
        let noisy: Vec<f64> = values.iter().enumerate().map(|(i, v)| v * (1.0 + 3e-16 * (i % 3) as f64)).collect();
        let single: Vec<f64> = values.iter().map(|&value| f64::from(value as f32)).collect();
        for values in [noisy, single] {
            let grid = grid_of(&values).expect("a grid");
            assert_eq!(grid, Grid { origin: 0.0, step: 0.1 });
            assert!(values.iter().all(|&value| grid.holds(value)));
        }
        assert_eq!(Grid { origin: 0.0, step: 0.1 }.nearest(20.1 + 4e-15), 20.1);
        assert_eq!(Grid { origin: 0.05, step: 0.1 }.nearest(0.17), 0.15);
        assert!(Grid::WHOLE.nearest(-0.3).is_sign_positive());
    }

    #[test]
    fn counts_with_a_long_tail_and_years_are_on_a_grid() {
        let counts: Vec<f64> = normals(5000).iter().map(|z| (2.0 * z).exp().floor()).collect();
        assert_eq!(grid_of(&counts), Some(Grid::WHOLE));
        let years: Vec<f64> = normals(500).iter().map(|z| 1990.0 + (8.0 * z).round()).collect();
        assert_eq!(grid_of(&years), Some(Grid::WHOLE));
        let seconds: Vec<f64> = normals(5000).iter().map(|z| 1.6e9 + 60.0 * (20.0 * z).round()).collect();
        assert_eq!(grid_of(&seconds).map(|grid| grid.step), Some(60.0));
        let few: Vec<f64> = normals(40).iter().map(|z| 50.0 + (8.0 * z).round()).collect();
        assert_eq!(grid_of(&few), Some(Grid::WHOLE));
        let binary: Vec<f64> = normals(100).iter().map(|&z| f64::from(u8::from(z > 1.0))).collect();
        assert_eq!(grid_of(&binary), Some(Grid::WHOLE));
        // Ages that most people round to five.
        let heaped: Vec<f64> = normals(4000)
            .iter()
            .enumerate()
            .map(|(i, z)| if i % 10 == 0 { 40.0 + (12.0 * z).round() } else { 40.0 + 5.0 * (2.4 * z).round() })
            .collect();
        assert_eq!(grid_of(&heaped), Some(Grid::WHOLE));
    }

    #[test]
    fn full_precision_is_never_on_a_grid() {
        for rows in [2, 3, 10, 1000, 20_000] {
            assert_eq!(grid_of(&normals(rows)), None, "{rows} rows");
            let single: Vec<f64> = normals(rows).iter().map(|&value| f64::from(value as f32)).collect();
            assert_eq!(grid_of(&single), None, "{rows} rows of single precision");
        }
        // A spike, every row three times, and censoring at both ends.
        let spiked: Vec<f64> =
            normals(6000).iter().enumerate().map(|(i, &z)| if i % 3 == 0 { 0.0 } else { z }).collect();
        assert_eq!(grid_of(&spiked), None);
        let thrice: Vec<f64> = normals(2000).iter().flat_map(|&z| [z; 3]).collect();
        assert_eq!(grid_of(&thrice), None);
        let censored: Vec<f64> = normals(6000).iter().map(|z| z.clamp(-0.5, 0.5)).collect();
        assert_eq!(grid_of(&censored), None);
    }

    #[test]
    fn a_grid_that_is_too_fine_to_matter_or_too_uneven_is_none() {
        // Three decimals of a column that was dithered and written down: two rows to a cell.
        assert_eq!(grid_of(&on_grid(15_000, 3.5, 0.0, 1e-3)), None);
        // Six decimals of a column of unit deviation, 6,000 rows: hardly a tie.
        assert_eq!(grid_of(&on_grid(6000, 1.0, 0.0, 1e-6)), None);
        // All different whole numbers.
        assert_eq!(grid_of(&(0..1000).map(f64::from).collect::<Vec<_>>()), None);
        // A spike on a grid that is otherwise too fine.
        let spiked: Vec<f64> =
            on_grid(6000, 1.0, 0.0, 1e-6).iter().enumerate().map(|(i, &z)| if i % 2 == 0 { 0.0 } else { z }).collect();
        assert_eq!(grid_of(&spiked), None);
        // A handful of uneven levels.
        let levels: Vec<f64> = (0..300).map(|i| [1.0, 2.5, 7.13][i % 3]).collect();
        assert_eq!(grid_of(&levels), None);
    }

    #[test]
    fn what_is_no_column_has_no_grid() {
        for values in
            [&[][..], &[1.0], &[2.0, 2.0, 2.0], &[0.0, 0.0], &[1.0, f64::NAN, 1.0], &[1.0, f64::INFINITY, 1.0]]
        {
            assert_eq!(grid_of(values), None, "{values:?}");
        }
        assert!(grid_of(&[1e300, -1e300, 1e300, -1e300]).is_none_or(|grid| grid.is_sound()));
        assert!(grid_of(&[1e-300, 2e-300, 1e-300, 2e-300]).is_none_or(|grid| grid.is_sound()));
    }
}
