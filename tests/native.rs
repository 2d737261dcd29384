//! Experiments that name code to be run: only with permission, from wherever, and with the reason when it goes wrong.
#![cfg(unix)]

use assert_cmd::Command;
use std::path::Path;
use tempfile::tempdir;

fn flowdistill(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    command.current_dir(folder);
    command
}

/// A density in Python that needs nothing but Python, and what runs only with permission.
#[test]
fn code_that_an_experiment_names_runs_only_with_permission() {
    let experiment = r#"(
        name: "mine",
        target: Process(command: ["python3", "density.py"], timeout_s: 60.0),
        student: Flow(layers: 1, hidden: []),
        stages: [ReverseKl(against: Target, training: (steps: 50, batch: 32))],
        evaluation: (draws: 500),
    )"#;
    let folder = tempdir().expect("a folder");
    std::fs::write(folder.path().join("mine.ron"), experiment).expect("written");
    let marker = folder.path().join("it-ran");
    let density = "open('it-ran', 'w')\nfrom flowdistill_density import serve\n\
                   serve(dim=2, names=['left', 'right'], point=lambda x: (-x[0]**2 - x[1]**2, [-2 * x[0], -2 * x[1]]))\n";
    std::fs::write(folder.path().join("density.py"), density).expect("written");
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/flowdistill_density.py");
    std::fs::copy(helper, folder.path().join("flowdistill_density.py")).expect("copied");
    for arguments in [&["check"][..], &["run"], &["run", "--dry-run"]] {
        let output = flowdistill(folder.path()).args(arguments).arg("mine.ron").output().expect("run");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("would start `python3 density.py`") && error.contains("--allow-native"), "{error}");
        assert!(!marker.exists() && !folder.path().join("runs").exists());
    }
    let library = ["--set", "target=Compiled(library: \"model.so\")"];
    let output = flowdistill(folder.path()).args(["check", "mine.ron"]).args(library).output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("would load the library model.so"), "{error}");
    let output =
        flowdistill(folder.path()).args(["check", "mine.ron", "--allow-native"]).args(library).output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("mine.ron: target: library"), "{error}");

    if std::process::Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no python3");
        return;
    }
    let output = flowdistill(folder.path()).args(["check", "mine.ron", "--allow-native"]).output().expect("run");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && marker.exists(), "{error}");
    assert!(out.contains("left, right") && out.contains("allowed to start `python3 density.py`"), "{out}");
    flowdistill(folder.path()).args(["run", "mine.ron", "--allow-native", "-q"]).assert().success();
    let sample = ["sample", "runs/mine/student.safetensors", "-n", "3"];
    let output = flowdistill(folder.path()).args(sample).output().expect("draws");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && !error.contains("unconstrained"),
        "a program's coordinates are its own: {error}"
    );
    std::fs::remove_file(&marker).expect("removed");
    let map = ["--constrain-with", "mine.ron"];
    let output = flowdistill(folder.path()).args(sample).args(map).output().expect("draws");
    assert!(output.status.code() == Some(2) && !marker.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    // From another folder, too: the program starts where the experiment is.
    let elsewhere = tempdir().expect("a folder");
    let path = folder.path().join("mine.ron");
    flowdistill(elsewhere.path()).arg("check").arg(path).arg("--allow-native").assert().success();

    // A gradient that is not that of the density.
    let wrong = density.replace("-2 * x[1]]", "-3 * x[1]]");
    std::fs::write(folder.path().join("density.py"), wrong).expect("written");
    let output = flowdistill(folder.path()).args(["check", "mine.ron", "--allow-native"]).output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && error.contains("central differences") && error.contains("right"),
        "{error}"
    );
    // A density that gives up under way: exit code 1, and its own words.
    let failing = density.replace(
        "point=lambda x: (",
        "point=lambda x: (_ for _ in ()).throw(KeyError('lost')) if abs(x[0]) > 1 else (",
    );
    std::fs::write(folder.path().join("density.py"), failing).expect("written");
    let output =
        flowdistill(folder.path()).args(["run", "mine.ron", "--allow-native", "--force"]).output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("KeyError: 'lost'"), "{error}");
}

