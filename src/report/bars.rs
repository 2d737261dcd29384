//! Masses of modes as bars, and speeds as lines over the size of a batch.

use crate::picture::{Axis, Frame, Svg};
use serde_json::Value;

/// Modes that are shown, the heaviest.
const MOST: usize = 40;

/// A bar for each mode.
pub(super) fn modes(record: &Value) -> Option<(Svg, String)> {
    let list = record["modes"].as_array().filter(|list| list.len() > 1)?;
    let mut all: Vec<(String, f64)> = list
        .iter()
        .map(|mode| {
            let point = mode["point"].as_array().map_or(&[][..], Vec::as_slice);
            let at: Vec<String> =
                point.iter().take(3).map(|x| super::marginals::number(x.as_f64().unwrap_or(f64::NAN))).collect();
            let more = if point.len() > 3 { ", …" } else { "" };
            (format!("{}{more}", at.join(", ")), mode["mass"].as_f64().unwrap_or(0.0))
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let shown = all.len().min(MOST);
    let most = all.first().map_or(1.0, |mode| mode.1).max(1e-12);
    let row = 17.0;
    let mut svg = Svg::new(360.0, 14.0 + row * shown as f64);
    for (place, (at, mass)) in all.iter().take(MOST).enumerate() {
        let y = 6.0 + row * place as f64;
        svg.text("small", [134.0, y + 11.0], "end", at);
        let length = 170.0 * mass / most;
        svg.rect("bar", [140.0, y + 1.0], [length, row - 4.0], &format!(" data-mass=\"{mass}\""));
        svg.text("small", [146.0 + length, y + 11.0], "start", &format!("{mass:.4}"));
    }
    let words = if all.len() > MOST { format!("The {MOST} heaviest of {}.", all.len()) } else { String::new() };
    Some((svg, words))
}

/// Draws per second of every model and method.
pub(super) fn speeds(record: &Value) -> Option<(Svg, String)> {
    let rows: Vec<(String, f64, f64)> = record["throughput"]
        .as_array()?
        .iter()
        .filter_map(|row| {
            let name = format!("{}, {}", row["model"].as_str()?, row["method"].as_str()?);
            Some((name, row["batch"].as_f64()?, row["draws_per_second"].as_f64()?))
        })
        .collect();
    let mut names: Vec<&String> = rows.iter().map(|row| &row.0).collect();
    names.dedup();
    let of = |k: usize| rows.iter().map(move |row| [row.1, row.2][k]);
    let ends = |k: usize| (of(k).fold(f64::INFINITY, f64::min), of(k).fold(0.0, f64::max));
    if rows.is_empty() {
        return None;
    }
    let ((few, many), (slow, fast)) = (ends(0), ends(1));
    let mut svg = Svg::new(372.0, 250.0 + 16.0 * names.len() as f64);
    let frame = Frame::new(Axis::powers(few, many), Axis::powers(slow, fast), [64.0, 12.0], [290.0, 190.0]);
    frame.draw_y(&mut svg, 6, "draws per second");
    for (place, name) in names.iter().enumerate() {
        let points: Vec<[f64; 2]> =
            rows.iter().filter(|row| row.0 == **name).map(|row| frame.at(row.1, row.2)).collect();
        let class = format!("ring series s{place}");
        for row in rows.iter().filter(|row| row.0 == **name) {
            let [x, y] = frame.at(row.1, row.2);
            let notes = format!(" data-batch=\"{}\" data-rate=\"{}\"", row.1, row.2);
            svg.rect(&format!("dot s{place}"), [x - 2.5, y - 2.5], [5.0, 5.0], &notes);
        }
        svg.path(&class, &[points], false);
        let y = 250.0 + 16.0 * place as f64;
        svg.line(&class, [58.0, y], [82.0, y]);
        svg.text("small", [88.0, y + 4.0], "start", name);
    }
    frame.draw_box(&mut svg);
    frame.draw_x(&mut svg, 6, "draws in a batch");
    Some((svg, "Higher is faster; both axes in powers of ten.".into()))
}
