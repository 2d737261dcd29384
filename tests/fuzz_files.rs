//! Files that nobody would write, made from right ones: each is refused or read, without panic, delay or much memory.
//!
//! Set FLOWDISTILL_FUZZ_SECONDS to go on for longer with each kind of file, and FLOWDISTILL_FUZZ_SEED for other files.

#[path = "common/npy.rs"]
mod npy;

use flowdistill::data::{read_csv, read_npy, read_npz, read_text, Column, CsvOptions, Kind};
use flowdistill::experiment::{record_in, report_of, verify, Plan, Spec};
use flowdistill::flow::{Method, Model, Orientation};
use flowdistill::params::{load_checkpoint, save_checkpoint, Parts};
use flowdistill::seed::Seed;
use npy::npy;
use rand::{seq::SliceRandom, Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

type Random = ChaCha8Rng;

/// What is put into files of every kind.
const PIECES: [&str; 24] = [
    "0",
    "-1",
    "1e999",
    "nan",
    "18446744073709551615",
    "9223372036854775808",
    "65536",
    "1000000000",
    "1e-320",
    "\"",
    "'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\n",
    "\r\n",
    "\u{1b}[2J",
    "\u{202e}",
    "\0",
];

/// A kind of file.
struct Target {
    name: &'static str,
    /// Right files of it.
    seeds: Vec<Vec<u8>>,
    /// Pieces of its own.
    pieces: &'static [&'static str],
    /// Puts checksums right after a change, so that it is seen what lies behind them.
    seal: fn(&mut Vec<u8>),
    /// Reads it; whether it was right.
    attempt: fn(&Path) -> bool,
}

fn mutate(bytes: &mut Vec<u8>, pieces: &[&str], rng: &mut Random) {
    if bytes.is_empty() {
        bytes.push(rng.gen());
    }
    // Headers are where sizes are.
    let within = if rng.gen_bool(0.5) { bytes.len() } else { bytes.len().min(400) };
    let at = rng.gen_range(0..within);
    let length = rng.gen_range(1..=16).min(bytes.len() - at);
    match rng.gen_range(0..9) {
        0 => bytes[at] ^= 1 << rng.gen_range(0..8),
        1 => bytes[at] = rng.gen(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let copy = bytes[at..at + length].to_vec();
            let many = *[1, 2, 50].choose(rng).expect("some");
            bytes.splice(at..at, copy.repeat(many));
        }
        5 => bytes[at..at + length].fill(*[0, 0x7f, 0xff, b'9', b'('].choose(rng).expect("some")),
        6 => {
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            bytes.splice(at..at + digits, PIECES[rng.gen_range(0..9)].bytes());
        }
        _ => {
            let all = PIECES.len() + pieces.len();
            let which = rng.gen_range(0..all);
            let piece = PIECES.get(which).copied().unwrap_or_else(|| pieces[which - PIECES.len()]);
            let gone = if rng.gen_bool(0.5) { length } else { 0 };
            bytes.splice(at..at + gone, piece.bytes());
        }
    }
}

/// The most memory that this process has had, in MiB, where the system tells.
fn peak() -> Option<f64> {
    flowdistill::memory::peak().map(|bytes| bytes as f64 / 1048576.0)
}

