//! The binary as a person meets it: exit codes, files, streams, and the same results whatever the threads.

#[path = "common/tiny.rs"]
mod tiny;

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use tempfile::{tempdir, TempDir};
use tiny::TINY;

fn flowdistill(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    command.current_dir(folder);
    command
}

fn folder_with(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    (folder, path)
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_run_leaves_its_folder_and_is_not_overwritten() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    let run = || {
        let mut command = flowdistill(folder.path());
        command.args(["run", "tiny.ron"]);
        command
    };
    let output = run().output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).expect("text");
    assert!(out.contains("# tiny") && out.contains("ESS/N"), "{out}");
    let files = folder.path().join("runs/tiny");
    for file in
        ["experiment.ron", "resolved.ron", "metrics.jsonl", "teacher.safetensors", "student.safetensors", "report.md"]
    {
        assert!(files.join(file).is_file(), "{file}");
    }
    assert_eq!(read(files.join("experiment.ron")), TINY.as_bytes());
    let json: serde_json::Value = serde_json::from_slice(&read(files.join("run.json"))).expect("json");
    assert_eq!(json["status"], "finished");
    for (group, score) in [
        ("teacher", "train_log_prob"),
        ("teacher", "validation_log_prob_se"),
        ("teacher", "test_log_prob"),
        ("student", "elbo"),
        ("student", "log_z"),
        ("student", "log_z_se"),
        ("student", "ess"),
        ("student", "eubo"),
        ("student", "forward_ess"),
        ("student", "forward_kl"),
    ] {
        let value = &json["scores"][group][score];
        assert!(value.is_f64() || (value.is_null() && json["score_reasons"].is_object()), "{group}.{score}: {value}");
    }
    assert_eq!(json["scores"]["student"]["draws"], 2000);
    for line in String::from_utf8(read(files.join("metrics.jsonl"))).expect("text").lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON");
    }

    let again = run().output().expect("run");
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force"));
    run().arg("--force").assert().success();
}

#[test]
fn the_resolved_experiment_runs_to_the_same_result() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    flowdistill(folder.path()).args(["run", "tiny.ron", "-q"]).assert().success();
    let resolved = folder.path().join("runs/tiny/resolved.ron");
    let text = String::from_utf8(read(resolved.clone())).expect("text");
    assert!(text.contains("version: 1") && text.contains("max_scale"), "{text}");
    std::fs::copy(&resolved, folder.path().join("again.ron")).expect("copied");
    flowdistill(folder.path()).args(["run", "again.ron", "-q", "--out", "other"]).assert().success();
    for file in ["teacher.safetensors", "student.safetensors", "resolved.ron"] {
        let (first, second) = (folder.path().join("runs/tiny"), folder.path().join("other/tiny"));
        assert_eq!(read(first.join(file)), read(second.join(file)), "{file}");
    }
}

#[test]
fn models_and_draws_do_not_depend_on_threads_and_draws_not_on_their_number() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    for threads in ["1", "2"] {
        let out = format!("out{threads}");
        let args = ["run", "tiny.ron", "-q", "--threads", threads, "--out", &out];
        flowdistill(folder.path()).args(args).assert().success();
        for (model, n, log_prob) in [("student", "900", true), ("student", "1000", true), ("teacher", "1000", false)] {
            let model = format!("{out}/tiny/{model}.safetensors");
            let draws = format!("{out}/draws-{n}-{log_prob}.npy");
            let mut command = flowdistill(folder.path());
            command.args(["sample", &model, "-n", n, "-o", &draws, "--threads", threads, "--seed", "9"]);
            if log_prob {
                command.arg("--log-prob");
            }
            command.assert().success();
        }
    }
    let file = |name: &str| read(folder.path().join(name));
    for name in ["tiny/teacher.safetensors", "tiny/student.safetensors", "draws-1000-true.npy", "draws-1000-false.npy"]
    {
        assert!(file(&format!("out1/{name}")) == file(&format!("out2/{name}")), "{name} differs between threads");
    }
    let (few, many) = (file("out1/draws-900-true.npy"), file("out1/draws-1000-true.npy"));
    assert_eq!(few.len(), 128 + 900 * 3 * 8);
    assert!(few[128..] == many[128..few.len()], "draw i depends on the number of draws");
}

