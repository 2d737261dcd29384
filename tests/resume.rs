//! Runs that are cut at any time and go on: the same to the last bit as one that was left alone; one owner at a time; signals.
#![cfg(unix)]

#[path = "common/runs.rs"]
mod runs;

use runs::{assert_same, assert_tidy, flowdistill, folder_with, left_alone, program, results, words};
use rustix::process::{kill_process, Pid, Signal};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// All kinds of stages.
const STAGES: &str = r#"(
    name: "it",
    target: Banana(),
    teacher: (layers: 2, hidden: [16], transformer: Spline(bins: 4)),
    student: LikeTeacher,
    stages: [
        Sample(method: Smc(islands: 2, particles: 256), draws: 2000),
        MaximumLikelihood(steps: 15000, batch: 64, validate_every: 100, patience: 0),
        ReverseKl(against: Teacher, training: (steps: 15000, batch: 32, rounds: (first: 100, second: 14900), until: (ess: 0.99999))),
        ReverseKl(against: Target, forward: 0.5, anneal: (ess: 0.7), training: (steps: 6000, batch: 32, rounds: None, until: None)),
    ],
    evaluation: (draws: 2000),
)"#;

/// A run that plans itself.
const AUTO: &str = r#"(name: "it", target: Funnel(dim: 10), evaluation: (draws: 2000))"#;

fn send(child: &Child, signal: Signal) {
    // One that has ended already cannot be told anything.
    let _ = kill_process(Pid::from_child(child), signal);
}

/// A run that has come to a line on standard error.
fn started(folder: &Path, arguments: &[&str], line: &str) -> Child {
    let mut child = flowdistill(folder, arguments).spawn().expect("started");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|found| found.contains(line));
    assert!(found, "it never came to {line:?}");
    // What it says later must not stop it.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Waits for something to be so; false if the process ended before.