fn from_environment(name: &str) -> Option<f64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn fuzz(target: &Target) {
    let seconds = from_environment("FLOWDISTILL_FUZZ_SECONDS");
    let seed = from_environment("FLOWDISTILL_FUZZ_SEED").unwrap_or(1.0) as u64;
    let mut rng = Random::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    flowdistill::memory::set_limit(200 << 20);
    for bytes in &target.seeds {
        std::fs::write(&path, bytes).expect("written");
        assert!((target.attempt)(&path), "{}: a right file is refused: {}", target.name, LAST.take());
    }
    let begun = Instant::now();
    let (mut rounds, mut accepted, mut slowest) = (0u64, 0u64, Duration::ZERO);
    while begun.elapsed().as_secs_f64() < seconds.unwrap_or(0.0) || rounds < 300 {
        rounds += 1;
        let mut bytes = target.seeds.choose(&mut rng).expect("a seed").clone();
        for _ in 0..rng.gen_range(1..5) {
            mutate(&mut bytes, target.pieces, &mut rng);
        }
        if rng.gen_bool(0.9) {
            (target.seal)(&mut bytes);
        }
        std::fs::write(&path, &bytes).expect("written");
        let start = Instant::now();
        let read = std::panic::catch_unwind(|| (target.attempt)(&path));
        let took = start.elapsed();
        let watched = peak().unwrap_or(0.0);
        if read.is_err() || took > Duration::from_secs(5) || watched > 500.0 {
            let kept = std::env::temp_dir().join(format!("flowdistill-fuzz-{}", target.name));
            std::fs::write(&kept, &bytes).expect("written");
            let which = format!("{}, seed {seed}, round {rounds}, kept as {}", target.name, kept.display());
            panic!("panic: {}, {took:?}, {watched:.0} MiB: {which}", read.is_err());
        }
        accepted += u64::from(read.unwrap_or_default());
        slowest = slowest.max(took);
    }
    let (name, slowest, peak) = (target.name, slowest.as_secs_f64(), peak().unwrap_or(f64::NAN));
    println!("{name}: {rounds} files, {accepted} of them read, slowest {slowest:.2} s, at most {peak:.0} MiB");
}

fn unsealed(_: &mut Vec<u8>) {}

thread_local! {
    /// The last refusal.
    static LAST: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// A refusal says something, and not much.
fn right<T>(read: flowdistill::error::Result<T>) -> Option<T> {
    read.map_err(|error| {
        let text = flowdistill::shown::error(&error.to_string());
        assert!(!text.is_empty() && text.len() < 20_000, "{} bytes of error", text.len());
        LAST.set(text);
    })
    .ok()
}

#[test]
fn tables() {
    let text = "name,x,day,yes\n\"a, b\",1.5,2024-02-29,true\nc,-2e3,1999-12-31,no\n";
    let plain = "x;y\n1.5;2\n-3.25;4\n";
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(text.as_bytes()).expect("written");
    fuzz(&Target {
        name: "csv",
        seeds: vec![text.into(), plain.into(), zipped.finish().expect("finished")],
        pieces: &["NA", "\t", ";", "#", "2024-13-01", "\u{feff}", "1.5", "true"],
        seal: unsealed,
        attempt: |path| {
            let loose = CsvOptions { any_text: true, numbers_as_days: true, ..CsvOptions::default() };
            let days = Column { name: "day".into(), kind: Kind::Days };
            let kinds = CsvOptions { kinds: vec![days], drop_missing: true, any_text: true, ..CsvOptions::default() };
            let all = [right(read_text(path, &loose)).is_some(), right(read_text(path, &kinds)).is_some()];
            right(read_csv(path, &CsvOptions::default()));
            all.contains(&true)
        },
    });
}

fn arrays() -> Vec<Vec<u8>> {
    let numbers: Vec<u8> = (0..6).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    let small: Vec<u8> = (0..6).flat_map(|i: i16| i.to_be_bytes()).collect();
    let singles: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    vec![
        npy("<f8", "False", "(3, 2)", &numbers),
        npy(">i2", "True", "(2, 3)", &small),
        npy("<f4", "False", "(6, 1)", &singles),
    ]
}

#[test]
fn numpy_arrays() {
    fuzz(&Target {
        name: "npy",
        seeds: arrays(),
        pieces: &[
            "<f8",
            "|O",
            ">c16",
            "|S99999999",
            "[('a', '<f8')]",
            "True",
            "(0, 1000000000000)",
            "'shape'",
            "\u{93}NUMPY",
        ],
        seal: unsealed,
        attempt: |path| right(read_npy(path)).is_some(),
    });
}

#[test]
fn numpy_archives() {
    let archive = |method| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut archive = zip::ZipWriter::new(&mut bytes);
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (place, array) in arrays().iter().take(2).enumerate() {
            archive.start_file(format!("a{place}.npy"), options).expect("an entry");
            archive.write_all(array).expect("written");
        }
        archive.finish().expect("finished");
        bytes.into_inner()
    };
    fuzz(&Target {
        name: "npz",
        seeds: vec![archive(zip::CompressionMethod::Stored), archive(zip::CompressionMethod::Deflated)],
        pieces: &["PK\u{1}\u{2}", "PK\u{3}\u{4}", "PK\u{5}\u{6}", "../a.npy", "a0.npy"],
        seal: unsealed,
        attempt: |path| {
            let one = right(read_npz(path, Some("a0"))).is_some();
            right(read_npz(path, None));
            one
        },
    });
}

