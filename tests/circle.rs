//! Flows on a circle and in an interval, from experiments to draws: against quadrature, and what is refused.

use flowdistill::error::Error;
use flowdistill::experiment::{run, Folder, Plan, Record, Spec, Watcher, STUDENT, TEACHER};
use flowdistill::flow::{Method, Model};
use flowdistill::seed::Seed;
use flowdistill::train::{Observer, Progress};
use std::f64::consts::{PI, TAU};
use std::path::Path;
use std::sync::atomic::AtomicBool;

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}
}

impl Watcher for Silent {
    fn begin(&mut self, _: &str, _: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
}

fn run_text(folder: &Path, text: &str) -> Result<Record, Error> {
    let path = folder.join("experiment.ron");
    std::fs::write(&path, text).expect("written");
    let (spec, text) = Spec::read(&path)?;
    let plan = Plan::new(spec, &path)?;
    let runs = Folder::create(&folder.join("runs"), &plan.spec.name, false)?;
    run(&plan, &text, &runs, &AtomicBool::new(false), &mut Silent)
}

/// The log density of the experiment `torus`: a mode where both turns begin.
fn log_density(phi: f64, psi: f64) -> f64 {
    4.0 * (phi - 3.0).cos() + 3.0 * (psi + 3.1).cos() + 2.5 * (phi - 3.0).sin() * (psi + 3.1).sin()
}

#[test]
fn a_mode_at_the_seam_is_no_seam_to_a_circular_student() {
    let folder = tempfile::tempdir().expect("a folder");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/torus.ron")).expect("the file");
    let text = text.replace("steps: 2000", "steps: 800");
    let record = run_text(folder.path(), &text).expect("a run");
    let student = record.scores.student.expect("scores");
    let steps = 400;
    let at = |k: usize| -PI + TAU * (k as f64 + 0.5) / f64::from(steps as u32);
    let cells = (0..steps).flat_map(|i| (0..steps).map(move |j| log_density(at(i), at(j)).exp()));
    let log_z = (cells.sum::<f64>() * (TAU / f64::from(steps as u32)).powi(2)).ln();
    assert!((student.reverse.log_z - log_z).abs() < 0.01, "{} for {log_z}", student.reverse.log_z);
    assert!(student.reverse.ess > 0.95, "{}", student.reverse.ess);

    // Draws are angles, and the density is that of an angle, whatever turn it is in.
    let model = Model::load(&folder.path().join("runs/torus").join(STUDENT)).expect("a model").freeze::<f32>();
    let (mut points, mut log_prob) = (vec![0.0; 2000], vec![0.0; 1000]);
    model.draw(Method::Cached, &Seed(5).stream("draws"), 0, &mut points, &mut log_prob);
    assert!(points.iter().all(|x| x.abs() <= PI + 1e-6));
    let turned: Vec<f64> = points.iter().enumerate().map(|(i, x)| x + [TAU, -TAU][i % 2]).collect();
    let mut again = vec![0.0; 1000];
    model.log_prob(&turned, &mut again);
    for (there, here) in again.iter().zip(&log_prob) {
        assert!((there - here).abs() < 1e-3 * (1.0 + here.abs()), "{there} for {here}");
    }
}

/// Rows of one column, the images of standard normals; returns the share of those above 0.
fn column(folder: &Path, image: impl Fn(f64) -> f64) -> f64 {
    let mut normals = vec![0.0; 4000];
    Seed(7).stream("rows").normals(0, 1, &mut normals);
    let rows: String = normals.iter().map(|&z| format!("{}\n", image(z))).collect();
    std::fs::write(folder.join("rows.csv"), format!("x\n{rows}")).expect("written");
    normals.iter().filter(|&&z| image(z) > 0.0).count() as f64 / normals.len() as f64
}

/// ∫ p over ±`half` of the teacher that an experiment has left, and the probability of what is above `from`.
fn mass(folder: &Path, half: f64, from: f64) -> (f64, f64) {
    let model = Model::load(&folder.join("runs/x").join(TEACHER)).expect("a model").freeze::<f64>();
    let steps = 4000;
    let points: Vec<f64> = (0..steps).map(|k| half * (2.0 * (f64::from(k) + 0.5) / f64::from(steps) - 1.0)).collect();
    let mut log_prob = vec![0.0; points.len()];
    model.log_prob(&points, &mut log_prob);
    let each = |above: f64| {
        let cells = points.iter().zip(&log_prob).filter(|(x, _)| **x > above);
        cells.map(|(_, l)| l.exp()).sum::<f64>() * 2.0 * half / f64::from(steps)
    };
    (each(-half), each(from))
}

#[test]
fn teachers_on_a_circle_and_in_an_interval_have_the_mass_of_their_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let fit = |transformer: &str, base: &str| {
        format!(
            "(version: 1, name: \"x\", data: (source: Csv(path: \"rows.csv\"), standardise: false),
              teacher: (layers: 1, hidden: [], transformer: {transformer}, base: {base}),
              stages: [MaximumLikelihood(steps: 1000, batch: 256, rate: (peak: 0.01))])"
        )
    };
    // Angles around ±π, of which half are on either side.
    let right = column(folder.path(), |z| (2.0 * PI + 0.4 * z).rem_euclid(TAU) - PI);
    run_text(folder.path(), &fit("Circular()", "VonMises()")).expect("a run");
    let (whole, above) = mass(folder.path(), PI, 0.0);
    assert!((whole - 1.0).abs() < 1e-3 && (above - right).abs() < 0.03, "{whole}, {above} for {right}");
    std::fs::remove_dir_all(folder.path().join("runs")).expect("removed");
    // A density that rises to one end.
    let right = column(folder.path(), |z| 2.0 / (1.0 + (-1.7 * z).exp()).sqrt() - 1.0);
    run_text(folder.path(), &fit("Interval()", "Interval()")).expect("a run");
    let (whole, above) = mass(folder.path(), 1.0, 0.0);
    assert!((whole - 1.0).abs() < 1e-3 && (above - right).abs() < 0.02, "{whole}, {above} for {right}");
}

