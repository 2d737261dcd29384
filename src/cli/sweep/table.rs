//! The table of a sweep: what each run came to, from the runs' own records.

use super::points::Point;
use crate::durable;
use crate::error::{Error, Result};
use crate::experiment::RUN_JSON;
use crate::intake;
use serde_json::{json, Map, Value};
use std::path::Path;

/// The points of the sweep in a folder.
pub const POINTS: &str = "points.json";
/// The table for programs, and the same as text.
pub const JSON: &str = "sweep.json";
pub const CSV: &str = "sweep.csv";

/// Records beyond this are none.
const LARGEST: u64 = 1 << 28;

/// Figures of a run: their names and where its record has them.
const FIGURES: [(&str, &[&str]); 10] = [
    ("status", &["status"]),
    ("verdict", &["verdict"]),
    ("ess", &["scores", "student", "ess"]),
    ("log_z", &["scores", "student", "log_z"]),
    ("log_z_se", &["scores", "student", "log_z_se"]),
    ("test_log_prob", &["scores", "teacher", "test_log_prob"]),
    ("test_log_prob_se", &["scores", "teacher", "test_log_prob_se"]),
    ("value_evaluations", &["target_evaluations", "values"]),
    ("gradient_evaluations", &["target_evaluations", "gradients"]),
    ("seconds", &["seconds"]),
];

/// A sweep's table.
pub struct Table {
    rows: Vec<Map<String, Value>>,
    fields: Vec<String>,
    /// Runs that are not finished.
    pub unfinished: usize,
}

impl Table {
    /// Of the runs in `folder`; `faults` are those of points, by name.
    pub fn of(folder: &Path, points: &[Point], faults: &[(String, String)]) -> Self {
        let mut unfinished = 0;
        let mut row = |point: &Point| {
            let record = std::fs::read_to_string(folder.join(&point.name).join(RUN_JSON)).unwrap_or_default();
            let record: Value = serde_json::from_str(&record).unwrap_or_default();
            let mut row = Map::new();
            row.insert("run".into(), json!(point.name));
            for [field, value] in &point.set {
                row.insert(field.clone(), json!(value));
            }
            for (name, path) in FIGURES {
                row.insert(name.into(), path.iter().fold(&record, |value, key| &value[*key]).clone());
            }
            if let Some((_, fault)) = faults.iter().find(|(name, _)| *name == point.name) {
                row["status"] = json!("failed");
                row.insert("fault".into(), json!(fault));
            } else if record.is_null() {
                row["status"] = json!("not begun");
            }
            unfinished += usize::from(row["status"] != "finished");
            row
        };
        let rows = points.iter().map(&mut row).collect();
        let fields =
            points.first().map_or(Vec::new(), |point| point.set.iter().map(|[field, _]| field.clone()).collect());
        Self { rows, fields, unfinished }
    }

    fn names(&self) -> Vec<&str> {
        let fields = self.fields.iter().map(String::as_str);
        std::iter::once("run").chain(fields).chain(FIGURES.iter().map(|(name, _)| *name)).collect()
    }

    /// Writes both files into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        durable::write(&folder.join(JSON), format!("{}\n", self.to_json()).as_bytes())?;
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(self.names()).map_err(Error::invalid)?;
        for row in &self.rows {
            let cell = |name: &str| match &row[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            csv.write_record(self.names().into_iter().map(cell)).map_err(Error::invalid)?;
        }
        durable::write(&folder.join(CSV), &csv.into_inner().map_err(Error::invalid)?)
    }

    /// An array of objects.
    pub fn to_json(&self) -> String {
        format!("{:#}", Value::from(self.rows.iter().cloned().map(Value::Object).collect::<Vec<_>>()))
    }

    /// For people: without what no run has, and with few digits.
    pub fn to_markdown(&self) -> String {
        let there = |name: &&str| self.rows.iter().any(|row| !row[*name].is_null()) && !name.ends_with("_se");
        let names: Vec<&str> = self.names().into_iter().filter(there).collect();
        let cell = |row: &Map<String, Value>, name: &str| {
            let rounded = |value: &Value| match value {
                Value::Null => String::new(),
                Value::String(text) => text.replace('|', "\\|").replace('_', " "),
                Value::Number(number) if number.is_f64() => {
                    let value = number.as_f64().unwrap_or(f64::NAN);
                    if name == "seconds" {
                        format!("{value:.1}")
                    } else {
                        format!("{value:.4}")
                    }
                }
                other => other.to_string(),
            };
            let error = row.get(&format!("{name}_se")).filter(|error| error.is_f64()).map(rounded);
            // Names of folders are shown as they are.
            let shown = if name == "run" { row[name].as_str().unwrap_or("").to_string() } else { rounded(&row[name]) };
            error.map_or(shown.clone(), |error| format!("{shown} ± {error}"))
        };
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(names.iter().map(|name| name.replace('_', " ")).collect());
        text += &format!("|{}\n", "---|".repeat(names.len()));
        self.rows.iter().for_each(|row| text += &line(names.iter().map(|name| cell(row, name)).collect()));
        for row in &self.rows {
            if let (Some(run), Some(fault)) = (row["run"].as_str(), row.get("fault").and_then(Value::as_str)) {
                text += &format!("\n{run}: {fault}\n");
            }
        }
        text
    }
}

/// The points of the sweep that `folder` holds.
pub fn points_of(folder: &Path) -> Result<Vec<Point>> {
    let path = folder.join(POINTS);
    let text = intake::text(&path, LARGEST)?;
    serde_json::from_str(&text).map_err(|error| Error::input(&path, format!("is no list of a sweep's runs ({error})")))
}
