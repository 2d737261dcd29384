//! A sampler for an energy of one's own: the density is a dozen lines, the rest is choosing how to fit and what to print.
//!
//! `cargo run --release --example own_energy`

use flowdistill::evaluate::{draws::log_weights_of_draws, weights};
use flowdistill::flow::{Flow, FlowConfig, Model, Orientation, Standardisation};
use flowdistill::seed::Seed;
use flowdistill::target::Pointwise;
use flowdistill::train::{train, Observer, Progress, ReverseKl, Settings};

/// Two anharmonic oscillators with a spring between them: −log γ = ¼ x⁴ + ¼ y⁴ + ½ (x − y)².
struct Oscillators;

impl Pointwise for Oscillators {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, p: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let (x, y) = (p[0], p[1]);
        if let Some(gradient) = gradient {
            gradient[0] = -(x.powi(3) + (x - y));
            gradient[1] = -(y.powi(3) - (x - y));
        }
        -(0.25 * x.powi(4) + 0.25 * y.powi(4) + 0.5 * (x - y).powi(2))
    }
}

/// Prints a line now and then.
struct Lines;

impl Observer for Lines {
    fn step(&mut self, progress: &Progress) {
        if progress.step.is_multiple_of(500) {
            println!("step {}: loss {:.4}, ESS {:.3}", progress.step, progress.loss, progress.ess.unwrap_or(f64::NAN));
        }
    }
}

fn main() -> flowdistill::error::Result<()> {
    let seed = Seed(1);
    let standardisation = Standardisation::identity(2);
    let config = FlowConfig { layers: 4, hidden: vec![32, 32], ..FlowConfig::default() };
    let mut flow = Flow::new(&Default::default(), 2, &config, Orientation::Sampling, &seed.stream("init"))?;
    let mut objective = ReverseKl::new(&Oscillators, standardisation.clone(), 256, seed.stream("noise"));
    let settings = Settings { steps: 3000, batch: 256, ..Settings::default() };
    train(&mut flow, &mut objective, &settings, &Default::default(), &mut Lines)?;

    let model = Model {
        flow,
        standardisation,
        names: vec!["x".into(), "y".into()],
        columns: Default::default(),
        constraint: Default::default(),
        held_out: Vec::new(),
    };
    let (log_weights, _) = log_weights_of_draws(&model.freeze(), &Oscillators, 100_000, &seed.stream("evaluation"))?;
    let scores = weights::reverse(&log_weights);
    println!("ESS/N {:.4}, log Z {:.4} ± {:.4}", scores.ess, scores.log_z, scores.log_z_se);
    model.save(std::path::Path::new("oscillators.safetensors"))?;
    println!("saved: flowdistill sample oscillators.safetensors -n 1000");
    Ok(())
}
