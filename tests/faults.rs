//! Runs whose every call to the system may fail or be their last: they end with a line, and go on to what they would have come to.
#![cfg(target_os = "linux")]

#[path = "common/runs.rs"]
mod runs;

use runs::{assert_same, assert_tidy, flowdistill, folder_with, left_alone, program, results, words};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// All kinds of stages, each of them short.
const STAGES: &str = r#"(
    name: "it",
    target: Banana(),
    teacher: (layers: 1, hidden: [8], transformer: Spline(bins: 4)),
    student: LikeTeacher,
    stages: [
        Sample(method: Smc(islands: 2, particles: 64), draws: 500),
        MaximumLikelihood(steps: 100, batch: 64, validate_every: 100, patience: 0),
        ReverseKl(against: Teacher, training: (steps: 100, batch: 32, rounds: None, until: None)),
        ReverseKl(against: Target, forward: 0.5, anneal: (ess: 0.7), training: (steps: 100, batch: 32, rounds: None, until: None)),
    ],
    evaluation: (draws: 500),
)"#;

/// One that plans itself.
const AUTO: &str = r#"(name: "it", target: Banana(), evaluation: (draws: 500))"#;

/// One that plans itself and is content with the first that it tries, at once.
const CONTENT: &str = r#"(name: "it", target: Gaussian(dim: 2), evaluation: (draws: 500))"#;

/// Calls before which a run may be killed.
const WRITING: [&str; 12] = [
    "openat",
    "mkdir",
    "write",
    "fallocate",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "rmdir",
];
/// Others that may fail.
const READING: [&str; 7] = ["read", "lseek", "statx", "newfstatat", "getdents64", "fstatfs", "flock"];

const ERRORS: [&str; 3] = ["EIO", "EACCES", "ENOSPC"];

/// A whole run, which says nothing but what is wrong.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    flowdistill(folder, arguments).arg("-q").output().expect("run")
}

/// Refuses an end that is not a line and exit code 1.
fn assert_line(output: &Output, how: &str) {
    let said = words(output);
    assert_eq!(output.status.code(), Some(1), "{how}: {said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{how}: {said}");
}

/// Tries all points, and tells of all that are wrong.
fn each_point<P>(all: impl IntoIterator<Item = P>, mut tries: impl FnMut(P)) {
    let mut wrong = Vec::new();
    for point in all {
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tries(point)));
        if let Err(words) = tried {
            wrong.push(words.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into()));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Goes on without any fault, and refuses anything but the right results.
fn goes_on(folder: &Path, arguments: &[&str], right: &[(String, Vec<u8>)], how: &str) {
    let output = run(folder, &[&["--resume"], arguments].concat());
    assert!(output.status.success(), "{how}: {}", words(&output));
    assert_same(&results(folder), right, how);
    assert_tidy(folder);
}

/// Whether calls can be made to fail here; says so where they cannot.
fn can_trace() -> bool {
    let able = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
    let able = able.is_ok_and(|output| output.status.success());
    if !able {
        println!("SKIPPED: strace is not here, or may not trace");
    }
    able
}

/// A run under strace, with a fault if there is one; what it did to its folder is in `log` then, by thread and in order.
fn traced(folder: &Path, calls: &[&str], fault: Option<&str>, arguments: &[&str]) -> (Output, String) {
    let log = folder.join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "signal=none", "-o"]).arg(&log).arg("-e");
    command.arg(format!("trace={}", calls.join(",")));
    if let Some(fault) = fault {
        command.args(["-e", &format!("inject={fault}")]);
    }
    command.arg(program()).args(["run", "it.ron", "-q", "--threads", "1", "--checkpoint-every", "0"]).args(arguments);
    let output = command.current_dir(folder).stdin(Stdio::null()).output().expect("strace");
    (output, std::fs::read_to_string(&log).expect("a log"))
}

/// A call: its name, and its place among those of its thread that have this name.
type Point = (String, usize);

/// The calls of a log that concern the folder of runs.
fn points(log: &str) -> Vec<Point> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut found = Vec::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        if !name.bytes().all(|c| c.is_ascii_alphanumeric()) {
            continue;
        }
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        if concerns_runs(rest) {
            found.push((name.to_string(), *count));
        }
    }
    found
}

fn concerns_runs(call: &str) -> bool {
    call.contains("runs/it") || call.contains("\"runs\"")
}