fn comes_to(child: &mut Child, mut so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if so() {
            return true;
        }
        if child.try_wait().expect("a state").is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What begins each training.
const TRAININGS: [&str; 3] = ["teacher, maximum likelihood: ", "against the teacher: ", "and forward KL on data: "];

#[test]
fn a_run_that_is_killed_in_every_stage_is_the_run_that_was_left_alone() {
    let right = left_alone(STAGES, &[]);
    let folder = folder_with(STAGES);
    let now = folder.path().join("runs/it/checkpoint/now.ckpt");
    for (threads, training) in ["1", "2", "3"].iter().zip(TRAININGS) {
        let mut child = started(folder.path(), &["--resume", "--threads", threads], training);
        send(&child, Signal::USR1);
        assert!(comes_to(&mut child, || now.exists()), "no checkpoint of {training}");
        child.kill().expect("killed");
        child.wait().expect("ended");
        // And once more before it comes to anything.
        let mut child = flowdistill(folder.path(), &["--resume", "-q"]).spawn().expect("started");
        std::thread::sleep(Duration::from_millis(5));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    let output = flowdistill(folder.path(), &["--resume"]).output().expect("run");
    assert!(output.status.success() && words(&output).contains("going on after"), "{}", words(&output));
    assert_same(&results(folder.path()), &right, "after it was killed in every stage");
    assert_tidy(folder.path());

    let output = flowdistill(folder.path(), &["--resume"]).output().expect("run");
    assert!(output.status.success() && words(&output).contains("is finished"), "{}", words(&output));
    let output = flowdistill(folder.path(), &["--resume", "--set", "stages.1.batch=65"]).output().expect("run");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("stages.1.MaximumLikelihood.batch was 64") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_run_that_plans_itself_goes_on_too_and_signals_say_how() {
    let right = left_alone(AUTO, &[]);
    // Where others take the processors, a run may be over before its signal is sent; then it is tried again.
    let folder = (0..5).map(|_| folder_with(AUTO)).find(|folder| is_stopped_by_each_signal(folder.path()));
    let folder = folder.expect("a run that is still going when its signals come");
    let output = flowdistill(folder.path(), &["--resume", "--threads", "1"]).output().expect("run");
    assert!(output.status.success(), "{}", words(&output));
    assert_same(&results(folder.path()), &right, "after three signals");
}

/// Whether we were started by `nohup` or its like: what we start does not end by SIGHUP then, and should not.
fn ignores_hanging_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    ignored.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Stops the run in a folder by one signal after another; false if it was over before.
fn is_stopped_by_each_signal(folder: &Path) -> bool {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        if signal == Signal::HUP && ignores_hanging_up() {
            continue;
        }
        let mut child = flowdistill(folder, &["--resume"]).spawn().expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        if !lines.by_ref().map_while(Result::ok).any(|line| line.ends_with(" steps")) {
            child.wait().expect("ended");
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
        send(&child, signal);
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let code_found = child.wait().expect("ended").code();
        if code_found == Some(0) && rest.iter().any(|line| line.contains("trusted")) {
            return false;
        }
        assert_eq!(code_found, Some(code), "{rest:?}");
        assert!(
            rest.last().is_some_and(|line| line.contains("go on with: ") && line.ends_with("--resume")),
            "{rest:?}"
        );
    }
    true
}

#[test]
fn stages_take_more_steps_when_asked_and_only_then() {
    let folder = folder_with(STAGES);
    let short = STAGES.replace("steps: 15000", "steps: 300").replace("steps: 6000", "steps: 300");
    std::fs::write(folder.path().join("it.ron"), short.replace("second: 14900", "second: 200")).expect("written");
    assert!(flowdistill(folder.path(), &["-q"]).output().expect("run").status.success());
    let longer = ["--resume", "--set", "stages.3.training.steps=500"];
    let refused = flowdistill(folder.path(), &longer).output().expect("run");
    assert_eq!(refused.status.code(), Some(2));
    assert!(words(&refused).contains("was 300") && words(&refused).contains("--extend"), "{}", words(&refused));
    let output = flowdistill(folder.path(), &[&longer[..], &["--extend"]].concat()).output().expect("run");
    assert!(output.status.success(), "{}", words(&output));
    let record: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("runs/it/run.json")).expect("text")).expect("JSON");
    let steps: Vec<&Value> = record["stages"].as_array().expect("stages").iter().map(|stage| &stage["steps"]).collect();
    assert_eq!(steps[1..], [300, 300, 500]);
    let metrics = std::fs::read_to_string(folder.path().join("runs/it/metrics.jsonl")).expect("metrics");
    let of_last = metrics.lines().filter(|line| line.contains("forward KL on data")).count();
    assert_eq!(of_last, 50, "each tenth step once");
}

#[test]
fn a_folder_has_one_owner_until_it_ends() {
    let text = STAGES.replace("steps: 15000", "steps: 400").replace("second: 14900", "second: 300");
    for _ in 0..3 {
        let folder = folder_with(&text);
        let pair = [(); 2].map(|()| flowdistill(folder.path(), &["-q", "--resume"]).spawn().expect("started"));
        let ends = pair.map(|child| child.wait_with_output().expect("ended"));
        let codes = ends.each_ref().map(|end| end.status.code());
        assert!(codes.contains(&Some(0)), "{codes:?}");
        if let Some(other) = ends.iter().find(|end| !end.status.success()) {
            let said = words(other);
            assert!(other.status.code() == Some(2) && said.contains("another run is at work"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    let folder = folder_with(STAGES);
    let mut owner = started(folder.path(), &[], TRAININGS[0]);
    let other = flowdistill(folder.path(), &["--force"]).output().expect("run");
    assert_eq!(other.status.code(), Some(2));
    owner.kill().expect("killed");
    owner.wait().expect("ended");
    assert!(flowdistill(folder.path(), &["-q", "--force"]).output().expect("run").status.success());
}

#[test]
fn a_run_is_kept_until_a_stage_of_the_one_that_replaces_it_is_there() {
    let short = STAGES.replace("steps: 15000", "steps: 200").replace("steps: 6000", "steps: 200");
    let short = short
        .replace("second: 14900", "second: 100")
        .replace("Sample(method: Smc(islands: 2, particles: 256), draws: 2000),", "");
    let short = short.replace("teacher: (", "data: (source: Draws(rows: 2000)), teacher: (");
    let folder = folder_with(&short);
    assert!(flowdistill(folder.path(), &["-q"]).output().expect("run").status.success());
    std::fs::write(folder.path().join("runs/it/notes.txt"), "mine").expect("written");
    let before = results(folder.path());
    let longer = ["--force", "--set", "stages.0.steps=1000000", "--set", "stages.0.rate.peak=1e-4"];
    let mut child = started(folder.path(), &longer, TRAININGS[0]);
    send(&child, Signal::TERM);
    assert_eq!(child.wait().expect("ended").code(), Some(143));
    assert_same(&results(folder.path()), &before, "though another has begun");
    // It was cut inside of its first stage and goes on there.
    let beside = folder.path().join("runs/it/.beside");
    assert!(beside.join("checkpoint/now.ckpt").exists());
    let mut child = started(folder.path(), &[&["--resume"], &longer[1..]].concat(), "going on after");
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(flowdistill(folder.path(), &["-q", "--force"]).output().expect("run").status.success());
    assert_same(&results(folder.path()), &before, "though it is the same again");
    assert!(!beside.exists() && folder.path().join("runs/it/notes.txt").exists());

    // The disk is full at the first write.
    let full = format!("ulimit -f 0; exec {} run it.ron --force", program().display());
    let output = Command::new("bash")
        .args(["-c", &format!("trap '' XFSZ; {full}")])
        .current_dir(folder.path())
        .output()
        .expect("run");
    let said = words(&output);
    assert_eq!((output.status.code(), said.matches("error: ").count()), (Some(1), 1), "{said}");
    assert_same(&results(folder.path()), &before, "though another could not begin");
}

#[test]
fn metrics_can_be_watched_and_what_they_told_is_left_by_a_run_that_is_killed() {
    let folder = folder_with(STAGES);
    let mut child = flowdistill(folder.path(), &["-q"]).spawn().expect("started");
    let read = || std::fs::read_to_string(folder.path().join("runs/it/metrics.jsonl")).unwrap_or_default();
    assert!(comes_to(&mut child, || read().lines().count() > 1), "nothing while it goes on");
    child.kill().expect("killed");
    child.wait().expect("ended");
    let metrics = read();
    // A kill within a call that writes may cut the last line, nothing before it.
    let (whole, _) = metrics.rsplit_once('\n').expect("whole lines");
    assert!(whole.lines().count() > 1);
    whole.lines().for_each(|line| assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}"));
}

#[test]
fn drawing_that_is_ended_leaves_nothing_behind() {
    let folder = folder_with(
        r#"(name: "it", target: Funnel(dim: 2), student: Flow(layers: 1, hidden: [4]), stages: [ReverseKl(against: Target, training: (steps: 5))], evaluation: (draws: 2000))"#,
    );
    assert!(flowdistill(folder.path(), &["-q"]).output().expect("run").status.success());
    let arguments = ["sample", "runs/it/student.safetensors", "-n", "1000000000", "-o", "draws.csv"];
    let listing = || std::fs::read_dir(folder.path()).expect("listed").count();
    for signals in [1, 2] {
        let mut command = Command::new(program());
        let command = command.current_dir(folder.path()).args(arguments).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        assert!(comes_to(&mut child, || listing() == 3));
        std::thread::sleep(Duration::from_millis(100));
        (0..signals).for_each(|_| send(&child, Signal::TERM));
        assert_eq!(child.wait().expect("ended").code(), Some(143));
        assert_eq!(listing(), 2, "nothing but the experiment and its run after {signals} signals");
    }
}

#[test]
fn processes_go_when_we_go() {
    // One that hangs, and one that spins and wants to hear of no signal.
    let hangs = "sleep 600 & echo $$ $! > pids; wait";
    let spins = "trap '' INT TERM HUP; while :; do :; done & echo $$ $! > pids; while :; do :; done";
    for (signal, what) in [
        (Signal::KILL, hangs),
        (Signal::TERM, hangs),
        (Signal::HUP, hangs),
        (Signal::INT, spins),
        (Signal::KILL, spins),
    ] {
        let text = format!("(name: \"it\", target: Process(command: [\"sh\", \"-c\", \"{what}\"]))");
        let folder = folder_with(&text);
        let mut child = flowdistill(folder.path(), &["--allow-native"]).spawn().expect("started");
        let pids = folder.path().join("pids");
        let read = || std::fs::read_to_string(&pids).unwrap_or_default();
        assert!(comes_to(&mut child, || read().ends_with('\n')));
        let pids: Vec<Pid> = read().split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
        assert_eq!(pids.len(), 2);
        // They may be there before it is known to us that they are.
        std::thread::sleep(Duration::from_millis(200));
        send(&child, signal);
        child.wait().expect("ended");
        let alive = |pid: &Pid| {
            // One that has ended may wait for somebody to ask how.
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            rustix::process::test_kill_process(*pid).is_ok() && !status.contains(") Z")
        };
        let begun = Instant::now();
        while pids.iter().any(alive) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{signal:?} leaves a process behind");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A number from 0 to 1.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

/// SIGKILL at random times, 100 runs of each experiment, a third of them killed twice (ten minutes); see CONTRIBUTING.md.
#[test]
#[ignore = "ten minutes"]
fn two_hundred_runs_killed_at_random_times_are_the_runs_that_were_left_alone() {
    let mut state = 1;
    for text in [STAGES, AUTO] {
        let begun = Instant::now();
        let right = left_alone(text, &[]);
        let whole = begun.elapsed().as_secs_f64();
        let mut cut = 0;
        for turn in 0..100 {
            let folder = folder_with(text);
            let kills = if turn % 3 == 0 { 2 } else { 1 };
            for _ in 0..kills {
                let threads = (1 + (4.0 * random(&mut state)) as usize).to_string();
                let arguments = ["-q", "--resume", "--checkpoint-every", "0.02", "--threads", &threads];
                let mut child = flowdistill(folder.path(), &arguments).spawn().expect("started");
                std::thread::sleep(Duration::from_secs_f64(whole * random(&mut state)));
                child.kill().expect("killed");
                child.wait().expect("ended");
                cut += usize::from(folder.path().join("runs/it/checkpoint/now.ckpt").exists());
            }
            let output = flowdistill(folder.path(), &["-q", "--resume"]).output().expect("run");
            assert!(output.status.success(), "{}", words(&output));
            assert_same(&results(folder.path()), &right, &format!("turn {turn}"));
        }
        println!("100 of 100 are the same; {cut} kills left a training in the middle");
    }
}

/// 50 pairs of runs in one folder (a minute).
#[test]
#[ignore = "a minute"]
fn of_fifty_pairs_in_one_folder_exactly_one_goes_on() {
    let text = STAGES.replace("steps: 15000", "steps: 2000").replace("second: 14900", "second: 1900");
    for turn in 0..50 {
        let folder = folder_with(&text);
        let pair = [(); 2].map(|()| flowdistill(folder.path(), &["-q"]).spawn().expect("started"));
        let mut codes = pair.map(|child| child.wait_with_output().expect("ended").status.code());
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(2)], "pair {turn}");
    }
}
