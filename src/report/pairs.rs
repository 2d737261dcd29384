//! Columns against each other: contours of every side over what is right, and the first picture with the worst place.

use super::looks::{Looks, Sample, Who};
use super::marginals;
use super::worst::{Worst, LITTLE};
use crate::picture::{rings, Axis, Frame, Grid, Svg};

/// Columns of the corner, at most.
const MOST: usize = 8;
/// Cells along each side of a grid.
const SIDE: usize = 44;
/// The width of the kernel that is laid over draws, in cells.
const SMOOTH: f64 = 1.1;
/// The widest, beyond which a gap between two modes is filled.
const WIDEST: f64 = 3.0;
/// The regions that are shown: the smallest that hold these shares of the draws.
const REGIONS: [f64; 2] = [0.5, 0.95];

/// The mass of one side in the cells of a frame, with a kernel of so many times the usual width.
fn mass(frame: &Frame, looks: &Looks, sample: &Sample, [i, j]: [usize; 2], wider: f64) -> Grid {
    let width = looks.width();
    let points = sample.column(i, width).zip(sample.column(j, width)).map(|(x, y)| [x, y]);
    let (x, y) = ([frame.x.low, frame.x.high], [frame.y.low, frame.y.high]);
    let grid = Grid::of(points, x, y, SIDE);
    grid.smooth((looks.wider() * wider * SMOOTH).min(WIDEST))
}

fn lines_of(frame: &Frame, grid: &Grid, level: f64) -> Vec<Vec<[f64; 2]>> {
    rings(grid, level).into_iter().map(|ring| ring.into_iter().map(|point| frame.inside(point)).collect()).collect()
}

/// The contours of one side in a frame.
fn contours(svg: &mut Svg, frame: &Frame, looks: &Looks, sample: &Sample, pair: [usize; 2], filled: bool) {
    let grid = mass(frame, looks, sample, pair, 1.0);
    for (place, share) in REGIONS.into_iter().enumerate() {
        let Some(level) = grid.level(share) else { continue };
        let kind = if filled { "fill" } else { "ring" };
        svg.path(&format!("{kind} {} r{place}", sample.who.name()), &lines_of(frame, &grid, level), true);
    }
}

/// Where one side has less than half of what the other has, and that has something.
fn lacking(svg: &mut Svg, class: &str, frame: &Frame, has: &Grid, lacks: &Grid) {
    let Some(level) = has.level(REGIONS[1]) else { return };
    let short = has.cells.iter().zip(&lacks.cells);
    let cells = short.map(|(a, b)| if *a >= level { (0.5 * a - b).max(0.0) } else { 0.0 }).collect();
    svg.path(class, &lines_of(frame, &Grid { side: SIDE, cells }, 0.02 * level), true);
}

/// One pair in a frame: what is right is a surface, models are lines.
fn draw_pair(svg: &mut Svg, frame: &Frame, looks: &Looks, worst: &Worst, pair: [usize; 2]) {
    let right = looks.reference().map(|sample| sample.who);
    for sample in looks.samples.iter().filter(|sample| Some(sample.who) == right) {
        contours(svg, frame, looks, sample, pair, true);
    }
    let differ = worst.pair.filter(|(_, wrong, ..)| *wrong >= LITTLE);
    if let Some((right, model)) = differ.and_then(|(_, _, right, model)| Some((looks.of(right)?, looks.of(model)?))) {
        let [right, model] = [right, model].map(|sample| mass(frame, looks, sample, pair, 2.0));
        lacking(svg, "lack", frame, &right, &model);
        lacking(svg, "excess", frame, &model, &right);
    }
    for sample in looks.samples.iter().filter(|sample| Some(sample.who) != right) {
        contours(svg, frame, looks, sample, pair, false);
    }
}

/// What programs are to know of a frame.
fn notes(svg: &mut Svg, looks: &Looks, [i, j]: [usize; 2], frame: &Frame) {
    svg.note("x", &looks.names[i]);
    svg.note("y", &looks.names[j]);
    svg.note("x-range", format!("{} {}", frame.x.low, frame.x.high));
    svg.note("y-range", format!("{} {}", frame.y.low, frame.y.high));
    svg.note("outside", format!("{:.4}", looks.outside(&[i, j])));
}

/// The worst column by itself, and with the other one that shows most of it; with what is seen there in words.
pub(super) struct First {
    /// What the pictures are called.
    pub titles: [String; 2],
    /// What is seen.
    pub words: String,
    /// The column.
    pub column: Svg,
    /// The pair, where there is a second column.
    pub pair: Option<Svg>,
    /// Both on one.
    pub both: Svg,
}

