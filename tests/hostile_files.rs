//! Files and commands that somebody wrote to hurt: each is refused in a line, soon and in little memory.

#![cfg(unix)]

#[path = "common/npy.rs"]
mod npy;
#[path = "common/spent.rs"]
mod spent;

use assert_cmd::Command;
use npy::npy;
use spent::spent;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// What the program says of `arguments` in `folder`, which it must refuse as bad input within a second and 500 MB.
fn refused(folder: &Path, arguments: &[&str], word: &str) -> String {
    let mut said = tempfile::tempfile().expect("a file");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("flowdistill"));
    // Without it a machine with much memory would let through what this one refuses; it also is what makes a limit of memory testable.
    command.args(["--memory-limit", "500M"]).args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone().expect("a handle"));
    let took = spent(command.spawn().expect("started"), Duration::from_secs(30));
    said.rewind().expect("its beginning");
    let mut error = String::new();
    said.take(1 << 20).read_to_string(&mut error).expect("text");
    if std::env::var_os("FLOWDISTILL_SHOW_COSTS").is_some() {
        println!("{:5.2} s {:4.0} MB  {}", took.seconds, took.megabytes, error.trim_end());
    }
    assert_eq!(took.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(error.contains(word), "{arguments:?}: `{error}` should say `{word}`");
    assert!(error.len() < 10_000, "{arguments:?}: {} bytes of error", error.len());
    // Of a processor's time: others may take the rest of the machine's.
    assert!(took.seconds < 1.0, "{arguments:?}: {} s", took.seconds);
    assert!(took.megabytes < 500.0, "{arguments:?}: {} MB", took.megabytes);
    error
}

/// Refuses the experiment that fits the table in `file`.
fn refused_table(folder: &Path, kind: &str, file: &str, word: &str) -> String {
    let experiment = format!("(name: \"x\", data: (source: {kind}(path: {file:?})))");
    std::fs::write(folder.join("x.ron"), experiment).expect("written");
    refused(folder, &["check", "x.ron"], word)
}

#[test]
fn arrays_of_absurd_shapes_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let million = vec![0; 8_000_000];
    let files: [(&str, &[u8], &str); 7] = [
        ("(0, 1000000000000)", &[], "at most 65536"),
        ("(0, 1000000000000000000)", &[], "at most 65536"),
        ("(1, 1000000)", &million, "at most 65536"),
        ("(0, 100000000)", &[], "at most 65536"),
        ("(1000000000000000000, 3)", &[], "truncated"),
        ("(0, 3)", &[], "at least one row"),
        ("((((((((((((((((((((((((((((((3, 3", &[], "brackets"),
    ];
    for (shape, data, word) in files {
        std::fs::write(folder.path().join("a.npy"), npy("<f8", "False", shape, data)).expect("written");
        refused_table(folder.path(), "Npy", "a.npy", word);
    }
    let long = npy("<f8", "False", &format!("({}, 3)", "9".repeat(60_000)), &[]);
    std::fs::write(folder.path().join("a.npy"), long).expect("written");
    refused_table(folder.path(), "Npy", "a.npy", "");
    std::fs::write(folder.path().join("a.npy"), b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").expect("written");
    refused_table(folder.path(), "Npy", "a.npy", "header of 4294967295 bytes");
}

