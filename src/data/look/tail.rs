//! How many of the largest distances lie beyond a gap that the others' own tail does not explain.

/// The chance that a table without outliers shows one, in one tail.
const FALSE_ALARM: f64 = 1e-4;

/// The largest share of a table's rows that are called outliers; more are a part of the distribution.
const MOST: f64 = 0.01;

/// The number of the last of `distances` (ascending, not negative; of `rows` rows, of which some may lie on another side) that are outliers.
///
/// In a tail that falls like a power, i · ln(y₍ᵢ₎ / y₍ᵢ₊₁₎) for the largest values y₍₁₎ ≥ y₍₂₎ ≥ … are independent exponential numbers of mean γ, the
/// tail's index (Rényi 1953; Hill 1975); in lighter tails those of small i are smaller. So a gap after the m largest is judged by the
/// mean of the k gaps within it: under the null hypothesis m · ln(…) exceeds t times that mean with the probability (1 + t / k)⁻ᵏ. A
/// column of Cauchy numbers has its extremes explained by its own tail, one of normal numbers does not.
pub(super) fn beyond_a_gap(distances: &[f64], rows: usize) -> usize {
    let n = distances.len();
    let most = ((MOST * rows as f64) as usize).max(1);
    let kept = (n / 20).clamp(20.min(n / 2), 200);
    if n < most + kept + 2 {
        return 0;
    }
    let largest = |i: usize| distances[n - i];
    let gap = |i: usize| {
        let ratio = (largest(i) / largest(i + 1)).ln();
        if ratio.is_finite() {
            i as f64 * ratio
        } else {
            0.0
        }
    };
    let mut inner: f64 = (2..=kept + 1).map(gap).sum();
    let (mut outliers, mut worst) = (0, 0.0);
    for m in 1..=most {
        let k = kept as f64;
        // A floor for tails in which all is equal, such as those of grids.
        let mean = (inner / k).max(1e-3);
        // The chance of a false alarm is shared out among the m as 1 / (m (m + 1)), which sums to 1.
        let log_p = -k * (gap(m) / mean / k).ln_1p() + ((m * (m + 1)) as f64).ln();
        if log_p < worst && log_p < FALSE_ALARM.ln() {
            (outliers, worst) = (m, log_p);
        }
        inner += gap(m + kept + 1) - gap(m + 1);
    }
    outliers
}
