//! The folder of a run: its file names, and when a run may write there.

use crate::durable;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The experiment as written.
pub const INPUT: &str = "experiment.ron";
/// The experiment with every default written out.
pub const RESOLVED: &str = "resolved.ron";
/// One line of JSON for each recorded training step.
pub const METRICS: &str = "metrics.jsonl";
/// The teacher.
pub const TEACHER: &str = "teacher.safetensors";
/// The student.
pub const STUDENT: &str = "student.safetensors";
/// Draws from the target by a sampler.
pub const DRAWS: &str = "draws.npy";
/// The result for people.
pub const REPORT: &str = "report.md";
/// The result for programs.
pub const RUN_JSON: &str = "run.json";

const ALL: [&str; 8] = [INPUT, RESOLVED, METRICS, DRAWS, TEACHER, STUDENT, REPORT, RUN_JSON];

/// A run's folder.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes `parent/name`. A folder that holds a run is refused unless `force`, which removes that run's files and no others.
    ///
    /// # Errors
    /// If it holds a run, or cannot be made.
    pub fn create(parent: &Path, name: &str, force: bool) -> Result<Self> {
        let path = parent.join(name);
        let held: Vec<PathBuf> = ALL.iter().map(|file| path.join(file)).filter(|file| file.exists()).collect();
        if !held.is_empty() && !force {
            let message = format!("{} holds a run already; --force replaces it, or give another name", path.display());
            return Err(Error::invalid(message));
        }
        std::fs::create_dir_all(&path).map_err(|error| Error::output(&path, error))?;
        for file in held {
            std::fs::remove_file(&file).map_err(|error| Error::output(&file, error))?;
        }
        Ok(Self { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes one of its files, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        durable::write(&self.file(name), text.as_bytes())
    }
}
