//! What stands for the writer of Parquet files in a build without it.

use super::{Header, Rows};
use crate::error::{Error, Result};
use std::path::Path;

pub(super) enum Parquet {}

impl Parquet {
    pub fn new(path: &Path, _header: &Header) -> Result<Self> {
        Err(Error::invalid(format!(
            "{}: this build has not the feature `parquet`; a name ending in .npz, .csv or .zarr is right",
            path.display()
        )))
    }
}

impl Rows for Parquet {
    fn write(&mut self, _rows: &[f64]) -> Result<()> {
        match *self {}
    }

    fn finish(self: Box<Self>) -> Result<()> {
        match *self {}
    }
}
