//! All kinds of layers on the same targets and data: nats that each lacks on held-out rows, seconds of its fit, draws and densities a second; then steps that
//! layers take with `ActNorm` and without. The tables of `docs/choosing.md`.
//!
//! `cargo run --release --example kinds [SEED] [WORD]`: five minutes on two cores; with a word, the tables that have it in their title.

use dfdx::prelude::Cpu;
use flowdistill::flow::{Flow, FlowConfig, Method, Orientation};
use flowdistill::seed::{normal_pair, open_unit, Seed};
use flowdistill::target::{Density, Faults, Funnel, Moons, Pointwise, Sampler};
use flowdistill::train::{train, MaximumLikelihood, Observer, Progress, Schedule, Settings};
use rand::RngCore;
use ron::extensions::Extensions;
use ron::Options;
use std::f64::consts::{PI, TAU};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

const ROWS: usize = 20_000;
const HELD_OUT: usize = 10_000;
const DRAWS: usize = 4096;

/// Four independent numbers: two with two modes, of even and of uneven weight, and two that are skewed, the logarithm of a χ² of one degree of freedom halved and
/// minus that of an exponential number.
struct Marginals;

/// Halves of the distance between modes, and their deviation.
const APART: f64 = 1.5;
const DEVIATION: f64 = 0.3;
/// The weight of the left mode.
const LEFT: [f64; 2] = [0.5, 0.2];

impl Pointwise for Marginals {
    fn dim(&self) -> usize {
        4
    }

