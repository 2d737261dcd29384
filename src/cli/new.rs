//! `flowdistill new`: a commented experiment to start from, which runs as it is.

use super::Global;
use crate::data;
use crate::durable;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

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

fn for_data(name: &str, table: &Path, file: &Path) -> Result<String> {
    let read = data::read(table, None)?;
    let dim = read.dim();
    let whole = |i: usize| read.values.iter().skip(i).step_by(dim).all(|value| value.fract() == 0.0);
    let quoted = |i: usize| format!("{:?}", read.names[i]);
    let columns: Vec<String> = (0..dim).map(quoted).collect();
    let integers: Vec<String> = (0..dim).filter(|&i| whole(i)).map(quoted).collect();
    // Relative to the experiment where they lie side by side, else from the root.
    let folder = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
    let path = if folder(table) == folder(file) {
        table.file_name().map(PathBuf::from).unwrap_or_default()
    } else {
        table.canonicalize().map_err(|error| Error::input(table, error))?
    };
    Ok(format!(
        r#"// A density of your data: a teacher is fitted by maximum likelihood, a student learns to draw from it in one pass.
(
    version: 1,
    name: {name:?},  // the run's folder under runs/
    seed: 1,
    data: (
        // Leave out columns that are no measurements.
        source: Csv(path: {path:?}, columns: [{columns}]),
        // Columns of whole numbers: dithered for the fit; `sample --round` rounds back.
        integers: [{integers}],
        validation: 0.1,  // share of the rows that decides when to stop
        test: 0.1,        // share of the rows that is only reported
        standardise: true,
    ),
    // Bounded units and a small max_scale keep the fit sane far out in the tails.
    teacher: (layers: 5, hidden: [64, 64], activation: Tanh, skip: false, transformer: Affine(max_scale: 10.0)),
    student: LikeTeacher,
    stages: [
        MaximumLikelihood(steps: 6000, batch: 256, patience: 12),
        // Some forward KL keeps the student where rare draws of the teacher are.
        ReverseKl(against: Teacher, forward: 0.3, training: (steps: 12000, batch: 512, rate: (peak: 2e-3))),
    ],
    evaluation: (draws: 100000, compare: true),
)
"#,
        columns = columns.join(", "),
        integers = integers.join(", ")
    ))
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
