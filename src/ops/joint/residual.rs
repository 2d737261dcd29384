//! y = x + f(x) with a network f that contracts: an invertible residual layer (Behrmann et al. 2019).

use super::contraction::{contracted, pull_back};
use super::matrices::Matrices;
use super::net::{Net, Trace};
use super::Formula;

/// The most variables; the log-det is that of the whole Jacobian.
pub const MOST_EXACT: usize = 64;
/// What a residual layer is.
#[derive(Debug, Clone, PartialEq)]
pub struct Residual {
    /// The widths of the network's hidden layers.
    pub hidden: Vec<usize>,
    /// The bound c < 1 of the network's Lipschitz constant.
    pub contraction: f64,
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
}

/// Steps of the inverse at most.
const STEPS: usize = 1000;
/// What is left of an equation when it is taken as solved, in parts of its size.
const LEFT: f64 = 1e-14;

impl Residual {
    /// The sizes of the network's layers.
    fn sizes(&self, dim: usize) -> Vec<usize> {
        [dim].into_iter().chain(self.hidden.iter().copied()).chain([dim]).collect()
    }

    /// The names and lengths of the tensors.
    pub fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        Net::tensors(&self.sizes(dim))
    }

    /// The standard deviations of their values at the start.
    pub fn starts(&self, dim: usize) -> Vec<f64> {
        Net::starts(&self.sizes(dim))
    }

    /// What is wrong with it.
    pub fn fault(&self, dim: usize) -> Option<String> {
        let contraction = &self.contraction;
        if !(0.01..=0.99).contains(contraction) {
            return Some(format!("contraction is {contraction}; a number from 0.01 to 0.99 is right"));
        }
        let most =
            format!("a residual layer takes at most {MOST_EXACT}, since its log-det is that of the whole Jacobian");
        Net::fault(&self.hidden).or_else(|| (dim > MOST_EXACT).then(|| format!("the dimension is {dim}; {most}")))
    }

    /// Multiplications for a row, roughly: the network, and its derivative in each direction.
    pub fn multiplications(&self, dim: usize) -> usize {
        let weights: usize = self.sizes(dim).windows(2).map(|pair| pair[0] * pair[1]).sum();
        weights * (dim + 1) + dim * dim * dim / 3
    }

    /// The layer with these values.
    pub fn layer(&self, dim: usize, tensors: &[Vec<f64>]) -> ResidualLayer {
        let sizes = self.sizes(dim);
        let bound = self.contraction.powf(1.0 / (sizes.len() - 1) as f64);
        let raw = Net::new(sizes.clone(), tensors);
        let held =
            raw.weights.iter().zip(&sizes).map(|(weights, &inputs)| contracted(weights, inputs, bound).0).collect();
        let biases = raw.biases.clone();
        ResidualLayer { raw, net: Net { sizes, weights: held, biases }, bound }
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

impl Formula for ResidualLayer {
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]) {
        let mut trace = Trace::default();
        let (_, logs) = self.at(stride, x, &mut trace).inverted();
        x.iter_mut().zip(trace.out()).for_each(|(x, f)| *x += f);
        log_det.iter_mut().zip(logs).for_each(|(sum, log)| *sum += log);
    }

    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]) {
        let dim = self.dim();
        let (target, mut trace) = (y.to_vec(), Trace::default());
        let x = y;
        let size = |values: &[f64], lane: usize| {
            values.iter().skip(lane).step_by(stride).fold(0.0, |most: f64, value| most.max(value.abs()))
        };
        // Of each lane: how far it was from a solution, and where the contraction's own step leads from there.
        let (mut before, mut plain) = (vec![f64::INFINITY; stride], x.to_vec());
        let mut open = vec![true; stride];
        for _ in 0..STEPS {
            let (inverse, _) = self.at(stride, x, &mut trace).inverted();
            let left: Vec<f64> = target.iter().zip(&*x).zip(trace.out()).map(|((y, x), f)| (y - x) - f).collect();
            let steps = inverse.times(&left);
            for lane in (0..stride).filter(|&lane| open[lane]).collect::<Vec<_>>() {
                let (here, scale) = (size(&left, lane), 1.0 + size(&target, lane) + size(x, lane));
                // What is not a number stays so, and is told by whoever asked.
                open[lane] = here > LEFT * scale;
                if !open[lane] {
                    continue;
                }
                let nearer = here < 0.9 * before[lane];
                for place in (0..dim).map(|i| i * stride + lane) {
                    if nearer {
                        plain[place] = x[place] + left[place];
                        x[place] += steps[place];
                    } else {
                        x[place] = plain[place];
                    }
                }
                before[lane] = if nearer { here } else { f64::INFINITY };
            }
            if !open.contains(&true) {
                break;
            }
        }
        let (_, logs) = self.at(stride, x, &mut trace).inverted();
        log_det.iter_mut().zip(logs).for_each(|(sum, log)| *sum -= log);
    }

    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        let (d_x, _) = self.back(stride, x, gradient, d_log_det, None);
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
        self.back(stride, x, d_y, d_log_det, Some(sums));
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
