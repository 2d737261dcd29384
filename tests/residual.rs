//! Layers that are defined by what they contract or by an equation that they solve: the bounds and orders that they promise.

mod common;

use common::*;
use dfdx::prelude::*;
use flowdistill::bijection::Bijection;
use flowdistill::flow::{Continuous, Flow, FlowConfig, LayerSpec, Layers, Orientation, Residual};
use flowdistill::ops::joint::{LogDet, Steps, TraceBy};
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::train::{train, FlowMatching, MaximumLikelihood, Observer, Progress, Schedule, Settings};
use std::sync::atomic::AtomicBool;

fn flow(layer: LayerSpec, dim: usize, scale: f64) -> Flow<f64, Cpu> {
    let config = FlowConfig { layers: Layers::Listed(vec![layer]), hidden: vec![16, 16], ..FlowConfig::default() };
    let stream = Seed(1).stream("init");
    let mut flow = Flow::new(&Cpu::default(), dim, &config, Orientation::Density, &stream).expect("a flow");
    let tensors = flow.snapshot().into_iter().enumerate().map(|(t, tensor)| {
        let mut values = vec![0.0; tensor.len()];
        Seed(3).stream("values").normals((t as u64) << 20, 1, &mut values);
        values.into_iter().map(|value| scale * value).collect::<Vec<f64>>()
    });
    let tensors: Vec<_> = tensors.collect();
    flow.restore(&tensors);
    flow
}

fn rows(count: usize, dim: usize, scale: f64) -> Vec<f64> {
    let mut values = vec![0.0; count * dim];
    Seed(5).stream("rows").normals(0, dim, &mut values);
    values.iter().map(|value| scale * value).collect()
}

fn image(flow: &Flow<f64, Cpu>, x: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let (y, log_det) = flow.layers()[0].forward(tensor::<f64>(x, dim)).expect("forward");
    (y.as_vec(), log_det.as_vec())
}

fn back(flow: &Flow<f64, Cpu>, y: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let (x, log_det) = flow.layers()[0].inverse(&tensor::<f64>(y, dim)).expect("inverse");
    (x.as_vec(), log_det.as_vec())
}

#[test]
fn a_residual_network_contracts_whatever_its_values_are_and_its_inverse_is_exact() {
    for contraction in [0.5, 0.9, 0.99] {
        for scale in [0.1, 1.0, 30.0] {
            let layer = LayerSpec::Residual(Residual { contraction, ..Residual::default() });
            let flow = flow(layer, 3, scale);
            let x = rows(40, 3, 2.0);
            let (y, log_det) = image(&flow, &x, 3);
            // f = y - x of pairs.
            let f: Vec<f64> = y.iter().zip(&x).map(|(y, x)| y - x).collect();
            let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            for i in 0..39 {
                let at = |values: &[f64], row: usize| values[3 * row..3 * row + 3].to_vec();
                let ratio = distance(&at(&f, i), &at(&f, i + 1)) / distance(&at(&x, i), &at(&x, i + 1));
                assert!(ratio <= contraction, "{ratio} of {contraction}, values of size {scale}");
            }
            let (found, log_back) = back(&flow, &y, 3);
            assert!(disagreement(found, x) < 1e-10, "{contraction}, {scale}");
            assert!(disagreement(log_back.iter().map(|v| -v).collect::<Vec<_>>(), log_det) < 1e-9);
        }
    }
}

#[test]
fn a_continuous_layer_comes_back_within_its_tolerance_and_nearer_with_a_smaller_one() {
    let x = rows(8, 2, 1.5);
    let mut exact: Option<(Vec<f64>, Vec<f64>)> = None;
    let mut errors = Vec::new();
    for tolerance in [1e-13, 1e-10, 1e-8, 1e-6, 1e-4] {
        let flow = flow(LayerSpec::Continuous(Continuous { tolerance, ..Continuous::default() }), 2, 0.6);
        let (y, log_det) = image(&flow, &x, 2);
        let (found, _) = back(&flow, &y, 2);
        let (round, bound) = (disagreement(found, x.clone()), 1e-8f64.max(100.0 * tolerance));
        assert!(round < bound, "{round} back with a tolerance of {tolerance}");
        match &exact {
            None => exact = Some((y, log_det)),
            Some((exact, exact_log)) => {
                errors.push(disagreement(y, exact.clone()).max(disagreement(log_det, exact_log.clone())));
                assert!(errors[errors.len() - 1] < 100.0 * tolerance, "{errors:?} at {tolerance}");
            }
        }
    }
    assert!(errors.windows(2).all(|pair| pair[0] < pair[1]), "{errors:?}");
}

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _progress: &Progress) {}
}

