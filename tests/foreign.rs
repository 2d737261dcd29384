//! Foreign densities: a compiled model and processes that behave, and every way in which they can misbehave.
#![cfg(unix)]

use flowdistill::foreign::{Compiled, Process};
use flowdistill::seed::Seed;
use flowdistill::target::{evaluate_in_pieces, Constraint, Density, EightSchools, Faults};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Compiles a C file of `tests/foreign`; none, with a word, where there is no C compiler.
fn compile(source: &str, name: &str, options: &[&str]) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(source);
    let path = folder.join(format!("{name}-{}", std::process::id()));
    let options = ["-O1", "-std=gnu11"].iter().chain(options);
    match Command::new("cc").args(options).arg("-o").arg(&path).arg(source).arg("-lm").output() {
        Err(error) => {
            eprintln!("SKIPPED: no C compiler ({error})");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(path)
        }
    }
}

fn library(name: &str, options: &[&str]) -> Option<PathBuf> {
    compile("model.c", name, &[&["-shared", "-fPIC"], options].concat())
}

fn worker(name: &str) -> Option<PathBuf> {
    compile("worker.c", name, &[])
}

fn data(folder: &Path) -> PathBuf {
    let path = folder.join("data.json");
    std::fs::write(&path, "{\"location\": 1.5}").expect("written");
    path
}

fn refusal<T>(result: Result<T, String>) -> String {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(fault) => fault,
    }
}

