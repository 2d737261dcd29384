//! Where a student puts more or less mass than the target: half-spaces along the coordinates and cells around the places of the draws.

use crate::seed::{open_unit, Stream};
use rayon::prelude::*;

/// A set of points and the mass that each side gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// The set in words.
    pub name: String,
    /// The share of the student's draws in it.
    pub student: f64,
    /// The same, each draw counted with its importance weight.
    pub weighted: f64,
    /// The share of the independent draws in it.
    pub independent: f64,
}

impl Region {
    /// By how much the student's mass differs.
    pub fn raw(&self) -> f64 {
        (self.student - self.independent).abs()
    }

    /// By how much it differs after weighting.
    pub fn corrected(&self) -> f64 {
        (self.weighted - self.independent).abs()
    }
}

/// Numbers of cells into which the independent draws are divided.
const CELLS: [usize; 4] = [2, 4, 9, 16];

/// Draws from which cells are made.
const MADE_FROM: usize = 4000;

/// Compares draws of the student with their weights (relative, any factor), and independent draws, both row-major. For each coordinate it
/// takes the half-space where they differ most (the statistic of Kolmogorov and Smirnov), raw and weighted; and the cells of k-means
/// (Lloyd 1982, started as Arthur and Vassilvitskii 2007 do) for a few numbers of cells.
pub fn compare(names: &[String], own: &[f64], weights: &[f64], independent: &[f64], stream: &Stream) -> Vec<Region> {
    let dim = names.len();
    let total: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|w| if total > 0.0 { w / total } else { 0.0 }).collect();
    let mut regions: Vec<Region> =
        (0..dim).into_par_iter().flat_map_iter(|i| half_spaces(&names[i], dim, i, own, &shares, independent)).collect();
    for cells in CELLS {
        regions.extend(voronoi(names, own, &shares, independent, cells, &stream.child(&format!("{cells} cells"))));
    }
    regions
}

fn half_spaces(name: &str, dim: usize, i: usize, own: &[f64], shares: &[f64], independent: &[f64]) -> Vec<Region> {
    let n = shares.len() as f64;
    let m = (independent.len() / dim) as f64;
    // (place, student's share, weighted share, independent share)
    let mut steps: Vec<(f64, [f64; 3])> =
        own.iter().skip(i).step_by(dim).zip(shares).map(|(x, share)| (*x, [1.0 / n, *share, 0.0])).collect();
    steps.extend(independent.iter().skip(i).step_by(dim).map(|x| (*x, [0.0, 0.0, 1.0 / m])));
    steps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = [0.0; 3];
    let (mut raw, mut corrected) = ((0.0, 0.0, below), (0.0, 0.0, below));
    for (x, step) in steps {
        below.iter_mut().zip(step).for_each(|(sum, s)| *sum += s);
        let (a, b) = ((below[0] - below[2]).abs(), (below[1] - below[2]).abs());
        if a > raw.0 {
            raw = (a, x, below);
        }
        if b > corrected.0 {
            corrected = (b, x, below);
        }
    }
    [raw, corrected]
        .into_iter()
        .map(|(_, x, [student, weighted, independent])| Region {
            name: format!("{name} ≤ {x:.3}"),
            student,
            weighted,
            independent,
        })
        .collect()
}

/// Cells of space, each around a centre: a point belongs to the nearest, in units of each coordinate's spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    centres: Vec<Vec<f64>>,
    scales: Vec<f64>,
}