/// Puts the checksum of a model file right, where it has one.
fn seal_model(file: &mut [u8]) {
    const FIELD: &[u8] = b"checksum\\\":\\\"";
    let place = file.windows(FIELD.len()).position(|window| window == FIELD).map(|place| place + FIELD.len());
    // Its length, too, as far as the header still has an end.
    if let (Some(place), true) = (place, file.len() > 8) {
        if let Some(digits) = file.get_mut(place..place + 64) {
            digits.fill(b'0');
            let checksum = blake3::hash(file).to_hex();
            file[place..place + 64].copy_from_slice(checksum.as_bytes());
        }
    }
}

/// The file of a model with this student.
fn model(flow: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("(name: \"x\", target: Banana(), student: Flow{flow})");
    let plan = Plan::preview(Spec::parse(&text).expect("an experiment"), Path::new("x.ron")).expect("a plan");
    let path = folder.path().join("model");
    plan.new_model(Orientation::Sampling).and_then(|model| model.save(&path)).expect("saved");
    std::fs::read(&path).expect("bytes")
}

#[test]
fn models() {
    fuzz(&Target {
        name: "model",
        seeds: vec![model("(layers: 1, hidden: [4])"), model("(layers: 2, hidden: [3], transformer: Spline(bins: 3))")],
        pieces: &["\\\"format\\\":1", "F64", "data_offsets", "hidden", "Spline", "null", "\\u001b"],
        seal: |file| seal_model(file),
        attempt: |path| {
            let Some(model) = right(Model::load(path)) else { return false };
            let frozen = model.freeze::<f64>();
            let (dim, rows) = (frozen.dim(), 3);
            assert!(dim < 1000, "{dim} columns from a file of two");
            let (mut points, mut log_prob) = (vec![0.0; rows * dim], vec![0.0; rows]);
            frozen.draw(Method::Cached, &Seed(1).stream("draws"), 0, &mut points, &mut log_prob);
            true
        },
    });
}

/// A run with all kinds of files, short enough that they are short too.
const RUN: &str = r#"(
    name: "it",
    target: Funnel(dim: 3),
    teacher: (layers: 1, hidden: [4]),
    student: LikeTeacher,
    stages: [
        Sample(method: Smc(islands: 2, particles: 64), draws: 100),
        MaximumLikelihood(steps: 20, batch: 16, validate_every: 10),
        ReverseKl(against: Teacher, training: (steps: 20, batch: 16, rounds: None, until: None)),
    ],
    evaluation: (draws: 100),
)"#;

/// Has whatever reads a file of the run in `folder` read it; whether it found nothing wrong.
fn is_believed(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    let on_record = || right(record_in(folder)).is_some_and(|record| right(verify(folder, &record, name)).is_some());
    match name {
        "run.json" | "report.md" | "metrics.jsonl" | "looks.safetensors" => right(report_of(folder)).is_some(),
        "resolved.ron" | "draws.npy" => on_record(),
        _ if name.ends_with(".ckpt") => right(load_checkpoint::<serde_json::Value>(&path)).is_some(),
        // The record knows as well, but a model also goes elsewhere.
        _ => right(Model::load(&path)).is_some() || on_record(),
    }
}

