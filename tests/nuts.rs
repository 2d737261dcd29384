//! The no-U-turn sampler (feature `nuts`) on targets with a truth, on one that it cannot do, and through an experiment file.
#![cfg(feature = "nuts")]

use assert_cmd::Command;
use flowdistill::sampler::{effective_draws, nuts, Drawn, NutsSettings};
use flowdistill::seed::Seed;
use flowdistill::target::*;

fn settings() -> NutsSettings {
    NutsSettings { chains: 4, warm_up: 600, keep: 1000, spread: 2.0 }
}

fn drawn(target: &dyn Density, settings: &NutsSettings, seed: u64) -> Drawn {
    nuts(target, settings, &Seed(seed).stream("nuts")).expect("drawn")
}

/// `f` of every draw, a list for each chain.
fn chains(found: &Drawn, dim: usize, settings: &NutsSettings, f: impl Fn(&[f64]) -> f64) -> Vec<Vec<f64>> {
    let values: Vec<f64> = found.draws.chunks_exact(dim).map(f).collect();
    values.chunks(settings.keep).map(<[f64]>::to_vec).collect()
}

/// The mean of `f` over the draws is `right` within 4.5 of its standard errors.
fn holds(found: &Drawn, dim: usize, settings: &NutsSettings, what: &str, right: f64, f: impl Fn(&[f64]) -> f64) {
    let chains = chains(found, dim, settings, f);
    let values: Vec<f64> = chains.concat();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let error = (variance / effective_draws(&chains).min(n)).sqrt();
    assert!((mean - right).abs() <= 4.5 * error, "{what}: {mean} with standard error {error}, {right} is right");
    assert!(error < 0.2 * variance.sqrt(), "{what}: the standard error {error} says nothing");
}

#[test]
fn a_correlated_normal_has_its_moments() {
    let target = Gaussian::new(vec![1.0, -3.0], vec![4.0, 1.8, 1.8, 1.0]).expect("a target");
    let how = NutsSettings { keep: 2500, ..settings() };
    let found = drawn(&target, &how, 1);
    assert!(found.is_sound(), "{:?}", found.faults);
    assert_eq!((found.draws.len(), found.divergences), (2 * 10_000, Some(0)));
    holds(&found, 2, &how, "mean 1", 1.0, |x| x[0]);
    holds(&found, 2, &how, "mean 2", -3.0, |x| x[1]);
    holds(&found, 2, &how, "variance 1", 4.0, |x| (x[0] - 1.0).powi(2));
    holds(&found, 2, &how, "variance 2", 1.0, |x| (x[1] + 3.0).powi(2));
    holds(&found, 2, &how, "covariance", 1.8, |x| (x[0] - 1.0) * (x[1] + 3.0));
}

#[test]
fn a_long_thin_normal_has_its_moments() {
    let (dim, how) = (10, settings());
    let target = Gaussian::conditioned(dim, 1e4, 1).expect("a target");
    let found = drawn(&target, &how, 2);
    assert!(found.is_sound(), "{:?}", found.faults);
    // Minus twice the log density ratio to the mode is chi-squared, whatever the covariance; so are the variances of exact draws.
    let at = |x: &[f64]| {
        let mut value = [0.0];
        target.evaluate(x, &mut value, None, &mut Faults::default()).expect("evaluated");
        value[0]
    };
    let top = at(&vec![0.0; dim]);
    holds(&found, dim, &how, "chi-squared", dim as f64, |x| 2.0 * (top - at(x)));
    holds(&found, dim, &how, "its square", (dim * (dim + 2)) as f64, |x| (2.0 * (top - at(x))).powi(2));
    let sampler = Density::sampler(&target).expect("exact draws");
    let mut exact = vec![0.0; 200_000 * dim];
    for (row, point) in exact.chunks_exact_mut(dim).enumerate() {
        sampler.draw(&mut Seed(3).stream("exact").row(row as u64), point);
    }
    for i in [0, 4, 9] {
        let variance = exact.iter().skip(i).step_by(dim).map(|x| x * x).sum::<f64>() / 200_000.0;
        holds(&found, dim, &how, &format!("variance {i}"), variance, |x| x[i] * x[i]);
    }
}

/// E(mu), E(mu²), E(ln tau), E(theta~1) of the eight schools: mu and the effects integrate out, and a sum over ln tau is left.
fn eight_schools() -> [f64; 4] {
    const Y: [f64; 8] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
    const SIGMA: [f64; 8] = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
    let (mut total, mut sums) = (0.0, [0.0; 4]);
    for k in 0..6000 {
        let log_tau = -15.0 + 0.004 * f64::from(k);
        let tau = log_tau.exp();
        // y_i given tau and mu is N(mu, v_i); mu has the prior N(0, 5²).
        let variances = SIGMA.map(|s| s * s + tau * tau);
        let precision = 1.0 / 25.0 + variances.iter().map(|v| 1.0 / v).sum::<f64>();
        let mean = Y.iter().zip(variances).map(|(y, v)| y / v).sum::<f64>() / precision;
        let fit: f64 = Y.iter().zip(variances).map(|(y, v)| -0.5 * v.ln() - 0.5 * y * y / v).sum();
        let log = fit + 0.5 * precision * mean * mean - 0.5 * precision.ln() - (1.0 + tau * tau / 25.0).ln() + log_tau;
        let weight = (log + 60.0).exp();
        // theta~1 given mu and tau is normal about tau (y_1 − mu) / v_1.
        let values = [mean, mean * mean + 1.0 / precision, log_tau, tau * (Y[0] - mean) / variances[0]];
        total += weight;
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
    }
    sums.map(|sum| sum / total)
}

