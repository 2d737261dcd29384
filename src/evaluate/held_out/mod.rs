//! A model against rows that it has not seen: column by column, pair by pair, and all columns at once.

mod chance;
mod columns;
mod joint;
mod pairs;
mod partition;
mod quadratic;
mod report;
mod sides;
mod trees;
mod verdict;

pub use columns::{ColumnResult, Spike, Stretch};
pub use joint::Told;
pub use pairs::{Function, PairResult};
pub use partition::Partition;
pub use sides::Sides;

use super::certificate::Verdict;
use super::draws::draws_beside;
use super::regions::Cells;
use crate::flow::FrozenModel;
use crate::seed::Stream;

/// Shares of cells that were found among rows and draws, and the cells.
#[derive(Debug, Clone, PartialEq)]
pub struct CellsResult {
    /// The cells.
    pub cells: Cells,
    /// Their shares.
    pub shares: Partition,
}

/// How a model's draws compare with held-out rows, and whether they may stand for them. `docs/certificate.md` has a definition and a source
/// for each figure.
#[derive(Debug, Clone, PartialEq)]
pub struct DataCertificate {
    /// Trusted, or not.
    pub verdict: Verdict,
    /// Why, in words, the largest deviation first.
    pub reasons: Vec<String>,
    /// What would help.
    pub help: Vec<String>,
    /// The number of held-out rows.
    pub rows: usize,
    /// The number of the model's draws.
    pub draws: usize,
    /// The columns' names.
    pub names: Vec<String>,
    /// Each column.
    pub columns: Vec<ColumnResult>,
    /// Each pair of columns.
    pub pairs: Vec<PairResult>,
    /// Columns that are nearly functions of others among the rows.
    pub functions: Vec<Function>,
    /// Cells of space, coarse and fine.
    pub cells: Vec<CellsResult>,
    /// What boosted trees make of it.
    pub trees: Told,
    /// What a quadratic discriminant makes of it.
    pub products: Option<Told>,
}

/// Held-out rows that are used, at most.
const MOST_ROWS: usize = 20_000;
/// Draws for each row, so that their own noise hardly counts, …
const DRAWS_TO_A_ROW: usize = 4;
/// … at least and at most.
const DRAWS: [usize; 2] = [4_000, 20_000];
/// Numbers of cells that are looked for.
const CELLS: [usize; 3] = [4, 16, 64];

/// Compares `model` with `rows` of its coordinates, row-major, that had no part in its fit. Where its columns are on grids both sides are put
/// onto them. Draws are given what the rows have where the model is given something: the rows together with what they are given are
/// compared with draws together with the same.
pub fn certify_on_rows(model: &FrozenModel<f64>, rows: &[f64], stream: &Stream) -> DataCertificate {
    let dim = model.dim();
    let every = (rows.len() / dim).div_ceil(MOST_ROWS).max(1);
    let mut rows: Vec<f64> = rows.chunks_exact(dim).step_by(every).flatten().copied().collect();
    let n = rows.len() / dim;
    let m = (DRAWS_TO_A_ROW * n).clamp(DRAWS[0], DRAWS[1]).max(n);
    let mut draws = draws_beside(model, &rows, m, &stream.child("draws"));
    model.snap(&mut rows);
    model.snap(&mut draws);
    let log_prob = |points: &[f64]| {
        let mut log_prob = vec![0.0; points.len() / dim];
        model.log_prob(points, &mut log_prob);
        log_prob
    };
    let (of_rows, of_draws) = (log_prob(&rows), log_prob(&draws));
    let names = model.names();
    let sides = Sides { names, rows: &rows, draws: &draws, log_densities: Some((&of_rows, &of_draws)) };
    DataCertificate::of(&sides, &stream.child("compare"))
}

impl DataCertificate {
    /// Compares two samples and judges what was found.
    pub fn of(sides: &Sides, stream: &Stream) -> Self {
        let columns = sides.columns();
        let by_column = columns::compare(sides, &columns);
        let tied: Vec<f64> = by_column.iter().map(|column| column.tied[0]).collect();
        let mixed = sides.mixed();
        let of_cells = |k: &usize| {
            let cells = Cells::among(&mixed, sides.dim(), *k, &stream.child(&format!("{k} cells")))?;
            let [rows, draws] = sides.counts_in(&cells);
            Some(CellsResult { cells, shares: Partition::of_counts(&rows, &draws) })
        };
        let (trees, products) = joint::tell_apart(sides, &columns, &stream.child("classifier"));
        let mut found = Self {
            verdict: Verdict::Trusted,
            reasons: Vec::new(),
            help: Vec::new(),
            rows: sides.n(),
            draws: sides.m(),
            names: sides.names.to_vec(),
            pairs: pairs::compare(&columns),
            functions: pairs::functions(&columns, &tied),
            columns: by_column,
            cells: CELLS.iter().filter_map(of_cells).collect(),
            trees,
            products,
        };
        found.judge();
        found
    }
}