#[test]
fn flow_matching_finds_a_normal_density_without_solving_the_equation() {
    let config = FlowConfig {
        layers: Layers::Listed(vec![LayerSpec::Continuous(Continuous { hidden: vec![32], ..Continuous::default() })]),
        ..FlowConfig::default()
    };
    assert_eq!(FlowMatching::fault(&config, 1.into()), None);
    assert!(FlowMatching::fault(&FlowConfig::default(), 1.into()).is_some());
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f32, Cpu>::new(&Cpu::default(), 1, &config, Orientation::Density, &stream).expect("a flow");
    // Rows of N(1, ½²).
    let mut rows = vec![0.0; 4000];
    Seed(2).stream("rows").normals(0, 1, &mut rows);
    rows.iter_mut().for_each(|x| *x = 1.0 + 0.5 * *x);
    let of = |name: &str| Seed(4).stream(name);
    let likelihood = MaximumLikelihood::new(1, &rows, Vec::new(), 256, [0.0; 2], of("unused"));
    let mut objective = FlowMatching::new(1, rows, 256, likelihood, [of("batches"), of("noise")]);
    let settings = Settings {
        steps: 1500,
        batch: 256,
        rate: Schedule { peak: 1e-2, ..Schedule::default() },
        ..Settings::default()
    };
    let stop = AtomicBool::new(false);
    train(&mut flow, &mut objective, &settings, &stop, &mut Silent).expect("trained");
    let x = [-0.2, 0.3, 1.0, 1.4, 2.0];
    let mut log_prob = [0.0; 5];
    flow.freeze::<f32>().log_prob(&x, &mut log_prob);
    for (x, found) in x.iter().zip(log_prob) {
        let expected = -0.5 * ((x - 1.0) / 0.5f64).powi(2) - (0.5 * std::f64::consts::TAU.sqrt()).ln();
        assert!((found - expected).abs() < 0.15, "{x}: {found}, right is {expected}");
    }
}

#[test]
fn fixed_steps_have_the_order_five() {
    let x = rows(8, 2, 1.5);
    let of = |spec: Continuous| image(&flow(LayerSpec::Continuous(spec), 2, 0.6), &x, 2);
    let (exact, exact_log) = of(Continuous { tolerance: 1e-13, ..Continuous::default() });
    let errors = [16, 32, 64].map(|count| {
        let (y, log_det) = of(Continuous { steps: Steps::Fixed(count), ..Continuous::default() });
        [disagreement(y, exact.clone()), disagreement(log_det, exact_log.clone())]
    });
    for of_what in 0..2 {
        let orders = [0, 1].map(|i| (errors[i][of_what] / errors[i + 1][of_what]).log2());
        assert!(orders.iter().all(|order| (4.3..8.0).contains(order)), "{orders:?} of {errors:?}");
    }
}

/// Log densities of the same `count` rows: while a likelihood learns, and as draws and scores have them; and of fewer of them while it learns.
fn log_densities(layer: LayerSpec, dim: usize, count: usize) -> [Vec<f32>; 3] {
    let double = flow(layer, dim, 0.3);
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f32, Cpu>::new(&Cpu::default(), dim, double.config(), Orientation::Density, &stream);
    let flow = flow.as_mut().expect("a flow");
    flow.restore(&double.snapshot().into_iter().map(single).collect::<Vec<_>>());
    let x = rows(count, dim, 1.0);
    let learning = flow.log_prob(tensor::<f32>(&x, dim).leaky_trace()).expect("taped").as_vec();
    let exact = flow.log_prob(tensor::<f32>(&x, dim)).expect("untaped").as_vec();
    let mut frozen = vec![0.0; count];
    flow.freeze::<f64>().log_prob(&x, &mut frozen);
    assert!(disagreement(frozen, widen(exact.clone())) < 1e-4, "exact where nothing learns");
    let some = &x[..(count / 2 - 7) * dim];
    let again = flow.log_prob(tensor::<f32>(some, dim).leaky_trace()).expect("taped").as_vec();
    [learning, exact, again]
}

