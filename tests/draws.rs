//! Draws on their way out: every format, parts that make the whole, weights against a run's target; and words for what is wrong on the way in.

#[path = "common/tiny.rs"]
mod tiny;

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use tiny::TINY;

fn flowdistill(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    command.current_dir(folder);
    for variable in ["SLURM_ARRAY_TASK_ID", "SGE_TASK_ID", "LSB_JOBINDEX"] {
        command.env_remove(variable);
    }
    command
}

/// A posterior with a vector in it, and data with a teacher: each runs in a second.
const POSTERIOR: &str = r#"(
    name: "posterior",
    target: Expression(
        parameters: { "beta": Vector(2), "sigma": Positive },
        log_density: "beta ~ normal(0, 1)\nsigma ~ gamma(3, 2)",
    ),
    student: Flow(layers: 2, hidden: [16]),
    stages: [ReverseKl(against: Target, training: (steps: 60, batch: 64))],
    evaluation: (draws: 2000, independent: None),
)"#;
fn taught() -> String {
    TINY.replace("tiny", "taught")
}

/// A folder in which both were run.
fn runs() -> &'static Path {
    static RUNS: OnceLock<TempDir> = OnceLock::new();
    let folder = RUNS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in [("posterior", POSTERIOR.to_string()), ("taught", taught())] {
            let path = folder.path().join(format!("{name}.ron"));
            std::fs::write(&path, text).expect("written");
            flowdistill(folder.path()).args(["run", "-q"]).arg(&path).assert().success();
        }
        folder
    });
    folder.path()
}

fn run_in(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = flowdistill(folder).args(args).output().expect("run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Standard output of a command that succeeds.
fn out_of(args: &[&str]) -> String {
    let (code, out, error) = run_in(runs(), args);
    assert_eq!(code, Some(0), "{args:?}: {error}");
    out
}

/// Numbers of a CSV with a header.
fn csv(text: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.next().expect("a header").split(',').map(str::to_string).collect();
    (names, lines.map(|line| line.split(',').map(|cell| cell.parse().expect("a number")).collect()).collect())
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().expect("eight bytes"))).collect()
}

