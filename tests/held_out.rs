//! The certificate against held-out rows: true models stand, wrong ones are named; runs and `evaluate --data` say so first.

#[path = "common/known.rs"]
mod known;

use flowdistill::evaluate::certificate::Verdict;
use flowdistill::evaluate::held_out::{DataCertificate, Sides};
use flowdistill::seed::{open_unit, Seed};
use known::{false_alarm, judge, wrong, Known, KINDS};
use std::path::Path;
use std::process::Command;

fn flowdistill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowdistill"));
    command.current_dir(folder);
    command
}

/// A part of `examples/data_certificate.rs`, in which 1 of 200 was not trusted.
#[test]
fn true_densities_are_trusted() {
    let alarms: Vec<String> = (1001..1021).filter_map(false_alarm).collect();
    assert!(alarms.len() <= 1, "{alarms:?}");
}

/// A part of the same, in which 0 of 200 were trusted.
#[test]
fn wrong_densities_are_not() {
    for case in 1001..1021 {
        let (truth, model, kind, distance) = wrong(case);
        let found = judge(&truth, &model, 2_000, &Seed(case).stream("judge"));
        assert_eq!(found.verdict, Verdict::NotTrusted, "case {case}: {}, {distance:.3}", KINDS[kind]);
        // Sizes are lower bounds, up to their errors.
        let (size, error) = found.total_variation();
        assert!(size < distance + 4.0 * error + 0.02, "case {case}: {size} ± {error}, {distance}");
    }
}

/// Two columns of 2,000 rows and as many draws of other pairs, and what is found.
fn compare(row: impl Fn([f64; 2]) -> [f64; 2], draw: impl Fn([f64; 2]) -> [f64; 2]) -> DataCertificate {
    let make = |name: &str, map: &dyn Fn([f64; 2]) -> [f64; 2]| -> Vec<f64> {
        let stream = Seed(3).stream(name);
        (0..2_000)
            .flat_map(|k| {
                let mut rng = stream.row(k);
                map([open_unit(&mut rng), open_unit(&mut rng)])
            })
            .collect()
    };
    let names = ["age".to_string(), "income".to_string()];
    let (rows, draws) = (make("rows", &row), make("draws", &draw));
    let sides = Sides { names: &names, rows: &rows, draws: &draws, log_densities: None };
    DataCertificate::of(&sides, &Seed(3).stream("compare"))
}

#[test]
fn the_reason_names_column_pair_and_remedy() {
    let same = compare(|u| u, |u| u);
    assert_eq!(same.verdict, Verdict::Trusted, "{:?}", same.reasons);
    assert!(same.reasons[0].starts_with("2000 held-out rows are like its draws"), "{:?}", same.reasons);

    // A third of the first column moved from its upper end to its lower.
    let column = compare(|u| u, |[a, b]| [if a > 0.8 { a - 0.8 } else { a }, b]);
    assert!(column.reasons.iter().any(|reason| reason.starts_with("`age`")), "{:?}", column.reasons);
    assert!((column.total_variation().0 - 0.2).abs() < 0.05, "{:?}", column.total_variation());

    // Columns alone are right: b follows a in the rows only.
    let pair = compare(|[a, b]| [a, (a + 0.3 * b).fract()], |u| u);
    let named = pair.reasons.iter().find(|reason| reason.starts_with("`age` and `income` together: where `age` is"));
    assert!(named.is_some(), "{:?}", pair.reasons);

    let spike = compare(|[a, b]| [if a < 0.3 { 0.0 } else { a }, b], |[a, b]| [if a < 0.3 { 0.3 * b } else { a }, b]);
    assert!(spike.reasons.iter().any(|reason| reason.contains("`age` is exactly 0 in ")), "{:?}", spike.reasons);
    assert!(spike.help[0].contains("fit the rows where `age` is not 0"), "{:?}", spike.help);

    let function = compare(|[a, b]| [a, a * a + 1e-4 * b], |[a, b]| [a, a * a + 0.2 * b]);
    let named = function.reasons.iter().any(|reason| reason.starts_with("`income` is nearly a function of `age`"));
    assert!(named, "{:?}", function.reasons);
    assert!(function.help[0].contains("leave `income` out"), "{:?}", function.help);
}

#[test]
fn few_rows_say_what_could_hide() {
    let known = Known::any(2, 1, 0.0, 0.0, &mut Seed(1).stream("few").row(0));
    for rows in [1, 2, 5, 12] {
        let found = judge(&known, &known, rows, &Seed(1).stream("few rows"));
        assert_eq!(found.verdict, Verdict::NotTrusted);
        assert!(found.reasons.last().is_some_and(|reason| reason.contains("held-out rows cannot tell")));
    }
    let found = judge(&known, &known, 100, &Seed(1).stream("few rows"));
    assert_eq!(found.verdict, Verdict::Trusted, "{:?}", found.reasons);
    assert!((0.2..0.3).contains(&found.visible()), "{}", found.visible());
}

