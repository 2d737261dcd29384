//! How often the certificate is wrong: fits that have lost mass and good fits, each judged with exact draws and with the Monte Carlo look.
//! `cargo run --release --example false_ok [FITS] [FIRST SEED]`; one line a fit, then the counts.

use dfdx::prelude::Cpu;
use flowdistill::evaluate::certificate::{certify, Certificate, Verdict};
use flowdistill::evaluate::draws::{draws_of, exact_draws};
use flowdistill::experiment::{look_at, IndependentSpec};
use flowdistill::flow::{Flow, FlowConfig, Model, Orientation, Standardisation};
use flowdistill::sampler::SmcSettings;
use flowdistill::seed::Seed;
use flowdistill::target::*;
use flowdistill::train::{train, MaximumLikelihood, Observer, Progress, ReverseKl, Schedule, Settings};

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}
}

/// A target, and the mode that a point belongs to.
type Case = (&'static str, Box<dyn Density>, usize, fn(&[f64]) -> usize);

fn cases() -> Result<Vec<Case>, String> {
    Ok(vec![
        ("two modes", Box::new(Mixture::two()), 2, |x| usize::from(x[0] + x[1] > 0.0)),
        ("nine modes", Box::new(Mixture::nine()), 9, |x| {
            let place = |x: f64| usize::from(x > -2.5) + usize::from(x > 2.5);
            3 * place(x[0]) + place(x[1])
        }),
        ("two moons", Box::new(Moons::separated()), 2, |x| usize::from(x[0] > 0.0)),
        ("banana", Box::new(Banana), 1, |_| 0),
        ("funnel", Box::new(Funnel::new(5)?), 1, |_| 0),
        ("gaussian", Box::new(Gaussian::conditioned(8, 10.0, 1)?), 1, |_| 0),
    ])
}

const DRAWS: usize = 50_000;

/// The largest error of a mode's mass by exact draws.
fn lost(case: &Case, model: &Model) -> f64 {
    let (_, target, modes, mode_of) = case;
    let Some(sampler) = target.sampler() else { return f64::NAN };
    let masses = |points: &[f64]| {
        let mut masses = vec![0.0; *modes];
        points.chunks_exact(target.dim()).for_each(|x| masses[mode_of(x)] += 1.0 / DRAWS as f64);
        masses
    };
    let right = masses(&exact_draws(sampler, target.dim(), DRAWS, &Seed(9).stream("exact")));
    let found = masses(&draws_of(&model.freeze(), DRAWS, &Seed(9).stream("student")));
    right.iter().zip(found).map(|(r, f)| (r - f).abs()).fold(0.0, f64::max)
}

fn flow(dim: usize, seed: Seed) -> flowdistill::error::Result<Flow<f32, Cpu>> {
    let config = FlowConfig { layers: 5, hidden: vec![48, 48], ..FlowConfig::default() };
    Flow::new(&Cpu::default(), dim, &config, Orientation::Sampling, &seed.stream("init"))
}

/// Plain reverse KL from a normal distribution of standard deviation `scale`.
fn by_reverse_kl(target: &dyn Density, scale: f64, steps: u64, seed: Seed) -> flowdistill::error::Result<Model> {
    let dim = target.dim();
    let standardisation = Standardisation { scale: vec![scale; dim], ..Standardisation::identity(dim) };
    let mut flow = flow(dim, seed)?;
    let mut objective = ReverseKl::new(target, standardisation.clone(), 256, seed.stream("noise"));
    let rate = Schedule { peak: 2e-3, ..Schedule::default() };
    let settings = Settings { steps, batch: 256, rate, ..Settings::default() };
    train(&mut flow, &mut objective, &settings, &Default::default(), &mut Silent)?;
    Ok(Model { flow, standardisation, names: target.names(), integers: vec![] })
}

/// Maximum likelihood on draws by sequential Monte Carlo (slow for a student, but it covers all modes), then reverse KL.
fn from_draws(target: &dyn Density, steps: u64, seed: Seed) -> Result<Model, Box<dyn std::error::Error>> {
    let dim = target.dim();
    let drawn = flowdistill::sampler::smc(target, &SmcSettings::default(), 30_000, &seed.stream("draws"))?;
    let standardisation = Standardisation::fit(&drawn.draws, &target.names(), vec![], true)?;
    let (mut points, mut jacobian) = (drawn.draws.clone(), vec![0.0; drawn.draws.len() / dim]);
    standardisation.apply(&mut points, &mut jacobian);
    let mut flow = flow(dim, seed)?;
    let mut likelihood = MaximumLikelihood::new(dim, &points, vec![], 256, [0.0; 2], seed.stream("batches"));
    let rate = Schedule { peak: 2e-3, ..Schedule::default() };
    let settings = Settings { steps, batch: 256, rate, ..Settings::default() };
    train(&mut flow, &mut likelihood, &settings, &Default::default(), &mut Silent)?;
    let mut objective = ReverseKl::new(target, standardisation.clone(), 256, seed.stream("noise"));
    let rate = Schedule { peak: 1e-3, ..Schedule::default() };
    train(&mut flow, &mut objective, &Settings { rate, ..settings }, &Default::default(), &mut Silent)?;
    Ok(Model { flow, standardisation, names: target.names(), integers: vec![] })
}

fn judged(model: &Model, target: &dyn Density, how: IndependentSpec) -> flowdistill::error::Result<Certificate> {
    let stream = Seed(7).stream("certificate");
    let look = look_at(target, None, how, DRAWS, &stream)?;
    certify(&model.freeze(), target, DRAWS, &stream, look.as_ref())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let fits: usize = arguments.first().map_or(Ok(100), |text| text.parse())?;
    let first: u64 = arguments.get(1).map_or(Ok(1), |text| text.parse())?;
    let cases = cases()?;
    // Of fits that lost mass: all, trusted with exact draws, trusted by the sampler. Of good fits: all, refused and not trusted likewise.
    let (mut bad, mut good) = ([0; 3], [0; 5]);
    println!("target        made by       lost mass  ESS     verdict (exact draws)  verdict (sampler)");
    for k in 0..fits {
        let seed = Seed(first + k as u64);
        let (case, covering) = if k % 2 == 0 { (&cases[k / 2 % 3], false) } else { (&cases[k / 2 % 6], true) };
        let target = case.1.as_ref();
        let model = match covering {
            true => from_draws(target, 1500, seed)?,
            false => by_reverse_kl(target, [0.3, 1.0, 2.0][k / 6 % 3], 1000, seed)?,
        };
        let lost = lost(case, &model);
        let exact = judged(&model, target, IndependentSpec::Auto)?;
        let by_smc = judged(&model, target, IndependentSpec::Smc(SmcSettings::default()))?;
        let made_by = if covering { "from draws" } else { "reverse KL" };
        let ess = exact.reverse.ess;
        println!(
            "{:<13} {made_by:<13} {lost:9.3} {ess:7.3}  {:<22} {:<17} {}",
            case.0,
            exact.verdict.words(),
            by_smc.verdict.words(),
            if exact.verdict == Verdict::Trusted && by_smc.verdict != Verdict::Trusted {
                by_smc.reasons.join("; ")
            } else {
                String::new()
            }
        );
        if lost > 0.1 {
            bad[0] += 1;
            bad[1] += usize::from(exact.verdict == Verdict::Trusted);
            bad[2] += usize::from(by_smc.verdict == Verdict::Trusted);
        } else if lost <= 0.03 && ess >= 0.85 {
            good[0] += 1;
            good[1] += usize::from(exact.verdict == Verdict::NotTrusted);
            good[2] += usize::from(by_smc.verdict == Verdict::NotTrusted);
            good[3] += usize::from(exact.verdict != Verdict::Trusted);
            good[4] += usize::from(by_smc.verdict != Verdict::Trusted);
        }
    }
    println!(
        "fits that lost more than 0.1 of a mode: {}; trusted with exact draws {}, by the sampler {}",
        bad[0], bad[1], bad[2]
    );
    println!(
        "good fits (masses within 0.03, ESS/N at least 0.85): {}; not trusted {} and {}, less than trusted {} and {}",
        good[0], good[1], good[2], good[3], good[4]
    );
    Ok(())
}
