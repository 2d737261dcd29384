//! `score`: p-values that keep their promise on clean rows, a density that misleads, real anomalies, and what is refused.

use assert_cmd::Command;
use flowdistill::evaluate::typicality::{log_densities, Reference};
use flowdistill::flow::{Flow, FlowConfig, Model, Orientation, Standardisation, MOST_HELD_OUT};
use flowdistill::params::Parameters;
use flowdistill::seed::{open_unit, Seed};
use std::path::{Path, PathBuf};
use tempfile::tempdir;

/// The standard normal of `dim` coordinates, exactly.
fn normal(dim: usize) -> Model {
    let config = FlowConfig { layers: 1.into(), hidden: vec![], ..FlowConfig::default() };
    let mut flow =
        Flow::new(&Default::default(), dim, &config, Orientation::Density, &Seed(1).stream("init")).expect("a flow");
    let zeros: Vec<Vec<f32>> = flow.snapshot().into_iter().map(|tensor| vec![0.0; tensor.len()]).collect();
    flow.restore(&zeros);
    let names = (1..=dim).map(|i| format!("x{i}")).collect();
    let (standardisation, columns, constraint) =
        (Standardisation::identity(dim), Default::default(), Default::default());
    Model { flow, standardisation, names, columns, constraint, held_out: Vec::new() }
}

fn normals(rows: usize, dim: usize, name: &str) -> Vec<f64> {
    let mut values = vec![0.0; rows * dim];
    Seed(7).stream(name).normals(0, dim, &mut values);
    values
}

fn flowdistill(words: &[&str]) -> std::process::Output {
    Command::cargo_bin("flowdistill").expect("the binary").args(words).output().expect("run")
}

/// What `score` prints, column by column: name and values.
fn columns(output: &std::process::Output) -> Vec<(String, Vec<f64>)> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let mut lines = text.lines().map(|line| line.split(','));
    let mut columns: Vec<(String, Vec<f64>)> =
        lines.next().expect("a header").map(|name| (name.to_string(), Vec::new())).collect();
    for line in lines {
        columns.iter_mut().zip(line).for_each(|(column, cell)| column.1.push(cell.parse().expect("a number")));
    }
    columns
}

fn of<'a>(columns: &'a [(String, Vec<f64>)], name: &str) -> &'a [f64] {
    &columns.iter().find(|column| column.0 == name).unwrap_or_else(|| panic!("no column {name}")).1
}

fn write(path: &Path, names: &[String], rows: &[f64]) -> String {
    let mut text = names.join(",") + "\n";
    for row in rows.chunks(names.len()) {
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        text += &(cells.join(",") + "\n");
    }
    std::fs::write(path, text).expect("written");
    path.display().to_string()
}

fn saved(model: &Model, folder: &Path) -> String {
    let path = folder.join("model.safetensors");
    model.save(&path).expect("saved");
    path.display().to_string()
}

/// The largest distance of the distribution of `values` from the uniform one on (0, 1).
fn distance_from_uniform(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    sorted
        .iter()
        .enumerate()
        .map(|(i, &p)| (p - i as f64 / n).abs().max((p - (i + 1) as f64 / n).abs()))
        .fold(0.0, f64::max)
}

#[test]
fn shares_are_those_of_the_definition() {
    let reference = Reference::new(vec![3.0, f64::NEG_INFINITY, 1.0, 2.0, 2.0, f64::NAN, 5.0, 4.0]);
    assert_eq!(reference.len(), 7);
    for (value, low, two_sided) in [
        (0.5, 2.0 / 8.0, 4.0 / 8.0),
        (2.0, 5.0 / 8.0, 1.0),
        (5.0, 1.0, 4.0 / 8.0),
        (9.0, 1.0, 2.0 / 8.0),
        (f64::NEG_INFINITY, 2.0 / 8.0, 4.0 / 8.0),
    ] {
        assert_eq!(reference.p_low(value), low, "{value}");
        assert_eq!(reference.p_two_sided(value), two_sided, "{value}");
    }
    assert_eq!(reference.mean(&[1.0, 3.0]), 2.0);
    assert_eq!(reference.mean(&[f64::NEG_INFINITY, 3.0]), 2.0, "as low as the lowest that is finite");
}