    fn log_density(&self, x: &[f64], _: Option<&mut [f64]>) -> f64 {
        let bump = |z: f64| (-0.5 * z * z).exp() / (DEVIATION * TAU.sqrt());
        let modes = (0..2).map(|i| {
            let (left, right) = ((x[i] + APART) / DEVIATION, (x[i] - APART) / DEVIATION);
            (LEFT[i] * bump(left) + (1.0 - LEFT[i]) * bump(right)).ln()
        });
        modes.sum::<f64>() + 0.5 * x[2] - x[2].exp() - 0.5 * PI.ln() - x[3] - (-x[3]).exp()
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Marginals {
    fn draw(&self, rng: &mut dyn RngCore, x: &mut [f64]) {
        for i in 0..2 {
            let side = if open_unit(rng) < LEFT[i] { -APART } else { APART };
            x[i] = side + DEVIATION * normal_pair(rng)[0];
        }
        x[2] = (0.5 * normal_pair(rng)[0].powi(2)).ln();
        x[3] = -(-open_unit(rng).ln()).ln();
    }
}

/// Name, flow and steps of a fit.
const KINDS: &[(&str, &str, u64)] = &[
    ("`Additive`, 6 couplings", "(layers: 6, structure: Coupling(Parity), transformer: Additive)", 2000),
    ("`Affine`, 1 layer", "(layers: 1)", 2000),
    ("`Affine`, 5 layers", "(layers: 5)", 2000),
    ("`Affine`, 6 couplings", "(layers: 6, structure: Coupling(Parity))", 2000),
    ("`Affine` in blocks of 2, 5 layers", "(layers: 5, structure: Blocks(2))", 2000),
    (
        "`Affine`, 6 couplings after `ActNorm` and `Lu`",
        "(layers: [Repeat(6, [Linear(ActNorm), Linear(Lu), Masked(structure: Coupling(Parity))])])",
        2000,
    ),
    ("`LeakyRelu`, 5 layers", "(layers: 5, transformer: LeakyRelu())", 2000),
    ("`PiecewiseLinear`, 1 layer", "(layers: 1, transformer: PiecewiseLinear())", 2000),
    ("`Sinusoid`, 1 layer", "(layers: 1, transformer: Sinusoid())", 2000),
    ("`Spline`, 1 layer", "(layers: 1, transformer: Spline())", 2000),
    ("`Spline`, 2 layers", "(layers: 2, transformer: Spline())", 2000),
    ("`Spline`, 6 couplings", "(layers: 6, structure: Coupling(Parity), transformer: Spline())", 2000),
    ("`MixtureCdf`, 1 layer", "(layers: 1, transformer: MixtureCdf())", 2000),
    ("`MixtureCdf`, 2 layers", "(layers: 2, transformer: MixtureCdf())", 2000),
    ("`MonotoneNet`, 1 layer", "(layers: 1, transformer: MonotoneNet())", 2000),
    ("`MonotoneNet`, 2 layers", "(layers: 2, transformer: MonotoneNet())", 2000),
    ("`Planar`, 32 layers", "(layers: [Repeat(32, [Planar])])", 2000),
    ("`Radial`, 32 layers", "(layers: [Repeat(32, [Radial])])", 2000),
    ("`Residual`, 4 layers of [32, 32]", "(layers: [Repeat(4, [Residual(hidden: [32, 32])])])", 600),
];

fn draws(target: &dyn Density, rows: usize, seed: &Seed, name: &str) -> Vec<f64> {
    let (sampler, stream) = (target.sampler().expect("exact draws"), seed.stream(name));
    let mut all = vec![0.0; rows * target.dim()];
    for (row, point) in all.chunks_exact_mut(target.dim()).enumerate() {
        sampler.draw(&mut stream.row(row as u64), point);
    }
    all
}

fn flow_of(dim: usize, text: &str, seed: &Seed) -> Flow<f32, Cpu> {
    let options =
        Options::default().with_default_extension(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES);
    let config: FlowConfig = options.from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Flow::new(&Cpu::default(), dim, &config, Orientation::Density, &seed.stream("weights")).expect("a flow")
}

struct Nobody;

impl Observer for Nobody {
    fn step(&mut self, _: &Progress) {}
}

/// The mean of these numbers, and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// One row of the table.
fn fit(name: &str, target: &dyn Density, text: &str, steps: u64, seed: &Seed) {
    let dim = target.dim();
    let (rows, held_out) = (draws(target, ROWS, seed, "rows"), draws(target, HELD_OUT, seed, "held out"));
    let mut truth = vec![0.0; HELD_OUT];
    target.evaluate(&held_out, &mut truth, None, &mut Faults::default()).expect("densities");
    let normalizer = target.log_normalizer().unwrap_or(0.0);

    let settings =
        Settings { steps, batch: 256, rate: Schedule { peak: 3e-3, ..Schedule::default() }, ..Settings::default() };
    let clock = Instant::now();
    let mut flow = flow_of(dim, text, seed);
    flow.start(&rows, &seed.stream("start")).expect("started");
    let mut objective =
        MaximumLikelihood::new(dim, &rows, Vec::new(), settings.batch, [0.0; 2], seed.stream("shuffle"));
    train(&mut flow, &mut objective, &settings, &AtomicBool::new(false), &mut Nobody).expect("trained");
    let seconds = clock.elapsed().as_secs_f64();

    let frozen = flow.freeze::<f32>();
    let mut found = vec![0.0; HELD_OUT];
    let clock = Instant::now();
    frozen.log_prob(&held_out, &mut found);
    let densities = HELD_OUT as f64 / clock.elapsed().as_secs_f64();
    let lacks: Vec<f64> = truth.iter().zip(&found).map(|(truth, found)| truth - normalizer - found).collect();
    let (lacks, error) = mean(&lacks);
    let (mut points, mut log_prob) = (vec![0.0; DRAWS * dim], vec![0.0; DRAWS]);
    let clock = Instant::now();
    frozen.draw(Method::Cached, &seed.stream("draws"), 0, &mut points, &mut log_prob);
    let draws = DRAWS as f64 / clock.elapsed().as_secs_f64();
    println!("| {name} | {lacks:.3} ± {error:.3} | {seconds:.1} | {:.0} | {:.0} |", draws / 1e3, densities / 1e3);
}

/// The step at which the validation score first reaches what is asked for.
struct Reaches {
    score: f64,
    at: Option<u64>,
    best: f64,
}

impl Observer for Reaches {
    fn step(&mut self, progress: &Progress) {
        if let Some(score) = progress.validation {
            self.best = self.best.max(score);
            if score >= self.score && self.at.is_none() {
                self.at = Some(progress.step);
            }
        }
    }
}

/// Steps to within half a nat and a tenth of a nat of the best score, with the data-dependent start and without, of rows that are shifted and in other units.
fn starts(target: &dyn Density, seed: &Seed) {
    let dim = target.dim();
    for (unit, words) in [(1.0, "as they are"), (10.0, "in tenths"), (100.0, "in hundredths")] {
        let scaled = |rows: Vec<f64>| rows.into_iter().map(|x| unit * (x + 1.0)).collect::<Vec<f64>>();
        let (rows, held_out) = (draws(target, ROWS, seed, "rows"), draws(target, HELD_OUT, seed, "held out"));
        let mut truth = vec![0.0; HELD_OUT];
        target.evaluate(&held_out, &mut truth, None, &mut Faults::default()).expect("densities");
        let best = mean(&truth).0 - dim as f64 * f64::ln(unit) - target.log_normalizer().unwrap_or(0.0);
        for (name, norm, start) in [
            ("`ActNorm`, started from the data", "Linear(ActNorm), ", true),
            ("`ActNorm`, started at the identity", "Linear(ActNorm), ", false),
            ("without", "", false),
        ] {
            let text =
                format!("(layers: [Repeat(4, [{norm}Masked(structure: Coupling(Parity), transformer: Spline())])])");
            let mut flow = flow_of(dim, &text, seed);
            if start {
                flow.start(&scaled(rows.clone()), &seed.stream("start")).expect("started");
            }
            let settings = Settings {
                steps: 3000,
                batch: 256,
                rate: Schedule { peak: 3e-3, ..Schedule::default() },
                validate_every: 25,
                patience: 0,
                ..Settings::default()
            };
            let mut at = Vec::new();
            let (train_rows, validation) = (scaled(rows.clone()), scaled(held_out.clone()));
            let mut objective =
                MaximumLikelihood::new(dim, &train_rows, validation, settings.batch, [0.0; 2], seed.stream("shuffle"));
            let mut half = Reaches { score: best - 0.5, at: None, best: f64::NEG_INFINITY };
            let mut tenth = Reaches { score: best - 0.1, at: None, best: f64::NEG_INFINITY };
            let mut both = Both(&mut half, &mut tenth);
            train(&mut flow, &mut objective, &settings, &AtomicBool::new(false), &mut both).expect("trained");
            for reached in [half.at, tenth.at] {
                at.push(reached.map_or("never".to_string(), |step| step.to_string()));
            }
            println!("| {words} | {name} | {} | {} | {:.3} |", at[0], at[1], best - tenth.best);
        }
    }
}

struct Both<'a>(&'a mut Reaches, &'a mut Reaches);

impl Observer for Both<'_> {
    fn step(&mut self, progress: &Progress) {
        self.0.step(progress);
        self.1.step(progress);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seed = Seed(arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1));
    let only = arguments.next().unwrap_or_default();
    let funnel = Funnel::new(5).expect("a funnel");
    let targets: [(&str, &dyn Density); 3] = [
        ("Four marginals, two bimodal and two skewed", &Marginals),
        ("Two moons", &Moons::separated()),
        ("Funnel of 5", &funnel),
    ];
    for (name, target) in targets.into_iter().filter(|(name, _)| name.contains(&only)) {
        println!(
            "\n{name}\n\n| layers | nats short | fit, s | thousand draws a second | thousand densities a second |"
        );
        println!("|---|---:|---:|---:|---:|");
        for (kind, text, steps) in KINDS {
            fit(kind, target, &text.replacen('(', "(hidden: [64, 64], ", 1), *steps, &seed);
        }
    }
    let name = "Steps to a validation score on the four marginals";
    if name.contains(&only) {
        println!("\n{name}\n\n| rows | layers | to 0.5 nats | to 0.1 nats | short at last |\n|---|---|---:|---:|---:|");
        starts(&Marginals, &seed);
    }
}
