//! Rows that repeat earlier ones.

use super::column::Column;
use super::finding::{Finding, Kind};
use crate::data::Table;

/// The least share and number of repeated rows that are told.
const LEAST: (f64, usize) = (0.002, 3);

/// Rows that equal an earlier one in every column, where chance does not explain it: only rows with some value that varies freely (and
/// is none of the `codes`, of a column each) are compared, and the equal values of some such column come mostly from equal rows.
pub(super) fn repeated(table: &Table, columns: &[Column], codes: &[(&str, f64)]) -> Option<Finding> {
    let free: Vec<usize> = (0..columns.len()).filter(|&place| columns[place].is_continuous()).collect();
    let shared = |place: usize, value: f64| {
        let column = &columns[place];
        column.is_spike(value) || codes.iter().any(|&(name, code)| code == value && name == column.name)
    };
    let counts = |row: &[f64]| free.iter().any(|&place| !shared(place, row[place]));
    let compared = || table.values.chunks_exact(table.dim()).filter(|row| counts(row));
    let mut marks: Vec<u64> = compared().map(mark).collect();
    let total = marks.len();
    let (rows, pairs) = repeats(&mut marks);
    let share = rows as f64 / table.len() as f64;
    if share < LEAST.0 || rows < LEAST.1 {
        return None;
    }
    let of_columns = free.iter().map(|&place| {
        let values = compared().map(|row| row[place]).filter(|&value| !shared(place, value));
        repeats(&mut values.map(|value| mark(&[value])).collect::<Vec<u64>>()).1
    });
    let fewest = of_columns.min().unwrap_or(usize::MAX);
    // Pairs that are equal by rounding alone: with step δ and standard deviation s, n² δ ∫p² / 2, where ∫p² is 1 / (3.54 s) for a normal p.
    let by_rounding = free.iter().map(|&place| columns[place].resolution() / (3.54 * columns[place].scale));
    let by_rounding = 0.5 * (total as f64).powi(2) * by_rounding.fold(f64::INFINITY, f64::min);
    (2 * pairs >= fewest && pairs as f64 > 3.0 * by_rounding).then(|| Finding::new(Kind::Repeated { rows, share }))
}

/// Numbers that occurred before, and pairs of equal ones; sorts them.
fn repeats(marks: &mut [u64]) -> (usize, usize) {
    marks.sort_unstable();
    let runs = marks.chunk_by(|a, b| a == b).map(<[u64]>::len);
    runs.fold((0, 0), |(rows, pairs), run| (rows + run - 1, pairs + run * (run - 1) / 2))
}

/// A number for a row: equal rows have equal ones, others differ but for a chance of 2⁻⁶⁴ (the mixing step of Steele, Lea and Flood 2014).
fn mark(row: &[f64]) -> u64 {
    row.iter().fold(0x9e37_79b9_7f4a_7c15, |mark, &value| {
        // Both zeros are the same number.
        let mut z = (mark ^ (value + 0.0).to_bits()).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
