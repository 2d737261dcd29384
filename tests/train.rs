//! The training loop: gradients of its objectives, stop reasons, non-finite steps, determinism.

mod common;

use common::*;
use dfdx::prelude::Cpu;
use flowdistill::flow::{Flow, FlowConfig, Link, Orientation, Standardisation};
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::target::{Counted, Density, Fatal, Faults, Funnel, Gaussian, Rings};
use flowdistill::train::*;
use std::sync::atomic::AtomicBool;

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}
}

fn small() -> FlowConfig {
    FlowConfig { layers: 2.into(), hidden: vec![8], ..FlowConfig::default() }
}

fn student(dim: usize) -> Flow<f32, Cpu> {
    Flow::new(&Cpu::default(), dim, &small(), Orientation::Sampling, &Seed(4).stream("init")).expect("a flow")
}

fn run(flow: &mut Flow<f32, Cpu>, objective: &mut dyn Objective, settings: &Settings) -> Trained {
    train(flow, objective, settings, &AtomicBool::new(false), &mut Silent).expect("trained")
}

#[test]
fn the_gradient_of_reverse_kl_is_that_of_its_loss() {
    // The surrogate's value is not the loss; its gradient is. Common random numbers make the difference exact.
    let gaussian = Gaussian::conditioned(3, 10.0, 1).expect("a gaussian");
    let standardisation = Standardisation {
        shift: vec![0.5, 0.0, -1.0],
        scale: vec![2.0, 0.5, 1.0],
        links: vec![Link::Identity, Link::Above(-3.0), Link::Between(-4.0, 4.0)],
        tails: vec![],
        factor: vec![1.0, 0.0, 0.0, -0.6, 0.8, 0.0, 0.3, 0.2, 1.1],
        given: 0,
    };
    let mut objective = ReverseKl::new(&gaussian, standardisation, 64, Seed(1).stream("noise"));
    let mut flow = random_flow::<f32>(3, &small(), Orientation::Sampling);
    let weights = flow.snapshot();
    let mut gradients = weights.clone();
    objective.evaluate(&flow, 5, &mut gradients).expect("evaluated");
    let mut unused = weights.clone();
    for (t, gradient) in gradients.iter().enumerate() {
        let i = gradient.len() / 2;
        let mut at = |shift: f32| {
            let mut moved = weights.clone();
            moved[t][i] += shift;
            flow.restore(&moved);
            objective.evaluate(&flow, 5, &mut unused).expect("evaluated").loss
        };
        let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
        let gradient = f64::from(gradient[i]);
        assert!(
            (gradient - difference).abs() < 2e-2 * (1.0 + difference.abs()),
            "tensor {t}: {gradient}, {difference}"
        );
    }
}

#[test]
fn maximum_likelihood_keeps_the_best_weights_by_validation() {
    let rows = normal_rows(500, 2, "rows");
    let shifted: Vec<f64> = rows.iter().map(|x| 0.5 * x + 1.0).collect();
    let mut flow =
        Flow::new(&Cpu::default(), 2, &small(), Orientation::Density, &Seed(4).stream("init")).expect("a flow");
    let validation = shifted[..200].to_vec();
    let stream = Seed(1).stream("batches");
    let mut objective = MaximumLikelihood::new(2, &shifted[200..], validation.clone(), 64, [0.0; 2], stream);
    let settings = Settings { steps: 600, batch: 64, validate_every: 20, patience: 5, ..Settings::default() };
    let trained = run(&mut flow, &mut objective, &settings);
    let mut log_prob = vec![0.0; 100];
    flow.freeze::<f32>().log_prob(&validation, &mut log_prob);
    let kept = log_prob.iter().sum::<f64>() / 100.0;
    assert!((kept - trained.best_validation.expect("validated")).abs() < 1e-9, "the best weights are in place");
    // The entropy of N(1, ½²) in two dimensions is 2 (½ ln 2πe − ln 2).
    let best = -(1.0 + std::f64::consts::TAU.ln() - 2.0 * 2f64.ln());
    assert!((kept - best).abs() < 0.3, "{kept} is far from {best}");
}

