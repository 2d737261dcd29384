//! The experiment that `flowdistill new --data` writes: what a look at the table asks for, and why, in comments.

use crate::data::look::{look, Finding, Kind, Known, Severity};
use crate::data::{grid_of, read_text, Column, CsvOptions, Dialect, Format, Grid, Kind as Of, Table};
use crate::error::{Error, Result};
use crate::experiment::DefaultFit;
use crate::train::Settings;
use std::path::{Path, PathBuf};

/// The text of an experiment called `name` that is to be `file`, for the table at `path`. It runs as it is.
pub(super) fn for_data(name: &str, path: &Path, file: &Path) -> Result<String> {
    let any = Any::read(path)?;
    let start = Start::of(&any);
    if start.columns.is_empty() {
        return Err(Error::input(
            path,
            "has no column of numbers, days or few words that varies; at least one is right",
        ));
    }
    let Start { columns, coordinates, of_words, integers, transforms, remarks, left_out, links } = start;
    let (columns, integers) = (quoted(&columns), quoted(&integers));
    let path = path_from(path, file)?;
    let fit = DefaultFit::of(any.table.len() * 8 / 10, coordinates);
    let DefaultFit { layers, hidden, bins, limit, .. } = &fit;
    let training = |of: &Settings| format!("steps: {}, batch: {}, rate: (peak: {})", of.steps, of.batch, of.rate.peak);
    let of = &fit.likelihood;
    let likelihood = format!("{}, validate_every: {}, patience: {}", training(of), of.validate_every, of.patience);
    let distillation = training(&fit.distillation);
    let ess = fit.distillation.until.map_or(0.98, |until| until.ess);
    let header = if any.has_header { "" } else { ", header: false" };
    Ok(format!(
        r#"// A density of your data: a teacher is fitted by maximum likelihood, a student learns to draw from it in one pass.
(
    version: 1,
    name: {name:?},  // the run's folder under runs/
    seed: 1,
    data: (
{remarks}{left_out}        source: Csv(path: {path:?}{header}, columns: [{columns}]),
{of_words}        // Columns of whole numbers: dithered for the fit, drawn back onto them by `sample`. Other grids are found out.
        integers: [{integers}],
{links}        transforms: [{transforms}],
        validation: 0.1,  // share of the rows that decides when to stop
        test: 0.1,        // share of the rows that is only reported
        standardise: true,
    ),
    // Sizes that suit the table; without `teacher`, `student` and `stages` they are found when it is read.
    teacher: (layers: {layers}, hidden: {hidden:?}, activation: Silu, transformer: Spline(bins: {bins}, limit: {limit:?})),
    student: LikeTeacher,
    stages: [
        // Ends early when the validation rows become no more likely.
        MaximumLikelihood({likelihood}),
        // Draws of the teacher are exact and cheap, and show the student every part of it. Ends early when it is good enough.
        ForwardKl(against: Teacher, training: ({distillation}, until: (ess: {ess}))),
    ],
    evaluation: (draws: 100000, compare: true),
)
"#
    ))
}

/// A table of which nothing is known.
struct Any {
    table: Table,
    columns: Vec<Column>,
    has_header: bool,
}

impl Any {
    /// Reads a text table of any columns: text is taken as words, and as days where all of it is.
    fn read(path: &Path) -> Result<Self> {
        if Format::of(path)? != Format::Text {
            return Err(Error::input(
                path,
                "is an array, which has no names; a text table is right (`Npy` reads arrays)",
            ));
        }
        let read = |header| {
            let dialect = Dialect { header, ..Dialect::default() };
            read_text(path, &CsvOptions { dialect, any_text: true, ..CsvOptions::default() })
        };
        let (text, has_header) = match read(None) {
            // Nothing but numbers in the first line: a row, unless they count the columns, as some programs number them. What else is wrong
            // is said.
            Err(_)
                if read(Some(false)).is_ok_and(|text| {
                    let counts = text.table.row(0).iter().zip(0..).all(|(x, i)| *x == f64::from(i));
                    text.columns.0.iter().all(|column| column.kind == Of::Real) && !counts
                }) =>
            {
                (read(Some(false))?, false)
            }
            read => (read?, true),
        };
        Ok(Self { table: text.table, columns: text.columns.0, has_header })
    }

    /// Whether column `i` has words that are no categories: too many, or only one.
    fn is_text(&self, i: usize) -> bool {
        let Of::Categories { words } = &self.columns[i].kind else { return false };
        !(2..=MOST_CATEGORIES.min(self.table.len() / 10)).contains(&words.len())
    }

