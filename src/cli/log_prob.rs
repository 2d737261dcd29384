//! `flowdistill log-prob`: the log density of a model at given points.

use super::Global;
use crate::data::{Beside, Dialect, Header, RowWriter};
use crate::error::Result;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill log-prob runs/quickstart/teacher.safetensors points.csv\n  \
    cat points.csv | flowdistill log-prob runs/quickstart -")]
pub struct Options {
    /// The model file, or a run's folder: its student, or its teacher where it has none
    model: PathBuf,
    /// The points: a text table with columns of the model's names (`-`: on standard input), or a .npy or .npz file
    points: PathBuf,
    /// Where to: .csv, .jsonl, .npy, .npz or .parquet; CSV on standard output if left out, with --json an object a line
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The points are in the flow's own, unconstrained coordinates rather than values of the parameters
    #[arg(long)]
    unconstrained: bool,
    /// The decimal point of the text is a comma
    #[arg(long)]
    decimal_comma: bool,
}

/// Points evaluated at a time.
const ROWS: usize = 8192;

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let model = super::load(&super::model_at(&options.model)?, global)?.freeze::<f64>();
    let dialect = Dialect { decimal: if options.decimal_comma { ',' } else { '.' }, ..Dialect::default() };
    let (path, has_supports) = (&options.points, model.constraint().value_names().is_some());
    // Values outside their supports have the density 0, so they are no points but values.
    let as_values = has_supports && !options.unconstrained;
    let table = match (as_values, has_supports) {
        (true, _) => model.read_values(path, &dialect)?,
        (false, true) => model.read_coordinates(path, &dialect)?,
        (false, false) => model.read_points(path, &dialect)?,
    };
    let width = table.dim();
    let header = Header { names: &[], columns: None, beside: &[Beside::LogProb], rows: table.len() as u64 };
    let mut writer = match &options.output {
        Some(path) => RowWriter::of(path, &header)?,
        None => RowWriter::stream(Box::new(std::io::BufWriter::new(std::io::stdout())), &header, global.json)?,
    };
    for points in table.values.chunks(ROWS * width) {
        let mut log_prob = vec![0.0; points.len() / width];
        if as_values {
            model.log_prob_of_values(points, &mut log_prob);
        } else {
            model.log_prob(points, &mut log_prob);
        }
        writer.write_rows(&log_prob, 1)?;
    }
    writer.finish()
}