#[test]
fn samples_stream_as_csv_and_agree_with_log_prob() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    flowdistill(folder.path()).args(["run", "tiny.ron", "-q"]).assert().success();
    for model in ["runs/tiny/student.safetensors", "runs/tiny/teacher.safetensors"] {
        let args = ["sample", model, "-n", "50", "--log-prob"];
        let output = flowdistill(folder.path()).args(args).output().expect("run");
        let text = String::from_utf8(output.stdout).expect("text");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("x1,x2,log_prob"));
        assert_eq!(lines.clone().count(), 50);
        std::fs::write(folder.path().join("points.csv"), &text).expect("written");
        let output = flowdistill(folder.path()).args(["log-prob", model, "points.csv"]).output().expect("run");
        let asked = String::from_utf8(output.stdout).expect("text");
        for (line, asked) in lines.zip(asked.lines().skip(1)) {
            let drawn: f64 = line.rsplit(',').next().expect("a cell").parse().expect("a number");
            let asked: f64 = asked.parse().expect("a number");
            assert!((drawn - asked).abs() < 1e-8 * (1.0 + asked.abs()), "{drawn} and {asked}");
        }
    }
}

#[test]
fn compare_prints_one_object_a_line() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    flowdistill(folder.path()).args(["run", "tiny.ron", "-q"]).assert().success();
    let args = ["compare", "runs/tiny", "--json", "--batch", "1,64"];
    let output = flowdistill(folder.path()).args(args).output().expect("run");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 6, "{text}");
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("json");
        for field in ["model", "method"] {
            assert!(row[field].is_string(), "{line}");
        }
        for field in ["batch", "draws_per_second", "effective_per_second"] {
            assert!(row[field].as_f64().is_some_and(|value| value > 0.0), "{line}");
        }
    }
    std::fs::remove_file(folder.path().join("runs/tiny/teacher.safetensors")).expect("removed");
    flowdistill(folder.path()).args(["compare", "runs/tiny", "--batch", "8"]).assert().success();
    flowdistill(folder.path()).args(["compare", "."]).assert().code(2);
}

#[test]
fn check_trains_nothing_and_targets_lists() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    let output = flowdistill(folder.path()).args(["check", "tiny.ron", "--json"]).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!(found["dim"], 2);
    assert!(found["target"]["worst_gradient_error"].as_f64().expect("a number") < 1e-6);
    assert!(!folder.path().join("runs").exists());
    let output = flowdistill(folder.path()).args(["targets", "--json"]).output().expect("run");
    assert!(output.status.success());
    // What `targets` prints can be copied into an experiment.
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let target: serde_json::Value = serde_json::from_str(line).expect("json");
        let ron = target["ron"].as_str().expect("ron");
        if ["path:", "library:", "command:"].iter().any(|file| ron.contains(file)) {
            continue;
        }
        let text = format!("(name: \"t\", target: {ron}, stages: [ReverseKl(against: Target)])");
        std::fs::write(folder.path().join("t.ron"), text).expect("written");
        flowdistill(folder.path()).args(["check", "t.ron"]).assert().success();
    }
}

