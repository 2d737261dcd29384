//! `flowdistill sample`: draws from a model file, in constant memory.

use super::Global;
use crate::data::RowWriter;
use crate::error::{Error, Result};
use crate::evaluate::correction::{resample, Chain, Proposal};
use crate::flow::{FrozenModel, Method, Model};
use crate::progress::RowBar;
use crate::seed::open_unit;
use crate::target::Density;
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
    /// Turn draws of the model into draws of a target: by independence Metropolis-Hastings, or by resampling by weight
    #[arg(long, requires = "target", conflicts_with = "log_prob")]
    correct: Option<Correction>,
    /// The experiment whose target --correct draws from
    #[arg(long, requires = "correct")]
    target: Option<PathBuf>,
    /// Share of proposals from a broad normal distribution, which keeps weights bounded where the model's tails are light
    #[arg(long, default_value_t = 0.0, requires = "correct")]
    defensive: f64,
    /// Round columns of whole numbers (their log density is that of the draw before rounding)
    #[arg(long)]
    round: bool,
}

/// How draws are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Correction {
    /// Independence Metropolis-Hastings: a chain of as many draws
    Imh,
    /// Sampling importance resampling: ten proposals for each draw
    Sir,
}

/// Proposals for each draw of sampling importance resampling.
const OVERSAMPLING: usize = 10;

/// Draws held in memory at a time.
const ROWS: u64 = 8192;

/// The name of the added column.
pub const LOG_PROB: &str = "log_prob";

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let model = Model::load(&options.model)?.freeze::<f64>();
    let dim = model.dim();
    let width = dim + usize::from(options.log_prob);
    let mut names = model.names().to_vec();
    if options.log_prob {
        names.push(LOG_PROB.into());
    }
    let mut writer = match &options.output {
        Some(path) => RowWriter::to_path(path, &names, options.n)?,
        None => RowWriter::csv(Box::new(std::io::BufWriter::new(std::io::stdout())), &names)?,
    };
    if let (Some(correction), Some(target)) = (options.correct, &options.target) {
        let target = super::evaluate::target_of(target, &model)?;
        return corrected(correction, options, &model, target.as_ref(), writer, global);
    }
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
        if options.log_prob {
            let mut wide = Vec::with_capacity(rows * width);
            for (point, value) in points.chunks_exact(dim).zip(log_prob) {
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

/// Writes draws of `target`, block by block in constant memory, and says how well the model proposed.
fn corrected(
    correction: Correction,
    options: &Options,
    model: &FrozenModel<f64>,
    target: &dyn Density,
    mut writer: RowWriter,
    global: &Global,
) -> Result<()> {
    if !(0.0..1.0).contains(&options.defensive) {
        return Err(Error::invalid(format!(
            "--defensive is {}; a share from 0 to below 1 is right",
            options.defensive
        )));
    }
    let (dim, stream) = (model.dim(), global.seed().stream("sample/corrected"));
    let proposal = Proposal::new(model, target, options.defensive, stream.child("proposal"));
    let bar = RowBar::new(global.quiet || options.output.is_none(), options.n);
    let (mut chain, uniforms) = (Chain::default(), stream.child("uniforms"));
    let mut ess = Vec::new();
    let mut write = |mut points: Vec<f64>| {
        if options.round {
            model.round_integers(&mut points);
        }
        writer.write_rows(&points, dim)
    };
    if correction == Correction::Imh {
        // The chain's first places are those of the model; a block of them is enough to forget where it began if it forgets at all.
        let (mut points, log_weights) = proposal.draw(0, ROWS as usize)?;
        chain.advance(dim, &mut points, &log_weights, &uniforms);
    }
    for first in (0..options.n).step_by(ROWS as usize) {
        let rows = ROWS.min(options.n - first) as usize;
        match correction {
            Correction::Imh => {
                let (mut points, log_weights) = proposal.draw(ROWS + first, rows)?;
                chain.advance(dim, &mut points, &log_weights, &uniforms);
                write(points)?;
            }
            Correction::Sir => {
                // A whole block is proposed even where fewer draws are left, so that the last ones are no worse than the others.
                let (points, log_weights) = proposal.draw(first * OVERSAMPLING as u64, ROWS as usize * OVERSAMPLING)?;
                ess.push(crate::evaluate::weights::reverse(&log_weights).ess);
                let u = open_unit(&mut uniforms.row(first));
                let kept = resample(dim, &points, &log_weights, rows, u)
                    .ok_or_else(|| Error::Target("no proposal of the model has a weight under the target".into()))?;
                write(kept)?;
            }
        }
        bar.advance(rows as u64);
    }
    writer.finish()?;
    if !global.quiet {
        match correction {
            Correction::Imh => eprintln!(
                "independence Metropolis-Hastings: acceptance {:.3}, autocorrelation time {:.2}",
                chain.acceptance(),
                chain.autocorrelation_time()
            ),
            Correction::Sir => eprintln!(
                "sampling importance resampling: ESS/N of the proposals {:.3}, {OVERSAMPLING} for each draw",
                ess.iter().sum::<f64>() / ess.len() as f64
            ),
        }
    }
    Ok(())
}
