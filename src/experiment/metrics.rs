//! `metrics.jsonl`, appended as it happens: whole lines, and a running checksum by which a run that goes on knows its own.

use super::folder::{Folder, METRICS};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
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
    checksum: blake3::Hasher,
    bytes: u64,
    /// What went wrong while nobody could be told.
    failure: Option<Error>,
}

impl Metrics {
    /// Of a run without a folder.
    pub fn nowhere() -> Self {
        let (waiting, checksum) = (Vec::new(), blake3::Hasher::new());
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
    pub fn begins_with(folder: &Folder, mark: &Mark) -> bool {
        let Ok(mut file) = File::open(folder.file(METRICS)) else { return mark.bytes == 0 };
        let long_enough = file.metadata().is_ok_and(|about| about.len() >= mark.bytes);
        let same = |found: blake3::Hasher| found.finalize().to_hex().as_str() == mark.checksum;
        long_enough && checksum_of(&mut file, mark.bytes).is_ok_and(same)
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

    /// How far it has come, all of it on the disk.
    ///
    /// # Errors
    /// As [`Metrics::flush`].
    pub fn mark(&mut self) -> Result<Mark> {
        self.flush()?;
        if let Some((path, file)) = &self.file {
            file.sync_data().map_err(|error| Error::output(path, error))?;
        }
        Ok(Mark { bytes: self.bytes, checksum: self.checksum.finalize().to_hex().to_string() })
    }
}

/// The checksum of the first `bytes` bytes of a file.
fn checksum_of(file: &mut File, bytes: u64) -> std::io::Result<blake3::Hasher> {
    let mut checksum = blake3::Hasher::new();
    std::io::copy(&mut file.take(bytes), &mut checksum)?;
    Ok(checksum)
}
