//! `flowdistill run`: carry out an experiment.

mod summary;

use super::shard::{self, Asked};
use super::{signals, Global};
use crate::error::{Error, Result};
use crate::evaluate::requirement::{check_conditions, require};
use crate::experiment::{self, Folder, Keeping, Plan, CHECKPOINTS, LOG, PAGE, RUN_JSON, STUDENT, TEACHER};
use crate::progress::{Console, Log};
use crate::shown::say;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill run experiments/quickstart.ron\n  \
    flowdistill run experiments/funnel.ron --set stages.0.training.steps=2000 --set name=short\n  \
    flowdistill run experiments/funnel.ron --sweep 'seed=1..5' --sweep 'student.layers=[2,4]' --jobs 2")]
pub struct Options {
    #[command(flatten)]
    pub(super) source: super::Source,
    /// Folder in which the run's folder is made
    #[arg(long, default_value = "runs")]
    pub(super) out: PathBuf,
    /// Replace a run of the same name
    #[arg(long)]
    pub(super) force: bool,
    /// Go on with the run that the folder holds, to the same results as if it had never been cut; begin it if there is none
    #[arg(long, conflicts_with = "force")]
    pub(super) resume: bool,
    /// With --resume: let stages take more steps than when the run began; they go on from their ends
    #[arg(long, requires = "resume")]
    pub(super) extend: bool,
    /// Seconds of training between two checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    checkpoint_every: f64,
    /// Exit with code 3 unless this holds of the verdict and its figures: `ess>=0.9`, `verdict>=correctable`, …
    #[arg(long, value_name = "CONDITION")]
    require: Vec<String>,
    /// Many runs: FIELD=1..5 (whole numbers, both ends) or FIELD=[2,4]; several --sweep make every combination. Each run has a folder in that of
    /// the experiment's name, where `sweep.csv` and `sweep.json` tell what they came to
    #[arg(long, value_name = "FIELD=VALUES", conflicts_with = "require")]
    pub(super) sweep: Vec<String>,
    /// With --sweep: so many runs at a time, which share the threads
    #[arg(long, requires = "sweep", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: u16,
    /// With --sweep: only part i of N of the runs, or `auto`, as Slurm, Grid Engine or LSF say in their variables; `merge FOLDER` makes the table
    #[arg(long, requires = "sweep", value_name = "i/N", value_parser = shard::parse)]
    pub(super) shard: Option<Asked>,
    /// Check the experiment and say where its run would be written, but do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    check_conditions(&options.require)?;
    let every = Duration::try_from_secs_f64(options.checkpoint_every).map_err(|_| {
        Error::invalid(format!(
            "--checkpoint-every is {}; a number of seconds from 0 is right",
            options.checkpoint_every
        ))
    })?;
    if !options.sweep.is_empty() {
        return super::sweep::execute(options, every, global);
    }
    let (plan, text) = options.source.plan(global, options.dry_run)?;
    if options.dry_run {
        super::check::report(&plan, &options.source.experiment, global)?;
        if !global.quiet {
            say!("dry run: nothing was written; the run would be in {}", options.out.join(&plan.spec.name).display());
        }
        return Ok(());
    }
    let folder = match options.resume {
        true => Folder::resume(&options.out, &plan.spec.name)?,
        false => Folder::create(&options.out, &plan.spec.name, options.force)?,
    };
    signals::listen((!global.quiet).then_some(FIRST))?;
    let keeping = Keeping { every, at_request: Some(&signals::KEEP), resume: options.resume, extend: options.extend };
    if options.resume && is_over(&plan, &folder, options)? {
        if !global.quiet {
            say!("{} is finished: nothing is left to do", folder.path().display());
        }
        return Ok(());
    }
    let watcher = &mut Console::new(global.quiet, global.verbose, Log::at(&folder.file(LOG)));
    let record = experiment::run_kept(&plan, &text, &folder, keeping, &signals::STOP, watcher);
    let record = record.map_err(|error| match error {
        Error::Interrupted => signals::stopped(&format!("what had been reached was kept; go on with: {}", again())),
        other => other,
    })?;
    if global.json {
        super::print(&format!("{}\n", record.to_json()))?;
    } else {
        // Who reads it on a terminal wants the end of it to be what matters; the rest is in the report.
        let at_terminal = std::io::stdout().is_terminal() && !global.verbose;
        let report = if at_terminal { summary::summary(&record) } else { record.to_markdown() };
        let listing = listing(folder.path(), plan.given_rows.is_some());
        super::print_in_colour(&format!("{report}\n{listing}\n"), global.color)?;
    }
    match record.judgement() {
        _ if options.require.is_empty() => Ok(()),
        Some(judgement) => require(&options.require, judgement.verdict, &record.figures()),
        None => Err(Error::Requirement("there is nothing to judge".into())),
    }
}

/// What is said at the first signal.
const FIRST: &str = "finishing this step and keeping what there is (once more ends at once)";

/// Whether the run that a folder holds is finished and is the same as `plan`; one whose result is to meet a requirement is judged again.
pub(super) fn is_over(plan: &Plan, folder: &Folder, options: &Options) -> Result<bool> {
    if !folder.has(RUN_JSON)? {
        return Ok(false);
    }
    if !folder.has(CHECKPOINTS)? {
        let path = folder.path().display();
        let message =
            format!("{path} holds a run without checkpoints, which cannot be gone on with; --force replaces it");
        return Err(Error::invalid(message));
    }
    // What is damaged is made again by what the checkpoints tell.
    let finished = experiment::is_finished(folder) && options.require.is_empty();
    Ok(finished && experiment::is_run_of(plan, folder, options.extend)?)
}

/// The command that goes on with this run.
pub(super) fn again() -> String {
    let mut words: Vec<String> = std::env::args().filter(|word| word != "--force").collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    let quoted = |word: &String| shlex::try_quote(word).map_or_else(|_| word.clone(), |word| word.into_owned());
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Where the results are and what to do next.
fn listing(folder: &Path, is_given: bool) -> String {
    let model = if folder.join(STUDENT).exists() { STUDENT } else { TEACHER };
    let given = if is_given { " --given rows.csv" } else { "" };
    let folder = folder.display();
    format!(
        "Results are in {folder}/, to look at in {folder}/{PAGE}; draw with: flowdistill sample {folder}/{model} -n 1000{given} -o draws.csv"
    )
}
