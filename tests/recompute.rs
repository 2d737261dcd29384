//! Training that keeps no record of the way through the layers: the gradients are the ordinary ones, and memory does not grow with depth.
//!
//! Peaks are those of all allocations, so that one test waits for another here.

use dfdx::prelude::*;
use flowdistill::experiment::Spec;
use flowdistill::flow::{Flow, FlowConfig, Orientation, Pass};
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::train::{MaximumLikelihood, Objective};
use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(text: &str) -> FlowConfig {
    let extensions = ron::extensions::Extensions::IMPLICIT_SOME | ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES;
    ron::Options::default().with_default_extension(extensions).from_str(text).expect("a flow")
}

/// A flow whose weights are of that size.
fn flow<E: flowdistill::ops::real::Real>(
    config: &FlowConfig,
    (dim, size): (usize, f64),
    orientation: Orientation,
) -> Flow<E, Cpu>
where
    Cpu: flowdistill::ops::Kernels<E>,
{
    let mut flow = Flow::new(&Cpu::default(), dim, config, orientation, &Seed(1).stream("init")).expect("a flow");
    let values = flow.snapshot().into_iter().enumerate().map(|(t, tensor)| {
        let mut normals = vec![0.0; tensor.len()];
        Seed(2).stream("weights").normals((t as u64) << 20, 1, &mut normals);
        normals.into_iter().map(|z| E::of(f64::from((size * z) as f32))).collect::<Vec<E>>()
    });
    let values: Vec<_> = values.collect();
    flow.restore(&values);
    flow
}

fn rows(count: usize, dim: usize, name: &str) -> Vec<f64> {
    let mut values = vec![0.0; count * dim];
    Seed(3).stream(name).normals(0, dim, &mut values);
    values
}

const MIXED: &str = "(hidden: [12, 9], structure: Coupling(Halves), layers: [
    RevNet(), Linear(Lu), RevNet(split: Parity, hidden: [7], activation: Tanh), Radial, Masked(), Masked(transformer: Spline(bins: 4)),
    Masked(structure: Blocks(1)), Linear(Shuffled(3)), Masked(activation: Relu, skip: true),
])";

fn zeros<E: flowdistill::ops::real::Real>(flow: &Flow<E, Cpu>) -> Vec<Vec<E>>
where
    Cpu: flowdistill::ops::Kernels<E>,
{
    flow.snapshot().iter().map(|tensor| vec![E::ZERO; tensor.len()]).collect()
}

/// The largest difference, in parts of the largest number.
fn apart<E: flowdistill::ops::real::Real>(a: &[Vec<E>], b: &[Vec<E>]) -> f64 {
    let all = || a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a.widen(), b.widen()));
    let most = all().fold(0.0, |most: f64, (a, _)| most.max(a.abs()));
    assert!(most > 0.1, "gradients that say something");
    all().fold(0.0, |off: f64, (a, b)| off.max((a - b).abs())) / most
}

#[test]
fn gradients_of_draws_and_of_log_densities_are_those_with_a_record() {
    let _alone = alone();
    let (config, dim, count) = (config(MIXED), 5, 150);
    let mut flow = flow::<f64>(&config, (dim, 0.3), Orientation::Sampling);
    let (noise, d_points, d_log) = (rows(count, dim, "z"), rows(count, dim, "g"), rows(count, 1, "l"));
    let mut found = Vec::new();
    for recompute in [false, true] {
        flow.recompute(recompute).expect("all of one pass");
        let mut pass = Pass::<f64>::default();
        let (mut points, mut log_prob, mut scores) = (vec![0.0; count * dim], vec![0.0; count], vec![0.0; count * dim]);
        let mut gradients = [zeros(&flow), zeros(&flow), zeros(&flow), zeros(&flow)];
        pass.push(&flow, &noise, &mut points, &mut log_prob).expect("pushed");
        pass.add_gradients_of_push(&d_points, &d_log, &mut gradients[0]);
        // Whatever comes after what.
        pass.add_gradients_of_push(&d_points, &d_log, &mut gradients[1]);
        pass.score(&mut scores);
        pass.add_gradients_of_push(&d_points, &d_log, &mut gradients[2]);
        let mut all = gradients[..3].concat();
        pass.log_prob(&flow, &points, &mut log_prob).expect("found");
        pass.add_gradients_of_surprise(&d_log, &mut gradients[3]);
        all.extend(gradients[3].clone());
        all.extend([points, log_prob, scores]);
        found.push(all);
    }
    let off = apart(&found[0], &found[1]);
    assert!(off < 1e-9, "{off}");
}

