//! The objectives of a student: their gradients, the noise of the path gradient, and where training by them ends.

mod common;

use common::*;
use dfdx::prelude::Cpu;
use flowdistill::flow::{
    BaseConfig, Flow, FlowConfig, Link, MixtureBase, Model, Orientation, Standardisation, StudentTBase,
};
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::target::{Constraint, Density, Gaussian, Mixture};
use flowdistill::train::*;
use std::sync::atomic::AtomicBool;

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}
}

fn small() -> FlowConfig {
    FlowConfig { layers: 2.into(), hidden: vec![8], transformer: gentle(), ..FlowConfig::default() }
}

fn standardisation() -> Standardisation {
    Standardisation {
        shift: vec![0.5, 0.0, -1.0],
        scale: vec![2.0, 0.2, 1.0],
        links: vec![Link::Identity, Link::Above(-3.0), Link::Between(-4.0, 4.0)],
        tails: vec![],
        factor: vec![],
        given: 0,
    }
}

fn zeros(flow: &Flow<f32, Cpu>) -> Vec<Vec<f32>> {
    flow.snapshot().iter().map(|tensor| vec![0.0; tensor.len()]).collect()
}

/// The gradient of `objective` at step 5 against central differences of its loss, which common random numbers make exact, along three
/// directions in the space of the weights, for each kind of base.
fn assert_gradient_is_of_loss(objective: &mut dyn Objective, bound: f64) {
    let bases = [
        BaseConfig::Normal,
        BaseConfig::StudentT(StudentTBase { freedom: 5.0 }),
        BaseConfig::Mixture(MixtureBase { components: 3 }),
    ];
    for base in bases {
        assert_gradient_with_base(objective, FlowConfig { base, ..small() }, bound);
    }
    let base = BaseConfig::StudentT(StudentTBase { freedom: 3.0 });
    assert_gradient_with_base(objective, FlowConfig { base, tail_limit: Some(2.0), ..small() }, bound);
}

fn assert_gradient_with_base(objective: &mut dyn Objective, config: FlowConfig, bound: f64) {
    let base = config.base;
    let mut flow = random_flow::<f32>(3, &config, Orientation::Sampling);
    let weights = flow.snapshot();
    let (mut gradients, mut unused) = (zeros(&flow), zeros(&flow));
    // What was in the buffers must not matter.
    gradients.iter_mut().flatten().for_each(|value| *value = f32::NAN);
    objective.evaluate(&flow, 5, &mut gradients).expect("evaluated");
    for direction in 0..3 {
        // The change of the loss, and its size for a direction that is not by chance across the gradient.
        let (mut along, mut squares) = (0.0, 0.0);
        let mut moved = [weights.clone(), weights.clone()];
        for (t, gradient) in gradients.iter().enumerate() {
            let mut z = vec![0.0; gradient.len()];
            Seed(direction).stream(&format!("direction {t}")).normals(0, 1, &mut z);
            for (i, z) in z.into_iter().enumerate() {
                let before = moved[0][t][i];
                moved[0][t][i] = before + 3e-4 * z as f32;
                moved[1][t][i] = before - 3e-4 * z as f32;
                let change = f64::from(gradient[i]) * f64::from(moved[0][t][i] - moved[1][t][i]);
                along += change;
                squares += change * change;
            }
        }
        let [up, down] = moved.map(|weights| {
            flow.restore(&weights);
            objective.evaluate(&flow, 5, &mut unused).expect("evaluated").loss
        });
        let size = along.abs().max(squares.sqrt());
        assert!((along - (up - down)).abs() < bound * size, "{base:?}: {along} of {size}, {}", up - down);
        flow.restore(&weights);
    }
}

#[test]
fn gradients_of_all_objectives_are_central_differences_of_their_losses() {
    let gaussian = Gaussian::conditioned(3, 10.0, 1).expect("a gaussian");
    let noise = || Seed(1).stream("noise");
    let reverse = || ReverseKl::new(&gaussian, standardisation(), 64, noise());
    assert_gradient_is_of_loss(&mut reverse(), 1e-3);

    // Rows within the bounds of the links.
    let rows: Vec<f64> = normal_rows(200, 3, "rows").iter().map(|x| 0.5 * x.clamp(-2.0, 2.0)).collect();
    let given = || Draws::Given(&rows, Epochs::new(200, 64, Seed(1).stream("rows")));
    assert_gradient_is_of_loss(&mut ForwardKl::new(given(), standardisation(), 64), 1e-3);

    let teacher = Model {
        flow: random_flow::<f32>(3, &small(), Orientation::Density),
        standardisation: standardisation(),
        names: vec![String::new(); 3],
        columns: Default::default(),
        constraint: Constraint::default(),
        held_out: Vec::new(),
    };
    let teacher = teacher.freeze::<f32>();
    let fresh = || Draws::Fresh(&teacher, Seed(1).stream("teacher"));
    assert_gradient_is_of_loss(&mut ForwardKl::new(fresh(), standardisation(), 64), 1e-3);

    let parts: Vec<(f64, Box<dyn Objective>)> = vec![
        (0.25, Box::new(reverse())),
        (2.0, Box::new(ForwardKl::new(fresh(), standardisation(), 64))),
        (0.0, Box::new(ForwardKl::new(given(), standardisation(), 64))),
    ];
    assert_gradient_is_of_loss(&mut WeightedSum::new(parts), 1e-3);
}

