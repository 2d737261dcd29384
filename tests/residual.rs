//! Layers that are defined by what they contract or by an equation that they solve: the bounds and orders that they promise.

mod common;

use common::*;
use dfdx::prelude::*;
use flowdistill::bijection::Bijection;
use flowdistill::flow::{ContinuousSpec, Flow, FlowConfig, LayerSpec, Layers, Orientation, ResidualSpec};
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
            let layer = LayerSpec::Residual(ResidualSpec { hidden: None, contraction });
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
        let flow = flow(LayerSpec::Continuous(ContinuousSpec { hidden: None, tolerance }), 2, 0.6);
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
        layers: Layers::Listed(vec![LayerSpec::Continuous(ContinuousSpec { hidden: Some(vec![32]), tolerance: 1e-6 })]),
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
