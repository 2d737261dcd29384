//! A dense network with the derivatives of its outputs by its inputs, on lanes, and the way back through both.

use super::super::real::Real;
use super::products::{add_products, multiply};
use pulp::{Arch, Simd, WithSimd};

/// z σ(z) / 1.1, whose slope is nowhere above 1 and which bends everywhere (Chen et al. 2019), with its first two derivatives.
#[inline(always)]
fn activation(z: f64) -> (f64, f64, f64) {
    let s = 1.0 / (1.0 + Real::exp(-z));
    let around = s * (1.0 - s);
    (z * s / 1.1, (s + z * around) / 1.1, around * (2.0 + z * (1.0 - 2.0 * s)) / 1.1)
}

/// The activations of `z` in its place, with the derivatives. (A closure in the place of this would not be compiled for the processor at hand.)
struct Activate<'a> {
    z: &'a mut [f64],
    slopes: &'a mut [f64],
    bends: &'a mut [f64],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((z, slope), bend) in self.z.iter_mut().zip(self.slopes).zip(self.bends) {
            (*z, *slope, *bend) = activation(*z);
        }
    }
}

/// Layers of weights (outputs × inputs, row-major) and biases; activations between them. All buffers are unit-major with `stride` lanes to
/// a unit; tangents have the lanes of each direction one after another.
#[derive(Debug, Clone)]
pub struct Net {
    /// Inputs, hidden units of each layer, outputs.
    pub sizes: Vec<usize>,
    /// The weights of each layer.
    pub weights: Vec<Vec<f64>>,
    /// The biases of each layer.
    pub biases: Vec<Vec<f64>>,
}

/// What a way through leaves.
#[derive(Debug, Default)]
pub struct Trace {
    /// What goes into each layer, and what comes out at last.
    values: Vec<Vec<f64>>,
    /// The derivatives of that.
    tangents: Vec<Vec<f64>>,
    /// The derivatives before each activation.
    before: Vec<Vec<f64>>,
    slopes: Vec<Vec<f64>>,
    bends: Vec<Vec<f64>>,
}

impl Trace {
    /// The outputs.
    pub fn out(&self) -> &[f64] {
        self.values.last().map_or(&[], Vec::as_slice)
    }

    /// The slopes of each hidden layer.
    pub fn slopes(&self) -> &[Vec<f64>] {
        &self.slopes[..self.slopes.len().saturating_sub(2)]
    }

    /// Their derivatives, output-major, then by direction.
    pub fn jacobian(&self) -> &[f64] {
        self.tangents.last().map_or(&[], Vec::as_slice)
    }
}

/// The most hidden layers.
const MOST_HIDDEN: usize = 7;
const NAMES: [[&str; 2]; MOST_HIDDEN + 1] = [
    ["weight_1", "bias_1"],
    ["weight_2", "bias_2"],
    ["weight_3", "bias_3"],
    ["weight_4", "bias_4"],
    ["weight_5", "bias_5"],
    ["weight_6", "bias_6"],
    ["weight_7", "bias_7"],
    ["weight_8", "bias_8"],
];

impl Net {
    /// The names and lengths of the tensors of layers of these sizes.
    pub fn tensors(sizes: &[usize]) -> Vec<(&'static str, usize)> {
        let named = sizes.windows(2).zip(NAMES);
        named.flat_map(|(pair, [weight, bias])| [(weight, pair[0] * pair[1]), (bias, pair[1])]).collect()
    }

    /// The standard deviations of their values at the start: the last layer's are small.
    pub fn starts(sizes: &[usize]) -> Vec<f64> {
        let mut starts: Vec<f64> = sizes.windows(2).flat_map(|pair| [1.5 / (pair[0] as f64).sqrt(), 0.3]).collect();
        let last = starts.len() - 2;
        starts[last..].fill(1e-2);
        starts
    }

    /// What is wrong with the widths of hidden layers.
    pub fn fault(hidden: &[usize]) -> Option<String> {
        if !(1..=MOST_HIDDEN).contains(&hidden.len()) {
            return Some(format!("hidden lists {} layers; 1 to {MOST_HIDDEN} is right", hidden.len()));
        }
        let width = hidden.iter().find(|width| !(1..=4096).contains(*width))?;
        Some(format!("hidden has the width {width}; 1 to 4096 is right"))
    }

    /// The network with these values.
    pub fn new(sizes: Vec<usize>, tensors: &[Vec<f64>]) -> Self {
        let weights = tensors.iter().step_by(2).cloned().collect();
        let biases = tensors.iter().skip(1).step_by(2).cloned().collect();
        Self { sizes, weights, biases }
    }

    /// `sums` as those of each tensor.
    pub fn tensors_of(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        let mut rest = sums;
        let mut next = |(_, len): (&str, usize)| {
            let (here, after) = rest.split_at(len);
            rest = after;
            here.to_vec()
        };
        Self::tensors(&self.sizes).into_iter().map(&mut next).collect()
    }