/// The first picture.
pub(super) fn first(looks: &Looks, worst: &Worst) -> Option<First> {
    let column = *worst.columns.first()?;
    let second = worst.columns.get(1).copied();
    let size = [300.0, 250.0];
    let (mut one, mut both) = (Svg::new(340.0, 294.0), Svg::new(if second.is_some() { 720.0 } else { 340.0 }, 294.0));
    let mut words = draw_first(&mut one, looks, worst, column, [20.0, 8.0], size);
    draw_first(&mut both, looks, worst, column, [20.0, 8.0], size);
    let name = &looks.names[column];
    let mut titles = [format!("{name} by itself"), String::new()];
    let pair = second.map(|second| {
        titles[1] = format!("{name} with {}", looks.names[second]);
        let mut pair = Svg::new(372.0, 294.0);
        draw_second(&mut pair, looks, worst, [column, second], [62.0, 8.0], size);
        draw_second(&mut both, looks, worst, [column, second], [404.0, 8.0], size);
        pair
    });
    if let Some(([a, b], wrong, right, model)) = worst.pair.filter(|(_, wrong, ..)| *wrong >= LITTLE) {
        let [a, b] = [a, b].map(|place| &looks.names[place]);
        let right = if right == Who::Teacher { "teacher's draws" } else { right.words() };
        let (mass, model) = (100.0 * wrong, model.words());
        let of_pair = format!(
            " In {a} with {b}, at least {mass:.0} % of the mass of the {model} is not where the {right} have it."
        );
        words.push_str(&of_pair);
    }
    Some(First { titles, words, column: one, pair, both })
}

fn draw_first(svg: &mut Svg, looks: &Looks, worst: &Worst, column: usize, corner: [f64; 2], size: [f64; 2]) -> String {
    let [low, high] = looks.range(column);
    svg.note("column", &looks.names[column]);
    svg.note("column-range", format!("{low} {high}"));
    marginals::draw(svg, looks, worst, column, Axis::new(low, high), corner, size)
}

fn draw_second(svg: &mut Svg, looks: &Looks, worst: &Worst, [i, j]: [usize; 2], corner: [f64; 2], size: [f64; 2]) {
    let [x, y] = [i, j].map(|column| looks.range(column)).map(|[low, high]| Axis::new(low, high));
    let frame = Frame::new(x, y, corner, size);
    frame.draw_y(svg, 5, &looks.names[j]);
    draw_pair(svg, &frame, looks, worst, [i, j]);
    frame.draw_box(svg);
    frame.draw_x(svg, 5, &looks.names[i]);
    notes(svg, looks, [i, j], &frame);
}

/// All pairs of the worst columns, each side's contours over what is right.
pub(super) fn corner(looks: &Looks, worst: &Worst) -> Option<(Svg, usize)> {
    let columns: Vec<usize> = worst.columns.iter().copied().take(MOST).collect();
    let count = columns.len();
    if count < 3 {
        return None;
    }
    let size = (880.0 / count as f64).clamp(110.0, 200.0);
    let (left, gap) = (62.0, 8.0);
    let step = size + gap;
    let whole = left + count as f64 * step + 4.0;
    let mut svg = Svg::new(whole, whole - left + 44.0);
    let axes: Vec<Axis> =
        columns.iter().map(|column| looks.range(*column)).map(|[low, high]| Axis::new(low, high)).collect();
    for (row, &second) in columns.iter().enumerate() {
        let y = 6.0 + row as f64 * step;
        for (place, &first) in columns.iter().enumerate().take(row + 1) {
            let corner = [left + place as f64 * step, y];
            let last = row + 1 == count;
            if place == row {
                let name = if last { &looks.names[first] } else { "" };
                marginals::draw_small(&mut svg, looks, worst, first, axes[place], corner, [size, size], last, name);
                continue;
            }
            let frame = Frame::new(axes[place], axes[row], corner, [size, size]);
            if place == 0 {
                frame.draw_y(&mut svg, 4, &looks.names[second]);
            }
            draw_pair(&mut svg, &frame, looks, worst, [first, second]);
            frame.draw_box(&mut svg);
            if last {
                frame.draw_x(&mut svg, 3, &looks.names[first]);
            }
        }
    }
    svg.note("columns", columns.iter().map(|column| looks.names[*column].as_str()).collect::<Vec<_>>().join(" "));
    svg.note("outside", format!("{:.4}", looks.outside(&columns)));
    Some((svg, count))
}

/// Who is on a picture of draws, in the order of drawing, with the class of each key.
pub(super) fn keys(looks: &Looks) -> Vec<(Who, bool)> {
    let right = looks.reference().map(|sample| sample.who);
    looks.samples.iter().map(|sample| (sample.who, Some(sample.who) == right)).collect()
}