#[test]
fn p_values_of_clean_rows_are_uniform_whatever_the_model() {
    // The conformal share needs no right model: here one of the wrong scale judges rows that none of its draws looks like.
    let mut model = normal(3);
    model.standardisation.scale = vec![2.0, 0.7, 1.0];
    let model = model.freeze::<f64>();
    let held_out = Reference::new(log_densities(&model, normals(4_000, 3, "held out")));
    let p: Vec<f64> =
        log_densities(&model, normals(4_000, 3, "clean")).iter().map(|&value| held_out.p_low(value)).collect();
    // Both sides have 4,000 rows: the 1 % point of Kolmogorov and Smirnov for two samples.
    assert!(distance_from_uniform(&p) < 1.63 * (2.0f64 / 4_000.0).sqrt(), "{}", distance_from_uniform(&p));
    // Typicality is that under the model: for its own draws uniform, for others not.
    let right = normal(3).freeze::<f64>();
    let draws = Reference::new(log_densities(&right, normals(20_000, 3, "draws")));
    let two_sided = |scale: f64| -> Vec<f64> {
        let rows = normals(2_000, 3, "clean").iter().map(|x| x * scale).collect();
        log_densities(&right, rows).iter().map(|&value| draws.p_two_sided(value)).collect()
    };
    assert!(distance_from_uniform(&two_sided(1.0)) < 1.63 * (1.0f64 / 2_000.0 + 1.0 / 20_000.0).sqrt());
    assert!(distance_from_uniform(&two_sided(1.3)) > 0.1);
    assert!(distance_from_uniform(&two_sided(0.5)) > 0.1, "too near the middle is atypical, too");
}

#[test]
fn the_mode_of_a_wide_normal_is_dense_and_typical_of_nothing() {
    let folder = tempdir().expect("a temporary folder");
    let (mut model, dim) = (normal(50), 50);
    let mut held_out = log_densities(&model.freeze(), normals(1_000, dim, "held out"));
    held_out.sort_by(f64::total_cmp);
    model.held_out = held_out;
    let path = saved(&model, folder.path());
    let mut rows = vec![0.0; dim];
    rows.extend(normals(1, dim, "a draw"));
    rows.extend(normals(1, dim, "a draw").iter().map(|x| 2.0 * x));
    let rows = write(&folder.path().join("rows.csv"), &model.names, &rows);
    let found = columns(&flowdistill(&["score", &path, &rows]));
    let (log_density, p_density, p_typical) =
        (of(&found, "log_density"), of(&found, "p_density"), of(&found, "p_typical"));
    let exact = -0.5 * dim as f64 * std::f64::consts::TAU.ln();
    assert!((log_density[0] - exact).abs() < 1e-9, "{}", log_density[0]);
    assert!(p_density[0] == 1.0 && p_typical[0] < 1e-3, "no row is denser, and none is like it");
    assert!(p_density[1] > 0.01 && p_typical[1] > 0.01);
    assert!(p_density[2] < 0.01 && p_typical[2] < 0.01);
    let all = String::from_utf8(flowdistill(&["score", &path, &rows, "--threshold", "0.01"]).stdout).expect("text");
    let kept: Vec<&str> = all.lines().skip(1).map(|line| line.split(',').next().unwrap_or("")).collect();
    assert_eq!(kept, ["1", "3"]);
}