    /// The number of weights and biases.
    pub fn len(&self) -> usize {
        self.sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    /// Carries `x` through, with the derivatives by its first `directions` inputs.
    pub fn forward(&self, stride: usize, x: &[f64], directions: usize, trace: &mut Trace) {
        self.carry(stride, x, directions, trace, |tangents| {
            (0..directions).for_each(|d| tangents[(d * directions + d) * stride..][..stride].fill(1.0));
        });
    }

    /// The same with the derivatives along `v` alone, which has the lanes of the first inputs.
    pub fn forward_along(&self, stride: usize, x: &[f64], v: &[f64], trace: &mut Trace) {
        self.carry(stride, x, 1, trace, |tangents| tangents[..v.len()].copy_from_slice(v));
    }

    fn carry(&self, stride: usize, x: &[f64], directions: usize, trace: &mut Trace, fill: impl FnOnce(&mut [f64])) {
        let layers = self.weights.len();
        let Trace { values, tangents, before, slopes, bends } = trace;
        for buffers in [&mut *values, tangents, before, slopes, bends] {
            buffers.resize_with(layers + 1, Vec::new);
        }
        values[0].clear();
        values[0].extend_from_slice(x);
        tangents[0].clear();
        tangents[0].resize(self.sizes[0] * directions * stride, 0.0);
        fill(&mut tangents[0]);
        for l in 0..layers {
            let (inputs, outputs) = (self.sizes[l], self.sizes[l + 1]);
            let mut z = std::mem::take(&mut values[l + 1]);
            z.clear();
            self.biases[l].iter().for_each(|&bias| z.resize(z.len() + stride, bias));
            multiply(&self.weights[l], (inputs, 1), (outputs, inputs), stride, &values[l], &mut z);
            let wide = directions * stride;
            let mut p = std::mem::take(&mut tangents[l + 1]);
            p.clear();
            p.resize(outputs * wide, 0.0);
            multiply(&self.weights[l], (inputs, 1), (outputs, inputs), wide, &tangents[l], &mut p);
            if l + 1 < layers {
                let (slopes, bends) = (&mut slopes[l], &mut bends[l]);
                slopes.resize(z.len(), 0.0);
                bends.resize(z.len(), 0.0);
                Arch::new().dispatch(Activate { z: &mut z, slopes, bends });
                before[l].clear();
                before[l].extend_from_slice(&p);
                for (p, slopes) in p.chunks_exact_mut(wide.max(1)).zip(slopes.chunks_exact(stride)) {
                    p.chunks_exact_mut(stride)
                        .for_each(|p| p.iter_mut().zip(slopes).for_each(|(p, slope)| *p *= slope));
                }
            }
            (values[l + 1], tangents[l + 1]) = (z, p);
        }
    }

    /// Jᵀ u, with the slopes of a way through: those of each hidden layer.
    pub fn transposed_times(&self, stride: usize, slopes: &[Vec<f64>], u: &[f64]) -> Vec<f64> {
        let mut u = u.to_vec();
        for l in (0..self.weights.len()).rev() {
            let (inputs, outputs) = (self.sizes[l], self.sizes[l + 1]);
            let mut down = vec![0.0; inputs * stride];
            multiply(&self.weights[l], (1, inputs), (inputs, outputs), stride, &u, &mut down);
            if l > 0 {
                down.iter_mut().zip(&slopes[l - 1]).for_each(|(down, slope)| *down *= slope);
            }
            u = down;
        }
        u
    }

    /// Carries the gradients at the outputs and at their derivatives back; returns that at the inputs, and adds those of weights and biases,
    /// layer by layer, to `sums`.
    pub fn backward(
        &self,
        (stride, directions): (usize, usize),
        trace: &Trace,
        mut d_values: Vec<f64>,
        mut d_tangents: Vec<f64>,
        mut sums: Option<&mut [f64]>,
    ) -> Vec<f64> {
        let wide = directions * stride;
        let mut end = self.len();
        for l in (0..self.weights.len()).rev() {
            let (inputs, outputs) = (self.sizes[l], self.sizes[l + 1]);
            if let Some(sums) = &mut sums {
                let start = end - (inputs + 1) * outputs;
                let (d_weights, d_biases) = sums[start..end].split_at_mut(inputs * outputs);
                add_products(&d_values, &trace.values[l], stride, inputs, d_weights);
                add_products(&d_tangents, &trace.tangents[l], wide, inputs, d_weights);
                d_biases.iter_mut().zip(d_values.chunks_exact(stride)).for_each(|(d, g)| *d += g.iter().sum::<f64>());
                end = start;
            }
            let mut down = vec![0.0; inputs * stride];
            multiply(&self.weights[l], (1, inputs), (inputs, outputs), stride, &d_values, &mut down);
            if l == 0 {
                return down;
            }
            let mut along = vec![0.0; inputs * wide];
            multiply(&self.weights[l], (1, inputs), (inputs, outputs), wide, &d_tangents, &mut along);
            let (slopes, bends) = (trace.slopes[l - 1].chunks_exact(stride), trace.bends[l - 1].chunks_exact(stride));
            let units = down.chunks_exact_mut(stride).zip(slopes).zip(bends);
            for (unit, ((down, slopes), bends)) in units.enumerate() {
                down.iter_mut().zip(slopes).for_each(|(down, slope)| *down *= slope);
                for d in 0..directions {
                    let place = unit * wide + d * stride;
                    let before = &trace.before[l - 1][place..place + stride];
                    for (lane, along) in along[place..place + stride].iter_mut().enumerate() {
                        down[lane] += bends[lane] * before[lane] * *along;
                        *along *= slopes[lane];
                    }
                }
            }
            (d_values, d_tangents) = (down, along);
        }
        d_values
    }
}
