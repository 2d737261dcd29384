//! What the law tests share: flows with random weights, Jacobians by autodiff, and the tolerances.
#![allow(dead_code)]

use dfdx::prelude::*;
use flowdistill::conditioner::{Activation, Groups, Order, Split, Structure};
use flowdistill::flow::{
    BaseConfig, Continuous, Flow, FlowConfig, IntervalBase, LayerShape, LayerSpec, Layers, MaskedSpec, MixtureBase,
    Orientation, Residual, RevNetSpec, Space, StudentTBase, VonMisesBase,
};
use flowdistill::ops::linear::Matrix;
use flowdistill::ops::real::Real;
use flowdistill::ops::Kernels;
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::transformer::{
    AffineSettings, CircularSettings, IntervalSettings, LeakyReluSettings, MixtureCdfSettings, MonotoneNetSettings,
    PiecewiseLinearSettings, SinusoidSettings, SplineSettings, Transformer,
};

/// Relative agreement in double precision.
pub const DOUBLE: f64 = 1e-9;
/// Relative agreement in single precision, through five layers.
pub const SINGLE: f64 = 1e-3;
/// The dimensions at which laws are tested.
pub const DIMS: [usize; 4] = [1, 2, 5, 17];
/// The same with columns that are given, and without.
pub const SPACES: [Space; 7] = [of(0, 1), of(0, 2), of(0, 5), of(0, 17), of(2, 1), of(1, 2), of(3, 5)];
const fn of(given: usize, variables: usize) -> Space {
    Space { given, variables }
}

/// Batch sizes that fill neither panels nor chunks.
pub const BATCHES: [usize; 3] = [1, 7, 67];

/// |s| ≤ 2 in every layer, by its bound.
pub fn gentle() -> Transformer {
    Transformer::Affine(AffineSettings { max_scale: 2f64.exp() })
}

/// A spline whose linear tails begin where there still are points, and whose affine map is as gentle.
pub fn spline() -> Transformer {
    Transformer::Spline(SplineSettings { bins: 5, limit: 1.5, max_scale: 2f64.exp() })
}

/// Bins of straight lines or sines.
fn of_bins(sines: bool) -> Transformer {
    let (bins, limit, max_scale) = (4, 1.5, 2f64.exp());
    if sines {
        Transformer::Sinusoid(SinusoidSettings { bins, limit, max_scale })
    } else {
        Transformer::PiecewiseLinear(PiecewiseLinearSettings { bins, limit, max_scale })
    }
}