/// Mean log densities of rows: while a likelihood learns, and as draws and scores have them.
fn mean_log_densities(layer: LayerSpec, dim: usize, count: usize) -> [f64; 2] {
    let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    let [learning, exact, again] = log_densities(layer, dim, count);
    // Of the row alone: another batch makes no difference.
    assert_eq!(again[..], learning[..again.len()]);
    assert_ne!(learning, exact);
    [mean(&learning), mean(&exact)]
}

#[test]
fn estimates_are_for_learning_alone_and_right_on_average() {
    let residual = |log_det| LayerSpec::Residual(Residual { log_det, ..Residual::default() });
    let hutchinson = Continuous { trace: TraceBy::Hutchinson, steps: Steps::Fixed(4), ..Continuous::default() };
    let cases = [
        residual(LogDet::Series { terms: 12 }),
        residual(LogDet::Roulette { terms: 3 }),
        LayerSpec::Continuous(hutchinson),
    ];
    for layer in cases {
        let [learning, exact] = mean_log_densities(layer.clone(), 4, 600);
        assert!((learning - exact).abs() < 0.15, "{layer:?}: {learning} {exact}");
    }
}

#[test]
fn estimates_take_more_variables_than_the_whole_jacobian() {
    let faults = |layer: LayerSpec, dim: usize| {
        FlowConfig { layers: Layers::Listed(vec![layer]), hidden: vec![8], ..FlowConfig::default() }.faults(dim)
    };
    let residual = |log_det| LayerSpec::Residual(Residual { log_det, ..Residual::default() });
    let continuous = |trace| LayerSpec::Continuous(Continuous { trace, ..Continuous::default() });
    assert!(faults(continuous(TraceBy::Auto), 256).is_empty() && !faults(continuous(TraceBy::Auto), 257).is_empty());
    let estimates = [residual(LogDet::Series { terms: 5 }), continuous(TraceBy::Hutchinson)];
    for (exact, estimate) in [residual(LogDet::Exact), continuous(TraceBy::Exact)].into_iter().zip(estimates) {
        assert!(faults(exact.clone(), 64).is_empty() && faults(exact, 65)[0].contains("64 with"));
        assert!(faults(estimate.clone(), 256).is_empty() && faults(estimate, 257)[0].contains("256"));
    }
    assert!(faults(residual(LogDet::Roulette { terms: 0 }), 3)[0].contains("0 terms"));
    let none = Continuous { steps: Steps::Fixed(0), ..Continuous::default() };
    assert!(faults(LayerSpec::Continuous(none), 3)[0].contains("Fixed(0)"));
    let light = Continuous { kinetic: -1.0, ..Continuous::default() };
    assert!(faults(LayerSpec::Continuous(light), 3)[0].contains("kinetic is -1"));
}

#[test]
fn the_trace_is_estimated_beyond_64_variables_where_nothing_is_said_of_it() {
    for (dim, estimated) in [(64, false), (65, true)] {
        let layer = Continuous { hidden: vec![8], steps: Steps::Fixed(1), ..Continuous::default() };
        let [learning, exact, _] = log_densities(LayerSpec::Continuous(layer), dim, 16);
        assert_eq!(disagreement(widen(learning), widen(exact)) > 1e-3, estimated, "{dim}");
    }
}

/// Two arcs.
fn moons(count: usize) -> Vec<f64> {
    let (mut angles, mut noise) = (vec![0.0; count], vec![0.0; 2 * count]);
    Seed(6).stream("angles").normals(0, 1, &mut angles);
    Seed(6).stream("noise").normals(0, 2, &mut noise);
    let row = |(i, z): (usize, &[f64])| {
        let (sin, cos) = (2.0 * angles[i]).sin_cos();
        let side = if i % 2 == 0 { 1.0 } else { -1.0 };
        [side * (sin.abs() - 0.4) + 0.1 * z[0], cos + 0.5 * side + 0.1 * z[1]]
    };
    noise.chunks_exact(2).enumerate().flat_map(row).collect()
}

