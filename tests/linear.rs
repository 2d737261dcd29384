//! Linear layers: what they are worked out on paper, and that no optimiser makes them singular.

mod common;

use common::*;
use flowdistill::conditioner::Order;
use flowdistill::ops::linear::{dense, Matrix};
use flowdistill::seed::Seed;

const ALL: [Matrix; 6] = [
    Matrix::Diagonal,
    Matrix::Triangular,
    Matrix::Lu,
    Matrix::Qr { reflections: 3 },
    Matrix::LowRank { rank: 2 },
    Matrix::Orthogonal { reflections: 3 },
];

/// Values of all tensors, standard normal times `scale`.
fn values(matrix: Matrix, dim: usize, scale: f64) -> Vec<Vec<f64>> {
    let tensor = |(t, (_, len)): (usize, (&str, usize))| {
        let mut values = vec![0.0; len];
        Seed(7).stream(&format!("tensor {t}")).normals(0, 1, &mut values);
        values.iter().map(|value| scale * value).collect()
    };
    matrix.tensors(dim).into_iter().enumerate().map(tensor).collect()
}

/// ‖A‖ ‖A⁻¹‖ in the Frobenius norm.
fn condition(a: &[f64], dim: usize) -> f64 {
    let norm = |a: &[f64]| a.iter().map(|a| a * a).sum::<f64>().sqrt();
    norm(a) * norm(&dense::inverse(a, dim))
}

#[test]
fn log_dets_are_those_of_the_matrix_and_gradients_are_central_differences() {
    for dim in [1, 2, 5, 9] {
        for matrix in ALL {
            let tensors = values(matrix, dim, 0.7);
            let (a, shift, log_det) = matrix.build(dim, &tensors);
            let rows = a.chunks_exact(dim).map(<[f64]>::to_vec).collect();
            assert!(disagreement([log_abs_det(rows)], [log_det]) < 1e-12, "{matrix:?}, dim {dim}");
            assert_eq!(Some(&shift), tensors.last());
            // A loss that asks for every entry.
            let weight = |cell: usize| ((cell * 37 % 11) as f64 - 5.0) / 5.0;
            let loss = |tensors: &[Vec<f64>]| {
                let (a, shift, log_det) = matrix.build(dim, tensors);
                let entries = a.iter().chain(&shift).enumerate().map(|(cell, value)| weight(cell) * value);
                entries.sum::<f64>() + 0.3 * log_det
            };
            let d_a: Vec<f64> = (0..dim * dim).map(weight).collect();
            let d_shift: Vec<f64> = (dim * dim..dim * dim + dim).map(weight).collect();
            let mut found: Vec<Vec<f64>> = tensors.iter().map(|tensor| vec![0.0; tensor.len()]).collect();
            matrix.pull_back(dim, &tensors, (&d_a, &d_shift, 0.3), &mut found);
            for t in 0..tensors.len() {
                for i in 0..tensors[t].len() {
                    let at = |shift: f64| {
                        let mut moved = tensors.clone();
                        moved[t][i] += shift;
                        loss(&moved)
                    };
                    let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!(disagreement([found[t][i]], [difference]) < 1e-7, "{matrix:?}, dim {dim}: {t}, {i}");
                }
            }
        }
    }
}

#[test]
fn an_orthogonal_matrix_is_one() {
    let matrix = Matrix::Orthogonal { reflections: 3 };
    let (q, _, log_det) = matrix.build(5, &values(matrix, 5, 1.0));
    let found = dense::product(&q, &dense::transposed(&q, 5), 5);
    assert!(disagreement(found, dense::identity(5)) < 1e-14);
    assert_eq!(log_det, 0.0);
    // A reflection without a direction takes one.
    let (q, _, _) = matrix.build(5, &[vec![0.0; 15], vec![0.0; 5]]);
    assert!(q.iter().all(|q| q.is_finite()));
}

