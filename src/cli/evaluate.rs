//! `flowdistill evaluate`: the certificate of a model against a target.

use super::target::target_of;
use super::Global;
use crate::data;
use crate::error::{Error, Result};
use crate::evaluate::certificate::certify;
use crate::evaluate::figures::check_conditions;
use crate::experiment::{look_at, IndependentSpec};
use crate::flow::Model;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    flowdistill evaluate runs/funnel/student.safetensors --target experiments/funnel.ron\n  \
    flowdistill evaluate student.safetensors --target mine.ron --reference draws.npy --require 'verdict>=correctable'")]
pub struct Options {
    /// The model file
    model: PathBuf,
    /// The experiment whose target the model is to match
    #[arg(long)]
    target: PathBuf,
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
    let model = Model::load(&options.model)?.freeze::<f64>();
    let target = target_of(&options.target, options.allow_native, model.dim())?;
    let reference = match &options.reference {
        None => None,
        Some(path) => {
            let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
            let table = data::read(path, is_csv.then(|| model.names()))?;
            if table.dim() != model.dim() {
                let (found, right) = (table.dim(), model.dim());
                return Err(Error::input(path, format!("has {found} columns; the model has {right} coordinates")));
            }
            Some(table.values)
        }
    };
    let independent = if options.no_sampler { IndependentSpec::None } else { IndependentSpec::Auto };
    let (draws, stream) = (options.n as usize, global.seed().stream("certificate"));
    let look = look_at(target.as_ref(), reference, independent, draws, &stream)?;
    let certificate = certify(&model, target.as_ref(), draws, &stream, look.as_ref())?;
    if global.json {
        super::print(&format!("{:#}\n", certificate.to_json()))?;
    } else {
        super::print(&certificate.to_markdown())?;
    }
    certificate.require(&options.require)
}