#[test]
fn an_experiment_whose_draws_are_still_to_be_made_can_be_checked() {
    let folder = tempdir().expect("a folder");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/nine_modes.ron");
    let output = flowdistill(folder.path()).arg("check").arg(path).output().expect("run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("training"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn wrong_experiments_exit_with_2_and_say_what_would_be_right() {
    let cases: &[(&str, &[&str])] = &[
        ("(name: \"x\", stages: [", &["line 1"]),
        ("(name: \"x\", stages: [], colour: 3)", &["colour"]),
        ("(name: \"x\", target: Bananas(), stages: [])", &["Bananas", "Banana"]),
        ("(name: 3, stages: [])", &["line 1"]),
        ("(name: \"x\", stages: [])", &["neither `target` nor `data`"]),
        ("(name: \"../x\", target: Banana(), stages: [ReverseKl(against: Target)])", &["../x", "folder"]),
        ("(version: 9, name: \"x\", target: Banana(), stages: [ReverseKl(against: Target)])", &["version is 9"]),
        ("(name: \"x\", target: Banana(), stages: [ReverseKl(against: Teacher)])", &["against the teacher"]),
        (
            "(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target, forward: 0.5)])",
            &["stages[0]", "of weight 0.5", "neither `data`"],
        ),
        (
            "(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target, reverse: -1.0, anneal: (ess: 1.0, scale: 0))])",
            &["reverse is -1", "anneal.ess is 1", "anneal.scale is 0"],
        ),
        (
            "(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target, reverse: 0, anneal: ())])",
            &["reverse and forward are both 0", "nothing to anneal", "`ForwardKl` is right"],
        ),
        ("(name: \"x\", target: Banana(), stages: [ForwardKl(against: Teacher)])", &["against the teacher"]),
        ("(name: \"x\", target: Banana(), stages: [ForwardKl(against: Target)])", &["of weight 1", "neither `data`"]),
        ("(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target, gradient: Pth)])", &["did you mean `Path`"]),
        ("(name: \"x\", target: Banana(), stages: [MaximumLikelihood()])", &["neither `data`"]),
        ("(name: \"x\", target: Funnel(dim: 1), stages: [ReverseKl(against: Target)])", &["target: dim is 1"]),
        ("(name: \"x\", target: Gaussian(dim: 2, condition: NaN), stages: [ReverseKl(against: Target)])", &["condition"]),
        (
            "(name: \"x\", target: Banana(), student: Flow(hidden: [0], layers: 0), stages: [ReverseKl(against: Target)])",
            &["hidden[0] is 0", "layers is 0"],
        ),
        (
            "(name: \"x\", target: Banana(), student: Flow(hidden: [99999999999]), stages: [ReverseKl(against: Target)])",
            &["hidden[0] is 99999999999"],
        ),
        (
            "(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target, training: (rate: (peak: inf)))])",
            &["peak is inf"],
        ),
        (
            "(name: \"x\", target: Banana(), stages: [ReverseKl(against: Target, training: (batch: 0, steps: 0))])",
            &["batch is 0", "steps is 0"],
        ),
        (
            "(name: \"x\", target: Banana(), data: (source: Draws(rows: 100)), teacher: (layers: 99999999999), \
             student: LikeTeacher, stages: [MaximumLikelihood(), ReverseKl(against: Teacher)])",
            &["layers is 99999999999"],
        ),
        ("(name: \"x\", target: Banana(), student: LikeTeacher, stages: [ReverseKl(against: Target)])", &["LikeTeacher"]),
        (
            "(name: \"x\", target: EightSchools(), data: (source: Draws(rows: 100)), stages: [MaximumLikelihood()])",
            &["no exact sampler"],
        ),
        (
            "(name: \"x\", data: (source: Csv(path: \"none.csv\")), stages: [MaximumLikelihood()])",
            &["none.csv"],
        ),
        (
            "(name: \"x\", target: Funnel(dim: 3), data: (source: Csv(path: \"two.csv\")), stages: [MaximumLikelihood()])",
            &["2 columns", "3 coordinates"],
        ),
    ];
    for (text, words) in cases {
        let (folder, _) = folder_with("wrong.ron", text);
        let rows: String = (0..50).map(|i| format!("{i},{}\n", i * i % 7)).collect();
        std::fs::write(folder.path().join("two.csv"), format!("a,b\n{rows}")).expect("written");
        for command in ["check", "run"] {
            let output = flowdistill(folder.path()).args([command, "wrong.ron"]).output().expect("run");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{text}: {error}");
            assert!(error.contains("wrong.ron") || error.contains("none.csv"), "{text}: {error}");
            words.iter().for_each(|word| assert!(error.contains(word), "{text}: {error} should say {word}"));
            assert!(!error.contains("panicked"), "{error}");
            assert!(!folder.path().join("runs").exists(), "{text}: nothing is written");
        }
    }
}

#[test]
fn data_come_as_they_are_and_draws_keep_their_bounds() {
    let folder = tempdir().expect("a temporary folder");
    let mut text = "income|share|children|noise\n".to_string();
    for i in 0..400u32 {
        let wave = f64::from(i * 37 % 101) / 101.0;
        let missing = if i % 50 == 7 { "NA".to_string() } else { format!("{}", 0.02 + 0.96 * wave) };
        text += &format!("{}|{missing}|{}|{}\n", (3.0 * wave).exp(), i % 4, f64::from(i).sin());
    }
    std::fs::write(folder.path().join("table.csv"), text).expect("written");
    let experiment = r#"(
        name: "table",
        data: (
            source: Csv(path: "table.csv", columns: ["share", "income", "children"], delimiter: '|', missing: Drop),
            transforms: [Log(column: "income"), Logit(column: "share")],
            integers: ["children"],
        ),
        teacher: (layers: 2, hidden: [16]),
        student: LikeTeacher,
        stages: [
            MaximumLikelihood(steps: 100, batch: 64),
            ReverseKl(against: Teacher, training: (steps: 100, batch: 64)),
        ],
        evaluation: (draws: 1000),
    )"#;
    std::fs::write(folder.path().join("table.ron"), experiment).expect("written");
    let output = flowdistill(folder.path()).args(["run", "table.ron"]).output().expect("run");
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && talk.contains("8 rows"), "{talk}");
    for model in ["student", "teacher"] {
        let model = format!("runs/table/{model}.safetensors");
        let args = ["sample", &model, "-n", "500"];
        let output = flowdistill(folder.path()).args(args).output().expect("run");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.lines().next(), Some("share,income,children"));
        for line in text.lines().skip(1) {
            let row: Vec<f64> = line.split(',').map(|cell| cell.parse().expect("a number")).collect();
            assert!(row[0] > 0.0 && row[0] < 1.0 && row[1] > 0.0 && row[2].fract() == 0.0, "{line}");
        }
    }
    for (set, word) in [
        ("data.integers=[\"share\"]", "whole numbers"),
        ("data.integers=[\"age\"]", "`age`"),
        ("data.transforms=[{\"Log\":{\"column\":\"children\",\"above\":0.0}}]", "above 0"),
        ("data.transforms=[Log(column: \"children\")]", "above 0"),
        ("data.source.missing=Refuse", "missing: Drop"),
        ("data.source.delimiter=é", "ASCII"),
    ] {
        let output = flowdistill(folder.path()).args(["check", "table.ron", "--set", set]).output().expect("run");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{set}: {error}");
        assert!(error.contains(word), "{set}: {error} should say {word}");
    }
}