#[test]
fn patience_stops_a_fit_that_no_longer_improves() {
    let rows = normal_rows(60, 2, "few rows");
    let mut flow =
        Flow::new(&Cpu::default(), 2, &small(), Orientation::Density, &Seed(4).stream("init")).expect("a flow");
    let stream = Seed(1).stream("batches");
    let mut objective = MaximumLikelihood::new(2, &rows[..40], rows[40..].to_vec(), 20, [0.0; 2], stream);
    let rate = Schedule { peak: 1e-2, ..Schedule::default() };
    let settings = Settings { steps: 100_000, batch: 20, validate_every: 10, patience: 5, rate, ..Settings::default() };
    let trained = run(&mut flow, &mut objective, &settings);
    assert_eq!(trained.reason, StopReason::Patience);
    assert!(trained.steps < 100_000);
}

/// N(0, I) on R² that fails in its own ways.
struct Broken(fn(usize, &[f64]) -> f64);

impl Density for Broken {
    fn dim(&self) -> usize {
        2
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        for (row, (value, x)) in values.iter_mut().zip(points.chunks(2)).enumerate() {
            *value = (self.0)(row, x);
            if value.is_nan() {
                faults.mark(row, "it does not feel like it");
            }
        }
        if let Some(gradients) = gradients {
            gradients.iter_mut().zip(points).for_each(|(g, x)| *g = -x);
        }
        Ok(())
    }
}

#[test]
fn failed_rows_are_counted_and_add_no_gradient() {
    let sometimes = Broken(|row, x| if row % 4 == 0 { f64::NAN } else { -0.5 * (x[0] * x[0] + x[1] * x[1]) });
    let mut objective = ReverseKl::new(&sometimes, Standardisation::identity(2), 64, Seed(1).stream("noise"));
    let mut flow = student(2);
    let trained = run(&mut flow, &mut objective, &Settings { steps: 50, batch: 64, ..Settings::default() });
    assert_eq!((trained.reason, trained.skipped_steps), (StopReason::Steps, 0));
    assert_eq!(trained.failed_rows, 50 * 16);
    assert!(flow.snapshot().iter().flatten().all(|w| w.is_finite()));
}

#[test]
fn a_target_that_always_fails_ends_the_run_with_its_reason() {
    let never = Broken(|_, _| f64::NAN);
    let mut objective = ReverseKl::new(&never, Standardisation::identity(2), 64, Seed(1).stream("noise"));
    let trained = run(&mut student(2), &mut objective, &Settings::default());
    assert_eq!((trained.reason, trained.skipped_steps, trained.steps), (StopReason::Diverged, 50, 50));
    let refused = trained.refused.expect("a reason");
    assert!(refused.contains("does not feel like it") && refused.contains("step 50"), "{refused}");
}

#[test]
fn steps_that_are_refused_now_and_then_do_not_end_a_run() {
    // Nearly all of the plane cannot be evaluated, so that many batches of two rows are refused as a whole.
    let mostly = Broken(|_, x| if x[0] < 0.8 { f64::NAN } else { -0.5 * (x[0] * x[0] + x[1] * x[1]) });
    let mut objective = ReverseKl::new(&mostly, Standardisation::identity(2), 2, Seed(1).stream("noise"));
    let trained = run(&mut student(2), &mut objective, &Settings { steps: 60, batch: 2, ..Settings::default() });
    assert!(trained.skipped_steps > 5 && trained.steps == 60, "{trained:?}");
    assert_eq!(trained.reason, StopReason::Steps);
}