/// One flow of every kind that can be configured.
pub fn cases() -> Vec<(&'static str, FlowConfig)> {
    let base = FlowConfig {
        layers: 1.into(),
        hidden: vec![12, 9],
        activation: Activation::Tanh,
        orders: vec![Order::Ascending],
        structure: Structure::Autoregressive,
        residual: false,
        skip: false,
        transformer: gentle(),
        base: BaseConfig::Normal,
        tail_limit: None,
    };
    vec![
        ("one layer", base.clone()),
        ("descending", FlowConfig { orders: vec![Order::Descending], ..base.clone() }),
        ("shuffled", FlowConfig { orders: vec![Order::Shuffled(5)], ..base.clone() }),
        ("no hidden layer", FlowConfig { hidden: vec![], ..base.clone() }),
        ("narrower than the dimension", FlowConfig { hidden: vec![3], ..base.clone() }),
        ("wide", FlowConfig { hidden: vec![70], skip: true, ..base.clone() }),
        ("relu", FlowConfig { activation: Activation::Relu, ..base.clone() }),
        ("silu with a skip", FlowConfig { activation: Activation::Silu, skip: true, ..base.clone() }),
        (
            "residual",
            FlowConfig { hidden: vec![10, 10, 10], residual: true, activation: Activation::Silu, ..base.clone() },
        ),
        ("spline", FlowConfig { transformer: spline(), ..base.clone() }),
        (
            "two spline layers",
            FlowConfig {
                layers: 2.into(),
                hidden: vec![10, 10],
                activation: Activation::Silu,
                orders: vec![Order::Descending, Order::Shuffled(3)],
                residual: true,
                skip: true,
                transformer: spline(),
                ..base.clone()
            },
        ),
        ("additive", FlowConfig { transformer: Transformer::Additive, ..base.clone() }),
        (
            "a reversible residual layer",
            FlowConfig {
                layers: Layers::Listed(vec![LayerSpec::RevNet(RevNetSpec {
                    split: Split::Parity,
                    ..RevNetSpec::default()
                })]),
                ..base.clone()
            },
        ),
        ("blocks", FlowConfig { structure: Structure::Blocks(3), orders: vec![Order::Shuffled(7)], ..base.clone() }),
        (
            "blocks of splines",
            FlowConfig { structure: Structure::Blocks(2), transformer: spline(), skip: true, ..base.clone() },
        ),
        ("constants", FlowConfig { structure: Structure::Blocks(1), ..base.clone() }),
        ("coupling", FlowConfig { structure: Structure::Coupling(Split::Halves), ..base.clone() }),
        (
            "coupling the other way",
            FlowConfig {
                structure: Structure::Coupling(Split::Halves),
                orders: vec![Order::Descending],
                skip: true,
                residual: true,
                hidden: vec![10, 10],
                ..base.clone()
            },
        ),
        (
            "spline coupling by parity",
            FlowConfig { structure: Structure::Coupling(Split::Parity), transformer: spline(), ..base.clone() },
        ),
        (
            "additive coupling of random halves",
            FlowConfig {
                structure: Structure::Coupling(Split::Halves),
                orders: vec![Order::Shuffled(8)],
                transformer: Transformer::Additive,
                activation: Activation::Relu,
                ..base.clone()
            },
        ),
        (
            "unlike layers",
            FlowConfig {
                layers: Layers::Listed(vec![
                    LayerSpec::Repeat(
                        2,
                        vec![LayerSpec::Masked(MaskedSpec {
                            structure: Some(Structure::Coupling(Split::Halves)),
                            hidden: Some(vec![20]),
                            ..MaskedSpec::default()
                        })],
                    ),
                    LayerSpec::Masked(MaskedSpec {
                        transformer: Some(spline()),
                        skip: Some(true),
                        ..MaskedSpec::default()
                    }),
                ]),
                orders: vec![Order::Ascending, Order::Descending],
                ..base.clone()
            },
        ),
        ("mixture base", FlowConfig { base: BaseConfig::Mixture(MixtureBase { components: 3 }), ..base.clone() }),
        ("Student-t base", FlowConfig { base: BaseConfig::StudentT(StudentTBase { freedom: 5.0 }), ..base.clone() }),
        ("normal base with drawn-in tails", FlowConfig { tail_limit: Some(2.0), ..base.clone() }),
        (
            "mixture base with drawn-in tails",
            FlowConfig {
                base: BaseConfig::Mixture(MixtureBase { components: 3 }),
                tail_limit: Some(3.0),
                ..base.clone()
            },
        ),
        ("piecewise linear", FlowConfig { transformer: of_bins(false), ..base.clone() }),
        ("sinusoids", FlowConfig { transformer: of_bins(true), skip: true, ..base.clone() }),
        (
            "mixture distribution functions",
            FlowConfig {
                transformer: Transformer::MixtureCdf(MixtureCdfSettings { components: 3, max_scale: 2f64.exp() }),
                ..base.clone()
            },
        ),
        (
            "monotone networks",
            FlowConfig {
                transformer: Transformer::MonotoneNet(MonotoneNetSettings { units: 3, max_scale: 2f64.exp() }),
                ..base.clone()
            },
        ),
        (
            "coupling of monotone networks",
            FlowConfig {
                transformer: Transformer::MonotoneNet(MonotoneNetSettings { units: 2, max_scale: 2f64.exp() }),
                structure: Structure::Coupling(Split::Parity),
                layers: 2.into(),
                orders: vec![Order::Ascending, Order::Descending],
                ..base.clone()
            },
        ),
        (
            "leaky rectifiers",
            FlowConfig {
                transformer: Transformer::LeakyRelu(LeakyReluSettings { slope: 0.3, max_scale: 2f64.exp() }),
                ..base.clone()
            },
        ),
        (
            "linear maps among masked layers",
            FlowConfig {
                layers: Layers::Listed(vec![
                    LayerSpec::Linear(Matrix::Qr { reflections: 3 }),
                    LayerSpec::Masked(MaskedSpec::default()),
                    LayerSpec::Linear(Matrix::Lu),
                    LayerSpec::Linear(Matrix::Shuffled(2)),
                    LayerSpec::Linear(Matrix::Diagonal),
                ]),
                ..base.clone()
            },
        ),
        (
            "a triangle",
            FlowConfig { layers: Layers::Listed(vec![LayerSpec::Linear(Matrix::Triangular)]), ..base.clone() },
        ),
        (
            "a map of low rank",
            FlowConfig { layers: Layers::Listed(vec![LayerSpec::Linear(Matrix::LowRank { rank: 2 })]), ..base.clone() },
        ),
        (
            "an orthogonal map",
            FlowConfig {
                layers: Layers::Listed(vec![LayerSpec::Linear(Matrix::Orthogonal { reflections: 2 })]),
                ..base.clone()
            },
        ),
        (
            "planar and radial layers",
            FlowConfig {
                layers: Layers::Listed(vec![LayerSpec::Repeat(2, vec![LayerSpec::Planar, LayerSpec::Radial])]),
                ..base.clone()
            },
        ),
        (
            "residual layers",
            FlowConfig {
                layers: Layers::Listed(vec![
                    LayerSpec::Residual(Residual { contraction: 0.8, ..Residual::default() }),
                    LayerSpec::Residual(Residual { hidden: vec![6], contraction: 0.95, ..Residual::default() }),
                ]),
                ..base.clone()
            },
        ),
        (
            "circles",
            FlowConfig {
                transformer: Transformer::Circular(CircularSettings { bins: 4 }),
                base: BaseConfig::Circle,
                ..base.clone()
            },
        ),
        (
            "two couplings of circles over von Mises angles",
            FlowConfig {
                transformer: Transformer::Circular(CircularSettings { bins: 3 }),
                base: BaseConfig::VonMises(VonMisesBase { concentration: 1.5 }),
                structure: Structure::Coupling(Split::Parity),
                layers: 2.into(),
                orders: vec![Order::Ascending, Order::Descending],
                skip: true,
                ..base.clone()
            },
        ),
        (
            "intervals",
            FlowConfig {
                transformer: Transformer::Interval(IntervalSettings { bins: 4, limit: 6.0 }),
                base: BaseConfig::Interval(IntervalBase { limit: 6.0 }),
                ..base.clone()
            },
        ),
        (
            "five layers",
            FlowConfig {
                layers: 5.into(),
                orders: vec![Order::Ascending, Order::Descending, Order::Shuffled(2)],
                skip: true,
                ..base
            },
        ),
    ]
}