/// The density of a flow's own draws, as a target.
fn own_density(flow: &Flow<f32, Cpu>) -> impl Density {
    let dim = flow.dim();
    let names = vec![String::new(); dim];
    let standardisation = Standardisation::identity(dim);
    let (flow, constraint) = (flow.clone(), Constraint::default());
    Model { flow, standardisation, names, columns: Default::default(), constraint, held_out: Vec::new() }
        .freeze::<f64>()
}

#[test]
fn the_path_gradient_vanishes_at_the_optimum_and_is_quiet_near_it() {
    // A flow without hidden layers is linear in its parameters: as a target, its own density is Gaussian.
    let config = FlowConfig { layers: 1.into(), hidden: vec![], ..FlowConfig::default() };
    let mut flow =
        Flow::new(&Cpu::default(), 4, &config, Orientation::Sampling, &Seed(4).stream("init")).expect("a flow");
    let mut weights = flow.snapshot();
    for (t, values) in weights.iter_mut().enumerate() {
        let mut z = vec![0.0; values.len()];
        Seed(7).stream(&format!("weights {t}")).normals(0, 1, &mut z);
        // The first output of a variable is its raw log scale: without weights to it, scales are constant and x is linear in z.
        values.iter_mut().zip(z).for_each(|(value, z)| *value = (0.5 * z) as f32);
    }
    for i in 0..4usize {
        // Output weights are stored row by row; variable i has two rows of i weights, scale first.
        let first = i * i.saturating_sub(1);
        weights[0][first..first + i].fill(0.0);
    }
    flow.restore(&weights);
    let target = own_density(&flow);
    let statistics = |flow: &Flow<f32, Cpu>, gradient| {
        let mut objective =
            ReverseKl::new(&target, Standardisation::identity(4), 64, Seed(1).stream("noise")).by(gradient);
        let (mut sum, mut squares, steps) = (vec![0.0; flow.parameter_count()], 0.0, 200);
        for step in 0..steps {
            let mut gradients = zeros(flow);
            objective.evaluate(flow, step, &mut gradients).expect("evaluated");
            for (sum, g) in sum.iter_mut().zip(gradients.iter().flatten()) {
                *sum += f64::from(*g) / steps as f64;
                squares += f64::from(*g).powi(2) / steps as f64;
            }
        }
        squares - sum.iter().map(|mean| mean * mean).sum::<f64>()
    };
    let at_optimum = statistics(&flow, Gradient::Path);
    assert!(at_optimum < 1e-9 * statistics(&flow, Gradient::Total), "{at_optimum}");

    let near: Vec<Vec<f32>> = weights.iter().map(|values| values.iter().map(|w| w * 1.01).collect()).collect();
    flow.restore(&near);
    let (path, total) = (statistics(&flow, Gradient::Path), statistics(&flow, Gradient::Total));
    assert!(100.0 * path < total, "variances {path} and {total}");
}

fn fit(
    dim: usize,
    config: &FlowConfig,
    objective: &mut dyn Objective,
    settings: &Settings,
    seed: u64,
) -> (Flow<f32, Cpu>, Trained) {
    let stream = Seed(seed).stream("init");
    let mut flow = Flow::new(&Cpu::default(), dim, config, Orientation::Sampling, &stream).expect("a flow");
    let trained = train(&mut flow, objective, settings, &AtomicBool::new(false), &mut Silent).expect("trained");
    (flow, trained)
}

/// KL(p ‖ q) from exact draws of a normalised p.
fn forward_kl(target: &dyn Density, flow: &Flow<f32, Cpu>) -> f64 {
    let (rows, dim) = (20_000, flow.dim());
    let draws = exact(target, rows, 99);
    let (mut log_p, mut log_q) = (vec![0.0; rows], vec![0.0; rows]);
    target.evaluate(&draws, &mut log_p, None, &mut Default::default()).expect("evaluated");
    assert_eq!(draws.len(), rows * dim);
    flow.freeze::<f64>().log_prob(&draws, &mut log_q);
    log_p.iter().zip(&log_q).map(|(p, q)| p - q).sum::<f64>() / rows as f64
}

