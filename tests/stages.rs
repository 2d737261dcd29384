//! Draws, teacher, student, refinement in one experiment; the certificate's exit code; corrected draws. All through the binary.

use assert_cmd::Command;
use std::path::Path;

const STAGES: &str = r#"(
    name: "stages",
    target: TwoModes(),
    teacher: (layers: 4, hidden: [32, 32]),
    student: LikeTeacher,
    stages: [
        Sample(method: Smc(islands: 4, particles: 512), draws: 6000),
        MaximumLikelihood(steps: 800, batch: 256, rate: (peak: 3e-3)),
        ReverseKl(against: Teacher, training: (steps: 300, batch: 128)),
        ReverseKl(against: Target, training: (steps: 100, batch: 128)),
    ],
    evaluation: (draws: 5000, independent: Smc(islands: 4, particles: 512)),
)"#;

const ALONE: &str = r#"(
    name: "alone",
    whitening: None,
    target: TwoModes(),
    student: Flow(layers: 2, hidden: [16]),
    stages: [ReverseKl(against: Target, training: (steps: 50, batch: 64))],
    evaluation: (draws: 5000),
)"#;

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    let output = command.current_dir(folder).args(arguments).output().expect("run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

#[test]
fn draws_teach_a_teacher_that_teaches_a_student() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("stages.ron"), STAGES).expect("written");
    let (code, out, errors) = run(folder.path(), &["run", "stages.ron", "--require", "k_hat<1000"]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("## Certificate: ") && out.contains("tempered sequential Monte Carlo"), "{out}");
    let files = folder.path().join("runs/stages");
    for file in ["draws.npy", "teacher.safetensors", "student.safetensors", "report.md"] {
        assert!(files.join(file).is_file(), "{file}");
    }
    let text = std::fs::read_to_string(files.join("run.json")).expect("text");
    let json: serde_json::Value = serde_json::from_str(&text).expect("json");
    let log_z = json["stages"][0]["log_z"][0].as_f64().expect("a number");
    assert!(log_z.abs() < 0.3, "{log_z}");
    assert!(json["certificate"]["verdict"].is_string() && json["certificate"]["figures"]["bridge_log_z"].is_f64());

    // Both modes have draws, corrected or not, in any number.
    let student = "runs/stages/student.safetensors";
    for method in ["imh", "sir"] {
        let sample = |n| {
            let arguments =
                ["sample", student, "-n", n, "--correct", method, "--target", "stages.ron", "--defensive", "0.2"];
            run(folder.path(), &arguments)
        };
        let (code, out, errors) = sample("3000");
        assert_eq!(code, 0, "{errors}");
        assert!(errors.contains(if method == "imh" { "autocorrelation time" } else { "ESS/N" }), "{errors}");
        let right = out.lines().skip(1).filter(|line| !line.starts_with('-')).count() as f64 / 3000.0;
        assert!((right - 0.5).abs() < 0.15, "{method}: {right}");
    }
    let (code, ..) = run(folder.path(), &["sample", student, "-n", "10", "--correct", "imh"]);
    assert_eq!(code, 2, "no target");
    let evaluate = |more: &[&str]| {
        run(folder.path(), &[&["evaluate", student, "--target", "stages.ron", "-n", "2000"], more].concat())
    };
    assert_eq!(evaluate(&["--require", "ess>1"]).0, 3);
    assert_eq!(evaluate(&["--require", "nonsense"]).0, 2);
    let (code, out, _) = evaluate(&["--json", "--reference", "runs/stages/draws.npy"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("json");
    assert!(code == 0 && json["independent_look"].is_string());
}

#[test]
fn a_student_with_one_mode_ends_with_code_3_when_trust_is_required() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("alone.ron"), ALONE).expect("written");
    let (code, out, errors) = run(folder.path(), &["run", "alone.ron", "--require", "verdict>=trusted"]);
    assert_eq!(code, 3, "{errors}");
    assert!(out.contains("## Certificate: not trusted"), "{out}");
    assert!(errors.contains("requirement not met"), "{errors}");
}

#[test]
fn wrong_stages_say_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    for (stages, words) in [
        ("[MaximumLikelihood()]", "neither `data` nor a stage `Sample`"),
        ("[Sample(), Sample()]", "a second time"),
        ("[Sample(draws: 3)]", "stages[0].draws is 3"),
        ("[Sample(method: Smc(islands: 1))]", "islands is 1"),
        ("[Sample(method: Smc(scale: -1.0))]", "scale is -1"),
    ] {
        let text = format!("(name: \"x\", target: Banana(), stages: {stages})");
        std::fs::write(folder.path().join("x.ron"), text).expect("written");
        let (code, _, errors) = run(folder.path(), &["check", "x.ron"]);
        assert!(code == 2 && errors.contains(words), "{stages}: {errors}");
    }
    std::fs::write(folder.path().join("x.ron"), STAGES).expect("written");
    let (code, out, errors) = run(folder.path(), &["check", "x.ron"]);
    assert!(code == 0 && out.contains("training"), "{errors}");
}