#[test]
fn fields_are_set_from_the_command_line_and_checked_like_the_file() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    let set = |assignments: &[&str]| {
        let mut command = flowdistill(folder.path());
        command.args(["check", "tiny.ron", "--json"]);
        for assignment in assignments {
            command.args(["--set", assignment]);
        }
        command.output().expect("run")
    };
    let output =
        set(&["target=Normal(mean: [0.0, 0.0, 0.0], covariance: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!(found["dim"], 3);
    let parameters = |output: std::process::Output| -> u64 {
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
        found["teacher_parameters"].as_u64().expect("a number")
    };
    assert!(parameters(set(&["teacher.hidden=[8]", "teacher.activation=Tanh"])) < parameters(set(&["name=other"])));
    let splines = ["teacher.transformer=Spline(bins: 4)", "teacher.orders=[Ascending, Shuffled(3)]"];
    assert!(parameters(set(&splines)) > parameters(set(&["teacher.transformer=Affine()"])));
    for (assignment, word) in [
        ("teacher.depth=3", "there are"),
        ("teacher.hidden=[0]", "hidden[0] is 0"),
        ("stages.7.training.steps=3", "no place"),
        ("stages.1.training.steps=many", "a whole number from 0"),
        ("stages.1.training.steps", "="),
        ("seed=-1", "a whole number from 0"),
        ("teacher.activation=Sine", "Sine"),
    ] {
        let output = set(&[assignment]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{assignment}: {error}");
        assert!(error.contains(word), "{assignment}: {error} should say {word}");
    }
    // Variants need not be named, and what was set is in the resolved file.
    let sets = ["--set", "stages.0.steps=20", "--set", "stages.1.training.steps=20", "--set", "name=short"];
    flowdistill(folder.path()).args(["run", "tiny.ron", "-q"]).args(sets).assert().success();
    let resolved = String::from_utf8(read(folder.path().join("runs/short/resolved.ron"))).expect("text");
    assert_eq!(resolved.matches("steps: 20,").count(), 2, "{resolved}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    let output = flowdistill(folder.path()).args(["run", "tiny.ron", "--dry-run"]).output().expect("run");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was written"));
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn new_experiments_run_as_they_are() {
    let folder = tempdir().expect("a temporary folder");
    let row = |i: i32| format!("{},{},{}\n", f64::from(i).sin(), f64::from(i * i).cos(), i % 7);
    let rows: String = (0..200).map(row).collect();
    std::fs::write(folder.path().join("table.csv"), format!("first \"x\",b,count\n{rows}")).expect("written");
    flowdistill(folder.path()).args(["new", "mine.ron", "--data", "table.csv", "-q"]).assert().success();
    let text = String::from_utf8(read(folder.path().join("mine.ron"))).expect("text");
    assert!(text.contains("integers: [\"count\"]"), "whole numbers are seen: {text}");
    flowdistill(folder.path()).args(["new", "energy.ron", "-q"]).assert().success();
    flowdistill(folder.path()).args(["new", "energy.ron", "-q"]).assert().code(2);
    flowdistill(folder.path()).args(["new", "energy.txt"]).assert().code(2);
    let quick = ["-q", "--set", "evaluation.draws=500", "--set", "evaluation.compare=false"];
    let mine = ["run", "mine.ron", "--set", "stages.0.steps=20", "--set", "stages.1.training.steps=20"];
    flowdistill(folder.path()).args(mine).args(quick).assert().success();
    let energy = ["run", "energy.ron", "--set", "target=Banana()"];
    flowdistill(folder.path()).args(energy).args(quick).assert().success();
    // What `targets NAME` prints is an experiment.
    let output = flowdistill(folder.path()).args(["targets", "rings"]).output().expect("run");
    std::fs::write(folder.path().join("rings.ron"), output.stdout).expect("written");
    flowdistill(folder.path()).args(["check", "rings.ron"]).assert().success();
    flowdistill(folder.path()).args(["targets", "squares"]).assert().code(2);
}

#[test]
fn wrong_arguments_exit_with_2() {
    let folder = tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("garbage.safetensors"), b"garbage").expect("written");
    for args in [
        &["frobnicate"][..],
        &["run"],
        &["run", "none.ron"],
        &["run", "."],
        &["sample", "none.safetensors", "-n", "5"],
        &["sample", "garbage.safetensors", "-n", "5"],
        &["sample", "garbage.safetensors", "-n", "0"],
        &["sample", "garbage.safetensors"],
        &["compare", "none"],
        &["targets", "--threads", "0"],
    ] {
        let output = flowdistill(folder.path()).args(args).output().expect("run");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure_under_way() {
    let (folder, _) = folder_with("tiny.ron", TINY);
    flowdistill(folder.path()).args(["run", "tiny.ron", "-q"]).assert().success();
    let model = "runs/tiny/student.safetensors";
    flowdistill(folder.path()).args(["sample", model, "-n", "5", "-o", "none/draws.csv"]).assert().code(1);
    flowdistill(folder.path()).args(["sample", model, "-n", "5", "-o", "draws.txt"]).assert().code(2);
    #[cfg(target_os = "linux")]
    {
        let args = ["sample", model, "-n", "1000000000000", "-o", "huge.npy"];
        let output = flowdistill(folder.path()).args(args).output().expect("run");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("do not fit"), "refused before anything is drawn");
        assert!(std::fs::read_dir(folder.path()).expect("listed").count() == 2, "nothing is left behind");
    }
    std::fs::write(folder.path().join("blocked"), b"").expect("written");
    flowdistill(folder.path()).args(["run", "tiny.ron", "--out", "blocked"]).assert().code(1);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_there_is_and_exits_with_130() {
    use std::io::{BufRead, BufReader};
    let long = TINY.replace("steps: 60, batch: 64)", "steps: 100000000, batch: 64)");
    let (folder, _) = folder_with("tiny.ron", &long);
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("flowdistill"))
        .args(["run", "tiny.ron"])
        .current_dir(folder.path())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let student = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("student"));
    assert!(student.is_some(), "the student's stage begins");
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("ended").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("interrupted")), "{rest:?}");
    let json: serde_json::Value =
        serde_json::from_slice(&read(folder.path().join("runs/tiny/run.json"))).expect("json");
    assert_eq!(json["status"], "interrupted");
    flowdistill(folder.path()).args(["sample", "runs/tiny/student.safetensors", "-n", "3"]).assert().success();
}

