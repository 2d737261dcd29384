//! Experiments end to end: the shipped files, the exactness ladder, and what a run leaves when it fails.

use flowdistill::conditioner::Order;
use flowdistill::error::Error;
use flowdistill::experiment::{run, Folder, Plan, Record, Spec, Watcher, RUN_JSON, STUDENT};
use flowdistill::flow::FlowConfig;
use flowdistill::train::{Observer, Progress};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

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
    run_watched(folder, text, &AtomicBool::new(false), &mut Silent)
}

fn run_watched(folder: &Path, text: &str, interrupt: &AtomicBool, watcher: &mut dyn Watcher) -> Result<Record, Error> {
    let path = folder.join("experiment.ron");
    std::fs::write(&path, text).expect("written");
    let (spec, text) = Spec::read(&path)?;
    let plan = Plan::new(spec, &path)?;
    let folder = Folder::create(&folder.join("runs"), &plan.spec.name, false)?;
    run(&plan, &text, &folder, interrupt, watcher)
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
            let folder = path.parent().expect("a folder");
            match spec.target.as_ref().and_then(|target| target.native(folder)) {
                None => drop(Plan::preview(spec, &path).unwrap_or_else(|error| panic!("{error}"))),
                Some(what) => {
                    // Refused like this; with permission it starts Python, which need not be here.
                    let error = Plan::preview(spec, &path).err().expect("a refusal").to_string();
                    assert!(error.contains(&what) && error.contains("--allow-native"), "{error}");
                }
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
fn a_student_may_learn_from_draws_alone_from_both_directions_and_by_stages() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = run_text(
        folder.path(),
        r#"(
            name: "directions",
            target: Gaussian(dim: 3, condition: 20.0),
            data: (source: Draws(rows: 20000)),
            teacher: (layers: 1, hidden: []),
            student: Flow(layers: 1, hidden: []),
            stages: [
                MaximumLikelihood(steps: 800, rate: (peak: 1e-2)),
                ForwardKl(against: Teacher, training: (steps: 800, batch: 256, rate: (peak: 1e-2))),
                ReverseKl(against: Target, forward: 0.5, anneal: (scale: 2), training: (steps: 400, batch: 256)),
                ReverseKl(against: Target, gradient: Path, training: (steps: 600, batch: 256, rate: (peak: 3e-3))),
            ],
            evaluation: (draws: 20000),
        )"#,
    );
    let record = record.expect("finished");
    let names: Vec<&str> = record.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert!(
        names[1].contains("forward KL against the teacher") && names[2].contains("forward KL on data"),
        "{names:?}"
    );
    let student = record.scores.student.expect("a student");
    assert!(student.reverse.ess > 0.999, "ESS {}", student.reverse.ess);
    assert!(student.forward.expect("exact draws").0.forward_ess > 0.998);
    let metrics = std::fs::read_to_string(folder.path().join("runs/directions/metrics.jsonl")).expect("metrics");
    assert!(metrics.contains("\"beta\":1.0"), "the temperature is on record");
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

/// Random edits of the shipped files: deleted, doubled, swapped and replaced pieces, and strange numbers.
#[test]
fn mutated_experiments_are_refused_without_panic_or_delay() {
    use rand::{Rng, SeedableRng};
    let count = std::env::var("FLOWDISTILL_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000u64);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let files = std::fs::read_dir(&folder).expect("experiments").map(|entry| entry.expect("an entry").path());
    let texts: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "ron"))
        .map(|path| std::fs::read_to_string(path).expect("text"))
        .collect();
    let tokens = [
        "NaN",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "0",
        "18446744073709551616",
        "99999999999",
        "1e-320",
        "\"",
        "[",
        ")",
        "(",
        ",",
        "Some(1)",
        "None",
        "()",
        "'x'",
        "\u{0}",
        "é",
        "//",
        "/*",
        "true",
        "r#\"",
        "[[[[[[[[",
        "Funnel(dim: 7)",
        "LikeTeacher",
    ];
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut accepted = 0;
    for _ in 0..count {
        let mut text: Vec<char> = texts[rng.gen_range(0..texts.len())].chars().collect();
        for _ in 0..rng.gen_range(1..=3) {
            if text.is_empty() {
                break;
            }
            let at = rng.gen_range(0..text.len());
            let end = (at + rng.gen_range(0..12)).min(text.len());
            match rng.gen_range(0..5) {
                0 => {
                    text.drain(at..end);
                }
                1 => {
                    let piece = text[at..end].to_vec();
                    text.splice(at..at, piece);
                }
                2 => {
                    let last = text.len() - 1;
                    text.swap(at, end.min(last));
                }
                3 => {
                    text.splice(at..end, tokens[rng.gen_range(0..tokens.len())].chars());
                }
                // A number becomes another.
                _ => {
                    let digit = (at..text.len()).find(|&i| text[i].is_ascii_digit());
                    let Some(start) = digit else { continue };
                    let end = (start..text.len()).find(|&i| !text[i].is_ascii_digit()).unwrap_or(text.len());
                    text.splice(start..end, tokens[rng.gen_range(0..9)].chars());
                }
            }
        }
        let text: String = text.into_iter().collect();
        let start = std::time::Instant::now();
        if let Ok(spec) = Spec::parse(&text) {
            accepted += u64::from(Plan::preview(spec, &folder.join("mutated.ron")).is_ok());
        }
        assert!(start.elapsed().as_secs_f64() < 1.0, "{:?} for\n{text}", start.elapsed());
    }
    assert!(accepted > 0 && accepted < count, "{accepted} of {count} were accepted");
}

