//! Pictures as SVG: elements, axes, grids of mass, contours. Knows nothing of flows, and nothing of the page that it is put on but the names of
//! its classes, by which the page gives everything its colour in light, in the dark and on paper.

mod axis;
mod contour;
mod frame;
mod grid;
mod svg;

pub use axis::Axis;
pub use contour::rings;
pub use frame::Frame;
pub use grid::{Bins, Grid};
pub use svg::{escaped, Svg};
