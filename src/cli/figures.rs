//! Tables of runs: what each has come to by its own record, for people and for programs.

use crate::error::{Error, Result};
use crate::evaluate::throughput::rounded;
use crate::shown;
use serde_json::{json, Map, Value};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns that are in line
    Text,
    /// Comma-separated values
    Csv,
    /// A list of objects
    Json,
    /// A table in Markdown
    Markdown,
}

/// The longest record of a run that is read.
pub const LARGEST_RECORD: u64 = 1 << 28;

/// How the names of standard errors end.
const ERROR: &str = "_se";

/// What people call figures whose names say less.
const HEADS: [(&str, &str); 7] = [
    ("ess", "ESS/N"),
    ("log_z", "log Z"),
    ("test_log_prob", "test log density"),
    ("total_variation", "total variation"),
    ("value_evaluations", "evaluations of values"),
    ("gradient_evaluations", "evaluations of gradients"),
    ("draws_per_second", "draws/s"),
];

/// A figure of a record, `null` where it has none.
pub fn figure(record: &Value, name: &str) -> Value {
    let (student, teacher) = (&record["scores"]["student"], &record["scores"]["teacher"]);
    let asked = &record["target_evaluations"];
    match name {
        "ess" | "log_z" | "log_z_se" => student[name].clone(),
        "test_log_prob" | "test_log_prob_se" => teacher[name].clone(),
        "total_variation" => record["certificate"]["figures"]["total_variation"].clone(),
        "value_evaluations" => asked["values"].clone(),
        "gradient_evaluations" => asked["gradients"].clone(),
        "evaluations" => {
            let both = asked["values"].as_u64().zip(asked["gradients"].as_u64());
            json!(both.map(|(values, gradients)| values + gradients))
        }
        "draws_per_second" => {
            let rows = record["throughput"].as_array().map_or(&[][..], Vec::as_slice);
            let rate = |model: &str| {
                let of = rows.iter().filter(|row| row["model"] == model);
                of.filter_map(|row| row[name].as_f64()).max_by(f64::total_cmp)
            };
            json!(rate("student").or(rate("teacher")))
        }
        _ => record[name].clone(),
    }
}

/// Runs with their figures.
pub struct Figures {
    /// The columns.
    pub names: Vec<String>,
    /// The values of each run, and what else there is to say of it.
    pub rows: Vec<Map<String, Value>>,
}

impl Figures {
    /// The table as a text.
    ///
    /// # Errors
    /// If it cannot be written as CSV.
    pub fn written(&self, format: Format) -> Result<String> {
        match format {
            Format::Text => Ok(self.text()),
            Format::Csv => self.csv(),
            Format::Json => Ok(self.json()),
            Format::Markdown => Ok(self.markdown()),
        }
    }

    /// A list of objects.
    fn json(&self) -> String {
        format!("{:#}\n", Value::from(self.rows.iter().cloned().map(Value::Object).collect::<Vec<_>>()))
    }

    fn csv(&self) -> Result<String> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(&self.names).map_err(Error::invalid)?;
        for row in &self.rows {
            let cell = |name: &String| match &row[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            csv.write_record(self.names.iter().map(cell)).map_err(Error::invalid)?;
        }
        String::from_utf8(csv.into_inner().map_err(Error::invalid)?).map_err(Error::invalid)
    }

    /// Heads and cells for people: without columns that no run has anything for, and each value with its standard error.
    fn words(&self) -> Vec<Vec<String>> {
        let there = |name: &&String| !name.ends_with(ERROR) && self.rows.iter().any(|row| !row[*name].is_null());
        let names: Vec<&String> = self.names.iter().filter(there).collect();
        let head = |name: &&String| {
            let known = HEADS.iter().find(|(known, _)| known == name);
            known.map_or_else(|| name.replace('_', " "), |(_, head)| (*head).into())
        };
        let cell = |row: &Map<String, Value>, name: &str| {
            let error = row.get(&format!("{name}{ERROR}")).filter(|error| error.is_f64());
            let error = error.map_or_else(String::new, |error| format!(" ± {}", word(name, error)));
            format!("{}{error}", word(name, &row[name]))
        };
        let cells = |row: &Map<String, Value>| names.iter().map(|name| cell(row, name)).collect();
        std::iter::once(names.iter().map(head).collect()).chain(self.rows.iter().map(cells)).collect()
    }

    fn markdown(&self) -> String {
        let mut lines = self.words().into_iter();
        let line = |row: Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let head = lines.next().unwrap_or_default();
        let rule = format!("|{}\n", "---|".repeat(head.len()));
        line(head) + &rule + &lines.map(line).collect::<String>()
    }

    fn text(&self) -> String {
        let all = self.words();
        let columns = all.first().map_or(0, Vec::len);
        let width = |place: usize| all.iter().map(|row| shown::columns(&row[place])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cell = |(cell, width): (&String, &usize)| format!("{cell}{}", " ".repeat(width - shown::columns(cell)));
            let cells: Vec<String> = row.iter().zip(&widths).map(cell).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        all.iter().map(line).collect()
    }
}

/// A value for people.
fn word(name: &str, value: &Value) -> String {
    match (value, value.as_f64()) {
        (Value::Null, _) => "–".into(),
        // Names of folders, and what a sweep has set, are shown as they are.
        (Value::String(text), _) if name == "verdict" => shown::text(text).replace('_', " "),
        (Value::String(text), _) => shown::text(text),
        (Value::Number(number), Some(value)) if number.is_f64() => match name {
            "seconds" => format!("{value:.1}"),
            "draws_per_second" => format!("{:.0}", rounded(value)),
            _ => format!("{value:.4}"),
        },
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_there_is_and_programs_see_all() {
        let record = json!({
            "verdict": "not_trusted", "seconds": 1.26, "target_evaluations": { "values": 3, "gradients": 4 },
            "scores": { "student": { "ess": 0.51234, "log_z": -1.0, "log_z_se": 0.25 } },
            "throughput": [{ "model": "teacher", "draws_per_second": 123_456.7 }],
        });
        let names =
            ["run", "verdict", "log_z", "log_z_se", "total_variation", "evaluations", "draws_per_second", "seconds"];
        let row = |run: &str, record: &Value| {
            let mut row: Map<String, Value> =
                names.iter().map(|name| (name.to_string(), figure(record, name))).collect();
            row["run"] = json!(run);
            row
        };
        let rows = vec![row("a|b_c", &record), row("日", &Value::Null)];
        let table = Figures { names: names.map(String::from).into(), rows };
        assert_eq!(
            table.written(Format::Text).expect("a text"),
            "run    verdict      log Z             evaluations  draws/s  seconds\n\
             a|b_c  not trusted  -1.0000 ± 0.2500  7            123000   1.3\n\
             日     –            –                 –            –        –\n"
        );
        let markdown = table.written(Format::Markdown).expect("a text");
        assert!(
            markdown.starts_with("| run | verdict | log Z | evaluations | draws/s | seconds |\n|---|"),
            "{markdown}"
        );
        assert!(markdown.contains("| a\\|b_c | not trusted |"), "{markdown}");
        let csv = table.written(Format::Csv).expect("a text");
        assert!(csv.ends_with("a|b_c,not_trusted,-1.0,0.25,,7,123456.7,1.26\n日,,,,,,,\n"), "{csv}");
        let list: Value = serde_json::from_str(&table.written(Format::Json).expect("a text")).expect("JSON");
        assert!(list[0]["evaluations"] == 7 && list[1]["total_variation"].is_null());
    }
}
