//! Which of two sets of points belong together when the sum of squared distances is to be least: the assignment problem.

/// Points of one assignment; its work grows with the third power.
const BLOCK: usize = 64;

/// `noise` in another order: within blocks of [`BLOCK`] points, that in which Σ ‖x − z‖² is least.
pub fn paired(points: &[f64], noise: Vec<f64>, dim: usize) -> Vec<f64> {
    let mut all = Vec::with_capacity(noise.len());
    for (x, z) in points.chunks(BLOCK * dim).zip(noise.chunks(BLOCK * dim)) {
        let count = x.len() / dim;
        let cost: Vec<f64> = x
            .chunks_exact(dim)
            .flat_map(|x| z.chunks_exact(dim).map(move |z| x.iter().zip(z).map(|(x, z)| (x - z).powi(2)).sum::<f64>()))
            .collect();
        assignment(&cost, count).into_iter().for_each(|j| all.extend_from_slice(&z[j * dim..(j + 1) * dim]));
    }
    all
}

/// The column of each row in the assignment of least cost: shortest augmenting paths with potentials (Jonker and Volgenant 1987).
fn assignment(cost: &[f64], count: usize) -> Vec<usize> {
    // Column 0 and row 0 are stand-ins; numbers are from 1.
    let (mut of_rows, mut of_columns) = (vec![0.0; count + 1], vec![0.0; count + 1]);
    let (mut row_of, mut way) = (vec![0; count + 1], vec![0; count + 1]);
    for row in 1..=count {
        row_of[0] = row;
        let mut column = 0;
        let (mut least, mut used) = (vec![f64::INFINITY; count + 1], vec![false; count + 1]);
        while row_of[column] != 0 {
            used[column] = true;
            let here = row_of[column];
            let (mut delta, mut next) = (f64::INFINITY, 0);
            for j in (1..=count).filter(|&j| !used[j]).collect::<Vec<_>>() {
                let reduced = cost[(here - 1) * count + j - 1] - of_rows[here] - of_columns[j];
                if reduced < least[j] {
                    (least[j], way[j]) = (reduced, column);
                }
                if least[j] < delta || next == 0 {
                    (delta, next) = (least[j], j);
                }
            }
            for j in 0..=count {
                if used[j] {
                    of_rows[row_of[j]] += delta;
                    of_columns[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[way[column]];
            column = way[column];
        }
    }
    let mut columns = vec![0; count];
    (1..=count).for_each(|j| columns[row_of[j] - 1] = j - 1);
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assignment_is_that_of_trying_all() {
        for seed in 0..30 {
            let count = 1 + seed % 6;
            let cost: Vec<f64> = (0..count * count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f64).collect();
            let of = |columns: &[usize]| columns.iter().enumerate().map(|(i, j)| cost[i * count + j]).sum::<f64>();
            let mut best = f64::INFINITY;
            let mut columns: Vec<usize> = (0..count).collect();
            permute(&mut columns, 0, &mut |columns| best = best.min(of(columns)));
            let found = assignment(&cost, count);
            assert_eq!(of(&found), best);
            let mut sorted = found;
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count));
        }
        let line: Vec<f64> = (0..130).map(f64::from).collect();
        let mut back: Vec<f64> = line.clone();
        back[..BLOCK].reverse();
        assert_eq!(paired(&line, back, 1), line);
    }

    fn permute(columns: &mut Vec<usize>, from: usize, f: &mut impl FnMut(&[usize])) {
        if from == columns.len() {
            return f(columns);
        }
        for i in from..columns.len() {
            columns.swap(from, i);
            permute(columns, from + 1, f);
            columns.swap(from, i);
        }
    }
}
