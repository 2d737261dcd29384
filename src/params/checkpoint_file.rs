//! Checkpoint files: a header and named numbers of three kinds behind a line with the checksum of all that follows.

use crate::checksum;
use crate::durable;
use crate::error::{Error, Result};
use crate::memory;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Named numbers that something goes on from, to the last bit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// Weights and their like.
    pub singles: BTreeMap<String, Vec<f32>>,
    /// Points, scores and their like.
    pub doubles: BTreeMap<String, Vec<f64>>,
    /// Counters.
    pub words: BTreeMap<String, Vec<u64>>,
}

impl Parts {
    /// Puts all tensors of a kind under names that begin alike.
    pub fn put_all(&mut self, name: &str, tensors: &[Vec<f32>]) {
        for (place, tensor) in tensors.iter().enumerate() {
            self.singles.insert(format!("{name}.{place:05}"), tensor.clone());
        }
    }

    /// Takes them out again; they must have these lengths.
    ///
    /// # Errors
    /// If one is missing or has another length.
    pub fn take_all(&mut self, name: &str, lengths: &[usize]) -> std::result::Result<Vec<Vec<f32>>, String> {
        let take = |(place, &length): (usize, &usize)| {
            let name = format!("{name}.{place:05}");
            let tensor = self.singles.remove(&name).filter(|tensor| tensor.len() == length);
            tensor.ok_or_else(|| format!("`{name}` is missing, or not of {length} numbers"))
        };
        lengths.iter().enumerate().map(take).collect()
    }

    /// The counters of this name.
    ///
    /// # Errors
    /// If there are not as many.
    pub fn counters<const N: usize>(&self, name: &str) -> std::result::Result<[u64; N], String> {
        let found = self.words.get(name).and_then(|words| words.as_slice().try_into().ok());
        found.ok_or_else(|| format!("`{name}` is missing, or not of {N} counters"))
    }

    /// The doubles of this name.
    ///
    /// # Errors
    /// If they are missing.
    pub fn doubles_of(&self, name: &str) -> std::result::Result<Vec<f64>, String> {
        self.doubles.get(name).cloned().ok_or_else(|| format!("`{name}` is missing"))
    }
}

/// What the first line of a checkpoint says before the checksum.
const MAGIC: &str = "flowdistill checkpoint 1 blake3 ";
/// The metadata key of the header, which is RON: it writes every number so that it is read back to the last bit, infinite ones included.
const KEY: &str = "header";
/// Files beyond this size are refused unread.
const LARGEST: u64 = 32 << 30;

/// Writes a checkpoint, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn save_checkpoint(path: &Path, header: &impl Serialize, parts: &Parts) -> Result<()> {
    let refuse = |error: &dyn std::fmt::Display| Error::output(path, std::io::Error::other(error.to_string()));
    let header = ron::to_string(header).map_err(|error| refuse(&error))?;
    let mut all: Vec<(String, Dtype, usize, Vec<u8>)> = Vec::new();
    for (name, of) in &parts.singles {
        all.push((format!("f.{name}"), Dtype::F32, of.len(), of.iter().flat_map(|x| x.to_le_bytes()).collect()));
    }
    for (name, of) in &parts.doubles {
        all.push((format!("d.{name}"), Dtype::F64, of.len(), of.iter().flat_map(|x| x.to_le_bytes()).collect()));
    }
    for (name, of) in &parts.words {
        all.push((format!("w.{name}"), Dtype::U64, of.len(), of.iter().flat_map(|x| x.to_le_bytes()).collect()));
    }
    let mut views = Vec::with_capacity(all.len());
    for (name, kind, len, bytes) in &all {
        views.push((name, TensorView::new(*kind, vec![*len], bytes).map_err(|error| refuse(&error))?));
    }
    let body = safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), header)])));
    let body = body.map_err(|error| refuse(&error))?;
    drop(all);
    let mut draft = durable::Draft::create(path)?;
    use std::io::Write;
    let first = format!("{MAGIC}{}\n", checksum::of(&body));
    let written = draft.write_all(first.as_bytes()).and_then(|()| draft.write_all(&body));
    written.map_err(|error| Error::output(path, error))?;
    draft.commit()
}

