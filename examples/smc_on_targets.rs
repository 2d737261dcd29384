//! Tempered sequential Monte Carlo on the targets of the library whose evidence is known: `cargo run --release --example smc_on_targets`.

use flowdistill::sampler::{smc, SmcSettings};
use flowdistill::seed::Seed;
use flowdistill::target::*;

/// The posterior of experiments/logistic.ron.
fn breast_cancer() -> Result<LogisticRegression, Box<dyn std::error::Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/data/breast_cancer.csv");
    let table = flowdistill::data::read(path.as_ref(), None)?;
    let label = table.names.iter().position(|name| name == "benign").ok_or("no column benign")?;
    let names: Vec<String> = table.names.iter().filter(|name| *name != "benign").cloned().collect();
    let rows = || (0..table.len()).map(|row| table.row(row));
    let labels = rows().map(|row| row[label]).collect();
    let features: Vec<f64> =
        rows().flat_map(|row| row.iter().enumerate().filter(|(i, _)| *i != label).map(|(_, x)| *x)).collect();
    Ok(LogisticRegression::new(&names, &features, labels, 10.0)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed = arguments.first().map_or(Ok(1), |text| text.parse())?;
    let wanted = |name: &str| arguments.len() < 2 || arguments[1..].iter().any(|word| name.contains(word.as_str()));
    let targets: Vec<(&str, Box<dyn Density>, Option<f64>)> = vec![
        ("banana", Box::new(Banana), None),
        ("rosenbrock", Box::new(Ridges::rosenbrock()), None),
        ("u1", Box::new(Moons::u1()), None),
        ("u2", Box::new(Ridges::u2()), None),
        ("u3", Box::new(Ridges::u3()), None),
        ("u4", Box::new(Ridges::u4()), None),
        ("two moons", Box::new(Moons::separated()), None),
        ("rings", Box::new(Rings), None),
        ("two modes", Box::new(Mixture::two()), None),
        ("nine modes", Box::new(Mixture::nine()), None),
        ("forty modes", Box::new(Mixture::forty(1)), None),
        ("funnel 10", Box::new(Funnel::new(10)?), None),
        ("student-t 10", Box::new(StudentT::new(10, 2.0)?), None),
        ("gaussian 20", Box::new(Gaussian::conditioned(20, 1e4, 1)?), None),
        ("many-well 32", Box::new(ManyWell::new(32)?), None),
        ("eight schools", Box::new(EightSchools), Some(-31.31135)),
        ("lattice free", Box::new(Lattice::new(8, 0.2, 0.0)?), None),
        ("lattice phi4", Box::new(Lattice::new(8, 0.2, 0.5)?), Some(19.80)),
        ("logistic 31", Box::new(breast_cancer()?), Some(-77.57)),
    ];
    let settings = SmcSettings::default();
    println!("target            log Z ± s.e.            true        z   s    temps ancestors acc  R-hat  N_eff  million evaluations");
    for (name, target, known) in targets.iter().filter(|(name, ..)| wanted(name)) {
        let found = smc(target.as_ref(), &settings, 0, &Seed(seed).stream("smc"))?;
        let truth = known.or(target.log_normalizer()).unwrap_or(f64::NAN);
        let (log_z, error) = found.log_z.unwrap_or((f64::NAN, f64::NAN));
        println!(
            "{name:<14} {log_z:10.4} ± {error:.4}  {truth:10.4}  {:6.2}  {:5.1} {:5} {:5} {:.2} {:.3} {:.0} {:.1} {:?}",
            (log_z - truth) / error,
            found.seconds,
            found.temperatures.unwrap_or(0),
            found.ancestors.unwrap_or(0),
            found.acceptance,
            found.r_hat,
            found.effective,
            found.evaluations as f64 / 1e6,
            found.faults
        );
    }
    Ok(())
}
