//! Columns by themselves: what is right as a surface, models as lines, and the deviation of the worst one shaded.

use super::looks::{Looks, Sample, Who};
use super::worst::{Worst, LITTLE};
use crate::picture::{Axis, Bins, Frame, Svg};

/// Bins of a column.
const BINS: usize = 60;
/// The width of the kernel, in bins.
const SMOOTH: f64 = 1.2;
/// Pictures of columns, at most.
const MOST: usize = 12;

fn bins(sample: &Sample, looks: &Looks, column: usize, axis: Axis) -> Bins {
    let bins = Bins::of(sample.column(column, looks.width()), axis.low, axis.high, BINS);
    bins.smooth(SMOOTH * looks.wider())
}

fn middles(bins: &Bins) -> impl Iterator<Item = (f64, f64)> + '_ {
    bins.shares.iter().enumerate().map(|(bin, share)| {
        let [low, high] = bins.edges(bin);
        (0.5 * (low + high), *share)
    })
}

/// The region between two lines over each run of bins in which the first is above the second.
fn between(frame: &Frame, above: &Bins, below: &Bins) -> Vec<Vec<[f64; 2]>> {
    let mut regions = Vec::new();
    let mut run: Vec<(f64, f64, f64)> = Vec::new();
    let mut close = |run: &mut Vec<(f64, f64, f64)>| {
        if run.len() > 1 {
            let upper = run.iter().map(|(x, high, _)| frame.at(*x, *high));
            let lower = run.iter().rev().map(|(x, _, low)| frame.at(*x, *low));
            regions.push(upper.chain(lower).collect());
        }
        run.clear();
    };
    for ((x, high), (_, low)) in middles(above).zip(middles(below)) {
        if high >= low {
            run.push((x, high, low));
        } else {
            close(&mut run);
        }
    }
    close(&mut run);
    regions
}

/// The stretch of bins whose mass is most wrong: its ends, and what either side has in it.
pub(super) fn stretch(right: &Bins, model: &Bins) -> ([f64; 2], [f64; 2]) {
    let mut best = (0.0f64, 0..0);
    for sign in [1.0, -1.0] {
        let (mut sum, mut from) = (0.0, 0);
        for (bin, (a, b)) in right.shares.iter().zip(&model.shares).enumerate() {
            if sum <= 0.0 {
                (sum, from) = (0.0, bin);
            }
            sum += sign * (a - b);
            if sum > best.0 {
                best = (sum, from..bin + 1);
            }
        }
    }
    let run = if best.1.is_empty() { 0..right.shares.len() } else { best.1 };
    let ends = [right.edges(run.start)[0], right.edges(run.end - 1)[1]];
    let of = |bins: &Bins| bins.shares[run.clone()].iter().sum();
    (ends, [of(right), of(model)])
}

