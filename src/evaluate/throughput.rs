//! How fast a model gives draws with their log densities.

use crate::flow::{FrozenModel, Method, Orientation};
use crate::ops::real::Real;
use crate::seed::Seed;
use serde::Serialize;
use std::time::Instant;

/// One measured rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throughput {
    /// `teacher` or `student`.
    pub model: &'static str,
    /// How its draws are computed: `one pass`, `cached inversion` or `one pass per dimension`.
    pub method: &'static str,
    /// Draws in each call.
    pub batch: usize,
    /// Draws per second, the median of the repeats; random numbers and log densities are in the time.
    pub draws_per_second: f64,
    /// Draws per second × ESS/N, where the ESS is known.
    pub effective_per_second: Option<f64>,
}

/// Repeats of which the median is taken.
const REPEATS: usize = 5;

/// The least time that one repeat takes.
const REPEAT_SECONDS: f64 = 0.05;

/// Measures every method by which `model` draws, at each batch size; `ess` is its ESS/N as a sampler, where it is known.
pub fn measure<F: Real>(
    name: &'static str,
    model: &FrozenModel<F>,
    batches: &[usize],
    ess: Option<f64>,
) -> Vec<Throughput> {
    let methods: &[(Method, &'static str)] = match model.orientation() {
        Orientation::Sampling => &[(Method::Cached, "one pass")],
        Orientation::Density => &[(Method::Passes, "one pass per dimension"), (Method::Cached, "cached inversion")],
    };
    let mut rows = Vec::new();
    for &(method, label) in methods {
        for &batch in batches {
            let draws_per_second = rate(model, method, batch);
            let effective_per_second = ess.map(|ess| ess * draws_per_second);
            rows.push(Throughput { model: name, method: label, batch, draws_per_second, effective_per_second });
        }
    }
    rows
}

fn rate<F: Real>(model: &FrozenModel<F>, method: Method, batch: usize) -> f64 {
    let dim = model.dim();
    let noise = Seed(0).stream("throughput");
    let (mut points, mut log_prob) = (vec![0.0; batch * dim], vec![0.0; batch]);
    let mut drawn = 0u64;
    let mut draw = || {
        model.draw(method, &noise, drawn, &mut points, &mut log_prob);
        drawn += batch as u64;
    };
    let start = Instant::now();
    draw();
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let calls = (REPEAT_SECONDS / once).ceil().max(1.0) as usize;
    let mut rates: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| draw());
            (calls * batch) as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[REPEATS / 2]
}
