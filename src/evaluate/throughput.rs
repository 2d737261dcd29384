//! How fast a model gives draws with their log densities.

use crate::flow::{Cost, FrozenModel, Method, Orientation};
use crate::memory;
use crate::ops::real::Real;
use crate::seed::Seed;
use serde::Serialize;
use std::time::Instant;

/// One measured rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throughput {
    /// `teacher` or `student`.
    pub model: &'static str,
    /// How its draws are computed: of a student `one pass`; of a teacher whose layers go variable by variable `one pass per dimension` (or
    /// `per group`) and `cached inversion`; `one pass back` of one whose layers have formulas for both directions, such as coupling layers;
    /// `solved equations` where one is solved step by step; and what these make together.
    pub method: &'static str,
    /// Draws in each call.
    pub batch: usize,
    /// Draws per second, the median of the repeats; random numbers and log densities are in the time.
    pub draws_per_second: f64,
    /// Draws per second × ESS/N, where the ESS is known.
    pub effective_per_second: Option<f64>,
    /// Seconds for one draw, the inverse of the rate.
    pub seconds_per_draw: f64,
    /// The most memory that the process held while it drew, in bytes, where the system tells; none for an estimate.
    pub peak_memory: Option<u64>,
    /// Whether the rate is that of a smaller batch, because this one would have taken too long.
    pub estimated: bool,
}

/// A rate as it is shown: three of its figures mean something.
pub fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powf((rate.max(1.0).log10().floor() - 2.0).max(0.0));
    (rate / unit).round() * unit
}

/// Repeats of which the median is taken.
const REPEATS: usize = 5;

/// The least time that one repeat takes.
const REPEAT_SECONDS: f64 = 0.05;

/// The longest time that a row may take; beyond it the rate of [`PROBE`] draws stands for it.
const LONGEST_SECONDS: f64 = 30.0;

/// Draws of the batch by which the time of a larger one is foretold.
const PROBE: usize = 256;

/// Measures every method by which `model` draws, at each batch size; `ess` is its ESS/N as a sampler, where it is known. One that is given
/// something is given what is in the middle.
pub fn measure<F: Real>(
    name: &'static str,
    model: &FrozenModel<F>,
    batches: &[usize],
    ess: Option<f64>,
) -> Vec<Throughput> {
    let at_middle = model.at(&model.middle());
    let model = at_middle.as_ref().unwrap_or(model);
    let variables = model.dim() - model.space().given;
    let mut rows = Vec::new();
    for &(method, label) in methods(model.orientation(), model.cost(), variables) {
        for &batch in batches {
            let Rate { draws_per_second, estimated, peak_memory } = rate(model, method, batch, LONGEST_SECONDS);
            rows.push(Throughput {
                model: name,
                method: label,
                batch,
                draws_per_second,
                effective_per_second: ess.map(|ess| ess * draws_per_second),
                seconds_per_draw: 1.0 / draws_per_second,
                peak_memory,
                estimated,
            });
        }
    }
    rows
}

/// The ways in which a model of so many variables is drawn from, and what they are called.
fn methods(orientation: Orientation, cost: Cost, variables: usize) -> &'static [(Method, &'static str)] {
    match (orientation, cost.draws.steps, cost.draws.solved) {
        (_, 0 | 1, true) => &[(Method::Cached, "solved equations")],
        (Orientation::Sampling, ..) => &[(Method::Cached, "one pass")],
        (_, 0 | 1, false) => &[(Method::Cached, "one pass back")],
        (_, _, true) => &[(Method::Passes, "passes and equations"), (Method::Cached, "cached, equations")],
        (_, passes, false) if passes < variables => {
            &[(Method::Passes, "one pass per group"), (Method::Cached, "cached inversion")]
        }
        _ => &[(Method::Passes, "one pass per dimension"), (Method::Cached, "cached inversion")],
    }
}

struct Rate {
    draws_per_second: f64,
    estimated: bool,
    peak_memory: Option<u64>,
}

fn rate<F: Real>(model: &FrozenModel<F>, method: Method, batch: usize, longest: f64) -> Rate {
    let dim = model.dim();
    let probe = batch.min(PROBE);
    let mut drawn = 0u64;
    let noise = Seed(0).stream("throughput");
    memory::reset_peak();
    let (mut points, mut log_prob) = (vec![0.0; probe * dim], vec![0.0; probe]);
    // Returns the seconds that a call took.
    let mut draw = |points: &mut [f64], log_prob: &mut [f64]| {
        let start = Instant::now();
        model.draw(method, &noise, drawn, points, log_prob);
        drawn += log_prob.len() as u64;
        start.elapsed().as_secs_f64().max(1e-9)
    };
    let mut once = draw(&mut points, &mut log_prob);
    let foretold = once * (batch as f64 / probe as f64) * (1 + REPEATS) as f64;
    let estimated = foretold > longest;
    if !estimated && probe < batch {
        points.resize(batch * dim, 0.0);
        log_prob.resize(batch, 0.0);
        once = draw(&mut points, &mut log_prob);
    }
    let calls = (REPEAT_SECONDS / once).ceil().max(1.0) as usize;
    let mut rates: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let seconds: f64 = (0..calls).map(|_| draw(&mut points, &mut log_prob)).sum();
            (calls * log_prob.len()) as f64 / seconds
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let peak_memory = if estimated { None } else { memory::peak() };
    Rate { draws_per_second: rates[REPEATS / 2], estimated, peak_memory }
}

