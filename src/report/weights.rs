//! How uneven the weights of the student's draws are: a histogram with the Pareto tail that was fitted to it.

use crate::picture::{Axis, Frame, Svg};
use serde_json::Value;

/// The picture of `weights` of `run.json` with what is seen on it, if the run has them.
pub(super) fn picture(record: &Value) -> Option<(Svg, String)> {
    let of = &record["weights"];
    let counts: Vec<f64> = of["counts"].as_array()?.iter().map(|count| count.as_f64().unwrap_or(0.0)).collect();
    let (low, high) = (of["low"].as_f64()?, of["high"].as_f64()?);
    let most = counts.iter().copied().fold(1.0, f64::max);
    let mut svg = Svg::new(372.0, 250.0);
    let (x, y) = (Axis::new(low, high), Axis::powers(0.6, most));
    let frame = Frame::new(x, y, [64.0, 12.0], [290.0, 190.0]);
    frame.draw_y(&mut svg, 6, "draws");
    let width = (high - low) / counts.len() as f64;
    let from = of["tail"]["from"].as_f64();
    let floor = frame.y.at(0.0);
    for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let (left, top) = (low + bin as f64 * width, frame.y.at(*count));
        let in_tail = from.is_some_and(|from| left + 0.5 * width > from);
        let class = if in_tail { "bar tail" } else { "bar" };
        let place = frame.x.at(left);
        let size = [frame.x.at(left + width) - place - 0.5, floor - top];
        svg.rect(class, [place, top], size, &format!(" data-count=\"{count}\""));
    }
    let mut line = Vec::new();
    for (bin, expected) in of["tail"]["expected"].as_array().into_iter().flatten().enumerate() {
        if let Some(expected) = expected.as_f64().filter(|expected| *expected >= 0.6) {
            line.push(frame.at(low + (bin as f64 + 0.5) * width, expected));
        }
    }
    svg.path("curve", &[line], false);
    frame.draw_box(&mut svg);
    frame.draw_x(&mut svg, 5, "log weight, nats above that of the mean");
    let draws = of["draws"].as_u64().unwrap_or(0);
    let zero = of["zero"].as_u64().unwrap_or(0);
    svg.note("draws", draws);
    svg.note("zero", zero);
    let figures = &record["certificate"]["figures"];
    let mut words = format!("The closer together, the better: {draws} draws");
    if let Some(ess) = figures["ess"].as_f64() {
        svg.note("ess", ess);
        words.push_str(&format!(" are worth {:.0} of the target's own (ESS/N {ess:.4})", ess * draws as f64));
    }
    if let Some(k_hat) = figures["k_hat"].as_f64() {
        svg.note("k-hat", k_hat);
        let sound =
            if k_hat < 0.7 { "below 0.7, as it should be" } else { "above 0.7: a few draws decide every average" };
        words.push_str(&format!(
            ". The tail of the largest weights, in another colour, has the Pareto index {k_hat:.2}, {sound}; the line is that tail"
        ));
    }
    if zero > 0 {
        words.push_str(&format!(". {zero} draws have no weight at all"));
    }
    words.push('.');
    Some((svg, words))
}
