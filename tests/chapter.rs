//! Worked problems of a textbook chapter on normalizing flows (16.2 to 16.7, 16.10 to 16.12) where this crate covers them; 16.8 and 16.9 are in
//! `tests/shape.rs`.

use dfdx::prelude::*;
use flowdistill::bijection::Bijection;
use flowdistill::conditioner::{Activation, Order, Structure};
use flowdistill::flow::{Flow, FlowConfig, Link, Model, Orientation, Standardisation};
use flowdistill::ops::linear::dense;
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::target::{Density, Fatal, Faults, Funnel, Gaussian};
use flowdistill::train::{Objective, ReverseKl};
use flowdistill::transformer::{LeakyReluSettings, Transformer};

/// One linear layer whose parameters are these: the diagonal and the shift of each variable, and the entries below the diagonal.
fn triangular(diagonal: &[f64], below: &[&[f64]], shift: &[f64]) -> Flow<f64, Cpu> {
    let dim = diagonal.len();
    let config = FlowConfig {
        layers: 1.into(),
        hidden: vec![],
        activation: Activation::Relu,
        orders: vec![Order::Ascending],
        skip: false,
        ..FlowConfig::default()
    };
    let stream = Seed(1).stream("init");
    let mut flow = Flow::new(&Cpu::default(), dim, &config, Orientation::Sampling, &stream).expect("a flow");
    // Outputs are the raw log scale and the shift of each variable in turn; weights only of variables before.
    let bound = 1000f64.ln();
    let raw = |scale: f64| bound * (scale.ln() / bound).atanh();
    let bias = diagonal.iter().zip(shift).flat_map(|(scale, shift)| [raw(*scale), *shift]).collect();
    let weights = below.iter().flat_map(|row| std::iter::repeat_n(0.0, row.len()).chain(row.iter().copied()));
    let weights: Vec<f64> = weights.collect();
    flow.restore(&[weights, bias]);
    flow
}

fn row(values: &[f64]) -> Tensor<(usize, usize), f64, Cpu> {
    Cpu::default().tensor_from_vec(values.to_vec(), (1, values.len()))
}

/// The lower triangular matrix of problem 16.4.
const MATRIX: [[f64; 4]; 4] =
    [[1.0, 0.0, 0.0, 0.0], [2.0, 4.0, 0.0, 0.0], [1.0, -1.0, 2.0, 0.0], [4.0, -2.0, -2.0, 1.0]];

fn matrix_flow(shift: &[f64; 4]) -> Flow<f64, Cpu> {
    triangular(&[1.0, 4.0, 2.0, 1.0], &[&[2.0], &[1.0, -1.0], &[4.0, -2.0, -2.0]], shift)
}

#[test]
fn problem_16_2_a_normal_through_the_logistic_function() {
    let flow = Flow::new(
        &Cpu::default(),
        1,
        &FlowConfig { layers: 1.into(), ..FlowConfig::default() },
        Orientation::Density,
        &Seed(1).stream("init"),
    )
    .expect("a flow");
    let mut flow = flow;
    let zeros = flow.snapshot().into_iter().map(|tensor| vec![0.0; tensor.len()]).collect::<Vec<_>>();
    flow.restore(&zeros);
    let standardisation = Standardisation { links: vec![Link::Between(0.0, 1.0)], ..Standardisation::identity(1) };
    let model = Model {
        flow,
        standardisation,
        names: vec!["x".into()],
        columns: Default::default(),
        constraint: Default::default(),
        held_out: Vec::new(),
    }
    .freeze::<f64>();
    for x in [0.01f64, 0.3, 0.5, 0.77, 0.999] {
        let z = (x / (1.0 - x)).ln();
        let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() / (x * (1.0 - x));
        let mut found = [0.0];
        model.log_prob(&[x], &mut found);
        assert!((found[0].exp() - density).abs() < 1e-12 * density, "{} for {density} at {x}", found[0].exp());
    }
}

/// The Jacobian of a map by central differences, row-major.
fn differences(at: &[f64], map: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let dim = at.len();
    let mut jacobian = vec![0.0; dim * dim];
    for i in 0..dim {
        let moved = |step: f64| {
            let mut at = at.to_vec();
            at[i] += step;
            map(&at)
        };
        let (plus, minus) = (moved(1e-5), moved(-1e-5));
        (0..dim).for_each(|j| jacobian[j * dim + i] = (plus[j] - minus[j]) / 2e-5);
    }
    jacobian
}

