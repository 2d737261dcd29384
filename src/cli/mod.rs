//! The command line: one file for each subcommand.

mod check;
mod compare;
mod evaluate;
mod fault;
mod figures;
mod log_prob;
mod merge;
mod new;
mod paint;
mod report;
mod run;
mod sample;
mod score;
mod shard;
mod shell;
mod signals;
mod sweep;
mod target;
mod targets;

use crate::error::{Error, Result};
use crate::experiment::{Asked, Native, Plan, Spec, STUDENT, TEACHER};
use crate::flow::Model;
use crate::memory;
use crate::seed::Seed;
use crate::shown;
use crate::shown::say;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};

pub use fault::to_json;

/// Turn a density that is hard to sample into a sampler that needs one network pass and knows the exact log density of each draw.
#[derive(Debug, Parser)]
#[command(
    name = "flowdistill",
    version,
    after_help = "Exit codes: 0 done, 1 the run failed, 2 usage or configuration, 3 a --require not met, 130 interrupted,\n\
                  129 and 143 ended by SIGHUP and SIGTERM.\n\
                  Results go to standard output, everything else to standard error."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Seed of all randomness (for `run` and `check`: instead of the experiment's)
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Threads to use [default: all cores]; results do not depend on it
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say more: plain lines in the place of bars, and the whole report at the end
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Whether the verdict is in colour
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: paint::Colour,
    /// Results as JSON on standard output, and what went wrong as JSON on standard error
    #[arg(long, global = true)]
    json: bool,
    /// Refuse what would take more memory than this, such as 8G or 512M [default: three quarters of what there is]
    #[arg(long, global = true, value_name = "BYTES", value_parser = memory::parse)]
    memory_limit: Option<u64>,
}

impl Global {
    /// The seed of a command that has no experiment to take it from.
    fn seed(&self) -> Seed {
        Seed(self.seed.unwrap_or(1))
    }
}

/// An experiment file and changes to it.
#[derive(Debug, Clone, Args)]
struct Source {
    /// The experiment (RON)
    experiment: PathBuf,
    /// Change a field: a path such as `seed`, `teacher.hidden` or `stages.0.training.steps`, and its value
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Let the experiment load a library or start a program that it names
    #[arg(long)]
    allow_native: bool,
}

impl Source {
    /// The checked experiment and its text as written; a preview makes do with a few exact draws.
    fn plan(&self, global: &Global, preview: bool) -> Result<(Plan<'static>, String)> {
        let (spec, text) = self.spec(global)?;
        Ok((self.plan_of(spec, preview)?, text))
    }

    /// The experiment with its changes, unchecked, and its text as written.
    fn spec(&self, global: &Global) -> Result<(Spec, String)> {
        let (mut spec, text) = Spec::read(&self.experiment)?;
        for assignment in &self.set {
            spec.set(assignment)?;
        }
        if let Some(seed) = global.seed {
            spec.seed = seed;
        }
        Ok((spec, text))
    }

    /// `spec`, which comes of this source, checked.
    fn plan_of(&self, spec: Spec, preview: bool) -> Result<Plan<'static>> {
        let plan = if preview { Plan::preview_with_permission } else { Plan::with_permission };
        let asked = Asked { command: std::env::args().collect(), overrides: self.set.clone() };
        let native = if self.allow_native { Native::Allow } else { Native::Refuse };
        Ok(Plan { asked, ..plan(spec, &self.experiment, native)? })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out an experiment and write its folder
    Run(run::Options),
    /// Check an experiment without training anything
    Check(check::Options),
    /// Write a commented experiment to start from
    New(new::Options),
    /// Draw from a model
    Sample(sample::Options),
    /// Judge a model against a target: figures, a verdict, its reasons
    Evaluate(evaluate::Options),
    /// Put shards of draws, or of a sweep, together
    Merge(merge::Options),
    /// Evaluate a model's log density at points
    LogProb(log_prob::Options),
    /// Say how unusual rows are to a model: log densities and p-values
    Score(score::Options),
    /// Make a run's report as a page anew, from its folder
    Report(report::Options),
    /// Measure the speeds of a run's teacher and student
    Compare(compare::Options),
    /// List the built-in targets, or print an experiment for one
    Targets(targets::Options),
    /// Print what a shell needs to complete commands
    Completions(shell::Completions),
    /// Print the manual
    Man(shell::Man),
}

impl Cli {
    /// Carries out the command.
    ///
    /// # Errors
    /// With what went wrong; [`Error::exit_code`] says whose fault it is.
    pub fn execute(&self) -> Result<()> {
        if let Some(bytes) = self.global.memory_limit {
            memory::set_limit(bytes);
        }
        let mut pool = rayon::ThreadPoolBuilder::new();
        if let Some(threads) = self.global.threads {
            pool = pool.num_threads(threads.into());
        }
        let pool = pool.build().map_err(|error| Error::invalid(format!("cannot start threads: {error}")))?;
        // Inside the pool, so that the thread that trains is one of its workers and need not be woken for every step.
        pool.install(|| match &self.command {
            Command::Run(options) => run::execute(options, &self.global),
            Command::Check(options) => check::execute(options, &self.global),
            Command::New(options) => new::execute(options, &self.global),
            Command::Sample(options) => sample::execute(options, &self.global),
            Command::Evaluate(options) => evaluate::execute(options, &self.global),
            Command::Merge(options) => merge::execute(options, &self.global),
            Command::LogProb(options) => log_prob::execute(options, &self.global),
            Command::Score(options) => score::execute(options, &self.global),
            Command::Report(options) => report::execute(options, &self.global),
            Command::Compare(options) => compare::execute(options, &self.global),
            Command::Targets(options) => targets::execute(options, &self.global),
            Command::Completions(options) => shell::completions(options, &self.global),
            Command::Man(options) => shell::man(options, &self.global),
        })
    }
}

/// The model file that a path names: itself, or of a run's folder its student, or its teacher where it has none.
fn model_at(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let models = [STUDENT, TEACHER].map(|model| path.join(model));
    let found = models.into_iter().find(|model| model.is_file());
    found.ok_or_else(|| {
        Error::input(
            path,
            format!("holds neither {STUDENT} nor {TEACHER}; a run's folder with one, or a model file, is right"),
        )
    })
}

/// Reads a model file, with a note on standard error where it has no checksum.
fn load(path: &Path, global: &Global) -> Result<Model> {
    let (model, note) = Model::load_noting(path)?;
    if let Some(note) = note.filter(|_| !global.quiet) {
        say!("note: {note}");
    }
    Ok(model)
}

/// Writes `text` to standard output, reporting a closed pipe as an error. What is hidden in it is escaped, in JSON as JSON does it.
fn print(text: &str) -> Result<()> {
    print_in_colour(text, paint::Colour::Never)
}

/// The same with the verdict in colour.
fn print_in_colour(text: &str, colour: paint::Colour) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(paint::verdicts(&shown::text(text), colour).as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Error::output(std::path::Path::new("standard output"), error))
}
