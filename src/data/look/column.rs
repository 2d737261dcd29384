//! One column by itself: sorted, with what its equal values say.

use super::finding::{Finding, Kind};
use crate::data::{grid_of, Grid, Table};

/// A column, sorted, and the values in it that many rows share.
pub(super) struct Column {
    pub name: String,
    /// All values, ascending.
    pub sorted: Vec<f64>,
    /// Those that are no spikes, ascending.
    pub bulk: Vec<f64>,
    /// Values that hold much of the column, each with its number of rows.
    pub spikes: Vec<(f64, usize)>,
    /// The values, where they are so few that each is a spike.
    few: Option<Vec<f64>>,
    /// The grid on which the values lie.
    pub grid: Option<Grid>,
    /// Whether they are dithered within their cells.
    pub dithered: bool,
    /// The median of the bulk.
    pub centre: f64,
    /// The standard deviation of a normal density with the bulk's quartiles; where those are equal, with wider quantiles.
    pub scale: f64,
}

/// The least share of a column that is called a spike, and the least number of rows.
const SPIKE: (f64, usize) = (0.03, 5);

/// How many times as many rows as the other values' a spike has.
const PROMINENCE: usize = 8;

/// Distinct values besides its spikes, at least, of a column that varies freely.
const OTHERS: usize = 5;

/// Distinct values, at most, of a column that is called discrete, and rows for each of them, at least.
const DISCRETE: (usize, usize) = (20, 10);

/// Rows from which a grid is found, at most.
const FOR_THE_GRID: usize = 200_000;

/// Values of which the decimals are looked at.
const LOOKED_AT: usize = 500;

/// Steps to a standard deviation from which on a grid is so fine that its column varies freely.
const FINE: f64 = 20.0;

/// Steps to a standard deviation from which on nobody minds a grid.
const MATTERS: f64 = 500.0;

impl Column {
    /// Column `place` of `table`, which is dithered on the grid `given` if there is one.
    pub fn of(table: &Table, place: usize, given: Option<Grid>) -> Self {
        let mut sorted: Vec<f64> = table.values.iter().skip(place).step_by(table.dim()).copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let grid = given.or_else(|| grid_of_some(table, place));
        let runs = runs(&sorted);
        let few = (grid.is_none() && runs.len() <= DISCRETE.0 && sorted.len() >= DISCRETE.1 * runs.len())
            .then(|| runs.iter().map(|&(value, _)| value).collect());
        let (mut spikes, mut bulk) = (Vec::new(), sorted.clone());
        if few.is_none() {
            spikes = spikes_of(&runs, sorted.len());
            bulk.retain(|value| spikes.iter().all(|&(spike, _)| spike != *value));
        }
        let (mut centre, mut scale) = centre_and_scale(&bulk);
        if grid.is_some_and(|grid| scale < FINE * grid.step) && !spikes.is_empty() {
            // On a coarse grid every value is shared, and dithering takes care of it.
            spikes.clear();
            bulk.clone_from(&sorted);
            (centre, scale) = centre_and_scale(&bulk);
        }
        Self {
            name: table.names[place].clone(),
            sorted,
            bulk,
            spikes,
            few,
            grid,
            dithered: given.is_some(),
            centre,
            scale,
        }
    }

    /// The least and the largest value.
    pub fn range(&self) -> [f64; 2] {
        [self.sorted[0], self.sorted[self.sorted.len() - 1]]
    }

    /// Whether all values are equal, up to the rounding of their mean.
    pub fn is_constant(&self) -> bool {
        let [low, high] = self.range();
        high - low <= 1e-12 * low.abs().max(high.abs())
    }

    /// Whether equal values in two rows say something: it has neither a coarse grid nor few values.
    pub fn is_continuous(&self) -> bool {
        !self.is_constant() && self.few.is_none() && self.is_fine()
    }

    /// Whether `value` is one that many rows share.
    pub fn is_spike(&self, value: f64) -> bool {
        self.spikes.iter().any(|&(spike, _)| spike == value)
    }

    pub fn constant(&self) -> Option<Finding> {
        let [value, _] = self.range();
        self.is_constant().then(|| Finding::new(Kind::Constant { column: self.name.clone(), value }))
    }