#[test]
fn every_format_has_the_same_draws() {
    let to =
        |file: &str| out_of(&["sample", "runs/posterior", "-n", "3e2", "--weights", "--log-prob", "-q", "-o", file]);
    let text = out_of(&["sample", "runs/posterior", "-n", "300", "--weights", "--log-prob"]);
    let (names, rows) = csv(&text);
    assert_eq!(names, ["beta[0]", "beta[1]", "sigma", "log_prob", "log_weight"]);
    assert_eq!(rows.len(), 300);
    to("f.csv");
    assert_eq!(read(runs().join("f.csv")), text.as_bytes());

    let lines = out_of(&["sample", "runs/posterior", "-n", "300", "--weights", "--log-prob", "--json"]);
    to("f.jsonl");
    assert_eq!(read(runs().join("f.jsonl")), lines.as_bytes());
    for (line, row) in lines.lines().zip(&rows) {
        let object: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        names.iter().zip(row).for_each(|(name, value)| assert_eq!(object[name].as_f64(), Some(*value), "{line}"));
    }

    to("f.npy");
    let all: Vec<f64> = rows.iter().flatten().copied().collect();
    assert_eq!(floats(&read(runs().join("f.npy"))[128..]), all);

    to("f.npz");
    let table = flowdistill::data::read_npz(&runs().join("f.npz"), Some("draws")).expect("an array");
    let draws: Vec<f64> = rows.iter().flat_map(|row| row[..3].to_vec()).collect();
    assert_eq!(table.values, draws);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(runs().join("f.npz")).expect("a file")).expect("whole");
    let mut member = |name: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(name).expect("a member"), &mut bytes).expect("read");
        bytes
    };
    let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
    assert_eq!(floats(&member("log_prob.npy")[128..]), column(3));
    assert_eq!(floats(&member("log_weight.npy")[128..]), column(4));
    let letters = member("names.npy");
    assert!(letters.starts_with(b"\x93NUMPY") && String::from_utf8_lossy(&letters[..128]).contains("<U7"));
    assert_eq!(letters.len(), 128 + 3 * 7 * 4);

    to("f.stan.csv");
    let text = String::from_utf8(read(runs().join("f.stan.csv"))).expect("text");
    let (stan, found) = csv(&text);
    assert_eq!(stan, ["lp__", "accept_stat__", "log_p__", "log_g__", "beta.1", "beta.2", "sigma"]);
    for (found, row) in found.iter().zip(&rows) {
        assert_eq!(found[..], [row[3] + row[4], 1.0, row[3] + row[4], row[3], row[0], row[1], row[2]]);
    }

    // Twice, since a store replaces one.
    to("f.zarr");
    to("f.zarr");
    let store = runs().join("f.zarr");
    let metadata: serde_json::Value = serde_json::from_slice(&read(store.join(".zmetadata"))).expect("JSON");
    let of = |key: &str| &metadata["metadata"][key];
    assert_eq!(of("posterior/beta/.zarray")["shape"], serde_json::json!([1, 300, 2]));
    let dims = serde_json::json!(["chain", "draw", "beta_dim_0"]);
    assert_eq!(of("posterior/beta/.zattrs")["_ARRAY_DIMENSIONS"], dims);
    let beta: Vec<f64> = rows.iter().flat_map(|row| row[..2].to_vec()).collect();
    assert_eq!(floats(&read(store.join("posterior/beta/0.0.0"))), beta);
    assert_eq!(floats(&read(store.join("sample_stats/log_weight/0.0"))), column(4));
    let lp: Vec<f64> = rows.iter().map(|row| row[3] + row[4]).collect();
    assert_eq!(floats(&read(store.join("sample_stats/lp/0.0"))), lp);
    for (path, text) in metadata["metadata"].as_object().expect("keys") {
        let alone: serde_json::Value = serde_json::from_slice(&read(store.join(path))).expect("JSON");
        assert_eq!(alone, *text, "{path}");
    }

    let (code, _, error) = run_in(runs(), &["sample", "runs/posterior", "-n", "10", "-o", "f.parquet"]);
    if cfg!(feature = "parquet") {
        assert_eq!(code, Some(0), "{error}");
        let options = flowdistill::data::CsvOptions::default();
        let text = flowdistill::data::read_parquet(&runs().join("f.parquet"), &options).expect("read again");
        assert_eq!((text.table.names, text.table.values), (names[..3].to_vec(), draws[..30].to_vec()));
    } else {
        assert!(code == Some(2) && error.contains("feature `parquet`"), "{error}");
    }
    let (code, _, error) = run_in(runs(), &["sample", "runs/posterior", "-n", "10", "-o", "f.xls"]);
    assert!(code == Some(2) && error.contains(".zarr"), "{error}");
    std::fs::create_dir(runs().join("mine.zarr")).expect("made");
    let (code, _, error) = run_in(runs(), &["sample", "runs/posterior", "-n", "10", "-o", "mine.zarr"]);
    assert!(code == Some(1) && error.contains("something else"), "{error}");
}

#[test]
fn words_and_days_go_out_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..300).map(|i| format!("{},{}\n", ["no", "yes", "late"][i % 3], (i as f64).sin())).collect();
    std::fs::write(folder.path().join("t.csv"), format!("what,x\n{rows}")).expect("written");
    let text = r#"(name: "words", data: (source: Csv(path: "t.csv"), categories: ["what"]), teacher: (layers: 1, hidden: [8]),
        stages: [MaximumLikelihood(steps: 20, batch: 64)])"#;
    std::fs::write(folder.path().join("words.ron"), text).expect("written");
    assert_eq!(run_in(folder.path(), &["run", "words.ron", "-q"]).0, Some(0));
    let (_, out, error) = run_in(folder.path(), &["sample", "runs/words", "-n", "20", "--json"]);
    for line in out.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}{error}"));
        assert!(["no", "yes", "late"].contains(&object["what"].as_str().expect("a word")) && object["x"].is_f64());
    }
    assert_eq!(out.lines().count(), 20);
}

