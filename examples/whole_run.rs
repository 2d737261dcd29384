//! A whole experiment from `main`, without a RON file: a density of one's own, a teacher fitted to exact draws of it, a student of
//! the density, scores, and the run's folder with both models and the report.
//!
//! `cargo run --release --example whole_run`

use flowdistill::error::Result;
use flowdistill::experiment::{
    run, Against, DataSpec, EvaluationSpec, Folder, Plan, SourceSpec, Spec, StageSpec, StudentSpec, Watcher, Whitening,
};
use flowdistill::flow::FlowConfig;
use flowdistill::seed::{open_unit, Seed};
use flowdistill::target::{Pointwise, Sampler};
use flowdistill::train::{Gradient, Observer, Progress, Settings};
use rand::RngCore;
use std::sync::atomic::AtomicBool;

/// Lengths of three springs that hang one from the other, each stretched by a random weight: x₁ ~ N(1, ¼), xᵢ | xᵢ₋₁ ~ N(½ xᵢ₋₁², ¼).
struct Springs;

const SPREAD: f64 = 0.5;

impl Pointwise for Springs {
    fn dim(&self) -> usize {
        3
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let deviations = [x[0] - 1.0, x[1] - 0.5 * x[0] * x[0], x[2] - 0.5 * x[1] * x[1]].map(|d| d / SPREAD);
        if let Some(gradient) = gradient {
            for i in 0..3 {
                let below = if i < 2 { x[i] * deviations[i + 1] } else { 0.0 };
                gradient[i] = (below - deviations[i]) / SPREAD;
            }
        }
        deviations.iter().map(|d| -0.5 * d * d - (SPREAD * std::f64::consts::TAU.sqrt()).ln()).sum()
    }

    fn names(&self) -> Vec<String> {
        ["first", "second", "third"].map(String::from).to_vec()
    }

    // Both may be left out: what is known is used, for data and for scores.
    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sampler(&self) -> Option<&dyn Sampler> {
        Some(self)
    }
}

impl Sampler for Springs {
    fn draw(&self, rng: &mut dyn RngCore, x: &mut [f64]) {
        let mut centre = 1.0;
        for x in x {
            let (u, v) = (open_unit(rng), open_unit(rng));
            *x = centre + SPREAD * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            centre = 0.5 * *x * *x;
        }
    }
}

/// Says where the run is.
struct Lines;

impl Observer for Lines {
    fn step(&mut self, progress: &Progress) {
        if progress.step.is_multiple_of(1000) {
            println!("  step {}: loss {:.4}", progress.step, progress.loss);
        }
    }
}

impl Watcher for Lines {
    fn begin(&mut self, stage: &str, steps: u64) {
        println!("{stage}, {steps} steps");
    }

    fn end(&mut self) {}

    fn note(&mut self, text: &str) {
        println!("{text}");
    }
}

fn main() -> Result<()> {
    let flow = FlowConfig { layers: 3.into(), hidden: vec![32, 32], ..FlowConfig::default() };
    let spec = Spec {
        version: 1,
        name: "springs".into(),
        seed: 1,
        target: None, // the density below takes its place
        data: Some(DataSpec::new(SourceSpec::Draws { rows: 20_000 })),
        whitening: Whitening::None,
        starts: Vec::new(),
        teacher: Some(flow.clone()),
        student: Some(StudentSpec::Flow(flow)),
        stages: vec![
            StageSpec::MaximumLikelihood(Settings { steps: 2000, batch: 256, ..Settings::default() }),
            StageSpec::ReverseKl {
                against: Against::Target,
                gradient: Gradient::default(),
                reverse: 1.0,
                forward: 0.0,
                anneal: None,
                training: Settings { steps: 4000, batch: 256, ..Settings::default() },
            },
        ]
        .into(),
        evaluation: EvaluationSpec { draws: 50_000, ..EvaluationSpec::default() },
    };
    let plan = Plan::for_density(spec, Box::new(Springs))?;
    let folder = Folder::create(std::path::Path::new("runs"), &plan.spec.name, true)?;
    let record = run(&plan, "// examples/whole_run.rs\n", &folder, &AtomicBool::new(false), &mut Lines)?;
    println!("{}", record.to_markdown());

    // The fitted student, as a sampler.
    let student = flowdistill::flow::Model::load(&folder.file(flowdistill::experiment::STUDENT))?.freeze::<f64>();
    let draws = flowdistill::evaluate::draws::draws_of(&student, 5, &Seed(2).stream("draws"));
    draws.chunks(3).for_each(|x| println!("{x:.3?}"));
    Ok(())
}
