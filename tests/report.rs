//! The page of a run: whole, alone, small, quick; its numbers those of `run.json`; what is worst is seen first.

use assert_cmd::Command;
use flowdistill::experiment::report_of;
use flowdistill::report::{page, Looks, Sample, Sources, Who};
use flowdistill::seed::{normal_pair, Seed};
use roxmltree::{Document, Node};
use serde_json::{json, Value};
use std::path::Path;
use std::time::{Duration, Instant};

fn flowdistill(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("flowdistill").expect("the binary");
    command.current_dir(folder).args(arguments).output().expect("it runs")
}

/// The pictures of a page, each as a text.
fn pictures(page: &str) -> Vec<&str> {
    let starts = page.match_indices("<svg ").map(|(at, _)| at);
    starts.map(|at| &page[at..at + page[at..].find("</svg>").expect("an end") + 6]).collect()
}

fn numbers(text: &str) -> Vec<f64> {
    let separated = text.replace(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'), " ").replace('-', " -");
    separated.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// All points of a path: it begins where it says and goes on in steps, or says places if it is a single line.
fn points(d: &str) -> Vec<[f64; 2]> {
    let mut all = Vec::new();
    for part in d.split('M').filter(|part| !part.is_empty()) {
        let all_numbers = numbers(part);
        let mut at = [all_numbers[0], all_numbers[1]];
        all.push(at);
        for step in all_numbers[2..].chunks(2) {
            at = if part.contains('L') { [step[0], step[1]] } else { [at[0] + step[0], at[1] + step[1]] };
            all.push(at);
        }
    }
    all
}

/// Everything that must be so of any page; its pictures.
fn check(page: &str) -> Vec<&str> {
    assert!(page.len() <= 400_000, "{} bytes", page.len());
    // Nothing outside of the file, and no script.
    let named = page.replace("http://www.w3.org/2000/svg", "");
    for forbidden in
        ["http:", "https:", "//", "src=", "href", "url(", "@import", "<script", "javascript", "<link", "file:"]
    {
        assert!(!named.contains(forbidden), "{forbidden}");
    }
    let all = pictures(page);
    for picture in &all {
        let document = Document::parse(picture).unwrap_or_else(|error| panic!("{error}: {picture}"));
        let root = document.root_element();
        assert_eq!(root.attribute("role"), Some("img"));
        let has = |name: &str| root.children().any(|node| node.tag_name().name() == name && node.text().is_some());
        assert!(has("title"), "{picture}");
        let size = numbers(root.attribute("viewBox").expect("a size"));
        let inside = |[x, y]: [f64; 2]| (-0.5..=size[2] + 0.5).contains(&x) && (-0.5..=size[3] + 0.5).contains(&y);
        for node in root.descendants() {
            let of = |name: &str| node.attribute(name).map_or(0.0, |value| value.parse().expect("a number"));
            match node.tag_name().name() {
                "path" => {
                    let all = points(node.attribute("d").expect("a path"));
                    let outside = all.iter().find(|point| !inside(**point));
                    assert!(outside.is_none(), "{outside:?} of {size:?}: {:?}", node.attribute("d"));
                }
                "rect" => {
                    let ends = [[of("x"), of("y")], [of("x") + of("width"), of("y") + of("height")]];
                    assert!(ends.into_iter().all(inside), "{ends:?} of {size:?}");
                }
                _ => {}
            }
        }
        // At most a few draws are beyond the axes, and the picture says how many.
        if let Some(outside) = root.attribute("data-outside") {
            assert!(outside.parse::<f64>().expect("a share") < 0.1, "{outside}");
        }
    }
    all
}

fn values(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn attributes(node: Node, name: &str) -> Vec<f64> {
    node.descendants().filter_map(|node| node.attribute(name)).map(|value| value.parse().expect("a number")).collect()
}

/// The page of a run's folder, with what must be so of the page of any run.
fn check_folder(folder: &Path) -> (String, Value) {
    let written = std::fs::read_to_string(folder.join("report.html")).expect("report.html");
    let run: Value = serde_json::from_slice(&std::fs::read(folder.join("run.json")).expect("run.json")).expect("JSON");
    let clock = Instant::now();
    let anew = report_of(folder).expect("a page").page;
    assert!(clock.elapsed() < Duration::from_secs(1), "{:?}", clock.elapsed());
    assert!(anew == written, "made anew it is another one");
    check(&written);
    // The table of the parameters, at full length.
    if let Some(parameters) = run["parameters"].as_array() {
        let table = &written[written.find("<table class=\"parameters\">").expect("a table")..];
        let table = &table[..table.find("</table>").expect("an end") + 8];
        let document = Document::parse(table).expect("a table");
        let found = attributes(document.root_element(), "data-value");
        let right: Vec<f64> = parameters
            .iter()
            .flat_map(|of| {
                let of_one = ["mean", "standard_error", "deviation"].map(|name| of[name].as_f64().expect("a number"));
                [of_one.to_vec(), values(&of["quantiles"])].concat()
            })
            .collect();
        assert_eq!(found, right);
    }
    for (pictured, right) in [("data-count", &run["weights"]["counts"]), ("data-mass", &Value::Null)] {
        let of = |picture: &&str| attributes(Document::parse(picture).expect("SVG").root_element(), pictured);
        let found: Vec<f64> = pictures(&written).iter().flat_map(of).collect();
        let right: Vec<f64> = match pictured {
            "data-mass" => {
                let masses = run["modes"].as_array().filter(|modes| modes.len() > 1);
                let mut masses: Vec<f64> =
                    masses.into_iter().flatten().map(|mode| mode["mass"].as_f64().expect("a mass")).collect();
                masses.sort_by(|a, b| b.total_cmp(a));
                masses
            }
            _ if right.is_null() => Vec::new(),
            _ => values(right).into_iter().filter(|count| *count > 0.0).collect(),
        };
        assert_eq!(found, right, "{pictured}");
    }
    (written, run)
}

/// The first picture, and the first heading above it.
fn first(page: &str) -> String {
    let from = page.find("<h2>Where it is most wrong</h2>").expect("something is wrong");
    // Those of the legend are no pictures.
    let picture =
        pictures(&page[from..]).into_iter().find(|picture| picture.contains("data-column")).expect("a picture");
    picture.to_string()
}

fn attribute(picture: &str, name: &str) -> String {
    let document = Document::parse(picture).expect("SVG");
    document.root_element().attribute(name).unwrap_or_else(|| panic!("no {name}: {picture:.300}")).to_string()
}

#[test]
fn a_students_lost_mode_is_the_first_thing_to_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    // Reverse KL from the energy alone, begun in one of the two modes.
    let text = "(name: \"lost\", target: TwoModes(), whitening: None, student: Flow(layers: 2, hidden: [16]), \
                stages: [ReverseKl(against: Target, training: (steps: 400, batch: 64))], evaluation: (draws: 4000))";
    std::fs::write(folder.path().join("lost.ron"), text).expect("written");
    let output = flowdistill(folder.path(), &["run", "lost.ron", "-q", "--color", "always"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("\u{1b}[1;31m## Verdict: not trusted\u{1b}[0m\n"), "{out}");
    let (page, run) = check_folder(&folder.path().join("runs/lost"));
    assert_eq!(run["verdict"], "not_trusted");
    assert!(page.contains("data-verdict=\"not_trusted\"><strong>Not trusted</strong>"), "{page:.3000}");
    assert_eq!(run["command"][1], "run");
    let log = std::fs::read_to_string(folder.path().join("runs/lost/run.log")).expect("a log");
    assert!(log.contains("student, reverse KL against the target: 400 steps") && log.contains("done in"), "{log}");

    let picture = first(&page);
    let [right, model] =
        ["data-mass-right", "data-mass-model"].map(|name| attribute(&picture, name).parse::<f64>().expect("a mass"));
    assert_eq!(attribute(&picture, "data-model"), "student");
    assert!((right - model).abs() > 0.2, "{right} {model}");
    assert!(picture.contains("class=\"lack\""), "nothing is shaded");
    // The densities of a problem in the plane, side by side; what the target's took is on record.
    assert_eq!(run["picture_evaluations"], 72 * 72);
    let whose: Vec<String> =
        pictures(&page).iter().filter(|it| it.contains("data-whose")).map(|it| attribute(it, "data-whose")).collect();
    assert_eq!(whose, ["target", "student"]);
}

#[test]
fn a_teachers_missing_bump_is_the_first_thing_to_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..2500)
        .map(|row| {
            let mut rng = Seed(5).stream("bumps").row(row);
            let [[a, b], [c, d]] = [normal_pair(&mut rng), normal_pair(&mut rng)];
            let side = if d < 0.0 { -3.0 } else { 3.0 };
            format!("{a},{},{},{b}\n", 0.5 * a + b, side + 0.4 * c)
        })
        .collect();
    std::fs::write(folder.path().join("rows.csv"), format!("plain,mixed,bumps <2>,last\n{rows}")).expect("written");
    let text = "(name: \"bumps\", data: (source: Csv(path: \"rows.csv\")), teacher: (layers: 1, hidden: [8]), \
                stages: [MaximumLikelihood(steps: 200)], evaluation: (draws: 1000))";
    std::fs::write(folder.path().join("bumps.ron"), text).expect("written");
    let output = flowdistill(folder.path(), &["run", "bumps.ron"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (page, run) = check_folder(&folder.path().join("runs/bumps"));
    assert_eq!(run["verdict"], "not_trusted");
    let picture = first(&page);
    assert_eq!(attribute(&picture, "data-column"), "bumps <2>");
    assert_eq!(
        (attribute(&picture, "data-right"), attribute(&picture, "data-model")),
        ("data".into(), "teacher".into())
    );
    let [right, model] =
        ["data-mass-right", "data-mass-model"].map(|name| attribute(&picture, name).parse::<f64>().expect("a mass"));
    assert!((right - model).abs() > 0.2, "{right} {model}");
    // The table of the columns is by the teacher's draws where there is no student.
    assert_eq!(run["parameters"].as_array().map(Vec::len), Some(4));
    // The run repeats from anywhere.
    let inputs = run["inputs"].as_array().expect("inputs");
    let checksum =
        format!("blake3:{}", blake3::hash(&std::fs::read(folder.path().join("rows.csv")).expect("rows")).to_hex());
    assert_eq!(inputs[0]["checksum"], checksum.as_str());
    let elsewhere = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.path().join("runs/bumps/resolved.ron"), elsewhere.path().join("again.ron")).expect("copied");
    let output = flowdistill(elsewhere.path(), &["run", "again.ron", "-q", "--set", "seed=1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let same = |name: &str| std::fs::read(elsewhere.path().join("runs/bumps").join(name)).expect(name);
    for name in ["teacher.safetensors", "looks.safetensors", "metrics.jsonl"] {
        assert!(same(name) == std::fs::read(folder.path().join("runs/bumps").join(name)).expect(name), "{name}");
    }
    let again: Value = serde_json::from_slice(&same("run.json")).expect("JSON");
    assert_eq!(again["overrides"], json!(["seed=1"]));

    // What an older program has left has no looks and no page: both are made of what there is.
    let run = folder.path().join("runs/bumps");
    ["looks.safetensors", "report.html"].iter().for_each(|name| std::fs::remove_file(run.join(name)).expect("removed"));
    let output = flowdistill(folder.path(), &["report", "runs/bumps", "--picture", "first.svg"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(run.join("report.html")).expect("a page");
    check(&page);
    assert_eq!(attribute(&first(&page), "data-column"), "bumps <2>");
    let alone = std::fs::read_to_string(folder.path().join("first.svg")).expect("a picture");
    assert_eq!(attribute(&alone, "data-column"), "bumps <2>");
    assert!(alone.contains("<style>"));
    assert!(!page.contains("Not in the pictures"));
    // What is wanting is said.
    std::fs::rename(folder.path().join("rows.csv"), folder.path().join("gone.csv")).expect("moved");
    assert!(flowdistill(folder.path(), &["report", "runs/bumps"]).status.success());
    let page = std::fs::read_to_string(run.join("report.html")).expect("a page");
    check(&page);
    assert!(
        page.contains("<h2>Not in the pictures</h2>") && page.contains("held-out rows, and the target: "),
        "{page:.4000}"
    );
    assert!(page.contains("rows.csv"), "{page:.4000}");
    std::fs::rename(folder.path().join("gone.csv"), folder.path().join("rows.csv")).expect("moved");
    assert_eq!(flowdistill(folder.path(), &["report", "."]).status.code(), Some(2));

    // Several runs beside each other.
    let table = |format: &str| {
        let folders = ["runs/bumps", elsewhere.path().join("runs/bumps").to_str().expect("a path")].map(String::from);
        let output = flowdistill(folder.path(), &["compare", &folders[0], &folders[1], "--format", format]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(table("text")
        .lines()
        .nth(1)
        .is_some_and(|line| line.starts_with("runs/bumps") && line.contains("not trusted")));
    // What no run has is left out for people.
    assert!(table("markdown").starts_with("| run | verdict | test log density |"));
    let csv = table("csv");
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.len() == 11), "{csv}");
    let list: Value = serde_json::from_str(&table("json")).expect("JSON");
    assert_eq!(list[0]["test_log_prob"], list[1]["test_log_prob"]);
    assert!(list[0]["ess"].is_null() && list[0]["verdict"] == "not_trusted", "{list}");
}

#[test]
fn a_run_that_failed_has_a_page_that_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    // The root of a negative number wherever the student can be.
    let text = "(name: \"wild\", target: Expression(parameters: {\"x\": Real, \"y\": Real}, \
                log_density: \"x ~ normal(sqrt(y - 1000), 1); y ~ normal(0, 1)\"), \
                student: Flow(layers: 1, hidden: [8]), whitening: None, \
                stages: [ReverseKl(against: Target, training: (steps: 300, batch: 16))])";
    std::fs::write(folder.path().join("wild.ron"), text).expect("written");
    let output = flowdistill(folder.path(), &["run", "wild.ron", "-q"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let (page, run) = check_folder(&folder.path().join("runs/wild"));
    assert_eq!(run["status"], "diverged");
    assert!(page.contains("Failed: training diverged") && page.contains("whitening=Laplace"), "{page:.3000}");
    assert!(page.contains("log_density is not a number at x = "), "{page:.3000}");
}

/// Draws of four columns of which the third has two bumps, `lost` of one of which is missing.
fn sample(who: Who, lost: f64, seed: u64) -> Sample {
    let stream = Seed(seed).stream("rows");
    let values = (0..4000).flat_map(|row| {
        let mut rng = stream.row(row);
        let [[a, b], [c, d]] = [normal_pair(&mut rng), normal_pair(&mut rng)];
        let share = (row as f64 + 0.5) / 4000.0;
        let side = if share < 0.3 * (1.0 - lost) { 4.0 } else { 0.0 };
        [a, 0.9 * a + 0.4 * b, side + 0.5 * c, d].map(|value| value as f32)
    });
    Sample { who, values: values.collect() }
}

#[test]
fn columns_are_in_the_order_of_what_is_wrong_with_them() {
    let looks = |lost: f64| Looks {
        names: ["a", "b", "bumps", "d"].map(String::from).into(),
        samples: vec![sample(Who::Data, 0.0, 1), sample(Who::Teacher, lost, 2), sample(Who::Student, 0.0, 3)],
        ..Looks::default()
    };
    let record = json!({ "name": "made", "verdict": "trusted", "status": "finished" });
    let page_of = |looks: &Looks| page(&Sources { record: &record, markdown: "", metrics: "", looks: Some(looks) });
    let wrong = page_of(&looks(1.0));
    check(&wrong);
    let picture = first(&wrong);
    assert_eq!(attribute(&picture, "data-column"), "bumps");
    assert_eq!(attribute(&picture, "data-model"), "teacher");
    // The stretch is the bump, or all that is not the bump.
    let mass = |name: &str| attribute(&picture, name).parse::<f64>().expect("a mass");
    let apart = (mass("data-mass-right") - mass("data-mass-model")).abs();
    assert!((apart - 0.3).abs() < 0.03, "{apart}");
    // With nothing wrong the columns that depend on each other come first.
    let right = page_of(&looks(0.0));
    check(&right);
    assert!(right.contains("<h2>Nothing to be seen that is wrong</h2>"));
    let corner = pictures(&right).into_iter().find(|it| it.contains("data-columns")).expect("a corner");
    let columns = attribute(corner, "data-columns");
    assert!(columns.starts_with("a b ") || columns.starts_with("b a "), "{columns}");
}
