//! Several runs beside each other: what each came to and what it took, as they have it on record.

use crate::cli::figures::{figure, Figures, LARGEST_RECORD};
use crate::error::{Error, Result};
use crate::experiment::RUN_JSON;
use crate::intake;
use serde_json::{json, Map, Value};
use std::path::{Path, PathBuf};

/// The columns.
const COLUMNS: [&str; 11] = [
    "run",
    "verdict",
    "ess",
    "log_z",
    "log_z_se",
    "test_log_prob",
    "test_log_prob_se",
    "total_variation",
    "seconds",
    "evaluations",
    "draws_per_second",
];

/// The table of the runs in `folders`.
pub fn table(folders: &[PathBuf]) -> Result<Figures> {
    let rows = folders.iter().map(|folder| row(folder)).collect::<Result<Vec<_>>>()?;
    Ok(Figures { names: COLUMNS.map(String::from).into(), rows })
}

/// What is known of a run; the rest is null.
fn row(folder: &Path) -> Result<Map<String, Value>> {
    let path = folder.join(RUN_JSON);
    if !path.exists() {
        return Err(Error::input(folder, format!("holds no {RUN_JSON}; the folder of a run is right")));
    }
    let text = intake::text(&path, LARGEST_RECORD)?;
    let record: Value = serde_json::from_str(&text).map_err(|error| Error::input(&path, error))?;
    let mut row: Map<String, Value> = COLUMNS.iter().map(|name| (name.to_string(), figure(&record, name))).collect();
    row["run"] = json!(folder.display().to_string());
    if row["verdict"].is_null() {
        // Of a run that came to none: how far it came.
        row["verdict"] = record["status"].clone();
    }
    Ok(row)
}
