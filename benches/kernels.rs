//! The kernels one by one, on one thread: floating-point operations a second on the unmasked weights of one hidden layer, and elements
//! a second of what is applied to each.
//!
//!     cargo bench --bench kernels

use criterion::{Criterion, Throughput};
use flowdistill::ops::activation::{activate, Activation};
use flowdistill::ops::affine::Affine;
use flowdistill::ops::lanes::{forward, input_gradient, Start};
use flowdistill::ops::network::Network;
use flowdistill::ops::transform::Transform;
use flowdistill::ops::weight_gradient::{add_block, Part, Shared, BLOCK};
use flowdistill::seed::Seed;

const ROWS: usize = 64;

fn numbers(len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Seed(0).stream("kernels").normals(0, 1, &mut values);
    values.into_iter().map(|value| value as f32).collect()
}

fn masked_layers(c: &mut Criterion) {
    for (dim, hidden) in [(43, 512), (21, 512), (6, 100)] {
        let network = Network::new(dim, 2, &[hidden, hidden], Activation::Relu, false, false);
        for (layer, stairs) in
            [("input", &network.hidden()[0]), ("hidden", &network.hidden()[1]), ("output", network.output())]
        {
            let mut group = c.benchmark_group(format!("{layer} layer, dim {dim}, width {hidden}"));
            group.throughput(Throughput::Elements((2 * ROWS * stairs.weights()) as u64));
            let (weights, bias) = (numbers(stairs.weights()), numbers(stairs.outputs()));
            let (x, dy) = (numbers(stairs.inputs() * ROWS), numbers(stairs.outputs() * ROWS));
            let (mut y, mut dx, mut gradient) = (dy.clone(), x.clone(), weights.clone());
            group.bench_function("output", |b| {
                b.iter(|| forward(stairs, &weights, Start::Bias(&bias), 0..stairs.outputs(), &x, ROWS, &mut y));
            });
            group.bench_function("input gradient", |b| b.iter(|| input_gradient(stairs, &weights, &dy, ROWS, &mut dx)));
            let mut buffer = Vec::new();
            group.throughput(Throughput::Elements((2 * 16 * ROWS * stairs.weights()) as u64));
            group.bench_function("weight gradient of 16 chunks", |b| {
                let chunks: Vec<_> = (0..16).map(|_| (x.clone(), dy.clone())).collect();
                let parts: Vec<_> = chunks.iter().map(|(x, dy)| Part { rows: ROWS, stride: ROWS, x, dy }).collect();
                b.iter(|| {
                    let shared = Shared::new(&mut gradient);
                    for block in 0..stairs.seen().div_ceil(BLOCK) {
                        // SAFETY: one thread, one call at a time.
                        unsafe { add_block(stairs, block, &parts, &shared, &mut buffer) }
                    }
                });
            });
        }
    }
}

fn elementwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("elementwise");
    let len = 100 * ROWS;
    group.throughput(Throughput::Elements(len as u64));
    let (values, mut slopes) = (numbers(len), vec![0.0; len]);
    for activation in [Activation::Relu, Activation::Tanh, Activation::Silu] {
        let mut z = values.clone();
        group.bench_function(format!("{activation:?} with slopes"), |b| {
            b.iter(|| activate(activation, &mut z, Some(&mut slopes)));
        });
    }
    let (parameters, mut kept, mut log_det) = (numbers(2 * len), vec![0.0; 2 * len], vec![0.0; ROWS]);
    let mut x = values.clone();
    let affine = Affine { bound: 1.0 };
    group.bench_function("affine with log-det", |b| {
        b.iter(|| affine.forward_lanes(ROWS, &mut x, &parameters, &mut log_det, Some(&mut kept)));
    });
    let mut z = vec![0.0; len];
    let stream = Seed(0).stream("kernels");
    group.bench_function("standard normals", |b| b.iter(|| stream.normals(0, 100, &mut z)));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    masked_layers(&mut criterion);
    elementwise(&mut criterion);
    criterion.final_summary();
}
