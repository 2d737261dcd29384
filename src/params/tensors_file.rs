//! Named flat tensors with a JSON header in a safetensors file, written whole or not at all and distrusted on reading.

use crate::durable;
use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A tensor's name and values.
pub type NamedTensor = (String, Vec<f32>);

/// The one metadata key; its value is the JSON header. (Several keys would be written in random order.)
const KEY: &str = "flowdistill";

/// Files beyond this size are refused unread.
const LARGEST: u64 = 4 << 30;

/// Writes `tensors` and `header` to `path`.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, tensors: &[NamedTensor], header: &impl Serialize) -> Result<()> {
    let refuse = |error: &dyn std::fmt::Display| Error::output(path, std::io::Error::other(error.to_string()));
    let json = serde_json::to_string(header).map_err(|error| refuse(&error))?;
    let bytes: Vec<(&String, usize, Vec<u8>)> = tensors
        .iter()
        .map(|(name, values)| (name, values.len(), values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, len, data) in &bytes {
        views.push((name, TensorView::new(Dtype::F32, vec![*len], data).map_err(|error| refuse(&error))?));
    }
    let metadata = HashMap::from([(KEY.to_string(), json)]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|error| refuse(&error))?;
    durable::write(path, &file)
}

/// Reads what [`save`] wrote: the header, and the tensors by name.
///
/// # Errors
/// If the file is missing, truncated, of another kind, holds another type than 32-bit floats, or a value that is not finite.
pub fn load<H: DeserializeOwned>(path: &Path) -> Result<(H, BTreeMap<String, Vec<f32>>)> {
    let refuse = |message: String| Error::input(path, message);
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !length.is_file() {
        return Err(refuse("is not a file".into()));
    }
    if length.len() > LARGEST {
        return Err(refuse(format!("has {} bytes; the largest model file is {LARGEST}", length.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let damaged = |error: &dyn std::fmt::Display| refuse(format!("is not a whole safetensors file ({error})"));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error))?;
    let json = metadata.metadata().as_ref().and_then(|map| map.get(KEY)).ok_or_else(|| {
        refuse(format!("is a safetensors file without the header `{KEY}`: not written by this program"))
    })?;
    let header = serde_json::from_str(json).map_err(|error| refuse(format!("its header is malformed: {error}")))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(refuse(format!("tensor `{name}` holds {:?}; 32-bit floats are right", view.dtype())));
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(refuse(format!("tensor `{name}` holds {bad}; every weight must be finite")));
        }
        if tensors.insert(name.to_string(), values).is_some() {
            return Err(refuse(format!("tensor `{name}` occurs twice")));
        }
    }
    Ok((header, tensors))
}