#[test]
fn hostile_steps_leave_every_matrix_invertible() {
    // Adam's steps of rate 0.1 are at most about 0.1 a value, each here in the worst direction for good: 10⁵ of them, and values of 10⁶.
    let dim = 5;
    for matrix in ALL {
        let mut tensors = values(matrix, dim, 1e-2);
        let signs = values(matrix, dim, 1.0);
        let mut worst: f64 = 0.0;
        for step in 0..100_000 {
            for (values, signs) in tensors.iter_mut().zip(&signs) {
                values.iter_mut().zip(signs).for_each(|(value, sign)| *value += 0.1 * sign.signum());
            }
            if step % 500 == 0 || step > 99_990 {
                worst = worst.max(condition(&matrix.build(dim, &tensors).0, dim));
            }
        }
        let bound = match matrix {
            // √dim times √dim at least, and that is all.
            Matrix::Orthogonal { .. } => 5.000_001,
            // The largest over the smallest scale, in the Frobenius norm.
            Matrix::Diagonal => 5.0 * 1e6,
            Matrix::LowRank { .. } => 1e8,
            // (1 + 3)^(2 (dim − 1)) of the triangles on top.
            _ => 1e6 * 4f64.powi(2 * (dim as i32 - 1)) * 25.0,
        };
        assert!(worst <= bound, "{matrix:?}: {worst:e}");
        let far: Vec<Vec<f64>> = signs.iter().map(|s| s.iter().map(|s| 1e6 * s.signum()).collect()).collect();
        let (a, _, log_det) = matrix.build(dim, &far);
        assert!(a.iter().all(|a| a.is_finite()) && log_det.is_finite(), "{matrix:?}");
        assert!(condition(&a, dim) <= bound, "{matrix:?}: {:e}", condition(&a, dim));
    }
}

#[test]
fn act_norm_starts_from_the_rows_that_come_to_it_in_either_orientation() {
    use flowdistill::flow::{Flow, FlowConfig, LayerSpec, Layers, MaskedSpec, Orientation};
    let layers = vec![
        LayerSpec::Linear(Matrix::ActNorm),
        LayerSpec::Masked(MaskedSpec::default()),
        LayerSpec::Linear(Matrix::ActNorm),
    ];
    let config = FlowConfig { layers: Layers::Listed(layers), hidden: vec![5], ..FlowConfig::default() };
    let rows: Vec<f64> =
        normal_rows(500, 3, "rows").iter().enumerate().map(|(i, z)| [40.0, 0.02, 3.0][i % 3] * z - 7.0).collect();
    for orientation in [Orientation::Density, Orientation::Sampling] {
        let mut flow: Flow<f64, dfdx::prelude::Cpu> =
            Flow::new(&Default::default(), 3, &config, orientation, &Seed(1).stream("init")).expect("a flow");
        flow.start(&rows, &Seed(1).stream("start")).expect("started");
        // What comes to the base is standardised: the log density of a row is that of a standard normal and the scales.
        let mut log_prob = vec![0.0; 500];
        flow.freeze::<f64>().log_prob(&rows, &mut log_prob);
        let mean = log_prob.iter().sum::<f64>() / 500.0;
        let right = -1.5 * (1.0 + std::f64::consts::TAU.ln()) - (40.0f64 * 0.02 * 3.0).ln();
        assert!((mean - right).abs() < 0.1, "{orientation:?}: {mean} {right}");
    }
}

#[test]
fn permutations_have_no_values_and_turn_back() {
    for matrix in [Matrix::Reverse, Matrix::Shuffled(3)] {
        assert!(matrix.tensors(5).is_empty());
        let (a, shift, log_det) = matrix.build(5, &[]);
        assert_eq!((shift, log_det), (vec![], 0.0));
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let y: Vec<f64> = a.chunks_exact(5).map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect();
        let order = match matrix {
            Matrix::Reverse => Order::Descending,
            _ => Order::Shuffled(3),
        };
        assert_eq!(y, order.variables(5).into_iter().map(|i| x[i]).collect::<Vec<f64>>(), "the order of that name");
        assert_eq!(dense::product(&a, &dense::transposed(&a, 5), 5), dense::identity(5));
    }
}