    /// Spikes, or values that are few.
    pub fn lumps(&self) -> Option<Finding> {
        let column = self.name.clone();
        if self.is_constant() {
            return None;
        }
        if let Some(values) = &self.few {
            return Some(Finding::new(Kind::FewValues { column, values: values.clone() }));
        }
        let rows: usize = self.spikes.iter().map(|(_, rows)| rows).sum();
        let share = |rows: usize| rows as f64 / self.sorted.len() as f64;
        let values = self.spikes.iter().map(|&(value, rows)| (value, share(rows))).collect();
        let edge = self.range().into_iter().any(|value| self.is_spike(value));
        (rows > 0).then(|| Finding::new(Kind::Spikes { column, values, rows, edge }))
    }

    /// The grid within whose cells it is dithered.
    pub fn dither(&self) -> Option<Grid> {
        self.grid.filter(|_| self.dithered)
    }

    /// The grid on which it lies, where that matters and it is not dithered.
    pub fn undithered(&self) -> Option<Grid> {
        self.grid.filter(|grid| !self.dithered && !self.is_constant() && self.scale < MATTERS * grid.step)
    }

    /// Whether its grid, if it has one, is so fine that the column varies freely.
    pub fn is_fine(&self) -> bool {
        self.grid.is_none_or(|grid| self.scale >= FINE * grid.step)
    }

    /// The step of the decimals in which the values are written, from some of them; 0 where they have many.
    pub fn resolution(&self) -> f64 {
        let some = || self.bulk.iter().step_by(self.bulk.len().div_ceil(LOOKED_AT).max(1));
        let written = |step: f64| {
            some().all(|value| {
                let steps = value / step;
                (steps - steps.round()).abs() <= 1e-9 * steps.abs().max(1.0)
            })
        };
        (-9..=6).rev().map(|digits| 10f64.powi(digits)).find(|&step| written(step)).unwrap_or(0.0)
    }
}

/// The grid of the column, from as many rows as are needed to see one that matters.
fn grid_of_some(table: &Table, place: usize) -> Option<Grid> {
    let values = table.values.iter().skip(place).step_by(table.dim());
    grid_of(&values.step_by(table.len().div_ceil(FOR_THE_GRID)).copied().collect::<Vec<f64>>())
}

/// Each value with its number of rows.
fn runs(sorted: &[f64]) -> Vec<(f64, usize)> {
    sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// Values that hold a share of the rows and many times as many as others do; none where the others are few.
fn spikes_of(runs: &[(f64, usize)], rows: usize) -> Vec<(f64, usize)> {
    let least = ((SPIKE.0 * rows as f64).ceil() as usize).max(SPIKE.1);
    let candidates: Vec<(f64, usize)> = runs.iter().copied().filter(|&(_, count)| count >= least).collect();
    let mut others: Vec<usize> = runs.iter().map(|&(_, count)| count).filter(|&count| count < least).collect();
    others.sort_unstable();
    // A row among the others shares its value with so many, nine times out of ten.
    let (total, mut seen) = (others.iter().sum::<usize>(), 0);
    let usual = others.iter().find(|&&count| {
        seen += count;
        10 * seen >= 9 * total
    });
    match usual {
        Some(&usual) if others.len() >= OTHERS => {
            candidates.into_iter().filter(|&(_, count)| count >= PROMINENCE * usual).collect()
        }
        _ => Vec::new(),
    }
}

/// The value below which the share `p` of `sorted` lies, between its neighbours in a straight line.
pub(super) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}

/// Median, and standard deviation of the normal density with the same quartiles.
fn centre_and_scale(sorted: &[f64]) -> (f64, f64) {
    if sorted.is_empty() {
        return (0.0, 0.0);
    }
    let spread = |p: f64, deviations: f64| (quantile(sorted, 1.0 - p) - quantile(sorted, p)) / (2.0 * deviations);
    let scale = [(0.25, 0.674_49), (0.1, 1.281_55), (0.02, 2.053_75), (0.0, 3.0)];
    let scale = scale.into_iter().map(|(p, deviations)| spread(p, deviations)).find(|&scale| scale > 0.0);
    (quantile(sorted, 0.5), scale.unwrap_or(0.0))
}
