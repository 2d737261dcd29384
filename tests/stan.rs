//! The slow tier: a real Stan model, built with `scripts/build_stan.sh` and run.
//!
//! `cargo test --release --test stan -- --ignored`; needs g++, pip and, the first time, the network. FLOWDISTILL_STAN_CACHE names
//! the folder in which Stan is kept.
#![cfg(target_os = "linux")]

use assert_cmd::Command;
use flowdistill::foreign::{Compiled, Process};
use flowdistill::seed::Seed;
use flowdistill::target::{evaluate_in_pieces, Density, EightSchools, Faults};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds `text` as a model in `folder`.
fn build(folder: &Path, name: &str, text: &str) -> PathBuf {
    let source = folder.join(format!("{name}.stan"));
    std::fs::write(&source, text).expect("written");
    let mut command = std::process::Command::new(root().join("scripts/build_stan.sh"));
    command.arg(&source).args(std::env::var_os("FLOWDISTILL_STAN_CACHE"));
    let output = command.output().expect("the script");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    source.with_extension("so")
}

fn open(library: &Path, data: &Path, threads: bool) -> Compiled {
    Compiled::open(library, Some(data), threads).unwrap_or_else(|fault| panic!("{fault}"))
}

fn evaluate(density: &dyn Density, points: &[f64]) -> (Vec<f64>, Vec<f64>, Faults) {
    let (mut values, mut gradients) = (vec![0.0; points.len() / density.dim()], vec![0.0; points.len()]);
    let mut faults = Faults::default();
    evaluate_in_pieces(density, points, &mut values, Some(&mut gradients), &mut faults).expect("not fatal");
    (values, gradients, faults)
}

#[test]
#[ignore = "builds a Stan model"]
fn the_eight_schools_of_stan_of_python_and_of_rust_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(root().join("examples/stan/eight_schools.stan")).expect("the model");
    let library = build(folder.path(), "eight_schools", &text);
    let data = root().join("examples/stan/eight_schools.json");
    let mut points = vec![0.0; 1000 * 10];
    Seed(3).stream("points").normals(0, 10, &mut points);
    points.iter_mut().for_each(|x| *x *= 1.5);
    let (right, slopes, _) = evaluate(&EightSchools, &points);
    let command = ["python3".to_string(), "eight_schools.py".to_string()];
    let process = Process::start(&command, &root().join("examples/process"), 2, 60.0);
    let (serial, parallel) = (open(&library, &data, false), open(&library, &data, true));
    let process = process.unwrap_or_else(|fault| panic!("{fault}"));
    let forms: [(&str, &dyn Density, f64); 3] = [
        // Stan's Cauchy on tau > 0 is not halved.
        ("Stan, one thread", &serial, -std::f64::consts::LN_2),
        ("Stan, threads", &parallel, -std::f64::consts::LN_2),
        ("process", &process, 0.0),
    ];
    for (name, density, constant) in forms {
        let (values, gradients, faults) = evaluate(density, &points);
        assert!(faults.rows().is_empty(), "{name}: {faults:?}");
        let worst = values.iter().zip(&right).map(|(v, r)| (v - r - constant).abs() / r.abs()).fold(0.0, f64::max);
        let steep = gradients.iter().zip(&slopes).map(|(g, r)| (g - r).abs() / (1.0 + r.abs())).fold(0.0, f64::max);
        println!("{name}: log density within {worst:.1e}, gradient within {steep:.1e}");
        assert!(worst <= 1e-9 && steep <= 1e-7, "{name}: {worst:e}, {steep:e}");
    }

    let names = serial.constrained_names();
    assert_eq!((names.len(), names[1].as_str(), names[17].as_str()), (18, "tau", "theta.8"));
    for x in points.chunks(10) {
        let mut theta = [0.0; 18];
        parallel.constrain(x, &mut theta).expect("a map");
        assert!((theta[1] / x[1].exp() - 1.0).abs() < 1e-14);
        assert!((theta[17] - x[0] - x[1].exp() * x[9]).abs() < 1e-12 * (1.0 + theta[17].abs()));
    }
    let mut far = points[..20].to_vec();
    (far[0], far[11]) = (f64::NAN, 1e300);
    let (_, _, faults) = evaluate(&serial, &far);
    assert_eq!(faults.rows(), [0, 1], "{faults:?}");
}

