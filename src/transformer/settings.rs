//! What a transformer says of itself to people who name it in a flow: its fields, an example, their faults, and how the map comes from them.

use crate::ops::transform::Transform;
use std::fmt;

/// The fields of a transformer as they are written in experiments and model files. They stand beside the map that comes from them, with their
/// defaults.
pub trait TransformerSettings {
    /// The map that comes from them.
    type Map: Transform;
    /// The transformer as it is written, every field shown with its default.
    const EXAMPLE: &'static str;

    /// What is wrong with a field, and what would be right.
    fn fault(&self) -> Option<String>;

    /// The map.
    fn map(&self) -> Self::Map;

    /// Where the variables are that it maps.
    fn domain(&self) -> Domain {
        Domain::Line
    }
}

/// Where the variables of a flow are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Domain {
    /// Anywhere.
    Line,
    /// On the circle (−π, π].
    Circle,
    /// Between ± this.
    Interval(f64),
}

impl Domain {
    /// Half the length of the stretch in which the variables are, where there is an end to it.
    pub fn half_length(self) -> Option<f64> {
        match self {
            Domain::Line => None,
            Domain::Circle => Some(std::f64::consts::PI),
            Domain::Interval(limit) => Some(limit),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Domain::Line => out.write_str("the line"),
            Domain::Circle => out.write_str("a circle"),
            Domain::Interval(limit) => write!(out, "the interval from {} to {limit}", -limit),
        }
    }
}

/// What is wrong with the largest factor by which a layer may stretch a variable.
pub(super) fn fault_of_scale(max_scale: f64) -> Option<String> {
    let right = max_scale.is_finite() && max_scale > 1.0 && max_scale <= 1e12;
    (!right).then(|| format!("max_scale is {max_scale}; a number above 1 and at most 1e12 is right"))
}

/// What is wrong with a number of bins or the like.
pub(super) fn fault_of_count(name: &str, count: usize, most: usize) -> Option<String> {
    (!(2..=most).contains(&count)).then(|| format!("{name} is {count}; 2 to {most} is right"))
}

/// What is wrong with where bins end.
pub(super) fn fault_of_limit(limit: f64) -> Option<String> {
    (!(0.1..=100.0).contains(&limit)).then(|| format!("limit is {limit}; a number from 0.1 to 100 is right"))
}
