//! `flowdistill score`: how unusual the rows of a table are to a model, each by itself and in batches.

use super::Global;
use crate::data::{Dialect, Header, RowWriter};
use crate::error::{Error, Result};
use crate::evaluate::draws::draws_beside;
use crate::evaluate::typicality::{log_densities, Reference};
use crate::shown::say;
use serde_json::{Map, Number, Value};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Columns: row (counted from 1), log_density, p_density (share of rows the model has not seen whose density is as low), \
    p_typical (how far out the log density is among those of the model's own draws, on either side), and with --batch also batch and \
    p_batch.\nExamples:\n  \
    flowdistill score runs/tumours/teacher.safetensors patients.csv --threshold 0.01\n  \
    flowdistill score runs/mine/teacher.safetensors new_rows.csv --top 20 --json"
)]
pub struct Options {
    /// The model file, or a run's folder: its student, or its teacher where it has none
    model: PathBuf,
    /// The rows: a text table with the columns of the model (`-`: on standard input), a Parquet, .npy or .npz file
    rows: PathBuf,
    /// Where to: .csv, .jsonl, .npy, .npz or .parquet; CSV on standard output if left out
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Only rows with a p-value of at most this, from above 0 to 1
    #[arg(long, value_name = "P", value_parser = share)]
    threshold: Option<f64>,
    /// Only so many rows, the most unusual first
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Judge so many rows in succession together, too: small changes of many rows show that one row does not
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    batch: Option<u32>,
    /// Rows that the model has not seen, for p_density: instead of those that the model file remembers
    #[arg(long, value_name = "TABLE")]
    held_out: Option<PathBuf>,
    /// Draws of the model for p_typical
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    draws: u32,
    /// The decimal point of text is a comma
    #[arg(long)]
    decimal_comma: bool,
}

/// A probability that may be a threshold.
fn share(text: &str) -> std::result::Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| *value > 0.0 && *value <= 1.0).ok_or_else(|| "a number above 0, up to 1, is right".into())
}

/// What batches are compared with.
const BATCHES: usize = 10_000;

/// The figures of a row, in the order of their names.
struct Scored {
    figures: Vec<f64>,
    /// The smallest of its p-values.
    least: f64,
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let loaded = super::load(&super::model_at(&options.model)?, global)?;
    let model = loaded.freeze::<f64>();
    let dialect = Dialect { decimal: if options.decimal_comma { ',' } else { '.' }, ..Dialect::default() };
    let read = |path: &Path| Ok::<_, Error>(model.read_points(path, &dialect)?.values);
    let held_out = match &options.held_out {
        Some(path) => Reference::new(log_densities(&model, read(path)?)),
        None => Reference::new(loaded.held_out.clone()),
    };
    let rows = read(&options.rows)?;
    let stream = global.seed().stream("score");
    let draws = draws_beside(&model, &rows, options.draws as usize, &stream.child("draws"));
    let (draws, found) = (Reference::new(log_densities(&model, draws)), log_densities(&model, rows));
    if draws.is_empty() {
        return Err(Error::input(&options.model, "none of its draws has a log density: its weights are broken"));
    }
    if held_out.is_empty() && !global.quiet {
        say!("note: the model remembers no rows that it has not seen: p_density is left out (--held-out gives some)");
    }