#[test]
fn tables_that_are_too_wide_too_long_or_unfold_without_end_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    let names: Vec<String> = (0..200_000).map(|i| format!("c{i}")).collect();
    write("wide.csv", format!("{}\n{}\n", names.join(","), vec!["1"; 200_000].join(",")).as_bytes());
    refused_table(folder.path(), "Csv", "wide.csv", "200000 columns; at most 65536");
    // A cell that is quoted is no longer than others, and none of its control characters reaches the terminal.
    write("long.csv", format!("a,b\n1,\u{1b}]0;{}\n", "x".repeat(10_000_000)).as_bytes());
    let error = refused_table(folder.path(), "Csv", "long.csv", "\\u001b]0;x");
    assert!(error.len() < 600, "{error}");
    // A gigabyte in one quoted cell: a file with a hole, which takes no room on the disk.
    let hole = std::fs::File::create(folder.path().join("hole.csv")).expect("a file");
    (&hole).write_all(b"a,b\n1,\"").expect("written");
    hole.set_len(1 << 30).expect("a hole");
    refused_table(folder.path(), "Csv", "hole.csv", "longer than");
    let mut lines = std::fs::File::create(folder.path().join("quoted.csv")).expect("a file");
    lines.write_all(b"a,b\n1,\"").expect("written");
    (0..80).for_each(|_| lines.write_all(&b"xxxxxxxxxxxxxxx\n".repeat(1 << 16)).expect("written"));
    refused_table(folder.path(), "Csv", "quoted.csv", "may not be closed");
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(b"a,b\n").expect("written");
    (0..50).for_each(|_| bomb.write_all(&b"1.5,2.5\n".repeat(1 << 16)).expect("written"));
    write("bomb.csv.gz", &bomb.finish().expect("finished"));
    refused_table(folder.path(), "Csv", "bomb.csv.gz", "unfolds from");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(folder.path().join("bomb.npz")).expect("a file"));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("a.npy", options).expect("an entry");
    archive.write_all(&npy("<f8", "False", "(12500000, 1)", &[])).expect("written");
    (0..100).for_each(|_| archive.write_all(&vec![0; 1_000_000]).expect("written"));
    archive.finish().expect("finished");
    refused_table(folder.path(), "Npz", "bomb.npz", "unfolds from");
    // A table that is in order but larger than the limit.
    write("large.npy", &npy("<f8", "False", "(30000000, 1)", &[0; 8]));
    let large = std::fs::OpenOptions::new().append(true).open(folder.path().join("large.npy")).expect("a file");
    large.set_len(240_000_200).expect("a hole");
    refused_table(folder.path(), "Npy", "large.npy", "--memory-limit");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_no_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["pipe.csv", "pipe.npy", "pipe.npz", "pipe.ron", "pipe.safetensors"] {
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status().expect("mkfifo");
        assert!(made.success());
    }
    for (kind, file) in [("Csv", "pipe.csv"), ("Npy", "pipe.npy"), ("Npz", "pipe.npz")] {
        refused_table(folder.path(), kind, file, "is a pipe or a device");
    }
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.csv")).expect("a link");
    refused_table(folder.path(), "Csv", "zero.csv", "is a pipe or a device");
    refused_table(folder.path(), "Npy", "/dev/zero", "is a pipe or a device");
    refused(folder.path(), &["check", "pipe.ron"], "is a pipe or a device");
    refused(folder.path(), &["sample", "pipe.safetensors", "-n", "1"], "is a pipe or a device");
    refused(folder.path(), &["check", "."], "is a folder");
}

