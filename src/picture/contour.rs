//! Rings around all that is above a level (marching squares; Lorensen and Cline 1987 in the plane).

use super::grid::Grid;
use std::collections::BTreeMap;

/// The closed lines along which `grid` crosses `level`, in units of its whole side: 0 to 1, from the lower left. What is above is to the left
/// of each; beyond the edge there is nothing.
pub fn rings(grid: &Grid, level: f64) -> Vec<Vec<[f64; 2]>> {
    // One more node on every side, where there is nothing.
    let wide = grid.side + 2;
    let value = |i: usize, j: usize| {
        let inside = (1..=grid.side).contains(&i) && (1..=grid.side).contains(&j);
        if inside {
            grid.cells[(j - 1) * grid.side + i - 1]
        } else {
            0.0
        }
    };
    // Edges between nodes: those along a row have even numbers.
    let across = |i: usize, j: usize| 2 * (j * wide + i);
    let up = |i: usize, j: usize| 2 * (j * wide + i) + 1;
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for j in 0..wide - 1 {
        for i in 0..wide - 1 {
            let corners = [value(i, j), value(i + 1, j), value(i + 1, j + 1), value(i, j + 1)];
            let case = corners.iter().enumerate().fold(0, |case, (bit, v)| case | (usize::from(*v >= level) << bit));
            let (below, right, above, left) = (across(i, j), up(i + 1, j), across(i, j + 1), up(i, j));
            let joined = corners.iter().sum::<f64>() / 4.0 >= level;
            let steps: &[(usize, usize)] = match case {
                1 => &[(below, left)],
                2 => &[(right, below)],
                3 => &[(right, left)],
                4 => &[(above, right)],
                5 if joined => &[(below, right), (above, left)],
                5 => &[(below, left), (above, right)],
                6 => &[(above, below)],
                7 => &[(above, left)],
                8 => &[(left, above)],
                9 => &[(below, above)],
                10 if joined => &[(left, below), (right, above)],
                10 => &[(right, below), (left, above)],
                11 => &[(right, above)],
                12 => &[(left, right)],
                13 => &[(below, right)],
                14 => &[(left, below)],
                _ => &[],
            };
            next.extend(steps.iter().copied());
        }
    }
    let point = |edge: usize| {
        let (i, j) = (edge / 2 % wide, edge / 2 / wide);
        let (to_i, to_j) = if edge.is_multiple_of(2) { (i + 1, j) } else { (i, j + 1) };
        let (a, b) = (value(i, j), value(to_i, to_j));
        let along = ((level - a) / (b - a)).clamp(0.0, 1.0);
        let mixed = |from: usize, to: usize| from as f64 + along * (to as f64 - from as f64);
        // Node 1 is the middle of the first cell.
        [mixed(i, to_i), mixed(j, to_j)].map(|place| ((place - 0.5) / grid.side as f64).clamp(0.0, 1.0))
    };
    let mut found = Vec::new();
    while let Some((start, mut edge)) = next.pop_first() {
        let mut ring = vec![point(start)];
        while edge != start {
            ring.push(point(edge));
            match next.remove(&edge) {
                Some(after) => edge = after,
                None => break,
            }
        }
        found.push(ring);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice the area inside, positive where it lies to the left.
    fn area(ring: &[[f64; 2]]) -> f64 {
        let after = ring.iter().cycle().skip(1);
        ring.iter().zip(after).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum()
    }

    fn bump(side: usize, f: impl Fn(f64, f64) -> f64) -> Grid {
        let at = |k: usize| (k as f64 + 0.5) / side as f64;
        Grid { side, cells: (0..side * side).map(|k| f(at(k % side), at(k / side))).collect() }
    }

    #[test]
    fn a_disc_has_one_ring_of_its_area() {
        let cone = bump(40, |x, y| 1.0 - (x - 0.5).hypot(y - 0.5));
        let found = rings(&cone, 0.7);
        assert_eq!(found.len(), 1);
        assert!((area(&found[0]) / 2.0 - std::f64::consts::PI * 0.09).abs() < 2e-3);
    }

    #[test]
    fn a_hole_runs_the_other_way_and_edges_close_the_ring() {
        let ring = bump(60, |x, y| 1.0 - ((x - 0.5).hypot(y - 0.5) - 0.3).abs());
        let mut areas: Vec<f64> = rings(&ring, 0.9).iter().map(|ring| area(ring) / 2.0).collect();
        areas.sort_by(f64::total_cmp);
        assert_eq!(areas.len(), 2);
        assert!(areas[0] < 0.0 && areas[1] > 0.0);
        let all = rings(&bump(10, |_, _| 1.0), 0.5);
        assert_eq!(all.len(), 1);
        assert!((area(&all[0]) / 2.0 - 1.0).abs() < 0.02);
        assert!(rings(&bump(10, |_, _| 0.0), 0.5).is_empty());
    }
}
