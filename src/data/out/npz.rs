//! NumPy archives: the array `draws`, its column `names`, and one array for each thing beside.

use super::plain::npy_header;
use super::{Header, Rows};
use crate::durable::Draft;
use crate::error::{Error, Result};
use crate::memory;
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

pub(super) struct Npz {
    path: PathBuf,
    archive: ZipWriter<StreamWriter<Draft>>,
    names: Vec<String>,
    /// What stands beside, which comes after the draws.
    beside: Vec<(&'static str, Vec<f64>)>,
    rows: u64,
}

/// Uncompressed, so that NumPy may map it.
fn entry() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true)
}

impl Npz {
    pub fn new(path: &Path, header: &Header) -> Result<Self> {
        let (rows, values) = (header.rows, header.names.len());
        memory::weigh("to hold what stands beside the draws", 8.0 * rows as f64 * header.beside.len() as f64)
            .map_err(Error::invalid)?;
        let draft = Draft::create(path)?;
        draft.reserve(rows.saturating_mul(8 * header.width() as u64))?;
        let beside = header.beside.iter().map(|beside| (beside.name(), Vec::new())).collect();
        let mut npz = Self {
            path: path.to_path_buf(),
            archive: ZipWriter::new_stream(draft),
            names: header.names.to_vec(),
            beside,
            rows,
        };
        npz.start("draws", &npy_header("<f8", &format!("({rows}, {values})")))?;
        Ok(npz)
    }

    fn start(&mut self, array: &str, header: &[u8]) -> Result<()> {
        let started = self.archive.start_file(format!("{array}.npy"), entry());
        started.map_err(|error| Error::output(&self.path, error.into()))?;
        self.put(header)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.archive.write_all(bytes).map_err(|error| Error::output(&self.path, error))
    }
}

impl Rows for Npz {
    fn write(&mut self, rows: &[f64]) -> Result<()> {
        let values = self.names.len();
        let mut bytes = Vec::with_capacity(8 * rows.len());
        for row in rows.chunks_exact(values + self.beside.len()) {
            row[..values].iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            self.beside.iter_mut().zip(&row[values..]).for_each(|((_, all), value)| all.push(*value));
        }
        self.put(&bytes)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        // Strings of NumPy are UTF-32, all of one length.
        let names: Vec<Vec<char>> = self.names.iter().map(|name| name.chars().collect()).collect();
        let longest = names.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let letters = names.iter().flat_map(|name| name.iter().copied().chain(std::iter::repeat('\0')).take(longest));
        let letters: Vec<u8> = letters.flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
        self.start("names", &npy_header(&format!("<U{longest}"), &format!("({},)", names.len())))?;
        self.put(&letters)?;
        for (name, values) in std::mem::take(&mut self.beside) {
            self.start(name, &npy_header("<f8", &format!("({},)", self.rows)))?;
            for part in values.chunks(8192) {
                self.put(&part.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
            }
        }
        let path = self.path;
        let out = self.archive.finish().map_err(|error| Error::output(&path, error.into()))?;
        out.into_inner().commit()
    }
}
