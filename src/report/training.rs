//! How training went: loss, ESS and validation over the steps of every stage, from `metrics.jsonl`.

use super::marginals::number;
use crate::picture::{Axis, Frame, Svg};
use serde_json::Value;

/// What was recorded of one stage.
#[derive(Debug, Default)]
struct Course {
    name: String,
    loss: Vec<[f64; 2]>,
    ess: Vec<[f64; 2]>,
    validation: Vec<[f64; 2]>,
    steps: f64,
}

/// Points of a line, at most.
const POINTS: usize = 160;
/// Stages that are shown, the last ones.
const MOST: usize = 12;

fn courses(metrics: &str) -> Vec<Course> {
    let mut all: Vec<Course> = Vec::new();
    let mut before = f64::INFINITY;
    for line in metrics.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(stage), Some(step)) = (line["stage"].as_str(), line["step"].as_f64()) else { continue };
        if step <= before || all.last().is_none_or(|course| course.name != stage) {
            all.push(Course { name: stage.into(), ..Course::default() });
        }
        before = step;
        let Some(course) = all.last_mut() else { continue };
        course.steps = step;
        let of = |field: &str| line[field].as_f64().filter(|value| value.is_finite()).map(|value| [step, value]);
        course.loss.extend(of("loss"));
        course.ess.extend(of("ess"));
        // A score is the better the higher, a loss the lower.
        course.validation.extend(of("validation").map(|[step, score]| [step, -score]));
    }
    all
}

/// Means of neighbours, so that there are few enough.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let each = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[[f64; 2]], k: usize| part.iter().map(|point| point[k]).sum::<f64>() / part.len() as f64;
    points.chunks(each).map(|part| [mean(part, 0), mean(part, 1)]).collect()
}

/// From where the loss is of the size that it has for most of the time; what is before would leave no room for the rest.
fn settled(points: &[[f64; 2]]) -> usize {
    let mut later: Vec<f64> = points[points.len() / 4..].iter().map(|point| point[1]).collect();
    later.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (later.first(), later.last()) else { return 0 };
    let most = high + 3.0 * (high - low).max(1e-9 * high.abs());
    let least = low - 3.0 * (high - low).max(1e-9 * high.abs());
    let first = points.iter().position(|point| (least..=most).contains(&point[1])).unwrap_or(0);
    first.min(points.len() / 4)
}

/// A picture for each stage: its name, the picture and what is seen on it.
pub(super) fn pictures(metrics: &str) -> Vec<(String, Svg, String)> {
    let all = courses(metrics);
    let skipped = all.len().saturating_sub(MOST);
    all.iter().skip(skipped).filter(|course| !course.loss.is_empty()).map(picture).collect()
}

fn picture(course: &Course) -> (String, Svg, String) {
    let mut loss = thinned(&course.loss);
    let left_out = loss.split_off(settled(&loss).min(loss.len()));
    let (left_out, loss) = (loss, left_out);
    let has_ess = !course.ess.is_empty();
    let mut svg = Svg::new(372.0, if has_ess { 330.0 } else { 220.0 });
    svg.note("stage", &course.name);
    svg.note("steps", course.steps);
    let x = Axis::new(0.0, course.steps);
    let validation = thinned(&course.validation);
    let shown = loss.first().map_or(0.0, |point| point[0]);
    let validation: Vec<[f64; 2]> = validation.into_iter().filter(|point| point[0] >= shown).collect();
    let y = Axis::around(loss.iter().chain(&validation).map(|point| point[1]));
    svg.note("y-range", format!("{} {}", y.low, y.high));
    let frame = Frame::new(x, y, [64.0, 10.0], [290.0, 160.0]);
    frame.draw_y(&mut svg, 5, "loss, nats");
    let place = |points: &[[f64; 2]], frame: &Frame| points.iter().map(|[x, y]| frame.at(*x, *y)).collect::<Vec<_>>();
    svg.path("ring loss", &[place(&loss, &frame)], false);
    svg.path("ring validation", &[place(&validation, &frame)], false);
    // One point makes no line.
    if let [[x, y]] = place(&validation, &frame)[..] {
        svg.rect("dot validation", [x - 2.5, y - 2.5], [5.0, 5.0], "");
    }
    frame.draw_box(&mut svg);
    let mut words = match loss.last() {
        Some(last) => format!("Loss (solid), {} nats at the end", number(last[1])),
        None => String::new(),
    };
    if let Some(last) = course.validation.last() {
        let drawn = if validation.len() == 1 { "the square" } else { "dashed" };
        words.push_str(&format!("; by rows for validation ({drawn}) {}", number(last[1])));
    }
    if let Some(first) = left_out.first() {
        words.push_str(&format!("; it began at {}, above what is shown", number(first[1])));
    }
    if has_ess {
        let frame = Frame::new(x, Axis::new(0.0, 1.0), [64.0, 190.0], [290.0, 90.0]);
        frame.draw_y(&mut svg, 2, "ESS/N");
        svg.path("ring ess", &[place(&thinned(&course.ess), &frame)], false);
        frame.draw_box(&mut svg);
        frame.draw_x(&mut svg, 5, "step");
        if let Some(last) = thinned(&course.ess).last() {
            words.push_str(&format!(". ESS/N of the batches, below, comes to {:.3}", last[1]));
        }
    } else {
        frame.draw_x(&mut svg, 5, "step");
    }
    words.push('.');
    (course.name.clone(), svg, words)
}