/// Of `all`, every `each`-th.
fn some(all: Vec<Point>, each: usize) -> Vec<Point> {
    all.into_iter().step_by(each).collect()
}

/// Kills a run at each `each`-th of its calls, at every second point twice in a row, and has it go on; how many were killed.
fn killed_at(text: &str, each: usize) -> usize {
    let right = left_alone(text, &[]);
    let whole = folder_with(text);
    let (_, log) = traced(whole.path(), &WRITING, None, &[]);
    assert_same(&results(whole.path()), &right, "under strace");
    let mut killed = 0;
    each_point(some(points(&log), each).into_iter().enumerate(), |(turn, (name, place))| {
        let folder = folder_with(text);
        let fault = format!("{name}:signal=KILL:when={place}");
        for _ in 0..1 + turn % 2 {
            let (output, _) = traced(folder.path(), &WRITING, Some(&fault), &["--resume"]);
            killed += usize::from(!output.status.success());
            assert!(output.status.success() || output.status.code().is_none(), "{fault}: {}", words(&output));
        }
        goes_on(folder.path(), &[], &right, &format!("killed at {fault}"));
    });
    killed
}

/// What a fault came to.
#[derive(Debug, Default)]
struct Tally {
    /// The run ended with a line.
    told: usize,
    /// It did not need the call.
    unharmed: usize,
    /// The fault hit something that is not of the run's folder.
    elsewhere: usize,
}

/// Runs in copies of `from` with each of `errors` at each `each`-th call that is made there; after each that fails, `after` sees the folder.
fn failed_at(
    from: &Path,
    arguments: &[&str],
    (errors, each): (&[&str], usize),
    right: &[(String, Vec<u8>)],
    after: &dyn Fn(&Path, &str),
) -> Tally {
    let copy = || {
        let folder = tempfile::tempdir().expect("a folder");
        let copied = Command::new("cp").arg("-r").arg(from.join(".")).arg(folder.path()).status().expect("cp");
        assert!(copied.success());
        folder
    };
    let calls = [&WRITING[..], &READING[..]].concat();
    let whole = copy();
    let (output, log) = traced(whole.path(), &calls, None, arguments);
    assert!(output.status.success(), "{}", words(&output));
    let mut tally = Tally::default();
    let all = some(points(&log), each);
    let all = all.iter().flat_map(|point| errors.iter().map(move |error| (point, error)));
    each_point(all, |((name, place), error)| {
        let folder = copy();
        let fault = format!("{name}:error={error}:when={place}");
        let (output, log) = traced(folder.path(), &calls, Some(&fault), arguments);
        // Each thread counts for itself. Of the main one that may be the dynamic loader's call, or the write of the line that says what is wrong.
        let hit: Vec<&str> = log.lines().filter(|line| line.contains("(INJECTED)")).collect();
        let silent = hit.iter().any(|line| line.contains(" write(2<"));
        let (Some(line), 1) = (hit.first().filter(|line| concerns_runs(line)), hit.len() - usize::from(silent)) else {
            tally.elsewhere += 1;
            return;
        };
        let how = format!("{fault}, {line}");
        if output.status.success() {
            tally.unharmed += 1;
            assert_same(&results(folder.path()), right, &how);
            return;
        }
        tally.told += 1;
        match silent {
            true => assert_eq!(output.status.code(), Some(1), "{how}"),
            false => assert_line(&output, &how),
        }
        after(folder.path(), &how);
    });
    tally
}

/// A run that begins.
fn fails_at_its_beginning(text: &str, which: (&[&str], usize)) -> Tally {
    let right = left_alone(text, &[]);
    let folder = folder_with(text);
    failed_at(folder.path(), &[], which, &right, &|folder, how| goes_on(folder, &[], &right, how))
}

/// A run that goes on.
fn fails_when_it_goes_on(text: &str, which: (&[&str], usize)) -> Tally {
    let right = left_alone(text, &[]);
    let folder = folder_with(text);
    // Killed when the last of its checkpoints but one is there.
    let (_, log) = traced(folder.path(), &WRITING, None, &[]);
    std::fs::remove_dir_all(folder.path().join("runs")).expect("removed");
    let last = points(&log).into_iter().rfind(|(name, _)| name == "rename").expect("renamed");
    let fault = format!("{}:signal=KILL:when={}", last.0, last.1);
    assert!(traced(folder.path(), &WRITING, Some(&fault), &[]).0.status.code().is_none());
    let checkpoints = |folder: &Path| {
        let list = std::fs::read_dir(folder.join("runs/it/checkpoint")).expect("checkpoints").flatten();
        list.filter(|entry| entry.file_name().to_string_lossy().starts_with("00")).count()
    };
    let there = checkpoints(folder.path());
    failed_at(folder.path(), &["--resume"], which, &right, &|folder, how| {
        assert!(checkpoints(folder) >= there, "what was done is gone: {how}");
        goes_on(folder, &[], &right, how);
    })
}