#[test]
fn eight_schools_have_the_moments_of_quadrature() {
    let how = NutsSettings { keep: 2500, ..settings() };
    let found = drawn(&EightSchools, &how, 4);
    let [mu, square, log_tau, effect] = eight_schools();
    holds(&found, 10, &how, "mu", mu, |x| x[0]);
    holds(&found, 10, &how, "mu squared", square, |x| x[0] * x[0]);
    holds(&found, 10, &how, "ln tau", log_tau, |x| x[1]);
    holds(&found, 10, &how, "theta~ 1", effect, |x| x[2]);
    assert!(found.r_hat < 1.02 && found.effective > 400.0, "{found:?}");
}

#[test]
fn a_funnel_is_in_doubt() {
    let target = Funnel::new(10).expect("a target");
    let found = drawn(&target, &settings(), 5);
    assert!(!found.is_sound() && found.r_hat > 1.0, "{:?}", found.faults);
    let said = found.faults.join("; ");
    assert!(found.divergences > Some(0) || said.contains("R-hat") || said.contains("effective"), "{said}");
    assert!(said.contains("would help"), "{said}");
}

#[test]
fn draws_depend_on_the_seed_and_on_nothing_else() {
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let how = NutsSettings { chains: 3, warm_up: 100, keep: 100, spread: 1.0 };
        pool.install(|| drawn(&Banana, &how, seed).draws)
    };
    assert_eq!(on(1, 6), on(3, 6));
    assert_ne!(on(1, 6), on(1, 7));
}

/// A density that fails in its own way at every point.
struct Broken {
    fatal: bool,
}

impl Density for Broken {
    fn dim(&self) -> usize {
        2
    }

    fn evaluate(&self, _: &[f64], values: &mut [f64], _: Option<&mut [f64]>, faults: &mut Faults) -> Result<(), Fatal> {
        if self.fatal {
            return Err(Fatal("the model has gone away".into()));
        }
        (0..values.len()).for_each(|row| faults.mark(row, "a logarithm of -1"));
        Ok(())
    }
}

#[test]
fn a_target_that_fails_everywhere_says_so() {
    let found = drawn(&Broken { fatal: false }, &settings(), 8);
    assert!(found.draws.is_empty());
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    let said = &found.faults[0];
    assert!(said.contains("4 of 4 chains") && said.contains("a logarithm of -1") && said.contains("spread"), "{said}");
    assert!(found.failed > 0 && found.failed == found.evaluations);
    let error = nuts(&Broken { fatal: true }, &settings(), &Seed(8).stream("nuts")).expect_err("no draws");
    assert_eq!(error.0, "the model has gone away");
}

fn run(folder: &std::path::Path, experiment: &str) -> (i32, String) {
    std::fs::write(folder.join("x.ron"), experiment).expect("written");
    let output =
        Command::cargo_bin("flowdistill").expect("the binary").current_dir(folder).args(["run", "x.ron"]).output();
    let output = output.expect("run");
    (output.status.code().expect("a code"), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn a_stage_of_an_experiment_draws() {
    let folder = tempfile::tempdir().expect("a folder");
    let experiment = r#"(
        name: "thin",
        target: Gaussian(dim: 4, condition: 100.0),
        teacher: (layers: 2, hidden: [16]),
        stages: [
            Sample(method: Nuts(chains: 4, warm_up: 300, keep: 800), draws: 3000),
            MaximumLikelihood(steps: 50, batch: 64),
        ],
    )"#;
    let (code, errors) = run(folder.path(), experiment);
    assert_eq!(code, 0, "{errors}");
    assert!(folder.path().join("runs/thin/draws.npy").is_file());
    let text = std::fs::read_to_string(folder.path().join("runs/thin/run.json")).expect("text");
    let json: serde_json::Value = serde_json::from_str(&text).expect("json");
    let stage = &json["stages"][0];
    assert!(stage["r_hat"].as_f64().expect("a number") < 1.05, "{stage}");
    assert!(stage["divergences"].is_u64() && stage["log_z"].is_null(), "{stage}");
}

#[test]
fn a_stage_without_draws_is_one_clear_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let experiment = r#"(
        name: "nowhere",
        target: Expression(parameters: {"x": Real}, log_density: "x ~ normal(log(-1 - x * x), 1)"),
        teacher: (layers: 2, hidden: [16]),
        stages: [Sample(method: Nuts(chains: 2, warm_up: 100, keep: 100)), MaximumLikelihood(steps: 50, batch: 64)],
    )"#;
    let (code, errors) = run(folder.path(), experiment);
    assert!(code == 1 || code == 2, "{code}: {errors}");

    assert!(errors.contains("2 of 2 chains were lost"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}
