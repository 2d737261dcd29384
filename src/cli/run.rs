//! `flowdistill run`: carry out an experiment.

use super::Global;
use crate::error::{Error, Result};
use crate::evaluate::requirement::{check_conditions, require};
use crate::experiment::{self, Folder, STUDENT, TEACHER};
use crate::progress::Console;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill run experiments/quickstart.ron\n  \
    flowdistill run experiments/funnel.ron --set stages.0.training.steps=2000 --set name=short")]
pub struct Options {
    #[command(flatten)]
    source: super::Source,
    /// Folder in which the run's folder is made
    #[arg(long, default_value = "runs")]
    out: PathBuf,
    /// Replace a run of the same name
    #[arg(long)]
    force: bool,
    /// Exit with code 3 unless this holds of the verdict and its figures: `ess>=0.9`, `verdict>=correctable`, …
    #[arg(long, value_name = "CONDITION")]
    require: Vec<String>,
    /// Check the experiment and say where its run would be written, but do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Set by the first Ctrl-C; the second ends the process at once.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    check_conditions(&options.require)?;
    let (plan, text) = options.source.plan(global, options.dry_run)?;
    if options.dry_run {
        super::check::report(&plan, &options.source.experiment, global)?;
        if !global.quiet {
            eprintln!(
                "dry run: nothing was written; the run would be in {}",
                options.out.join(&plan.spec.name).display()
            );
        }
        return Ok(());
    }
    let folder = Folder::create(&options.out, &plan.spec.name, options.force)?;
    let quiet = global.quiet;
    ctrlc::set_handler(move || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        if !quiet {
            eprintln!("\ninterrupted: finishing this step and keeping what there is (Ctrl-C again ends at once)");
        }
    })
    .map_err(|error| Error::invalid(format!("cannot catch Ctrl-C: {error}")))?;
    let record = experiment::run(&plan, &text, &folder, &INTERRUPTED, &mut Console::new(global.quiet))?;
    if global.json {
        super::print(&format!("{}\n", record.to_json()))?;
    } else {
        super::print(&format!("{}\n{}\n", record.to_markdown(), listing(folder.path(), plan.given_rows.is_some())))?;
    }
    match record.judgement() {
        _ if options.require.is_empty() => Ok(()),
        Some(judgement) => require(&options.require, judgement.verdict, &record.figures()),
        None => Err(Error::Requirement("there is nothing to judge".into())),
    }
}

/// Where the results are and what to do next.
fn listing(folder: &Path, is_given: bool) -> String {
    let model = if folder.join(STUDENT).exists() { STUDENT } else { TEACHER };
    let given = if is_given { " --given rows.csv" } else { "" };
    let folder = folder.display();
    format!("Results are in {folder}/; draw with: flowdistill sample {folder}/{model} -n 1000{given} -o draws.csv")
}
