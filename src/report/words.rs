//! What the verdict means in plain words, and what to do next: the commands.

use serde_json::Value;

/// The verdict as a headline, as a class of the page, and what it means.
pub(super) struct Headline {
    pub title: String,
    pub class: &'static str,
    pub meaning: String,
}

/// Whether the student was trained against a teacher last.
fn against_teacher(record: &Value) -> bool {
    let last = record["stages"].as_array().and_then(|stages| stages.last()).and_then(|stage| stage["name"].as_str());
    last.is_some_and(|name| name.ends_with("against the teacher"))
}

fn has_student(record: &Value) -> bool {
    record["certificate"].is_object()
        || record["given"].is_object()
        || record["files"]["student.safetensors"].is_string()
}

/// What a person reads first.
pub(super) fn headline(record: &Value) -> Headline {
    let model = if has_student(record) { "student" } else { "teacher" };
    let of = |title: &str, class: &'static str, meaning: String| Headline { title: title.into(), class, meaning };
    match (record["verdict"].as_str(), record["status"].as_str()) {
        (Some("trusted"), _) => of("Trusted", "good", format!("Draws of the {model} may be used as they are.")),
        (Some("correctable"), _) if against_teacher(record) => {
            let meaning = "Draws of the student are not good enough as they are. Those of the teacher are.";
            of("Correctable", "fair", meaning.into())
        }
        (Some("correctable"), _) => of(
            "Correctable",
            "fair",
            format!("Draws of the {model} may be used with their weights, or corrected, not as they are."),
        ),
        (Some(_), _) => of(
            "Not trusted",
            "bad",
            format!("Do not use draws of the {model}: they are wrong, or nothing says that they are right."),
        ),
        (_, Some("diverged")) => {
            let meaning = "There is nothing to be judged. The last weights that were good have been kept.";
            of("Failed: training diverged", "bad", meaning.into())
        }
        (_, Some("interrupted")) => of("Interrupted", "fair", "What had been reached was kept; it can go on.".into()),
        (_, Some("running")) => of(
            "Not finished",
            "fair",
            "It is still running, or it was ended from outside. Nothing has been judged yet.".into(),
        ),
        _ => of("Not judged", "fair", "There is no model that could be judged.".into()),
    }
}

/// What to do next: why, and the command, which is given in the run's folder unless it says otherwise.
pub(super) fn next(record: &Value) -> Vec<(String, String)> {
    let given = if record["given"].is_object() { " --given rows.csv" } else { "" };
    let sample = |model: &str| format!("flowdistill sample {model}.safetensors -n 10000{given} -o draws.csv");
    let model = if has_student(record) { "student" } else { "teacher" };
    let draw = |why: &str, model: &str| vec![(why.to_string(), sample(model))];
    match (record["verdict"].as_str(), record["status"].as_str()) {
        (Some("trusted"), _) => draw("Draw from it:", model),
        (Some("correctable"), _) if against_teacher(record) => {
            let mut all = draw("Draw from the teacher:", "teacher");
            all.extend(longer(record, "Or train the student longer:"));
            all
        }
        (Some("correctable"), _) => {
            let native = permission(record);
            let command = format!(
                "flowdistill sample student.safetensors -n 10000 --correct imh --target resolved.ron{native} -o draws.csv"
            );
            let mut all = vec![("Draw and correct, by the target itself:".into(), command)];
            all.extend(longer(record, "Or train it longer:"));
            all
        }
        (Some(_), _) => longer(record, "Try again with more time:").into_iter().collect(),
        (_, Some("diverged")) => {
            let name = name(record);
            let native = permission(record);
            let command =
                format!("flowdistill run resolved.ron --out ..{native} --set name={name} --set whitening=Laplace");
            vec![(
                "Try again in coordinates in which the target's scales are alike (or with a lower rate):".into(),
                command,
            )]
        }
        (_, Some("interrupted" | "running")) => {
            let words = record["command"].as_array().map_or(&[][..], Vec::as_slice);
            let words: Vec<&str> = words
                .iter()
                .filter_map(Value::as_str)
                .filter(|word| !matches!(*word, "--force" | "--resume"))
                .collect();
            let command = if words.is_empty() { "flowdistill run experiment.ron".into() } else { words.join(" ") };
            vec![("Go on, where it was begun:".into(), format!("{command} --resume"))]
        }
        _ => Vec::new(),
    }
}

fn name(record: &Value) -> String {
    format!("{}_again", record["name"].as_str().unwrap_or("run"))
}

/// What a run needs to let the experiment start programs or load libraries, if this one had it.
fn permission(record: &Value) -> &'static str {
    let words = record["command"].as_array().map_or(&[][..], Vec::as_slice);
    if words.iter().any(|word| word == "--allow-native") {
        " --allow-native"
    } else {
        ""
    }
}

/// The command that trains for twice as many steps, or with more time where the run plans itself.
fn longer(record: &Value, why: &str) -> Option<(String, String)> {
    let stages = record["stages"].as_array()?;
    let from_the_target = record["certificate"].is_object() && record["data_certificate"].is_null();
    let by_itself = stages.iter().any(|stage| stage["attempt"].is_number());
    let (again, start) = (name(record), format!("flowdistill run resolved.ron --out ..{}", permission(record)));
    let not_trusted = record["verdict"] == "not_trusted";
    if by_itself || (from_the_target && not_trusted && !against_teacher(record)) {
        return Some((why.into(), format!("{start} --set name={again} --set \"stages=Auto(seconds: 3600)\"")));
    }
    let (place, stage) = stages.iter().enumerate().rev().find(|(_, stage)| stage["steps"].is_number())?;
    let path = if stage["name"].as_str()?.starts_with("teacher") { "steps" } else { "training.steps" };
    let steps = 2 * stage["steps"].as_u64()?;
    Some((why.into(), format!("{start} --set name={again} --set stages.{place}.{path}={steps}")))
}
