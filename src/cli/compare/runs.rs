//! Several runs beside each other: what each came to and what it took, as text, CSV, JSON or Markdown.

use crate::error::{Error, Result};
use crate::evaluate::throughput::rounded;
use crate::experiment::RUN_JSON;
use crate::{intake, shown};
use serde_json::{json, Map, Value};
use std::path::{Path, PathBuf};

/// How the table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns that are in line
    Text,
    /// Comma-separated values
    Csv,
    /// A list of objects
    Json,
    /// A table in Markdown
    Markdown,
}

/// The columns, with their names for people.
const COLUMNS: [(&str, &str); 10] = [
    ("run", "run"),
    ("verdict", "verdict"),
    ("ess", "ESS/N"),
    ("log_z", "log Z"),
    ("log_z_se", "± log Z"),
    ("test_log_prob", "test log density"),
    ("total_variation", "total variation"),
    ("seconds", "seconds"),
    ("evaluations", "evaluations"),
    ("draws_per_second", "draws/s"),
];

/// The table of the runs in `folders`.
pub fn table(folders: &[PathBuf], format: Format) -> Result<String> {
    let rows = folders.iter().map(|folder| row(folder)).collect::<Result<Vec<_>>>()?;
    Ok(match format {
        Format::Json => format!("{:#}\n", Value::Array(rows.into_iter().map(Value::Object).collect())),
        Format::Csv => csv(&rows),
        Format::Markdown => markdown(&rows),
        Format::Text => text(&rows),
    })
}

/// What is known of a run; the rest is null.
fn row(folder: &Path) -> Result<Map<String, Value>> {
    let path = folder.join(RUN_JSON);
    if !path.exists() {
        return Err(Error::input(folder, format!("holds no {RUN_JSON}; the folder of a run is right")));
    }
    let text = intake::text(&path, super::LARGEST_RECORD)?;
    let run: Value = serde_json::from_str(&text).map_err(|error| Error::input(&path, error))?;
    let student = &run["scores"]["student"];
    let count = |field: &str| run["target_evaluations"][field].as_u64();
    let evaluations = count("values").zip(count("gradients")).map(|(values, gradients)| values + gradients);
    let rows = run["throughput"].as_array().map_or(&[][..], Vec::as_slice);
    let rate = |model: &str| {
        let of = rows.iter().filter(|row| row["model"] == model).filter_map(|row| row["draws_per_second"].as_f64());
        of.max_by(f64::total_cmp)
    };
    let verdict = match (run["verdict"].as_str(), run["status"].as_str()) {
        (Some(verdict), _) => verdict.replace('_', " "),
        (None, status) => status.unwrap_or("unknown").into(),
    };
    let values = [
        json!(folder.display().to_string()),
        json!(verdict),
        student["ess"].clone(),
        student["log_z"].clone(),
        student["log_z_se"].clone(),
        run["scores"]["teacher"]["test_log_prob"].clone(),
        run["certificate"]["figures"]["total_variation"].clone(),
        run["seconds"].clone(),
        json!(evaluations),
        json!(rate("student").or(rate("teacher"))),
    ];
    Ok(COLUMNS.iter().map(|(name, _)| name.to_string()).zip(values).collect())
}

/// A value for people.
fn word(name: &str, value: &Value) -> String {
    match (value.as_f64(), name) {
        (Some(number), "seconds") => format!("{number:.1}"),
        (Some(number), "evaluations") => format!("{number:.0}"),
        (Some(number), "draws_per_second") => format!("{:.0}", rounded(number)),
        (Some(number), _) => format!("{number:.4}"),
        (None, _) => value.as_str().map_or_else(|| "–".into(), shown::text),
    }
}

fn words(rows: &[Map<String, Value>]) -> Vec<Vec<String>> {
    let heads = COLUMNS.iter().map(|(_, head)| head.to_string()).collect();
    let of = |row: &Map<String, Value>| COLUMNS.iter().map(|(name, _)| word(name, &row[*name])).collect();
    std::iter::once(heads).chain(rows.iter().map(of)).collect()
}

fn text(rows: &[Map<String, Value>]) -> String {
    let all = words(rows);
    let width = |place: usize| all.iter().map(|row| row[place].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(place, (cell, width))| {
            let room = " ".repeat(width - cell.chars().count());
            if place < 2 {
                format!("{cell}{room}")
            } else {
                format!("{room}{cell}")
            }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all.iter().map(line).collect()
}

fn markdown(rows: &[Map<String, Value>]) -> String {
    let mut lines = words(rows).into_iter().map(|row| {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    });
    let head = lines.next().unwrap_or_default();
    let rule: String = (0..COLUMNS.len()).map(|place| if place < 2 { "---|" } else { "---:|" }).collect();
    format!("{head}|{rule}\n{}", lines.collect::<String>())
}

fn csv(rows: &[Map<String, Value>]) -> String {
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let line = |row: &Map<String, Value>| {
        let cells: Vec<String> = names.iter().map(|name| cell(&row[*name])).collect();
        format!("{}\n", cells.join(","))
    };
    format!("{}\n{}", names.join(","), rows.iter().map(line).collect::<String>())
}
