//! Numbers that no optimiser drives out of their range: what keeps a linear layer invertible.

/// ln of the largest and the smallest scale of one layer is ± this.
pub const LOG_SCALE: f64 = 6.907_755_278_982_137;
/// The largest entry beside a unit diagonal.
pub const ENTRY: f64 = 3.0;

/// limit · tanh(raw / limit), and its derivative by `raw`.
pub fn bounded(raw: f64, limit: f64) -> (f64, f64) {
    let tanh = (raw / limit).tanh();
    (limit * tanh, 1.0 - tanh * tanh)
}

/// e^s of bounded s, and the derivative of s by `raw`.
pub fn scale(raw: f64) -> (f64, f64) {
    let (s, slope) = bounded(raw, LOG_SCALE);
    (s.exp(), slope)
}

/// What gives the log scale `s`, as far as it is within the bounds.
pub fn raw_log_scale(s: f64) -> f64 {
    LOG_SCALE * (s / LOG_SCALE).clamp(-0.99, 0.99).atanh()
}

/// Σ s over the scales of `raw`.
pub fn log_scales(raw: &[f64]) -> f64 {
    raw.iter().map(|&raw| bounded(raw, LOG_SCALE).0).sum()
}

/// The places of a strictly lower triangle, row by row.
pub fn below_diagonal(dim: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..dim).flat_map(|i| (0..i).map(move |j| (i, j)))
}