/// Cuts and changed bits of each file that a run writes and something reads again are found out: every cut and 10,000 bits in the slow form.
#[test]
fn no_bit_of_what_a_run_writes_can_change() {
    flowdistill::memory::reset_peak();
    let slow = from_environment("FLOWDISTILL_FUZZ_SECONDS").is_some();
    let place = tempfile::tempdir().expect("a folder");
    std::fs::write(place.path().join("it.ron"), RUN).expect("written");
    let program = assert_cmd::Command::cargo_bin("flowdistill").expect("the binary");
    { program }.current_dir(&place).args(["run", "it.ron", "-q"]).assert().success();
    let folder = place.path().join("runs/it");
    let mut names: Vec<String> =
        ["run.json", "report.md", "metrics.jsonl", "looks.safetensors", "resolved.ron", "draws.npy"]
            .into_iter()
            .chain(["teacher.safetensors", "student.safetensors"])
            .map(String::from)
            .collect();
    let checkpoints = std::fs::read_dir(folder.join("checkpoint")).expect("checkpoints").flatten();
    names.extend(checkpoints.map(|entry| format!("checkpoint/{}", entry.file_name().to_string_lossy())));
    assert!(names.len() >= 12, "{names:?}");
    let mut rng = Random::seed_from_u64(1);
    let (flips, step) = if slow { (10_000, 1) } else { (300, 41) };
    for name in &names {
        let path = folder.join(name);
        let whole = std::fs::read(&path).expect("bytes");
        assert!(is_believed(&folder, name), "{name}: {}", LAST.take());
        for _ in 0..flips {
            let (mut bytes, at, bit) = (whole.clone(), rng.gen_range(0..whole.len()), rng.gen_range(0..8));
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).expect("written");
            assert!(!is_believed(&folder, name), "{name}, bit {bit} of byte {at}");
        }
        std::fs::write(&path, &whole).expect("written");
        let file = std::fs::File::options().write(true).open(&path).expect("a file");
        let cuts = (0..whole.len()).rev().step_by(step);
        for cut in cuts.clone() {
            file.set_len(cut as u64).expect("cut");
            assert!(!is_believed(&folder, name), "{name} cut at {cut}");
        }
        println!("{name}: {} bytes; {flips} changed bits and {} cuts found out", whole.len(), cuts.len());
        std::fs::write(&path, &whole).expect("written");
    }
    let peak = peak().unwrap_or(0.0);
    println!("at most {peak:.0} MiB");
    // In the quick form other tests of this process have theirs.
    assert!(!slow || peak < 200.0, "{peak} MiB");
}

#[test]
fn checkpoints() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    let mut parts = Parts::default();
    parts.put_all("weights", &[vec![1.0; 5], vec![]]);
    parts.doubles.insert("draws".into(), vec![0.5; 6]);
    parts.words.insert("count".into(), vec![1, 2]);
    save_checkpoint(&path, &("one", 2.5, vec![Some(3u64), None]), &parts).expect("written");
    fuzz(&Target {
        name: "checkpoint",
        seeds: vec![std::fs::read(&path).expect("bytes")],
        pieces: &["f.weights.00000", "F32", "U64", "data_offsets", "header", "\\u001b", "Some("],
        seal: |file| {
            const FIRST: usize = "flowdistill checkpoint 1 blake3 ".len();
            if file.len() > FIRST + 65 {
                let checksum = blake3::hash(&file[FIRST + 65..]).to_hex();
                file[FIRST..FIRST + 64].copy_from_slice(checksum.as_bytes());
            }
        },
        attempt: |path| right(load_checkpoint::<serde_json::Value>(path)).is_some(),
    });
}

/// Experiments, up to what `check` looks at before it tries a step.
#[test]
fn experiments() {
    let shipped = ["quickstart", "banana", "funnel", "eight_schools_expression", "two_moons"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let read = |name: &&str| std::fs::read(folder.join(format!("{name}.ron"))).ok();
    let mut seeds: Vec<Vec<u8>> = shipped.iter().filter_map(read).collect();
    seeds.push(
        br#"(name: "x", data: (source: Draws(rows: 100)), target: Gaussian(dim: 3), teacher: (layers: 2, hidden: [8, 8], transformer: Spline(bins: 4)), student: LikeTeacher, stages: [Sample(method: Smc(islands: 2, particles: 64), draws: 100), MaximumLikelihood(steps: 5, batch: 16), ReverseKl(against: Teacher, training: (steps: 5, batch: 8))], evaluation: (draws: 100))"#
            .to_vec(),
    );
    fuzz(&Target {
        name: "experiment",
        seeds,
        pieces: &[
            "dim: 100000000",
            "hidden: [32768, 32768]",
            "batch: 1048576",
            "draws: 100000000000",
            "bins: 1000000",
            "layers: 100000",
            "Some(",
            "None",
            "//",
            "/*",
            "r#\"",
        ],
        seal: unsealed,
        attempt: |path| {
            let Some((spec, _)) = right(Spec::read(path)) else { return false };
            right(Plan::preview(spec, path)).is_some()
        },
    });
}
