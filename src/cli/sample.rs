//! `flowdistill sample`: draws from a model file, in constant memory.

use super::Global;
use crate::data::RowWriter;
use crate::error::{Error, Result};
use crate::experiment::{Native, Spec};
use crate::flow::{Method, Model};
use crate::progress::RowBar;
use crate::target::{Constraint, Density};
use std::path::{Path, PathBuf};

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
    /// Map the draws to the parameters' own space by the target of this experiment, where only its library has the map
    #[arg(long, value_name = "EXPERIMENT", conflicts_with_all = ["unconstrained", "log_prob"])]
    constrain_with: Option<PathBuf>,
    /// Let that experiment load a library or start a program that it names
    #[arg(long, requires = "constrain_with")]
    allow_native: bool,
}

/// Draws held in memory at a time.
const ROWS: u64 = 8192;

/// The name of the added column.
pub const LOG_PROB: &str = "log_prob";

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let model = Model::load(&options.model)?.freeze::<f64>();
    let dim = model.dim();
    let map =
        options.constrain_with.as_ref().map(|path| map_of(path, options.allow_native, model.names())).transpose()?;
    if *model.constraint() == Constraint::Elsewhere && !options.unconstrained && map.is_none() && !global.quiet {
        eprintln!(
            "note: the map to the parameters' own space is in a library or process that is not at hand: \
             the draws are unconstrained (--constrain-with may help)"
        );
    }
    let mut names = match &map {
        Some(map) => map.constrained_names(),
        None if options.unconstrained => model.names().to_vec(),
        None => model.value_names(),
    };
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
        let (mut points, mut log_prob) = (vec![0.0; rows * dim], vec![0.0; rows]);
        model.draw(Method::Cached, &noise, first, &mut points, &mut log_prob);
        if options.round {
            model.round_integers(&mut points);
        }
        if let Some(map) = &map {
            let mut values = vec![0.0; rows * width];
            for (point, values) in points.chunks_exact(dim).zip(values.chunks_exact_mut(width)) {
                map.constrain(point, values).map_err(|fatal| Error::Target(fatal.0))?;
            }
            points = values;
        } else if !options.unconstrained {
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

/// The target of the experiment at `path`, which must have the coordinates `names`.
fn map_of(path: &Path, allow_native: bool, names: &[String]) -> Result<Box<dyn Density>> {
    let (spec, _) = Spec::read(path)?;
    let target = spec.target.ok_or_else(|| Error::input(path, "has no target that could map the draws"))?;
    let native = if allow_native { Native::Allow } else { Native::Refuse };
    let folder = path.parent().unwrap_or(Path::new("."));
    let target = target.build_with_permission(folder, native).map_err(|fault| Error::input(path, fault))?;
    if target.names() != names {
        let (found, right) = (target.names().join(", "), names.join(", "));
        return Err(Error::input(
            path,
            format!("its target has the coordinates {found}; those of the model are {right}"),
        ));
    }
    Ok(target)
}