#[test]
fn weights_are_against_the_target_of_the_run_and_of_a_student_of_a_teacher_against_that() {
    let weights = |args: &[&str]| {
        let (names, rows) = csv(&out_of(args));
        let at = names.iter().position(|name| name == "log_weight").expect("a column");
        rows.iter().map(|row| row[at]).collect::<Vec<f64>>()
    };
    // The target is normalised but for its prior's constants, which the expression has: the mean weight is about 1.
    let found = weights(&["sample", "runs/posterior", "-n", "4000", "--weights"]);
    let mean = found.iter().map(|weight| weight.exp()).sum::<f64>() / 4000.0;
    assert!((mean - 1.0).abs() < 0.2, "{mean}");
    let named = weights(&["sample", "runs/posterior", "-n", "4000", "--weights", "--target", "posterior.ron"]);
    assert_eq!(found, named);
    let in_flow = weights(&["sample", "runs/posterior", "-n", "4000", "--weights", "--unconstrained"]);
    assert_eq!(found, in_flow, "weights are the same in every space");

    // Of a student of a teacher: the teacher's log density less the student's.
    let text = out_of(&["sample", "runs/taught/student.safetensors", "-n", "50", "--weights", "--log-prob"]);
    let (_, rows) = csv(&text);
    let points: String = rows.iter().map(|row| format!("{},{}\n", row[0], row[1])).collect();
    let mut command = flowdistill(runs());
    let given = format!("x1,x2\n{points}");
    let output = command.args(["log-prob", "runs/taught/teacher.safetensors", "-"]).write_stdin(given).output();
    let (_, of_teacher) = csv(&String::from_utf8(output.expect("run").stdout).expect("text"));
    assert_eq!(of_teacher.len(), 50);
    for (row, teacher) in rows.iter().zip(of_teacher) {
        assert!((row[3] - (teacher[0] - row[2])).abs() < 1e-9, "{row:?} {teacher:?}");
    }
    // A teacher in the same folder is weighed against the target itself.
    let of_teacher = weights(&["sample", "runs/taught/teacher.safetensors", "-n", "50", "--weights"]);
    let by_name = ["sample", "runs/taught/teacher.safetensors", "-n", "50", "--weights", "--target", "taught.ron"];
    assert_eq!(of_teacher, weights(&by_name));

    std::fs::copy(runs().join("runs/taught/student.safetensors"), runs().join("alone.safetensors")).expect("copied");
    for (args, word) in [
        (&["sample", "alone.safetensors", "-n", "5", "--weights"][..], "--target EXPERIMENT is right"),
        (&["sample", "runs", "-n", "5"], "a run's folder"),
        (&["sample", "runs/taught", "-n", "1.5"], "1e6"),
        (&["sample", "runs/taught", "-n", "0"], "1e6"),
        (&["sample", "runs/taught", "-n", "5", "--target", "taught.ron"], "--weights"),
    ] {
        let (code, _, error) = run_in(runs(), args);
        assert!(code == Some(2) && error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn shards_make_the_same_bytes_whatever_their_number() {
    for file in ["s.npy", "s.csv", "s.jsonl", "s.stan.csv"] {
        // More than a block of draws, so that shards begin inside of blocks.
        let args = ["sample", "runs/taught", "-n", "20_000", "--log-prob", "-q", "-o", file];
        out_of(&args);
        let whole = read(runs().join(file));
        for n in [1, 3, 8] {
            let folder = tempfile::tempdir_in(runs()).expect("a folder");
            let place = folder.path().join(file).to_string_lossy().into_owned();
            for i in (1..=n).rev() {
                let mut args = args.to_vec();
                let shard = format!("{i}/{n}");
                args[7] = &place;
                args.extend(["--shard", &shard]);
                if n == 3 {
                    // As a task of an array of Slurm's, which may begin at 0.
                    args.truncate(args.len() - 1);
                    let mut command = flowdistill(runs());
                    command.args(&args).arg("auto").env("SLURM_ARRAY_TASK_ID", (i - 1).to_string());
                    command.env("SLURM_ARRAY_TASK_MIN", "0").env("SLURM_ARRAY_TASK_MAX", "2");
                    command.env("SLURM_ARRAY_TASK_COUNT", "3").assert().success();
                    continue;
                }
                if i == 1 && n == 8 {
                    let (code, _, error) = run_in(runs(), &["merge", &place]);
                    assert!(code == Some(2) && error.contains("lacks 1 of 8 shards: 1"), "{error}");
                }
                out_of(&args);
            }
            out_of(&["merge", "-q", &place]);
            assert!(read(folder.path().join(file)) == whole, "{file} of {n} shards");
        }
    }
    for (args, word) in [
        (&["sample", "runs/taught", "-n", "5", "--shard", "1/2"][..], "--output"),
        (&["sample", "runs/taught", "-n", "5", "--shard", "3/2", "-o", "a.csv"], "2/8"),
        (&["sample", "runs/taught", "-n", "5", "--shard", "1/2", "-o", "a.zarr"], "put together"),
        (&["sample", "runs/taught", "-n", "5", "--shard", "auto", "-o", "a.csv"], "SLURM_ARRAY_TASK_ID"),
        (&["merge", "nothing.csv"], "nothing.1-of-2.csv"),
    ] {
        let (code, _, error) = run_in(runs(), args);
        assert!(code == Some(2) && error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn what_is_set_wrongly_is_said_in_words_of_our_own() {
    for (assignment, words) in [
        ("seed=1,2,3", &["several values", "one is right"][..]),
        ("seed=1..5", &["several values"]),
        ("seed=-1", &["seed is `-1`; a whole number from 0 is right"]),
        ("target=ManyWell", &["without its parentheses; `ManyWell()` is right", "dim"]),
        ("target=Gaussian()", &["without its field `dim`; `Gaussian(dim: …)` is right"]),
        ("stages.1.training.rate=1e-3", &["peak, warm_up, decay", "`stages.1.training.rate.peak=…`"]),
        ("teacher.hidden=3", &["a list, `[…]`, is right"]),
        ("teacher.layers=[Coupling()]", &["Repeat, Masked, RevNet, Linear", "`Masked(structure: Coupling…)`"]),
        ("teacher.activation=Sine", &["Relu, Tanh, Silu", "did you mean `Silu`?"]),
        ("whitening=3", &["Auto, None, Laplace, Draws"]),
        ("target=Banana(", &["target"]),
    ] {
        let (code, _, error) = run_in(runs(), &["check", "taught.ron", "--set", assignment]);
        assert_eq!(code, Some(2), "{assignment}: {error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{assignment}: {error} should say {word}"));
        for jargon in ["expected", "Expected", "invalid type", "struct ", "u64", "identifier", "line 1"] {
            assert!(!error.contains(jargon), "{assignment}: {error} is the parser's word");
        }
    }
}

#[test]
fn what_is_written_wrongly_is_said_with_what_is_possible_and_its_place_in_columns_of_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = "(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target)], student: ";
    for (text, words) in [
        (format!("{start}Flow((layers: 3)))"), &["a second `(`", "of `Flow`", "layers, structure, hidden"][..]),
        (
            format!("{start}Flow(layers: [Coupling()]))"),
            &["Repeat, Masked, RevNet, Linear", "Masked(structure: Coupling…)"],
        ),
        (format!("{start}Flow(layers: [Spline()]))"), &["Masked(transformer: Spline…)"]),
        (format!("{start}Flow(layers: [Lu()]))"), &["Linear(Lu…)"]),
        (format!("{start}Flow(layers: [Linear()]))"), &["nothing in the parentheses of `Linear`", "Diagonal, ActNorm"]),
        (format!("{start}Flow(structure: Coupling()))"), &["of `Coupling`", "Halves, Parity, Columns"]),
        (format!("{start}Flow)"), &["`Flow()` is right", "layers, structure"]),
        (format!("{start}Flow(hidden: 3))"), &["`3` is no list"]),
        ("(name: \"x\", target: ManyWell)".into(), &["`ManyWell()` is right", "dim"]),
        ("(name: \"x\", seed: 1.5)".into(), &["`1.5` is no whole number"]),
        ("(name: \"x\"".into(), &["closing bracket"]),
        ("(name: \"日本語\", seed: x)".into(), &["  (name: \"日本語\", seed: x)\n                         ^"]),
        ("(name: \"e\u{301}\",\tseed: x)".into(), &["  (name: \"e\u{301}\", seed: x)\n                    ^"]),
        (
            "(name: \"x\", target: Expression(parameters: {\"日本\": Real}, log_density: \"日本 ~ nrml(0, 1)\"))"
                .into(),
            &["  日本 ~ nrml(0, 1)\n         ^^^^"],
        ),
    ] {
        std::fs::write(folder.path().join("w.ron"), &text).expect("written");
        let (code, _, error) = run_in(folder.path(), &["check", "w.ron"]);
        assert_eq!(code, Some(2), "{text}: {error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{text}:\n{error} should say\n{word}"));
    }
}

#[test]
fn what_is_called_none_is_written_as_it_is_read() {
    let sets = ["--set", "whitening=None", "--set", "name=none", "--set", "evaluation.independent=None"];
    let (code, _, error) = run_in(runs(), &[&["run", "taught.ron", "-q"][..], &sets].concat());
    assert_eq!(code, Some(0), "{error}");
    let text = String::from_utf8(read(runs().join("runs/none/resolved.ron"))).expect("text");
    assert!(text.contains("whitening: None,") && text.contains("independent: None,") && !text.contains("r#"), "{text}");
    let again = flowdistill::experiment::Spec::parse(&text).expect("read again");
    assert_eq!(again.whitening, flowdistill::experiment::Whitening::None);
}

/// A run of a moment.
const QUICK: &str = r#"(
    name: "quick",
    target: Banana(),
    student: Flow(layers: 2, hidden: [8]),
    stages: [ReverseKl(against: Target, training: (steps: 40, batch: 32))],
    evaluation: (draws: 500, independent: None),
)"#;

#[test]
fn a_store_that_was_cut_short_is_in_nobodys_way() {
    std::fs::write(runs().join("quick.ron"), QUICK).expect("written");
    out_of(&["run", "quick.ron", "-q", "--out", "swept"]);
    // What a `sample -o runs/quick/draws.zarr` that was killed leaves behind.
    let left = runs().join("swept/quick/.flowdistill-abc.tmp");
    std::fs::create_dir_all(left.join("posterior")).expect("made");
    out_of(&["run", "quick.ron", "-q", "--out", "swept", "--force"]);
    assert!(!left.exists());
}

/// The sweep of six runs, into `out`.
fn sweep(out: &str, more: &[&str]) -> Command {
    let mut command = flowdistill(runs());
    std::fs::write(runs().join("quick.ron"), QUICK).expect("written");
    command.args(["run", "quick.ron", "--out", out, "--sweep", "seed=1..3", "--sweep", "student.layers=[1, 2]", "-q"]);
    command.args(more);
    command
}

/// What a sweep came to: the bytes of its models and its table, but for the seconds.
fn result_of(out: &str) -> (Vec<Vec<u8>>, Vec<Vec<String>>) {
    let folder = runs().join(out).join("quick");
    let text = String::from_utf8(read(folder.join("sweep.csv"))).expect("text");
    let rows: Vec<Vec<String>> = text.lines().map(|line| line.split(',').map(str::to_string).collect()).collect();
    let models = rows[1..].iter().map(|row| read(folder.join(&row[0]).join("student.safetensors"))).collect();
    let last = rows[0].len() - 1;
    assert_eq!(rows[0][last], "seconds");
    (models, rows.into_iter().map(|row| row[..last].to_vec()).collect())
}

#[test]
fn a_sweep_is_the_same_at_once_after_a_kill_and_in_shards() {
    let output = sweep("at_once", &["--jobs", "2"]).output().expect("run");
    let out = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("| run | seed | student.layers | status |"), "{out}");
    let right = result_of("at_once");
    assert_eq!(right.1.len(), 7);
    assert_eq!(right.1[6][..4], ["006_seed-3_student.layers-2", "3", "2", "finished"]);
    assert!(right.0.iter().enumerate().all(|(i, model)| !right.0[..i].contains(model)), "all differ");
    // One of them alone is the same run.
    let alone = ["run", "quick.ron", "-q", "--out", "alone", "--set", "seed=2", "--set", "student.layers=1"];
    out_of(&alone);
    assert!(read(runs().join("alone/quick/student.safetensors")) == right.0[2]);

    // Killed once two are done.
    let folder = runs().join("killed/quick");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("flowdistill"));
    let words: Vec<_> = sweep("killed", &[]).get_args().map(std::ffi::OsStr::to_os_string).collect();
    let mut child =
        command.current_dir(runs()).args(words).stdout(std::process::Stdio::null()).spawn().expect("started");
    let done = || right.1[1..].iter().filter(|row| folder.join(&row[0]).join("run.json").exists()).count();
    while done() < 2 && child.try_wait().expect("asked").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(
        sweep("killed", &[]).output().expect("run").status.code(),
        Some(1),
        "without --resume it holds runs already"
    );
    sweep("killed", &["--resume"]).assert().success();
    assert!(result_of("killed") == right);

    for i in ["1/3", "3/3"] {
        sweep("parts", &["--shard", i]).assert().success();
    }
    let (code, out, _) = run_in(runs(), &["merge", "parts/quick", "--json"]);
    let table: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &table[1]["status"]), (Some(1), &serde_json::json!("not begun")));
    sweep("parts", &["--shard", "auto"]).env("SGE_TASK_ID", "2").env("SGE_TASK_LAST", "3").assert().success();
    out_of(&["merge", "parts/quick"]);
    assert!(result_of("parts") == right);
}

