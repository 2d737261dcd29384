//! `flowdistill new`: a commented experiment to start from, which runs as it is.

mod for_data;

use super::Global;
use crate::durable;
use crate::error::{Error, Result};
use crate::shown::say;
use for_data::for_data;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill new mine.ron --data table.csv\n  flowdistill new energy.ron")]
pub struct Options {
    /// The file to write
    file: PathBuf,
    /// Fit a teacher to this CSV file and distil a student from it [default: a student of a built-in energy]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let name = options.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if options.file.extension().is_none_or(|extension| extension != "ron") {
        return Err(Error::invalid(format!("{}: a name ending in .ron is right", options.file.display())));
    }
    if options.file.exists() && !options.force {
        return Err(Error::invalid(format!("{} exists already; --force replaces it", options.file.display())));
    }
    let text = match &options.data {
        Some(data) => for_data(&name, data, &options.file)?,
        None => for_energy(&name),
    };
    durable::write(&options.file, text.as_bytes())?;
    if !global.quiet {
        let file = options.file.display();
        say!("wrote {file}; next: flowdistill check {file}, then flowdistill run {file}");
    }
    Ok(())
}

fn for_energy(name: &str) -> String {
    format!(
        r#"// A fast sampler for an unnormalized energy. Nothing more has to be said: the program surveys the target, plans, trains a student, judges
// it, and goes on by what is wrong. runs/{name}/resolved.ron then says what it did, as an experiment that can be changed by hand.
(
    version: 1,
    name: {name:?},  // the run's folder under runs/
    seed: 1,
    target: Funnel(dim: 10),  // `flowdistill targets` lists the others; docs/expression.md: a density of your own
    stages: Auto(
        seconds: 300.0,    // no attempt begins after that
        require: Trusted,  // or Correctable, if weighted draws will do
    ),
    evaluation: (draws: 20000),  // of the student, by which it is judged
)
"#
    )
}
