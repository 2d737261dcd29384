//! y = x + f(x) with a network f that contracts: an invertible residual layer (Behrmann et al. 2019).

use super::super::ways::{Way, Ways};
use super::contraction::{contracted, pull_back};
use super::matrices::Matrices;
use super::net::{Net, Trace};
use super::probe::{probes, Key};
use super::search::Search;
use super::series::{LogDet, Series};
use super::settings::is_default;
use super::{Formula, FormulaSettings, Kind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most variables of a layer that is trained by the whole Jacobian, …
pub const MOST_EXACT: usize = 64;
/// … and of any, since draws and scores have all of it: d + 1 passes and d³ operations a row.
pub const MOST: usize = 256;

/// What is written for a residual layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Residual {
    /// The widths of the network's hidden layers; none are those of the flow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// The bound c < 1 of the network's Lipschitz constant.
    pub contraction: f64,
    /// How its log-det is found while a likelihood trains it.
    #[serde(skip_serializing_if = "is_default")]
    pub log_det: LogDet,
}

impl Default for Residual {
    fn default() -> Self {
        Self { hidden: Vec::new(), contraction: 0.9, log_det: LogDet::Exact }
    }
}

/// The layer with its weights, each matrix held to a norm of c^(1/layers) ([`contracted`]); activations have slopes of at most 1. So
/// ‖f(a) − f(b)‖ ≤ c ‖a − b‖, I + ∂f/∂x has a positive determinant everywhere, and y = x + f(x) one solution.
///
/// ln det (I + ∂f/∂x) is exact, from the whole Jacobian. The inverse goes by Newton's steps from x = y, or one of the fixed point
/// iteration x ← y − f(x) where Newton's would not come nearer; what is left, r = y − x − f(x), bounds the error by ‖r‖ / (1 − c).
#[derive(Debug)]
pub struct ResidualLayer {
    raw: Net,
    net: Net,
    bound: f64,
    /// Where the log-det is an estimate, and what its numbers come of.
    series: Option<(Series, Key)>,
}

/// Steps of the inverse at most.
const STEPS: usize = 1000;

impl Residual {
    /// The sizes of the network's layers.
    fn sizes(&self, dim: usize) -> Vec<usize> {
        [dim].into_iter().chain(self.hidden.iter().copied()).chain([dim]).collect()
    }

    /// The layer with these values.
    pub(super) fn layer(&self, dim: usize, tensors: &[Vec<f64>]) -> ResidualLayer {
        let sizes = self.sizes(dim);
        let bound = self.contraction.powf(1.0 / (sizes.len() - 1) as f64);
        let raw = Net::new(sizes.clone(), tensors);
        let held =
            raw.weights.iter().zip(&sizes).map(|(weights, &inputs)| contracted(weights, inputs, bound).0).collect();
        let biases = raw.biases.clone();
        let series = Series::of(self.log_det, self.contraction);
        let series = series.map(|series| (series, Key::of(tensors.iter().flatten())));
        ResidualLayer { raw, net: Net { sizes, weights: held, biases }, bound, series }
    }
}

impl FormulaSettings for Residual {
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        Net::tensors(&self.sizes(dim))
    }

    fn starts(&self, dim: usize) -> Vec<f64> {
        Net::starts(&self.sizes(dim))
    }

    fn fault(&self, dim: usize) -> Option<String> {
        let contraction = &self.contraction;
        if !(0.01..=0.99).contains(contraction) {
            return Some(format!("contraction is {contraction}; a number from 0.01 to 0.99 is right"));
        }
        let most = match self.log_det {
            LogDet::Exact => MOST_EXACT,
            _ => MOST,
        };
        let of_dim = || {
            (dim > most).then(|| {
                format!(
                    "the dimension is {dim}; a residual layer takes at most {MOST_EXACT} with its exact log_det, and {MOST} with `Series` or `Roulette`"
                )
            })
        };
        Net::fault(&self.hidden).or_else(|| self.log_det.fault()).or_else(of_dim)
    }

    fn multiplications(&self, dim: usize) -> usize {
        let weights: usize = self.sizes(dim).windows(2).map(|pair| pair[0] * pair[1]).sum();
        match self.log_det {
            LogDet::Exact => weights * (dim + 1) + dim * dim * dim / 3,
            estimate => weights * (2 + estimate.terms(self.contraction)),
        }
    }

    fn ways(&self) -> Ways {
        Ways { back: Way { steps: 1, solved: true }, ..Ways::PASSES }
    }

    fn within(&self, hidden: &[usize]) -> Kind {
        let hidden = if self.hidden.is_empty() { hidden.to_vec() } else { self.hidden.clone() };
        Kind::Residual(Self { hidden, ..self.clone() })
    }

    fn exact(&self) -> Kind {
        Kind::Residual(Self { log_det: LogDet::Exact, ..self.clone() })
    }

    fn formula(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Formula> {
        Arc::new(self.layer(dim, tensors))
    }
}

