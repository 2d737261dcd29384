//! The folder of a run: its file names, and when a run may write there.

use crate::durable;
use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

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
/// What was said while the run went.
pub const LOG: &str = "run.log";
/// The result for people.
pub const REPORT: &str = "report.md";
/// The result for people to look at.
pub const PAGE: &str = "report.html";
/// What its pictures are made of.
pub const LOOKS: &str = "looks.safetensors";
/// The result for programs.
pub const RUN_JSON: &str = "run.json";

/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoint";

const ALL: [&str; 11] = [INPUT, RESOLVED, LOG, METRICS, DRAWS, TEACHER, STUDENT, LOOKS, PAGE, REPORT, RUN_JSON];

/// What a file is called until it takes its place together with others.
const NEXT: &str = ".next-";
/// The file that the owner of a folder holds locked.
const LOCK: &str = ".lock";

/// Where a run that is to replace another one is until its first stage is there.
const BESIDE: &str = ".beside";
/// The same while it takes the other one's place: first that goes, …
const TAKING: &str = ".taking";
/// … then this one's files come.
const TAKEN: &str = ".taken";

/// A run's folder, held by one owner.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether the run's files are still beside those of the run that it is to replace.
    beside: AtomicBool,
    /// Held until it is dropped, or the process is no more.
    _lock: File,
}

impl Folder {
    /// Makes `parent/name` and owns it. A folder that holds a run is refused unless `force`: that run's files, and no others, are replaced once
    /// the first stage of the new one is there ([`Folder::take_over`]).
    ///
    /// # Errors
    /// If it holds a run, somebody else owns it, or it cannot be made.
    pub fn create(parent: &Path, name: &str, force: bool) -> Result<Self> {
        let folder = Self::own(parent, name)?;
        let held = folder.holds_a_run()?;
        if held && !force {
            let path = folder.path.display();
            let message = format!(
                "{path} holds a run already; --resume goes on with it, --force replaces it, or give another name"
            );
            return Err(Error::invalid(message));
        }
        folder.forget_beside()?;
        if held {
            folder.go_beside()?;
        } else {
            // What a run that was killed at its very start has left.
            remove_folder(&folder.path.join(CHECKPOINTS))?;
        }
        Ok(folder)
    }

    /// Makes `parent/name` if it is not there, and owns the run that it holds: the newest one that has begun.
    ///
    /// # Errors
    /// As [`Folder::own`].
    pub fn resume(parent: &Path, name: &str) -> Result<Self> {
        let folder = Self::own(parent, name)?;
        if is_there(&folder.path.join(BESIDE).join(CHECKPOINTS))? {
            folder.beside.store(true, Ordering::Relaxed);
            folder.sweep()?;
        } else {
            folder.forget_beside()?;
        }
        Ok(folder)
    }

    fn go_beside(&self) -> Result<()> {
        let place = self.path.join(BESIDE);
        std::fs::create_dir_all(&place).map_err(|error| Error::output(&place, error))?;
        self.beside.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn forget_beside(&self) -> Result<()> {
        remove_folder(&self.path.join(BESIDE))
    }

    /// The run takes the place of the one beside which it has begun, if there is one. A process that is killed while it does so leaves it to the
    /// next owner.
    ///
    /// # Errors
    /// If files cannot be moved.
    pub fn take_over(&self) -> Result<()> {
        if self.beside.load(Ordering::Relaxed) {
            rename(&self.path.join(BESIDE), &self.path.join(TAKING))?;
            durable::sync_folder(&self.path)?;
            self.complete_taking()?;
            self.beside.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn complete_taking(&self) -> Result<()> {
        let (taking, taken) = (self.path.join(TAKING), self.path.join(TAKEN));
        if is_there(&taking)? {
            remove_folder(&self.path.join(CHECKPOINTS))?;
            ALL.iter().rev().try_for_each(|file| remove(&self.path.join(file)))?;
            rename(&taking, &taken)?;
        }
        if is_there(&taken)? {
            for name in names_in(&taken)? {
                rename(&taken.join(&name), &self.path.join(&name))?;
            }
            remove_folder(&taken)?;
            durable::sync_folder(&self.path)?;
        }
        Ok(())
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
        let folder = Self { path, beside: AtomicBool::new(false), _lock: lock };
        folder.complete_taking()?;
        folder.sweep()?;
        Ok(folder)
    }

    /// Whether it holds a run, or a part of one.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn holds_a_run(&self) -> Result<bool> {
        let there = ALL.iter().map(|file| is_there(&self.path.join(file))).collect::<Result<Vec<_>>>()?;
        Ok(there.contains(&true))
    }

    /// Removes what a run that was killed while it wrote has left half done.
    fn sweep(&self) -> Result<()> {
        for folder in [self.place(), self.file(CHECKPOINTS)] {
            for name in names_in(&folder)? {
                if name.starts_with(NEXT) || durable::is_draft(&name) {
                    let path = folder.join(name);
                    match path.is_dir() {
                        true => remove_folder(&path)?,
                        false => remove(&path)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its files are.
    pub(super) fn place(&self) -> PathBuf {
        match self.beside.load(Ordering::Relaxed) {
            true => self.path.join(BESIDE),
            false => self.path.clone(),
        }
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.place().join(name)
    }

    /// Whether one of its files is there.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn has(&self, name: &str) -> Result<bool> {
        is_there(&self.file(name))
    }

    /// Where one of its files is written until [`Folder::publish`].
    pub fn next(&self, name: &str) -> PathBuf {
        self.place().join(format!("{NEXT}{name}"))
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
        durable::sync_folder(&self.place())
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

/// Whether something is there. Where the system does not tell, nobody may go on as if nothing were.
fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| Error::unread(path, error))
}

/// The names in a folder; none if there is no folder.
///
/// # Errors
/// If the system does not tell all of them.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>> {
    let refuse = |error| Error::unread(folder, error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(refuse)?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
    // None of our names is anything but text.
    Ok(names.collect::<std::io::Result<Vec<_>>>().map_err(refuse)?.into_iter().flatten().collect())
}

fn remove_folder(path: &Path) -> Result<()> {
    unless_gone(path, std::fs::remove_dir_all(path))
}

fn unless_gone(path: &Path, removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::output(path, error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| Error::output(to, error))
}

fn remove(path: &Path) -> Result<()> {
    unless_gone(path, std::fs::remove_file(path))
}
