//! Runs of an experiment, and what they leave, so that two of them can be compared byte by byte.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("flowdistill")
}

/// A run of the experiment in `folder`, whose words can be read.
pub fn flowdistill(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.current_dir(folder).args(["run", "it.ron"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it said on standard error.
pub fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run that nobody disturbs comes to.
pub fn left_alone(text: &str, arguments: &[&str]) -> Vec<(String, Vec<u8>)> {
    let folder = folder_with(text);
    let output = flowdistill(folder.path(), arguments).arg("-q").output().expect("run");
    assert!(output.status.success(), "{}", words(&output));
    results(folder.path())
}

/// A folder with an experiment, `it.ron`.
pub fn folder_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("it.ron"), text).expect("written");
    folder
}

/// What no two runs have in common.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            ["seconds", "target_seconds", "started_unix", "threads", "throughput", "command"].iter().for_each(
                |of_time| {
                    map.remove(*of_time);
                },
            );
            map.values_mut().for_each(without_times);
        }
        Value::Array(list) => list.iter_mut().for_each(without_times),
        _ => {}
    }
}

/// Everything that the run in `folder` leaves, but for its times; its record must name the checksums of what is there.
pub fn results(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let run = folder.join("runs/it");
    let names = [
        "draws.npy",
        "metrics.jsonl",
        "teacher.safetensors",
        "student.safetensors",
        "looks.safetensors",
        "resolved.ron",
    ];
    let read = |name: &str| (name.to_string(), std::fs::read(run.join(name)).unwrap_or_default());
    let mut all: Vec<_> = names.into_iter().map(read).collect();
    let text = std::fs::read(run.join("run.json")).expect("run.json");
    let mut record: Value = serde_json::from_slice(&text).expect("JSON");
    let files = record["files"].as_object_mut().expect("checksums");
    // Its own is over the times that it tells, too.
    assert!(files.remove("run.json").is_some());
    for (name, checksum) in files.iter() {
        let found = blake3::hash(&std::fs::read(run.join(name)).expect("a file of the record")).to_hex();
        assert_eq!(checksum, &format!("blake3:{found}"), "{name}");
    }
    assert!(files.remove("report.md").is_some(), "it tells times as well");
    without_times(&mut record);
    all.push(("run.json".into(), record.to_string().into_bytes()));
    all
}

/// Refuses a run that has come to something else.
pub fn assert_same(found: &[(String, Vec<u8>)], right: &[(String, Vec<u8>)], how: &str) {
    for ((name, found), (_, right)) in found.iter().zip(right) {
        assert!(found == right, "{name} is not that of the run which was left alone, {how}");
    }
}

/// Refuses what a run that was cut had not finished writing, once another has gone on.
pub fn assert_tidy(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("runs/it")).expect("a run").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with(".flowdistill-") && !name.starts_with(".next-"), "{name} is left");
    }
}