#[test]
fn rounds_end_when_draws_are_as_good_as_exact_ones_and_batches_grow() {
    let normal = Gaussian::conditioned(2, 4.0, 1).expect("a target");
    let mut objective =
        ReverseKl::new(&normal, Standardisation::identity(2), 16, Seed(1).stream("noise")).by(Gradient::Path);
    let mut flow = student(2);
    let until = |ess: f64| Settings { until: Some(Until { ess, se: Some(1.0) }), ..Settings::for_reverse_kl() };
    let trained = run(&mut flow, &mut objective, &until(0.9));
    assert_eq!(trained.reason, StopReason::Until, "{trained:?}");
    assert!(trained.steps <= 2_250 && trained.reached_ess.is_some_and(|ess| ess >= 0.9), "{trained:?}");

    // What two layers cannot be ends when another round brings little, with the best of them.
    let mut objective =
        ReverseKl::new(&Rings, Standardisation::identity(2), 16, Seed(1).stream("noise")).by(Gradient::Path);
    let few = Rounds { first: 50, second: 50, longer: 1.0, wider: 2.0, least: None };
    let settings = Settings { steps: 400, rounds: Some(few), ..until(0.99) };
    let trained = run(&mut student(2), &mut objective, &settings);
    assert!(matches!(trained.reason, StopReason::Rounds | StopReason::Steps), "{trained:?}");
    assert_eq!(trained.steps % 50, 0, "{trained:?}");
}

/// A loss that turns NaN at some steps.
struct Flaky {
    sound: fn(u64) -> bool,
}

impl Objective for Flaky {
    fn evaluate(
        &mut self,
        _: &Flow<f32, Cpu>,
        step: u64,
        gradients: &mut [Vec<f32>],
    ) -> flowdistill::error::Result<Outcome> {
        let value = if (self.sound)(step) { 1.0 } else { f32::NAN };
        gradients.iter_mut().for_each(|gradient| gradient.fill(value));
        Ok(Outcome { loss: 1.0, ..Outcome::default() })
    }
}

#[test]
fn steps_that_are_not_finite_are_skipped_and_too_many_are_divergence() {
    let mut flow = student(2);
    let mut objective = Flaky { sound: |step| step % 3 != 0 };
    let trained = run(&mut flow, &mut objective, &Settings { steps: 30, ..Settings::default() });
    assert_eq!((trained.reason, trained.skipped_steps), (StopReason::Steps, 10));

    let mut flow = student(2);
    let mut objective = Flaky { sound: |step| step < 20 };
    let settings = Settings { steps: 1000, average: 0.0, ..Settings::default() };
    let trained = run(&mut flow, &mut objective, &settings);
    assert_eq!(trained.reason, StopReason::Diverged);
    assert!(trained.steps < 200);
    assert!(flow.snapshot().iter().flatten().all(|w| w.is_finite()));
}

#[test]
fn an_interrupt_finishes_the_step_and_keeps_the_weights() {
    struct StopAt<'a>(u64, &'a AtomicBool);
    impl Observer for StopAt<'_> {
        fn step(&mut self, progress: &Progress) {
            self.1.store(progress.step >= self.0, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let gaussian = Gaussian::conditioned(2, 4.0, 1).expect("a gaussian");
    let mut objective = ReverseKl::new(&gaussian, Standardisation::identity(2), 32, Seed(1).stream("noise"));
    let (mut flow, interrupt) = (student(2), AtomicBool::new(false));
    let before = flow.snapshot();
    let settings = Settings { steps: 500, batch: 32, ..Settings::default() };
    let trained = train(&mut flow, &mut objective, &settings, &interrupt, &mut StopAt(7, &interrupt)).expect("trained");
    assert_eq!((trained.reason, trained.steps), (StopReason::Interrupted, 7));
    assert_ne!(flow.snapshot(), before);
}

#[test]
fn training_is_the_same_whatever_the_number_of_threads() {
    let train_with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let funnel = Funnel::new(5).expect("a funnel");
            let mut objective = ReverseKl::new(&funnel, Standardisation::identity(5), 300, Seed(1).stream("noise"));
            // Wide enough for the work to be divided.
            let config = FlowConfig { layers: 2.into(), hidden: vec![64, 64], ..FlowConfig::default() };
            let stream = Seed(4).stream("init");
            let mut flow = Flow::new(&Cpu::default(), 5, &config, Orientation::Sampling, &stream).expect("a flow");
            run(&mut flow, &mut objective, &Settings { steps: 30, batch: 300, ..Settings::default() });
            flow.snapshot()
        })
    };
    let one = train_with(1);
    assert_eq!(one, train_with(2));
    assert_eq!(one, train_with(5));
}

