//! `flowdistill sample`: draws from a model file, in constant memory.

mod corrected;
mod weigh;

use super::shard::{self, Asked};
use super::target::target_of;
use super::{signals, Global};
use crate::data::{shard_of, Beside, Dialect, Header, RowWriter, Table, Written};
use crate::error::{Error, Result};
use crate::flow::{FrozenModel, Method};
use crate::progress::RowBar;
use crate::shown::say;
use crate::target::{Constraint, Density};
use corrected::corrected;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    flowdistill sample runs/quickstart -n 1000 > draws.csv\n  \
    flowdistill sample runs/quickstart -n 1e6 --log-prob -o draws.npy\n  \
    flowdistill sample runs/eight_schools -n 4000 --weights -o draws.zarr\n  \
    flowdistill sample runs/conditional/student.safetensors -n 100 --given rows.csv -o draws.csv")]
pub struct Options {
    /// The model file, or a run's folder: its student, or its teacher where it has none
    model: PathBuf,
    /// The number of draws, such as 1000 or 1e6; with --given, for each of its rows
    #[arg(short, long, value_parser = count)]
    n: u64,
    /// What is given, for a model that is given something: a table with those columns (`-`: on standard input), which the draws have too
    #[arg(long, value_name = "TABLE", conflicts_with = "correct")]
    given: Option<PathBuf>,
    /// Where to: .csv, .jsonl, .npy, .npz, .stan.csv (CmdStan's), .parquet or .zarr (for ArviZ); CSV on standard output if left out, with
    /// --json an object a line
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Add a last column with each draw's exact log density
    #[arg(long)]
    log_prob: bool,
    /// Add a column `log_weight`, ln(target/model): against the target of --target or else of the run in whose folder the model is (its teacher
    /// where the student was trained against that)
    #[arg(long, conflicts_with_all = ["correct", "given"])]
    weights: bool,
    /// Only part i of N of the draws, into a file of its own (`draws.2-of-8.npy`) which `merge` puts together with the others to what would
    /// have been written at once; `auto`: as Slurm, Grid Engine or LSF say in their variables
    #[arg(long, value_name = "i/N", value_parser = shard::parse, requires = "output", conflicts_with = "correct")]
    shard: Option<Asked>,
    /// Turn draws of the model into draws of a target: by independence Metropolis-Hastings, or by resampling by weight
    #[arg(long, requires = "target", conflicts_with = "log_prob")]
    correct: Option<Correction>,
    /// The experiment whose target --correct draws from, or --weights weighs against
    #[arg(long)]
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

/// Draws beyond this are a slip of the pen.
const MOST: f64 = 1e12;

/// A number of draws: `1000`, `1_000`, `1e6`.
fn count(text: &str) -> std::result::Result<u64, String> {
    let number: Option<f64> = text.replace('_', "").parse().ok();
    let number = number.filter(|number| number.fract() == 0.0 && (1.0..=MOST).contains(number));
    number
        .map(|number| number as u64)
        .ok_or_else(|| "a whole number from 1 to 1e12, such as 1000 or 1e6, is right".into())
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let path = super::model_at(&options.model)?;
    let model = super::load(&path, global)?.freeze::<f64>();
    if options.target.is_some() && options.correct.is_none() && !options.weights {
        return Err(Error::invalid("--target is for --correct or --weights; one of them is right beside it"));
    }
    let dim = model.dim();
    let map =
        options.constrain_with.as_ref().map(|path| map_of(path, options.allow_native, model.names())).transpose()?;
    if *model.constraint() == Constraint::Elsewhere && !options.unconstrained && map.is_none() && !global.quiet {
        say!(
            "note: the map to the parameters' own space is in the library of the model, which is not at hand: \
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
    let target = match &options.target {
        Some(experiment) => Some(target_of(experiment, options.allow_native, dim)?),
        None if options.weights => Some(weigh::of_run(&path, options.allow_native, dim)?),
        None => None,
    };
    let format = options.output.as_ref().map(|path| Written::of(path)).transpose()?;
    let names = match &map {
        Some(map) => map.constrained_names(),
        None if as_coordinates(options, &model) => model.names().to_vec(),
        None => model.value_names(),
    };
    // Some formats have a place for it, which had better not be empty; the Jacobian of a map elsewhere is not known.
    let is_known = options.correct.is_none() && map.is_none();
    let mut beside = Vec::new();
    if options.log_prob || (is_known && format.is_some_and(Written::has_log_density)) {
        beside.push(Beside::LogProb);
    }
    beside.extend(options.weights.then_some(Beside::LogWeight));
    let contexts = given.as_ref().map_or(1, |table| table.len() as u64);
    let total = options.n.saturating_mul(contexts);
    let shard = options.shard.map(Asked::shard).transpose()?;
    let part = shard.map_or(0..total, |shard| shard.part(total));
    let header = Header {
        names: &names,
        columns: (map.is_none() && !as_coordinates(options, &model)).then_some(model.columns()),
        beside: &beside,
        rows: part.end - part.start,
    };
    let writer = match (&options.output, shard, format) {
        (Some(path), Some(_), Some(format)) if !format.is_divisible() => {
            return Err(Error::invalid(format!(
                "--shard: {} cannot be put together from parts; a name ending in .csv, .jsonl, .npy or .stan.csv is right",
                path.display()
            )));
        }
        (Some(path), Some(shard), _) => RowWriter::of(&shard_of(path, shard.i, shard.n), &header)?,
        (Some(path), None, _) => RowWriter::of(path, &header)?,
        (None, ..) => RowWriter::stream(Box::new(std::io::BufWriter::new(std::io::stdout())), &header, global.json)?,
    };
    if options.output.is_some() {
        signals::listen(None)?;
    }
    let space = UsersSpace { options, model: &model, map: map.as_deref(), width: names.len() };
    match (options.correct, &target) {
        (Some(correction), Some(target)) => corrected(correction, &space, target.as_ref(), writer, global),
        _ => {
            let weighed = target.as_deref().filter(|_| options.weights);
            drawn(&space, given.as_ref(), weighed, &beside, part, writer, global)
        }
    }
}

/// Writes the draws `part` of the model.
fn drawn(
    space: &UsersSpace,
    given: Option<&Table>,
    target: Option<&dyn Density>,
    beside: &[Beside],
    part: std::ops::Range<u64>,
    mut writer: RowWriter,
    global: &Global,
) -> Result<()> {
    let UsersSpace { options, model, .. } = *space;
    let dim = model.dim();
    let noise = global.seed().stream("sample");
    let bar = RowBar::new(global.quiet || options.output.is_none(), part.end - part.start);
    let mut first = part.start;
    while first < part.end {
        go_on()?;
        let rows = ROWS.min(part.end - first) as usize;
        let (mut points, mut log_prob) = (vec![0.0; rows * dim], vec![0.0; rows]);
        if let Some(given) = given {
            for (row, point) in (first..).zip(points.chunks_exact_mut(dim)) {
                let context = given.row((row / options.n) as usize);
                point[..context.len()].copy_from_slice(context);
            }
        }
        model.draw(Method::Cached, &noise, first, &mut points, &mut log_prob);
        // Weights are the same in every space, so they are taken in that of the flow.
        let weights = target.map(|target| weigh::log_weights(target, &points, &log_prob)).transpose()?;
        points = space.of(points, &mut log_prob)?;
        let width = points.len() / rows + beside.len();
        if !beside.is_empty() {
            let mut wide = Vec::with_capacity(rows * width);
            for (row, point) in points.chunks_exact(points.len() / rows).enumerate() {
                wide.extend_from_slice(point);
                wide.extend(beside.iter().map(|beside| match (beside, &weights) {
                    (Beside::LogWeight, Some(weights)) => weights[row],
                    _ => log_prob[row],
                }));
            }
            points = wide;
        }
        writer.write_rows(&points, width)?;
        bar.advance(rows as u64);
        first += rows as u64;
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
