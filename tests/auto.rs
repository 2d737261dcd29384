//! Runs that are left to the program: they come to a verdict by themselves, say what they did, and can be repeated by hand.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auto").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn flowdistill(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowdistill")).current_dir(folder).args(args).output().expect("the command")
}

/// Runs `text` and returns `run.json` and what was said on the way.
fn run(folder: &Path, name: &str, text: &str) -> (Value, String) {
    std::fs::write(folder.join("it.ron"), text).expect("written");
    let output = flowdistill(folder, &["run", "it.ron", "--force", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let text = std::fs::read_to_string(folder.join("runs").join(name).join("run.json")).expect("run.json");
    (serde_json::from_str(&text).expect("JSON"), said)
}

fn asked(run: &Value) -> u64 {
    ["values", "gradients"].iter().map(|kind| run["target_evaluations"][kind].as_u64().expect("a count")).sum()
}

/// A regression in thousands per centimetre, whose posterior is far from the origin and strongly correlated.
const REGRESSION: &str = r#"(name: "pay", target: Expression(
    parameters: { "beta": Vector(2), "sigma": Positive },
    data: {
        "height": Vector([158, 163, 166, 170, 171, 174, 176, 180, 183, 188]),
        "pay": Vector([145200, 171000, 160300, 181900, 166600, 190400, 179800, 201200, 187000, 214500]),
    },
    log_density: "
        beta[1] ~ normal(0, 10000)
        sigma ~ half_normal(50000)
        pay ~ normal(beta[0] + beta[1] * height, sigma)
    "))"#;

#[test]
fn a_target_alone_is_trusted_and_resolved_ron_repeats_it() {
    let folder = folder("repeat");
    let (first, said) = run(&folder, "pay", REGRESSION);
    assert_eq!(first["verdict"], "trusted", "{said}");
    assert!(said.contains("attempt 1: ") && said.contains("whitened by"), "{said}");
    assert!(asked(&first) < 150_000, "{}", asked(&first));
    assert!(first["attempts"][0]["what"].is_string() && first["stages"][0]["target_evaluations"].is_object());
    // Least squares: a slope of 1949 per centimetre.
    let slope = first["parameters"][1]["mean"].as_f64().expect("a mean");
    assert!((slope - 1949.0).abs() < 300.0, "{slope}");
    let report = std::fs::read_to_string(folder.join("runs/pay/report.md")).expect("a report");
    assert!(report.contains("| beta[1] |") && report.contains("the target was evaluated"), "{report}");
    let student = std::fs::read(folder.join("runs/pay/student.safetensors")).expect("a student");

    // The experiment that it wrote has no Auto, and gives the same bytes.
    let resolved = std::fs::read_to_string(folder.join("runs/pay/resolved.ron")).expect("resolved.ron");
    assert!(!resolved.contains("stages: Auto") && resolved.contains("ReverseKl("), "{resolved}");
    let (second, _) = run(&folder, "pay", &resolved);
    let again = std::fs::read(folder.join("runs/pay/student.safetensors")).expect("a student");
    assert!(student == again, "the same experiment, another student");
    assert_eq!(first["certificate"]["figures"], second["certificate"]["figures"]);
}

#[test]
fn separate_modes_are_found_weighed_and_reported() {
    let text = r#"(name: "three", target: Mixture(
        means: [[-6.0, -6.0], [5.0, 5.0], [8.0, -2.0]], deviations: [1.0, 0.5, 0.7], weights: [0.6, 0.3, 0.1]))"#;
    let folder = folder("modes");
    let (found, said) = run(&folder, "three", text);
    assert_eq!(found["verdict"], "trusted", "{said}");
    let modes = found["modes"].as_array().expect("modes");
    assert_eq!(modes.len(), 3, "{modes:?}");
    for (x, mass) in [(-6.0, 0.6), (5.0, 0.3), (8.0, 0.1)] {
        let at = |mode: &&Value| (mode["point"][0].as_f64().expect("a number") - x).abs() < 0.1;
        let mode = modes.iter().find(at).expect("the mode");
        assert!((mode["mass"].as_f64().expect("a mass") - mass).abs() < 0.02, "{mode}");
    }
    let resolved = std::fs::read_to_string(folder.join("runs/three/resolved.ron")).expect("resolved.ron");
    assert!(!resolved.contains("Sample(") && resolved.contains("components: 3"), "{resolved}");
    let asked = &found["target_evaluations"];
    let [values, gradients] = ["values", "gradients"].map(|of| asked[of].as_u64().expect("evaluations"));
    assert!(values + gradients < 600_000, "{asked}");
}

#[test]
fn no_further_attempt_is_made_where_nothing_else_looks_at_the_target() {
    let text = r#"(name: "alone", target: Expression(parameters: { "x": Vector(2) }, log_density: "x ~ normal(0, 1)"),
        evaluation: (independent: None))"#;
    let (found, said) = run(&folder("alone"), "alone", text);
    assert_eq!(found["verdict"], "not_trusted", "{said}");
    assert_eq!(found["attempts"].as_array().map(Vec::len), Some(1), "{said}");
    assert!(said.contains("no other student would be judged better"), "{said}");
}

