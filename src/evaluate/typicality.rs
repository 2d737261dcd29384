//! How usual log densities are: among rows that a model has not seen, and among its own draws.
//!
//! The density alone does not tell an outlier: in many dimensions the mode itself is a place where no draw ever falls (Nalisnick, Matsukawa,
//! Teh and Lakshminarayanan 2019). So a row is compared twice. Against held-out rows, one-sided: a *conformal* p-value (Vovk, Gammerman and
//! Shafer 2005), which is exact whatever the model, as long as the row is exchangeable with them. Against draws of the model, two-sided: is
//! its log density among those that the model's own draws have?

use crate::flow::FrozenModel;
use crate::seed::{open_unit, Stream};

/// Log densities in order, to compare others with. −∞, the log density outside the bounds of a model, is below all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference(Vec<f64>);

impl Reference {
    /// Of log densities in any order; those that are not numbers are left out.
    pub fn new(mut log_densities: Vec<f64>) -> Self {
        log_densities.retain(|value| !value.is_nan());
        log_densities.sort_by(f64::total_cmp);
        Self(log_densities)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// P(as low as `value` or lower) = (1 + #{others ≤ value}) / (n + 1): uniform on the multiples of 1 / (n + 1) if `value` and the others are
    /// exchangeable and without ties, and above that with ties.
    pub fn p_low(&self, value: f64) -> f64 {
        self.share(self.0.partition_point(|&other| other <= value))
    }

    /// P(as far out, on whichever side) = min(1, 2 min(P(as low), P(as high))).
    pub fn p_two_sided(&self, value: f64) -> f64 {
        let as_high = self.share(self.0.len() - self.0.partition_point(|&other| other < value));
        (2.0 * self.p_low(value).min(as_high)).min(1.0)
    }

    fn share(&self, count: usize) -> f64 {
        (1 + count) as f64 / (self.0.len() + 1) as f64
    }

    /// The means of `batches` batches of `size` of them, drawn with replacement: what the mean log density of a batch is compared with. −∞
    /// counts as the lowest that is finite, so that one row outside the bounds does not decide on its batch alone.
    pub fn of_batches(&self, size: usize, batches: usize, stream: &Stream) -> Self {
        let mut means = Vec::with_capacity(batches);
        for batch in 0..batches {
            let mut random = stream.row(batch as u64);
            let place = |u: f64| ((u * self.0.len() as f64) as usize).min(self.0.len() - 1);
            let drawn: Vec<f64> = (0..size).map(|_| self.0[place(open_unit(&mut random))]).collect();
            means.push(self.mean(&drawn));
        }
        Self::new(means)
    }

    /// The mean of the log densities of a batch, as [`Reference::of_batches`] takes it.
    pub fn mean(&self, batch: &[f64]) -> f64 {
        let lowest = self.0.iter().copied().find(|value| value.is_finite()).unwrap_or(f64::MIN);
        let finite = |value: &f64| if *value == f64::NEG_INFINITY { lowest } else { *value };
        batch.iter().map(finite).sum::<f64>() / batch.len() as f64
    }
}

/// The log densities of rows of a model's coordinates, put onto the grids of its columns first: those of the values of its parameters where
/// these have supports, as `log-prob` gives them.
///
/// # Panics
/// If `rows` are not whole rows.
pub fn log_densities(model: &FrozenModel<f64>, mut rows: Vec<f64>) -> Vec<f64> {
    let dim = model.dim();
    assert_eq!(rows.len() % dim, 0);
    model.snap(&mut rows);
    let mut log_prob = vec![0.0; rows.len() / dim];
    for (rows, log_prob) in rows.chunks(BLOCK * dim).zip(log_prob.chunks_mut(BLOCK)) {
        model.log_prob(rows, log_prob);
    }
    model.constrain(rows, &mut log_prob);
    log_prob
}

/// Rows evaluated at a time.
const BLOCK: usize = 8192;