/// A run that replaces another.
fn fails_when_it_replaces(text: &str, which: (&[&str], usize)) -> Tally {
    let old = left_alone(text, &[]);
    let new = left_alone(text, &["--seed", "2"]);
    let folder = folder_with(text);
    assert!(run(folder.path(), &[]).status.success());
    failed_at(folder.path(), &["--seed", "2", "--force"], which, &new, &|folder, how| {
        let place = folder.join("runs/it");
        let moving = place.join(".taking").exists() || place.join(".taken").exists();
        let mut seed = None;
        if !moving {
            let text = std::fs::read(place.join("run.json")).expect("a record");
            let record: Value = serde_json::from_slice(&text).expect("JSON");
            seed = record["seed"].as_u64();
            // Of the new one files may lie beside the record of the stage before, which names other checksums: it is gone on with below.
            if seed != Some(2) {
                assert_same(&results(folder), &old, how);
            }
        }
        // As the user would: where the new run has not begun, there is nothing to go on with.
        let begun = moving || place.join(".beside/checkpoint/begin.ckpt").exists() || seed == Some(2);
        let how_to = if begun { "--resume" } else { "--force" };
        let output = run(folder, &[how_to, "--seed", "2"]);
        assert!(output.status.success(), "{how}: {}", words(&output));
        assert_same(&results(folder), &new, how);
    })
}

/// A longer run of the same kinds of stages.
fn longer() -> String {
    STAGES.replace("steps: 100, batch: 32", "steps: 100000, batch: 32")
}