#[test]
fn what_is_wrong_with_a_sweep_is_said_before_it_begins_and_a_run_that_fails_does_not_end_it() {
    std::fs::write(runs().join("taught.ron"), taught()).expect("written");
    for (sweep, words) in [
        ("seed=[1, x]", &["--sweep seed=x", "whole number"][..]),
        ("seed=5..1", &["1 to 10000 are right"]),
        ("depth=[1]", &["no field `depth`"]),
        ("seed", &["FIELD=1..5"]),
    ] {
        let (code, _, error) = run_in(runs(), &["run", "taught.ron", "--out", "wrong", "--sweep", sweep]);
        assert_eq!(code, Some(2), "{sweep}: {error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{sweep}: {error} should say {word}"));
        assert!(!runs().join("wrong").exists());
    }
    std::fs::write(runs().join("quick.ron"), QUICK).expect("written");
    let args = ["run", "quick.ron", "--out", "some", "--sweep", "student.hidden=[[8], [0], []]"];
    let (code, out, error) = run_in(runs(), &args);
    assert_eq!(code, Some(1), "{error}");
    assert!(out.contains("hidden[0] is 0") && error.contains("1 of 3 runs are not finished"), "{out}{error}");
    let (_, listed, _) = run_in(runs(), &[&args[..], &["--dry-run"]].concat());
    assert!(
        listed.contains("002_student.hidden-_0_: student.hidden=[0]") || listed.contains("student.hidden=[0]"),
        "{listed}"
    );
}

