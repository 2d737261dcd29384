//! The evidence from draws of both sides: Bennett's acceptance ratio, which is the optimal bridge estimator.

/// log Z and its standard error from log weights log γ − log q at draws of the student q (`own`) and at draws of the target (`foreign`):
/// the root c of Σ_own f(c − log w − m) = Σ_foreign f(log w − c + m) with f(t) = 1 / (1 + eᵗ) and m = ln(n_foreign / n_own)
/// (Bennett 1976; Meng and Wong 1996), and its asymptotic standard error for independent draws (Bennett 1976, his equation 10).
///
/// A weight of zero, and a draw of the target where the student has none, take part. None if a side is empty or has a NaN, or all of a
/// side have no weight.
pub fn bridge(own: &[f64], foreign: &[f64]) -> Option<(f64, f64)> {
    let usable = |side: &[f64]| side.iter().any(|w| w.is_finite()) && !side.iter().any(|w| w.is_nan());
    if !usable(own) || !usable(foreign) {
        return None;
    }
    let m = (foreign.len() as f64 / own.len() as f64).ln();
    let fermi = |t: f64| 1.0 / (1.0 + t.exp());
    let sums = |c: f64| {
        let left: f64 = own.iter().map(|w| fermi(c - w - m)).sum();
        let right: f64 = foreign.iter().map(|w| fermi(w - c + m)).sum();
        (left, right)
    };
    // The left side falls with c and the right one rises; beyond all weights they are far apart.
    let finite = || own.iter().chain(foreign).copied().filter(|w| w.is_finite());
    let margin = 40.0 + m.abs() + (own.len() as f64 + foreign.len() as f64).ln();
    let mut low = finite().fold(f64::INFINITY, f64::min) - margin;
    let mut high = finite().fold(f64::NEG_INFINITY, f64::max) + margin;
    while high - low > 1e-11 * (1.0 + low.abs().max(high.abs())) {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        let (left, right) = sums(middle);
        if left > right {
            low = middle;
        } else {
            high = middle;
        }
    }
    let c = 0.5 * (low + high);
    let spread = |values: Vec<f64>| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (values.iter().map(|v| v * v).sum::<f64>() / n / (mean * mean) - 1.0).max(0.0) / n
    };
    let of_own = spread(own.iter().map(|w| fermi(c - w - m)).collect());
    let of_foreign = spread(foreign.iter().map(|w| fermi(w - c + m)).collect());
    let error = (of_own + of_foreign).sqrt();
    c.is_finite().then_some((c, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_normals_of_known_ratio() {
        // q = N(0, 1), γ = 5 · N(0.7, 1): log w = ln 5 + 0.7 x − 0.245.
        let n = 100_000;
        let (mut x, mut y) = (vec![0.0; n], vec![0.0; n / 2]);
        crate::seed::Seed(2).stream("own").normals(0, 1, &mut x);
        crate::seed::Seed(2).stream("foreign").normals(0, 1, &mut y);
        let log_w = |x: f64| 5f64.ln() + 0.7 * x - 0.245;
        let own: Vec<f64> = x.iter().map(|x| log_w(*x)).collect();
        let foreign: Vec<f64> = y.iter().map(|y| log_w(y + 0.7)).collect();
        let (log_z, error) = bridge(&own, &foreign).expect("an estimate");
        assert!((log_z - 5f64.ln()).abs() < 4.0 * error && error < 0.005, "{log_z} {error}");
    }

    #[test]
    fn sides_without_weights_have_no_bridge() {
        assert_eq!(bridge(&[], &[1.0]), None);
        assert_eq!(bridge(&[f64::NEG_INFINITY; 3], &[1.0]), None);
        assert_eq!(bridge(&[1.0], &[f64::NAN]), None);
    }
}
