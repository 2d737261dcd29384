//! The reference page against the code: every field is in it, no field is invented, every default is the code's.

use flowdistill::experiment::{Auto, DataSpec, EvaluationSpec, Spec, TargetSpec};
use flowdistill::flow::{BaseConfig, FlowConfig};
use flowdistill::sampler::{NutsSettings, SmcSettings};
use flowdistill::train::{AnnealConfig, Divergence, Replay, Rounds, Schedule, Settings};
use flowdistill::transformer::Transformer;
use serde_json::Value;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md")).expect("the page")
}

/// The rows (field, default) of the tables between a heading and the next.
fn rows(heading: &str) -> Vec<(String, String)> {
    let page = page();
    let section = page.split(&format!("\n## {heading}\n")).nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("text");
    let cells =
        |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(cells).filter(|cells| cells.len() == 4);
    rows.map(|cells| (cells[0].trim_matches('`').to_string(), cells[2].trim_matches('`').to_string())).collect()
}

fn object(value: &Value) -> Vec<(String, Value)> {
    value.as_object().expect("an object").iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Every field of `value` has a row, and the row's default, read as JSON (or as a bare word), is the field's value.
fn assert_documented(heading: &str, value: &Value, nested: &[&str]) {
    let rows = rows(heading);
    for (field, value) in object(value) {
        let row = rows.iter().find(|(name, _)| *name == field);
        let (_, default) = row.unwrap_or_else(|| panic!("{heading}: `{field}` is not in the reference"));
        if default == "*required*" || nested.contains(&field.as_str()) {
            continue;
        }
        let written = match default.as_str() {
            "none" => Value::Null,
            default => serde_json::from_str(default).unwrap_or_else(|_| Value::String(default.into())),
        };
        assert_eq!(written, value, "{heading}: default of `{field}`");
    }
}

#[test]
fn defaults_on_the_page_are_those_of_the_code() {
    assert_documented("Flow", &json(&FlowConfig::default()), &[]);
    assert_documented("Training", &json(&Settings::default()), &["rate"]);
    assert_documented("Training", &json(&Schedule::default()), &[]);
    assert_documented("Rounds", &json(&Rounds::default()), &[]);
    assert_documented("Replay", &json(&Replay::default()), &[]);
    assert_documented("Auto", &json(&Auto::default()), &[]);
    assert_documented("Stages", &json(&Divergence::default()), &["anneal"]);
    assert_documented("Stages", &json(&AnnealConfig::default()), &[]);
    assert_documented("Sampling the target", &json(&SmcSettings::default()), &[]);
    assert_documented("The no-U-turn sampler", &json(&NutsSettings::default()), &[]);
    assert_documented("Evaluation", &json(&EvaluationSpec::default()), &[]);
    let spec = Spec::parse("(name: \"x\", stages: [], data: (source: Draws(rows: 1)))").expect("an experiment");
    assert_documented(
        "Experiment",
        &json(&spec),
        &["name", "target", "data", "teacher", "student", "evaluation", "stages"],
    );
    let data: &DataSpec = spec.data.as_ref().expect("data");
    assert_documented("Data", &json(data), &[]);
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("json")
}

/// The names that an error lists as possible: "…; one of a, b is right".
fn possible(error: &str) -> Vec<String> {
    let line = error.lines().next().expect("a line");
    let (_, names) = line.split_once("; ").unwrap_or_else(|| panic!("nothing that would be right: {line}"));
    let names = names.split(" is right").next().expect("names").trim_start_matches("one of ");
    names.split(", ").map(|name| name.trim_matches('`').to_string()).collect()
}

#[test]
fn the_page_invents_no_field() {
    // RON's error for an unknown field lists the legal ones.
    let legal = |text: &str| possible(&Spec::parse(text).expect_err("an unknown field"));
    for (heading, text) in [
        ("Experiment", "(zzz: 1)"),
        ("Flow", "(name: \"x\", stages: [], teacher: (zzz: 1))"),
        ("Data", "(name: \"x\", stages: [], data: (zzz: 1))"),
        ("Evaluation", "(name: \"x\", stages: [], evaluation: (zzz: 1))"),
        ("Auto", "(name: \"x\", stages: Auto(zzz: 1))"),
        ("Rounds", "(name: \"x\", stages: [MaximumLikelihood(rounds: (zzz: 1))])"),
        ("Replay", "(name: \"x\", stages: [MaximumLikelihood(replay: (zzz: 1))])"),
        ("Layers", "(name: \"x\", stages: [], teacher: (layers: [Masked(zzz: 1)]))"),
    ] {
        let error = legal(text);
        for (field, _) in rows(heading) {
            assert!(error.contains(&field), "{heading}: `{field}` is not a field: {error:?}");
        }
    }
    let training = legal("(name: \"x\", stages: [MaximumLikelihood(zzz: 1)])");
    let stage = legal("(name: \"x\", stages: [ReverseKl(zzz: 1)])");
    let anneal = legal("(name: \"x\", stages: [ReverseKl(against: Target, anneal: (zzz: 1))])");
    for (field, _) in rows("Stages") {
        assert!(stage.contains(&field) || anneal.contains(&field), "Stages: `{field}` is not a field");
    }
    let of_sample = ["(zzz: 1)", "(method: Smc(zzz: 1))", "(method: Nuts(zzz: 1))"]
        .map(|fields| legal(&format!("(name: \"x\", stages: [Sample{fields}])")));
    for (field, _) in rows("Sampling the target").into_iter().chain(rows("The no-U-turn sampler")) {
        assert!(of_sample.iter().any(|error| error.contains(&field)), "Sampling the target: `{field}` is not a field");
    }
    let rate = legal("(name: \"x\", stages: [MaximumLikelihood(rate: (zzz: 1))])");
    for (field, _) in rows("Training") {
        assert!(training.contains(&field) || rate.contains(&field), "Training: `{field}` is not a field");
    }
}

#[test]
fn every_target_source_and_transform_is_on_the_page() {
    let page = page();
    for text in [
        "(name: \"x\", stages: [], target: Zzz())",
        "(name: \"x\", stages: [], data: (source: Zzz()))",
        "(name: \"x\", stages: [], data: (source: Draws(rows: 1), transforms: [Zzz()]))",
        "(name: \"x\", stages: [Zzz()])",
        "(name: \"x\", stages: [], teacher: (transformer: Zzz()))",
        "(name: \"x\", stages: [], teacher: (layers: [Linear(Zzz())]))",
        "(name: \"x\", stages: [], teacher: (layers: [Zzz()]))",
    ] {
        let error = Spec::parse(text).expect_err("an unknown variant");
        let names = possible(&error);
        assert!(!names.is_empty(), "{error}");
        for name in names {
            assert!(page.contains(&format!("`{name}")), "`{name}` is not in the reference");
        }
    }
}

/// A field as its thing is written with and its default; none of one that cannot be left out.
type Field = (String, Option<Value>);

/// The name of a thing that is written as an example, and its fields.
fn declared<T: serde::Serialize + serde::de::DeserializeOwned>(example: &T) -> (String, Vec<Field>) {
    let written = match json(example) {
        Value::String(bare) => return (bare, Vec::new()),
        written => written,
    };
    let (name, fields) = object(&written).remove(0);
    let field = |(field, _): (String, Value)| {
        let mut others = fields.clone();
        others.as_object_mut().expect("an object").remove(&field);
        let left_out = serde_json::from_value::<T>(serde_json::json!({ &name: others }));
        let default = left_out.ok().map(|left_out| json(&left_out)[&name][&field].clone());
        (field, default)
    };
    let declared = object(&fields).into_iter().map(field).collect();
    (name, declared)
}

#[test]
fn every_field_of_a_target_is_in_its_row_with_its_default() {
    let page = page();
    let section = page.split("\n## Targets\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    for (example, _) in TargetSpec::CATALOGUE {
        let spec = Spec::parse(&format!("(name: \"x\", stages: [], target: {example})")).expect(example);
        let (name, fields) = declared(spec.target.as_ref().expect("a target"));
        let is_row = |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{name}")));
        let row = section.lines().find(is_row).unwrap_or_else(|| panic!("`{name}` has no row"));
        for (field, default) in fields {
            assert!(row.contains(&format!("`{field}`")), "{name}: `{field}` is not in its row");
            if let Some(default) = default.filter(|default| default.is_number() || default.is_boolean()) {
                let right = format!("`{field}` ({default})");
                assert!(row.contains(&right), "{name}: {right} is not in its row");
            }
        }
    }
}

/// The rows of the table with this head, as cells; an empty first cell is that of the row above.
fn table(head: &str) -> Vec<Vec<String>> {
    let page = page();
    let after = page.split(&format!("\n{head}\n")).nth(1).unwrap_or_else(|| panic!("no table `{head}`"));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in after.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let mut cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect();
        if cells[0].is_empty() {
            cells[0] = rows.last().expect("a row above")[0].clone();
        }
        rows.push(cells);
    }
    rows
}