/// The cases that are tried on a space: those that solve an equation only where it is small.
pub fn cases_on(space: Space) -> Vec<(&'static str, FlowConfig)> {
    let mut all = cases();
    if space.columns() <= 2 {
        let layer = Continuous { hidden: vec![6], tolerance: 1e-11, ..Continuous::default() };
        let layers = Layers::Listed(vec![LayerSpec::Continuous(layer)]);
        all.push(("a continuous layer", FlowConfig { layers, ..FlowConfig::default() }));
    }
    all
}

/// The entries (j, i) of the Jacobian that must be zero: y_j sees x_j and, if it is transformed, the columns of groups before its own.
pub fn forbidden(shape: &LayerShape, space: Space) -> Vec<(usize, usize)> {
    let Some(shape) = shape.masked() else { return Vec::new() };
    let (Groups { columns, given, sizes, .. }, dim) = (shape.groups(space), space.columns());
    let mut group = vec![0; given];
    sizes.iter().enumerate().for_each(|(g, &size)| group.extend(vec![g + 1; size]));
    let pairs = (0..dim).flat_map(|j| (0..dim).map(move |i| (j, i)));
    pairs.filter(|&(j, i)| j != i && group[i] >= group[j]).map(|(j, i)| (columns[j], columns[i])).collect()
}

