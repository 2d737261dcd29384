//! The sequential adjoint sweep against the tensor library's own backward pass, in both precisions.

mod common;

use common::*;
use dfdx::prelude::*;
use flowdistill::bijection::Bijection;
use flowdistill::flow::{BaseConfig, Flow, FlowConfig, Orientation, Pass, Space};
use flowdistill::ops::batch::Batch;
use flowdistill::ops::real::Real;
use flowdistill::ops::Kernels;
use flowdistill::params::Parameters;
use flowdistill::transformer::Transformer;

/// What the adjoint sweep of a layer makes of the gradient `g_x` of log q at `x`: the gradient at the images, and those of the weights.
fn adjoint<E: Real>(
    layer: &flowdistill::bijection::Layer<E, Cpu>,
    x: &[f64],
    g_x: &[f64],
    dim: usize,
) -> (Vec<f64>, Vec<Vec<f64>>)
where
    Cpu: Kernels<E>,
{
    let rows = x.len() / dim;
    let maps = [layer.on_slices::<E>(false)];
    let (mut y, mut log_det, mut g_y) = (x.to_vec(), vec![0.0; rows], x.to_vec());
    let mut batch = Batch::default();
    batch.forward(&maps, x, &mut y, &mut log_det);
    batch.adjoint(&maps, g_x, &mut g_y);
    let mut weights: Vec<Vec<E>> = layer.snapshot().iter().map(|tensor| vec![E::ZERO; tensor.len()]).collect();
    batch.add_adjoint_weight_gradients(&maps, g_x, &vec![1.0; rows], &mut weights);
    (g_y, weights.into_iter().map(widen).collect())
}

#[test]
fn the_backward_pass_of_the_adjoint_is_where_it_came_from() {
    // gₓ = Jᵀ g + ∂ log |det J|/∂x, with the right side by the library's own ops and tape.
    for space in SPACES {
        let dim = space.columns();
        for (name, config) in cases() {
            // A spline's slopes go down to 1/200, and dividing by them costs as many digits on either side; those of bins of sines cost some in single precision.
            let (loss_of_digits, loss_in_single) = match config.transformer {
                Transformer::Spline(..) => (100.0, 100.0),
                Transformer::Sinusoid(..) => (1.0, 10.0),
                _ => (1.0, 1.0),
            };
            let (double, single_bound) = (1e-12 * loss_of_digits, 1e-4 * loss_in_single);
            for rows in BATCHES {
                let (x, g_x) = (normal_rows(rows, dim, "x"), normal_rows(rows, dim, "g"));
                let oracle = random_flow::<f64>(space, &config, Orientation::Sampling);
                let single = random_flow::<f32>(space, &config, Orientation::Sampling);
                for (layer, single) in oracle.layers().iter().zip(single.layers()) {
                    let message = format!("{name}, {space:?}, {rows} rows");
                    let (g, weights) = adjoint(layer, &x, &g_x, dim);
                    let points = tensor::<f64>(&x, dim);
                    let (y, log_det) = layer.forward(points.leaky_trace()).expect("forward");
                    let loss =
                        (y * tensor::<f64>(&g, dim)).sum::<Rank0, Axes2<0, 1>>() + log_det.sum::<Rank0, Axis<0>>();
                    let gradients = loss.backward();
                    let apart = disagreement(gradients.get(&points).as_vec(), g_x.clone());
                    assert!(apart < double, "{message}: {apart}");
                    let exact = layer.parameters().into_iter().map(|(_, tensor)| gradients.get(tensor).as_vec());
                    for (found, exact) in weights.iter().zip(exact) {
                        assert!(disagreement(found.clone(), exact) < double, "{message}: weights");
                    }
                    let (fast, fast_weights) = adjoint(single, &x, &g_x, dim);
                    let apart = disagreement(fast, g);
                    assert!(apart < single_bound, "{message}: {apart}");
                    for (fast, exact) in fast_weights.into_iter().zip(weights) {
                        let apart = disagreement(fast, exact);
                        assert!(apart < single_bound, "{message}: weights: {apart}");
                    }
                }
            }
        }
    }
}

