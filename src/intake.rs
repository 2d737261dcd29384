//! Files that are read: regular ones only, and no longer than they may be.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens a regular file for reading and tells its length. A pipe, a terminal or a device would keep us for ever, or never end.
///
/// # Errors
/// If it is missing or anything but a regular file.
pub fn open(path: &Path) -> Result<(File, u64)> {
    let refuse = |error: std::io::Error| Error::input(path, error);
    // Before it is opened: that alone waits, where it is a pipe that nobody writes to.
    regular(path, &std::fs::metadata(path).map_err(refuse)?)?;
    let file = File::open(path).map_err(refuse)?;
    let about = file.metadata().map_err(refuse)?;
    regular(path, &about)?;
    Ok((file, about.len()))
}

fn regular(path: &Path, about: &std::fs::Metadata) -> Result<()> {
    if about.is_dir() {
        return Err(Error::input(path, "is a folder; a file is right"));
    }
    if !about.is_file() {
        return Err(Error::input(
            path,
            "is a pipe or a device; a regular file is right, or `-` for standard input where a text table may come from there",
        ));
    }
    Ok(())
}

/// Reads a whole regular file of at most `most` bytes.
///
/// # Errors
/// If it is none, or longer.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > most {
        return Err(Error::input(path, format!("has {length} bytes; at most {most} are right")));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // A file that grows meanwhile is not followed.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| Error::input(path, error))?;
    if bytes.len() as u64 > most {
        return Err(Error::input(path, format!("has more than {most} bytes; at most as many are right")));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and if it is no UTF-8.
pub fn text(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| Error::input(path, "is not UTF-8 text"))
}
