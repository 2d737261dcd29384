//! The verdict on a model from how its draws compare with held-out rows, in words.

use super::super::certificate::Verdict;
use super::chance::{kolmogorov_quantile, normal_quantile};
use super::joint::{Told, OVERLAP};
use super::partition::standard_error;
use super::{ColumnResult, DataCertificate, Function, PairResult};

/// The total variation distance up to which a model may stand for its data, whatever their number says: a large table rejects every
/// model in the end.
pub(super) const LITTLE: f64 = 0.05;
/// What all tests together may reject of true models: two in a hundred, shared out among them. Within a family a test has the share of one
/// of as many (Bonferroni 1936).
const COLUMNS: f64 = 0.006;
const PAIRS: f64 = 0.004;
const CELLS: f64 = 0.002;
const TREES: f64 = 0.005;
const PRODUCTS: f64 = 0.003;
/// A distance that must be visible, or nothing is known.
const MOST_INVISIBLE: f64 = 0.5;
/// ξ of the rows above that of the draws by so much is no chance.
const SHARPER: f64 = 0.02;
/// Columns or pairs that are listed.
const LISTED: usize = 3;

/// One thing that speaks against the model.
struct Reason {
    size: f64,
    words: String,
}

impl DataCertificate {
    /// A lower bound of the total variation distance between the model and what the rows are drawn from, and its standard error: the
    /// largest of those that chance does not explain, or what the trees found.
    pub fn total_variation(&self) -> (f64, f64) {
        let (n, m) = (self.rows, self.draws);
        let columns = self.columns.iter().filter(|of| self.is_off(of)).map(|of| of.size(n, m));
        let pairs = self.pairs.iter().filter(|of| self.is_pair_off(of));
        let pairs = pairs.map(|of| (of.cells.total_variation, of.cells.standard_error));
        let told = [Some((&self.trees, TREES)), self.products.as_ref().map(|told| (told, PRODUCTS))];
        let told = told.into_iter().flatten().filter(|(told, level)| told.p_value < *level);
        let told = told.map(|(told, _)| (told.mass, told.standard_error));
        let first = (self.trees.mass.max(0.0), self.trees.standard_error);
        columns.chain(pairs).chain(told).fold(first, |best, of| if of.0 > best.0 { of } else { best })
    }

    /// The total variation distance that a classifier would have told from chance in four of five tables of so many rows, if it found all
    /// of it.
    pub fn visible(&self) -> f64 {
        let error = standard_error([0.5, 0.5], self.rows as f64, self.draws as f64);
        let by_classifier = (normal_quantile(1.0 - TREES) + normal_quantile(0.8)) * OVERLAP.sqrt() * error;
        by_classifier.clamp(LITTLE, 1.0)
    }

    /// The same for one column: the largest difference of the distribution functions.
    pub fn visible_in_a_column(&self) -> f64 {
        let level = COLUMNS / (2 * self.columns.len()) as f64;
        kolmogorov_quantile(level, self.rows, self.draws).clamp(LITTLE, 1.0)
    }

    fn is_off(&self, column: &ColumnResult) -> bool {
        let level = COLUMNS / (2 * self.columns.len()) as f64;
        column.ks_p_value < level && column.ks_size > LITTLE
            || column.cells.p_value < level && column.cells.total_variation > LITTLE
    }

    fn is_pair_off(&self, pair: &PairResult) -> bool {
        let level = PAIRS / self.pairs.len() as f64;
        pair.cells.p_value < level && pair.cells.total_variation > LITTLE
    }