#[test]
fn results_do_not_depend_on_threads() {
    let known = Known::any(3, 2, 0.2, 0.5, &mut Seed(2).stream("threads").row(0));
    let found = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| judge(&known, &known, 500, &Seed(2).stream("threads")).to_json())
    };
    assert_eq!(found(1), found(3));
}

/// Rows of two bumps at ±3 in one column.
fn two_bumps(folder: &Path) {
    let known = |row: u64| {
        let mut rng = Seed(5).stream("bumps").row(row);
        let side = if open_unit(&mut rng) < 0.5 { -3.0 } else { 3.0 };
        side + 0.4 * flowdistill::seed::normal_pair(&mut rng)[0]
    };
    let rows: String = (0..3000).map(|row| format!("{}\n", known(row))).collect();
    std::fs::write(folder.join("bumps.csv"), format!("height\n{rows}")).expect("a table");
}

#[test]
fn a_run_begins_with_the_verdict_and_evaluate_agrees() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    two_bumps(folder);
    let text = "(name: \"normal\", data: (source: Csv(path: \"bumps.csv\")), teacher: (layers: 1), \
                stages: [MaximumLikelihood(steps: 200)], evaluation: (draws: 1000))";
    std::fs::write(folder.join("normal.ron"), text).expect("an experiment");
    let output =
        flowdistill(folder).args(["run", "normal.ron", "--require", "verdict>=trusted"]).output().expect("run");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let report = String::from_utf8(output.stdout).expect("text");
    assert!(report.starts_with("# normal\n\n## Verdict: not trusted\n\n- teacher against the data: "), "{report}");
    let run: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("runs/normal/run.json")).expect("run.json")).expect("JSON");
    assert_eq!(run["verdict"], "not_trusted");
    assert!(run["data_certificate"]["teacher"]["figures"]["data_auc"].as_f64().expect("a figure") > 0.6, "{run}");

    std::fs::write(folder.join("alone.ron"), "(name: \"alone\", data: (source: Csv(path: \"bumps.csv\")))")
        .expect("alone");
    let output = flowdistill(folder)
        .args(["run", "alone.ron", "--require", "verdict>=trusted", "--require", "data_auc<0.55"])
        .output()
        .expect("run");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && report.contains("| good enough |"), "{report}");

    let evaluate = |more: &[&str]| {
        let model = "runs/normal/teacher.safetensors";
        flowdistill(folder).args(["evaluate", model]).args(more).output().expect("evaluate")
    };
    let output = evaluate(&["--data", "bumps.csv", "--require", "data_total_variation<0.1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("`height`: the rows have"));
    std::fs::write(folder.join("other.csv"), "weight\n1\n2\n").expect("a table");
    for (wrong, words) in [
        (&["--data", "none.csv"][..], "none.csv"),
        (&["--data", "other.csv"], "height"),
        (&[], "--target"),
        (&["--data", "bumps.csv", "--target", "normal.ron"], "cannot be used with"),
        (&["--data", "bumps.csv", "--require", "data_aux<1"], "there is no figure `data_aux`"),
        (&["--data", "bumps.csv", "--require", "data_auc"], "has no >=, <=, > or <"),
        (&["--decimal-comma", "--target", "normal.ron"], "cannot be used with"),
    ] {
        let output = evaluate(wrong);
        let words_found = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {words_found}");
        assert!(words_found.contains(words), "{wrong:?}: {words_found}");
    }
}

#[test]
fn until_and_circular_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    two_bumps(folder);
    let experiment = |data: &str, stages: &str| {
        format!("(name: \"x\", data: (source: Csv(path: \"bumps.csv\"){data}), stages: [{stages}])")
    };
    let fit = "MaximumLikelihood(steps: 10)";
    for (data, stages, words) in [
        ("", "MaximumLikelihood(steps: 10, until: (ess: 0.9))", "`patience` is right"),
        ("", "MaximumLikelihood(), ForwardKl(against: Teacher, training: (until: (ess: 1.0)))", "until.ess is 1"),
        ("", "MaximumLikelihood(), ForwardKl(against: Teacher, training: (until: (ess: 0.0)))", "until.ess is 0"),
        (", transforms: [Circular(column: \"height\", period: 0.0)]", fit, "is 0 long"),
        (", transforms: [Circular(column: \"width\", period: 360.0)]", fit, "names column `width`"),
        (", transforms: [Circular(column: \"height\")]", fit, "period"),
    ] {
        std::fs::write(folder.join("x.ron"), experiment(data, stages)).expect("an experiment");
        let output = flowdistill(folder).args(["check", "x.ron"]).output().expect("check");
        let found = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{found}");
        assert!(found.contains(words), "{words}: {found}");
    }
}
