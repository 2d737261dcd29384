//! Whether independent chains tell the same story: rank-normalised split R̂ and the effective number of draws.

/// The larger of the rank-normalised split R̂ of the draws and of their distances from the median (Vehtari, Gelman, Simpson, Carpenter and
/// Bürkner 2021). Chains have equal lengths; NaN if there are too few draws.
pub fn split_r_hat(chains: &[Vec<f64>]) -> f64 {
    let halves = split(chains);
    let mut all: Vec<f64> = halves.iter().flatten().copied().collect();
    if all.len() < 8 || halves.iter().any(Vec::is_empty) {
        return f64::NAN;
    }
    let middle = all.len() / 2;
    let (_, median, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
    let median = *median;
    let folded: Vec<Vec<f64>> = halves.iter().map(|chain| chain.iter().map(|x| (x - median).abs()).collect()).collect();
    let (bulk, tail) = (plain_r_hat(&normal_scores(&halves)), plain_r_hat(&normal_scores(&folded)));
    bulk.max(tail)
}

/// The effective number of draws (bulk): chains × length / τ with the autocorrelation time τ of rank-normalised split chains by Geyer's
/// (1992) initial monotone sequence, as in Vehtari et al. (2021).
pub fn effective_draws(chains: &[Vec<f64>]) -> f64 {
    let chains = normal_scores(&split(chains));
    let (m, n) = (chains.len() as f64, chains.first().map_or(0, Vec::len));
    if n < 4 {
        return f64::NAN;
    }
    let (within, total) = variances(&chains);
    if total.is_nan() || total <= 0.0 {
        return f64::NAN;
    }
    let means: Vec<f64> = chains.iter().map(|chain| chain.iter().sum::<f64>() / n as f64).collect();
    let correlation = |lag: usize| {
        let covariance: f64 = chains
            .iter()
            .zip(&means)
            .map(|(chain, mean)| {
                chain[lag..].iter().zip(chain).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n as f64
            })
            .sum::<f64>()
            / m;
        1.0 - (within - covariance * n as f64 / (n as f64 - 1.0)) / total
    };
    let (mut tau, mut least, mut lag) = (-1.0, f64::INFINITY, 0);
    while lag + 1 < n {
        let pair = correlation(lag) + correlation(lag + 1);
        if pair <= 0.0 {
            break;
        }
        least = pair.min(least);
        tau += 2.0 * least;
        lag += 2;
    }
    let draws = m * n as f64;
    // Antithetic chains may be worth more than their length, within reason.
    (draws / tau.max(1.0 / draws.log10())).min(draws * draws.log10())
}

/// Each chain's first and second half (a middle draw of an odd length is left out).
fn split(chains: &[Vec<f64>]) -> Vec<Vec<f64>> {
    chains.iter().flat_map(|c| [c[..c.len() / 2].to_vec(), c[c.len() - c.len() / 2..].to_vec()]).collect()
}

/// Φ⁻¹((rank − 3/8) / (S + 1/4)) over all draws; equal values share their mean rank.
fn normal_scores(chains: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let values: Vec<f64> = chains.iter().flatten().copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut scores = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let value = values[order[start]];
        let end = start + order[start..].iter().take_while(|&&i| values[i] == value).count().max(1);
        let rank = (start + end + 1) as f64 / 2.0;
        let score = normal_quantile((rank - 0.375) / (values.len() as f64 + 0.25));
        order[start..end].iter().for_each(|&i| scores[i] = score);
        start = end;
    }
    let mut scores = scores.into_iter();
    chains.iter().map(|chain| scores.by_ref().take(chain.len()).collect()).collect()
}

/// The mean variance within chains, and the estimate of the whole variance from within and between.
fn variances(chains: &[Vec<f64>]) -> (f64, f64) {
    let (m, n) = (chains.len() as f64, chains[0].len() as f64);
    let means: Vec<f64> = chains.iter().map(|chain| chain.iter().sum::<f64>() / n).collect();
    let mean = means.iter().sum::<f64>() / m;
    let between = means.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (m - 1.0);
    let within = chains
        .iter()
        .zip(&means)
        .map(|(chain, mean)| chain.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0))
        .sum::<f64>()
        / m;
    (within, within * (n - 1.0) / n + between)
}

/// √(whole variance / variance within) of the given chains.
fn plain_r_hat(chains: &[Vec<f64>]) -> f64 {
    let (within, total) = variances(chains);
    (total / within).sqrt()
}

/// Φ⁻¹(p), to 1e-9 absolute (Acklam's rational approximation; P. J. Acklam 2003).
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let (q, r) = (p - 0.5, (p - 0.5).powi(2));
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}