#[test]
fn a_folder_that_vanishes_ends_the_run_with_a_line() {
    let folder = folder_with(&longer());
    let mut command = Command::new(program());
    command.current_dir(folder.path()).args(["run", "it.ron", "-q", "--checkpoint-every", "0.1"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
    let runs = folder.path().join("runs");
    let begun = std::time::Instant::now();
    while !runs.join("it/checkpoint/now.ckpt").exists() {
        assert!(begun.elapsed().as_secs() < 60, "no checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // A draft may come into being while it is removed.
    while std::fs::remove_dir_all(&runs).is_err() && runs.exists() {}
    assert_line(&child.wait_with_output().expect("ended"), "its folder has vanished");
}

#[test]
fn what_is_no_folder_or_may_not_be_written_is_told() {
    let folder = folder_with(STAGES);
    std::fs::write(folder.path().join("runs"), "a file").expect("written");
    assert_line(&run(folder.path(), &[]), "a file in place of the folder");
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).expect("made");
    let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o555);
    std::fs::set_permissions(&locked, read_only).expect("locked");
    if std::fs::write(locked.join("probe"), "").is_ok() {
        println!("SKIPPED: whoever runs this may write anywhere");
        return;
    }
    assert_line(&run(folder.path(), &["--out", "locked"]), "a folder that may not be written");
}

/// Files that may not become longer than so many KiB: all calls that write beyond fail.
#[test]
fn a_run_that_finds_no_room_goes_on_when_there_is_some() {
    let right = left_alone(STAGES, &[]);
    for most in [0, 1, 2, 3, 6, 9, 12, 16] {
        let folder = folder_with(STAGES);
        let limited = format!("trap '' XFSZ; ulimit -f {most}; exec \"$0\" run it.ron -q");
        let mut command = Command::new("bash");
        command.args(["-c", &limited]).arg(program()).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output().expect("bash");
        if !output.status.success() {
            assert_line(&output, &format!("files of at most {most} KiB"));
        }
        goes_on(folder.path(), &[], &right, &format!("files of at most {most} KiB"));
    }
}

/// A disk of so many KiB, which is enlarged later; only where we may mount one.
#[test]
fn a_full_disk_ends_the_run_with_a_line_and_a_larger_one_lets_it_go_on() {
    let right = left_alone(STAGES, &[]);
    for size in [16, 32, 64] {
        let folder = folder_with(STAGES);
        std::fs::create_dir(folder.path().join("runs")).expect("made");
        let steps = format!(
            "mount -t tmpfs -o size={size}k disk runs || exit 99
             \"$0\" run it.ron -q 2>said; echo $? >code
             mount -o remount,size=16m runs && \"$0\" run it.ron -q --resume && cp -r runs/it kept"
        );
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &steps]).arg(program()).current_dir(folder.path());
        let Ok(output) = command.stdin(Stdio::null()).output() else { return println!("SKIPPED: no unshare") };
        if output.status.code() == Some(99) || !folder.path().join("code").exists() {
            return println!("SKIPPED: nothing may be mounted here");
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("kept");
        let (code, said) = (read("code"), read("said"));
        assert!(code == "1\n" && said.starts_with("error: ") && said.lines().count() == 1, "{size} KiB: {code}{said}");
        assert!(output.status.success(), "{size} KiB: {}", words(&output));
        std::fs::rename(folder.path().join("kept"), folder.path().join("runs/it")).expect("moved");
        assert_same(&results(folder.path()), &right, &format!("after a disk of {size} KiB"));
    }
}

/// Bits that change on the disk while a run lies still: what they are in is made again, to the same.
#[test]
fn what_was_damaged_is_made_again() {
    let right = left_alone(CONTENT, &[]);
    let folder = folder_with(CONTENT);
    assert!(run(folder.path(), &[]).status.success());
    let damage = |name: &str| {
        let path = folder.path().join("runs/it").join(name);
        let mut bytes = std::fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("written");
    };
    for names in [
        &["student.safetensors"][..],
        &["looks.safetensors"],
        &["resolved.ron"],
        &["metrics.jsonl"],
        &["report.md"],
        &["run.json"],
        // Of one whose checkpoint is damaged too, its training is taken from the beginning.
        &["metrics.jsonl", "run.json"],
        &["checkpoint/0000.ckpt", "student.safetensors"],
    ] {
        names.iter().for_each(|name| damage(name));
        goes_on(folder.path(), &[], &right, &format!("{names:?} damaged"));
    }
}

#[test]
fn a_handful_of_calls_that_fail_or_are_the_last() {
    if !can_trace() {
        return;
    }
    assert!(killed_at(STAGES, 37) > 3);
    let few: (&[&str], usize) = (&ERRORS[..1], 37);
    for tally in
        [fails_at_its_beginning(STAGES, few), fails_when_it_goes_on(STAGES, few), fails_when_it_replaces(STAGES, few)]
    {
        assert!(tally.told + tally.unharmed > 2, "{tally:?}");
    }
}

/// SIGKILL before every call that writes (ten minutes).
#[test]
#[ignore = "ten minutes"]
fn runs_killed_at_every_call_are_the_runs_that_were_left_alone() {
    if can_trace() {
        // One that plans itself takes twenty times as long, by calls that are much alike.
        for (text, each) in [(STAGES, 1), (AUTO, 11)] {
            println!("{} kills", killed_at(text, each));
        }
    }
}

/// EIO, EACCES and ENOSPC at every call (a quarter of an hour).
#[test]
#[ignore = "a quarter of an hour"]
fn runs_whose_calls_fail_end_with_a_line_and_go_on() {
    if can_trace() {
        let all: (&[&str], usize) = (&ERRORS, 1);
        println!("replacing: {:?}", fails_when_it_replaces(STAGES, all));
        println!("beginning: {:?}", fails_at_its_beginning(STAGES, all));
        println!("going on: {:?}", fails_when_it_goes_on(STAGES, all));
    }
}

/// The same in runs that plan themselves: every call of one that is content with its first attempt, some of one that tries again.
#[test]
#[ignore = "a quarter of an hour"]
fn runs_that_plan_themselves_and_whose_calls_fail_go_on_too() {
    if can_trace() {
        for (name, text, which) in [("content", CONTENT, (&ERRORS[..], 1)), ("trying again", AUTO, (&ERRORS[..1], 17))]
        {
            println!("{name}, replacing: {:?}", fails_when_it_replaces(text, which));
            println!("{name}, beginning: {:?}", fails_at_its_beginning(text, which));
            println!("{name}, going on: {:?}", fails_when_it_goes_on(text, which));
        }
    }
}
