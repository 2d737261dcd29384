//! The files that an experiment names: found from anywhere, and known by what is in them.

use super::data_spec::SourceSpec;
use super::spec::Spec;
use super::target_spec::TargetSpec;
use crate::data::STANDARD_INPUT;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a run was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Asked {
    /// The words of the command; none where a program has asked.
    pub command: Vec<String>,
    /// What it changed in the experiment, as it was written.
    pub overrides: Vec<String>,
}

/// A file that an experiment reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// Where it was.
    pub path: PathBuf,
    /// What was in it.
    pub checksum: String,
}

/// Larger files are not read once more for their checksum.
const LARGEST: u64 = 1 << 30;

impl Spec {
    /// All paths of files.
    fn files(&mut self) -> Vec<&mut PathBuf> {
        let mut all = Vec::new();
        match self.data.as_mut().map(|data| &mut data.source) {
            Some(
                SourceSpec::Csv { path, .. }
                | SourceSpec::Parquet { path, .. }
                | SourceSpec::Npy { path, .. }
                | SourceSpec::Npz { path, .. },
            ) => all.push(path),
            Some(SourceSpec::Draws { .. } | SourceSpec::Toy { .. }) | None => {}
        }
        all.extend(self.evaluation.reference.as_mut());
        all.extend(self.target.iter_mut().flat_map(TargetSpec::files));
        all.retain(|path| path.as_path() != Path::new(STANDARD_INPUT));
        all
    }

    /// The same experiment for a file in any other folder than `folder`, to which its paths are relative. Of a command those words are made
    /// absolute that name files there.
    pub(super) fn for_anywhere(&self, folder: &Path) -> Self {
        let mut spec = self.clone();
        let absolute = |path: &Path| {
            let whole = folder.join(path);
            // The folder may be relative itself; what is not there cannot be asked for its place.
            std::fs::canonicalize(&whole).or_else(|_| std::path::absolute(&whole)).unwrap_or(whole)
        };
        spec.files().into_iter().for_each(|path| *path = absolute(path));
        if let Some(TargetSpec::Process(process)) = &mut spec.target {
            for word in &mut process.command {
                if folder.join(word.as_str()).is_file() {
                    if let Some(whole) = absolute(Path::new(word.as_str())).to_str() {
                        *word = whole.to_string();
                    }
                }
            }
        }
        spec
    }

    /// The files that it reads with their checksums; those that are not there are left out.
    pub(super) fn inputs(&self, folder: &Path) -> Vec<Input> {
        let mut spec = self.for_anywhere(folder);
        let read = |path: &mut PathBuf| {
            let is_small = std::fs::metadata(&path).is_ok_and(|about| about.is_file() && about.len() <= LARGEST);
            let bytes = std::fs::read(&path).ok().filter(|_| is_small)?;
            Some(Input { path: path.clone(), checksum: format!("blake3:{}", blake3::hash(&bytes).to_hex()) })
        };
        spec.files().into_iter().filter_map(read).collect()
    }
}