#[test]
fn errors_are_objects_where_json_is_asked_for() {
    std::fs::write(runs().join("bad.ron"), "(name: \"x\",\n target: Funnel(dim: x))").expect("written");
    std::fs::write(runs().join("low.ron"), "(name: \"x\", target: Funnel(dim: 1))").expect("written");
    for (args, code, file, line, field) in [
        (&["check", "bad.ron", "--json"][..], 2, Some("bad.ron"), Some(2), None),
        (&["check", "low.ron", "--json"], 2, Some("low.ron"), None, Some("target.dim")),
        (&["check", "low.ron", "--json", "--set", "seed=x"], 2, None, None, Some("seed")),
        (&["sample", "none.safetensors", "-n", "5", "--json"], 2, Some("none.safetensors"), None, None),
        (&["sample", "runs/taught", "-n", "x", "--json"], 2, None, None, None),
        (&["sample", "runs/taught", "-n", "5", "--json", "-o", "none/a.csv"], 1, Some("none/a.csv"), None, None),
    ] {
        let (found, _, error) = run_in(runs(), args);
        let lines: Vec<&str> = error.lines().collect();
        assert!(found == Some(code) && lines.len() == 1, "{args:?}: {error}");
        let object: serde_json::Value = serde_json::from_str(lines[0]).expect("an object");
        assert_eq!(object["exit_code"], code, "{object}");
        assert_eq!(object["file"].as_str(), file, "{object}");
        assert_eq!(object["line"].as_u64(), line, "{object}");
        assert_eq!(object["field"].as_str(), field, "{object}");
        assert!(object["message"].as_str().is_some_and(|message| message.len() > 5), "{object}");
    }
}