fn exact(target: &dyn Density, rows: usize, seed: u64) -> Vec<f64> {
    let (dim, sampler, stream) = (target.dim(), target.sampler().expect("a sampler"), Seed(seed).stream("exact"));
    let mut draws = vec![0.0; rows * dim];
    draws.chunks_exact_mut(dim).zip(0..).for_each(|(draw, row)| sampler.draw(&mut stream.row(row), draw));
    draws
}

#[test]
fn forward_kl_on_draws_of_a_gaussian_finds_it() {
    let gaussian = Gaussian::conditioned(4, 20.0, 1).expect("a gaussian");
    let draws = exact(&gaussian, 40_000, 3);
    let config = FlowConfig { layers: 2.into(), hidden: vec![], ..FlowConfig::default() };
    let epochs = Epochs::new(36_000, 256, Seed(1).stream("rows"));
    let mut objective = ForwardKl::new(Draws::Given(&draws[..36_000 * 4], epochs), Standardisation::identity(4), 256)
        .validated(&draws[36_000 * 4..]);
    let rate = Schedule { peak: 1e-2, ..Schedule::default() };
    let (flow, trained) =
        fit(4, &config, &mut objective, &Settings { steps: 3000, rate, batch: 256, ..Settings::default() }, 1);
    let kl = forward_kl(&gaussian, &flow);
    assert!(kl.abs() < 2e-3, "KL {kl}");
    // −(entropy of the Gaussian), as far as 4000 rows tell.
    let entropy = 0.5 * 4.0 * (1.0 + std::f64::consts::TAU.ln()) + 0.5 * log_det_of_covariance(&gaussian);
    let found = trained.best_validation.expect("validated");
    assert!((found + entropy).abs() < 0.1, "{found}, {entropy}");
}

/// ln det of the covariance from the density at the mean: log p(0) = −½ (d ln 2π + ln det) for a centred Gaussian.
fn log_det_of_covariance(gaussian: &Gaussian) -> f64 {
    let mut value = [0.0];
    gaussian.evaluate(&[0.0; 4], &mut value, None, &mut Default::default()).expect("evaluated");
    -2.0 * value[0] - 4.0 * std::f64::consts::TAU.ln()
}

#[test]
fn a_weighted_sum_of_both_directions_keeps_what_the_reverse_alone_drops() {
    let target = Mixture::two();
    let config = FlowConfig { layers: 4.into(), hidden: vec![32], ..FlowConfig::default() };
    let settings = Settings {
        steps: 800,
        batch: 128,
        rate: Schedule { peak: 3e-3, ..Schedule::default() },
        patience: 0,
        ..Settings::default()
    };
    let draws = exact(&target, 5_000, 3);
    let mut objective = WeightedSum::new(vec![
        (1.0, Box::new(ReverseKl::new(&target, Standardisation::identity(2), 128, Seed(1).stream("noise")))),
        (
            1.0,
            Box::new(ForwardKl::new(
                Draws::Given(&draws, Epochs::new(5_000, 128, Seed(1).stream("rows"))),
                Standardisation::identity(2),
                128,
            )),
        ),
    ]);
    let (flow, _) = fit(2, &config, &mut objective, &settings, 1);
    assert!(in_both_modes(&flow), "{}", forward_kl(&target, &flow));
}

/// Whether each of the modes at ±(4, 4) has at least a tenth of the draws.
fn in_both_modes(flow: &Flow<f32, Cpu>) -> bool {
    let rows = 2_000;
    let (mut points, mut log_prob) = (vec![0.0; 2 * rows], vec![0.0; rows]);
    flow.freeze::<f32>().push(&normal_rows(rows, 2, "judge"), &mut points, &mut log_prob);
    let share = points.chunks(2).filter(|x| x[0] + x[1] > 0.0).count() as f64 / rows as f64;
    (0.1..0.9).contains(&share)
}

/// The number of `means` that have at least a third of their fair share of the draws of a flow fitted to normals there of `deviation`.
fn modes_found(means: &[[f64; 2]], deviation: f64, anneal: Option<AnnealConfig>, seed: u64) -> usize {
    let of = means.iter().map(|mean| mean.to_vec()).collect();
    let target = Mixture::new(of, vec![deviation; means.len()], None).expect("a mixture");
    let config = FlowConfig { layers: 4.into(), hidden: vec![32], ..FlowConfig::default() };
    let rate = Schedule { peak: 3e-3, ..Schedule::default() };
    let settings = Settings { steps: 800, batch: 128, rate, ..Settings::default() };
    let mut objective = ReverseKl::new(&target, Standardisation::identity(2), 128, Seed(seed).stream("noise"));
    if let Some(anneal) = anneal {
        objective = objective.annealed(Annealing::new(anneal, settings.steps));
    }
    let (flow, _) = fit(2, &config, &mut objective, &settings, seed);
    let rows = 2_000;
    let (mut points, mut log_prob) = (vec![0.0; 2 * rows], vec![0.0; rows]);
    flow.freeze::<f32>().push(&normal_rows(rows, 2, "judge"), &mut points, &mut log_prob);
    let mut counts = vec![0; means.len()];
    for x in points.chunks(2) {
        let distance = |mean: &[f64; 2]| (x[0] - mean[0]).powi(2) + (x[1] - mean[1]).powi(2);
        let nearest = (0..means.len()).min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b])));
        counts[nearest.expect("a mode")] += 1;
    }
    counts.iter().filter(|&&count| 3 * count * means.len() >= rows).count()
}

