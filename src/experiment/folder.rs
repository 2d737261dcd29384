//! The folder of a run: its file names, and when a run may write there.

use crate::durable;
use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
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

/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoint";

const ALL: [&str; 8] = [INPUT, RESOLVED, METRICS, DRAWS, TEACHER, STUDENT, REPORT, RUN_JSON];

/// What a file is called until it takes its place together with others.
const NEXT: &str = ".next-";
/// The file that the owner of a folder holds locked.
const LOCK: &str = ".lock";

/// A run's folder, held by one owner.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held until it is dropped, or the process is no more.
    _lock: File,
}

impl Folder {
    /// Makes `parent/name` and owns it. A folder that holds a run is refused unless `force`, which has that run's files and no others removed.
    ///
    /// # Errors
    /// If it holds a run, somebody else owns it, or it cannot be made.
    pub fn create(parent: &Path, name: &str, force: bool) -> Result<Self> {
        let folder = Self::own(parent, name)?;
        let held = folder.holds_a_run();
        if held && !force {
            let path = folder.path.display();
            let message = format!(
                "{path} holds a run already; --resume goes on with it, --force replaces it, or give another name"
            );
            return Err(Error::invalid(message));
        }
        if held {
            folder.clear()?;
        }
        Ok(folder)
    }

    /// Makes `parent/name` if it is not there, and owns it whatever it holds.
    ///
    /// # Errors
    /// If somebody else owns it, or it cannot be made.
    pub fn own(parent: &Path, name: &str) -> Result<Self> {
        let path = parent.join(name);
        std::fs::create_dir_all(&path).map_err(|error| Error::output(&path, error))?;
        let place = path.join(LOCK);
        let refuse = |error| Error::output(&place, error);
        let lock = File::options().create(true).truncate(false).write(true).open(&place).map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another run is at work in {}; let it end, or give another name", path.display());
                return Err(Error::invalid(message));
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        let folder = Self { path, _lock: lock };
        folder.sweep()?;
        Ok(folder)
    }

    /// Whether it holds a run, or a part of one.
    pub fn holds_a_run(&self) -> bool {
        ALL.iter().any(|file| self.file(file).exists())
    }

    /// Removes what a run that was killed while it wrote has left half done.
    fn sweep(&self) -> Result<()> {
        for folder in [self.path.clone(), self.file(CHECKPOINTS)] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with(NEXT) || durable::is_draft(&name) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Removes the files of the run that it holds and no others: what would be gone on from first, then the record.
    fn clear(&self) -> Result<()> {
        let checkpoints = self.file(CHECKPOINTS);
        if checkpoints.exists() {
            std::fs::remove_dir_all(&checkpoints).map_err(|error| Error::output(&checkpoints, error))?;
        }
        ALL.iter().rev().map(|file| self.file(file)).filter(|file| file.exists()).try_for_each(|file| remove(&file))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where one of its files is written until [`Folder::publish`].
    pub fn next(&self, name: &str) -> PathBuf {
        self.path.join(format!("{NEXT}{name}"))
    }

    /// Puts files that lie under their [`Folder::next`] names in their places, one right after the other.
    ///
    /// # Errors
    /// If one cannot be renamed.
    pub fn publish(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let place = self.file(name);
            std::fs::rename(self.next(name), &place).map_err(|error| Error::output(&place, error))?;
        }
        durable::sync_folder(&self.path)
    }

    /// Writes one of its files, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        durable::write(&self.file(name), text.as_bytes())
    }

    /// Writes one of its files under its [`Folder::next`] name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_next(&self, name: &str, text: &str) -> Result<()> {
        durable::write(&self.next(name), text.as_bytes())
    }
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|error| Error::output(path, error))
}
