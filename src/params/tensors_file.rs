//! Named flat tensors with a JSON header in a safetensors file, written whole or not at all and distrusted on reading.
//!
//! The first field of the header is the BLAKE3 hash of the whole file in which the hash itself reads as zeros, so that no bit of it can change
//! unseen and other programs still read an ordinary safetensors file.

use crate::durable;
use crate::error::{Error, Result};
use crate::{checksum, intake, memory, shown};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

/// A tensor's name and values.
pub type NamedTensor = (String, Vec<f32>);

/// The one metadata key; its value is the JSON header. (Several keys would be written in random order.)
const KEY: &str = "flowdistill";

/// Files beyond this size are refused unread.
const LARGEST: u64 = 4 << 30;

/// Headers beyond this size are neither written nor read.
const LONGEST_HEADER: u64 = 16 << 20;

/// The field of the header with the hash, and the place that is kept for it.
const CHECKSUM: &str = "checksum";
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a file held.
pub struct Loaded<H> {
    /// The header.
    pub header: H,
    /// The tensors by name.
    pub tensors: BTreeMap<String, Vec<f32>>,
    /// Whether the file has a checksum, which then is right; those of older programs have none.
    pub verified: bool,
}

/// Writes `tensors` and `header`, which is to be a struct, to `path`.
///
/// # Errors
/// If the file cannot be written, or the header is too long to be read again.
pub fn save(path: &Path, tensors: &[NamedTensor], header: &impl Serialize) -> Result<()> {
    let refuse = |error: &dyn std::fmt::Display| Error::output(path, std::io::Error::other(error.to_string()));
    let json = serde_json::to_string(header).map_err(|error| refuse(&error))?;
    let fields = json.strip_prefix('{').ok_or_else(|| refuse(&"its header has no fields"))?;
    let json = format!("{{\"{CHECKSUM}\":\"{UNKNOWN}\",{fields}");
    let bytes: Vec<(&String, usize, Vec<u8>)> = tensors
        .iter()
        .map(|(name, values)| (name, values.len(), values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, len, data) in &bytes {
        views.push((name, TensorView::new(Dtype::F32, vec![*len], data).map_err(|error| refuse(&error))?));
    }
    let metadata = HashMap::from([(KEY.to_string(), json)]);
    let mut file = safetensors::serialize(views, Some(metadata)).map_err(|error| refuse(&error))?;
    drop(bytes);
    let header = header_length(&file).filter(|&length| length <= LONGEST_HEADER);
    let header = header.ok_or_else(|| refuse(&format!("its header has more than {LONGEST_HEADER} bytes")))? as usize;
    let place = find(&file[8..][..header], UNKNOWN.as_bytes()).ok_or_else(|| refuse(&"no place for its checksum"))?;
    let checksum = checksum::of(&file);
    file[8 + place..][..UNKNOWN.len()].copy_from_slice(checksum.as_bytes());
    durable::write(path, &file)
}

/// What is read of a safetensors header before the rest of the file.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "__metadata__")]
    metadata: Option<HashMap<String, String>>,
}

/// The length of a safetensors header, which is a file's first number.
fn header_length(file: &[u8]) -> Option<u64> {
    file.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Reads what [`save`] wrote: the header, and the tensors by name.
///
/// # Errors
/// If the file is missing, truncated, changed since it was written, of another kind, holds another type than 32-bit floats, or a value that
/// is not finite, or is too large for the memory that may be taken.
pub fn load<H: DeserializeOwned>(path: &Path) -> Result<Loaded<H>> {
    let refuse = |message: String| Error::input(path, message);
    let (mut file, length) = intake::open(path)?;
    if length > LARGEST {
        return Err(refuse(format!("has {length} bytes; the largest model file is {LARGEST}")));
    }
    memory::weigh("to read its weights", 4.0 * length as f64).map_err(refuse)?;
    let damaged = |error: &dyn std::fmt::Display| {
        refuse(format!("is not a whole safetensors file ({})", shown::quoted(&error.to_string())))
    };
    // The header first: nothing of the length that the rest claims is read before somebody knows what it is.
    let mut bytes = Vec::new();
    let mut take = |bytes: &mut Vec<u8>, most: u64| {
        file.by_ref().take(most).read_to_end(bytes).map_err(|error| refuse(error.to_string()))
    };
    take(&mut bytes, 8)?;
    let header = header_length(&bytes).filter(|header| *header <= length.saturating_sub(8));
    let header = header.ok_or_else(|| damaged(&"its header is longer than the file"))?;
    if header > LONGEST_HEADER {
        return Err(refuse(format!("has a header of {header} bytes; the longest is {LONGEST_HEADER}")));
    }
    take(&mut bytes, header)?;
    let head: Head = serde_json::from_slice(&bytes[8..]).map_err(|error| damaged(&error))?;
    let json = head.metadata.as_ref().and_then(|map| map.get(KEY)).ok_or_else(|| {
        refuse(format!("is a safetensors file without the header `{KEY}`: not written by this program"))
    })?;
    let malformed =
        |error: serde_json::Error| refuse(format!("its header is malformed: {}", shown::quoted(&error.to_string())));
    let mut fields: serde_json::Value = serde_json::from_str(json).map_err(malformed)?;
    let checksum = fields.as_object_mut().and_then(|fields| fields.shift_remove(CHECKSUM));
    take(&mut bytes, LARGEST)?;
    let verified = checksum.is_some();
    if let Some(checksum) = checksum {
        let checksum = checksum.as_str().filter(|checksum| checksum.len() == UNKNOWN.len());
        let kept = checksum.and_then(|checksum| {
            let place = find(&bytes[8..][..header as usize], checksum.as_bytes())?;
            Some((8 + place, checksum.as_bytes().to_vec()))
        });
        if let Some((place, _)) = &kept {
            bytes[*place..][..UNKNOWN.len()].copy_from_slice(UNKNOWN.as_bytes());
        }
        let right = kept.is_some_and(|(_, checksum)| checksum::of(&bytes).as_bytes() == checksum);
        if !right {
            return Err(refuse("is damaged: its checksum is another one than that with which it was written".into()));
        }
    }
    let header = serde_json::from_value(fields).map_err(malformed)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let shown = shown::quoted(name);
        if view.dtype() != Dtype::F32 {
            return Err(refuse(format!("tensor `{shown}` holds {:?}; 32-bit floats are right", view.dtype())));
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(refuse(format!("tensor `{shown}` holds {bad}; every weight must be finite")));
        }
        if tensors.insert(name.to_string(), values).is_some() {
            return Err(refuse(format!("tensor `{shown}` occurs twice")));
        }
    }
    Ok(Loaded { header, tensors, verified })
}