#[test]
fn a_library_that_lacks_a_symbol_is_refused_when_it_is_loaded() {
    // Bound late by its own wish; all the more must be asked for.
    let Some(path) = library("lacks.so", &["-DLACKS", "-Wl,-z,lazy"]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let fault = refusal(Compiled::open(&path, Some(&data(folder.path())), false));
    assert!(fault.contains("nobody_has_this") && fault.lines().count() == 1, "{fault}");
}

/// Values, gradients, faults.
type Evaluated = (Vec<f64>, Vec<f64>, Faults);

fn evaluate(density: &dyn Density, points: &[f64]) -> Result<Evaluated, String> {
    let (mut values, mut gradients) = (vec![7.0; points.len() / density.dim()], vec![7.0; points.len()]);
    let mut faults = Faults::default();
    density.evaluate(points, &mut values, Some(&mut gradients), &mut faults).map_err(|fatal| fatal.0)?;
    Ok((values, gradients, faults))
}

#[test]
fn a_compiled_model_has_its_values_gradients_names_and_constrained_space() {
    let Some(path) = library("fine", &[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for threads in [false, true] {
        let model =
            Compiled::open(&path, Some(&data(folder.path())), threads).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(model.names(), ["mu", "tau"]);
        assert_eq!(model.constrained_names(), ["mu", "tau", "theta.1"]);
        assert_eq!(model.constraint(), Constraint::Elsewhere);
        let mut points = vec![0.0; 2 * 300];
        Seed(1).stream("points").normals(0, 2, &mut points);
        let (mut values, mut gradients) = (vec![0.0; 300], vec![0.0; 600]);
        let mut faults = Faults::default();
        evaluate_in_pieces(&model, &points, &mut values, Some(&mut gradients), &mut faults).expect("not fatal");
        assert!(faults.rows().is_empty());
        for (row, x) in points.chunks(2).enumerate() {
            let right = -0.5 * (x[0] - 1.5).powi(2) - 0.5 * x[1] * x[1] - std::f64::consts::TAU.ln();
            assert!((values[row] - right).abs() < 1e-12);
            assert_eq!(gradients[2 * row..2 * row + 2], [1.5 - x[0], -x[1]]);
            let mut theta = [0.0; 3];
            model.constrain(x, &mut theta).expect("a map");
            assert!(theta[0] == x[0] && (theta[1] / x[1].exp() - 1.0).abs() < 1e-15 && theta[2] == theta[0] * theta[1]);
        }
    }
}

#[test]
fn a_library_that_is_not_for_several_threads_is_called_from_one_at_a_time() {
    let Some(path) = library("serial", &[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let model = Compiled::open(&path, Some(&data(folder.path())), false).unwrap_or_else(|fault| panic!("{fault}"));
    let (points, mut values) = (vec![0.25; 2 * 20_000], vec![0.0; 20_000]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads");
    pool.install(|| evaluate_in_pieces(&model, &points, &mut values, None, &mut Faults::default())).expect("not fatal");
    assert!(values.iter().all(|value| *value == values[0]));
    // SAFETY: the library is the one above, and the function is declared so in its source.
    let most = unsafe {
        let library = libloading::Library::new(&path).expect("loaded already");
        let most: libloading::Symbol<unsafe extern "C" fn() -> std::ffi::c_int> =
            library.get(b"test_most_inside\0").expect("a counter");
        most()
    };
    assert_eq!(most, 1);
}

#[test]
fn wrong_libraries_and_wrong_data_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data(folder.path());
    let open = |path: &Path, data: Option<&Path>| refusal(Compiled::open(path, data, false));
    assert!(open(Path::new("/nowhere/model.so"), None).contains("/nowhere/model.so"));
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").expect("written");
    assert!(open(&text, None).contains("cannot load"), "{}", open(&text, None));
    assert!(open(folder.path(), None).contains("cannot load"));

    let Some(path) = library("wrong-data", &[]) else { return };
    let message = open(&path, None);
    assert!(message.contains("variable does not exist") && message.contains("location"), "Stan's own words: {message}");
    assert!(open(&path, Some(&folder.path().join("none.json"))).contains("none.json"));
    std::fs::write(folder.path().join("zero.json"), b"{\"location\": \0}").expect("written");
    assert!(open(&path, Some(&folder.path().join("zero.json"))).contains("zero byte"));
    for (name, option, words) in [
        ("old", "-DMAJOR=1", "version 1 of the interface; version 2 is right"),
        ("lacking", "-DWITHOUT_GRADIENT", "does not export `bs_log_density_gradient`"),
        ("longer", "-DDIM=3", "2 names for 3 coordinates"),
        ("empty", "-DDIM=0", "0 unconstrained parameters"),
        ("negative", "-DDIM=-5", "-5 unconstrained parameters"),
        ("vast", "-DDIM=2147483647", "2147483647 unconstrained parameters"),
    ] {
        let path = library(name, &[option]).expect("compiled");
        let message = open(&path, Some(&data));
        assert!(message.contains(words), "{name}: {message}");
    }
    let path = library("unconstrained", &["-DWITHOUT_CONSTRAIN"]).expect("compiled");
    let model = Compiled::open(&path, Some(&data), false).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(model.constrained_names(), ["mu", "tau"]);
    let fatal = model.constrain(&[0.0, 0.0], &mut [0.0; 2]).expect_err("no map");
    assert!(fatal.0.contains("bs_param_constrain"), "{fatal}");
}

#[test]
fn a_compiled_model_keeps_refused_points_and_the_end_apart() {
    let Some(path) = library("refusing", &[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let model = Compiled::open(&path, Some(&data(folder.path())), true).unwrap_or_else(|fault| panic!("{fault}"));
    let points = [51.0, 0.0, 1.0, 1.0, 0.0, 51.0, 0.0, -51.0, f64::NAN, 0.0, 0.0, 49.0];
    let (values, gradients, faults) = evaluate(&model, &points).expect("not fatal");
    assert_eq!(faults.rows(), [0, 2, 4, 5]);
    assert!(faults.reason().expect("a reason").contains("Location parameter is too large"));
    assert!(values[1].is_finite() && values[3] == f64::NEG_INFINITY);
    assert!(faults.rows().iter().all(|&row| values[row].is_nan()));
    for row in [0, 2, 3, 4, 5] {
        assert_eq!(gradients[2 * row..2 * row + 2], [0.0, 0.0], "row {row}");
    }
    let fatal = evaluate(&model, &[-51.0, 0.0]).expect_err("no sense in going on");
    assert!(fatal.contains("index out of range"), "{fatal}");
    let fatal = model.constrain(&[101.0, 0.0], &mut [0.0; 3]).expect_err("refused");
    assert!(fatal.0.contains("mu is too large"), "{fatal}");
}

/// A process of `path` in `mode`.
fn start(path: &Path, mode: &str, workers: usize, timeout_s: f64) -> Result<Process, String> {
    Process::start(&[path.display().to_string(), mode.to_string()], Path::new(""), workers, timeout_s)
}

/// Processes that run the program `path`.
#[cfg(target_os = "linux")]
fn running(path: &Path) -> usize {
    let entries = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with(&*path.to_string_lossy())).count()
}

#[cfg(not(target_os = "linux"))]
fn running(_: &Path) -> usize {
    0
}

/// Whether nothing of the program `path` is left, within the time that the system takes to bury what was killed.
fn gone(path: &Path) -> bool {
    let begun = Instant::now();
    while running(path) > 0 && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    running(path) == 0
}

#[test]
fn processes_agree_with_the_closed_form_however_many_and_however_many_rows() {
    let Some(path) = worker("many") else { return };
    for workers in [1, 3] {
        let density = start(&path, "fine", workers, 20.0).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((density.dim(), density.names()), (3, vec!["x1".into(), "x2".into(), "x3".into()]));
        for rows in [1, 2, 7, 64, 513, 20_000] {
            let mut points = vec![0.0; 3 * rows];
            Seed(1).stream("points").normals(0, 3, &mut points);
            let (values, gradients, faults) = evaluate(&density, &points).expect("not fatal");
            assert!(faults.rows().is_empty());
            for (x, value) in points.chunks(3).zip(&values) {
                assert!((value + 0.5 * x.iter().map(|x| x * x).sum::<f64>()).abs() < 1e-12);
            }
            assert!(gradients.iter().zip(&points).all(|(g, x)| *g == -x));
            let mut alone = vec![0.0; rows];
            evaluate_in_pieces(&density, &points, &mut alone, None, &mut Faults::default()).expect("not fatal");
            assert_eq!(alone, values, "without gradients, in pieces");
        }
        drop(density);
    }
    assert!(gone(&path));
}

#[test]
fn every_wrong_beginning_of_a_process_is_refused_in_time() {
    let Some(path) = worker("beginnings") else { return };
    for (mode, words) in [
        ("silent", "did not answer within 0.3 s"),
        ("stubborn", ""),
        ("ends-at-once", "exit status 3; its standard error ends with\n    module not found: energy"),
        ("prints", "\"Loading \" where a frame should begin"),
        ("huge", "4294967295 bytes"),
        ("protocol", "\"something-else\""),
        ("version", "protocol version 9; 1 is right"),
        ("dim", "dim 4000000000"),
        ("no-dim", "dim 0"),
        ("names", "1 names for 3 coordinates"),
        ("control", "control characters"),
        ("not-json", "greeting is malformed"),
        ("failure-first", "it says: no licence"),
        ("values-first", "a greeting is right"),
    ] {
        let begun = Instant::now();
        // Those that wait for nobody get more time than they can need.
        let timeout = if mode == "silent" { 0.3 } else { 20.0 };
        match start(&path, mode, 1, timeout) {
            Err(message) => assert!(!words.is_empty() && message.contains(words), "{mode}: {message}"),
            Ok(_) => assert_eq!(mode, "stubborn"),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{mode} took {:?}", begun.elapsed());
        assert!(gone(&path), "{mode}");
    }
    let fault = refusal(Process::start(&["./no-such-program".into()], Path::new("/tmp"), 1, 1.0));
    assert!(fault.contains("cannot start \"./no-such-program\""), "{fault}");
    assert!(refusal(Process::start(&[], Path::new(""), 1, 1.0)).contains("command is empty"));
    assert!(refusal(start(&path, "fine", 0, 1.0)).contains("workers is 0"));
    assert!(refusal(start(&path, "fine", 65, 1.0)).contains("workers is 65"));
    for timeout in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        assert!(refusal(start(&path, "fine", 1, timeout)).contains("timeout_s is"));
    }
}

#[test]
fn every_wrong_answer_of_a_process_ends_the_run_with_the_reason() {
    let Some(path) = worker("answers") else { return };
    let points = [0.5; 30];
    for (mode, words) in [
        ("crash", "signal 6; its standard error ends with\n    about to fall over"),
        ("exit", "exit status 1; its standard error ends with\n    Traceback: division by zero"),
        ("hang", "did not answer within 1.5 s"),
        ("deaf", "did not answer within 1.5 s"),
        ("never-reads", "did not answer within 1.5 s"),
        ("failure", "it says: the licence has expired"),
        ("tag", "where values were asked for"),
        ("short", "exit status 0 after"),
        ("too-short", "its answer has 328 bytes"),
        ("too-long", "its answer has 344 bytes"),
        ("much-too-long", "announces a frame of 2147483647 bytes"),
        ("tiny", "has 5 bytes; at least 16"),
        ("rows", "has 11 rows; 10 points were asked for"),
        ("flags", "the flags 0; values and gradients were asked for"),
        ("sequence", "it answers request 2; the request was 1"),
        ("long-note", "4294967280 of them a note"),
        ("twice", "it answers request 1; the request was 2"),
        ("noise", "\"row 0\\nVA\" where a frame should begin"),
    ] {
        let begun = Instant::now();
        let timeout = if words.contains("1.5 s") { 1.5 } else { 20.0 };
        let density = start(&path, mode, 1, timeout).unwrap_or_else(|fault| panic!("{mode}: {fault}"));
        let first = evaluate(&density, &points);
        let fault = match first {
            Ok(_) => evaluate(&density, &points).expect_err("the second answer is wrong"),
            Err(fault) => fault,
        };
        assert!(fault.contains(words), "{mode}: {fault}");
        assert_eq!(evaluate(&density, &points).expect_err("the same again"), fault);
        // Nobody is left, even before the density is dropped.
        assert!(gone(&path), "{mode}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{mode} took {:?}", begun.elapsed());
    }
}

#[test]
fn rows_that_a_process_cannot_evaluate_are_faults_and_chatter_is_none() {
    let Some(path) = worker("rows") else { return };
    let points = [0.5, 0.0, 0.0, 2.0, 0.0, 0.0, f64::INFINITY, 0.0, 0.0, -2.0, 1.0, 1.0];
    for (mode, rows, words) in [
        ("nan", vec![2, 1], "the point is not finite"),
        ("infinite", vec![2, 1], "the point is not finite"),
        ("steep", vec![2, 1], "the point is not finite"),
        ("note", vec![2, 1], "the point is not finite"),
        ("zero", vec![2], "the point is not finite"),
        ("chatter", vec![2], "the point is not finite"),
        ("endless-chatter", vec![2], "the point is not finite"),
        ("drip", vec![2], "the point is not finite"),
    ] {
        let density = start(&path, mode, 1, 20.0).unwrap_or_else(|fault| panic!("{mode}: {fault}"));
        let (values, gradients, faults) = evaluate(&density, &points).unwrap_or_else(|fault| panic!("{mode}: {fault}"));
        assert_eq!(faults.rows(), rows, "{mode}");
        assert_eq!(faults.reason(), Some(words));
        assert_eq!((values[0], values[3]), (-0.125, -3.0), "{mode}");
        assert!(values[2].is_nan() && (mode != "zero" || values[1] == f64::NEG_INFINITY));
        if rows.len() == 2 || mode == "zero" {
            assert_eq!(gradients[3..9], [0.0; 6], "{mode}");
        }
        assert_eq!(gradients[9..], [2.0, -1.0, -1.0], "{mode}");
        let (_, _, faults) = evaluate(&density, &points[..6]).expect("not fatal");
        let reason = match mode {
            "nan" => "gave the value NaN",
            "infinite" => "gave the value inf",
            "steep" => "not finite in x2",
            "note" => "the first coordinate is above one",
            _ => continue,
        };
        assert!(faults.reason().expect("a reason").contains(reason), "{mode}: {:?}", faults.reason());
    }
    assert!(gone(&path));
}

#[test]
fn workers_that_differ_are_refused_and_a_dropped_density_takes_its_family_along() {
    let Some(path) = worker("family") else { return };
    // Numbers of processes alternate often enough that four workers are not all odd or all even for long.
    let differ =
        (0..20).any(|_| start(&path, "disagree", 4, 20.0).is_err_and(|fault| fault.contains("greet differently")));
    assert!(differ);
    let density = start(&path, "stubborn", 2, 20.0).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(cfg!(not(target_os = "linux")) || running(&path) == 4);
    drop(density);
    assert!(gone(&path));
}

/// Python 3, or a word that there is none.
fn python() -> Option<&'static str> {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: no python3");
    }
    found.then_some("python3")
}

fn python_density(folder: &Path, body: &str) -> Result<Process, String> {
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/flowdistill_density.py");
    std::fs::copy(helper, folder.join("flowdistill_density.py")).expect("copied");
    std::fs::write(
        folder.join("density.py"),
        format!("import sys, math\nfrom flowdistill_density import serve, Rejected\n{body}"),
    )
    .expect("written");
    Process::start(&["python3".into(), "density.py".into()], folder, 1, 60.0)
}

#[test]
fn the_eight_schools_in_python_are_those_in_rust() {
    let Some(python) = python() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/process");
    // With NumPy if it is there, and without.
    for options in [vec![], vec!["--plain".to_string()]] {
        let command = [vec![python.to_string(), "eight_schools.py".to_string()], options].concat();
        let density = Process::start(&command, &folder, 1, 60.0).unwrap_or_else(|fault| panic!("{fault}"));
        assert_agree(&density, &EightSchools, 1000, 0.0);
    }
}

/// Log density to 1e-9 (relative, up to `constant`) and gradient to 1e-7 at random points.
fn assert_agree(density: &dyn Density, other: &dyn Density, rows: usize, constant: f64) {
    let mut points = vec![0.0; rows * other.dim()];
    Seed(3).stream("points").normals(0, other.dim(), &mut points);
    points.iter_mut().for_each(|x| *x *= 1.5);
    let (values, gradients, faults) = evaluate(density, &points).unwrap_or_else(|fault| panic!("{fault}"));
    let (right, slopes, _) = evaluate(other, &points).expect("not fatal");
    assert!(faults.rows().is_empty());
    for (value, right) in values.iter().zip(right) {
        assert!((value - right - constant).abs() <= 1e-9 * right.abs(), "{value} for {}", right + constant);
    }
    for (g, right) in gradients.iter().zip(slopes) {
        assert!((g - right).abs() <= 1e-7 * (1.0 + right.abs()), "{g} for {right}");
    }
}

#[test]
fn the_python_helper_passes_on_what_goes_wrong() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let density = python_density(
        folder.path(),
        r#"
def point(x):
    print("chatter on standard output")
    if x[0] > 3: raise KeyError("no such thing")
    if x[0] > 2: raise Rejected("too far out")
    return math.log(x[0]) - math.exp(x[1]), [1 / x[0], -math.exp(x[1])]
serve(dim=2, names=["a", "b"], point=point)
"#,
    );
    let density = density.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(density.names(), ["a", "b"]);
    let (values, gradients, faults) =
        evaluate(&density, &[1.0, 0.0, 2.5, 0.0, -1.0, 0.0, 1.0, 1000.0]).expect("not fatal");
    assert_eq!((values[0], &gradients[..2]), (-1.0, &[1.0, -1.0][..]));
    assert_eq!(faults.rows(), [1, 2, 3]);
    assert_eq!(faults.reason(), Some("Rejected: too far out"));
    let fatal = evaluate(&density, &[4.0, 0.0]).expect_err("an exception of no known kind");
    assert!(fatal.contains("KeyError: 'no such thing'"), "{fatal}");

    let short = python_density(folder.path(), "serve(dim=2, point=lambda x: (0.0, [1.0]))")
        .unwrap_or_else(|fault| panic!("{fault}"));
    assert!(evaluate(&short, &[0.0, 0.0]).expect_err("a short gradient").contains("1 entries; 2 are right"));
    let broken = refusal(python_density(folder.path(), "raise SystemError('no GPU')"));
    assert!(broken.contains("exit status 1") && broken.contains("no GPU"), "{broken}");
}

/// Medians of a round trip of 512 points of 10 coordinates with gradients; what the other side computes is next to nothing.
#[test]
#[ignore = "a measurement"]
fn round_trips_measured() {
    let Some(path) = compile("worker.c", "round-trip", &["-DDIM=10", "-O3"]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut densities =
        vec![("C".to_string(), start(&path, "fine", 1, 20.0).unwrap_or_else(|fault| panic!("{fault}")))];
    let echo = "import numpy\nvalues, gradients = numpy.zeros(512), numpy.zeros((512, 10))\n\
                serve(dim=10, batch=lambda points: (values, gradients))";
    densities.extend(python_density(folder.path(), echo).ok().map(|density| ("Python, NumPy".into(), density)));
    let mut points = vec![0.0; 5120];
    Seed(1).stream("points").normals(0, 10, &mut points);
    let (mut values, mut gradients) = (vec![0.0; 512], vec![0.0; 5120]);
    for (name, density) in &densities {
        let mut times: Vec<f64> = (0..5_000)
            .map(|_| {
                let begun = Instant::now();
                evaluate_in_pieces(density, &points, &mut values, Some(&mut gradients), &mut Faults::default())
                    .expect("answers");
                begun.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name}: median {:.0} µs, 10 % {:.0} µs, 90 % {:.0} µs", times[2500], times[500], times[4500]);
    }
}