/// Reads what [`save_checkpoint`] wrote.
///
/// # Errors
/// [`Error::Unread`] if the file is missing or the system cannot read it, [`Error::Input`] if it is of another kind or any bit of it is not as it
/// was written, [`Error::Invalid`] if it is too large for the memory that may be taken.
pub fn load_checkpoint<H: DeserializeOwned>(path: &Path) -> Result<(H, Parts)> {
    let refuse = |message: String| Error::input(path, message);
    let about = std::fs::metadata(path).map_err(|error| Error::unread(path, error))?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(refuse(format!("is not a file of at most {LARGEST} bytes")));
    }
    // Its bytes, and the numbers in them.
    memory::weigh(&format!("reading {}", path.display()), 2.0 * about.len() as f64).map_err(Error::Invalid)?;
    let bytes = std::fs::read(path).map_err(|error| Error::unread(path, error))?;
    let start = MAGIC.len() + checksum::DIGITS + 1;
    let (Some(first), Some(body)) = (bytes.get(..start), bytes.get(start..)) else {
        return Err(refuse("is not a whole checkpoint".into()));
    };
    let Some(digits) = first.strip_prefix(MAGIC.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n")) else {
        return Err(refuse("is not a checkpoint of this version".into()));
    };
    if digits != checksum::of(body).as_bytes() {
        return Err(refuse("is damaged: its checksum is another one".into()));
    }
    let wrong = |error: &dyn std::fmt::Display| refuse(format!("is not a checkpoint ({error})"));
    let (_, metadata) = SafeTensors::read_metadata(body).map_err(|error| wrong(&error))?;
    let header = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let header = header.ok_or_else(|| wrong(&"without a header"))?;
    let header = ron::from_str(header).map_err(|error| wrong(&error))?;
    let mut parts = Parts::default();
    for (name, view) in SafeTensors::deserialize(body).map_err(|error| wrong(&error))?.iter() {
        let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).unwrap_or_default();
        let data = view.data();
        match (name.split_once('.'), view.dtype()) {
            (Some(("f", name)), Dtype::F32) => {
                let values = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                parts.singles.insert(name.into(), values);
            }
            (Some(("d", name)), Dtype::F64) => {
                let values = data.chunks_exact(8).map(|bytes| f64::from_le_bytes(eight(bytes))).collect();
                parts.doubles.insert(name.into(), values);
            }
            (Some(("w", name)), Dtype::U64) => {
                let values = data.chunks_exact(8).map(|bytes| u64::from_le_bytes(eight(bytes))).collect();
                parts.words.insert(name.into(), values);
            }
            _ => return Err(wrong(&format!("`{name}` is of no known kind"))),
        }
    }
    Ok((header, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_to_the_last_bit_and_no_bit_can_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("now.ckpt");
        let mut parts = Parts::default();
        parts.put_all("values", &[vec![1.5, -0.0, f32::MIN_POSITIVE], vec![]]);
        parts.doubles.insert("far".into(), vec![f64::NEG_INFINITY, 0.1, 1e-320]);
        parts.words.insert("count".into(), vec![u64::MAX, 3]);
        let header = (0.1 + 0.2, f64::INFINITY, Some("a \"word\"\n".to_string()), u64::MAX);
        save_checkpoint(&path, &header, &parts).expect("written");
        let (again, found): ((f64, f64, Option<String>, u64), Parts) = load_checkpoint(&path).expect("read");
        assert_eq!((again, &found), (header, &parts));
        assert_eq!(found.counters("count"), Ok([u64::MAX, 3]));
        let whole = std::fs::read(&path).expect("bytes");
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, &bytes).expect("written");
            assert!(load_checkpoint::<(f64, f64, Option<String>, u64)>(&path).is_err(), "bit of byte {place}");
            std::fs::write(&path, &whole[..place]).expect("written");
            assert!(load_checkpoint::<(f64, f64, Option<String>, u64)>(&path).is_err(), "cut at {place}");
        }
    }
}
