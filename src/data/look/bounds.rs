//! Columns that end at a bound and have mass there.

use super::column::{quantile, Column};
use super::finding::{Finding, Kind};
use crate::data::Grid;

/// The share of draws outside a bound from which on it is told, the share that is enough for the other bound of a
/// column with one, and that which it takes where nothing else speaks for the bound.
const OUTSIDE: [f64; 3] = [1e-3, 2e-4, 5e-3];

/// The width of the kernel that stands for a fit, in standard deviations of the bulk, at least: a flow's bins are not finer however many
/// rows there are.
const WIDTH: f64 = 0.15;

/// The largest power a of F(x) ~ (x − bound)ᵃ near a bound that has mass; a tail that ends far from it has a larger one.
const POWER: f64 = 4.0;

/// The same where nothing else speaks for the bound.
const STEEP: f64 = 2.0;

/// By how much (in nats) an end at the bound must explain the outermost values better than a normal tail does: for bounds that
/// many quantities have, and for others.
const EVIDENCE: [f64; 2] = [3.0, 8.0];

/// The least log chance of the gap between a bound and the value next to it, where nothing else speaks for the bound.
const GAP: f64 = -6.0;

/// How far the mode of the tail that is the alternative may lie within it, in its standard deviations, where the outermost values are a
/// hump of their own, or nothing else speaks for the bound.
const HUMP: f64 = 8.0;

/// How many times as thin as on both sides the values lie in a valley, and the share of them (and the least number) by which that is seen.
const VALLEY: f64 = 3.0;
const WINDOW: (f64, usize) = (0.05, 15);

/// The largest share of values on a bound of which it is told.
const MOST_ON_BOUND: f64 = 0.2;

/// The shares of the values that are looked at from the end inwards, and the least number of them.
const SHARES: [f64; 3] = [0.25, 0.1, 0.025];
const FEWEST: usize = 10;

/// The fewest rows that tell of a bound: one that many quantities have, and another.
const ROWS: [usize; 2] = [40, 300];

/// A possible end of a column.
#[derive(Debug, Clone, Copy)]
struct End {
    bound: f64,
    /// Whether many quantities end there.
    natural: bool,
}

/// The bounds that `column` needs a link for.
pub(super) fn bound(column: &Column) -> Option<Finding> {
    if column.is_constant() || (column.grid.is_none() && !column.is_continuous()) || column.bulk.len() < ROWS[0] {
        return None;
    }
    // Values on a grid without dither are told as such first.
    if column.undithered().is_some() && !column.is_fine() {
        return None;
    }
    let values = spread_out(column);
    let ([low, high], margin) = (column.range(), column.dither().map_or(0.0, |grid| grid.step / 2.0));
    let at_low = [
        End { bound: 0.0, natural: low >= 0.0 },
        End { bound: -1.0, natural: (-1.0..0.0).contains(&low) && high <= 1.0 },
    ];
    let at_high = [
        End { bound: 1.0, natural: high <= 1.0 && low >= -1.0 },
        End { bound: 100.0, natural: high <= 100.0 && low >= 0.0 },
        End { bound: 0.0, natural: high <= 0.0 },
        End { bound: 360.0, natural: high <= 360.0 && low >= 0.0 },
    ];
    let side = |ends: &[End], sign: f64, level: usize| -> Option<Edge> {
        let values: Vec<f64> = if sign > 0.0 { values.clone() } else { values.iter().rev().map(|x| -x).collect() };
        let first = if sign > 0.0 { low } else { -high };
        let natural = ends
            .iter()
            .filter(|end| end.natural)
            .map(|end| End { bound: place_within(column, end.bound, sign), ..*end });
        let round = match column.dither() {
            Some(_) => vec![first],
            None => rounded_below(first, high - low),
        };
        let round = round.into_iter().map(|bound| End { bound, natural: false });
        // A spike on the bound is told as one; no link can take it.
        let ends = natural.chain(round).filter(|end| !column.is_spike(sign * end.bound));
        let mut edges = ends.filter_map(|end| edge(&values, end, margin, column, level));
        edges.next().map(|edge| Edge { bound: sign * edge.bound, ..edge })
    };
    let (mut lower, mut upper) = (side(&at_low, 1.0, 0), side(&at_high, -1.0, 0));
    // Where one end is a bound, less speaks for the other.
    if upper.is_some() && lower.is_none() {
        lower = side(&at_low, 1.0, 1);
    } else if lower.is_some() && upper.is_none() {
        upper = side(&at_high, -1.0, 1);
    }
    let natural = |ends: &[End]| ends.iter().find(|end| end.natural).map(|end| place_within(column, end.bound, 1.0));
    let outside = lower.map_or(0.0, |edge| edge.outside) + upper.map_or(0.0, |edge| edge.outside);
    let on_bound = lower.map_or(0, |edge| edge.on_bound) + upper.map_or(0, |edge| edge.on_bound);
    let low = match (lower, upper) {
        (None, None) => return None,
        (Some(edge), _) => Some(edge.bound),
        // A link with an upper bound has a lower one as well.
        (None, Some(_)) => natural(&at_low).map(|bound| bound - margin).filter(|&bound| low > bound),
    };
    let high = upper.map(|edge| edge.bound);
    Some(Finding::new(Kind::Bound { column: column.name.clone(), low, high, outside, on_bound }))
}

