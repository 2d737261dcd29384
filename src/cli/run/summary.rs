//! What a person at a terminal sees at the end of a run: the verdict, its reasons, the parameters, where the rest is.

use crate::evaluate::parameters::Parameter;
use crate::experiment::Record;
use std::fmt::Write;

/// Parameters that are shown.
const SHOWN: usize = 25;

/// The verdict first, the table of the parameters last; what is in the report besides is left to it.
pub fn summary(record: &Record) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    if let Some(judgement) = record.judgement() {
        let _ = writeln!(out, "Verdict: {}\n", judgement.verdict.words());
        judgement.reasons.iter().for_each(|reason| {
            let _ = writeln!(out, "- {reason}");
        });
    }
    let evaluations = record.evaluations.total();
    let asked = if evaluations > 0 { format!(", {evaluations} evaluations of the target") } else { String::new() };
    let _ = writeln!(out, "\n{}: {:.1} s{asked}", record.name, record.seconds);
    if !record.parameters.is_empty() {
        let shown = &record.parameters[..record.parameters.len().min(SHOWN)];
        let _ = write!(out, "\nBy {}:\n\n{}", record.parameters_from, in_line(&Parameter::to_markdown(shown)));
        if shown.len() < record.parameters.len() {
            let _ = writeln!(out, "{} more are in the report", record.parameters.len() - shown.len());
        }
    }
    out
}

/// A table in Markdown with its columns in line.
fn in_line(table: &str) -> String {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |place: usize| rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(place, (cell, width))| {
            let room = " ".repeat(width - cell.chars().count());
            if place == 0 {
                format!("{cell}{room}")
            } else {
                format!("{room}{cell}")
            }
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_in_line() {
        let table = "| parameter | mean |\n|---|---:|\n| mu | 1.25 |\n| a longer one | −10.5 |\n";
        assert_eq!(super::in_line(table), "parameter      mean\nmu             1.25\na longer one  −10.5\n");
    }
}