/// Asks for the run to stop as soon as something of unknown length begins.
struct Impatient<'a>(&'a AtomicBool);

impl Observer for Impatient<'_> {
    fn step(&mut self, _: &Progress) {}
}

impl Watcher for Impatient<'_> {
    fn begin(&mut self, _: &str, _: u64) {}
    fn begin_open(&mut self, _: &str, evaluated: Arc<AtomicU64>) {
        assert_eq!(evaluated.load(Ordering::Relaxed), 0);
        self.0.store(true, Ordering::Relaxed);
    }
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
}

#[test]
fn an_interrupt_ends_sampling_and_scoring_and_keeps_what_there_is() {
    let student = "student: Flow(layers: 1, hidden: [8]), stages: [ReverseKl(against: Target, training: (steps: 20))]";
    let sampled = "teacher: (layers: 1, hidden: [8]), stages: [Sample(), MaximumLikelihood(steps: 20)]";
    for (what, student_is_there) in [(student, true), (sampled, false)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!("(name: \"stopped\", target: Banana(), {what})");
        let interrupt = AtomicBool::new(false);
        let outcome = run_watched(folder.path(), &text, &interrupt, &mut Impatient(&interrupt));
        assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
        let folder = folder.path().join("runs/stopped");
        let run = std::fs::read_to_string(folder.join(RUN_JSON)).expect("a record");
        assert!(run.contains("\"interrupted\""), "{run}");
        assert_eq!(folder.join(STUDENT).exists(), student_is_there);
    }
}

#[test]
fn columns_that_a_support_maps_already_are_refused_by_their_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows: String = (1..40).map(|i| format!("{},{}\n", f64::from(i) / 7.0 - 2.0, f64::from(i) / 5.0)).collect();
    std::fs::write(folder.path().join("rows.csv"), format!("mu,tau\n{rows}")).expect("written");
    let path = folder.path().join("experiment.ron");
    let plan = |of_data: &str| {
        let text = format!(
            "(name: \"x\", target: Expression(parameters: {{\"mu\": Real, \"tau\": Positive}}, \
             log_density: \"mu ~ normal(0, 1); tau ~ gamma(2, 1)\"), \
             data: (source: Csv(path: \"rows.csv\"), {of_data}), teacher: (layers: 1, hidden: []), \
             stages: [MaximumLikelihood(steps: 10, batch: 8)])"
        );
        std::fs::write(&path, text).expect("written");
        Plan::new(Spec::read(&path).expect("an experiment").0, &path).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(plan(""), Ok(()));
    for transform in ["Log(column: \"tau\")", "Logit(column: \"tau\", low: 0, high: 9)"] {
        let error = plan(&format!("transforms: [{transform}]")).expect_err("refused");
        assert!(
            error.contains("data.transforms names `tau`")
                && error.contains("support")
                && error.contains("leave it out"),
            "{error}"
        );
    }
    let error = plan("transforms: [Log(column: \"sigma\")]").expect_err("refused");
    assert!(error.contains("`sigma`") && error.contains("mu"), "{error}");
}

#[test]
fn a_variant_called_none_can_be_set() {
    let text = "(name: \"x\", target: Banana(), whitening: Laplace, stages: [ReverseKl(against: Target)])";
    let mut spec = Spec::parse(text).expect("an experiment");
    for assignment in ["evaluation.independent=None", "whitening=None", "evaluation.reference=None"] {
        spec.set(assignment).unwrap_or_else(|error| panic!("{assignment}: {error}"));
    }
    assert_eq!(spec.evaluation.independent, flowdistill::experiment::IndependentSpec::None);
    assert!(spec.evaluation.reference.is_none());
    assert!(spec.set("evaluation.draws=None").is_err());
}

#[test]
fn a_student_like_its_teacher_has_its_layers_in_the_opposite_order_whatever_they_are() {
    // The columns of the couplings exist in two dimensions, not in one.
    let text = "(name: \"x\", target: Banana(), data: (source: Draws(rows: 100)),
        teacher: (structure: Coupling(Columns([1])), layers: 3, orders: [Ascending, Ascending, Descending]),
        student: LikeTeacher, stages: [MaximumLikelihood(), ReverseKl(against: Teacher)])";
    let plan = Plan::new(Spec::parse(text).expect("an experiment"), Path::new("x.ron")).expect("a plan");
    let orders = |flow: &Option<FlowConfig>| -> Vec<Order> {
        flow.as_ref()
            .expect("a flow")
            .shapes()
            .iter()
            .filter_map(|shape| shape.masked())
            .map(|shape| shape.order)
            .collect()
    };
    let mut teacher = orders(&plan.teacher);
    teacher.reverse();
    assert_eq!(orders(&plan.student), teacher);
}

#[test]
fn an_experiment_without_a_name_has_that_of_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my-banana.ron");
    std::fs::write(&path, "(target: Banana())").expect("written");
    let (spec, _) = Spec::read(&path).expect("an experiment");
    assert_eq!(spec.name, "my-banana");
    std::fs::write(&path, "(name: \"other\", target: Banana())").expect("written");
    assert_eq!(Spec::read(&path).expect("an experiment").0.name, "other");
    // One that names no folder is refused with the name.
    let path = folder.path().join("my banana.ron");
    std::fs::write(&path, "(target: Banana())").expect("written");
    let (spec, _) = Spec::read(&path).expect("an experiment");
    let fault = Plan::new(spec, &path).map(drop).expect_err("a name with a blank").to_string();
    assert!(fault.contains("my banana"), "{fault}");
}
