//! Newton's method within a bracket, to the last bits that are meaningful: for one number, and for a group of lanes at once.

use super::group::{clamp, each, larger, size, Group};
use super::real::Real;

/// Steps at most; a bracket that halves needs some sixty.
const STEPS: usize = 200;

/// Solves f(x) = y for an increasing f, of which value and log slope are known.
pub fn solve(y: f64, f: impl Fn(f64) -> (f64, f64)) -> f64 {
    if !y.is_finite() {
        return y;
    }
    // A bracket around a first guess, each side twice as far until it holds y.
    let (mut low, mut high, mut width) = (y - 1.0, y + 1.0, 1.0);
    while f(low).0 > y && width < f64::MAX / 4.0 {
        width *= 2.0;
        low = y - width;
    }
    width = 1.0;
    while f(high).0 < y && width < f64::MAX / 4.0 {
        width *= 2.0;
        high = y + width;
    }
    let mut x = 0.5 * (low + high);
    for _ in 0..STEPS {
        let (value, log_slope) = f(x);
        if value == y {
            break;
        }
        if value < y {
            low = x;
        } else {
            high = x;
        }
        let newton = x - (value - y) * (-log_slope).exp();
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if next == x || (high - low) <= f64::EPSILON * x.abs() {
            break;
        }
        x = next;
    }
    x
}

/// Solves f(x) = y in every lane, from `x` on. A lane that is done waits for the others, so that what it finds does not depend on them.
///
/// A lane is done where its residual is no more than the rounding of y, or its step or its bracket no more than that of x. The bracket begins without ends;
/// steps grow at most twofold, so that a flat place throws none of them far out, and where Newton's do not shrink, the bracket is halved.
#[inline(always)]
pub fn solve_lanes<E: Real>(y: &Group<E>, mut x: Group<E>, f: impl Fn(&Group<E>) -> (Group<E>, Group<E>)) -> Group<E> {
    let y = *y;
    let (half, far, infinite) = (E::of(0.5), E::of(2.0), E::of(f64::INFINITY));
    let (mut low, mut high) = (each(|_| -infinite), each(|_| infinite));
    let mut most = each(|c| E::ONE + size(y[c]));
    let mut last = most;
    // 1 where a lane is done; numbers that are not finite are their own images.
    let mut done = each(|c| if size(y[c]) < infinite { E::ZERO } else { E::ONE });
    x = each(|c| if done[c] > E::ZERO { y[c] } else { x[c] });
    for _ in 0..STEPS {
        let (value, log_slope) = f(&x);
        let off = each(|c| value[c] - y[c]);
        low = each(|c| if off[c] < E::ZERO { x[c] } else { low[c] });
        high = each(|c| if off[c] > E::ZERO { x[c] } else { high[c] });
        let newton = each(|c| x[c] - clamp(off[c] * Real::exp(-log_slope[c]), -most[c], most[c]));
        let middle = each(|c| half * (low[c] + high[c]));
        let next = each(|c| {
            let within = (newton[c] >= low[c]) & (newton[c] <= high[c]);
            let slow = (size(newton[c] - x[c]) > half * last[c]) & (size(middle[c]) < infinite);
            if within & !slow {
                newton[c]
            } else {
                middle[c]
            }
        });
        last = each(|c| size(next[c] - x[c]));
        most = each(|c| most[c] + most[c]);
        let residual = each(|c| size(off[c]) - far * E::EPSILON * (E::ONE + size(y[c])));
        let least = each(|c| E::EPSILON * size(x[c]));
        // A lane moves on where all of these hold; a NaN does not.
        let stays = each(|c| {
            let moves = (residual[c] > E::ZERO) & (last[c] > least[c]) & (high[c] - low[c] > least[c]);
            if moves {
                E::ZERO
            } else {
                E::ONE
            }
        });
        // What solves it is kept: the next point may be the middle of a bracket that is still wide.
        x = each(|c| if (done[c] > E::ZERO) | (residual[c] <= E::ZERO) { x[c] } else { next[c] });
        done = each(|c| larger(done[c], stays[c]));
        let mut open = E::ZERO;
        for done in done {
            open += E::ONE - done;
        }
        if !(open > E::ZERO) {
            break;
        }
    }
    x
}