#[test]
#[ignore = "builds a Stan model"]
fn stan_says_itself_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = build(
        folder.path(),
        "fussy-model",
        "data { int<lower=0> n; } parameters { real x; simplex[3] s; }
         model { if (x > 5) reject(\"x is \", x); print(\"looking\"); x ~ normal(s[x > 4 ? n : 1], 1); }",
    );
    let data = folder.path().join("data.json");
    let with = |text: &str| {
        std::fs::write(&data, text).expect("written");
        Compiled::open(&library, Some(&data), false).err().unwrap_or_default()
    };
    assert!(with("{}").contains("variable name=n"), "{}", with("{}"));
    assert!(with("{\"n\": -1}").contains("must be greater than or equal to 0"), "{}", with("{\"n\": -1}"));
    assert!(with("{\"n\": ").contains("parsing"), "{}", with("{\"n\": "));
    assert_eq!(with("{\"n\": 9}"), "");
    let model = open(&library, &data, false);
    assert_eq!(model.names(), ["x", "s.1", "s.2"]);
    assert_eq!(model.constrained_names(), ["x", "s.1", "s.2", "s.3"]);
    let (values, _, faults) = evaluate(&model, &[1.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
    assert!(values[0].is_finite());
    assert_eq!(faults.rows(), [1]);
    assert!(faults.reason().expect("a reason").contains("x is 6"), "{faults:?}");
    let fatal = model.evaluate(&[4.5, 0.0, 0.0], &mut [0.0], None, &mut Faults::default()).expect_err("out of range");
    assert!(fatal.0.contains("out of range"), "{fatal}");

    // From here on no index is out of range, wherever the model is looked at.
    assert_eq!(with("{\"n\": 1}"), "");
    // What a model prints goes to standard error.
    let experiment = format!(
        "(name: \"fussy\", target: Compiled(library: {library:?}, data: \"data.json\"), \
         stages: [ReverseKl(against: Target, training: (steps: 10, batch: 8))])"
    );
    std::fs::write(folder.path().join("fussy.ron"), experiment).expect("written");
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    let output = command.current_dir(&folder).args(["check", "fussy.ron", "--allow-native"]).output().expect("a check");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !out.contains("looking") && err.contains("looking"), "{out}\n{err}");
    // Draws come out under the model's names and in its space if its library is at hand.
    let flowdistill = |arguments: &[&str]| {
        let output =
            Command::cargo_bin("flowdistill").expect("the binary").current_dir(&folder).args(arguments).output();
        let output = output.expect("run");
        let texts = (String::from_utf8(output.stdout).expect("text"), String::from_utf8(output.stderr).expect("text"));
        assert!(output.status.success(), "{}", texts.1);
        texts
    };
    // Every index is in range now: some of the draws are far out.
    assert_eq!(with("{\"n\": 2}"), "");
    flowdistill(&["run", "fussy.ron", "--allow-native", "-q"]);
    let sample = ["sample", "runs/fussy/student.safetensors", "-n", "50"];
    let (out, err) = flowdistill(&sample);
    assert!(out.starts_with("x,s.1,s.2\n") && err.contains("the draws are unconstrained"), "{out}\n{err}");
    let (out, err) = flowdistill(&[&sample[..], &["--constrain-with", "fussy.ron", "--allow-native"]].concat());
    assert!(out.starts_with("x,s.1,s.2,s.3\n") && !err.contains("unconstrained"), "{out}\n{err}");
    for line in out.lines().skip(1) {
        let row: Vec<f64> = line.split(',').map(|cell| cell.parse().expect("a number")).collect();
        assert!((row[1..].iter().sum::<f64>() - 1.0).abs() < 1e-12 && row[1..].iter().all(|s| *s > 0.0));
    }
}

#[test]
#[ignore = "fetches Stan anew and builds two models"]
fn two_models_can_be_built_at_once_though_nothing_is_there_yet() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let models = ["normal", "cauchy"];
    let start = |name: &&str| {
        let source = folder.path().join(format!("{name}.stan"));
        let text = format!("parameters {{ real x; }} model {{ x ~ {name}(0, 1); }}");
        std::fs::write(&source, text).expect("written");
        let mut command = std::process::Command::new(root().join("scripts/build_stan.sh"));
        command.arg(&source).arg(&cache).stderr(std::process::Stdio::piped()).spawn().expect("started")
    };
    let builds: Vec<_> = models.iter().map(start).collect();
    for (name, build) in models.iter().zip(builds) {
        let output = build.wait_with_output().expect("ended");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let library = folder.path().join(format!("{name}.so"));
        let model = Compiled::open(&library, None, false).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(model.dim(), 1);
    }
}
