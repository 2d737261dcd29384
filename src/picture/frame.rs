//! A frame with its axes, ticks and words, and where values are within it.

use super::axis::Axis;
use super::svg::Svg;

/// A frame on a picture.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// The axis to the right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    corner: [f64; 2],
    size: [f64; 2],
}

impl Frame {
    /// A frame with its upper left corner and its size.
    pub fn new(x: Axis, y: Axis, corner: [f64; 2], size: [f64; 2]) -> Self {
        let x = x.along(corner[0], corner[0] + size[0]);
        let y = y.along(corner[1] + size[1], corner[1]);
        Self { x, y, corner, size }
    }

    /// Where a point is.
    pub fn at(&self, x: f64, y: f64) -> [f64; 2] {
        [self.x.at(x), self.y.at(y)]
    }

    /// Where a point of the frame is, 0 to 1 from its lower left.
    pub fn inside(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.corner[0] + x * self.size[0], self.corner[1] + (1.0 - y) * self.size[1]]
    }

    /// The box, and values written below it.
    pub fn draw_x(&self, svg: &mut Svg, about: usize, name: &str) {
        let below = self.corner[1] + self.size[1];
        for (value, word) in self.x.ticks(about) {
            let place = self.x.at(value);
            svg.line("tick", [place, below], [place, below + 4.0]);
            svg.text("small", [place, below + 14.0], "middle", &word);
        }
        if !name.is_empty() {
            svg.text(
                "label",
                [self.corner[0] + 0.5 * self.size[0], below + 28.0],
                "middle",
                &fitting(name, self.size[0]),
            );
        }
    }

    /// Values written to the left of it, with a faint line for each across it.
    pub fn draw_y(&self, svg: &mut Svg, about: usize, name: &str) {
        let ticks = self.y.ticks(about);
        let longest = ticks.iter().map(|(_, word)| word.chars().count()).max().unwrap_or(0);
        for (value, word) in ticks {
            let place = self.y.at(value);
            svg.line("rule", [self.corner[0], place], [self.corner[0] + self.size[0], place]);
            svg.text("small", [self.corner[0] - 5.0, place + 3.5], "end", &word);
        }
        if !name.is_empty() {
            // Beside the values, as far as there is room.
            let left = (self.corner[0] - 14.0 - 6.2 * longest as f64).max(11.0);
            let place = [left, self.corner[1] + 0.5 * self.size[1]];
            svg.upward("label", place, &fitting(name, self.size[1]));
        }
    }

    /// The line around it.
    pub fn draw_box(&self, svg: &mut Svg) {
        svg.rect("box", self.corner, self.size, "");
    }
}

/// A name that is not wider than this; letters take about 6.4 units.
fn fitting(name: &str, room: f64) -> String {
    let most = (room / 6.4).max(4.0) as usize;
    match name.chars().count() {
        count if count <= most => name.into(),
        _ => name.chars().take(most - 1).chain(['…']).collect(),
    }
}