#[test]
fn annealing_finds_modes_that_the_plain_objective_never_sees() {
    let two = [[1.0, 0.0], [8.0, 4.0]];
    let broad = Some(AnnealConfig { ess: 0.8, scale: 8.0 });
    let found = |anneal| (1..=3).filter(|&seed| modes_found(&two, 0.7, anneal, seed) == 2).count();
    let (plain, annealed) = (found(None), found(broad));
    assert!(annealed >= plain + 2, "both of two modes: {annealed} against {plain} of 3");

    let nine: Vec<[f64; 2]> = (0..9).map(|i| [5.0 * f64::from(i / 3) - 5.0, 5.0 * f64::from(i % 3) - 5.0]).collect();
    let found = |anneal| modes_found(&nine, 0.3f64.sqrt(), anneal, 1);
    let (plain, annealed) = (found(None), found(Some(AnnealConfig::default())));
    assert!(annealed >= plain + 5, "{annealed} modes of nine against {plain}");
}

#[test]
fn annealing_reports_its_temperature_and_the_loss_of_the_target() {
    struct Betas(Vec<f64>);
    impl Observer for Betas {
        fn step(&mut self, progress: &Progress) {
            self.0.push(progress.beta.expect("an inverse temperature"));
        }
    }
    let gaussian = Gaussian::conditioned(3, 100.0, 1).expect("a gaussian");
    let mut objective = ReverseKl::new(&gaussian, Standardisation::identity(3), 128, Seed(1).stream("noise"))
        .annealed(Annealing::new(AnnealConfig { ess: 0.9, scale: 1.0 }, 300));
    let stream = Seed(1).stream("init");
    let mut flow = Flow::new(&Cpu::default(), 3, &small(), Orientation::Sampling, &stream).expect("a flow");
    let mut plain = ReverseKl::new(&gaussian, Standardisation::identity(3), 128, Seed(1).stream("noise"));
    let expected = plain.evaluate(&flow, 0, &mut zeros(&flow)).expect("evaluated").loss;
    assert_eq!(objective.evaluate(&flow, 0, &mut zeros(&flow)).expect("evaluated").loss, expected);
    let mut betas = Betas(Vec::new());
    let settings = Settings { steps: 300, batch: 128, ..Settings::default() };
    train(&mut flow, &mut objective, &settings, &AtomicBool::new(false), &mut betas).expect("trained");
    assert!(betas.0.is_sorted() && betas.0[0] < 0.9 && betas.0[225] == 1.0, "{:?}", betas.0);
}

#[test]
fn training_by_both_directions_is_the_same_whatever_the_number_of_threads() {
    // Wide enough for the work to be divided.
    let config = FlowConfig { layers: 2.into(), hidden: vec![64, 64], ..FlowConfig::default() };
    let teacher = Model {
        flow: random_flow::<f32>(5, &config, Orientation::Density),
        standardisation: Standardisation::identity(5),
        names: vec![String::new(); 5],
        columns: Default::default(),
        constraint: Constraint::default(),
        held_out: Vec::new(),
    };
    let teacher = teacher.freeze::<f32>();
    let train_with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let standardisation = Standardisation::identity(5);
            let reverse = ReverseKl::new(&teacher, standardisation.clone(), 300, Seed(1).stream("noise"));
            let fresh = Draws::Fresh(&teacher, Seed(1).stream("teacher"));
            let mut objective = WeightedSum::new(vec![
                (1.0, Box::new(reverse.by(Gradient::Path).annealed(Annealing::new(AnnealConfig::default(), 20)))),
                (0.5, Box::new(ForwardKl::new(fresh, standardisation, 300))),
            ]);
            let settings = Settings { steps: 20, batch: 300, ..Settings::default() };
            fit(5, &config, &mut objective, &settings, 1).0.snapshot()
        })
    };
    let one = train_with(1);
    assert_eq!(one, train_with(2));
    assert_eq!(one, train_with(5));
}