#[test]
fn walls_and_heavy_tails_are_met_by_what_the_reasons_name() {
    let wall = r#"(name: "wall", target: Expression(
        parameters: { "x": Vector(2) },
        log_density: "if x[0] + x[1] > 0 then sum(i in 0..2: normal(x[i], 0, 1)) else -inf"))"#;
    let (found, said) = run(&folder("wall"), "wall", wall);
    assert_eq!(found["verdict"], "trusted", "{said}");
    let figures = &found["certificate"]["figures"];
    assert!((figures["log_z"].as_f64().expect("log Z") + 2f64.ln()).abs() < 0.05, "{figures}");
    assert!(figures["zero_weight_share"].as_f64().expect("a share") < 0.03, "{figures}");

    let tails = r#"(name: "tails", target: Expression(parameters: {"x": Vector(3)}, log_density: "x ~ cauchy(1, 2)"))"#;
    let (found, said) = run(&folder("tails"), "tails", tails);
    assert_eq!(found["verdict"], "trusted", "{said}");
    assert!(said.contains("Student-t"), "{said}");
}

#[test]
fn a_plain_stage_means_the_same_and_budgets_and_faults_are_named() {
    let folder = folder("plain");
    let plain = r#"(name: "plain", target: Funnel(dim: 4), stages: [ReverseKl(against: Target)])"#;
    let (found, said) = run(&folder, "plain", plain);
    assert_eq!(found["verdict"], "trusted", "{said}");
    assert!(found["attempts"].is_array(), "{said}");

    // Whatever becomes of the first attempt at rings, nothing may follow it.
    let spent = r#"(name: "spent", target: Rings(), stages: Auto(evaluations: 1000))"#;
    let (found, said) = run(&folder, "spent", spent);
    assert_eq!(found["attempts"].as_array().map(Vec::len), Some(1), "{said}");
    assert!(said.contains("budget is spent") || found["verdict"] == "trusted", "{said}");

    for (stages, word) in [
        ("Auto(evaluations: 10)", "at least 1000"),
        ("Auto(seconds: -1.0)", "positive"),
        ("Auto(second: 1.0)", "seconds"),
        ("Autos()", "Auto()"),
    ] {
        let text = format!("(name: \"wrong\", target: Funnel(), stages: {stages})");
        std::fs::write(folder.join("wrong.ron"), text).expect("written");
        let output = flowdistill(&folder, &["run", "wrong.ron"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(word), "{stages}: {said}");
    }
}

#[test]
fn check_says_that_the_stages_are_left_to_the_program_and_what_an_evaluation_costs() {
    let folder = folder("check");
    std::fs::write(folder.join("it.ron"), "(name: \"it\", target: EightSchools())").expect("written");
    let output = flowdistill(&folder, &["check", "it.ron"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("left to the program, until trusted") && said.contains("µs each"), "{said}");
    let text =
        "(name: \"it\", target: EightSchools(), student: Flow(), stages: [ReverseKl(against: Target, training: ())])";
    std::fs::write(folder.join("it.ron"), text).expect("written");
    let said = String::from_utf8_lossy(&flowdistill(&folder, &["check", "it.ron"]).stdout).into_owned();
    // Rounds of 250, 2,000, 2,800 and 3,950 steps, of which after the first one in four asks the target, and 20,000 draws.
    let most = 16 * 250 + (16 * 2_000 + 32 * 2_800 + 64 * 3_950) / 4 + 20_000;
    assert!(said.contains(&format!("up to about {most} in training")), "{said}");
}

/// A line of relative width 1e-5 on a broad background, which no climb from afar comes to.
const LINE: &str = r#"target: Expression(parameters: {"E": Interval(2, 5), "tau": Positive}, log_density: "
    tau ~ gamma(50, 50)
    log_mix(0.4, normal(E, 3.0969, 0.00004), -log(tau) - (E - 2) / tau - log(-expm1(-3 / tau)))
")"#;

#[test]
fn what_an_attempt_has_come_by_is_known_to_all_after_it() {
    let folder = folder("line");
    let text = format!("(name: \"line\", {LINE}, stages: Auto(evaluations: 100000))");
    let (found, said) = run(&folder, "line", &text);
    assert_eq!(found["verdict"], "not_trusted", "{said}");
    assert!(said.contains("surveyed again") && said.contains("the moments of 2 modes"), "{said}");
}

#[test]
fn a_mode_that_the_user_knows_is_climbed_from() {
    let folder = folder("starts");
    let at = |start: &str| {
        std::fs::write(folder.join("it.ron"), format!("(name: \"line\", starts: [{start}], {LINE})")).expect("written");
        flowdistill(&folder, &["check", "it.ron"])
    };
    let output = at("[3.0969, 1.0]");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("the moments of 2 modes"), "{said}");
    for (start, fault) in [
        ("[3.0969]", "starts[0] has 1 numbers; 2 (E, tau) are right"),
        ("[9.0, 1.0]", "starts, row 1: `E` is outside its support"),
        ("[inf, 1.0]", "starts[0] has the number inf"),
    ] {
        let output = at(start);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(fault), "{said}");
    }
}

#[test]
fn mass_that_rounds_to_a_bound_is_not_trusted() {
    let folder = folder("edge");
    let text = r#"(name: "edge", target: Expression(parameters: {"p": Interval(0, 1)}, log_density: "p ~ beta(0.05, 0.05)"), stages: Auto(evaluations: 100000))"#;
    let (found, said) = run(&folder, "edge", text);
    assert_eq!(found["verdict"], "not_trusted", "{said}");
    assert!(found["reasons"].to_string().contains("so near the bound 1 of `p`"), "{}", found["reasons"]);
}