/// What a person should know about the student's advantage at the largest batch, in one sentence; none without both models.
pub fn verdict(rows: &[Throughput]) -> Option<String> {
    let largest = |name: &str| rows.iter().filter(|row| row.model == name).map(|row| row.batch).max();
    // The quickest way of each at its largest batch.
    let find = |name: &str| {
        let batch = largest(name)?;
        let there = rows.iter().filter(|row| row.model == name && row.batch == batch);
        there.max_by(|a, b| a.draws_per_second.total_cmp(&b.draws_per_second))
    };
    let (student, teacher) = (find("student")?, find("teacher")?);
    let raw = student.draws_per_second / teacher.draws_per_second;
    let effective = match (student.effective_per_second, teacher.effective_per_second) {
        (Some(student), Some(teacher)) => student / teacher,
        _ => raw,
    };
    let (batch, method) = (student.batch, teacher.method);
    let compared = format!("{raw:.2}× the draws and {effective:.2}× the effective draws of");
    Some(if effective < NEARLY {
        format!(
            "at batch {batch} the teacher with {method} is about as fast: the student gives {compared} it; \
             draw from the teacher"
        )
    } else {
        format!("at batch {batch} the student gives {compared} the teacher with {method}; draw from the student")
    })
}

/// Below this ratio of effective rates a student is hardly worth its fit for speed alone.
const NEARLY: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditioner::{Split, Structure};
    use crate::flow::{Continuous, Flow, FlowConfig, LayerSpec, Layers, MaskedSpec, Model, Residual, Standardisation};
    use crate::target::Constraint;

    fn model(orientation: Orientation) -> FrozenModel<f32> {
        of_layers(Layers::Count(1), orientation)
    }

    fn of_layers(layers: Layers, orientation: Orientation) -> FrozenModel<f32> {
        let config = FlowConfig { layers, hidden: vec![8], ..FlowConfig::default() };
        let flow = Flow::new(&Default::default(), 2, &config, orientation, &Seed(1).stream("init")).expect("a flow");
        let names = vec!["x".into(), "y".into()];
        let (standardisation, constraint) = (Standardisation::identity(2), Constraint::default());
        Model { flow, standardisation, names, columns: Default::default(), constraint, held_out: Vec::new() }.freeze()
    }

    #[test]
    fn ways_of_drawing_are_called_what_they_are() {
        let masked = |structure| LayerSpec::Masked(MaskedSpec { structure: Some(structure), ..MaskedSpec::default() });
        let hidden = vec![4];
        let residual = LayerSpec::Residual(Residual { hidden: hidden.clone(), ..Residual::default() });
        let continuous = LayerSpec::Continuous(Continuous { hidden, tolerance: 1e-3, ..Continuous::default() });
        let [coupling, each] = [Structure::Coupling(Split::Halves), Structure::Autoregressive].map(masked);
        for (layers, teacher, student) in [
            (vec![each.clone()], &["one pass per dimension", "cached inversion"][..], "one pass"),
            (vec![coupling.clone(), LayerSpec::Radial], &["one pass back"], "one pass"),
            (vec![LayerSpec::Planar], &["solved equations"], "one pass"),
            (vec![coupling, residual], &["solved equations"], "one pass"),
            (vec![continuous], &["solved equations"], "solved equations"),
            (vec![each, LayerSpec::Planar], &["passes and equations", "cached, equations"], "one pass"),
        ] {
            let of = |orientation| {
                let model = of_layers(Layers::Listed(layers.clone()), orientation);
                methods(orientation, model.cost(), 2).iter().map(|(_, label)| *label).collect::<Vec<_>>()
            };
            assert_eq!(of(Orientation::Density), teacher, "{layers:?}");
            assert_eq!(of(Orientation::Sampling), [student], "{layers:?}");
        }
    }

    #[test]
    fn a_batch_that_would_take_too_long_is_estimated_and_says_so() {
        let model = model(Orientation::Density);
        let Rate { estimated, peak_memory, draws_per_second } = rate(&model, Method::Passes, 100_000, 1e-7);
        assert!(estimated && peak_memory.is_none() && draws_per_second > 0.0);
        assert!(!rate(&model, Method::Passes, 300, 30.0).estimated);
    }

    #[test]
    fn the_verdict_compares_the_largest_batches() {
        let mut rows = measure("teacher", &model(Orientation::Density), &[1, 32], Some(1.0));
        assert!(verdict(&rows).is_none(), "without a student");
        rows.extend(measure("student", &model(Orientation::Sampling), &[1, 32], Some(0.5)));
        let cached = rows.iter().position(|row| row.method == "cached inversion" && row.batch == 32).expect("measured");
        let student = rows.len() - 1;
        rows.iter_mut().filter(|row| row.method.starts_with("one pass per")).for_each(|row| row.draws_per_second = 1.0);
        (rows[cached].draws_per_second, rows[cached].effective_per_second) = (100.0, Some(100.0));
        (rows[student].draws_per_second, rows[student].effective_per_second) = (200.0, Some(100.0));
        let text = verdict(&rows).expect("a verdict");
        assert!(text.contains("about as fast") && text.contains("2.00× the draws and 1.00× the effective"), "{text}");
        rows[student].effective_per_second = Some(190.0);
        assert!(!verdict(&rows).expect("a verdict").contains("about as fast"));
    }
}
