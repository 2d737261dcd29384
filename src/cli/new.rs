//! `flowdistill new`: a commented experiment to start from, which runs as it is.

mod for_data;

use super::Global;
use crate::durable;
use crate::error::{Error, Result};
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
        eprintln!("wrote {file}; next: flowdistill check {file}, then flowdistill run {file}");
    }
    Ok(())
}

fn for_energy(name: &str) -> String {
    format!(
        r#"// A fast sampler for an unnormalized energy: a student is trained by reverse KL, without data.
(
    version: 1,
    name: {name:?},  // the run's folder under runs/
    seed: 1,
    target: Funnel(dim: 10),  // `flowdistill targets` lists the others
    student: Flow(
        layers: 5,
        hidden: [64, 64],                  // widths of each layer's network
        activation: Silu,                  // or Tanh, Relu
        orders: [Ascending, Descending],   // of the variables, taken in turn
    ),
    stages: [
        ReverseKl(
            against: Target,
            training: (steps: 5000, batch: 512, rate: (peak: 1e-3, warm_up: 0, decay: Cosine)),
        ),
    ],
    evaluation: (draws: 100000),
)
"#
    )
}
