//! The laws of flows: both directions of both orientations, gradients, the frozen form, normalisation.

mod common;

use common::*;
use dfdx::prelude::*;
use flowdistill::flow::{Flow, FlowConfig, FrozenFlow, Method, Orientation, Space};
use flowdistill::ops::real::Real;
use flowdistill::ops::Kernels;
use flowdistill::params::{Adam, AdamConfig, Parameters};
use flowdistill::transformer::Transformer;

const ORIENTATIONS: [Orientation; 2] = [Orientation::Density, Orientation::Sampling];

/// Calls `law` with every case, dimension and orientation.
fn for_all(law: impl Fn(&str, &FlowConfig, Space, Orientation)) {
    for space in SPACES {
        for (name, config) in cases_on(space) {
            for orientation in ORIENTATIONS {
                law(&format!("{name}, {space:?}, {orientation:?}"), &config, space, orientation);
            }
        }
    }
}

#[test]
fn what_a_shape_says_of_its_cost_is_what_the_flow_does() {
    for_all(|name, config, space, orientation| {
        let frozen = random_flow::<f32>(space, config, orientation).freeze::<f32>();
        assert_eq!(config.cost(space, orientation), frozen.cost(), "{name}");
    });
}

#[test]
fn push_gives_the_log_prob_of_its_points() {
    fn check<E: Real>(name: &str, config: &FlowConfig, space: Space, orientation: Orientation, bound: f64)
    where
        Cpu: Kernels<E>,
    {
        let flow = random_flow::<E>(space, config, orientation);
        for rows in BATCHES {
            let width = flow.noise_width();
            let (x, pushed) = flow.push(tensor::<E>(&normal_rows(rows, width, "noise"), width)).expect("push");
            let asked = flow.log_prob(x).expect("log_prob");
            let apart = disagreement(widen(pushed.as_vec()), widen(asked.as_vec()));
            assert!(apart < bound, "{name}, {rows} rows: {apart}");
        }
    }
    for_all(|name, config, space, orientation| {
        check::<f64>(name, config, space, orientation, DOUBLE);
        check::<f32>(name, config, space, orientation, SINGLE);
    });
}

/// The width of what the one-pass direction takes.
fn inputs<E: Real>(flow: &Flow<E, Cpu>) -> usize
where
    Cpu: Kernels<E>,
{
    match flow.orientation() {
        Orientation::Density => flow.dim(),
        Orientation::Sampling => flow.noise_width(),
    }
}

/// The gradients of a loss that touches every output, in the one-pass direction.
fn parameter_gradients<E: Real>(flow: &Flow<E, Cpu>, rows: &[f64]) -> Vec<Vec<f64>>
where
    Cpu: Kernels<E>,
{
    let x = tensor::<E>(rows, inputs(flow)).leaky_trace();
    let loss = match flow.orientation() {
        Orientation::Density => flow.log_prob(x).expect("log_prob").mean(),
        Orientation::Sampling => {
            let (x, log_prob) = flow.push(x).expect("push");
            x.sin().mean::<Rank0, Axes2<0, 1>>() + log_prob.mean()
        }
    };
    let gradients = loss.backward();
    flow.parameters().into_iter().map(|(_, tensor)| widen(gradients.get(tensor).as_vec())).collect()
}

#[test]
fn every_parameter_has_a_gradient_and_kernels_give_the_gradients_of_stock_ops() {
    for_all(|name, config, space, orientation| {
        let flow = random_flow::<f32>(space, config, orientation);
        let oracle = random_flow::<f64>(space, config, orientation);
        let rows = normal_rows(67, inputs(&flow), "rows");
        let exact = parameter_gradients(&oracle, &rows);
        let fast = parameter_gradients(&flow, &rows);
        for (((parameter, _), exact), fast) in oracle.parameters().iter().zip(exact).zip(fast) {
            assert!(exact.iter().any(|&g| g != 0.0), "{name}: {parameter} has no gradient");
            assert!(fast.iter().any(|&g| g != 0.0), "{name}: {parameter} has no gradient in single precision");
            assert!(disagreement(fast, exact) < SINGLE, "{name}: {parameter}");
        }
    });
}

