//! Findings in words: what was found, and what to do.

use super::finding::{Finding, Kind, Outlier};
use crate::data::Grid;

/// Values that are named of many.
const LISTED: usize = 3;

impl Finding {
    /// What was found and by how much, in one line in the names and units of the table.
    pub fn words(&self) -> String {
        match &self.kind {
            Kind::FewRows { rows, columns } if rows <= columns => {
                format!("{rows} rows and {columns} columns: no more rows than columns")
            }
            Kind::FewRows { rows, columns } => {
                format!("{rows} rows and {columns} columns: {:.0} rows for each column", *rows as f64 / *columns as f64)
            }
            Kind::Constant { column, value } => format!("`{column}` is {} in every row", number(*value)),
            Kind::Equal { column, other } => format!("`{column}` equals `{other}` in every row"),
            Kind::Dependent { column, on, intercept, unexplained, exact, exceptions } => {
                let sum = combination(on, *intercept);
                match (exact, exceptions) {
                    (true, 0) => format!("`{column}` is {sum} in every row"),
                    (true, _) => format!("`{column}` is {sum} in every row but {exceptions}"),
                    (false, _) => format!("`{column}` is {sum} but for {} of its variance", share(*unexplained)),
                }
            }
            Kind::Function { column, of, roughness } => {
                let off = format!("off a smooth curve by {} of its spread", share(*roughness));
                let nearly = if self.redundant().is_some() { "" } else { "nearly " };
                format!("`{column}` is {nearly}a function of `{of}` ({off})")
            }
            Kind::Spikes { column, values, rows, .. } => {
                let one = |&(value, of_all): &(f64, f64)| format!("{} in {} of the rows", number(value), share(of_all));
                let (listed, more): (Vec<String>, _) =
                    (values.iter().take(LISTED).map(one).collect(), values.len() > LISTED);
                let more = if more { format!(" and {} values more", values.len() - LISTED) } else { String::new() };
                let name = if values.len() == 1 { "a spike" } else { "spikes" };
                format!("`{column}` is exactly {}{more} ({rows} rows): {name}", listed.join(", "))
            }
            Kind::FewValues { column, values } => {
                let listed: Vec<String> = values.iter().take(2 * LISTED).map(|&value| number(value)).collect();
                let more = if values.len() > listed.len() { ", …" } else { "" };
                format!("`{column}` takes {} values only: {}{more}", values.len(), listed.join(", "))
            }
            Kind::Code { column, value, rows, others } => {
                let [low, high] = others.map(number);
                format!("`{column}` is {} in {rows} rows, far outside the others ({low} to {high})", number(*value))
            }
            Kind::Outliers { rows, values, left_out } => outliers(*rows, values) + &without(*left_out),
            Kind::JointOutliers { rows, first, left_out } => {
                let listed =
                    first.iter().map(|(row, times)| format!("row {row} ({} times as far out)", number(round(*times))));
                let listed: Vec<String> = listed.collect();
                let more =
                    if *rows > first.len() { format!(" and {} more", rows - first.len()) } else { String::new() };
                let without = without(*left_out);
                format!("far from all others, though each value is ordinary: {}{more}{without}", listed.join(", "))
            }
            Kind::Repeated { rows, share: of_all } => {
                format!("{rows} rows ({}) repeat an earlier one in every column", share(*of_all))
            }
            Kind::Bound { column, low, high, outside, on_bound } => {
                let ends = match (low, high) {
                    (Some(low), Some(high)) => format!("stays between {} and {}", number(*low), number(*high)),
                    (Some(low), None) => format!("stays above {}", number(*low)),
                    (None, Some(high)) => format!("stays below {}", number(*high)),
                    (None, None) => "is bounded".into(),
                };
                let on = if *on_bound > 0 { format!("; {on_bound} rows are exactly on it") } else { String::new() };
                format!(
                    "`{column}` {ends} with mass at the edge: without a link about {} of the draws are outside{on}",
                    share(*outside)
                )
            }
            Kind::OnGrid { columns, fine } => {
                let one = |(name, grid): &(String, Grid)| format!("`{name}` (step {})", number(grid.step));
                let listed: Vec<String> = columns.iter().map(one).collect();
                let lie = if listed.len() == 1 { "lies on a grid" } else { "lie on grids" };
                let comb =
                    if *fine { "draws will lie between the places" } else { "a fit without dither finds a comb" };
                format!("{} {lie}: {comb}", listed.join(", "))
            }
            Kind::WholeNumbers { columns } => {
                let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
                let hold = if names.len() == 1 { "holds" } else { "hold" };
                format!("{} {hold} whole numbers", names.join(", "))
            }
        }
    }