/// The column's values, ascending; those on a grid are spread evenly over their cells, as dithering does.
fn spread_out(column: &Column) -> Vec<f64> {
    let Some(Grid { step, .. }) = column.dither() else { return column.bulk.clone() };
    let cells = column.bulk.chunk_by(|a, b| a == b).flat_map(|cell| {
        cell.iter().enumerate().map(move |(i, value)| value + step * ((i as f64 + 0.5) / cell.len() as f64 - 0.5))
    });
    cells.collect()
}

/// `bound`, or on a grid the first place within it, as seen from the side that is below for a `sign` of −1.
fn place_within(column: &Column, bound: f64, sign: f64) -> f64 {
    let Some(grid) = column.dither() else { return sign * bound };
    let place = sign * grid.nearest(bound);
    if place < sign * bound - 1e-6 * grid.step {
        place + grid.step
    } else {
        place
    }
}

/// Round numbers at or below `first`, the roundest first: multiples of 1, 5 and 2 times powers of ten, down to a few thousandths of the
/// column's width.
fn rounded_below(first: f64, width: f64) -> Vec<f64> {
    let unit = 10f64.powf(width.log10().floor());
    let units = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01].map(|part| part * unit);
    // Without the rounding of the product, which nobody would write.
    let tidy = |bound: f64| format!("{bound:.9e}").parse().unwrap_or(bound);
    let mut round: Vec<f64> = units.map(|unit| tidy((first / unit).floor() * unit)).to_vec();
    round.retain(|bound| bound.is_finite() && *bound <= first);
    round.dedup();
    round
}

/// A bound with mass at it.
#[derive(Debug, Clone, Copy)]
struct Edge {
    bound: f64,
    outside: f64,
    on_bound: usize,
}

