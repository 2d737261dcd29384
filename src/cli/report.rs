//! `flowdistill report`: a run's report as a page, made anew from the run's folder.

use super::Global;
use crate::durable;
use crate::error::{Error, Result};
use crate::experiment::{report_of, PAGE};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill report runs/quickstart --open\n  \
    flowdistill report runs/quickstart -o /tmp/page.html --picture first.svg")]
pub struct Options {
    /// The folder of a run
    run: PathBuf,
    /// Where to write the page [default: report.html in the run's folder]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Write its first picture, too, as an SVG file of its own
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Show the page with the program that the system has for it
    #[arg(long)]
    open: bool,
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let pages = report_of(&options.run)?;
    let path = options.output.clone().unwrap_or_else(|| options.run.join(PAGE));
    durable::write(&path, pages.page.as_bytes())?;
    if let Some(place) = &options.picture {
        let first = pages.first.ok_or_else(|| {
            Error::input(&options.run, "has no draws to make a picture of; a run that has come to its end is right")
        })?;
        durable::write(place, first.as_bytes())?;
    }
    if global.json {
        super::print(&format!("{}\n", serde_json::json!({ "page": path })))?;
    } else {
        super::print(&format!("{}\n", path.display()))?;
    }
    if options.open {
        open(&path)
    } else {
        Ok(())
    }
}

/// The program that opens files by what they are.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else if cfg!(windows) {
    "explorer"
} else {
    "xdg-open"
};

fn open(path: &Path) -> Result<()> {
    let mut command = Command::new(OPENER);
    command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failed = |why: String| Error::Output {
        path: path.to_path_buf(),
        source: std::io::Error::other(format!("it was written, but `{OPENER}` does not show it ({why})")),
    };
    let status = command.status().map_err(|error| failed(error.to_string()))?;
    // The one of Windows says 1 whatever it has done.
    if status.success() || cfg!(windows) {
        Ok(())
    } else {
        Err(failed(status.to_string()))
    }
}