#[test]
fn batches_show_what_single_rows_do_not() {
    let folder = tempdir().expect("a temporary folder");
    let model = normal(4);
    let path = saved(&model, folder.path());
    // Two hundred clean rows and two hundred that are a little too narrow.
    let mut rows = normals(200, 4, "clean");
    rows.extend(normals(200, 4, "narrow").iter().map(|x| 0.8 * x));
    let rows = write(&folder.path().join("rows.csv"), &model.names, &rows);
    let output = flowdistill(&["score", &path, &rows, "--batch", "150"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--held-out gives some"));
    let found = columns(&output);
    assert_eq!(
        found.iter().map(|column| &*column.0).collect::<Vec<_>>(),
        ["row", "log_density", "p_typical", "batch", "p_batch"]
    );
    let (batch, p) = (of(&found, "batch"), of(&found, "p_batch"));
    assert_eq!([batch[0], batch[149], batch[150], batch[300], batch[399]], [1.0, 1.0, 2.0, 3.0, 3.0]);
    assert!(p[0] > 0.01, "{}", p[0]);
    assert!(p[399] < 0.01, "{}", p[399]);
    assert!(p[..150].iter().all(|value| *value == p[0]));
    let smallest = of(&found, "p_typical")[200..].iter().filter(|p| **p < 0.01).count();
    assert!(smallest < 8, "{smallest} rows of 200");
}

/// The 569 tumours: header, benign rows, malignant rows.
fn tumours() -> (String, Vec<String>, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/data/breast_cancer.csv");
    let text = std::fs::read_to_string(path).expect("the table");
    let mut lines = text.lines().map(String::from);
    let header = lines.next().expect("a header");
    let (benign, malignant) = lines.partition(|line| line.ends_with(",1"));
    (header, benign, malignant)
}

#[test]
fn malignant_tumours_are_anomalies_to_a_model_of_benign_ones() {
    let (header, benign, malignant) = tumours();
    let folder = tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    // The shipped experiment on three quarters of the benign rows; the others are new to it.
    let (mut fitted, mut new): (Vec<&String>, Vec<&String>) = (Vec::new(), Vec::new());
    benign.iter().enumerate().for_each(|(i, line)| if i % 4 == 3 { new.push(line) } else { fitted.push(line) });
    let table = |name: &str, lines: &[&String]| {
        let text: String =
            std::iter::once(&header).chain(lines.iter().copied()).map(|line| format!("{line}\n")).collect();
        std::fs::write(place(name), text).expect("written");
        place(name)
    };
    table("fitted.csv", &fitted);
    let (clean, ill) = (table("clean.csv", &new), table("ill.csv", &malignant.iter().collect::<Vec<_>>()));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/tumours.ron");
    let experiment =
        std::fs::read_to_string(shipped).expect("the experiment").replace("data/breast_cancer.csv", "fitted.csv");
    std::fs::write(place("tumours.ron"), experiment).expect("written");
    let run = flowdistill(&["run", &place("tumours.ron"), "--out", &place("runs"), "--require", "verdict>=trusted"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let teacher = place("runs/tumours/teacher.safetensors");
    let held_out = Model::load(Path::new(&teacher)).expect("a model").held_out;
    assert!(held_out.len() > 60 && held_out.len() <= MOST_HELD_OUT && held_out.is_sorted());

    let (clean, ill) =
        (columns(&flowdistill(&["score", &teacher, &clean])), columns(&flowdistill(&["score", &teacher, &ill])));
    let (of_clean, of_ill) = (of(&clean, "log_density"), of(&ill, "log_density"));
    let above = |a: &f64, b: &f64| f64::from(u8::from(a < b));
    let pairs: f64 = of_ill.iter().map(|a| of_clean.iter().map(|b| above(a, b)).sum::<f64>()).sum();
    let auroc = pairs / (of_clean.len() * of_ill.len()) as f64;
    assert!(auroc > 0.95, "{auroc}");
    // Two samples of n and m rows: the 1 % point of Kolmogorov and Smirnov.
    let p = of(&clean, "p_density");
    let bound = 1.63 * (1.0 / p.len() as f64 + 1.0 / held_out.len() as f64).sqrt();
    assert!(distance_from_uniform(p) < bound, "{} of {bound}", distance_from_uniform(p));
}

#[test]
fn the_most_unusual_rows_come_first_and_json_has_the_same_figures() {
    let folder = tempdir().expect("a temporary folder");
    let model = normal(2);
    let path = saved(&model, folder.path());
    let mut values = normals(500, 2, "rows");
    values[2 * 41..2 * 42].copy_from_slice(&[9.0, -9.0]);
    values[2 * 17..2 * 18].copy_from_slice(&[30.0, 0.0]);
    let rows = write(&folder.path().join("rows.csv"), &model.names, &values);
    let held_out = write(&folder.path().join("others.csv"), &model.names, &normals(300, 2, "held out"));
    let words = ["score", &path, &rows, "--top", "3", "--held-out", &held_out];
    let found = columns(&flowdistill(&words));
    assert_eq!(of(&found, "row")[..2], [18.0, 42.0]);
    assert_eq!(of(&found, "p_density")[0], 1.0 / 301.0);
    // What is said of the threshold is of all rows, however few are shown.
    let output = flowdistill(&[&words[..4], &["1", "--threshold", "0.5", "--held-out", &held_out]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let unusual: usize = said.split(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert!((300..450).contains(&unusual) && columns(&output)[0].1.len() == 1, "{said}");
    let output = folder.path().join("scores.npy");
    let written = output.display().to_string();
    let json = flowdistill(&[&words[..], &["--json", "-o", &written]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("json");
    assert_eq!([&json["rows"], &json["held_out"], &json["draws"]], [500, 300, 10_000]);
    for (place, score) in json["scores"].as_array().expect("scores").iter().enumerate() {
        for (name, values) in &found {
            assert_eq!(score[name].as_f64(), Some(values[place]), "{name}");
        }
    }
    assert_eq!(std::fs::metadata(output).expect("written").len(), 128 + 3 * 4 * 8);
}

#[test]
fn wrong_words_and_rows_get_one_line() {
    let folder = tempdir().expect("a temporary folder");
    let model = normal(2);
    let path = saved(&model, folder.path());
    let place = |name: &str, text: &str| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let good = place("good.csv", "x1,x2\n1,2\n");
    let (lacking, not_finite) = (place("lacking.csv", "x1,y\n1,2\n"), place("infinite.csv", "x1,x2\n1,2\n3,inf\n"));
    let missing = folder.path().join("none.csv").display().to_string();
    for (words, part) in [
        (vec![&*good, "--threshold", "0"], "a number above 0, up to 1, is right"),
        (vec![&good, "--threshold", "1.5"], "a number above 0, up to 1, is right"),
        (vec![&good, "--top", "0"], "--top"),
        (vec![&good, "--top", "few"], "--top"),
        (vec![&good, "--batch", "1"], "--batch"),
        (vec![&good, "--batch", "200000"], "--batch"),
        (vec![&good, "--draws", "5"], "--draws"),
        (vec![&good, "--draws", "many"], "--draws"),
        (vec![&good, "--held-out", &lacking], "x2"),
        (vec![&good, "--held-out", &missing], "none.csv"),
        (vec![&good, "-o", "scores.txt"], "a name ending in .csv"),
        (vec![&good, "--decimal-comma"], "good.csv"),
        (vec![&lacking], "x2"),
        (vec![&not_finite], "inf"),
        (vec![&missing], "none.csv"),
    ] {
        let output = flowdistill(&[&["score", &*path][..], &words].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {errors}");
        assert!(errors.contains(part), "{words:?}: {errors}");
    }
    let mut unordered = model;
    unordered.held_out = vec![2.0, 1.0];
    let path = saved(&unordered, folder.path());
    let output = flowdistill(&["score", &path, &good]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("held_out"));
}

#[test]
fn the_mean_of_batches_spreads_as_it_should() {
    let stream = Seed(3).stream("values");
    let values = (0..5_000).map(|row| open_unit(&mut stream.row(row))).collect();
    let means = Reference::new(values).of_batches(12, 4_000, &Seed(3).stream("batches"));
    // Uniform numbers have the variance 1/12, means of 12 of them 1/144.
    let far = [0.5 - 1.0 / 12.0, 0.5 + 1.0 / 12.0].map(|value| means.p_low(value));
    assert!((far[0] - 0.159).abs() < 0.02 && (far[1] - 0.841).abs() < 0.02, "{far:?}");
}