    /// What to do, in one line.
    pub fn advice(&self) -> String {
        if let (Some(column), Some(afterwards)) = (self.redundant(), self.afterwards()) {
            return format!("leave `{column}` out (`columns: […]`), and {afterwards}: it has no density beside them");
        }
        match &self.kind {
            Kind::FewRows { rows, columns } if rows <= columns => {
                "a density of so many columns cannot be learnt from them: take fewer columns (`columns: […]`) or more rows".into()
            }
            Kind::FewRows { .. } => "expect a rough fit: more rows, fewer columns, or a smaller flow".into(),
            Kind::Constant { column, .. } | Kind::Equal { column, .. } => format!("leave `{column}` out"),
            Kind::Dependent { column, .. } => {
                format!("leave `{column}` out, or put its difference from that sum in its place: it is too sharp to fit well")
            }
            Kind::Function { column, .. } => {
                format!("leave `{column}` out, or put its distance from that curve in its place: it is too sharp to fit well")
            }
            Kind::Spikes { column, values, edge, .. } => {
                let these = if values.len() == 1 { number(values[0].0) } else { "any of these".into() };
                let perhaps = if *edge { " (a limit of measurement, or a code for what is missing?)" } else { "" };
                format!(
                    "fit a table of the rows where `{column}` is not {these}{perhaps}, and one without `{column}` of the others; \
                     draw from each by its share"
                )
            }
            Kind::FewValues { column, .. } => format!(
                "if they are names, `categories: [{column:?}]`; else fit a table of each value's rows without it"
            ),
            Kind::Code { column, value, .. } => {
                let value = number(*value);
                format!("if {value} stands for a missing value of `{column}`, write NA in its place, and `missing: Drop`")
            }
            Kind::Outliers { .. } | Kind::JointOutliers { .. } => {
                "correct or remove them in the file if they are mistakes".into()
            }
            Kind::Repeated { .. } => {
                "rows that are fitted may be tested on as well: take each once, unless it was really seen so often".into()
            }
            Kind::Bound { column, low, high, on_bound, .. } => match (transform(column, *low, *high), on_bound) {
                (Some(transform), 0) => format!("`transforms: [{transform}]`"),
                (Some(transform), _) => format!(
                    "no link can take a value on its bound: leave these rows out, or move them inside by less than you \
                     measure; then `transforms: [{transform}]`"
                ),
                (None, _) => format!("put its distance below the bound in the place of `{column}`, with `Log`"),
            },
            Kind::OnGrid { .. } => {
                "`grids: Auto`, the default without a target, dithers them for the fit and draws back onto the places".into()
            }
            Kind::WholeNumbers { columns } => format!("`integers: {columns:?}` dithers them for the fit"),
        }
    }

    /// What to do with the draws where a redundant column was left out.
    pub fn afterwards(&self) -> Option<String> {
        match &self.kind {
            Kind::Constant { .. } => Some("write its value beside the draws".into()),
            Kind::Equal { other, .. } => Some(format!("copy `{other}` in the draws")),
            Kind::Dependent { exact: true, .. } => Some("compute it in the draws".into()),
            Kind::Function { of, .. } => Some(format!("compute it from `{of}` in the draws")),
            _ => None,
        }
    }

    /// The entry of `transforms` that the finding asks for and that can be used with the table as it is.
    pub fn transform(&self) -> Option<String> {
        match &self.kind {
            Kind::Bound { column, low, high, on_bound: 0, .. } => transform(column, *low, *high),
            _ => None,
        }
    }
}

/// The link of a column between these bounds, as it is written in an experiment.
fn transform(column: &str, low: Option<f64>, high: Option<f64>) -> Option<String> {
    match (low, high) {
        (Some(low), None) => Some(format!("Log(column: {column:?}, above: {})", literal(low))),
        (Some(low), Some(high)) => {
            Some(format!("Logit(column: {column:?}, low: {}, high: {})", literal(low), literal(high)))
        }
        _ => None,
    }
}

/// A number as an experiment has it.
fn literal(value: f64) -> String {
    format!("{value:?}")
}

/// How rows are counted where some were left out.
fn without(left_out: usize) -> String {
    if left_out > 0 {
        format!(" (counted without the {left_out} rows that were left out)")
    } else {
        String::new()
    }
}

/// Rows with the values that are far out.
fn outliers(rows: usize, values: &[Outlier]) -> String {
    let by_row = values.chunk_by(|a, b| a.row == b.row).map(|values| {
        let each = |outlier: &Outlier| {
            let [low, high] = outlier.others.map(number);
            format!("`{}` is {} (others {low} to {high})", outlier.column, number(outlier.value))
        };
        let (listed, more): (Vec<String>, usize) =
            (values.iter().take(LISTED).map(each).collect(), values.len().max(LISTED) - LISTED);
        let more = if more > 0 { format!(" and {more} columns more") } else { String::new() };
        format!("row {}: {}{more}", values[0].row, listed.join(", "))
    });
    let listed: Vec<String> = by_row.collect();
    let more = if rows > listed.len() { format!("; and {} rows more", rows - listed.len()) } else { String::new() };
    format!("far outside: {}{more}", listed.join("; "))
}

/// A linear combination.
fn combination(on: &[(String, f64)], intercept: f64) -> String {
    let mut text = String::new();
    for (i, (name, coefficient)) in on.iter().enumerate() {
        let sign = match (i, *coefficient < 0.0) {
            (0, false) => "",
            (0, true) => "−",
            (_, false) => " + ",
            (_, true) => " − ",
        };
        let size = coefficient.abs();
        let times = if size == 1.0 { String::new() } else { format!("{} ", number(size)) };
        text.push_str(&format!("{sign}{times}`{name}`"));
    }
    match intercept {
        0.0 => text,
        below if below < 0.0 => format!("{text} − {}", number(-below)),
        above => format!("{text} + {}", number(above)),
    }
}

/// Two digits.
fn round(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// A share in per cent.
fn share(value: f64) -> String {
    let percent = 100.0 * value;
    if percent >= 10.0 {
        format!("{percent:.0} %")
    } else if percent >= 0.01 {
        format!("{} %", round(percent))
    } else {
        format!("{percent:.0e} %")
    }
}

/// A number as it was written where that is short, else with five digits.
pub(super) fn number(value: f64) -> String {
    let (exact, size) = (format!("{value}"), value.abs());
    if exact.len() <= 9 {
        return exact.replace('-', "−");
    }
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    let text = if (1e-4..1e9).contains(&size) { format!("{rounded}") } else { format!("{rounded:e}") };
    text.replace('-', "−")
}
