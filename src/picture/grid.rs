//! Mass in bins of a line and in cells of a plane, made smooth enough to be drawn.

/// Shares of a sample in even bins of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Bins {
    /// Where the first begins.
    pub low: f64,
    /// Where the last ends.
    pub high: f64,
    /// What each has of all there is; what lies outside makes the sum less than 1.
    pub shares: Vec<f64>,
}

impl Bins {
    /// Bins of values.
    pub fn of(values: impl Iterator<Item = f64>, low: f64, high: f64, count: usize) -> Self {
        let (mut shares, mut total) = (vec![0.0; count], 0.0);
        for value in values {
            total += 1.0;
            if let Some(place) = place(value, low, high, count) {
                shares[place] += 1.0;
            }
        }
        if total > 0.0 {
            shares.iter_mut().for_each(|share| *share /= total);
        }
        Self { low, high, shares }
    }

    /// The ends of a bin.
    pub fn edges(&self, bin: usize) -> [f64; 2] {
        let width = (self.high - self.low) / self.shares.len() as f64;
        [self.low + bin as f64 * width, self.low + (bin + 1) as f64 * width]
    }

    /// A kernel of so many bins laid over them; nothing leaves at the ends.
    pub fn smooth(mut self, sigma: f64) -> Self {
        blur(&mut self.shares, sigma);
        self
    }
}

/// Where a value belongs.
fn place(value: f64, low: f64, high: f64, count: usize) -> Option<usize> {
    // The last bin has its end.
    let inside = value >= low && value <= high && high > low;
    inside.then(|| (((value - low) / (high - low) * count as f64) as usize).min(count - 1))
}

fn blur(line: &mut [f64], sigma: f64) {
    let reach = (3.0 * sigma).ceil() as isize;
    let kernel: Vec<f64> = (-reach..=reach).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = kernel.iter().sum();
    let count = line.len() as isize;
    let mut smooth = vec![0.0; line.len()];
    for (i, mass) in line.iter().enumerate().filter(|(_, mass)| **mass != 0.0) {
        for (k, weight) in kernel.iter().enumerate() {
            // What would leave is turned back.
            let mut to = i as isize + k as isize - reach;
            if to < 0 {
                to = -1 - to;
            }
            if to >= count {
                to = 2 * count - 1 - to;
            }
            smooth[to.clamp(0, count - 1) as usize] += mass * weight / total;
        }
    }
    line.copy_from_slice(&smooth);
}

/// Mass in `side` × `side` cells of a plane, row by row from below.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The number of cells along each side.
    pub side: usize,
    /// What each has.
    pub cells: Vec<f64>,
}

impl Grid {
    /// The shares of points of a rectangle.
    pub fn of(points: impl Iterator<Item = [f64; 2]>, x: [f64; 2], y: [f64; 2], side: usize) -> Self {
        let (mut cells, mut total) = (vec![0.0; side * side], 0.0);
        for point in points {
            total += 1.0;
            let places = (place(point[0], x[0], x[1], side), place(point[1], y[0], y[1], side));
            if let (Some(i), Some(j)) = places {
                cells[j * side + i] += 1.0;
            }
        }
        if total > 0.0 {
            cells.iter_mut().for_each(|cell| *cell /= total);
        }
        Self { side, cells }
    }

    /// A kernel of so many cells laid over them.
    pub fn smooth(mut self, sigma: f64) -> Self {
        self.cells.chunks_exact_mut(self.side).for_each(|row| blur(row, sigma));
        for i in 0..self.side {
            let mut column: Vec<f64> = self.cells.iter().skip(i).step_by(self.side).copied().collect();
            blur(&mut column, sigma);
            column.into_iter().enumerate().for_each(|(j, mass)| self.cells[j * self.side + i] = mass);
        }
        self
    }

    /// The level above which `share` of the mass lies: the edge of the smallest region that holds as much. None where there is no mass.
    pub fn level(&self, share: f64) -> Option<f64> {
        let mut order: Vec<f64> = self.cells.iter().copied().filter(|cell| *cell > 0.0).collect();
        order.sort_by(|a, b| b.total_cmp(a));
        let total: f64 = order.iter().sum();
        let mut above = 0.0;
        order.iter().copied().find(|cell| {
            above += cell;
            above >= share * total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mass_is_kept_by_smoothing_and_lost_only_outside() {
        let values = [0.0, 0.5, 1.0, 7.0];
        let bins = Bins::of(values.into_iter(), 0.0, 1.0, 4);
        assert_eq!(bins.shares, [0.25, 0.0, 0.25, 0.25]);
        assert_eq!(bins.edges(1), [0.25, 0.5]);
        assert!((bins.smooth(2.0).shares.iter().sum::<f64>() - 0.75).abs() < 1e-12);
        let points = [[0.1, 0.9], [0.2, 0.8], [0.0, 1.0], [0.9, 0.1]];
        let grid = Grid::of(points.into_iter(), [0.0, 1.0], [0.0, 1.0], 2);
        assert_eq!(grid.cells, [0.0, 0.25, 0.75, 0.0]);
        assert_eq!((grid.level(0.7), grid.level(0.9)), (Some(0.75), Some(0.25)));
        assert!((grid.smooth(1.0).cells.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