#[test]
fn problem_16_3_the_jacobian_of_the_inverse_is_the_product_of_those_of_the_layers_inverses_the_last_first() {
    let text = "(hidden: [8], layers: [Masked(), Planar, Linear(Lu)])";
    let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES);
    let config: FlowConfig = options.from_str(text).expect("a flow");
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f64, Cpu>::new(&Cpu::default(), 3, &config, Orientation::Sampling, &stream).expect("a flow");
    let values = flow.snapshot().into_iter().enumerate();
    let values = values.map(|(t, tensor)| {
        let mut values = vec![0.0; tensor.len()];
        Seed(2).stream("values").normals((t as u64) << 20, 1, &mut values);
        values.into_iter().map(|value| 0.4 * value).collect::<Vec<f64>>()
    });
    flow.restore(&values.collect::<Vec<_>>());
    let layers = flow.layers();
    let back = |layer: usize, y: &[f64]| layers[layer].inverse(&row(y)).expect("inverse");
    let x = [0.4, -0.9, 1.3];
    let (mut product, mut log_det, mut at) = (dense::identity(3), 0.0, x.to_vec());
    for layer in (0..3).rev() {
        let here = differences(&at, |at| back(layer, at).0.as_vec());
        product = dense::product(&here, &product, 3);
        let (z, of_layer) = back(layer, &at);
        log_det += of_layer.as_vec()[0];
        at = z.as_vec();
    }
    let whole = differences(&x, |x| (0..3).rev().fold(x.to_vec(), |at, layer| back(layer, &at).0.as_vec()));
    assert!(whole.iter().zip(&product).all(|(a, b)| (a - b).abs() < 1e-8), "{whole:?} {product:?}");
    let m = &whole;
    let det =
        m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
    assert!((det.abs().ln() - log_det).abs() < 1e-7, "{det} {log_det}");
}

