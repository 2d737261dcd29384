//! Densities of the plane on which papers on flows show their pictures: tables of any length that need no file.

use crate::seed::{normal_pair, open_unit, Stream};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// A density of the plane that is easily drawn from and hard to fit, as in Grathwohl et al. (2019).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Toy {
    /// Normals of deviation 0.354 at eight places of a circle of radius 2.83.
    EightGaussians,
    /// Eight of sixteen squares of side 2, evenly filled: density 1/32 within them.
    Checkerboard,
    /// Five arms that turn as they go out.
    Pinwheel,
    /// Two arms of one and a half turns, and noise.
    TwoSpirals,
    /// Two half circles that reach into one another.
    Moons,
}

impl Toy {
    /// One draw.
    pub fn draw(self, rng: &mut impl RngCore) -> [f64; 2] {
        let (which, far) = (open_unit(rng), open_unit(rng));
        let noise = normal_pair(rng);
        match self {
            Toy::EightGaussians => {
                let (sin, cos) = ((8.0 * which).floor() * TAU / 8.0).sin_cos();
                [(4.0 * cos + 0.5 * noise[0]) / 1.414, (4.0 * sin + 0.5 * noise[1]) / 1.414]
            }
            Toy::Checkerboard => {
                let (x, up) = (4.0 * far - 2.0, if which < 0.5 { 0.0 } else { 2.0 });
                let y = open_unit(rng) - up + x.floor().rem_euclid(2.0);
                [2.0 * x, 2.0 * y]
            }
            Toy::Pinwheel => {
                let arm = [0.3 * noise[0] + 1.0, 0.1 * noise[1]];
                let (sin, cos) = ((5.0 * which).floor() * TAU / 5.0 + 0.25 * arm[0].exp()).sin_cos();
                [2.0 * (arm[0] * cos + arm[1] * sin), 2.0 * (arm[1] * cos - arm[0] * sin)]
            }
            Toy::TwoSpirals => {
                let turned = far.sqrt() * 1.5 * TAU;
                let (sin, cos) = turned.sin_cos();
                let arm = [-cos * turned + 0.5 * open_unit(rng), sin * turned + 0.5 * open_unit(rng)];
                let side = if which < 0.5 { -1.0 } else { 1.0 };
                [side * arm[0] / 3.0 + 0.1 * noise[0], side * arm[1] / 3.0 + 0.1 * noise[1]]
            }
            Toy::Moons => {
                let (sin, cos) = (PI * far).sin_cos();
                let moon = if which < 0.5 { [1.0 - cos, 0.5 - sin] } else { [cos, sin] };
                [2.0 * (moon[0] + 0.1 * noise[0]) - 1.0, 2.0 * (moon[1] + 0.1 * noise[1]) - 0.2]
            }
        }
    }

    /// `rows` draws, one after the other, of which each depends on its number and the stream alone.
    pub fn draws(self, rows: usize, stream: &Stream) -> Vec<f64> {
        (0..rows as u64).flat_map(|row| self.draw(&mut stream.row(row))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const ROWS: usize = 40_000;

    fn of(toy: Toy) -> Vec<[f64; 2]> {
        let drawn = toy.draws(ROWS, &Seed(1).stream("toys"));
        drawn.chunks_exact(2).map(|row| [row[0], row[1]]).collect()
    }

    /// The share of `rows` for which `holds`, which is `expected` but for five standard errors.
    fn share(rows: &[[f64; 2]], expected: f64, holds: impl Fn(&[f64; 2]) -> bool) {
        let found = rows.iter().filter(|row| holds(row)).count() as f64 / rows.len() as f64;
        let error = (expected * (1.0 - expected) / rows.len() as f64).sqrt();
        assert!((found - expected).abs() <= 5.0 * error, "{found} for {expected}");
    }

    #[test]
    fn the_squares_of_a_checkerboard_are_filled_evenly() {
        let rows = of(Toy::Checkerboard);
        for (x, y) in (-2..2).flat_map(|x| (-2..2).map(move |y| (x, y))) {
            let inside = |row: &[f64; 2]| (row[0] / 2.0).floor() == x as f64 && (row[1] / 2.0).floor() == y as f64;
            share(&rows, if (x + y) % 2 == 0 { 0.125 } else { 0.0 }, inside);
        }
    }

    #[test]
    fn eight_gaussians_lie_where_they_should() {
        let rows = of(Toy::EightGaussians);
        for k in 0..8 {
            let (sin, cos) = (k as f64 * TAU / 8.0).sin_cos();
            let centre = [cos, sin].map(|c| 4.0 * c / 1.414);
            // Within a deviation lie 1 − e^{−1/2} of a normal of the plane; of the others almost none.
            let radius = 0.5 / 1.414;
            let near = |row: &[f64; 2]| (row[0] - centre[0]).hypot(row[1] - centre[1]) < radius;
            share(&rows, (1.0 - (-0.5f64).exp()) / 8.0, near);
        }
    }

    #[test]
    fn arms_are_alike_but_for_a_turn() {
        for (toy, arms) in [(Toy::Pinwheel, 5), (Toy::TwoSpirals, 2)] {
            let rows = of(toy);
            for arm in 0..arms {
                let sector =
                    |row: &[f64; 2]| (row[1].atan2(row[0]).rem_euclid(TAU) / TAU * arms as f64) as usize == arm;
                share(&rows, 1.0 / arms as f64, sector);
            }
        }
        // A half of the squares of the radii of the arms, before the noise, is below π²/2.
        let radii = of(Toy::TwoSpirals);
        let middle = radii.iter().filter(|row| row[0].hypot(row[1]) < PI / 2f64.sqrt()).count() as f64 / ROWS as f64;
        assert!((middle - 0.5).abs() < 0.05, "{middle}");
    }

    #[test]
    fn each_moon_is_the_other_turned_by_half_a_turn() {
        let moons = of(Toy::Moons);
        share(&moons, 0.5, |row| row[1] > 0.3);
        share(&moons, 0.5, |row| row[0] > 0.0);
        assert!(moons.iter().all(|row| row[0].abs() < 4.0 && (row[1] - 0.3).abs() < 2.5));
    }
}