/// Calls `law` with every case and dimension, a random flow that samples, and points of its own and from elsewhere.
fn for_all(law: impl Fn(&str, &FlowConfig, Space)) {
    for space in SPACES {
        for (name, config) in cases_on(space) {
            law(&format!("{name}, {space:?}"), &config, space);
        }
    }
}

#[test]
fn the_gradient_of_a_samplers_density_obeys_the_chain_rule() {
    // Along x(z), d log q(x(z))/dz = Jᵀ ∂ log q/∂x, and the tape knows both sides.
    for_all(|name, config, space| {
        let dim = space.columns();
        if config.base != BaseConfig::Normal || config.tail_limit.is_some() || space.given > 0 {
            // The draws of another base, or of one beside what is given, are on the tape as functions of its parameters, not of the noise.
            return;
        }
        let rows = 7;
        let flow = random_flow::<f64>(space, config, Orientation::Sampling);
        let noise = tensor::<f64>(&normal_rows(rows, dim, "noise"), dim);
        let (x, log_q) = flow.push(noise.leaky_trace()).expect("push");
        let (points, densities) = (x.as_vec(), log_q.as_vec());
        let (mut log_prob, mut gradient) = (vec![0.0; rows], vec![0.0; rows * dim]);
        flow.freeze::<f64>().log_prob_and_gradient(&points, &mut log_prob, &mut gradient);
        assert!(disagreement(log_prob, densities) < DOUBLE, "{name}");
        let loss = (x * tensor::<f64>(&gradient, dim)).sum::<Rank0, Axes2<0, 1>>() - log_q.sum::<Rank0, Axis<0>>();
        assert!(disagreement(loss.backward().get(&noise).as_vec(), vec![0.0; rows * dim]) < DOUBLE, "{name}");
    });
}

#[test]
fn the_gradient_of_a_samplers_density_is_its_central_difference() {
    for_all(|name, config, space| {
        let dim = space.columns();
        let frozen = random_flow::<f64>(space, config, Orientation::Sampling).freeze::<f64>();
        // Points that are no draws of the flow. A ReLU has corners; small steps seldom meet one.
        let points: Vec<f64> = normal_rows(3, dim, "foreign").iter().map(|x| 0.7 * x - 0.2).collect();
        let (mut log_prob, mut gradient) = (vec![0.0; 3], vec![0.0; 3 * dim]);
        frozen.log_prob_and_gradient(&points, &mut log_prob, &mut gradient);
        for i in 0..dim {
            let at = |shift: f64| {
                let mut moved = points.clone();
                moved.chunks_exact_mut(dim).for_each(|row| row[i] += shift);
                let mut log_prob = vec![0.0; 3];
                frozen.log_prob(&moved, &mut log_prob);
                log_prob
            };
            for (row, (up, down)) in at(1e-6).into_iter().zip(at(-1e-6)).enumerate() {
                let difference = (up - down) / 2e-6;
                assert!(disagreement([gradient[row * dim + i]], [difference]) < 1e-5, "{name}: {row}, {i}");
            }
        }
    });
}

