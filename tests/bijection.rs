//! The laws of every bijection, in the precision of the oracle and in that of work.

mod common;

use common::*;
use flowdistill::bijection::Bijection;
use flowdistill::conditioner::Structure;
use flowdistill::flow::{LayerShape, Orientation};
use flowdistill::ops::joint::Joint;
use flowdistill::ops::linear::Matrix;

#[test]
fn round_trips() {
    for space in SPACES {
        let dim = space.columns();
        for (name, config) in cases_on(space) {
            for rows in BATCHES {
                let x = rows_of(&config, space, rows, "x");
                let flow = random_flow::<f64>(space, &config, Orientation::Density);
                for layer in flow.layers() {
                    let (y, up) = layer.forward(tensor::<f64>(&x, dim)).expect("forward");
                    let (back, down) = layer.inverse(&y).expect("inverse");
                    assert!(disagreement(back.as_vec(), x.clone()) < DOUBLE, "{name}, {space:?}, {rows} rows");
                    assert!(disagreement(down.as_vec(), up.negate().as_vec()) < DOUBLE, "{name}, {space:?}");
                }
                let flow = random_flow::<f32>(space, &config, Orientation::Density);
                for layer in flow.layers() {
                    let (y, up) = layer.forward(tensor::<f32>(&x, dim)).expect("forward");
                    let (back, down) = layer.inverse(&y).expect("inverse");
                    assert!(disagreement(widen(back.as_vec()), x.clone()) < SINGLE, "{name}, {space:?}, {rows} rows");
                    assert!(disagreement(widen(down.as_vec()), widen(up.negate().as_vec())) < SINGLE, "{name}");
                }
            }
        }
    }
}

#[test]
fn log_dets_are_those_of_the_jacobian_and_forbidden_entries_are_exactly_zero() {
    for space in SPACES {
        let dim = space.columns();
        for (name, config) in cases_on(space) {
            let x = rows_of(&config, space, 7, "x");
            let flow = random_flow::<f64>(space, &config, Orientation::Density);
            for (l, layer) in flow.layers().iter().enumerate() {
                let forbidden = forbidden(&config.shapes()[l], space);
                let log_det = layer.forward(tensor::<f64>(&x, dim)).expect("forward").1.as_vec();
                let jacobian = jacobian::<f64>(&x, dim, |x| layer.forward(x).expect("forward").0);
                let mut seen = 0;
                for (matrix, log_det) in jacobian.into_iter().zip(log_det) {
                    for &(j, i) in &forbidden {
                        assert_eq!(matrix[j][i], 0.0, "{name}, {space:?}: y{j} must not see x{i}");
                    }
                    seen += matrix.iter().flatten().filter(|entry| **entry != 0.0).count() - dim;
                    assert!(disagreement([log_abs_det(matrix)], [log_det]) < DOUBLE, "{name}, {space:?}");
                }
                let alone = match &config.shapes()[l] {
                    LayerShape::Masked(shape) => shape.structure == Structure::Blocks(1),
                    LayerShape::Joint(Joint::Linear(Matrix::Diagonal | Matrix::Shuffled(_))) => true,
                    LayerShape::Joint(_) => space.variables == 1,
                };
                assert!(dim == 1 || alone || seen > 0, "{name}, {space:?}: nothing depends on anything");
            }
        }
    }
}

#[test]
fn kernels_agree_with_stock_ops() {
    for space in SPACES {
        let dim = space.columns();
        for (name, config) in cases_on(space) {
            for rows in BATCHES {
                let x = rows_of(&config, space, rows, "x");
                let flow = random_flow::<f32>(space, &config, Orientation::Density);
                let oracle = random_flow::<f64>(space, &config, Orientation::Density);
                for (layer, oracle) in flow.layers().iter().zip(oracle.layers()) {
                    let (y, log_det) = layer.forward(tensor::<f32>(&x, dim)).expect("forward");
                    let (exact_y, exact_log_det) = oracle.forward(tensor::<f64>(&x, dim)).expect("forward");
                    let message = format!("{name}, {space:?}, {rows} rows");
                    assert!(disagreement(widen(y.as_vec()), exact_y.as_vec()) < 1e-5, "{message}");
                    assert!(disagreement(widen(log_det.as_vec()), exact_log_det.as_vec()) < 1e-5, "{message}");
                }
            }
        }
    }
}

#[test]
fn forbidden_entries_are_exactly_zero_in_the_kernels_too() {
    for space in SPACES {
        let dim = space.columns();
        for (name, config) in cases_on(space) {
            let x = rows_of(&config, space, 7, "x");
            let flow = random_flow::<f32>(space, &config, Orientation::Density);
            for (l, layer) in flow.layers().iter().enumerate() {
                let forbidden = forbidden(&config.shapes()[l], space);
                for matrix in jacobian::<f32>(&x, dim, |x| layer.forward(x).expect("forward").0) {
                    for &(j, i) in &forbidden {
                        assert_eq!(matrix[j][i], 0.0, "{name}, {space:?}: y{j} must not see x{i}");
                    }
                }
            }
        }
    }
}