impl ResidualLayer {
    fn dim(&self) -> usize {
        self.net.sizes[0]
    }

    /// f(x) and I + ∂f/∂x of each lane.
    fn at(&self, stride: usize, x: &[f64], trace: &mut Trace) -> Matrices {
        let dim = self.dim();
        self.net.forward(stride, x, dim, trace);
        let mut jacobian = Matrices::new(dim, stride, trace.jacobian());
        jacobian.add_identity();
        jacobian
    }

    /// The gradients at f and at ∂f/∂x of Σ (d_y · y + d_log_det ln det), carried back to the points; and J⁻¹ there.
    fn back(
        &self,
        stride: usize,
        x: &[f64],
        d_y: &[f64],
        d_log_det: &[f64],
        sums: Option<&mut [f64]>,
    ) -> (Vec<f64>, Matrices) {
        let mut trace = Trace::default();
        let inverse = self.at(stride, x, &mut trace).inverted().0;
        // ∂ ln det J / ∂J = J⁻ᵀ.
        let mut d_jacobian = inverse.transposed();
        d_jacobian.chunks_exact_mut(stride).for_each(|d| d.iter_mut().zip(d_log_det).for_each(|(d, log)| *d *= log));
        let mut d_x = self.net.backward((stride, self.dim()), &trace, d_y.to_vec(), d_jacobian, sums);
        d_x.iter_mut().zip(d_y).for_each(|(d_x, d_y)| *d_x += d_y);
        (d_x, inverse)
    }
}

impl ResidualLayer {
    /// [`ResidualLayer::back`] with the estimate of the log-det, whose traces have one probe.
    fn back_by_series(
        &self,
        (series, v, keys): (&Series, &[f64], &[Key]),
        stride: usize,
        x: &[f64],
        d_y: &[f64],
        d_log_det: &[f64],
        sums: Option<&mut [f64]>,
    ) -> Vec<f64> {
        let mut trace = Trace::default();
        self.net.forward_along(stride, x, v, &mut trace);
        let (_, mut w) = series.estimate((&self.net, trace.slopes()), stride, v, keys);
        w.chunks_exact_mut(stride).for_each(|w| w.iter_mut().zip(d_log_det).for_each(|(w, log)| *w *= log));
        let mut d_x = self.net.backward((stride, 1), &trace, d_y.to_vec(), w, sums);
        d_x.iter_mut().zip(d_y).for_each(|(d_x, d_y)| *d_x += d_y);
        d_x
    }
}