/// The map of a compiled model, which its library has and the model file has not.
#[test]
fn draws_are_mapped_by_the_library_of_the_model() {
    let folder = tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/model.c");
    let compile = |name: &str, options: &[&str]| {
        let mut command = std::process::Command::new("cc");
        command.current_dir(folder.path()).args(["-O1", "-std=gnu11", "-shared", "-fPIC"]).args(options);
        command.args(["-o", name]).arg(&source).arg("-lm").output()
    };
    match compile("model.so", &[]) {
        Err(error) => return eprintln!("SKIPPED: no C compiler ({error})"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
    assert!(compile("bare.so", &["-DWITHOUT_CONSTRAIN"]).is_ok_and(|output| output.status.success()));
    std::fs::write(folder.path().join("data.json"), r#"{"location": 1.5}"#).expect("written");
    let experiment = r#"(
        name: "compiled",
        target: Compiled(library: "model.so", data: "data.json"),
        student: Flow(layers: 1, hidden: []),
        stages: [ReverseKl(against: Target, training: (steps: 50, batch: 32))],
        evaluation: (draws: 500, independent: None),
    )"#;
    std::fs::write(folder.path().join("compiled.ron"), experiment).expect("written");
    std::fs::write(folder.path().join("bare.ron"), experiment.replace("model.so", "bare.so")).expect("written");
    let other = r#"(name: "other", target: Funnel(dim: 2), stages: [ReverseKl(against: Target)])"#;
    std::fs::write(folder.path().join("other.ron"), other).expect("written");
    flowdistill(folder.path()).args(["run", "compiled.ron", "--allow-native", "-q"]).assert().success();

    let sample = |more: &[&str]| {
        let mut command = flowdistill(folder.path());
        let output = command.args(["sample", "runs/compiled/student.safetensors", "-n", "20"]).args(more).output();
        let output = output.expect("draws");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let numbers = |text: &str| -> Vec<Vec<f64>> {
        let row = |line: &str| line.split(',').map(|cell| cell.parse().expect("a number")).collect();
        text.lines().skip(1).map(row).collect()
    };
    let (code, plain, error) = sample(&[]);
    assert!(code == Some(0) && plain.starts_with("mu,tau\n") && error.contains("unconstrained"), "{plain}{error}");
    let (code, mapped, error) = sample(&["--constrain-with", "compiled.ron", "--allow-native"]);
    assert!(code == Some(0) && mapped.starts_with("mu,tau,theta.1\n") && error.is_empty(), "{mapped}{error}");
    let (plain, mapped) = (numbers(&plain), numbers(&mapped));
    assert_eq!((plain.len(), mapped.len()), (20, 20));
    for (u, x) in plain.iter().zip(&mapped) {
        let (mu, tau) = (u[0], u[1].exp());
        for (found, right) in x.iter().zip([mu, tau, mu * tau]) {
            assert!((found - right).abs() <= 1e-6 * (1.0 + right.abs()), "{u:?} {x:?}");
        }
    }
    for (more, code, words) in [
        (&["--constrain-with", "compiled.ron"][..], 2, "--allow-native"),
        (&["--constrain-with", "bare.ron", "--allow-native"], 2, "bs_param_constrain"),
        (&["--constrain-with", "other.ron", "--allow-native"], 2, "those of the model are mu, tau"),
        (&["--constrain-with", "compiled.ron", "--allow-native", "--log-prob"], 2, "--log-prob"),
    ] {
        let (found, out, error) = sample(more);
        assert!(found == Some(code) && out.is_empty() && error.contains(words), "{more:?}: {found:?} {out} {error}");
    }
}