/// What is said of a column: in words, and as numbers with names.
#[derive(Default)]
struct Said {
    words: String,
    notes: Vec<(&'static str, String)>,
}

fn lines(
    svg: &mut Svg,
    looks: &Looks,
    worst: &Worst,
    column: usize,
    frame_of: &dyn Fn(f64) -> Frame,
    axis: Axis,
) -> Said {
    let all: Vec<(Who, Bins)> = looks.samples.iter().map(|it| (it.who, bins(it, looks, column, axis))).collect();
    let highest = all.iter().flat_map(|(_, bins)| bins.shares.iter().copied()).fold(0.0, f64::max);
    let frame = frame_of(1.08 * highest.max(1e-12));
    let first = looks.reference().map(|sample| sample.who);
    let line = |bins: &Bins| middles(bins).map(|(x, share)| frame.at(x, share)).collect::<Vec<_>>();
    for (who, bins) in all.iter().filter(|(who, _)| Some(*who) == first) {
        let mut surface = vec![frame.at(axis.low, 0.0)];
        surface.extend(line(bins));
        surface.push(frame.at(axis.high, 0.0));
        svg.path(&format!("fill {} r0", who.name()), &[surface], true);
    }
    let mut said = Said::default();
    let of = |who: Who| all.iter().find(|(other, _)| *other == who).map(|(_, bins)| bins);
    if let Some((wrong, right, model)) = worst.marginal[column] {
        if let (Some(of_right), Some(of_model)) = (of(right), of(model)) {
            let name = &looks.names[column];
            if wrong >= LITTLE {
                svg.path("lack", &between(&frame, of_right, of_model), true);
                svg.path("excess", &between(&frame, of_model, of_right), true);
                let ([low, high], [is, has]) = stretch(of_right, of_model);
                said.words = format!(
                    "{name} from {} to {}: the {} has {has:.3} of its mass, the {} {is:.3}.",
                    number(low),
                    number(high),
                    model.words(),
                    match right {
                        Who::Data => "held-out rows have",
                        Who::Teacher => "teacher has",
                        _ => "independent draws have",
                    }
                );
                said.notes.extend([("right", right.name().into()), ("model", model.name().into())]);
                said.notes.extend([("mass-right", format!("{is:.4}")), ("mass-model", format!("{has:.4}"))]);
            } else {
                said.words = format!("In {name} no deviation is seen beyond what chance makes of so many draws.");
            }
            said.notes.push(("wrong", format!("{wrong:.4}")));
        }
    }
    for (who, bins) in all.iter().filter(|(who, _)| Some(*who) != first) {
        svg.path(&format!("ring {} r1", who.name()), &[line(bins)], false);
    }
    frame.draw_box(svg);
    said
}

/// Three figures.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let decimals = 2.0 - value.abs().log10().floor();
    match decimals {
        -3.0..=0.0 => format!("{value:.0}"),
        1.0..=6.0 => format!("{value:.0$}", decimals as usize),
        _ => format!("{value:.2e}"),
    }
}

/// A column in a frame of its own, with both axes; in words, what is wrong with it.
pub(super) fn draw(
    svg: &mut Svg,
    looks: &Looks,
    worst: &Worst,
    column: usize,
    axis: Axis,
    corner: [f64; 2],
    size: [f64; 2],
) -> String {
    let frame = |high: f64| Frame::new(axis, Axis::new(0.0, high), corner, size);
    let Said { words, notes } = lines(svg, looks, worst, column, &frame, axis);
    notes.iter().for_each(|(name, value)| svg.note(name, value));
    frame(1.0).draw_x(svg, 5, &looks.names[column]);
    words
}

/// The same on the diagonal of a corner.
#[allow(clippy::too_many_arguments)]
pub(super) fn draw_small(
    svg: &mut Svg,
    looks: &Looks,
    worst: &Worst,
    column: usize,
    axis: Axis,
    corner: [f64; 2],
    size: [f64; 2],
    with_values: bool,
    name: &str,
) {
    let frame = |high: f64| Frame::new(axis, Axis::new(0.0, high), corner, size);
    lines(svg, looks, worst, column, &frame, axis);
    if with_values {
        frame(1.0).draw_x(svg, 3, name);
    }
}

/// A picture of each of the worst columns: title, picture, words.
pub(super) fn all(looks: &Looks, worst: &Worst) -> Vec<(String, Svg, String)> {
    let each = worst.columns.iter().take(MOST).map(|&column| {
        let mut svg = Svg::new(300.0, 196.0);
        let [low, high] = looks.range(column);
        svg.note("column", &looks.names[column]);
        svg.note("x-range", format!("{low} {high}"));
        svg.note("outside", format!("{:.4}", looks.outside(&[column])));
        let words = draw(&mut svg, looks, worst, column, Axis::new(low, high), [10.0, 8.0], [280.0, 148.0]);
        // Nothing is said of what is as it should be.
        let is_wrong = worst.marginal[column].is_some_and(|(wrong, ..)| wrong >= LITTLE);
        let words = if is_wrong { words } else { String::new() };
        (looks.names[column].clone(), svg, words)
    });
    each.collect()
}
