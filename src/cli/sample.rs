//! `flowdistill sample`: draws from a model file, in constant memory.

use super::target::target_of;
use super::{signals, Global};
use crate::data::{Dialect, RowWriter, Table};
use crate::error::{Error, Result};
use crate::evaluate::correction::{resample, Chain, Proposal};
use crate::flow::{FrozenModel, Method};
use crate::progress::RowBar;
use crate::seed::open_unit;
use crate::target::{Constraint, Density};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    flowdistill sample runs/quickstart/student.safetensors -n 1000 > draws.csv\n  \
    flowdistill sample runs/quickstart/student.safetensors -n 1000000 --log-prob -o draws.npy\n  \
    flowdistill sample runs/conditional/student.safetensors -n 100 --given rows.csv -o draws.csv")]
pub struct Options {
    /// The model file
    model: PathBuf,
    /// The number of draws; with --given, for each of its rows
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    n: u64,
    /// What is given, for a model that is given something: a table with those columns (`-`: on standard input), which the draws have too
    #[arg(long, value_name = "TABLE", conflicts_with = "correct")]
    given: Option<PathBuf>,
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
    /// Write what the flow drew where columns are on a grid, of words or of days, rather than drawing it back onto them (the log density is
    /// always that of what the flow drew)
    #[arg(long)]
    dithered: bool,
    /// Write the flow's own, unconstrained coordinates rather than the values of the parameters
    #[arg(long)]
    unconstrained: bool,
    /// Map the draws to the parameters' own space by the target of this experiment, where only its library has the map
    #[arg(long, value_name = "EXPERIMENT", conflicts_with_all = ["unconstrained", "log_prob"])]
    constrain_with: Option<PathBuf>,
    /// Let these experiments load a library or start a program that they name
    #[arg(long)]
    allow_native: bool,
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
    let model = super::load(&options.model, global)?.freeze::<f64>();
    let dim = model.dim();
    let map =
        options.constrain_with.as_ref().map(|path| map_of(path, options.allow_native, model.names())).transpose()?;
    if *model.constraint() == Constraint::Elsewhere && !options.unconstrained && map.is_none() && !global.quiet {
        eprintln!(
            "note: the map to the parameters' own space is in a library or process that is not at hand: \
             the draws are unconstrained (--constrain-with may help)"
        );
    }
    // Whatever can be wrong is known before a byte is written.
    if !(0.0..1.0).contains(&options.defensive) {
        return Err(Error::invalid(format!(
            "--defensive is {}; a share from 0 to below 1 is right",
            options.defensive
        )));
    }
    let given = given_to(&model, options)?;
    let target = options.target.as_ref().map(|path| target_of(path, options.allow_native, dim)).transpose()?;
    let mut names = match &map {
        Some(map) => map.constrained_names(),
        None if as_coordinates(options, &model) => model.names().to_vec(),
        None => model.value_names(),
    };
    let width = names.len() + usize::from(options.log_prob);
    if options.log_prob {
        names.push(LOG_PROB.into());
    }
    let contexts = given.as_ref().map_or(1, |table| table.len() as u64);
    let total = options.n.saturating_mul(contexts);
    let mut writer = match &options.output {
        Some(path) => RowWriter::to_path(path, &names, total)?,
        None => RowWriter::csv(Box::new(std::io::BufWriter::new(std::io::stdout())), &names)?,
    };
    if map.is_none() && !as_coordinates(options, &model) {
        writer = writer.of(model.columns());
    }
    if options.output.is_some() {
        signals::listen(None)?;
    }
    let space = UsersSpace { options, model: &model, map: map.as_deref(), width };
    if let (Some(correction), Some(target)) = (options.correct, &target) {
        return corrected(correction, &space, target.as_ref(), writer, global);
    }
    let noise = global.seed().stream("sample");
    let bar = RowBar::new(global.quiet || options.output.is_none(), total);
    for first in (0..total).step_by(ROWS as usize) {
        go_on()?;
        let rows = ROWS.min(total - first) as usize;
        let (mut points, mut log_prob) = (vec![0.0; rows * dim], vec![0.0; rows]);
        if let Some(given) = &given {
            for (row, point) in (first..).zip(points.chunks_exact_mut(dim)) {
                let context = given.row((row / options.n) as usize);
                point[..context.len()].copy_from_slice(context);
            }
        }
        model.draw(Method::Cached, &noise, first, &mut points, &mut log_prob);
        points = space.of(points, &mut log_prob)?;
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

/// An error where a signal has asked for the end; what was drawn so far goes with it.
fn go_on() -> Result<()> {
    if signals::STOP.load(Ordering::Relaxed) {
        return Err(signals::stopped("nothing was written"));
    }
    Ok(())
}

/// What the model is given, which must be said if it is given anything.
fn given_to(model: &FrozenModel<f64>, options: &Options) -> Result<Option<Table>> {
    match &options.given {
        Some(path) => {
            let table = model.read_given(path, &Dialect::default())?;
            if table.is_empty() {
                return Err(Error::input(path, "has no rows; one, at least, is right"));
            }
            Ok(Some(table))
        }
        None if model.space().given > 0 => Err(Error::input(
            &options.model,
            format!(
                "its draws depend on what is given; `--given TABLE` with {} is right",
                model.given_names().join(", ")
            ),
        )),
        None => Ok(None),
    }
}

/// The target of the experiment at `path` for its map, so it must have the coordinates `names`.
fn map_of(path: &Path, allow_native: bool, names: &[String]) -> Result<Arc<dyn Density>> {
    let target = target_of(path, allow_native, names.len())?;
    if target.names() != names {
        let (found, right) = (target.names().join(", "), names.join(", "));
        return Err(Error::input(
            path,
            format!("its target has the coordinates {found}; those of the model are {right}"),
        ));
    }
    // A library may be without the map: better known now than after the header.
    let mut values = vec![0.0; target.constrained_names().len()];
    target.constrain(&vec![0.0; names.len()], &mut values).map_err(|fatal| Error::input(path, fatal.0))?;
    Ok(target)
}

/// Whether draws are written as the coordinates of the flow.
fn as_coordinates(options: &Options, model: &FrozenModel<f64>) -> bool {
    options.unconstrained || (options.dithered && !model.columns().is_plain())
}

/// What draws look like when they are written.
struct UsersSpace<'a> {
    options: &'a Options,
    model: &'a FrozenModel<f64>,
    map: Option<&'a dyn Density>,
    width: usize,
}

impl UsersSpace<'_> {
    /// `points` of the model in the space that was asked for; their log densities follow where the model has the map.
    fn of(&self, mut points: Vec<f64>, log_prob: &mut [f64]) -> Result<Vec<f64>> {
        if let Some(map) = self.map {
            let dim = self.model.dim();
            let mut values = vec![0.0; points.len() / dim * self.width];
            for (point, values) in points.chunks_exact(dim).zip(values.chunks_exact_mut(self.width)) {
                map.constrain(point, values).map_err(|fatal| Error::Target(fatal.0))?;
            }
            return Ok(values);
        }
        if as_coordinates(self.options, self.model) {
            return Ok(points);
        }
        self.model.snap(&mut points);
        Ok(self.model.constrain(points, log_prob))
    }
}

/// Writes draws of `target`, block by block in constant memory, and says how well the model proposed.
fn corrected(
    correction: Correction,
    space: &UsersSpace,
    target: &dyn Density,
    mut writer: RowWriter,
    global: &Global,
) -> Result<()> {
    let UsersSpace { options, model, width, .. } = *space;
    let (dim, stream) = (model.dim(), global.seed().stream("sample/corrected"));
    let proposal = Proposal::new(model, target, options.defensive, stream.child("proposal"));
    let bar = RowBar::new(global.quiet || options.output.is_none(), options.n);
    let (mut chain, uniforms) = (Chain::default(), stream.child("uniforms"));
    let mut ess = Vec::new();
    let mut write = |points: Vec<f64>| {
        let mut no_log_prob = vec![0.0; points.len() / dim];
        writer.write_rows(&space.of(points, &mut no_log_prob)?, width)
    };
    if correction == Correction::Imh {
        // The chain's first places are those of the model; a block of them is enough to forget where it began if it forgets at all.
        let (mut points, log_weights) = proposal.draw(0, ROWS as usize)?;
        chain.advance(dim, &mut points, &log_weights, &uniforms);
    }
    for first in (0..options.n).step_by(ROWS as usize) {
        go_on()?;
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
