//! `flowdistill compare`: how fast a run's teacher and student draw; several runs beside each other.

mod runs;

use super::figures::Format;
use super::Global;
use crate::error::{Error, Result};
use crate::evaluate::throughput::{measure, verdict, Throughput};
use crate::experiment::{record_in, RUN_JSON, STUDENT, TEACHER};
use crate::memory;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill compare runs/quickstart\n  \
    flowdistill compare runs/first runs/second runs/third --format markdown")]
pub struct Options {
    /// The folder of a run, whose speeds are measured; of several, which are put beside each other as they are on record
    #[arg(required = true)]
    run: Vec<PathBuf>,
    /// Batch sizes, for one run
    #[arg(long, value_delimiter = ',', default_value = "1,64,4096,65536")]
    batch: Vec<u32>,
    /// How the table of several runs is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The largest batch size that is measured.
const LARGEST: u32 = 1 << 22;

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let [run] = options.run.as_slice() else {
        let format = if global.json { Format::Json } else { options.format };
        return super::print(&runs::table(&options.run)?.written(format)?);
    };
    if let Some(bad) = options.batch.iter().find(|&&batch| batch == 0 || batch > LARGEST) {
        return Err(Error::invalid(format!("--batch lists {bad}; 1 to {LARGEST} is right")));
    }
    let batches: Vec<usize> = options.batch.iter().map(|&batch| batch as usize).collect();
    let (teacher_ess, student_ess) = known_ess(run)?;
    let mut rows: Vec<Throughput> = Vec::new();
    for (name, file, ess) in [("teacher", TEACHER, teacher_ess), ("student", STUDENT, student_ess)] {
        let path = run.join(file);
        if path.exists() {
            let model = super::load(&path, global)?.freeze::<f32>();
            let largest = batches.iter().copied().max().unwrap_or(0);
            // Points, noise and log densities: 108 MiB were measured for a million rows of ten coordinates.
            let bytes = 4.0 * largest as f64 * (3 * model.dim() + 4) as f64;
            memory::weigh(&format!("drawing {largest} rows at once"), bytes)
                .map_err(|refusal| Error::invalid(format!("--batch: {refusal}")))?;
            rows.extend(measure(name, &model, &batches, ess));
        }
    }
    if rows.is_empty() {
        return Err(Error::input(run, format!("holds neither {TEACHER} nor {STUDENT}; the folder of a run is right")));
    }
    let mut out = String::new();
    if global.json {
        for row in &rows {
            let line = serde_json::to_string(row).map_err(Error::invalid)?;
            let _ = writeln!(out, "{line}");
        }
    } else {
        let _ = write!(out, "{}", table(&rows));
    }
    super::print(&out)
}

/// ESS/N of teacher and student as samplers of what the student was trained against, from the run's record.
fn known_ess(run: &Path) -> Result<(Option<f64>, Option<f64>)> {
    if !run.join(RUN_JSON).exists() {
        return Ok((None, None));
    }
    let run = record_in(run)?;
    let student = run["scores"]["student"]["ess"].as_f64();
    let last = run["stages"].as_array().and_then(|stages| stages.last()).and_then(|stage| stage["name"].as_str());
    let distilled = last.is_some_and(|name| name.ends_with("against the teacher"));
    Ok((distilled.then_some(1.0), student))
}

/// A table for people, with the student's speed-up over each way of drawing from the teacher.
fn table(rows: &[Throughput]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<8} {:<23} {:>8} {:>13} {:>18} {:>12} {:>9} {:>20}",
        "model", "method", "batch", "draws/s", "effective draws/s", "µs per draw", "peak MiB", "student is faster by"
    );
    for row in rows {
        let effective = row.effective_per_second.map_or("unknown".into(), |rate| format!("{rate:.0}"));
        let memory = row.peak_memory.map_or("unknown".into(), |bytes| (bytes >> 20).to_string());
        let student = rows.iter().find(|other| other.model == "student" && other.batch == row.batch);
        let faster = match student {
            Some(student) if row.model == "teacher" => {
                format!("{:.1}×", student.draws_per_second / row.draws_per_second)
            }
            _ => String::new(),
        };
        let Throughput { model, method, batch, draws_per_second, estimated, .. } = row;
        let rate = format!("{}{draws_per_second:.0}", if *estimated { "~" } else { "" });
        let micros = 1e6 * row.seconds_per_draw;
        let _ = writeln!(
            out,
            "{model:<8} {method:<23} {batch:>8} {rate:>13} {effective:>18} {micros:>12.3} {memory:>9} {faster:>20}"
        );
    }
    if rows.iter().any(|row| row.estimated) {
        let _ = writeln!(out, "~ is the rate of a smaller batch: this one would have taken over half a minute");
    }
    if let Some(verdict) = verdict(rows) {
        let _ = writeln!(out, "{verdict}");
    }
    let _ = writeln!(
        out,
        "single precision, {} threads, random numbers and log densities included; effective = draws/s × ESS/N",
        rayon::current_num_threads()
    );
    out
}