    /// Fills verdict, reasons and help.
    pub(super) fn judge(&mut self) {
        let mut reasons = self.column_reasons();
        let of_columns = reasons.iter().map(|reason| reason.size).fold(0.0, f64::max);
        let functions: Vec<Function> = self.sharper().collect();
        reasons.extend(functions.iter().map(|function| self.function_reason(function)));
        reasons.extend(self.pair_reasons(of_columns));
        reasons.extend(self.joint_reason());
        reasons.sort_by(|a, b| b.size.total_cmp(&a.size));
        if !reasons.is_empty() {
            self.help = self.what_helps(of_columns > 0.0, &functions);
        }
        self.reasons = reasons.into_iter().map(|reason| reason.words).collect();
        let visible = self.visible();
        if visible > MOST_INVISIBLE {
            self.reasons.push(format!(
                "{} held-out rows cannot tell: a total variation of {visible:.2} could hide among them",
                self.rows
            ));
            self.help.push("more rows, or a larger share of them for `test`".into());
        }
        if !self.reasons.is_empty() {
            self.verdict = Verdict::NotTrusted;
            return;
        }
        let (found, error) = self.total_variation();
        self.reasons.push(format!(
            "{} held-out rows are like its draws (total variation at least {found:.3} ± {error:.3}); one of {visible:.2} would have been seen",
            self.rows
        ));
    }

    fn column_reasons(&self) -> Vec<Reason> {
        let mut off: Vec<&ColumnResult> = self.columns.iter().filter(|column| self.is_off(column)).collect();
        let size = |column: &ColumnResult| column.size(self.rows, self.draws);
        off.sort_by(|a, b| size(b).0.total_cmp(&size(a).0));
        let more = off.len().saturating_sub(LISTED);
        let mut reasons: Vec<Reason> = off
            .into_iter()
            .take(LISTED)
            .map(|column| {
                let (by, error) = size(column);
                let name = &column.name;
                let what = match column.spike {
                    Some(spike) => format!(
                        "`{name}` is exactly {} in {:.3} of the rows and in {:.3} of the draws: a spike, which no density has",
                        number(spike.value),
                        spike.rows,
                        spike.draws
                    ),
                    None => {
                        let Stretch { place, rows, draws } = Stretch::of(column);
                        format!("`{name}`: the rows have {rows:.3} of their mass {place}, the draws {draws:.3}")
                    }
                };
                let outside = match column.outside {
                    [low, high] if low + high > LITTLE => {
                        let [least, most] = column.range.map(number);
                        format!("; {:.3} of the draws are outside the rows' range {least} to {most}", low + high)
                    }
                    _ => String::new(),
                };
                Reason { size: by, words: format!("{what}{outside} (total variation at least {by:.3} ± {error:.3})") }
            })
            .collect();
        if let Some(last) = reasons.last_mut().filter(|_| more > 0) {
            last.words += &format!("; {more} columns more are as wrong or less so");
        }
        reasons
    }