#[test]
fn shells_and_manuals_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = out_of(&["completions", shell]);
        assert!(script.contains("log-prob") && script.contains("allow-native"), "{shell}");
    }
    assert!(out_of(&["man"]).contains(".TH flowdistill 1"));
    out_of(&["man", "--out", "pages", "-q"]);
    for command in ["run", "sample", "merge", "log-prob"] {
        let page = String::from_utf8(read(runs().join(format!("pages/flowdistill-{command}.1")))).expect("text");
        assert!(page.contains(".SH OPTIONS"), "{command}");
    }
}

#[test]
fn far_more_weights_than_rows_are_warned_about() {
    let check = |set: &str| out_of(&["check", "taught.ron", "--set", set]);
    assert!(check("teacher.hidden=[256, 256]").contains("learn them by heart"));
    assert!(!check("teacher.hidden=[16]").contains("learn them by heart"));
}

#[test]
#[ignore = "needs Python with ArviZ, pandas, zarr, pyarrow and CmdStanPy, and R"]
fn arviz_pandas_numpy_cmdstanpy_and_r_open_what_is_written() {
    let python = std::env::var("FLOWDISTILL_PYTHON").unwrap_or_else(|_| "python3".into());
    if std::process::Command::new(&python).arg("--version").output().is_err() {
        println!("SKIPPED: {python} is not there; FLOWDISTILL_PYTHON names another one");
        return;
    }
    let folder = tempfile::tempdir_in(runs()).expect("a folder");
    std::fs::copy(runs().join("runs/posterior/run.json"), folder.path().join("run.json")).expect("copied");
    let formats = ["csv", "jsonl", "npy", "npz", "stan.csv", "zarr", "parquet"];
    for format in formats.iter().filter(|format| **format != "parquet" || cfg!(feature = "parquet")) {
        // More than a chunk of a store.
        let file = folder.path().join(format!("d.{format}")).to_string_lossy().into_owned();
        out_of(&["sample", "runs/posterior", "-n", "7e4", "--weights", "--log-prob", "-q", "-o", &file]);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/open_draws.py");
    let output = std::process::Command::new(&python).arg(script).arg(folder.path()).output().expect("Python");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_jobs_for_slurm_do_their_parts() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/slurm");
    let binary = assert_cmd::cargo::cargo_bin("flowdistill");
    let path = std::env::join_paths(
        binary
            .parent()
            .map(Path::to_path_buf)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.expect("a search path");
    let submit = |script: &str, tasks: u32, args: &[&str]| {
        for task in 1..=tasks {
            let mut job = Command::new("bash");
            job.current_dir(runs()).arg(scripts.join(script)).args(args).env("PATH", &path);
            let variables = [("ID", task), ("MIN", 1), ("MAX", tasks), ("STEP", 1), ("COUNT", tasks)];
            variables.iter().for_each(|(name, value)| {
                job.env(format!("SLURM_ARRAY_TASK_{name}"), value.to_string());
            });
            job.env("SLURM_CPUS_PER_TASK", "1").assert().success();
        }
    };
    std::fs::write(runs().join("quick.ron"), QUICK).expect("written");
    submit("sweep.sh", 2, &["quick.ron", "--out", "slurm", "--sweep", "seed=1..3"]);
    let table = out_of(&["merge", "slurm/quick"]);
    assert_eq!(table.matches("| finished |").count(), 3, "{table}");
    submit("draws.sh", 3, &["runs/taught", "-n", "1e3", "-o", "slurm.npy"]);
    out_of(&["merge", "slurm.npy", "-q"]);
    out_of(&["sample", "runs/taught", "-n", "1e3", "-q", "-o", "slurm_at_once.npy"]);
    assert!(read(runs().join("slurm.npy")) == read(runs().join("slurm_at_once.npy")));
}

#[test]
fn draws_of_a_process_are_in_its_own_coordinates_and_nothing_is_noted() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        println!("SKIPPED: python3 is not there");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let program = format!(
        "import sys\nsys.path.insert(0, {helper:?})\nfrom flowdistill_density import serve\n\
         serve(dim=2, names=['a', 'b'], point=lambda x: (-0.5 * sum(v * v for v in x), [-v for v in x]))\n"
    );
    std::fs::write(folder.path().join("density.py"), program).expect("written");
    let text = r#"(name: "process", target: Process(command: ["python3", "density.py"]), student: Flow(layers: 1, hidden: []),
        stages: [ReverseKl(against: Target, training: (steps: 10, batch: 16))], evaluation: (draws: 200, independent: None))"#;
    std::fs::write(folder.path().join("process.ron"), text).expect("written");
    let (code, _, error) = run_in(folder.path(), &["run", "process.ron", "-q", "--allow-native"]);
    assert_eq!(code, Some(0), "{error}");
    let (code, out, error) = run_in(folder.path(), &["sample", "runs/process", "-n", "5"]);
    assert!(code == Some(0) && out.starts_with("a,b\n") && error.is_empty(), "{out}{error}");
    // Weights need the process again, and permission to start it.
    let (code, _, error) = run_in(folder.path(), &["sample", "runs/process", "-n", "5", "--weights"]);
    assert!(code == Some(2) && error.contains("--allow-native"), "{error}");
    std::fs::copy(folder.path().join("density.py"), folder.path().join("runs/process/density.py")).expect("copied");
    let weighed = ["sample", "runs/process", "-n", "5", "--weights", "--allow-native"];
    let (code, out, error) = run_in(folder.path(), &weighed);
    assert!(code == Some(0) && csv(&out).1.iter().all(|row| row[2].is_finite()), "{out}{error}");
}