/// Every thing of a list is in a table of the page with all its fields and their defaults, and nothing else is.
fn assert_table<T: serde::Serialize + serde::de::DeserializeOwned>(
    head: &str,
    list: &[&str],
    read: impl Fn(&str) -> T,
) {
    let mut left: Vec<[String; 3]> =
        table(head).into_iter().map(|cells| [0, 1, 3].map(|i| cells[i].trim_matches('`').to_string())).collect();
    for example in list {
        let (name, fields) = declared(&read(example));
        let bare = [(String::new(), Some(Value::Null))];
        for (field, default) in if fields.is_empty() { bare.to_vec() } else { fields } {
            let place = left.iter().position(|[of, row, _]| *of == name && *row == field);
            let [_, _, cell] = left.remove(place.unwrap_or_else(|| panic!("{head}: `{field}` of `{name}` has no row")));
            let default = default.expect("what can be left out");
            let right = if default.is_null() { String::new() } else { default.to_string() };
            assert_eq!(cell, right, "{head}: default of `{field}` of `{name}`");
            assert!(
                field.is_empty() || example.contains(&format!("{field}: {right}")),
                "{example} does not show {field}"
            );
        }
    }
    assert!(left.is_empty(), "{head}: invented: {left:?}");
}

#[test]
fn transformers_and_bases_are_in_their_tables_with_all_fields_and_defaults() {
    let flow = |field: &str, example: &str| -> FlowConfig {
        let spec = Spec::parse(&format!("(name: \"x\", stages: [], teacher: ({field}: {example}))"));
        spec.unwrap_or_else(|error| panic!("{example}: {error}")).teacher.expect("a flow")
    };
    let of_transformer = |example: &str| flow("transformer", example).transformer;
    assert_table("| transformer | field | type | default | meaning |", Transformer::CATALOGUE, of_transformer);
    assert_table("| base | field | type | default | meaning |", BaseConfig::CATALOGUE, |example| {
        flow("base", example).base
    });
    for example in Transformer::CATALOGUE {
        assert_eq!(of_transformer(example).fault(), None);
    }
}