impl Cells {
    /// `k` cells by k-means among `points` (row-major, `dim` to a row); none where there are fewer than twenty points to a cell.
    pub fn among(points: &[f64], dim: usize, k: usize, stream: &Stream) -> Option<Self> {
        let rows = points.len() / dim;
        if rows < 20 * k {
            return None;
        }
        let every = rows.div_ceil(MADE_FROM);
        let made_from: Vec<&[f64]> = points.chunks_exact(dim).step_by(every).collect();
        let mut rng = stream.row(0);
        let first = made_from[(open_unit(&mut rng) * made_from.len() as f64) as usize].to_vec();
        let mut cells = Self { centres: vec![first], scales: scales(points, dim) };
        while cells.len() < k {
            let distances: Vec<f64> = made_from.iter().map(|point| cells.nearest(point).1).collect();
            let mut left = open_unit(&mut rng) * distances.iter().sum::<f64>();
            let chosen = distances.iter().position(|d| {
                left -= d;
                left < 0.0
            });
            cells.centres.push(made_from[chosen.unwrap_or(0)].to_vec());
        }
        for _ in 0..12 {
            let mut sums = vec![vec![0.0; dim]; k];
            let mut counts = vec![0.0f64; k];
            for point in &made_from {
                let (cell, _) = cells.nearest(point);
                counts[cell] += 1.0;
                sums[cell].iter_mut().zip(*point).for_each(|(sum, x)| *sum += x);
            }
            let centres = cells.centres.iter_mut().zip(sums).zip(&counts);
            for ((centre, sum), count) in centres.filter(|(_, count)| **count > 0.0) {
                centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / count);
            }
        }
        Some(cells)
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.centres.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.centres.is_empty()
    }

    /// The cell nearest to `point` and the squared distance of its centre.
    fn nearest(&self, point: &[f64]) -> (usize, f64) {
        let distance = |centre: &Vec<f64>| -> f64 {
            point.iter().zip(centre).zip(&self.scales).map(|((a, b), s)| ((a - b) / s).powi(2)).sum()
        };
        let all = self.centres.iter().map(distance).enumerate();
        all.fold((0, f64::INFINITY), |best, (c, d)| if d < best.1 { (c, d) } else { best })
    }

    /// The cell of each of `points`, row-major.
    pub fn places(&self, points: &[f64]) -> Vec<usize> {
        points.par_chunks_exact(self.scales.len()).map(|point| self.nearest(point).0).collect()
    }

    /// Cell `cell` in words.
    pub fn name(&self, cell: usize, names: &[String]) -> String {
        let centre = &self.centres[cell];
        let shown: Vec<String> = names.iter().zip(centre).take(3).map(|(n, c)| format!("{n} = {c:.2}")).collect();
        let more = if names.len() > 3 { ", …" } else { "" };
        format!("near ({}{more}), of {} cells", shown.join(", "), self.len())
    }
}

/// The cells around `k` centres found among the independent draws.
fn voronoi(
    names: &[String],
    own: &[f64],
    shares: &[f64],
    independent: &[f64],
    k: usize,
    stream: &Stream,
) -> Vec<Region> {
    let Some(cells) = Cells::among(independent, names.len(), k, stream) else { return Vec::new() };
    let region = |cell| Region { name: cells.name(cell, names), student: 0.0, weighted: 0.0, independent: 0.0 };
    let mut regions: Vec<Region> = (0..k).map(region).collect();
    let (n, rows) = (shares.len() as f64, (independent.len() / names.len()) as f64);
    for (cell, share) in cells.places(own).into_iter().zip(shares) {
        regions[cell].student += 1.0 / n;
        regions[cell].weighted += share;
    }
    cells.places(independent).into_iter().for_each(|cell| regions[cell].independent += 1.0 / rows);
    regions
}

/// Half the distance between the quartiles of each coordinate: heavy tails do not move it.
fn scales(points: &[f64], dim: usize) -> Vec<f64> {
    (0..dim)
        .map(|i| {
            let mut column: Vec<f64> = points.iter().skip(i).step_by(dim).copied().collect();
            column.sort_unstable_by(f64::total_cmp);
            let quartile = |q: f64| column[(q * (column.len() - 1) as f64) as usize];
            (0.5 * (quartile(0.75) - quartile(0.25))).max(f64::MIN_POSITIVE)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// Rows of two clusters at ±5 along the first of two coordinates, a share `right` of them to the right.
    fn clusters(rows: usize, right: f64, name: &str) -> Vec<f64> {
        let mut z = vec![0.0; 2 * rows];
        Seed(1).stream(name).normals(0, 2, &mut z);
        let moved = |(row, z): (usize, &[f64])| {
            let shift = if (row as f64) < right * rows as f64 { 5.0 } else { -5.0 };
            [z[0] + shift, z[1]]
        };
        z.chunks_exact(2).enumerate().flat_map(moved).collect()
    }

    #[test]
    fn a_shifted_mass_is_found_and_weights_mend_it() {
        let (own, independent) = (clusters(20_000, 0.7, "own"), clusters(5_000, 0.5, "independent"));
        let weights: Vec<f64> = own.chunks_exact(2).map(|x| if x[0] > 0.0 { 0.5 / 0.7 } else { 0.5 / 0.3 }).collect();
        let names = ["x".to_string(), "y".to_string()];
        let regions = compare(&names, &own, &weights, &independent, &Seed(1).stream("regions"));
        let worst = regions.iter().map(Region::raw).fold(0.0, f64::max);
        assert!((worst - 0.2).abs() < 0.02, "{worst}");
        let corrected = regions.iter().map(Region::corrected).fold(0.0, f64::max);
        assert!(corrected < 0.05, "{corrected}");
        // Four cells see both clusters, halved each along the other coordinate.
        let cells = regions.iter().filter(|region| region.name.ends_with("of 4 cells"));
        let in_cells = cells.map(Region::raw).sum::<f64>();
        assert!((in_cells - 0.4).abs() < 0.05, "{in_cells}");
    }
}