#[test]
fn whole_weights_are_repeated_rows() {
    // Rows with the weights 2, 1, 3, … against the same rows that often, all in one batch: the same loss, gradients and score.
    let (dim, counts) = (2, [2usize, 1, 3, 1, 5, 2]);
    let rows = normal_rows(counts.len(), dim, "rows");
    let repeated: Vec<f64> = counts.iter().zip(rows.chunks(dim)).flat_map(|(&count, row)| row.repeat(count)).collect();
    let total: usize = counts.iter().sum();
    let weights: Vec<f64> = counts.iter().map(|&count| (count * counts.len()) as f64 / total as f64).collect();
    let stream = || Seed(1).stream("batches");
    let standardisation = || Standardisation {
        shift: vec![0.3, -0.1],
        scale: vec![2.0, 0.5],
        links: vec![Link::Identity, Link::Above(-9.0)],
        tails: vec![],
        factor: vec![],
        given: 0,
    };
    let likelihood = |rows: &[f64]| MaximumLikelihood::new(dim, rows, rows.to_vec(), 1000, [0.0, 0.0], stream());
    let forward = |rows: &'static [f64]| {
        let epochs = Epochs::new(rows.len() / dim, 1000, stream());
        ForwardKl::new(Draws::Given(rows, epochs), standardisation(), 1000).validated(rows)
    };
    let (rows, repeated): (&'static [f64], &'static [f64]) = (rows.leak(), repeated.leak());
    type Pair = [Box<dyn Objective>; 2];
    let of_teacher: Pair = [Box::new(likelihood(rows).weighted(&weights, &weights)), Box::new(likelihood(repeated))];
    let of_student: Pair = [Box::new(forward(rows).weighted(&weights, &weights)), Box::new(forward(repeated))];
    for (orientation, [mut weighted, mut repeated]) in
        [(Orientation::Density, of_teacher), (Orientation::Sampling, of_student)]
    {
        let flow = random_flow::<f32>(dim, &small(), orientation);
        let mut gradients = [flow.snapshot(), flow.snapshot()];
        let [of_weighted, of_repeated] = &mut gradients;
        let losses = [
            weighted.evaluate(&flow, 3, of_weighted).expect("evaluated").loss,
            repeated.evaluate(&flow, 3, of_repeated).expect("evaluated").loss,
        ];
        assert!((losses[0] - losses[1]).abs() < 1e-5 * losses[1].abs(), "{orientation:?}: {losses:?}");
        for (a, b) in gradients[0].iter().flatten().zip(gradients[1].iter().flatten()) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{orientation:?}: {a}, {b}");
        }
        let scores = [weighted.validate(&flow).expect("a score"), repeated.validate(&flow).expect("a score")];
        assert!((scores[0] - scores[1]).abs() < 1e-9 * (1.0 + scores[1].abs()), "{orientation:?}: {scores:?}");
    }
}