    /// Columns that follow others more sharply among the rows than among the draws.
    fn sharper(&self) -> impl Iterator<Item = Function> + '_ {
        self.functions.iter().copied().filter(|function| function.xi[0] - function.xi[1] > SHARPER)
    }

    fn function_reason(&self, function: &Function) -> Reason {
        let (of, column) = (&self.names[function.of], &self.names[function.column]);
        let [rows, draws] = function.xi;
        Reason {
            size: rows - draws,
            words: format!(
                "`{column}` is nearly a function of `{of}` (ξ is {rows:.3} among the rows, {draws:.3} among the draws): too sharp for a density"
            ),
        }
    }

    /// Pairs that are wrong by more than their columns.
    fn pair_reasons(&self, of_columns: f64) -> Vec<Reason> {
        let size = |pair: &PairResult| pair.cells.total_variation;
        let mut off: Vec<&PairResult> =
            self.pairs.iter().filter(|pair| self.is_pair_off(pair) && size(pair) > 1.3 * of_columns).collect();
        off.sort_by(|a, b| size(b).total_cmp(&size(a)));
        let words = |pair: &&PairResult| {
            let ([a, b], rows, draws) = pair.worst()?;
            let [i, j] = pair.columns.map(|column| &self.names[column]);
            let (by, error) = (size(pair), pair.cells.standard_error);
            let place = format!("where `{i}` is {} and `{j}` {}", range(a), range(b));
            let words = format!(
                "`{i}` and `{j}` together: {place} are {rows:.3} of the rows and {draws:.3} of the draws (total variation at least {by:.3} ± {error:.3})"
            );
            Some(Reason { size: by, words })
        };
        off.iter().take(LISTED).filter_map(words).collect()
    }

    /// What all columns together say, with the cell that is most wrong.
    fn joint_reason(&self) -> Option<Reason> {
        let off = |told: &Told, level: f64| told.p_value < level && told.mass > LITTLE;
        let worst = self.cells.iter().max_by(|a, b| a.shares.total_variation.total_cmp(&b.shares.total_variation));
        let level = CELLS / self.cells.len().max(1) as f64;
        let in_cells = worst.filter(|cells| cells.shares.p_value < level && cells.shares.total_variation > LITTLE);
        let products = self.products.as_ref().filter(|told| off(told, PRODUCTS));
        let trees = Some(&self.trees).filter(|told| off(told, TREES));
        let told = match (trees, products) {
            (Some(trees), Some(products)) if products.mass > trees.mass => Some(products),
            (trees, products) => trees.or(products),
        };
        let region = in_cells.and_then(|of| Some((of, of.shares.worst()?))).map(|(of, cell)| {
            let (rows, draws) = (of.shares.rows[cell], of.shares.draws[cell]);
            format!("{rows:.3} of the rows and {draws:.3} of the draws are {}", of.cells.name(cell, &self.names))
        });
        let (size, error) = match (told, in_cells) {
            (Some(told), _) => (told.mass, told.standard_error),
            (None, Some(cells)) => (cells.shares.total_variation, cells.shares.standard_error),
            (None, None) => return None,
        };
        let told = told.map(|told| format!("a classifier tells rows from draws (AUC {:.3})", told.auc));
        let what: Vec<String> = told.into_iter().chain(region).collect();
        let what = what.join("; ");
        Some(Reason {
            size,
            words: format!("all columns together: {what} (total variation at least {size:.3} ± {error:.3})"),
        })
    }

    fn what_helps(&self, columns_are_off: bool, functions: &[Function]) -> Vec<String> {
        let mut help = Vec::new();
        for function in functions.iter().take(LISTED) {
            let (of, column) = (&self.names[function.of], &self.names[function.column]);
            help.push(format!("leave `{column}` out and compute it from `{of}` in the draws"));
        }
        let spikes = self.columns.iter().filter(|column| self.is_off(column) && column.spike.is_some());
        for (name, spike) in spikes.filter_map(|column| Some((&column.name, column.spike?))) {
            let value = number(spike.value);
            help.push(format!(
                "fit the rows where `{name}` is not {value}, and those where it is without `{name}`; draw from each by its share"
            ));
        }
        let beyond = self.columns.iter().filter(|column| self.is_off(column) && column.spike.is_none());
        let is_outside = |column: &&ColumnResult| {
            let outside = column.outside[0] + column.outside[1];
            outside > LITTLE && outside > 0.5 * column.size(self.rows, self.draws).0
        };
        for column in beyond.filter(is_outside).take(LISTED) {
            help.push(format!("a transform (`Log`, `Logit`) that keeps `{}` within its bounds", column.name));
        }
        if help.is_empty() {
            let more = if columns_are_off { "more bins" } else { "more or wider layers" };
            help.push(format!(
                "spline layers where they are affine, {more}, more steps, fewer columns, or more rows to fit"
            ));
        }
        help
    }
}

/// A stretch of a column in words, with the shares.
struct Stretch {
    place: String,
    rows: f64,
    draws: f64,
}

impl Stretch {
    fn of(column: &ColumnResult) -> Self {
        let super::columns::Stretch { low, high, rows, draws } = column.stretch;
        Self { place: range([low, high]), rows, draws }
    }
}

/// A part of the line in words.
pub(super) fn range([low, high]: [f64; 2]) -> String {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => format!("between {} and {}", number(low), number(high)),
        (true, false) => format!("above {}", number(low)),
        (false, true) => format!("below {}", number(high)),
        (false, false) => "anywhere".into(),
    }
}

/// A number as a person writes it: four digits, a true minus.
pub(super) fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    let plain = rounded == 0.0 || (1e-4..1e7).contains(&rounded.abs());
    let text = if plain { format!("{rounded}") } else { format!("{rounded:e}") };
    text.replace('-', "−")
}