#[test]
fn parameter_gradients_are_central_differences() {
    for_all(|name, config, space, orientation| {
        let mut flow = random_flow::<f64>(space, config, orientation);
        let rows = normal_rows(5, inputs(&flow), "rows");
        let loss = |flow: &Flow<f64, Cpu>| -> f64 {
            let x = tensor::<f64>(&rows, inputs(flow));
            match orientation {
                Orientation::Density => flow.log_prob(x).expect("log_prob").mean::<Rank0, _>().array(),
                Orientation::Sampling => {
                    let (x, log_prob) = flow.push(x).expect("push");
                    x.sin().mean::<Rank0, Axes2<0, 1>>().array() + log_prob.mean::<Rank0, _>().array()
                }
            }
        };
        let gradients = parameter_gradients(&flow, &rows);
        let weights = flow.snapshot();
        for (t, gradient) in gradients.iter().enumerate() {
            let i = (7 * t) % gradient.len();
            let mut at = |shift: f64| {
                let mut moved = weights.clone();
                moved[t][i] += shift;
                flow.restore(&moved);
                loss(&flow)
            };
            let difference = (at(2e-6) - at(-2e-6)) / 4e-6;
            assert!(disagreement([gradient[i]], [difference]) < 1e-6, "{name}: tensor {t}, value {i}");
        }
    });
}

#[test]
fn frozen_equals_taped_by_either_method() {
    for_all(|name, config, space, orientation| {
        let dim = space.columns();
        let rows = rows_of(config, space, 67, "rows");
        let flow = random_flow::<f32>(space, config, orientation);
        let oracle = random_flow::<f64>(space, config, orientation);
        let width = oracle.noise_width();
        let noise = normal_rows(67, width, "noise");
        let (x, pushed) = oracle.push(tensor::<f64>(&noise, width)).expect("push");
        let asked = oracle.log_prob(tensor::<f64>(&rows, dim)).expect("log_prob").as_vec();
        let (x, pushed) = (x.as_vec(), pushed.as_vec());

        fn check<F: Real>(
            name: &str,
            frozen: &FrozenFlow<F>,
            (noise, rows): (&[f64], &[f64]),
            exact: (&[f64], &[f64], &[f64]),
            bound: f64,
        ) {
            let (x, pushed, asked) = exact;
            for method in [Method::Cached, Method::Passes] {
                let (mut points, mut log_prob) = (vec![0.0; rows.len()], vec![0.0; pushed.len()]);
                frozen.push_with(method, noise, &mut points, &mut log_prob);
                let near = |what: &str, found: Vec<f64>, exact: &[f64]| {
                    let apart = disagreement(found, exact.to_vec());
                    assert!(apart < bound, "{name}: {what}, {method:?}: {apart}");
                };
                near("points", points, x);
                near("push", log_prob.clone(), pushed);
                frozen.log_prob_with(method, rows, &mut log_prob);
                near("log_prob", log_prob, asked);
            }
        }
        check(name, &oracle.freeze::<f64>(), (&noise, &rows), (&x, &pushed, &asked), DOUBLE);
        check(name, &flow.freeze::<f64>(), (&noise, &rows), (&x, &pushed, &asked), DOUBLE);
        check(name, &flow.freeze::<f32>(), (&noise, &rows), (&x, &pushed, &asked), SINGLE);
    });
}

#[test]
fn frozen_rows_do_not_depend_on_their_batch() {
    for_all(|name, config, space, orientation| {
        let dim = space.columns();
        let frozen = random_flow::<f32>(space, config, orientation).freeze::<f32>();
        let width = frozen.noise_width();
        let rows = normal_rows(131, width, "rows");
        let (mut points, mut log_prob) = (vec![0.0; 131 * dim], vec![0.0; 131]);
        frozen.push(&rows, &mut points, &mut log_prob);
        for (start, len) in [(0, 1), (64, 3), (100, 31)] {
            let (mut few, mut few_log_prob) = (vec![0.0; len * dim], vec![0.0; len]);
            frozen.push(&rows[start * width..(start + len) * width], &mut few, &mut few_log_prob);
            assert_eq!(few, points[start * dim..(start + len) * dim], "{name}");
            assert_eq!(few_log_prob, log_prob[start..start + len], "{name}");
        }
    });
}