#[test]
fn problem_16_7_the_inverse_of_a_leaky_rectifier() {
    let config = FlowConfig {
        layers: 1.into(),
        structure: Structure::Blocks(1),
        transformer: Transformer::LeakyRelu(LeakyReluSettings { slope: 0.1, max_scale: 10.0 }),
        ..FlowConfig::default()
    };
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f64, Cpu>::new(&Cpu::default(), 4, &config, Orientation::Sampling, &stream).expect("a flow");
    let zeros = flow.snapshot().into_iter().map(|tensor| vec![0.0; tensor.len()]).collect::<Vec<_>>();
    flow.restore(&zeros);
    let (z, log_det) = flow.layers()[0].inverse(&row(&[0.7, -0.2, -3.0, 5.0])).expect("inverse");
    let expected = [0.7, -2.0, -30.0, 5.0];
    assert!(z.as_vec().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{:?}", z.as_vec());
    assert!((log_det.as_vec()[0] - 100f64.ln()).abs() < 1e-9, "ten for each of the two below zero");
}

#[test]
fn problem_16_4_the_inverse_and_determinant_of_a_triangular_matrix() {
    let flow = matrix_flow(&[0.0; 4]);
    let layer = &flow.layers()[0];
    let x = [0.3, -1.2, 0.7, 2.0];
    let (y, log_det) = layer.forward(row(&x)).expect("forward");
    let expected: Vec<f64> = MATRIX.iter().map(|row| row.iter().zip(x).map(|(m, x)| m * x).sum()).collect();
    assert!(y.as_vec().iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
    assert!((log_det.as_vec()[0] - 8f64.ln()).abs() < 1e-12, "the determinant is 1 · 4 · 2 · 1");
    // The columns of the inverse, by substitution.
    let inverse = [[1.0, -0.5, -0.75, -6.5], [0.0, 0.25, 0.125, 0.75], [0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0, 1.0]];
    for (k, column) in inverse.iter().enumerate() {
        let unit: Vec<f64> = (0..4).map(|i| f64::from(u8::from(i == k))).collect();
        let found = layer.inverse(&row(&unit)).expect("inverse").0.as_vec();
        assert!(found.iter().zip(column).all(|(a, b)| (a - b).abs() < 1e-12), "column {k}: {found:?}");
    }
}

#[test]
fn problems_16_5_and_16_6_a_linear_map_of_a_normal_is_normal() {
    let shift = [1.0, -2.0, 0.5, 3.0];
    let flow = matrix_flow(&shift);
    let entry = |i: usize, j: usize| (0..4).map(|k| MATRIX[i][k] * MATRIX[j][k]).sum::<f64>();
    let covariance: Vec<f64> = (0..16).map(|cell| entry(cell / 4, cell % 4)).collect();
    let normal = Gaussian::new(shift.to_vec(), covariance.clone()).expect("a normal");
    let mut noise = vec![0.0; 4 * 50_000];
    Seed(3).stream("noise").normals(0, 4, &mut noise);
    let (mut x, mut log_prob) = (vec![0.0; noise.len()], vec![0.0; 50_000]);
    flow.freeze::<f64>().push(&noise, &mut x, &mut log_prob);
    let mut values = vec![0.0; 50_000];
    normal.evaluate(&x, &mut values, None, &mut Faults::default()).expect("not fatal");
    assert!(values.iter().zip(&log_prob).all(|(a, b)| (a - b).abs() < 1e-9), "16.6: the density");
    for i in 0..4 {
        let mean = x.iter().skip(i).step_by(4).sum::<f64>() / 50_000.0;
        let error = (covariance[5 * i] / 50_000.0).sqrt();
        assert!((mean - shift[i]).abs() < 5.0 * error, "16.5: the mean of coordinate {i}");
    }
}

#[test]
fn problem_16_12_reverse_kl_does_not_see_the_scale_of_the_target() {
    struct Scaled(Funnel, f64);
    impl Density for Scaled {
        fn dim(&self) -> usize {
            3
        }

        fn evaluate(
            &self,
            x: &[f64],
            values: &mut [f64],
            g: Option<&mut [f64]>,
            faults: &mut Faults,
        ) -> Result<(), Fatal> {
            self.0.evaluate(x, values, g, faults)?;
            values.iter_mut().for_each(|value| *value += self.1);
            Ok(())
        }
    }
    let config = FlowConfig { layers: 2.into(), hidden: vec![8], ..FlowConfig::default() };
    let stream = Seed(1).stream("init");
    let flow = Flow::new(&Cpu::default(), 3, &config, Orientation::Sampling, &stream).expect("a flow");
    let outcome = |log_kappa: f64| {
        let target = Scaled(Funnel::new(3).expect("a funnel"), log_kappa);
        let mut objective = ReverseKl::new(&target, Standardisation::identity(3), 64, Seed(2).stream("noise"));
        let mut gradients = flow.snapshot();
        (objective.evaluate(&flow, 0, &mut gradients).expect("evaluated"), gradients)
    };
    let ((plain, of_plain), (scaled, of_scaled)) = (outcome(0.0), outcome(25.0));
    assert_eq!(of_plain, of_scaled);
    assert!((plain.loss - scaled.loss - 25.0).abs() < 1e-9);
}

/// A flow of two variables in each part, whose weights are random.
fn two_parts(text: &str) -> Flow<f64, Cpu> {
    let extensions = ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES | ron::extensions::Extensions::IMPLICIT_SOME;
    let options = ron::Options::default().with_default_extension(extensions);
    let config: FlowConfig = options.from_str(text).expect("a flow");
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f64, Cpu>::new(&Cpu::default(), 4, &config, Orientation::Sampling, &stream).expect("a flow");
    let values = flow.snapshot().into_iter().enumerate().map(|(t, tensor)| {
        let mut values = vec![0.0; tensor.len()];
        Seed(2).stream("values").normals((t as u64) << 20, 1, &mut values);
        values.into_iter().map(|value| 0.4 * value).collect::<Vec<f64>>()
    });
    flow.restore(&values.collect::<Vec<_>>());
    flow
}

/// Whether each entry of the Jacobian of all layers at a point is zero, row-major.
fn zeros_of_jacobian(flow: &Flow<f64, Cpu>) -> Vec<bool> {
    let whole = |x: &[f64]| {
        flow.layers().iter().fold(x.to_vec(), |x, layer| layer.forward(row(&x)).expect("forward").0.as_vec())
    };
    let jacobian = differences(&[0.4, -0.9, 1.3, 0.2], whole);
    jacobian.iter().map(|entry| entry.abs() < 1e-9).collect()
}

#[test]
fn problem_16_10_the_structure_of_the_jacobian_of_a_residual_flow() {
    // (i) Fully connected networks: h1' = h1 + f1[h2] has the blocks (I, F1), h2' = h2 + f2[h1'] the blocks (F2, I + F2 F1).
    let dense = two_parts("(hidden: [8], layers: [RevNet()])");
    let zeros = zeros_of_jacobian(&dense);
    for (cell, zero) in zeros.iter().enumerate() {
        let (i, j) = (cell / 4, cell % 4);
        assert_eq!(*zero, i < 2 && j < 2 && i != j, "row {i}, column {j}");
    }
    // It is no triangular matrix, but each of its two steps is one of ones: volumes stay as they are.
    let (_, log_det) = dense.layers()[0].forward(row(&[0.4, -0.9, 1.3, 0.2])).expect("forward");
    assert_eq!(log_det.as_vec(), [0.0]);
    // (ii) Elementwise functions, each variable of a part moved by one of the other: all four blocks are diagonal.
    let steps = [(2, 0), (3, 1), (0, 2), (1, 3)];
    let coupling =
        |(seen, _): (usize, usize)| format!("Masked(structure: Coupling(Columns([{seen}])), order: Ascending)");
    let layers = steps.map(coupling).join(", ");
    let mut flow = two_parts(&format!("(hidden: [], skip: false, transformer: Additive, layers: [{layers}])"));
    let mut values = flow.snapshot();
    for (layer, (seen, moved)) in steps.into_iter().enumerate() {
        // Of the three that a coupling could move, two stay where they are.
        let others = (0..4).filter(|&column| column != seen);
        for (place, _) in others.enumerate().filter(|&(_, column)| column != moved) {
            values[2 * layer][place] = 0.0;
        }
    }
    flow.restore(&values);
    for (cell, zero) in zeros_of_jacobian(&flow).iter().enumerate() {
        let (i, j) = (cell / 4, cell % 4);
        assert_eq!(*zero, i % 2 != j % 2, "row {i}, column {j}");
    }
}

#[test]
fn problem_16_11_which_fixed_point_iterations_converge() {
    let iterate = |f: &dyn Fn(f64) -> f64, start: f64| (0..200).fold(start, |z, _| f(z));
    // A slope between 0 and 1 where the lines cross: steps to the fixed point from one side. Between -1 and 0: around it, ever nearer.
    assert!((iterate(&|z| 0.5 * z + 1.0, 8.0) - 2.0).abs() < 1e-12);
    assert!((iterate(&|z| -0.5 * z + 3.0, 8.0) - 2.0).abs() < 1e-12);
    // A slope above 1 leads away; one of -1 goes round for ever.
    assert!(iterate(&|z| 1.5 * z - 1.0, 2.0 + 1e-9) > 1e6);
    assert_eq!(iterate(&|z| 4.0 - z, 8.0), 8.0);
    // A residual layer's own equation is of the first two kinds, since |f'| < 1 whatever its values: the iteration z <- y - f[z] gets to the
    // point that the layer's inverse finds.
    let text = "(hidden: [8], layers: [Residual(contraction: 0.9)])";
    let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES);
    let config: FlowConfig = options.from_str(text).expect("a flow");
    let stream = Seed(1).stream("init");
    let mut flow = Flow::<f64, Cpu>::new(&Cpu::default(), 1, &config, Orientation::Sampling, &stream).expect("a flow");
    let large: Vec<Vec<f64>> = flow.snapshot().into_iter().map(|tensor| vec![-3.0; tensor.len()]).collect();
    flow.restore(&large);
    let layer = &flow.layers()[0];
    let f = |z: f64| layer.forward(row(&[z])).expect("forward").0.as_vec()[0] - z;
    for y in [-2.0, 0.3, 5.0] {
        let right = layer.inverse(&row(&[y])).expect("inverse").0.as_vec()[0];
        let mut error = (y - right).abs();
        let mut z = y;
        for _ in 0..40 {
            z = y - f(z);
            let next = (z - right).abs();
            assert!(next <= 0.9 * error + 1e-13, "nearer by the factor of contraction each time");
            error = next;
        }
        assert!((iterate(&|z| y - f(z), y) - right).abs() < 1e-10);
    }
}
