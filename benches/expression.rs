//! Written densities against the built-in ones: value and gradient of 4,096 rows on all threads.
//!
//!     cargo bench --bench expression

use criterion::{Criterion, Throughput};
use flowdistill::expression::{Datum, Expression};
use flowdistill::seed::Seed;
use flowdistill::target::{
    evaluate_in_pieces, Density, EightSchools, Faults, Funnel, LogisticRegression, Parameter, Support,
};
use std::time::Duration;

const ROWS: usize = 4096;

fn parameter(name: &str, support: Support) -> Parameter {
    Parameter { name: name.into(), support }
}

fn vector(name: &str, n: usize) -> Parameter {
    parameter(name, Support::Vector(n, Box::default()))
}

fn written(parameters: Vec<Parameter>, data: Vec<(&str, Datum)>, text: &str) -> Expression {
    let data = data.into_iter().map(|(name, datum)| (name.to_string(), datum)).collect();
    Expression::new(parameters, data, text).expect("an expression")
}

fn funnel(dim: usize) -> Expression {
    written(
        vec![parameter("v", Support::Real), vector("x", dim - 1)],
        vec![],
        "v ~ normal(0, 3); x ~ normal(0, exp(v / 2))",
    )
}

fn schools() -> Expression {
    let y = Datum::Vector(vec![28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]);
    let sigma = Datum::Vector(vec![15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]);
    written(
        vec![parameter("mu", Support::Real), parameter("tau", Support::Positive), vector("z", 8)],
        vec![("y", y), ("sigma", sigma)],
        "mu ~ normal(0, 5); tau ~ half_cauchy(5); z ~ std_normal(); y ~ normal(mu + tau * z, sigma)",
    )
}

/// The size of the breast-cancer data: 569 rows, 30 features and an intercept.
fn logistic() -> (LogisticRegression, Expression) {
    let (rows, width) = (569, 30);
    let mut features = vec![0.0; rows * width];
    Seed(1).stream("features").normals(0, width, &mut features);
    let labels: Vec<f64> = features.chunks(width).map(|x| f64::from(u8::from(x[0] + x[1] > 0.3))).collect();
    let names: Vec<String> = (0..width).map(|i| format!("x{i}")).collect();
    let built_in = LogisticRegression::new(&names, &features, labels.clone(), 10.0).expect("a regression");
    let written = written(
        vec![parameter("alpha", Support::Real), vector("beta", width)],
        vec![("X", Datum::Matrix(features, width)), ("y", Datum::Vector(labels))],
        "alpha ~ normal(0, 10); beta ~ normal(0, 10); y ~ bernoulli_logit(alpha + X @ beta)",
    );
    (built_in, written)
}

/// A mixture of two normals over 333 numbers, the size of experiments/flippers.ron.
fn mixture() -> Expression {
    let mut x = vec![0.0; 333];
    Seed(3).stream("lengths").normals(0, 1, &mut x);
    written(
        vec![
            parameter("share", Support::Interval(0.0, 1.0)),
            parameter("mean", Support::Ordered(2)),
            parameter("sigma", Support::Vector(2, Box::new(Support::Positive))),
        ],
        vec![("x", Datum::Vector(x))],
        "share ~ beta(2, 2); mean ~ normal(0, 2); sigma ~ lognormal(0, 0.5)
         sum(log_mix(share, normal(x, mean[0], sigma[0]), normal(x, mean[1], sigma[1])))",
    )
}

fn compare(c: &mut Criterion, name: &str, rows: usize, built_in: Option<&dyn Density>, written: &dyn Density) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(rows as u64)).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (form, target) in [("built in", built_in), ("written", Some(written))] {
        let Some(target) = target else { continue };
        let dim = target.dim();
        let mut points = vec![0.0; rows * dim];
        Seed(2).stream("points").normals(0, dim, &mut points);
        let (mut values, mut gradients) = (vec![0.0; rows], vec![0.0; rows * dim]);
        group.bench_function(form, |b| {
            b.iter(|| {
                let mut faults = Faults::default();
                evaluate_in_pieces(target, &points, &mut values, Some(&mut gradients), &mut faults).expect("not fatal");
            });
        });
    }
}

fn targets(c: &mut Criterion) {
    compare(c, "funnel, dim 10", ROWS, Some(&Funnel::new(10).expect("a funnel")), &funnel(10));
    compare(c, "eight schools", ROWS, Some(&EightSchools), &schools());
    let (built_in, written) = logistic();
    compare(c, "logistic regression, 569 x 31", ROWS, Some(&built_in), &written);
    compare(c, "mixture over 333", 256, None, &mixture());
    // The same number of coordinates in all, so that the times should be equal.
    for dim in [10, 32, 100, 320, 1000] {
        let rows = ROWS * 100 / dim;
        compare(c, &format!("linear, {rows} rows of {dim}"), rows, None, &funnel(dim));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    targets(&mut criterion);
    criterion.final_summary();
}