/// A flow whose weights are all random (the start of training would be too close to the identity to show anything).
pub fn random_flow<E: Real>(space: impl Into<Space>, config: &FlowConfig, orientation: Orientation) -> Flow<E, Cpu>
where
    Cpu: Kernels<E>,
{
    let space = space.into();
    let mut flow =
        Flow::new(&Cpu::default(), space, config, orientation, &Seed(1).stream("init")).expect("a valid flow");
    // Smaller with the number of terms in a sum: five layers that each saturate at |s| = 2 would be chaotic.
    let scale = 0.4 * 4.0 / space.columns().max(4) as f64;
    let mut snapshot = flow.snapshot();
    let of_base: Vec<bool> = flow.parameters().iter().map(|(name, _)| name.starts_with("base.")).collect();
    for (t, values) in snapshot.iter_mut().enumerate() {
        let mut normals = vec![0.0; values.len()];
        Seed(2).stream(&format!("weights {t}")).normals(0, 1, &mut normals);
        // Rounded to single precision, so that flows of both precisions have the same weights.
        for (value, z) in values.iter_mut().zip(normals) {
            // A base stays near its start.
            let start = if of_base[t] { value.widen() as f32 } else { 0.0 };
            *value = E::of(f64::from((scale * z + f64::from(start)) as f32));
        }
    }
    flow.restore(&snapshot);
    flow
}

/// Standard normal rows, exactly representable in single precision.
pub fn normal_rows(rows: usize, dim: usize, name: &str) -> Vec<f64> {
    let mut out = vec![0.0; rows * dim];
    Seed(3).stream(name).normals(0, dim, &mut out);
    out.iter().map(|&z| f64::from(z as f32)).collect()
}

/// [`normal_rows`] of a space, with variables that are where the flow's are.
pub fn rows_of(config: &FlowConfig, space: Space, rows: usize, name: &str) -> Vec<f64> {
    let dim = space.columns();
    let mut all = normal_rows(rows, dim, name);
    if let Some(half) = config.domain().half_length() {
        let variables = all.iter_mut().enumerate().filter(|(cell, _)| cell % dim >= space.given);
        variables.for_each(|(_, x)| *x = f64::from((0.95 * half * (*x / half).tanh()) as f32));
    }
    all
}

/// A tensor of these rows.
pub fn tensor<E: Real>(rows: &[f64], dim: usize) -> Tensor<(usize, usize), E, Cpu>
where
    Cpu: Device<E>,
{
    Cpu::default().tensor_from_vec(rows.iter().map(|&v| E::of(v)).collect(), (rows.len() / dim, dim))
}

/// The worst |a − b| / (1 + |b|).
pub fn disagreement(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().collect(), b.into_iter().collect());
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, |worst, d| {
        if d > worst || d.is_nan() {
            d
        } else {
            worst
        }
    })
}

/// As `f64`.
pub fn widen<E: Real>(values: Vec<E>) -> Vec<f64> {
    values.into_iter().map(|value| value.widen()).collect()
}

/// ∂y_j/∂x_i of each row as `[row][j][i]`, by one backward pass for each output.
pub fn jacobian<E: Real>(
    x: &[f64],
    dim: usize,
    map: impl Fn(Tensor<(usize, usize), E, Cpu, OwnedTape<E, Cpu>>) -> Tensor<(usize, usize), E, Cpu, OwnedTape<E, Cpu>>,
) -> Vec<Vec<Vec<f64>>>
where
    Cpu: Kernels<E>,
{
    let rows = x.len() / dim;
    let mut out = vec![vec![vec![0.0; dim]; dim]; rows];
    for j in 0..dim {
        let x = tensor::<E>(x, dim);
        let pick: Vec<f64> = (0..rows * dim).map(|cell| if cell % dim == j { 1.0 } else { 0.0 }).collect();
        let picked = map(x.leaky_trace()) * tensor::<E>(&pick, dim);
        let gradients = picked.sum::<Rank0, Axes2<0, 1>>().backward();
        let gradient = widen(gradients.get(&x).as_vec());
        for (row, values) in out.iter_mut().zip(gradient.chunks_exact(dim)) {
            row[j].copy_from_slice(values);
        }
    }
    out
}

/// log |det| by Gaussian elimination with partial pivoting.
pub fn log_abs_det(mut matrix: Vec<Vec<f64>>) -> f64 {
    let n = matrix.len();
    let mut total = 0.0;
    for c in 0..n {
        let best = (c..n).max_by(|&a, &b| matrix[a][c].abs().total_cmp(&matrix[b][c].abs())).expect("a row");
        matrix.swap(c, best);
        total += matrix[c][c].abs().ln();
        let pivot = matrix[c].clone();
        for row in &mut matrix[c + 1..] {
            let factor = row[c] / pivot[c];
            row.iter_mut().zip(&pivot).for_each(|(value, above)| *value -= factor * above);
        }
    }
    total
}