#[test]
fn what_does_not_go_with_a_circle_is_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    column(folder.path(), |z| z);
    let text = |student: &str, rest: &str| {
        format!(
            "(version: 1, name: \"x\", target: Expression(parameters: {{\"x\": Real}}, log_density: \"cos(x)\"),
              student: Flow(hidden: [], {student}), {rest})"
        )
    };
    let stages = "stages: [ReverseKl(against: Target, training: (steps: 1))]";
    for (student, rest, words) in [
        ("transformer: Circular()", stages, "base: its draws are on the line, and a layer maps a circle"),
        ("base: Circle", stages, "base: its draws are on a circle, and a layer maps the line"),
        ("layers: [Masked(transformer: Circular()), Linear(Lu)], base: Circle", stages, "a layer maps the line"),
        ("transformer: Interval(limit: 2.0), base: Interval()", stages, "the interval from -2 to 2"),
        ("transformer: Circular(), base: Circle, tail_limit: 5.0", stages, "tail_limit is given"),
        ("transformer: Circular(bins: 1), base: Circle", stages, "bins is 1"),
        ("transformer: Circular(), base: VonMises(concentration: -1.0)", stages, "concentration is -1"),
        ("transformer: Circular(), base: Circle", "stages: Auto()", "stages are left out"),
        (
            "transformer: Circular(), base: Circle",
            "whitening: Laplace, stages: [ReverseKl(against: Target, training: (steps: 1))]",
            "whitening is Laplace",
        ),
    ] {
        let error = run_text(folder.path(), &text(student, rest)).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let data = |standardise: bool| {
        format!(
            "(version: 1, name: \"x\", data: (source: Csv(path: \"rows.csv\"), standardise: {standardise}),
              teacher: (hidden: [], transformer: Interval(), base: Interval()), stages: [MaximumLikelihood(steps: 1)])"
        )
    };
    for (standardise, words) in [(true, "data.standardise is true"), (false, "the flows are on the interval")] {
        let error = run_text(folder.path(), &data(standardise)).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}
