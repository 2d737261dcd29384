//! Experiments end to end: the shipped files, the exactness ladder, and what a run leaves when it fails.

use flowdistill::error::Error;
use flowdistill::experiment::{run, Folder, Plan, Record, Spec, Watcher, RUN_JSON, STUDENT};
use flowdistill::train::{Observer, Progress};
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
    let folder = Folder::create(&folder.join("runs"), &plan.spec.name, false)?;
    run(&plan, &text, &folder, &AtomicBool::new(false), &mut Silent)
}

#[test]
fn shipped_experiments_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("experiments") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "ron") {
            let (spec, _) = Spec::read(&path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                Some(spec.name.as_str()),
                path.file_stem().and_then(|stem| stem.to_str()),
                "named like its file"
            );
            // The large ladder's half million draws take longer than the rest together.
            if spec.name != "ladder_funnel" {
                Plan::new(spec, &path).unwrap_or_else(|error| panic!("{error}"));
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} experiments");
}

#[test]
fn a_one_layer_teacher_is_distilled_nearly_exactly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = run_text(
        folder.path(),
        r#"(
            name: "ladder",
            target: Banana(),
            data: (source: Draws(rows: 20000)),
            teacher: (layers: 1, hidden: [32], skip: false),
            student: Flow(layers: 1, hidden: [32, 32], orders: [Ascending]),
            stages: [
                MaximumLikelihood(steps: 1500),
                ReverseKl(against: Teacher, training: (steps: 4000, average: 0.995, rate: (peak: 2e-3))),
            ],
            evaluation: (draws: 20000),
        )"#,
    );
    let scores = record.expect("finished").scores;
    let student = scores.student.expect("a student");
    assert!(student.reverse.ess > 0.98, "ESS {}", student.reverse.ess);
    assert!(student.reverse.log_z.abs() < 0.005, "log Z {}", student.reverse.log_z);
    let forward = student.forward.expect("teacher draws").0;
    assert!(forward.eubo > 0.0 - 1e-3 && student.reverse.elbo < 1e-3, "ELBO ≤ 0 ≤ EUBO");
    // The teacher's log density cannot beat the entropy of the banana, ln 20π + 1, by more than chance.
    let teacher = scores.teacher.expect("a teacher");
    let entropy = (20.0 * std::f64::consts::PI).ln() + 1.0;
    assert!((teacher.test.mean + entropy).abs() < 0.05 + 4.0 * teacher.test.standard_error, "{:?}", teacher.test);
}

#[test]
fn a_linear_student_finds_a_correlated_gaussian_and_its_normaliser() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = run_text(
        folder.path(),
        r#"(
            name: "gaussian",
            target: Gaussian(dim: 5, condition: 100.0),
            student: Flow(layers: 1, hidden: []),
            stages: [ReverseKl(against: Target, training: (steps: 3000, batch: 256, rate: (peak: 1e-2)))],
            evaluation: (draws: 20000),
        )"#,
    );
    let student = record.expect("finished").scores.student.expect("a student");
    assert!(student.reverse.ess > 0.99, "ESS {}", student.reverse.ess);
    assert!(student.reverse.log_z.abs() < 5.0 * student.reverse.log_z_se.max(1e-4));
    assert!(student.forward.expect("exact draws").0.forward_ess > 0.98);
}

#[test]
fn a_run_that_diverges_says_so_and_keeps_the_last_good_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A rate so large that the funnel's gradients overflow single precision.
    let outcome = run_text(
        folder.path(),
        r#"(
            name: "wild",
            target: Funnel(dim: 10),
            student: Flow(layers: 8, hidden: [32, 32], transformer: Affine(max_scale: 1e12)),
            stages: [ReverseKl(
                against: Target,
                training: (steps: 3000, batch: 64, clip: 0, average: 0, rate: (peak: 10, decay: Constant)),
            )],
        )"#,
    );
    let Err(error) = outcome else { panic!("it cannot go well") };
    assert_eq!(error.exit_code(), 1, "{error}");
    if matches!(error, Error::Diverged(_)) {
        let files = folder.path().join("runs/wild");
        assert!(std::fs::read_to_string(files.join(RUN_JSON)).expect("a record").contains("\"diverged\""));
        flowdistill::flow::Model::load(&files.join(STUDENT)).expect("finite weights");
    }
}
