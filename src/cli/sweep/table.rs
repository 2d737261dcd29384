//! The table of a sweep: what each run came to, from the runs' own records.

use super::points::Point;
use crate::cli::figures::{figure, Figures, Format, LARGEST_RECORD};
use crate::durable;
use crate::error::{Error, Result};
use crate::experiment::{record_in, RUN_JSON};
use crate::intake;
use serde_json::{json, Map, Value};
use std::path::Path;

/// The points of the sweep in a folder.
pub const POINTS: &str = "points.json";
/// The table for programs, and the same as text.
pub const JSON: &str = "sweep.json";
pub const CSV: &str = "sweep.csv";

/// What is said of each run after the fields that were set.
const FIGURES: [&str; 10] = [
    "status",
    "verdict",
    "ess",
    "log_z",
    "log_z_se",
    "test_log_prob",
    "test_log_prob_se",
    "value_evaluations",
    "gradient_evaluations",
    "seconds",
];

/// A sweep's table.
pub struct Table {
    figures: Figures,
    /// Runs that are not finished.
    pub unfinished: usize,
}

impl Table {
    /// Of the runs in `folder`; `faults` are those of points, by name.
    pub fn of(folder: &Path, points: &[Point], faults: &[(String, String)]) -> Self {
        let mut unfinished = 0;
        let mut row = |point: &Point| {
            let of = folder.join(&point.name);
            let record = record_in(&of).unwrap_or_default();
            let mut row = Map::new();
            row.insert("run".into(), json!(point.name));
            for [field, value] in &point.set {
                row.insert(field.clone(), json!(value));
            }
            row.extend(FIGURES.iter().map(|name| (name.to_string(), figure(&record, name))));
            if let Some((_, fault)) = faults.iter().find(|(name, _)| *name == point.name) {
                row["status"] = json!("failed");
                row.insert("fault".into(), json!(fault));
            } else if record.is_null() {
                let is_there = of.join(RUN_JSON).exists();
                row["status"] = json!(if is_there { "damaged" } else { "not begun" });
            }
            unfinished += usize::from(row["status"] != "finished");
            row
        };
        let rows = points.iter().map(&mut row).collect();
        let fields = points.first().into_iter().flat_map(|point| point.set.iter().map(|[field, _]| field.clone()));
        let names = std::iter::once("run".to_string()).chain(fields).chain(FIGURES.map(String::from)).collect();
        Self { figures: Figures { names, rows }, unfinished }
    }

    /// Writes both files into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (name, format) in [(JSON, Format::Json), (CSV, Format::Csv)] {
            durable::write(&folder.join(name), self.figures.written(format)?.as_bytes())?;
        }
        Ok(())
    }

    /// The table as a text, for people with the faults below it.
    pub fn written(&self, format: Format) -> Result<String> {
        let mut text = self.figures.written(format)?;
        if format == Format::Markdown {
            for row in &self.figures.rows {
                if let (Some(run), Some(fault)) = (row["run"].as_str(), row.get("fault").and_then(Value::as_str)) {
                    text += &format!("\n{run}: {fault}\n");
                }
            }
        }
        Ok(text)
    }
}

/// The points of the sweep that `folder` holds.
pub fn points_of(folder: &Path) -> Result<Vec<Point>> {
    let path = folder.join(POINTS);
    let text = intake::text(&path, LARGEST_RECORD)?;
    serde_json::from_str(&text).map_err(|error| Error::input(&path, format!("is no list of a sweep's runs ({error})")))
}
