//! The kernels one by one, on one thread: floating-point operations a second on the unmasked weights of one hidden layer, and elements
//! a second of what is applied to each.
//!
//!     cargo bench --bench kernels

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use dfdx::prelude::Cpu;
use flowdistill::flow::{Flow, FlowConfig, Method, Orientation};
use flowdistill::ops::activation::{activate, Activation};
use flowdistill::ops::lanes::{forward, input_gradient, Start};
use flowdistill::ops::network::{Inputs, Network};
use flowdistill::ops::transform::Transform;
use flowdistill::ops::weight_gradient::{add_block, Part, Shared, BLOCK};
use flowdistill::seed::Seed;
use flowdistill::transformer::{Affine, Spline, SplineSettings, Transformer};

const ROWS: usize = 64;

fn numbers(len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Seed(0).stream("kernels").normals(0, 1, &mut values);
    values.into_iter().map(|value| value as f32).collect()
}

fn masked_layers(c: &mut Criterion) {
    for (dim, hidden) in [(43, 512), (21, 512), (6, 100)] {
        let network =
            Network::new(Inputs::single(0, &vec![1; dim]), 2, &[hidden, hidden], Activation::Relu, false, false);
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
    transform(&mut group, "affine", Affine { bound: 1.0 }, &values);
    transform(&mut group, "spline", Spline { bins: 8, limit: 4.0, bound: 1.0 }, &values);
    let mut z = vec![0.0; len];
    let stream = Seed(0).stream("kernels");
    group.bench_function("standard normals", |b| b.iter(|| stream.normals(0, 100, &mut z)));
}

/// The passes of a transform over 100 variables.
fn transform(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, transform: impl Transform, values: &[f32]) {
    let len = values.len();
    let (parameters, mut kept) = (numbers(transform.per_variable() * len), vec![0.0; transform.kept() * len]);
    let (mut log_det, d_log_det) = (vec![0.0; ROWS], numbers(ROWS));
    let mut d_parameters = parameters.clone();
    let mut x = values.to_vec();
    group.bench_function(format!("{name} forward"), |b| {
        b.iter(|| {
            x.copy_from_slice(values);
            transform.forward_lanes(ROWS, &mut x, &parameters, &mut log_det, None);
        });
    });
    group.bench_function(format!("{name} forward, kept"), |b| {
        b.iter(|| {
            x.copy_from_slice(values);
            transform.forward_lanes(ROWS, &mut x, &parameters, &mut log_det, Some(&mut kept));
        });
    });
    group.bench_function(format!("{name} backward"), |b| {
        b.iter(|| {
            x.copy_from_slice(values);
            transform.backward_lanes(ROWS, values, &kept, &mut x, &d_log_det, &mut d_parameters);
        });
    });
    group.bench_function(format!("{name} adjoint"), |b| {
        b.iter(|| {
            x.copy_from_slice(values);
            transform.adjoint_lanes(ROWS, values, &kept, &mut x, &d_log_det, &mut d_parameters);
        });
    });
    group.bench_function(format!("{name} inverse"), |b| {
        b.iter(|| {
            x.copy_from_slice(values);
            transform.inverse_lanes(ROWS, &mut x, &parameters, &mut log_det);
        });
    });
}

/// Draws and cached inversion of whole flows that differ in their transformer only, on all threads.
fn flows(c: &mut Criterion) {
    const DIM: usize = 32;
    const DRAWS: usize = 4096;
    let mut group = c.benchmark_group("flows of dim 32, width 128, 4 layers");
    group.throughput(Throughput::Elements(DRAWS as u64)).sample_size(10);
    let noise = Seed(0).stream("kernels");
    let mut points = vec![0.0; DRAWS * DIM];
    let mut log_prob = vec![0.0; DRAWS];
    for (name, transformer) in [
        ("affine", Transformer::default()),
        ("spline", Transformer::Spline(SplineSettings { bins: 8, limit: 4.0, max_scale: 1000.0 })),
    ] {
        let config = FlowConfig { layers: 4.into(), hidden: vec![128, 128], transformer, ..FlowConfig::default() };
        let flow: Flow<f32, Cpu> =
            Flow::new(&Cpu::default(), DIM, &config, Orientation::Sampling, &noise).expect("a flow");
        let frozen = flow.freeze::<f32>();
        group.bench_function(format!("{name} draws"), |b| {
            b.iter(|| frozen.draw(Method::Cached, &noise, 0, &mut points, &mut log_prob));
        });
        group.bench_function(format!("{name} inversion"), |b| b.iter(|| frozen.log_prob(&points, &mut log_prob)));
        let double = flow.freeze::<f64>();
        group.bench_function(format!("{name} draws in double precision"), |b| {
            b.iter(|| double.draw(Method::Cached, &noise, 0, &mut points, &mut log_prob));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    masked_layers(&mut criterion);
    elementwise(&mut criterion);
    flows(&mut criterion);
    criterion.final_summary();
}