    let mut names = vec!["row", "log_density"];
    names.extend((!held_out.is_empty()).then_some("p_density"));
    names.push("p_typical");
    let mut rows: Vec<Scored> = found
        .iter()
        .enumerate()
        .map(|(place, &log_density)| {
            // A model file remembers −∞ as the lowest number.
            let p_density = (!held_out.is_empty()).then(|| held_out.p_low(log_density.max(f64::MIN)));
            let p_typical = draws.p_two_sided(log_density);
            let mut figures = vec![(place + 1) as f64, log_density];
            figures.extend(p_density);
            figures.push(p_typical);
            Scored { figures, least: p_density.unwrap_or(1.0).min(p_typical) }
        })
        .collect();
    if let Some(size) = options.batch {
        names.extend(["batch", "p_batch"]);
        add_batches(&mut rows, &found, size as usize, |size| draws.of_batches(size, BATCHES, &stream.child("batches")));
    }
    let all = rows.len();
    let unusual = rows.iter().filter(|row| options.threshold.is_some_and(|threshold| row.least <= threshold)).count();
    let kept = choose(rows, options);
    write(&kept, &names, options, global, [all, held_out.len(), draws.len()])?;
    if let Some(threshold) = options.threshold.filter(|_| !global.quiet) {
        // Low densities count by one share or the other, high ones by half a share, for p_typical is two-sided; p_batch comes on top.
        let shares = if options.batch.is_some() { 2.5 } else { 1.5 };
        let expected = (shares * threshold).min(1.0) * all as f64;
        say!("{unusual} of {all} rows have a p-value of at most {threshold}; up to about {expected:.1} would if all were like those of the fit");
    }
    Ok(())
}

/// Adds to each row the number and the p-value of its batch; the last one may be smaller.
fn add_batches(rows: &mut [Scored], log_densities: &[f64], size: usize, of_size: impl Fn(usize) -> Reference) {
    let whole = of_size(size);
    for (batch, (rows, values)) in rows.chunks_mut(size).zip(log_densities.chunks(size)).enumerate() {
        let shorter = (values.len() < size).then(|| of_size(values.len()));
        let reference = shorter.as_ref().unwrap_or(&whole);
        let p = reference.p_two_sided(reference.mean(values));
        for row in rows {
            row.figures.extend([(batch + 1) as f64, p]);
            row.least = row.least.min(p);
        }
    }
}

/// The rows that were asked for; those of `--top` begin with the most unusual, of equal ones with that of the lowest density.
fn choose(mut rows: Vec<Scored>, options: &Options) -> Vec<Scored> {
    if let Some(threshold) = options.threshold {
        rows.retain(|row| row.least <= threshold);
    }
    if let Some(top) = options.top {
        let by_density = |a: &Scored, b: &Scored| a.figures[1].total_cmp(&b.figures[1]);
        rows.sort_by(|a, b| a.least.total_cmp(&b.least).then_with(|| by_density(a, b)));
        rows.truncate(top as usize);
    }
    rows
}

/// Writes the rows as CSV or an array, and as JSON on standard output where that is asked for.
fn write(rows: &[Scored], names: &[&str], options: &Options, global: &Global, counts: [usize; 3]) -> Result<()> {
    if options.output.is_some() || !global.json {
        let owned: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut writer = match &options.output {
            Some(path) => RowWriter::to_path(path, &owned, rows.len() as u64)?,
            None => {
                let header = Header { names: &owned, columns: None, beside: &[], rows: rows.len() as u64 };
                RowWriter::stream(Box::new(std::io::BufWriter::new(std::io::stdout())), &header, false)?
            }
        };
        for row in rows {
            writer.write_rows(&row.figures, names.len())?;
        }
        writer.finish()?;
    }
    if global.json {
        let of_row = |row: &Scored| -> Map<String, Value> {
            let whole = |name: &str| name == "row" || name == "batch";
            let number = |name: &str, value: f64| match whole(name) {
                true => Value::from(value as u64),
                false => Number::from_f64(value).map_or(Value::Null, Value::Number),
            };
            names.iter().zip(&row.figures).map(|(name, &value)| (name.to_string(), number(name, value))).collect()
        };
        let [all, held_out, draws] = counts;
        let scores: Vec<Map<String, Value>> = rows.iter().map(of_row).collect();
        let json = serde_json::json!({ "rows": all, "held_out": held_out, "draws": draws, "scores": scores });
        super::print(&format!("{json:#}\n"))?;
    }
    Ok(())
}
