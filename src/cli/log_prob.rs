//! `flowdistill log-prob`: the log density of a model at given points.

use super::Global;
use crate::data::{self, RowWriter};
use crate::error::{Error, Result};
use crate::flow::Model;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: flowdistill log-prob runs/quickstart/teacher.safetensors points.csv")]
pub struct Options {
    /// The model file
    model: PathBuf,
    /// The points: a .csv file with columns of the model's names, or a .npy file
    points: PathBuf,
    /// Where to: a .npy or .csv file; CSV on standard output if left out
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// The points are in the flow's own, unconstrained coordinates rather than values of the parameters
    #[arg(long)]
    unconstrained: bool,
}

/// Points evaluated at a time.
const ROWS: usize = 8192;

pub fn execute(options: &Options, _global: &Global) -> Result<()> {
    let model = Model::load(&options.model)?.freeze::<f64>();
    let names = if options.unconstrained { model.names().to_vec() } else { model.value_names() };
    let is_csv = options.points.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let table = data::read(&options.points, is_csv.then_some(&names[..]))?;
    let width = names.len();
    if table.dim() != width {
        let (found, of) = (table.dim(), if options.unconstrained { "coordinates" } else { "values" });
        return Err(Error::input(
            &options.points,
            format!("has {found} columns; a point of the model has {width} {of}"),
        ));
    }
    let names = [super::sample::LOG_PROB.to_string()];
    let mut writer = match &options.output {
        Some(path) => RowWriter::to_path(path, &names, table.len() as u64)?,
        None => RowWriter::csv(Box::new(std::io::BufWriter::new(std::io::stdout())), &names)?,
    };
    for points in table.values.chunks(ROWS * width) {
        let mut log_prob = vec![0.0; points.len() / width];
        if options.unconstrained {
            model.log_prob(points, &mut log_prob);
        } else {
            model.log_prob_of_values(points, &mut log_prob);
        }
        writer.write_rows(&log_prob, 1)?;
    }
    writer.finish()
}