#[test]
fn gradients_of_the_likelihood_are_those_with_a_record() {
    let _alone = alone();
    let (config, dim) = (config(MIXED), 5);
    let mut flow = flow::<f32>(&config, (dim, 0.15), Orientation::Density);
    let data = rows(300, dim, "rows");
    let mut found = Vec::new();
    for recompute in [false, true] {
        flow.recompute(recompute).expect("all of one pass");
        let mut gradients = zeros(&flow);
        let mut objective = MaximumLikelihood::new(dim, &data, Vec::new(), 300, [0.0; 2], Seed(4).stream("batches"));
        objective.evaluate(&flow, 0, &mut gradients).expect("a step");
        found.push(gradients);
    }
    let off = apart(&found[0], &found[1]);
    assert!(off < 1e-3, "{off}");
}

/// The peak of a step with so many rows above what there was, in bytes.
fn peak(depth: usize, batch: usize, recompute: bool) -> f64 {
    let config = config(&format!(
        "(hidden: [32, 32], layers: [Linear(ActNorm), Repeat({}, [RevNet()]), Linear(Diagonal)])",
        depth / 2
    ));
    let dim = 8;
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f32, Cpu>::new(&Cpu::default(), dim, &config, Orientation::Density, &stream).expect("a flow");
    flow.recompute(recompute).expect("all of one pass");
    let data = rows(batch, dim, "rows");
    let mut gradients = zeros(&flow);
    let mut objective = MaximumLikelihood::new(dim, &data, Vec::new(), batch, [0.0; 2], Seed(4).stream("batches"));
    let before = PEAK.current_usage();
    PEAK.reset_peak_usage();
    for step in 0..2 {
        objective.evaluate(&flow, step, &mut gradients).expect("a step");
    }
    (PEAK.peak_usage() - before) as f64
}

#[test]
fn memory_of_a_step_does_not_grow_with_depth() {
    let _alone = alone();
    // What is as long as the weights is there with four rows, too.
    let of_rows = |depth: usize, recompute: bool| peak(depth, 4096, recompute) - peak(depth, 4, recompute);
    let mib = |bytes: f64| bytes / 1048576.0;
    let [with, without] = [true, false].map(|recompute| [10, 40, 160].map(|depth| mib(of_rows(depth, recompute))));
    println!("MiB of a step of 4096 rows at depths 10, 40, 160: {with:.2?}; with records {without:.2?}");
    assert!(with.iter().all(|size| (size / with[0] - 1.0).abs() < 0.1), "{with:?}");
    assert!(without[2] > 10.0 * without[0], "{without:?}");
}

#[test]
fn layers_that_do_not_go_back_in_one_pass_are_refused_in_a_line() {
    let _alone = alone();
    let cases = [
        ("(layers: 2)", "layer 0 goes back in one sweep of 3 steps"),
        ("(layers: [RevNet(), Planar])", "layer 2 goes back by solving equations"),
        ("(layers: [Residual(hidden: [4])])", "layer 0 goes back by solving equations"),
        ("(layers: [Continuous(hidden: [4])])", "layer 0 goes back by solving equations"),
    ];
    for (text, expected) in cases {
        let config = config(text);
        let fault = config.fault_of_recomputing(3).expect("a fault");
        assert!(fault.contains(expected) && !fault.contains('\n'), "{fault}");
        let stream = Seed(1).stream("init");
        let mut flow = Flow::<f32, Cpu>::new(&Cpu::default(), 3, &config, Orientation::Density, &stream).expect("one");
        assert_eq!(flow.recompute(true).expect_err("refused").to_string(), fault);
        flow.recompute(false).expect("nothing to refuse");
    }
    assert_eq!(config(MIXED).fault_of_recomputing(5), None);
    let spec = |student: &str| {
        let text = format!(
            "(name: \"x\", target: Banana(), student: Flow{student}, stages: [ReverseKl(against: Target, training: (recompute: true))])"
        );
        flowdistill::experiment::Plan::new(Spec::parse(&text).expect("an experiment"), std::path::Path::new("x.ron"))
    };
    assert!(spec("(layers: [RevNet(), Linear(Lu)])").is_ok());
    let fault = spec("(layers: 2)").err().expect("refused").to_string();
    assert!(fault.contains("stages[0]: recompute is true, but the student's layer 0"), "{fault}");
}
