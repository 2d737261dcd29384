//! `run.json` and the files that it names, which are believed only where their checksums are right.

use super::folder::{Folder, REPORT, RUN_JSON};
use crate::error::{Error, Result};
use crate::{checksum, intake};
use serde_json::{json, Value};
use std::path::Path;

/// The longest record, and the longest file that it names, that is read.
const LARGEST: u64 = 1 << 28;

/// What comes before every checksum.
const KIND: &str = "blake3:";

/// What comes before the record's own checksum. Within a string its quotes would have been escaped.
const OWN: &str = "\"run.json\": \"blake3:";

/// A checksum as it is on record.
pub(super) fn written(digits: &str) -> String {
    format!("{KIND}{digits}")
}

/// The text of a record that names `files`, itself among them: the checksum of the whole text in which its own digits are zeros.
pub(super) fn sealed(mut record: Value) -> String {
    record["files"][RUN_JSON] = json!(written(&"0".repeat(checksum::DIGITS)));
    let text = format!("{record:#}\n");
    match own(&text) {
        Some(place) => {
            let digits = checksum::of(text.as_bytes());
            format!("{}{digits}{}", &text[..place], &text[place + checksum::DIGITS..])
        }
        None => text,
    }
}

/// Where a record's own checksum is.
fn own(text: &str) -> Option<usize> {
    let place = text.rfind(OWN)? + OWN.len();
    text.get(place..place + checksum::DIGITS)?;
    Some(place)
}

/// The record of the run in `folder`.
///
/// # Errors
/// If the folder holds no run, or the record was changed since it was written.
pub fn record_in(folder: &Path) -> Result<Value> {
    let path = folder.join(RUN_JSON);
    if !path.exists() {
        return Err(Error::input(folder, format!("holds no {RUN_JSON}; the folder of a run is right")));
    }
    let text = intake::text(&path, LARGEST)?;
    let mut record: Value = serde_json::from_str(&text).map_err(|error| Error::input(&path, error))?;
    let right = match own(&text) {
        Some(place) => {
            let (before, rest) = text.split_at(place);
            let (digits, after) = rest.split_at(checksum::DIGITS);
            checksum::of(format!("{before}{}{after}", "0".repeat(digits.len())).as_bytes()) == digits
        }
        // Older programs did not give it one, nor did they name their report.
        None => record["files"][REPORT].is_null(),
    };
    if !right {
        return Err(Error::input(&path, "is damaged: its checksum is another one than that with which it was written"));
    }
    // It says nothing of the run: whatever is made of the record is what was made of it before it was sealed.
    if let Some(files) = record.get_mut("files").and_then(Value::as_object_mut) {
        files.shift_remove(RUN_JSON);
    }
    Ok(record)
}

/// Refuses a file of the finished run in `folder` that is another one than its record names. Before the end files may be newer than the record.
///
/// # Errors
/// If it is another one, or not there.
pub fn verify(folder: &Path, record: &Value, name: &str) -> Result<()> {
    let (Some(right), "finished") = (record["files"][name].as_str(), record["status"].as_str().unwrap_or_default())
    else {
        return Ok(());
    };
    let path = folder.join(name);
    let mut found = checksum::Running::default();
    found.update_from(intake::open(&path)?.0).map_err(|error| Error::unread(&path, error))?;
    if written(&found.digits()) != right {
        return Err(Error::input(
            &path,
            format!("is another file than that which the run wrote: {RUN_JSON} names another checksum"),
        ));
    }
    Ok(())
}

/// Whether the run in `folder` is finished, and all files that its record names are there as they were written.
pub fn is_finished(folder: &Folder) -> bool {
    let place = folder.place();
    let record = record_in(&place).unwrap_or_default();
    record["status"] == "finished" && is_whole(&place, &record)
}

fn is_whole(folder: &Path, record: &Value) -> bool {
    let mut names = record["files"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    names.all(|name| verify(folder, record, name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_of_a_record_can_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(RUN_JSON);
        let record = json!({
            "name": "\"run.json\": \"blake3:0", "status": "finished", "files": { REPORT: written(&checksum::of(b"one")) }, "seed": 1,
        });
        let text = sealed(record.clone());
        std::fs::write(&path, &text).expect("written");
        let found = record_in(folder.path()).expect("a record");
        assert_eq!((&found["name"], &found["seed"]), (&record["name"], &record["seed"]));
        for bit in 0..8 * text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).expect("written");
            assert!(record_in(folder.path()).is_err(), "bit {bit}");
        }
        for cut in 0..text.len() {
            std::fs::write(&path, &text[..cut]).expect("written");
            assert!(record_in(folder.path()).is_err(), "cut at {cut}");
        }
        std::fs::write(folder.path().join(REPORT), "one").expect("written");
        assert!(verify(folder.path(), &record, REPORT).is_ok() && is_whole(folder.path(), &record));
        std::fs::write(folder.path().join(REPORT), "two").expect("written");
        assert!(verify(folder.path(), &record, REPORT).is_err() && !is_whole(folder.path(), &record));
    }

    #[test]
    fn records_of_older_programs_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(RUN_JSON), "{\"status\": \"finished\", \"files\": {}}").expect("written");
        assert!(record_in(folder.path()).is_ok());
    }
}
