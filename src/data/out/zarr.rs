//! Zarr stores (version 2, uncompressed) as ArviZ opens them: variables by chain and draw in `posterior`, log densities in `sample_stats`.

use super::arrays::variables;
use super::{Beside, Header, Rows};
use crate::durable::DraftFolder;
use crate::error::Result;
use serde_json::{json, Map, Value};
use std::path::Path;

/// The most numbers of a block of draws that is held, and the most draws in it.
const HELD: usize = 1 << 22;
const LONGEST: usize = 1 << 16;

/// The longest name of a variable, which is that of a folder.
const LONGEST_NAME: usize = 200;

pub(super) struct Zarr {
    folder: DraftFolder,
    width: usize,
    arrays: Vec<Array>,
    /// Draws in a chunk.
    chunk: usize,
    held: Vec<f64>,
    /// Chunks that are written.
    chunks: usize,
}

/// A variable in its group.
struct Array {
    /// Its folder in the store.
    place: String,
    /// The column of each element.
    columns: Vec<usize>,
    /// What is known besides: the sum of two columns.
    plus: Option<usize>,
    rank: usize,
}

/// A group of arrays and its metadata.
struct Group<'a> {
    name: &'a str,
    /// Keys and contents of its metadata files.
    files: Map<String, Value>,
    taken: Vec<String>,
}

impl Zarr {
    pub fn new(path: &Path, header: &Header) -> Result<Self> {
        let (rows, width) = (header.rows as usize, header.width());
        let chunk = (HELD / width.max(1)).clamp(256, LONGEST).min(rows.max(1));
        let folder = DraftFolder::create(path, ".zgroup")?;
        let mut arrays = Vec::new();
        let mut groups = vec![Group::new("posterior")];
        for variable in variables(header.names) {
            let name = groups[0].free(&variable.name);
            let mut dims = vec!["chain".to_string(), "draw".to_string()];
            dims.extend((0..variable.shape.len()).map(|axis| format!("{name}_dim_{axis}")));
            let shape: Vec<usize> = [1, rows].into_iter().chain(variable.shape.iter().copied()).collect();
            let chunks: Vec<usize> = [1, chunk].into_iter().chain(variable.shape.iter().copied()).collect();
            groups[0].add(&name, "<f8", &shape, &chunks, &dims, words(header, &variable.columns));
            for (axis, &side) in variable.shape.iter().enumerate() {
                let dim = groups[0].free(&format!("{name}_dim_{axis}"));
                groups[0].add(&dim, "<i8", &[side], &[side], std::slice::from_ref(&dim), None);
                folder.write(&format!("posterior/{dim}/0"), &integers(0..side as u64))?;
            }
            let (columns, rank) = (variable.columns, 2 + variable.shape.len());
            arrays.push(Array { place: format!("posterior/{name}"), columns, plus: None, rank });
        }
        let (log_prob, log_weight) = (header.place(Beside::LogProb), header.place(Beside::LogWeight));
        let mut beside: Vec<(&str, usize, Option<usize>)> = Vec::new();
        beside.extend(log_prob.map(|place| (Beside::LogProb.name(), place, None)));
        beside.extend(log_weight.map(|place| (Beside::LogWeight.name(), place, None)));
        // What ArviZ calls `lp` is the log density of the target.
        beside.extend(log_prob.zip(log_weight).map(|(place, plus)| ("lp", place, Some(plus))));
        if !beside.is_empty() {
            let mut group = Group::new("sample_stats");
            for (name, column, plus) in beside {
                group.add(name, "<f8", &[1, rows], &[1, chunk], &["chain".into(), "draw".into()], None);
                arrays.push(Array { place: format!("sample_stats/{name}"), columns: vec![column], plus, rank: 2 });
            }
            groups.push(group);
        }
        let mut all = json!({ ".zgroup": { "zarr_format": 2 }, ".zattrs": ours() });
        for group in &mut groups {
            let name = group.name;
            for (dim, len, size) in [("chain", 1, 1), ("draw", rows, chunk)] {
                group.add(dim, "<i8", &[len], &[size], &[dim.to_string()], None);
                for (number, from) in (0..len).step_by(size).enumerate() {
                    // A chunk is whole; what is beyond the end of an array is not read.
                    let part = from as u64..(from + size) as u64;
                    folder.write(&format!("{name}/{dim}/{number}"), &integers(part))?;
                }
            }
            for (key, value) in &group.files {
                folder.write(&format!("{name}/{key}"), text(value).as_bytes())?;
                all[format!("{name}/{key}")] = value.clone();
            }
            let consolidated = json!({ "metadata": group.files, "zarr_consolidated_format": 1 });
            folder.write(&format!("{name}/.zmetadata"), text(&consolidated).as_bytes())?;
        }
        for key in [".zgroup", ".zattrs"] {
            folder.write(key, text(&all[key]).as_bytes())?;
        }
        let consolidated = json!({ "metadata": all, "zarr_consolidated_format": 1 });
        folder.write(".zmetadata", text(&consolidated).as_bytes())?;
        Ok(Self { folder, width, arrays, chunk, held: Vec::with_capacity(chunk * width), chunks: 0 })
    }

