//! `flowdistill merge`: shards put together to what would have been written at once.

use super::{sweep, Global};
use crate::data::merge;
use crate::error::Result;
use crate::shown::say;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill merge draws.npy\n  flowdistill merge runs/funnel")]
pub struct Options {
    /// The file that `sample --shard i/N -o FILE` was told, beside which the shards lie; or the folder of a sweep, whose table is made
    whole: PathBuf,
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    if options.whole.join(sweep::POINTS).is_file() {
        return sweep::merge(&options.whole, global);
    }
    let shards = merge(&options.whole)?;
    if !global.quiet {
        say!("{} is whole: {shards} shards were put together", options.whole.display());
    }
    Ok(())
}