#[test]
fn a_model_file_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let sample = ["sample", "model.safetensors", "-n", "1"];
    // Piece by piece: what this process takes at most counts for those that it starts.
    let write = |tensors: usize| {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
        write!(file, "        {{\"__metadata__\":{{\"flowdistill\":\"{{\\\"format\\\":1}}\"}}").expect("written");
        for i in 0..tensors {
            write!(file, ",\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}").expect("written");
        }
        write!(file, "}}").expect("written");
        let header = file.stream_position().expect("a place") - 8;
        file.rewind().expect("its beginning");
        file.write_all(&header.to_le_bytes()).expect("written");
    };
    write(1_700_000);
    refused(folder.path(), &sample, "the longest is");
    write(100_000);
    refused(folder.path(), &sample, "malformed");
    // Three gigabytes of nothing.
    std::fs::File::create(&path).expect("a file").set_len(3 << 30).expect("a hole");
    refused(folder.path(), &sample, "--memory-limit");
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let stages = "ReverseKl(against: Target),".repeat(37_000);
    let to_target = "ReverseKl(against: Target)";
    let files = [
        (format!("target: Banana(), stages: [{stages}]"), "stages"),
        (format!("target: Banana(), student: Flow(hidden: [32768, 32768]), stages: [{to_target}]"), "million weights"),
        (format!("target: Banana(), student: Flow(hidden: [8192, 8192]), stages: [{to_target}]"), "--memory-limit"),
        ("target: Banana(), stages: [ReverseKl(against: Target, training: (batch: 1048576))]".into(), "1048576 rows"),
        (format!("target: Funnel(dim: 10), stages: [{to_target}], evaluation: (draws: 100000000)"), "100000000 draws"),
        (format!("target: Banana(), stages: [Sample(draws: 100000000), {to_target}]"), "draws and particles"),
        (format!("target: Banana(), stages: [Sample(method: Smc(particles: 16777216)), {to_target}]"), "particles"),
        ("target: Banana(), data: (source: Draws(rows: 100000000))".into(), "rows of data"),
        (format!("target: Gaussian(dim: 1000000000), stages: [{to_target}]"), "dim"),
    ];
    for (experiment, word) in files {
        std::fs::write(folder.path().join("x.ron"), format!("(name: \"x\", {experiment})")).expect("written");
        refused(folder.path(), &["check", "x.ron"], word);
        refused(folder.path(), &["run", "x.ron"], word);
        assert!(!folder.path().join("runs").exists());
    }
    let small = "(name: \"x\", target: Funnel(dim: 10), student: Flow(layers: 1, hidden: [4]), \
                 stages: [ReverseKl(against: Target, training: (steps: 2))], evaluation: (draws: 500))";
    std::fs::write(folder.path().join("x.ron"), small).expect("written");
    Command::cargo_bin("flowdistill")
        .expect("the binary")
        .current_dir(&folder)
        .args(["run", "x.ron"])
        .assert()
        .success();
    let model = "runs/x/student.safetensors";
    refused(folder.path(), &["evaluate", model, "--target", "x.ron", "-n", "100000000"], "-n: judging 100000000 draws");
    refused(folder.path(), &["compare", "runs/x", "--batch", "64,16777216"], "--batch lists 16777216");
    refused(folder.path(), &["compare", "runs/x", "--batch", "4194304"], "--batch: drawing");
}

#[test]
fn notes_and_reports_show_what_a_table_hides() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nine of ten rows hold the same number, of which a note is made.
    let spike = |i: i32| if i % 10 == 0 { f64::from(i) / 7.0 } else { 1.0 };
    let rows: String = (0..300).map(|i| format!("{},{}\n", spike(i), f64::from(i * 37 % 101) / 3.0)).collect();
    let text = format!("a\u{1b}[2J\u{202e},c\n{rows}");
    std::fs::write(folder.path().join("t.csv"), text).expect("written");
    let experiment = "(name: \"x\", data: (source: Csv(path: \"t.csv\")), teacher: (layers: 1, hidden: [4]), \
                      stages: [MaximumLikelihood(steps: 2, batch: 16)])";
    std::fs::write(folder.path().join("x.ron"), experiment).expect("written");
    for arguments in [&["check", "x.ron"][..], &["run", "x.ron"], &["run", "x.ron", "--force", "--json"]] {
        let output =
            Command::cargo_bin("flowdistill").expect("the binary").current_dir(&folder).args(arguments).output();
        let output = output.expect("run");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
        assert!(said.contains("\\u001b[2J"), "{arguments:?}: {said}");
        assert!(!said.chars().any(|c| c == '\u{1b}' || c == '\u{202e}'), "{arguments:?}: {said:?}");
    }
}

#[test]
fn commands_are_shown_so_that_they_can_be_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |command: &str, shown: &str| {
        let experiment = format!("(name: \"x\", target: Process(command: {command}))");
        std::fs::write(folder.path().join("x.ron"), experiment).expect("written");
        let error = refused(folder.path(), &["check", "x.ron"], shown);
        assert!(
            !error.trim_end().chars().any(|c| c.is_control() || ('\u{202a}'..'\u{202f}').contains(&c)),
            "{error:?}"
        );
    };
    check("[\"python3\", \"a b\"]", "start `python3 'a b'`");
    check("[\"python3\", \"a\", \"b\"]", "start `python3 a b`");
    check("[\"rm\", \"\\u{1b}[2K\\r\\u{202e}x\"]", r"start `rm $'\u001b[2K\u000d\u202ex'`");
}
