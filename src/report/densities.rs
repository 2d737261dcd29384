//! The densities of a problem in the plane, side by side.

use super::looks::{Looks, Who};
use crate::picture::{rings, Axis, Frame, Grid, Svg};

/// The smallest regions that hold these shares of the mass, one above the other.
const REGIONS: [f64; 7] = [0.995, 0.95, 0.8, 0.6, 0.4, 0.2, 0.05];

/// A picture of each: whose it is, and the picture.
pub(super) fn pictures(looks: &Looks) -> Vec<(Who, Svg)> {
    let [x, y] = looks.plane;
    let all = looks.rasters.iter().map(|raster| {
        let side = (raster.log_density.len() as f64).sqrt().round() as usize;
        let largest = raster.log_density.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let cells = raster.log_density.iter().map(|log| f64::from(log - largest).exp()).collect();
        let grid = Grid { side, cells };
        let mut svg = Svg::new(310.0, 284.0);
        svg.note("whose", raster.who.name());
        svg.note("x-range", format!("{} {}", x[0], x[1]));
        svg.note("y-range", format!("{} {}", y[0], y[1]));
        let frame = Frame::new(Axis::new(x[0], x[1]), Axis::new(y[0], y[1]), [62.0, 8.0], [236.0, 236.0]);
        frame.draw_y(&mut svg, 5, &looks.names[1]);
        for (place, share) in REGIONS.into_iter().enumerate() {
            let Some(level) = grid.level(share) else { continue };
            let lines = rings(&grid, level);
            let lines: Vec<Vec<[f64; 2]>> =
                lines.into_iter().map(|ring| ring.into_iter().map(|point| frame.inside(point)).collect()).collect();
            svg.path(&format!("layer l{place} {}", raster.who.name()), &lines, true);
        }
        frame.draw_box(&mut svg);
        frame.draw_x(&mut svg, 5, &looks.names[0]);
        (raster.who, svg)
    });
    all.collect()
}