/// A written density with every kind of support that bends.
const WRITTEN: &str = r#"(
    name: "written",
    target: Expression(
        parameters: { "z": Real, "tau": Positive, "p": Simplex(3), "share": Interval(0, 1), "a": Vector(2, Positive) },
        data: { "y": Vector([1, 2, 4]) },
        log_density: "
            z ~ normal(0, 2)
            tau ~ gamma(2, 1)
            p ~ dirichlet([2, 2, 2])
            share ~ beta(2, 2)
            a ~ lognormal(0, 0.5)
            y ~ normal(z, 1 + tau)
        ",
    ),
    student: Flow(layers: 2, hidden: [16]),
    stages: [ReverseKl(against: Target, training: (steps: 300, batch: 64))],
    evaluation: (draws: 2000),
)"#;

#[test]
fn draws_of_a_written_density_come_out_under_its_names_and_in_its_space() {
    let (folder, path) = folder_with("written.ron", WRITTEN);
    let run = |arguments: &[&str]| {
        let output = flowdistill(folder.path()).args(arguments).output().expect("run");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let checked = run(&["check", "written.ron"]);
    assert!(checked.contains("z, log(tau), stick(p[0]), stick(p[1]), …, log(a[1])"), "{checked}");
    // A change from the command line keeps the order of the parameters.
    run(&["run", "written.ron", "--set", "evaluation.draws=3000"]);
    let resolved = String::from_utf8(read(folder.path().join("runs/written/resolved.ron"))).expect("text");
    let place = |name: &str| resolved.find(&format!("\"{name}\"")).expect("a parameter");
    assert!(place("z") < place("tau") && place("tau") < place("p") && place("p") < place("share"), "{resolved}");
    // Without the experiment: the model file knows the supports.
    std::fs::remove_file(path).expect("removed");
    let model = "runs/written/student.safetensors";
    run(&["sample", model, "-n", "500", "--log-prob", "-o", "draws.csv"]);
    let text = String::from_utf8(read(folder.path().join("draws.csv"))).expect("text");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("z,tau,p[0],p[1],p[2],share,a[0],a[1],log_prob"));
    let rows: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').map(|cell| cell.parse().expect("a number")).collect()).collect();
    for row in &rows {
        assert!(row[1] > 0.0 && row[5] > 0.0 && row[5] < 1.0 && row[6] > 0.0 && row[7] > 0.0, "{row:?}");
        assert!((row[2] + row[3] + row[4] - 1.0).abs() < 1e-12, "{row:?}");
    }
    // The log density of the values, asked for again; an added column does not disturb.
    let again = run(&["log-prob", model, "draws.csv"]);
    for (line, row) in again.lines().skip(1).zip(&rows) {
        let value: f64 = line.parse().expect("a number");
        assert!((value - row[8]).abs() < 1e-5, "{value} {row:?}");
    }
    std::fs::write(
        folder.path().join("outside.csv"),
        "z,tau,p[0],p[1],p[2],share,a[0],a[1]\n0,-1,0.2,0.3,0.5,0.5,1,1\n",
    )
    .expect("written");
    assert_eq!(run(&["log-prob", model, "outside.csv"]), "log_prob\n-inf\n");
    let free = run(&["sample", model, "-n", "3", "--unconstrained"]);
    assert!(free.starts_with("z,log(tau),stick(p[0]),stick(p[1]),logit(share),log(a[0]),log(a[1])\n"), "{free}");

    // Draws from elsewhere are values of the parameters too.
    let with_reference = WRITTEN.replace("(draws: 2000)", "(draws: 2000, reference: \"draws.csv\")");
    std::fs::write(folder.path().join("again.ron"), &with_reference).expect("written");
    let report = run(&["run", "again.ron", "--out", "others"]);
    assert!(report.contains("forward ESS/N"), "{report}");
    std::fs::write(folder.path().join("draws.csv"), "z,tau,p[0],p[1],p[2],share,a[0],a[1]\n0,-1,0.2,0.3,0.5,0.5,1,1\n")
        .expect("written");
    let output = flowdistill(folder.path()).args(["check", "again.ron"]).output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("evaluation.reference, row 1: `tau` is outside its support Positive"), "{error}");
}

