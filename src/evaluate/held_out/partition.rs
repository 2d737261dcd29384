//! Two samples counted over the parts of a partition: a test of homogeneity, and how far apart their masses are.

use super::chance::{chi_square_above, less_chance};

/// How two samples share themselves out among parts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Partition {
    /// The share of the held-out rows in each part.
    pub rows: Vec<f64>,
    /// The share of the model's draws in each part.
    pub draws: Vec<f64>,
    /// The total variation distance over the parts, ½ Σ |rows − draws|, less what chance adds: a lower bound of that of the densities.
    pub total_variation: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Pearson's test of homogeneity (Pearson 1911).
    pub p_value: f64,
}

/// Rows that a part must be expected to have; smaller ones are counted together.
const LEAST_EXPECTED: f64 = 5.0;

impl Partition {
    /// From the numbers of rows and of draws in each part.
    pub fn of_counts(rows: &[f64], draws: &[f64]) -> Self {
        let (n, m): (f64, f64) = (rows.iter().sum(), draws.iter().sum());
        if n == 0.0 || m == 0.0 {
            return Self { p_value: 1.0, ..Self::default() };
        }
        let (mut square, mut parts) = (0.0, 0usize);
        let (mut found, mut by_chance, mut more) = (0.0, 0.0, [0.0; 2]);
        let mut count = |a: f64, b: f64| {
            let pooled = (a + b) / (n + m);
            if pooled == 0.0 {
                return;
            }
            let apart = a / n - b / m;
            let variance = pooled * (1.0 / n + 1.0 / m);
            square += apart * apart / variance;
            parts += 1;
            found += 0.5 * apart.abs();
            // E|N(0, σ²)| = σ √(2/π); the variance of a share has the factor 1 − share.
            by_chance += 0.5 * (2.0 / std::f64::consts::PI * variance * (1.0 - pooled)).sqrt();
            if apart > 0.0 {
                more[0] += a / n;
                more[1] += b / m;
            }
        };
        let mut rest = [0.0; 2];
        for (&a, &b) in rows.iter().zip(draws) {
            if n * (a + b) / (n + m) < LEAST_EXPECTED {
                rest = [rest[0] + a, rest[1] + b];
            } else {
                count(a, b);
            }
        }
        count(rest[0], rest[1]);
        Self {
            rows: rows.iter().map(|a| a / n).collect(),
            draws: draws.iter().map(|b| b / m).collect(),
            total_variation: less_chance(found, by_chance * by_chance),
            standard_error: standard_error(more, n, m),
            p_value: chi_square_above(square, parts.saturating_sub(1)),
        }
    }

    /// The part where the shares differ most.
    pub fn worst(&self) -> Option<usize> {
        let apart = |part: usize| (self.rows[part] - self.draws[part]).abs();
        (0..self.rows.len()).max_by(|&a, &b| apart(a).total_cmp(&apart(b)))
    }
}

/// The standard error of the difference of a share among n and one among m. Shares of 0 and 1 are not taken to be known: half a case
/// is added on either side.
pub fn standard_error([a, b]: [f64; 2], n: f64, m: f64) -> f64 {
    let variance = |share: f64, n: f64| {
        let share = (share * n + 0.5) / (n + 1.0);
        share * (1.0 - share) / n
    };
    (variance(a, n) + variance(b, m)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homogeneity_is_that_of_scipy() {
        // scipy.stats.chi2_contingency([[30, 50, 20], [200, 150, 150]], correction=False).
        let partition = Partition::of_counts(&[30.0, 50.0, 20.0], &[200.0, 150.0, 150.0]);
        assert!((partition.p_value - SCIPY).abs() < 1e-9, "{}", partition.p_value);
        assert_eq!(partition.worst(), Some(1));
        assert!((partition.rows[1] - partition.draws[1] - 0.2).abs() < 1e-12);
        assert!(partition.total_variation > 0.19 && partition.total_variation < 0.2);
    }
    const SCIPY: f64 = 0.000_522_155_690_424_563_7;

    #[test]
    fn equal_shares_are_no_distance_and_few_rows_are_counted_together() {
        let even = Partition::of_counts(&[10.0, 10.0], &[1000.0, 1000.0]);
        assert_eq!((even.total_variation, even.p_value), (0.0, 1.0));
        // Forty parts of one row each are one part.
        let thin = Partition::of_counts(&[1.0; 40], &[1.0; 40]);
        assert_eq!(thin.p_value, 1.0);
        assert_eq!(Partition::of_counts(&[0.0], &[3.0]).p_value, 1.0);
    }
}
