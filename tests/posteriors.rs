//! Real posteriors that are shipped as expressions, against moments that others found: NUTS of numpyro on the same models written a
//! second time (benches/peers/posteriors.py), and the reference draws of posteriordb.

use assert_cmd::Command;
use std::collections::BTreeMap;
use std::path::Path;

/// Mean and standard deviation of each parameter of an experiment.
fn reference(experiment: &str) -> BTreeMap<String, (f64, f64)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference_moments.csv");
    let text = std::fs::read_to_string(path).expect("the reference");
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>()).filter(|row| row[0] == experiment);
    let number = |cell: &str| cell.parse::<f64>().expect("a number");
    rows.map(|row| (row[1].to_string(), (number(row[2]), number(row[3])))).collect()
}

/// Runs a shipped experiment with changes, draws from its student, and compares all moments: means within 0.05 standard deviations,
/// standard deviations within 5 %.
fn agrees(experiment: &str, changes: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("experiments/{experiment}.ron"));
    let flowdistill = || {
        let mut command = Command::cargo_bin("flowdistill").expect("the binary");
        command.current_dir(folder.path());
        command
    };
    let changes = changes.iter().flat_map(|change| ["--set", change]);
    flowdistill().arg("run").arg(path).args(["--quiet", "--out", "."]).args(changes).assert().success();
    let student = format!("{experiment}/student.safetensors");
    let output = flowdistill().args(["sample", &student, "-n", "100000"]).output().expect("draws");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let mut columns: BTreeMap<String, Vec<f64>> = names.iter().map(|name| (name.to_string(), Vec::new())).collect();
    for line in lines {
        for (name, cell) in names.iter().zip(line.split(',')) {
            columns.get_mut(*name).expect("a column").push(cell.parse().expect("a number"));
        }
    }
    if experiment == "eight_schools_expression" {
        for school in 0..8 {
            let effects = columns["mu"].iter().zip(&columns["tau"]).zip(&columns[&format!("theta_tilde[{school}]")]);
            let effects = effects.map(|((mu, tau), z)| mu + tau * z).collect();
            columns.insert(format!("theta[{school}]"), effects);
        }
    }
    let reference = reference(experiment);
    assert!(reference.len() >= 5, "{} parameters of {experiment}", reference.len());
    let mut far = Vec::new();
    for (name, (mean, deviation)) in &reference {
        let draws = &columns[name];
        let n = draws.len() as f64;
        let found = draws.iter().sum::<f64>() / n;
        let spread = (draws.iter().map(|x| (x - found).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let (shift, ratio) = ((found - mean) / deviation, spread / deviation);
        println!("{experiment} {name}: {shift:+.3} standard deviations away, {ratio:.3} times as wide");
        if shift.abs() > 0.05 || (ratio - 1.0).abs() > 0.05 {
            far.push(name);
        }
    }
    assert!(far.is_empty(), "{experiment}: {far:?}");
}

#[test]
fn flippers_in_a_short_run() {
    agrees("flippers", &["evaluation.independent=None", "evaluation.draws=1000", "stages.0.training.steps=1200"]);
}

#[test]
#[ignore = "takes minutes; see CONTRIBUTING.md"]
fn whole_runs() {
    for experiment in ["eight_schools_expression", "penguins", "cancellations", "flippers"] {
        agrees(experiment, &["evaluation.independent=None"]);
    }
}