#[test]
fn faults_of_a_written_density_are_shown_in_place() {
    for (from, to, fragments) in [
        ("gamma(2, 1)", "gama(2, 1)", &["did you mean `gamma`?", "tau ~ gama(2, 1)", "^^^^"][..]),
        ("\"z\": Real", "\"z\": Rael", &["did you mean `Real`?"]),
        ("\"tau\": Positive", "\"z\": Positive", &["`z` occurs twice"]),
        ("Simplex(3)", "Simplex(1)", &["parameter `p`", "Simplex(1)"]),
        ("Interval(0, 1)", "Interval(1, 0)", &["parameter `share`"]),
        ("Vector([1, 2, 4])", "Csv(path: \"none.csv\", column: \"y\")", &["data `y`", "none.csv"]),
        ("y ~ normal", "y[9] ~ normal", &["the index is 9; 0 to 2"]),
    ] {
        let (folder, _) = folder_with("written.ron", &WRITTEN.replace(from, to));
        let output = flowdistill(folder.path()).args(["check", "written.ron"]).output().expect("run");
        let error = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(2), "{to}: {error}");
        for fragment in fragments {
            assert!(error.contains(fragment), "{to}: {error}");
        }
    }
}

/// A table with a constant, a twin, a bound, whole numbers and a row far out.
fn odd_table() -> String {
    let rows = (0..900).map(|i| {
        let x = f64::from(i);
        let (wave, place) = ((12.9898 * x).sin() * 43_758.545_3, (78.233 * x).sin() * 12_543.123);
        let (u, v) = ((wave - wave.floor()).max(1e-9), place - place.floor());
        let a = if i == 17 { 1e6 } else { (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() };
        let waiting = -(v * 0.999 + 0.0005).ln();
        format!("{a},7,{a},{waiting},{}\n", i % 7)
    });
    format!("a,same,twin,waiting,day\n{}", rows.collect::<String>())
}

#[test]
fn what_is_odd_about_a_table_is_said_and_new_deals_with_it() {
    let (folder, _) = folder_with("table.csv", &odd_table());
    flowdistill(folder.path()).args(["new", "mine.ron", "--data", "table.csv", "-q"]).assert().success();
    let text = String::from_utf8(read(folder.path().join("mine.ron"))).expect("text");
    for part in [
        "columns: [\"a\", \"waiting\", \"day\"]",
        "// left out: `same` is 7 in every row",
        "// left out: `twin` equals `a` in every row",
        "Log(column: \"waiting\", above: 0.0)",
        "Logit(column: \"day\", low: -0.5, high: 6.5)",
        "row 18: `a` is 1000000",
        "integers: [\"day\"]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Only the row is left to tell of.
    let output = flowdistill(folder.path()).args(["check", "mine.ron"]).output().expect("check");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("warning      far outside: row 18: `a` is 1000000") && !out.contains("waiting`"), "{out}");
    let output = flowdistill(folder.path()).args(["check", "mine.ron", "--json"]).output().expect("check");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    let found = json["findings"].as_array().expect("findings");
    let outliers = found.iter().find(|finding| finding["kind"] == "outliers").expect("the row");
    assert_eq!((&outliers["values"][0]["row"], &outliers["values"][0]["column"]), (&18.into(), &"a".into()));

    let quick = ["--set", "stages.0.steps=20", "--set", "stages.1.training.steps=20", "--set", "evaluation.draws=500"];
    let mut run = flowdistill(folder.path());
    run.args(["run", "mine.ron", "--set", "evaluation.compare=false", "--set", "data.transforms=[]"]).args(quick);
    let output = run.output().expect("run");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(err.contains("data: far outside: row 18") && err.contains("`waiting` stays above 0"), "{err}");
    let report = String::from_utf8(read(folder.path().join("runs/mine/report.md"))).expect("text");
    assert!(report.contains("- data: far outside: row 18"), "{report}");
    let json: serde_json::Value =
        serde_json::from_slice(&read(folder.path().join("runs/mine/run.json"))).expect("json");
    assert!(json["findings"].as_array().is_some_and(|findings| findings.len() >= 3), "{json}");
}

#[test]
fn new_says_which_cell_it_cannot_read() {
    let (folder, _) = folder_with("table.csv", "time,b\n13:42,2\n13:50,4\n14:01,3\n");
    let output = flowdistill(folder.path()).args(["new", "mine.ron", "--data", "table.csv"]).output().expect("new");
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("line 2, column `time` holds `13:42`"), "{err}");
}