impl Formula for ResidualLayer {
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]) {
        let mut trace = Trace::default();
        if let Some((series, key)) = &self.series {
            let (v, keys) = probes(*key, x, stride);
            self.net.forward(stride, x, 0, &mut trace);
            let (logs, _) = series.estimate((&self.net, trace.slopes()), stride, &v, &keys);
            x.iter_mut().zip(trace.out()).for_each(|(x, f)| *x += f);
            log_det.iter_mut().zip(logs).for_each(|(sum, log)| *sum += log);
            return;
        }
        let (_, logs) = self.at(stride, x, &mut trace).inverted();
        x.iter_mut().zip(trace.out()).for_each(|(x, f)| *x += f);
        log_det.iter_mut().zip(logs).for_each(|(sum, log)| *sum += log);
    }

    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]) {
        let (mut search, mut trace) = (Search::new(stride, y), Trace::default());
        for _ in 0..STEPS {
            let (inverse, logs) = self.at(search.stride(), &search.x, &mut trace).inverted();
            if search.step(&inverse, &logs, trace.out(), y, log_det) {
                return;
            }
        }
        let (_, logs) = self.at(search.stride(), &search.x, &mut trace).inverted();
        (0..search.stride()).for_each(|lane| search.give(lane, logs[lane], y, log_det));
    }

    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        let d_x = match &self.series {
            Some((series, key)) => {
                let (v, keys) = probes(*key, x, stride);
                self.back_by_series((series, &v, &keys), stride, x, gradient, d_log_det, None)
            }
            None => self.back(stride, x, gradient, d_log_det, None).0,
        };
        gradient.copy_from_slice(&d_x);
    }

    fn adjoint(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        // J⁻ᵀ (gradient − d_log_det ∇ ln det J).
        let (slope, inverse) = self.back(stride, x, &vec![0.0; x.len()], d_log_det, None);
        gradient.iter_mut().zip(slope).for_each(|(g, slope)| *g -= slope);
        let d_y = inverse.transposed_times(gradient);
        gradient.copy_from_slice(&d_y);
    }

    fn sums(&self) -> usize {
        self.net.len()
    }

    fn add(&self, stride: usize, x: &[f64], d_y: &[f64], d_log_det: &[f64], sums: &mut [f64]) {
        self.backward_and_add(stride, x, &mut d_y.to_vec(), d_log_det, sums);
    }

    fn backward_and_add(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64], sums: &mut [f64]) {
        let d_x = match &self.series {
            Some((series, key)) => {
                let (v, keys) = probes(*key, x, stride);
                self.back_by_series((series, &v, &keys), stride, x, gradient, d_log_det, Some(sums))
            }
            None => self.back(stride, x, gradient, d_log_det, Some(sums)).0,
        };
        gradient.copy_from_slice(&d_x);
    }

    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        let mut found = self.net.tensors_of(sums);
        for ((weights, &inputs), found) in self.raw.weights.iter().zip(&self.raw.sizes).zip(found.iter_mut().step_by(2))
        {
            *found = pull_back(weights, inputs, self.bound, found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 5;
    const C: f64 = 0.9;
    /// Estimates at a time, all of one row.
    const LANES: usize = 100;

    fn layer() -> ResidualLayer {
        let of = Residual { hidden: vec![9, 8], contraction: C, ..Residual::default() };
        let sized = of.tensors(DIM).into_iter().enumerate();
        let value = |i: usize, t: usize| (((i + 3) * (t + 11) * 7919) % 1000) as f64 / 250.0 - 2.0;
        // Large enough for the bound to hold them.
        let values: Vec<Vec<f64>> = sized.map(|(t, (_, len))| (0..len).map(|i| value(i, t)).collect()).collect();
        of.layer(DIM, &values)
    }

    const X: [f64; DIM] = [0.3, -0.8, 0.1, 0.9, -0.2];

    fn lanes() -> Vec<f64> {
        X.iter().flat_map(|&x| [x; LANES]).collect()
    }

    /// Keys and probes of so many estimates.
    fn drawn(seed: u64, block: usize) -> (Vec<f64>, Vec<Key>) {
        let mut v = vec![0.0; DIM * LANES];
        let keys: Vec<Key> = (0..LANES).map(|lane| Key::of([seed as f64, block as f64, lane as f64].iter())).collect();
        keys.iter().enumerate().for_each(|(lane, key)| key.signs(&mut v, LANES, lane));
        (v, keys)
    }

    /// Mean and standard error of so many estimates.
    fn estimates(layer: &ResidualLayer, log_det: LogDet, seed: u64, count: usize) -> (f64, f64) {
        let (series, mut trace) = (Series::of(log_det, C).expect("an estimate"), Trace::default());
        layer.net.forward(LANES, &lanes(), 0, &mut trace);
        let (mut sum, mut squares) = (0.0, 0.0);
        for block in 0..count / LANES {
            let (v, keys) = drawn(seed, block);
            let (logs, _) = series.estimate((&layer.net, trace.slopes()), LANES, &v, &keys);
            sum += logs.iter().sum::<f64>();
            squares += logs.iter().map(|log| log * log).sum::<f64>();
        }
        let mean = sum / count as f64;
        (mean, ((squares / count as f64 - mean * mean) / count as f64).sqrt())
    }

    fn exact(layer: &ResidualLayer) -> f64 {
        let mut log_det = [0.0];
        layer.forward(1, &mut X.clone(), &mut log_det);
        log_det[0]
    }

    fn roulettes_are_right(seeds: std::ops::Range<u64>) {
        let layer = layer();
        let exact = exact(&layer);
        for seed in seeds {
            let (mean, error) = estimates(&layer, LogDet::Roulette { terms: 2 }, seed, 100_000);
            assert!((mean - exact).abs() < 3.0 * error, "seed {seed}: {mean} ± {error}, right is {exact}");
            assert!(error < 0.01, "{error}");
        }
    }

    #[test]
    fn the_mean_of_roulettes_is_the_exact_log_det() {
        roulettes_are_right(0..3);
    }

    #[test]
    #[ignore = "two million estimates"]
    fn the_mean_of_roulettes_is_the_exact_log_det_with_twenty_seeds() {
        roulettes_are_right(0..20);
    }

    #[test]
    fn a_truncated_series_is_off_by_no_more_than_its_bound() {
        let layer = layer();
        let exact = exact(&layer);
        let mut trace = Trace::default();
        layer.net.forward(1, &X, DIM, &mut trace);
        let jacobian = trace.jacobian();
        let (mut power, mut sum) = (jacobian.to_vec(), 0.0);
        for terms in 1..=8usize {
            let trace: f64 = (0..DIM).map(|i| power[i * DIM + i]).sum();
            sum += if terms % 2 == 1 { trace } else { -trace } / terms as f64;
            let bound = DIM as f64 * C.powi(terms as i32 + 1) / ((terms + 1) as f64 * (1.0 - C));
            assert!((sum - exact).abs() <= bound, "{terms} terms: {sum}, {exact}, {bound}");
            let (mean, error) = estimates(&layer, LogDet::Series { terms }, 7, 20_000);
            assert!((mean - sum).abs() < 3.5 * error, "{terms} terms: {mean} ± {error}, right is {sum}");
            power = super::super::super::linear::dense::product(&power, jacobian, DIM);
        }
    }

    #[test]
    fn the_mean_gradient_of_roulettes_is_the_exact_one() {
        let (layer, blocks) = (layer(), 400);
        let mut right = vec![0.0; layer.sums()];
        let (d_x, _) = layer.back(1, &X, &[0.0; DIM], &[1.0], Some(&mut right));
        right.extend(d_x);
        let series = Series::of(LogDet::Roulette { terms: 3 }, C).expect("an estimate");
        let (mut means, mut squares) = (vec![0.0; right.len()], vec![0.0; right.len()]);
        for block in 0..blocks {
            let (v, keys) = drawn(11, block);
            let mut found = vec![0.0; layer.sums()];
            let zeros = vec![0.0; DIM * LANES];
            let probes = (&series, v.as_slice(), keys.as_slice());
            let d_x = layer.back_by_series(probes, LANES, &lanes(), &zeros, &[1.0; LANES], Some(&mut found));
            found.extend(d_x.chunks_exact(LANES).map(|lanes| lanes.iter().sum::<f64>()));
            for (i, found) in found.iter().enumerate() {
                let found = found / LANES as f64;
                means[i] += found / blocks as f64;
                squares[i] += found * found / blocks as f64;
            }
        }
        for (i, right) in right.iter().enumerate() {
            let error = ((squares[i] - means[i] * means[i]) / blocks as f64).sqrt();
            assert!((means[i] - right).abs() < 4.5 * error + 1e-12, "{i}: {} ± {error}, right is {right}", means[i]);
        }
        assert!(right.iter().any(|right| right.abs() > 1e-3));
    }
}