#[test]
fn a_pass_gives_the_scores_and_gradients_of_its_flow() {
    for_all(|name, config, space| {
        let dim = space.columns();
        let rows = 67;
        let mut flow = random_flow::<f64>(space, config, Orientation::Sampling);
        let mut pass = Pass::<f64>::default();
        let noise = normal_rows(rows, flow.noise_width(), "noise");
        let (mut x, mut log_q, mut scores) = (vec![0.0; rows * dim], vec![0.0; rows], vec![0.0; rows * dim]);
        pass.push(&flow, &noise, &mut x, &mut log_q).expect("pushed");
        pass.score(&mut scores);
        let (mut log_prob, mut gradient) = (vec![0.0; rows], vec![0.0; rows * dim]);
        flow.freeze::<f64>().log_prob_and_gradient(&x, &mut log_prob, &mut gradient);
        assert!(disagreement(log_prob, log_q.clone()) < DOUBLE && disagreement(gradient, scores) < DOUBLE, "{name}");

        // What is pulled back through the push, against the tape.
        let zeros: Vec<Vec<f64>> = flow.snapshot().iter().map(|tensor| vec![0.0; tensor.len()]).collect();
        let (d_x, d_log_q) = (normal_rows(rows, dim, "d_x"), normal_rows(rows, 1, "d_log_q"));
        let mut found = zeros.clone();
        pass.add_gradients_of_push(&d_x, &d_log_q, &mut found);
        let (points, density) = flow.push(tensor::<f64>(&noise, flow.noise_width()).leaky_trace()).expect("push");
        let weights: Tensor<(usize,), f64, Cpu> = Cpu::default().tensor_from_vec(d_log_q, (rows,));
        let loss = (points * tensor::<f64>(&d_x, dim)).sum::<Rank0, Axes2<0, 1>>() + (density * weights).sum();
        let gradients = loss.backward();
        for ((_, tensor), found) in flow.parameters().into_iter().zip(found) {
            assert!(disagreement(found, gradients.get(tensor).as_vec()) < DOUBLE, "{name}: push");
        }

        // The gradient of −Σ share · log q at fixed points, against central differences; the pass follows the flow's weights.
        let points: Vec<f64> = normal_rows(rows, dim, "foreign");
        let shares: Vec<f64> = (0..rows).map(|row| if row % 3 == 0 { 0.0 } else { 1.0 / rows as f64 }).collect();
        let loss = |pass: &mut Pass<f64>, flow: &Flow<f64, Cpu>| -> f64 {
            let mut log_q = vec![0.0; rows];
            pass.log_prob(flow, &points, &mut log_q).expect("asked");
            -log_q.iter().zip(&shares).map(|(log_q, share)| log_q * share).sum::<f64>()
        };
        let mut found = zeros;
        loss(&mut pass, &flow);
        pass.add_gradients_of_surprise(&shares, &mut found);
        let weights = flow.snapshot();
        for (t, gradient) in found.iter().enumerate() {
            let i = (5 * t) % gradient.len();
            let mut at = |shift: f64| {
                let mut moved = weights.clone();
                moved[t][i] += shift;
                flow.restore(&moved);
                loss(&mut pass, &flow)
            };
            let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!(disagreement([gradient[i]], [difference]) < 1e-6, "{name}: tensor {t}, value {i}");
        }
    });
}

#[test]
fn the_path_gradient_is_the_total_one_without_the_score() {
    // d/dθ [log q(x(θ); θ)] = ∂ log q/∂x · ∂x/∂θ + ∂ log q(x; θ)/∂θ, each found by another way through the flow.
    for_all(|name, config, space| {
        let dim = space.columns();
        let rows = 67;
        let flow = random_flow::<f64>(space, config, Orientation::Sampling);
        let mut pass = Pass::<f64>::default();
        let noise = normal_rows(rows, flow.noise_width(), "noise");
        let (mut x, mut log_q, mut scores) = (vec![0.0; rows * dim], vec![0.0; rows], vec![0.0; rows * dim]);
        pass.push(&flow, &noise, &mut x, &mut log_q).expect("pushed");
        pass.score(&mut scores);
        let zeros: Vec<Vec<f64>> = flow.snapshot().iter().map(|tensor| vec![0.0; tensor.len()]).collect();
        let (mut total, mut path) = (zeros.clone(), zeros);
        pass.add_gradients_of_push(&vec![0.0; rows * dim], &vec![1.0; rows], &mut total);
        pass.add_gradients_of_push(&scores, &vec![0.0; rows], &mut path);
        pass.log_prob(&flow, &x, &mut log_q).expect("asked");
        pass.add_gradients_of_surprise(&vec![1.0; rows], &mut total);
        assert!(disagreement(path.concat(), total.concat()) < DOUBLE, "{name}");
    });
}

#[test]
fn a_pass_refuses_a_flow_that_does_not_sample_in_one_pass() {
    let flow = random_flow::<f64>(2, &FlowConfig::default(), Orientation::Density);
    let error = Pass::<f64>::default().push(&flow, &[0.0; 2], &mut [0.0; 2], &mut [0.0]).expect_err("refused");
    assert!(error.to_string().contains("Sampling"), "{error}");
}
