//! `metrics.jsonl`, appended as it happens: whole lines, and a running checksum by which a run that goes on knows its own.

use super::folder::{Folder, METRICS};
use crate::checksum::Running;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time that a line waits, at most, while steps are taken.
const WAIT: Duration = Duration::from_secs(1);
/// Bytes that wait, at most.
const ROOM: usize = 1 << 15;

/// How far the file had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    bytes: u64,
    checksum: String,
}

/// The file, or nothing where a run has no folder.
pub(super) struct Metrics {
    file: Option<(PathBuf, File)>,
    waiting: Vec<u8>,
    flushed: Instant,
    checksum: Running,
    bytes: u64,
    /// What went wrong while nobody could be told.
    failure: Option<Error>,
}

impl Metrics {
    /// Of a run without a folder.
    pub fn nowhere() -> Self {
        let (waiting, checksum) = (Vec::new(), Running::default());
        Self { file: None, waiting, flushed: Instant::now(), checksum, bytes: 0, failure: None }
    }

    /// From the beginning, or from `mark` on.
    ///
    /// # Errors
    /// If the file cannot be written, or is not the one that was marked.
    pub fn open(folder: &Folder, mark: Option<&Mark>) -> Result<Self> {
        let path = folder.file(METRICS);
        let refuse = |error| Error::output(&path, error);
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(refuse)?;
        let mut metrics = Self::nowhere();
        if let Some(mark) = mark {
            metrics.checksum = checksum_of(&mut file, mark.bytes).map_err(refuse)?;
            metrics.bytes = mark.bytes;
        }
        file.set_len(metrics.bytes).map_err(refuse)?;
        file.seek(SeekFrom::Start(metrics.bytes)).map_err(refuse)?;
        metrics.file = Some((path, file));
        Ok(metrics)
    }

    /// Whether the file in `folder` begins with what was marked.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn begins_with(folder: &Folder, mark: &Mark) -> Result<bool> {
        let path = folder.file(METRICS);
        let refuse = |error| Error::unread(&path, error);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(mark.bytes == 0),
            opened => opened.map_err(refuse)?,
        };
        // A shorter one has another checksum.
        let found = checksum_of(&mut file, mark.bytes).map_err(refuse)?;
        Ok(found.digits() == mark.checksum)
    }

    /// Adds a line.
    pub fn push(&mut self, line: &str) {
        if self.file.is_some() {
            self.waiting.extend_from_slice(line.as_bytes());
            self.waiting.push(b'\n');
        }
    }

    /// Writes what waits if it has waited long enough.
    pub fn tick(&mut self) {
        if self.waiting.len() >= ROOM || (!self.waiting.is_empty() && self.flushed.elapsed() >= WAIT) {
            if let Err(error) = self.flush() {
                self.failure.get_or_insert(error);
            }
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// If it cannot be written, now or at some time before.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.flushed = Instant::now();
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(&self.waiting).map_err(|error| Error::output(path, error))?;
        self.checksum.update(&self.waiting);
        self.bytes += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// The checksum of all that was written.
    pub fn checksum(&self) -> String {
        self.checksum.digits()
    }

    /// How far it has come, all of it on the disk.
    ///
    /// # Errors
    /// As [`Metrics::flush`].
    pub fn mark(&mut self) -> Result<Mark> {
        self.flush()?;
        if let Some((path, file)) = &self.file {
            file.sync_data().map_err(|error| Error::output(path, error))?;
        }
        Ok(Mark { bytes: self.bytes, checksum: self.checksum.digits() })
    }
}

/// The checksum of the first `bytes` bytes of a file.
fn checksum_of(file: &mut File, bytes: u64) -> std::io::Result<Running> {
    let mut checksum = Running::default();
    checksum.update_from(file.take(bytes))?;
    Ok(checksum)
}
