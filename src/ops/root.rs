//! The root of an increasing function of one number, to the last bits that are meaningful.

/// Newton's steps at most; a bracket that halves needs some sixty.
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