#[test]
fn frozen_gradient_is_that_of_autodiff() {
    for_all(|name, config, space, orientation| {
        let dim = space.columns();
        let rows = normal_rows(67, dim, "rows");
        let oracle = random_flow::<f64>(space, config, orientation);
        let frozen = oracle.freeze::<f64>();
        let (mut log_prob, mut gradient) = (vec![0.0; 67], vec![0.0; rows.len()]);
        frozen.log_prob_and_gradient(&rows, &mut log_prob, &mut gradient);
        if orientation == Orientation::Sampling {
            // Here the tape has nothing to say; `tests/adjoint.rs` does.
            return;
        }
        let x = tensor::<f64>(&rows, dim);
        let exact = oracle.log_prob(x.leaky_trace()).expect("log_prob");
        assert!(disagreement(log_prob, exact.as_vec()) < DOUBLE, "{name}");
        let gradients = exact.sum::<Rank0, _>().backward();
        assert!(disagreement(gradient, gradients.get(&x).as_vec()) < DOUBLE, "{name}");
    });
}

/// Carried back through itself a flow is its base.
#[test]
fn a_flow_seen_through_itself_is_its_base() {
    for_all(|name, config, space, orientation| {
        if orientation == Orientation::Density {
            return;
        }
        let frozen = random_flow::<f64>(space, config, orientation).freeze::<f64>();
        let (dim, width) = (space.columns(), frozen.noise_width());
        let mut z = vec![0.0; 67 * dim];
        let noise = normal_rows(67, width, "noise");
        z.chunks_exact_mut(dim).zip(noise.chunks_exact(width)).for_each(|(z, noise)| frozen.base().push(noise, z));
        let (mut log_det, mut found, mut slopes) = (vec![0.0; 67], vec![0.0; 67], vec![0.0; 67 * dim]);
        frozen
            .carry_back(&z, &mut log_det, &mut slopes, |x, slopes| frozen.log_prob_and_gradient(x, &mut found, slopes));
        let right: Vec<f64> = z.chunks_exact(dim).map(|z| frozen.base().log_prob(z)).collect();
        let sums = found.iter().zip(&log_det).map(|(value, log_det)| value + log_det);
        assert!(disagreement(sums, right) < DOUBLE, "{name}");
        let mut right = vec![0.0; 67 * dim];
        z.chunks_exact(dim).zip(right.chunks_exact_mut(dim)).for_each(|(z, score)| frozen.base().score(z, score));
        let apart = disagreement(slopes, right);
        assert!(apart < DOUBLE, "{name}: {apart}");
        let (mut rows, mut log_det_alone) = (z, vec![0.0; 67]);
        frozen.carry(&mut rows, &mut log_det_alone);
        assert_eq!(log_det_alone, log_det, "{name}");
    });
}

#[test]
fn sequential_directions_refuse_a_tape() {
    let (_, config) = cases().remove(0);
    let x = tensor::<f64>(&normal_rows(3, 2, "rows"), 2);
    assert!(random_flow::<f64>(2, &config, Orientation::Sampling).log_prob(x.leaky_trace()).is_err());
    assert!(random_flow::<f64>(2, &config, Orientation::Density).push(x.leaky_trace()).is_err());
}