#[test]
fn five_thousand_steps_of_roulette_leave_a_contraction_and_a_better_fit() {
    let of = Residual { log_det: LogDet::Roulette { terms: 3 }, ..Residual::default() };
    let layers = Layers::Listed(vec![LayerSpec::Residual(of.clone()), LayerSpec::Residual(of)]);
    let config = FlowConfig { layers, hidden: vec![12], ..FlowConfig::default() };
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f32, Cpu>::new(&Cpu::default(), 2, &config, Orientation::Density, &stream).expect("a flow");
    let rows = moons(2000);
    let score = |flow: &Flow<f32, Cpu>| {
        let mut log_prob = vec![0.0; 2000];
        flow.freeze::<f64>().log_prob(&rows, &mut log_prob);
        log_prob.iter().sum::<f64>() / 2000.0
    };
    let before = score(&flow);
    let mut objective = MaximumLikelihood::new(2, &rows, Vec::new(), 32, [0.0; 2], Seed(4).stream("batches"));
    let rate = Schedule { peak: 1e-2, ..Schedule::default() };
    let settings = Settings { steps: 5000, batch: 32, rate, ..Settings::default() };
    train(&mut flow, &mut objective, &settings, &AtomicBool::new(false), &mut Silent).expect("trained");
    let after = score(&flow);
    assert!(after > before + 0.2, "{before} {after}");
    for layer in flow.layers() {
        let image = |x: [f64; 2]| {
            let x = [x[0] as f32, x[1] as f32];
            let y = layer.forward(Cpu::default().tensor_from_vec(x.to_vec(), (1, 2))).expect("forward").0.as_vec();
            [f64::from(y[0] - x[0]), f64::from(y[1] - x[1])]
        };
        // By random pairs, and by the power method on the Jacobian where they stretch most.
        let (mut most, mut at) = (0.0f64, [0.0; 2]);
        for pair in rows[..800].chunks_exact(4) {
            let (a, b) = ([pair[0], pair[1]], [pair[2], pair[3]]);
            let (fa, fb) = (image(a), image(b));
            let ratio = (fa[0] - fb[0]).hypot(fa[1] - fb[1]) / (a[0] - b[0]).hypot(a[1] - b[1]);
            if ratio > most {
                (most, at) = (ratio, a);
            }
        }
        let column = |i: usize| {
            let mut moved = at;
            moved[i] += 1e-2;
            let (plus, here) = (image(moved), image(at));
            [(plus[0] - here[0]) * 1e2, (plus[1] - here[1]) * 1e2]
        };
        let (j, mut v, mut norm) = ([column(0), column(1)], [1.0, 0.3], 0.0);
        for _ in 0..50 {
            let u = [j[0][0] * v[0] + j[1][0] * v[1], j[0][1] * v[0] + j[1][1] * v[1]];
            let next = [j[0][0] * u[0] + j[0][1] * u[1], j[1][0] * u[0] + j[1][1] * u[1]];
            norm = next[0].hypot(next[1]).sqrt() / v[0].hypot(v[1]).sqrt();
            let size = next[0].hypot(next[1]);
            v = [next[0] / size, next[1] / size];
        }
        assert!(most < 0.9 && norm < 0.9, "{most} {norm}");
        assert!(most > 0.3, "it has learnt to stretch: {most}");
    }
}

#[test]
fn a_penalty_makes_straighter_ways() {
    let path = |kinetic: f64| {
        let of = Continuous { steps: Steps::Fixed(4), kinetic, jacobian: kinetic, ..Continuous::default() };
        let layers = Layers::Listed(vec![LayerSpec::Continuous(of)]);
        let config = FlowConfig { layers, hidden: vec![12], ..FlowConfig::default() };
        let stream = Seed(1).stream("init");
        let mut flow = Flow::<f32, Cpu>::new(&Cpu::default(), 2, &config, Orientation::Density, &stream).expect("one");
        let rows = moons(1000);
        let mut objective = MaximumLikelihood::new(2, &rows, Vec::new(), 64, [0.0; 2], Seed(4).stream("batches"));
        let rate = Schedule { peak: 1e-2, ..Schedule::default() };
        let settings = Settings { steps: 300, batch: 64, rate, ..Settings::default() };
        train(&mut flow, &mut objective, &settings, &AtomicBool::new(false), &mut Silent).expect("trained");
        let mut moved = 0.0;
        for row in rows.chunks_exact(2).take(200) {
            let x = [row[0] as f32, row[1] as f32];
            let y = flow.layers()[0].forward(Cpu::default().tensor_from_vec(x.to_vec(), (1, 2))).expect("there");
            moved += y.0.as_vec().iter().zip(x).map(|(y, x)| f64::from(y - x).powi(2)).sum::<f64>();
        }
        moved / 200.0
    };
    let (free, held) = (path(0.0), path(1.0));
    assert!(held < 0.8 * free, "{held} of {free}");
}
