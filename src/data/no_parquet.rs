//! What stands for Parquet files in a build that cannot read them.

use super::{CsvOptions, Text};
use crate::error::{Error, Result};
use std::path::Path;

/// Always refuses.
///
/// # Errors
/// That the build has not the feature `parquet`.
pub fn read_parquet(path: &Path, _options: &CsvOptions) -> Result<Text> {
    Err(Error::input(
        path,
        "is a Parquet file, but this build has not the feature `parquet`; a text table or an array is right",
    ))
}