#[test]
fn weighted_means_know_what_their_rows_are_worth() {
    use flowdistill::evaluate::weights::{mean, weighted_mean};
    let values = normal_rows(50, 1, "values");
    let (plain, equal) = (mean(&values), weighted_mean(&values, &[0.3; 50]));
    assert!((plain.mean - equal.mean).abs() < 1e-12 && (plain.standard_error - equal.standard_error).abs() < 1e-12);
    // Rows of no weight are none.
    let some: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i < 20))).collect();
    let (few, weighted) = (mean(&values[..20]), weighted_mean(&values, &some));
    assert!((few.mean - weighted.mean).abs() < 1e-12 && (few.standard_error - weighted.standard_error).abs() < 1e-12);
}

#[test]
fn kept_draws_give_the_gradient_of_fresh_ones() {
    // Many steps over kept draws of another flow, weighted, against as many over draws of this one.
    let gaussian = Gaussian::conditioned(2, 4.0, 1).expect("a gaussian");
    let standardisation = Standardisation::identity(2);
    let batch = 8_192;
    let objective = |replay| {
        let stream = Seed(1).stream("noise");
        ReverseKl::new(&gaussian, standardisation.clone(), batch, stream).by(Gradient::Path).replaying(replay, 0)
    };
    let mut flow = random_flow::<f32>(2, &small(), Orientation::Sampling);
    // A mild flow: where few draws have nearly all of the gradient, truncated weights cut it.
    let like = |factor: f32| -> Vec<Vec<f32>> {
        flow.snapshot().iter().map(|tensor| tensor.iter().map(|x| factor * x).collect()).collect()
    };
    let (then, now) = (like(0.3), like(0.36));
    let mut gradients = then.clone();
    let mut mean = |objective: &mut ReverseKl, flow: &Flow<f32, Cpu>, steps: std::ops::Range<u64>| {
        let mut sum = vec![0.0; then.iter().map(Vec::len).sum()];
        for step in steps.clone() {
            objective.evaluate(flow, step, &mut gradients).expect("evaluated");
            sum.iter_mut().zip(gradients.iter().flatten()).for_each(|(sum, part)| *sum += f64::from(*part));
        }
        let steps = (steps.end - steps.start) as f64;
        sum.iter_mut().for_each(|sum| *sum /= steps);
        sum
    };
    flow.restore(&now);
    let fresh = mean(&mut objective(None), &flow, 0..64);
    // Every 64th step is over fresh draws, here of the flow as it was; those between are over kept ones.
    let mut again = objective(Some(Replay { times: 63, batches: 64 }));
    flow.restore(&then);
    (0..64).for_each(|fresh| _ = mean(&mut again, &flow, 64 * fresh..64 * fresh + 1));
    flow.restore(&now);
    let kept = mean(&mut again, &flow, 1..64);
    flow.restore(&then);
    let of_before = mean(&mut objective(None), &flow, 0..64);
    let apart = |from: &[f64]| fresh.iter().zip(from).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    assert!(apart(&kept) < 0.25 * apart(&of_before), "{} of {}", apart(&kept), apart(&of_before));
}

#[test]
fn kept_draws_save_most_evaluations() {
    let gaussian = Gaussian::conditioned(4, 10.0, 1).expect("a gaussian");
    let fit = |replay| {
        let counted = Counted::new(Box::new(gaussian.clone()));
        let mut objective = ReverseKl::new(&counted, Standardisation::identity(4), 16, Seed(1).stream("noise"))
            .by(Gradient::Path)
            .replaying(replay, 0);
        let mut flow = student(4);
        let settings = Settings { replay, until: None, rounds: None, steps: 1_600, ..Settings::for_reverse_kl() };
        run(&mut flow, &mut objective, &settings);
        let agreement = objective.agreement(&flow, 1, 4_096).expect("looked").expect("evaluated");
        (counted.evaluations().gradients, agreement.ess)
    };
    let (all, plain) = fit(None);
    let (few, replayed) = fit(Some(Replay::default()));
    assert_eq!(all, 16 * 1_600);
    assert!(few < all / 3, "{few}");
    assert!(replayed > 0.98 && plain > 0.98, "{replayed} {plain}");
}