    fn values(&self, i: usize) -> Vec<f64> {
        self.table.values.iter().skip(i).step_by(self.table.dim()).copied().collect()
    }
}

/// Columns of more words are left out of a first experiment: each has a coordinate.
const MOST_CATEGORIES: usize = 20;

/// What the table asks for.
struct Start {
    columns: Vec<String>,
    /// How many coordinates they have.
    coordinates: usize,
    /// The fields `categories` and `dates`, where they are needed.
    of_words: String,
    integers: Vec<String>,
    /// The entries of `transforms`.
    transforms: String,
    /// Lines of comment: what the user should know, what was left out, and which columns have bounds.
    remarks: String,
    left_out: String,
    links: String,
}

impl Start {
    fn of(any: &Any) -> Self {
        let dim = any.table.dim();
        let numbers: Vec<usize> = (0..dim).filter(|&i| any.columns[i].kind == Of::Real).collect();
        // Steps of 5 are found out when the experiment is read, and so are those of 0.1.
        let grid = |&i: &usize| {
            let values = any.values(i);
            let whole = values.iter().all(|value| value.fract() == 0.0).then_some(Grid::WHOLE);
            grid_of(&values).or(whole)
        };
        let grids: Vec<Option<Grid>> = numbers.iter().map(grid).collect();
        let found = if numbers.is_empty() {
            Vec::new()
        } else {
            look(&any.table.columns(&numbers), &Known { grids: grids.clone(), ..Known::default() })
        };
        let redundant: Vec<&str> = found.iter().filter_map(Finding::redundant).collect();
        let names = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
            let kept = (0..dim).filter(|&i| wanted(i) && !redundant.contains(&any.table.names[i].as_str()));
            kept.map(|i| any.table.names[i].clone()).collect()
        };
        let (mut remarks, mut left_out, mut links) = (String::new(), String::new(), String::new());
        for finding in &found {
            if finding.redundant().is_some() {
                let afterwards = finding.afterwards().map_or(String::new(), |afterwards| format!("; {afterwards}"));
                left_out += &comment(&format!("left out: {}{afterwards}", finding.words()));
            } else if finding.transform().is_some() {
                links += &comment(&finding.words());
            } else {
                remarks += &comment(&remark(finding));
            }
        }
        let text = names(&|i| any.is_text(i));
        if !text.is_empty() {
            left_out += &comment(&format!("left out for too many or too few different texts: {}", quoted(&text)));
        }
        if links.is_empty() {
            links = comment("Columns that stay above a bound or between two, `Log(column: …)` or `Logit(column: …)`: none was seen.");
        }
        let field = |name: &str, why: &str, names: Vec<String>| match names.is_empty() {
            true => String::new(),
            false => format!("        {name}: [{}],  // {why}\n", quoted(&names)),
        };
        let is_words = |i: usize| matches!(any.columns[i].kind, Of::Categories { .. }) && !any.is_text(i);
        let on_whole =
            |i: usize| numbers.iter().position(|&at| at == i).is_some_and(|at| grids[at] == Some(Grid::WHOLE));
        let columns = names(&|i| !any.is_text(i));
        let taken = any.columns.iter().filter(|column| columns.contains(&column.name));
        Self {
            coordinates: taken.map(|column| column.kind.coordinates()).sum(),
            columns,
            of_words: field("categories", "words, drawn as such", names(&is_words))
                + &field("dates", "days, drawn as such", names(&|i| any.columns[i].kind == Of::Days)),
            integers: names(&on_whole),
            transforms: found.iter().filter_map(Finding::transform).collect::<Vec<_>>().join(", "),
            remarks,
            left_out,
            links,
        }
    }
}

/// What was found and what the user can do about it.
fn remark(finding: &Finding) -> String {
    let stays = match finding.kind {
        Kind::Outliers { .. } | Kind::JointOutliers { .. } => "they stay in; ",
        _ => "",
    };
    let head = if finding.severity == Severity::Warning { "Note well: " } else { "" };
    format!("{head}{}; {stays}{}", finding.words(), finding.advice())
}

/// A line of comment. Names may hold breaks of lines.
fn comment(text: &str) -> String {
    format!("        // {}\n", text.replace(|c: char| c.is_control(), " "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// The table's path as `file` has it: relative where they lie side by side, else from the root.
fn path_from(table: &Path, file: &Path) -> Result<PathBuf> {
    let folder = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
    if folder(table) == folder(file) {
        Ok(table.file_name().map(PathBuf::from).unwrap_or_default())
    } else {
        table.canonicalize().map_err(|error| Error::input(table, error))
    }
}