    /// Writes what is held as one chunk of every array.
    fn flush(&mut self) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        for array in &self.arrays {
            let size = self.chunk * array.columns.len();
            let mut bytes = Vec::with_capacity(8 * size);
            for row in self.held.chunks_exact(self.width) {
                for &column in &array.columns {
                    let value = row[column] + array.plus.map_or(0.0, |plus| row[plus]);
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
            }
            let missing = size - bytes.len() / 8;
            bytes.extend(std::iter::repeat_n(f64::NAN.to_le_bytes(), missing).flatten());
            let place = format!("{}/0.{}{}", array.place, self.chunks, ".0".repeat(array.rank - 2));
            self.folder.write(&place, &bytes)?;
        }
        self.chunks += 1;
        self.held.clear();
        Ok(())
    }
}

impl Rows for Zarr {
    fn write(&mut self, rows: &[f64]) -> Result<()> {
        for row in rows.chunks_exact(self.width) {
            self.held.extend_from_slice(row);
            if self.held.len() == self.chunk * self.width {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.flush()?;
        self.folder.commit()
    }
}

impl<'a> Group<'a> {
    fn new(name: &'a str) -> Self {
        let mut files = Map::new();
        files.insert(".zgroup".into(), json!({ "zarr_format": 2 }));
        files.insert(".zattrs".into(), ours());
        Self { name, files, taken: vec!["chain".into(), "draw".into()] }
    }

    /// A name like this one that is a folder's name and not taken.
    fn free(&mut self, name: &str) -> String {
        let mut free = String::new();
        for c in name.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c }) {
            if free.len() + c.len_utf8() <= LONGEST_NAME {
                free.push(c);
            }
        }
        if free.is_empty() || free.starts_with('.') {
            free.insert(0, '_');
        }
        while self.taken.contains(&free) {
            free.push('_');
        }
        self.taken.push(free.clone());
        free
    }

    fn add(
        &mut self,
        name: &str,
        kind: &str,
        shape: &[usize],
        chunks: &[usize],
        dims: &[String],
        words: Option<Value>,
    ) {
        let fill = if kind == "<f8" { json!("NaN") } else { json!(0) };
        let array = json!({
            "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": kind, "compressor": null, "fill_value": fill,
            "order": "C", "filters": null,
        });
        let mut attributes = json!({ "_ARRAY_DIMENSIONS": dims });
        if let Some(words) = words {
            attributes["words"] = words;
        }
        self.files.insert(format!("{name}/.zarray"), array);
        self.files.insert(format!("{name}/.zattrs"), attributes);
    }
}

/// The words that the numbers of a variable are the places of, or what its days are counted from.
fn words(header: &Header, columns: &[usize]) -> Option<Value> {
    let [column] = columns else { return None };
    let kind = &header.columns?.0.get(*column)?.kind;
    match kind {
        super::super::Kind::Days => Some(json!("days since 1970-01-01")),
        kind => kind.words().map(|words| json!(words)),
    }
}

fn ours() -> Value {
    json!({ "inference_library": "flowdistill", "inference_library_version": env!("CARGO_PKG_VERSION") })
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

fn integers(of: std::ops::Range<u64>) -> Vec<u8> {
    of.flat_map(|number| number.to_le_bytes()).collect()
}
