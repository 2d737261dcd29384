//! Where models are most wrong, and in which columns one sees it: what is worst comes first.

use super::looks::{Looks, Sample, Who};

/// A model beside what it is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison<'a> {
    /// What is right.
    pub right: &'a Sample,
    /// What is compared with it.
    pub model: &'a Sample,
}

/// What was found in the columns that are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Worst {
    /// Columns, the worst first.
    pub columns: Vec<usize>,
    /// The wrong mass of each of all columns, with the model that has it.
    pub marginal: Vec<Option<(f64, Who, Who)>>,
    /// The worst pair, its wrong mass, and who differs.
    pub pair: Option<([usize; 2], f64, Who, Who)>,
}

/// Cells along a column, for itself and for a pair.
const CELLS: usize = 16;
const CELLS_OF_A_PAIR: usize = 8;
/// Columns that pairs are looked for in, at most.
const MOST_COLUMNS: usize = 64;
/// Rows by which columns are ordered.
const ROWS: usize = 4_000;
/// Wrong mass below this is put down to chance.
pub(super) const LITTLE: f64 = 0.03;

/// What is compared with what.
pub(super) fn comparisons(looks: &Looks) -> Vec<Comparison<'_>> {
    let of = |who| looks.of(who);
    let pairs = [
        (Who::Data, Who::Teacher),
        (Who::Data, Who::Student),
        (Who::Independent, Who::Student),
        (Who::Independent, Who::Teacher),
        (Who::Teacher, Who::Student),
    ];
    let there =
        pairs.into_iter().filter_map(|(right, model)| Some(Comparison { right: of(right)?, model: of(model)? }));
    let all: Vec<Comparison> = there.collect();
    // A teacher says what is right only where nothing else does.
    let better = all.iter().any(|it| it.right.who.is_reference() && it.model.who == Who::Student);
    all.into_iter().filter(|it| it.right.who.is_reference() || !better).collect()
}

/// Looks for it.
pub(super) fn worst(looks: &Looks) -> Worst {
    let width = looks.width();
    let all = comparisons(looks);
    let columns = width.min(MOST_COLUMNS);
    let mut found = Worst { marginal: vec![None; width], ..Worst::default() };
    let mut scores = vec![0.0f64; width];
    for it in &all {
        let right = |column| it.right.column(column, width).take(ROWS).collect::<Vec<_>>();
        let model = |column| it.model.column(column, width).take(ROWS).collect::<Vec<_>>();
        let mut coarse: Vec<[Vec<usize>; 2]> = Vec::new();
        for (column, score) in scores.iter_mut().enumerate() {
            let (right, model) = (right(column), model(column));
            let edges = edges(&right, &model, CELLS);
            let places = [&right, &model].map(|values| places(values, &edges));
            let wrong = wrong_mass(&places[0], &places[1], CELLS);
            if found.marginal[column].is_none_or(|(before, ..)| wrong > before) {
                found.marginal[column] = Some((wrong, it.right.who, it.model.who));
            }
            *score = score.max(wrong);
            let halved = |places: Vec<usize>| places.into_iter().map(|k| k * CELLS_OF_A_PAIR / CELLS).collect();
            coarse.push(places.map(halved));
        }
        for (i, j) in pairs_of(columns) {
            let cells = |side: usize| -> Vec<usize> {
                let both = coarse[i][side].iter().zip(&coarse[j][side]);
                both.map(|(a, b)| a * CELLS_OF_A_PAIR + b).collect()
            };
            let wrong = wrong_mass(&cells(0), &cells(1), CELLS_OF_A_PAIR * CELLS_OF_A_PAIR);
            if found.pair.is_none_or(|(_, before, ..)| wrong > before) {
                found.pair = Some(([j, i], wrong, it.right.who, it.model.who));
            }
            scores[i] = scores[i].max(wrong);
            scores[j] = scores[j].max(wrong);
        }
    }
    let dependence = strongest_dependence(looks, columns);
    let key = |column: usize| {
        let score = if scores[column] < LITTLE { 0.0 } else { (50.0 * scores[column]).round() };
        (score, dependence.get(column).copied().unwrap_or(0.0))
    };
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|a, b| key(*b).partial_cmp(&key(*a)).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b)));
    // The worst pair stands together, if there is anything to be seen in it.
    if let Some((mut pair, ..)) = found.pair.filter(|(_, wrong, ..)| *wrong >= LITTLE) {
        let marginal = |column: usize| found.marginal[column].map_or(0.0, |(wrong, ..)| wrong);
        if marginal(pair[1]) > marginal(pair[0]) {
            pair.swap(0, 1);
        }
        order.retain(|column| !pair.contains(column));
        order.splice(0..0, pair);
    }
    found.columns = order;
    found
}

/// Places between which both sides together have the same number of values.
fn edges(right: &[f64], model: &[f64], cells: usize) -> Vec<f64> {
    let mut all: Vec<f64> = right.iter().chain(model).copied().collect();
    all.sort_by(f64::total_cmp);
    (1..cells).map(|k| all.get(k * all.len() / cells).copied().unwrap_or(0.0)).collect()
}

fn places(values: &[f64], edges: &[f64]) -> Vec<usize> {
    values.iter().map(|value| edges.partition_point(|edge| edge <= value)).collect()
}

/// Half of the sum of the differences of shares, less what chance alone would make of it.
fn wrong_mass(right: &[usize], model: &[usize], cells: usize) -> f64 {
    if right.is_empty() || model.is_empty() {
        return 0.0;
    }
    let mut shares = vec![[0.0f64; 2]; cells];
    let each = [1.0 / right.len() as f64, 1.0 / model.len() as f64];
    right.iter().for_each(|cell| shares[*cell][0] += each[0]);
    model.iter().for_each(|cell| shares[*cell][1] += each[1]);
    let apart: f64 = shares.iter().map(|[a, b]| 0.5 * (a - b).abs()).sum();
    // The mean of the absolute value of a normal variable is √(2/π) standard deviations.
    let chance: f64 = shares.iter().map(|[a, b]| 0.4 * (0.5 * (a + b) * (each[0] + each[1])).sqrt()).sum();
    (apart - chance).max(0.0)
}

/// The largest absolute rank correlation (Spearman 1904) of each column with another one.
fn strongest_dependence(looks: &Looks, columns: usize) -> Vec<f64> {
    let Some(sample) = looks.reference().or_else(|| looks.samples.last()) else { return Vec::new() };
    let ranks: Vec<Vec<f64>> = (0..columns)
        .map(|column| {
            let values: Vec<f64> = sample.column(column, looks.width()).take(ROWS / 4).collect();
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
            let mut ranks = vec![0.0; values.len()];
            let middle = 0.5 * (values.len() as f64 - 1.0);
            order.into_iter().enumerate().for_each(|(rank, row)| ranks[row] = rank as f64 - middle);
            ranks
        })
        .collect();
    let mut strongest = vec![0.0f64; columns];
    for (i, j) in pairs_of(columns) {
        let product: f64 = ranks[i].iter().zip(&ranks[j]).map(|(a, b)| a * b).sum();
        let square: f64 = ranks[i].iter().map(|a| a * a).sum();
        let correlation = if square > 0.0 { (product / square).abs() } else { 0.0 };
        strongest[i] = strongest[i].max(correlation);
        strongest[j] = strongest[j].max(correlation);
    }
    strongest
}

/// Every pair of so many columns once.
fn pairs_of(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).flat_map(|i| (0..i).map(move |j| (i, j)))
}
