//! `flowdistill sample`: draws from a model file, in constant memory.

use super::Global;
use crate::data::RowWriter;
use crate::error::Result;
use crate::flow::{Method, Model};
use crate::progress::RowBar;
use crate::target::Constraint;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    flowdistill sample runs/quickstart/student.safetensors -n 1000 > draws.csv\n  \
    flowdistill sample runs/quickstart/student.safetensors -n 1000000 --log-prob -o draws.npy")]
pub struct Options {
    /// The model file
    model: PathBuf,
    /// The number of draws
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    n: u64,
    /// Where to: a .npy or .csv file; CSV on standard output if left out
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Add a last column with each draw's exact log density
    #[arg(long)]
    log_prob: bool,
    /// Round columns of whole numbers (their log density is that of the draw before rounding)
    #[arg(long)]
    round: bool,
    /// Write the flow's own, unconstrained coordinates rather than the values of the parameters
    #[arg(long)]
    unconstrained: bool,
}

/// Draws held in memory at a time.
const ROWS: u64 = 8192;

/// The name of the added column.
pub const LOG_PROB: &str = "log_prob";

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let model = Model::load(&options.model)?.freeze::<f64>();
    let dim = model.dim();
    if *model.constraint() == Constraint::Elsewhere && !options.unconstrained && !global.quiet {
        eprintln!(
            "note: the map to the parameters' own space is in a library or process that is not at hand: \
             the draws are unconstrained"
        );
    }
    let mut names = if options.unconstrained { model.names().to_vec() } else { model.value_names() };
    let width = names.len() + usize::from(options.log_prob);
    if options.log_prob {
        names.push(LOG_PROB.into());
    }
    let mut writer = match &options.output {
        Some(path) => RowWriter::to_path(path, &names, options.n)?,
        None => RowWriter::csv(Box::new(std::io::BufWriter::new(std::io::stdout())), &names)?,
    };
    let noise = global.seed().stream("sample");
    let bar = RowBar::new(global.quiet || options.output.is_none(), options.n);
    for first in (0..options.n).step_by(ROWS as usize) {
        let rows = ROWS.min(options.n - first) as usize;
        let mut z = vec![0.0; rows * dim];
        noise.normals(first, dim, &mut z);
        let (mut points, mut log_prob) = (vec![0.0; rows * dim], vec![0.0; rows]);
        model.push(Method::Cached, &z, &mut points, &mut log_prob);
        if options.round {
            model.round_integers(&mut points);
        }
        if !options.unconstrained {
            points = model.constrain(points, &mut log_prob);
        }
        if options.log_prob {
            let mut wide = Vec::with_capacity(rows * width);
            for (point, value) in points.chunks_exact(points.len() / rows).zip(log_prob) {
                wide.extend_from_slice(point);
                wide.push(value);
            }
            points = wide;
        }
        writer.write_rows(&points, width)?;
        bar.advance(rows as u64);
    }
    writer.finish()
}
