//! Several runs beside each other: what each came to and what it took, as they have it on record.

use crate::cli::figures::{figure, Figures};
use crate::error::Result;
use crate::experiment::record_in;
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
    let record = record_in(folder)?;
    let mut row: Map<String, Value> = COLUMNS.iter().map(|name| (name.to_string(), figure(&record, name))).collect();
    row["run"] = json!(folder.display().to_string());
    if row["verdict"].is_null() {
        // Of a run that came to none: how far it came.
        row["verdict"] = record["status"].clone();
    }
    Ok(row)
}