#[test]
fn masked_weights_stay_exactly_zero_under_adam() {
    for (name, config) in cases() {
        let (space, dim) = (Space::from(5), 5);
        let mut flow = random_flow::<f32>(space, &config, Orientation::Density);
        let mut values = flow.snapshot();
        let (before, mut next) = (values.clone(), values.clone());
        let mut adam = Adam::new(AdamConfig::default(), values.iter().map(Vec::len));
        for step in 0..100 {
            let rows = normal_rows(33, dim, &format!("step {step}"));
            let loss =
                flow.log_prob(tensor::<f32>(&rows, dim).leaky_trace()).expect("log_prob").mean::<Rank0, _>().negate();
            let gradients = loss.backward();
            let gradients: Vec<Vec<f32>> = flow.parameters().iter().map(|(_, t)| gradients.get(*t).as_vec()).collect();
            adam.update(1e-2, 1.0, &values, &gradients, &mut next);
            std::mem::swap(&mut values, &mut next);
            flow.restore(&values);
        }
        assert!(before.iter().zip(&values).all(|(before, after)| before != after), "{name}: every tensor has moved");
        let x = normal_rows(7, dim, "x");
        for (l, layer) in flow.layers().iter().enumerate() {
            use flowdistill::bijection::Bijection;
            let forbidden = forbidden(&config.shapes()[l], space);
            for matrix in jacobian::<f32>(&x, dim, |x| layer.forward(x).expect("forward").0) {
                forbidden.iter().for_each(|&(j, i)| assert_eq!(matrix[j][i], 0.0, "{name}: y{j} sees x{i}"));
            }
        }
    }
}

#[test]
fn densities_of_one_variable_integrate_to_one_whatever_is_given() {
    for (name, config) in cases() {
        for orientation in ORIENTATIONS {
            let frozen = random_flow::<f64>(Space { given: 1, variables: 1 }, &config, orientation).freeze::<f64>();
            for given in [-1.5, 0.0, 2.0] {
                // x = sinh t on a grid of t, where tails are long.
                let half = config.domain().half_length();
                let (n, limit) = (12_000, half.unwrap_or(12.0));
                let t = |i: usize| -limit + 2.0 * limit * (i as f64 + 0.5) / n as f64;
                let at = |i: usize| if half.is_some() { (t(i), 1.0) } else { (t(i).sinh(), t(i).cosh()) };
                let rows: Vec<f64> = (0..n).flat_map(|i| [given, at(i).0]).collect();
                let mut log_prob = vec![0.0; n];
                frozen.log_prob(&rows, &mut log_prob);
                let total: f64 = log_prob.iter().enumerate().map(|(i, l)| l.exp() * at(i).1).sum();
                let total = total * 2.0 * limit / n as f64;
                assert!((total - 1.0).abs() < 0.01, "{name}, {orientation:?}, given {given}: {total}");
            }
        }
    }
}

#[test]
fn densities_integrate_to_one() {
    for (name, config) in cases() {
        for orientation in ORIENTATIONS {
            let frozen = random_flow::<f64>(2, &config, orientation).freeze::<f64>();
            // The grid follows the draws: a flow with |s| ≤ 2 in each layer can be long and thin.
            let noise = normal_rows(20_000, frozen.noise_width(), "noise");
            let (mut points, mut log_prob) = (vec![0.0; 40_000], vec![0.0; 20_000]);
            frozen.push(&noise, &mut points, &mut log_prob);
            let range = |axis: usize| {
                if let Some(half) = config.domain().half_length() {
                    return (-half, half);
                }
                let mut values: Vec<f64> = points.iter().skip(axis).step_by(2).copied().collect();
                values.sort_by(f64::total_cmp);
                let (low, high) = (values[0], values[values.len() - 1]);
                (low - 0.5 * (high - low), high + 0.5 * (high - low))
            };
            let ((x0, x1), (y0, y1)) = (range(0), range(1));
            // Densities that jump need a finer grid.
            let jumps = matches!(config.transformer, Transformer::PiecewiseLinear(..) | Transformer::Sinusoid(..));
            let n = if jumps { 1500 } else { 800 };
            let (dx, dy) = ((x1 - x0) / n as f64, (y1 - y0) / n as f64);
            let mut total = 0.0;
            for i in 0..n {
                let x = x0 + (i as f64 + 0.5) * dx;
                let column: Vec<f64> = (0..n).flat_map(|j| [x, y0 + (j as f64 + 0.5) * dy]).collect();
                let mut log_prob = vec![0.0; n];
                frozen.log_prob(&column, &mut log_prob);
                total += log_prob.iter().map(|l| l.exp()).sum::<f64>() * dx * dy;
            }
            assert!((total - 1.0).abs() < 0.01, "{name}, {orientation:?}: {total}");
        }
    }
}