#[test]
fn check_says_along_what_a_density_does_not_fall_and_that_data_of_a_target_are_numbers() {
    let (folder, _) = folder_with("y.csv", "y\n1\n\"NA\"\n");
    let check = |text: &str| {
        std::fs::write(folder.path().join("it.ron"), text).expect("written");
        let output = flowdistill(folder.path()).args(["check", "it.ron"]).output().expect("check");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let flat = check("(target: Expression(parameters: {\"a\": Real, \"b\": Real}, log_density: \"a ~ normal(0, 1)\"))");
    assert!(flat.contains("does not fall along b,"), "{flat}");
    let fine = check("(target: Expression(parameters: {\"a\": Real}, log_density: \"a ~ cauchy(0, 1)\"))");
    assert!(fine.contains("whitened by") && !fine.contains("does not fall"), "{fine}");
    let missing = check(
        "(target: Expression(parameters: {\"a\": Real}, data: {\"y\": Csv(path: \"y.csv\", column: \"y\")}, log_density: \"y ~ normal(a, 1)\"))",
    );
    assert!(missing.contains("line 3") && !missing.contains("missing: Drop"), "{missing}");
    let seed = check("(target: Banana(), seed: -1)");
    assert!(seed.contains("`-1` is below what this number may be"), "{seed}");
}

#[test]
fn a_table_in_which_nothing_varies_is_refused() {
    let (folder, _) = folder_with("table.csv", "a,b\n1,2\n1,2\n1,2\n");
    let output = flowdistill(folder.path()).args(["new", "mine.ron", "--data", "table.csv"]).output().expect("new");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("that varies; at least one is right"));
}
