//! What draws say of each parameter: the table that people read first.

use super::draws::WeightedDraws;
use crate::flow::FrozenModel;
use serde::Serialize;
use std::fmt::Write;

/// One parameter, in the user's units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The mean.
    pub mean: f64,
    /// The Monte Carlo standard error of the mean.
    pub standard_error: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// Quantiles at 5 %, 50 % and 95 %.
    pub quantiles: [f64; 3],
}

/// The quantiles of the table.
const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];
/// Parameters beyond this number are left out of what people see.
const SHOWN: usize = 40;

impl Parameter {
    /// The parameters of `model` by its `draws`, which are weighted if `weigh` says so (importance sampling, normalised weights).
    pub fn table(model: &FrozenModel<f64>, draws: &WeightedDraws, weigh: bool) -> Vec<Self> {
        let names = model.value_names();
        let rows = draws.points.len() / model.dim();
        let values = model.constrain(draws.points.clone(), &mut vec![0.0; rows]);
        let width = names.len();
        if rows == 0 || values.len() != rows * width {
            return Vec::new();
        }
        let largest = draws.log_weights[..rows].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weight_of = |row: usize| if weigh { (draws.log_weights[row] - largest).exp() } else { 1.0 };
        let mut weights: Vec<f64> = (0..rows).map(weight_of).map(|w| if w.is_finite() { w } else { 0.0 }).collect();
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let of = |(place, name): (usize, String)| {
            let mut column: Vec<(f64, f64)> =
                values.iter().skip(place).step_by(width).copied().zip(weights.iter().copied()).collect();
            let mean: f64 = column.iter().map(|(value, weight)| value * weight).sum();
            let variance: f64 = column.iter().map(|(value, weight)| weight * (value - mean).powi(2)).sum();
            // Of a ratio of means by the delta method; sd / √N where all weights are the same.
            let squares: f64 = column.iter().map(|(value, weight)| (weight * (value - mean)).powi(2)).sum();
            column.sort_by(|a, b| a.0.total_cmp(&b.0));
            let quantiles = QUANTILES.map(|share| {
                let mut below = 0.0;
                let found = column.iter().find(|(_, weight)| {
                    below += weight;
                    below >= share
                });
                found.or(column.last()).map_or(f64::NAN, |(value, _)| *value)
            });
            Self { name, mean, standard_error: squares.sqrt(), deviation: variance.sqrt(), quantiles }
        };
        names.into_iter().enumerate().map(of).collect()
    }

    /// The table for people.
    pub fn to_markdown(table: &[Self]) -> String {
        let mut out = String::from(
            "| parameter | mean | ± Monte Carlo | sd | 5 % | median | 95 % |\n|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for Self { name, mean, standard_error, deviation, quantiles: [low, median, high] } in table.iter().take(SHOWN) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "| {name} | {} | {} | {} | {} | {} | {} |",
                figures(*mean, *deviation),
                figures(*standard_error, 10.0 * standard_error),
                figures(*deviation, *deviation),
                figures(*low, *deviation),
                figures(*median, *deviation),
                figures(*high, *deviation)
            );
        }
        if table.len() > SHOWN {
            let _ = writeln!(out, "\n{} more are in run.json", table.len() - SHOWN);
        }
        out
    }
}

/// As many decimals as show three figures of a standard deviation.
pub fn figures(value: f64, deviation: f64) -> String {
    let decimals = (2.0 - deviation.abs().log10().floor()).clamp(0.0, 12.0);
    if !value.is_finite() || !decimals.is_finite() || value.abs() >= 1e12 {
        return format!("{value:.4e}");
    }
    // No sign for what rounds to zero.
    let value = if value.abs() < 0.5 * 10f64.powf(-decimals) { 0.0 } else { value };
    format!("{value:.0$}", decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_decimals_as_their_deviation_has_to_say() {
        assert_eq!(figures(5000.123456, 0.01), "5000.1235");
        assert_eq!(figures(12345.678, 250.0), "12346");
        assert_eq!(figures(0.5, 0.0), "0.500000000000");
        assert_eq!(figures(-0.003, 10.0), "0.0");
        assert_eq!(figures(f64::NAN, 1.0), "NaN");
    }
}
