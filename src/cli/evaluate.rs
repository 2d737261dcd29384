//! `flowdistill evaluate`: the certificate of a model against a target, or against rows of a table.

use super::target::target_of;
use super::Global;
use crate::data::Dialect;
use crate::error::{Error, Result};
use crate::evaluate::held_out::certify_on_rows;
use crate::evaluate::requirement::{check_conditions, require};
use crate::experiment::{certify_at, IndependentSpec};
use crate::flow::FrozenModel;
use crate::memory;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    flowdistill evaluate runs/funnel/student.safetensors --target experiments/funnel.ron\n  \
    flowdistill evaluate student.safetensors --target mine.ron --reference draws.npy --require 'verdict>=correctable'\n  \
    flowdistill evaluate runs/mine/teacher.safetensors --data new_rows.csv --require 'data_total_variation<0.1'")]
pub struct Options {
    /// The model file, or a run's folder: its student, or its teacher where it has none
    model: PathBuf,
    /// The experiment whose target the model is to match
    #[arg(long, required_unless_present = "data", conflicts_with = "data")]
    target: Option<PathBuf>,
    /// A table of rows that the model has not seen, and that its draws are to be like
    #[arg(long, conflicts_with_all = ["reference", "no_sampler", "allow_native", "n"])]
    data: Option<PathBuf>,
    /// The table of --data has decimal commas
    #[arg(long, conflicts_with = "target")]
    decimal_comma: bool,
    /// Draws of the target from elsewhere: a .npy or .csv file
    #[arg(long)]
    reference: Option<PathBuf>,
    /// Draws over which the figures are taken
    #[arg(short, long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    n: u32,
    /// Do not run a sampler to have an independent look where there is no other
    #[arg(long)]
    no_sampler: bool,
    /// Exit with code 3 unless this holds: `ess>=0.9`, `k_hat<0.7`, `verdict>=correctable`, …
    #[arg(long, value_name = "CONDITION")]
    require: Vec<String>,
    /// Let the experiment load a library or start a program that it names
    #[arg(long)]
    allow_native: bool,
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    check_conditions(&options.require)?;
    let model = super::load(&super::model_at(&options.model)?, global)?.freeze::<f64>();
    if let Some(path) = &options.data {
        return against_rows(&model, path, options, global);
    }
    let Some(target) = &options.target else { return Err(Error::invalid("--target or --data is right")) };
    let target = target_of(target, options.allow_native, model.dim())?;
    let reference = match &options.reference {
        None => None,
        Some(path) => Some(model.read_points(path, &Dialect::default())?.values),
    };
    let independent = if options.no_sampler { IndependentSpec::None } else { IndependentSpec::Auto };
    memory::weigh(&format!("judging {} draws", options.n), bytes_of_draws(options.n, model.dim()))
        .map_err(|refusal| Error::invalid(format!("-n: {refusal}")))?;
    let (draws, stream) = (options.n as usize, global.seed().stream("certificate"));
    let certificate = certify_at(&model, target.as_ref(), reference, independent, draws, &stream)?;
    if global.json {
        super::print(&format!("{:#}\n", certificate.to_json()))?;
    } else {
        super::print(&certificate.to_markdown())?;
    }
    require(&options.require, certificate.verdict, &certificate.figures())
}

/// About the bytes that so many draws take while they are judged: 132 MiB at the most were measured for a million of ten coordinates.
fn bytes_of_draws(draws: u32, dim: usize) -> f64 {
    1.5 * 8.0 * f64::from(draws) * (dim + 4) as f64
}

/// Judges `model` by the rows of the table at `path`.
fn against_rows(model: &FrozenModel<f64>, path: &Path, options: &Options, global: &Global) -> Result<()> {
    let decimal = if options.decimal_comma { ',' } else { '.' };
    let rows = model.read_points(path, &Dialect { decimal, ..Dialect::default() })?;
    let found = certify_on_rows(model, &rows.values, &global.seed().stream("held out"));
    if global.json {
        super::print(&format!("{:#}\n", found.to_json()))?;
    } else {
        super::print(&found.to_markdown("model"))?;
    }
    require(&options.require, found.verdict, &found.figures())
}
