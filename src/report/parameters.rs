//! The table of the parameters on the page.

use crate::picture::escaped;
use serde_json::Value;

/// Rows that are not folded away, and all rows that are written.
const SHOWN: usize = 40;
const MOST: usize = 400;

/// The table, or nothing where the run has none.
pub(super) fn table(record: &Value) -> Option<String> {
    let rows = record["parameters"].as_array().filter(|rows| !rows.is_empty())?;
    let (shown, folded) = rows.split_at(rows.len().min(SHOWN));
    let from = record["parameters_from"].as_str().unwrap_or("draws of the student");
    let mut out = format!(
        "<p class=\"soft\">By {}; ± MC is the Monte Carlo standard error of the mean.</p>{}",
        escaped(from),
        of_rows(shown)
    );
    if !folded.is_empty() {
        let left = &folded[..folded.len().min(MOST)];
        let rest = if left.len() < folded.len() { ", the others are in run.json" } else { "" };
        out.push_str(&format!("<details><summary>{} more{rest}</summary>{}</details>", left.len(), of_rows(left)));
    }
    Some(out)
}

fn of_rows(rows: &[Value]) -> String {
    let head = ["mean", "± MC", "sd", "5 %", "median", "95 %"];
    let head: String = head.iter().map(|name| format!("<th class=\"n\">{name}</th>")).collect();
    let body: String = rows.iter().map(row).collect();
    format!("<div class=\"wide\"><table class=\"parameters\"><thead><tr><th>parameter</th>{head}</tr></thead><tbody>{body}</tbody></table></div>")
}

fn row(of: &Value) -> String {
    let deviation = of["deviation"].as_f64().unwrap_or(f64::NAN);
    let quantiles = &of["quantiles"];
    let values = [&of["mean"], &of["standard_error"], &of["deviation"], &quantiles[0], &quantiles[1], &quantiles[2]];
    let cells = values.into_iter().enumerate().map(|(place, value)| match value.as_f64() {
        Some(number) => {
            let scale = if place == 1 { 10.0 * number } else { deviation };
            format!(
                "<td class=\"n\" data-value=\"{number}\">{}</td>",
                crate::evaluate::parameters::figures(number, scale)
            )
        }
        None => "<td class=\"n\">–</td>".into(),
    });
    let name = escaped(of["name"].as_str().unwrap_or(""));
    format!("<tr><th scope=\"row\">{name}</th>{}</tr>", cells.collect::<String>())
}
