//! Each pair of columns: shares of the cells of a grid, and how the two depend on each other.

use super::partition::Partition;
use super::sides::{cell_of, even_edges, Column};
use rayon::prelude::*;

/// How a pair of columns of the draws compares with that of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PairResult {
    /// The places of the two columns.
    pub columns: [usize; 2],
    /// Shares of the cells of a grid whose lines are even for each column.
    pub cells: Partition,
    /// The ends of the cells, of either column.
    pub edges: [Vec<f64>; 2],
}

/// A column that is nearly a function of another among the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Function {
    /// The column that the other follows.
    pub of: usize,
    /// The column that follows.
    pub column: usize,
    /// ξ of the rows and of as many draws.
    pub xi: [f64; 2],
}

/// Cells along either side of a grid, at most.
const SIDE: usize = 8;
/// Rows to a cell, at least.
const ROWS_TO_A_CELL: f64 = 15.0;
/// Pairs that are looked at; beyond, the joint comparison is all there is.
const MOST_PAIRS: usize = 2016;
/// ξ from which a column follows another so closely that hardly any smooth density is as narrow.
const FUNCTION: f64 = 0.97;
/// Rows from which ξ is looked at.
const LEAST_ROWS: usize = 50;

/// The pairs that are looked at.
fn pairs(dim: usize) -> Vec<[usize; 2]> {
    (0..dim).flat_map(|j| (0..j).map(move |i| [i, j])).take(MOST_PAIRS).collect()
}

/// Compares pairs of columns.
pub(super) fn compare(columns: &[Column]) -> Vec<PairResult> {
    let n = columns.first().map_or(0, |column| column.rows.len()) as f64;
    let side = ((n / ROWS_TO_A_CELL).sqrt() as usize).clamp(2, SIDE);
    let edges: Vec<Vec<f64>> = columns.par_iter().map(|column| even_edges(&column.steps(), side)).collect();
    let place =
        |values: &[f64], edges: &[f64]| -> Vec<u8> { values.iter().map(|x| cell_of(edges, *x) as u8).collect() };
    let places: Vec<[Vec<u8>; 2]> = columns
        .par_iter()
        .zip(&edges)
        .map(|(column, edges)| [place(&column.rows, edges), place(&column.draws, edges)])
        .collect();
    pairs(columns.len())
        .into_par_iter()
        .map(|[i, j]| {
            let width = edges[j].len() + 1;
            let count = |side: usize| {
                let mut counts = vec![0.0; (edges[i].len() + 1) * width];
                let cells = places[i][side].iter().zip(&places[j][side]);
                cells.for_each(|(a, b)| counts[usize::from(*a) * width + usize::from(*b)] += 1.0);
                counts
            };
            let cells = Partition::of_counts(&count(0), &count(1));
            PairResult { columns: [i, j], cells, edges: [edges[i].clone(), edges[j].clone()] }
        })
        .collect()
}

impl PairResult {
    /// The cell where the masses differ most: its ends along either column, the share of the rows and of the draws.
    pub fn worst(&self) -> Option<([[f64; 2]; 2], f64, f64)> {
        let cell = self.cells.worst()?;
        let width = self.edges[1].len() + 1;
        let ends = |edges: &[f64], c: usize| {
            let low = if c == 0 { f64::NEG_INFINITY } else { edges[c - 1] };
            [low, edges.get(c).copied().unwrap_or(f64::INFINITY)]
        };
        let ends = [ends(&self.edges[0], cell / width), ends(&self.edges[1], cell % width)];
        Some((ends, self.cells.rows[cell], self.cells.draws[cell]))
    }
}

/// Columns that are functions of others among the rows, by Chatterjee's ξ (2021); columns with many ties say nothing of it.
pub(super) fn functions(columns: &[Column], tied: &[f64]) -> Vec<Function> {
    let n = columns.first().map_or(0, |column| column.rows.len());
    if n < LEAST_ROWS {
        return Vec::new();
    }
    let usable: Vec<bool> = tied.iter().map(|share| *share < 0.2).collect();
    let ranks: Vec<(Vec<usize>, Vec<usize>)> = columns.par_iter().map(|column| order_and_ranks(&column.rows)).collect();
    let pairs: Vec<[usize; 2]> = pairs(columns.len()).into_iter().flat_map(|[i, j]| [[i, j], [j, i]]).collect();
    pairs
        .into_par_iter()
        .filter(|[of, column]| usable[*of] && usable[*column])
        .filter_map(|[of, column]| {
            let rows = xi(&ranks[of].0, &ranks[column].1);
            (rows > FUNCTION).then(|| {
                let m = n.min(columns[of].draws.len());
                let of_draws = |place: usize| order_and_ranks(&columns[place].draws[..m]);
                Function { of, column, xi: [rows, xi(&of_draws(of).0, &of_draws(column).1)] }
            })
        })
        .collect()
}

/// The places of the values in rising order, and the rank of each.
fn order_and_ranks(values: &[f64]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0; values.len()];
    order.iter().enumerate().for_each(|(rank, &place)| ranks[place] = rank);
    (order, ranks)
}

/// ξ = 1 − 3 Σ |r(k+1) − r(k)| / (n² − 1), where r are ranks of one column in the order of the other: 0 if they are independent, 1 if
/// the one is a function of the other (Chatterjee 2021).
fn xi(order: &[usize], ranks: &[usize]) -> f64 {
    let n = order.len() as f64;
    let steps: usize = order.windows(2).map(|pair| ranks[pair[0]].abs_diff(ranks[pair[1]])).sum();
    1.0 - 3.0 * steps as f64 / (n * n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    /// Two columns of normals with correlation `rho`.
    fn correlated(rows: usize, rho: f64, name: &str) -> [Vec<f64>; 2] {
        let mut z = vec![0.0; 2 * rows];
        Seed(4).stream(name).normals(0, 2, &mut z);
        let column = |f: &dyn Fn(&[f64]) -> f64| z.chunks_exact(2).map(f).collect();
        [column(&|z| z[0]), column(&|z| rho * z[0] + (1.0 - rho * rho).sqrt() * z[1])]
    }

    fn columns(rows: [Vec<f64>; 2], draws: [Vec<f64>; 2]) -> Vec<Column> {
        rows.into_iter().zip(draws).map(|(rows, draws)| Column { rows, draws }).collect()
    }

    #[test]
    fn a_lost_dependence_is_found_with_its_size() {
        // Correlation ρ against none: the total variation distance is near ρ/π for small ρ, and 0.162 for ρ = 0.5.
        let columns = columns(correlated(20_000, 0.5, "rows"), correlated(40_000, 0.0, "draws"));
        let found = &compare(&columns)[0];
        assert!(found.cells.p_value < 1e-12);
        assert!((found.cells.total_variation - 0.162).abs() < 0.02, "{}", found.cells.total_variation);
    }

    #[test]
    fn a_curve_is_a_function_one_way() {
        let [x, noise] = correlated(1000, 0.0, "curve");
        let curve: Vec<f64> = x.iter().map(|x| x * x).collect();
        let columns = columns([x.clone(), curve], [x, noise]);
        let found = functions(&columns, &[0.0, 0.0]);
        assert_eq!(found.iter().map(|f| (f.of, f.column)).collect::<Vec<_>>(), [(0, 1)]);
        assert!(found[0].xi[0] > 0.98 && found[0].xi[1] < 0.2, "{found:?}");
        assert!(functions(&columns, &[0.0, 0.9]).is_empty());
    }
}