/// What speaks for a lower bound of `values` (ascending) at `end`; values on a grid end half a step (`margin`) lower.
///
/// The k values nearest to the bound b, with the next one t, have the log likelihood of the density a (x − b)ᵃ⁻¹ / (t − b)ᵃ, which ends at b, with
/// a = k / Σ ln((t − b)/(x − b)) as in Hill (1975); it is compared with that of a normal tail. The share outside is that of a kernel
/// density estimate with Silverman's (1986) width.
fn edge(values: &[f64], end: End, margin: f64, column: &Column, level: usize) -> Option<Edge> {
    let bound = end.bound - margin;
    let on_bound = values.iter().take_while(|&&x| x <= bound).count();
    let inside = &values[on_bound..];
    // Many values on the bound are a part of the distribution, and one that the values themselves suggest is none.
    let too_many = if end.natural { (MOST_ON_BOUND * values.len() as f64) as usize } else { 0 };
    if on_bound > too_many || inside.len() < ROWS[usize::from(!end.natural)] {
        return None;
    }
    // The scale of the bulk is not that of a narrow part at the end.
    let local = 2.0 * (quantile(inside, 0.25) - quantile(inside, 0.05)) / 0.9704;
    let width = (0.9 * (inside.len() as f64).powf(-0.2)).max(WIDTH) * column.scale.min(local);
    let near = inside.iter().take_while(|&&x| x < bound + 6.0 * width);
    let outside = near.map(|x| 0.5 * libm::erfc((x - bound) / (width * std::f64::consts::SQRT_2))).sum::<f64>()
        / inside.len() as f64;
    if !(outside >= OUTSIDE[if end.natural { level } else { 2 }]) {
        return None;
    }
    let valley = has_valley(inside);
    if valley && !end.natural {
        // The end of a cluster is no bound.
        return None;
    }
    let hump = if end.natural && !valley { 0.0 } else { HUMP };
    let evidence = SHARES.iter().filter_map(|share| {
        let k = ((share * inside.len() as f64) as usize).max(FEWEST);
        let (nearest, t) = (inside.get(..k)?, *inside.get(k)?);
        let count = k as f64;
        let reach = t - bound;
        let logs: f64 = nearest.iter().map(|x| (reach / (x - bound)).ln()).sum();
        let power = count / logs;
        let ends = count * (power / reach).ln() - (power - 1.0) * logs;
        // The log chance that the nearest of all is so far off.
        let gap = count * (-((nearest[0] - bound) / reach).powf(power)).ln_1p();
        let plausible = if end.natural { power <= POWER } else { power <= STEEP && gap > GAP };
        plausible.then(|| ends - goes_on(nearest, t, hump))
    });
    let evidence = evidence.fold(f64::NEG_INFINITY, f64::max);
    let less = if level > 0 && end.natural { 0.5 } else { 1.0 };
    let enough = less * EVIDENCE[usize::from(!end.natural)];
    (evidence >= enough && evidence.is_finite()).then_some(Edge { bound, outside, on_bound })
}

/// The largest log likelihood of `nearest` under a normal density cut off above `t`, with the mode at most `hump` of its standard
/// deviations below t. With y = t − x, mode r s and scale s the density is φ(y/s − r) / (s Φ(r)); for a given r the best 1/s is the root of
/// k/u − u Σy² + r Σy. A mode far above t makes an exponential tail.
fn goes_on(nearest: &[f64], t: f64, hump: f64) -> f64 {
    let count = nearest.len() as f64;
    let (first, second) =
        nearest.iter().fold((0.0, 0.0), |(first, second), x| (first + (t - x), second + (t - x).powi(2)));
    let steps = (0..).map(|step| -6.0 + 0.25 * f64::from(step)).take_while(|&r| r <= hump);
    let of = |r: f64| {
        let u = (r * first + (r * r * first * first + 4.0 * count * second).sqrt()) / (2.0 * second);
        let squares = u * u * second - 2.0 * r * u * first + count * r * r;
        let below = 0.5 * libm::erfc(-r / std::f64::consts::SQRT_2);
        count * (u / below).ln() - 0.5 * squares - 0.5 * count * std::f64::consts::TAU.ln()
    };
    let exponential = -count * (first / count).ln() - count;
    steps.map(of).fold(exponential, f64::max)
}

/// Whether the values lie thinner somewhere in the outer three quarters than both farther out and farther in.
fn has_valley(values: &[f64]) -> bool {
    let window = ((WINDOW.0 * values.len() as f64) as usize).max(WINDOW.1);
    let outer = &values[..values.len() * 3 / 4];
    let widths = outer.iter().zip(outer.iter().skip(window)).map(|(first, last)| last - first);
    let widths: Vec<f64> = widths.collect();
    let mut farther_in = widths.clone();
    (1..widths.len()).rev().for_each(|i| farther_in[i - 1] = farther_in[i - 1].min(farther_in[i]));
    let mut farther_out = f64::INFINITY;
    widths.iter().zip(farther_in).any(|(&width, farther_in)| {
        farther_out = farther_out.min(width);
        width > VALLEY * farther_out.max(farther_in)
    })
}
