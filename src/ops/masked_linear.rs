//! A masked linear map on slices: output, input gradient and weight gradient, doing only what the staircase leaves.

use super::real::Real;
use super::staircase::Staircase;
use super::tile::{accumulate, padded, Left, Right, Start, PANEL};
use std::sync::Arc;

/// A masked matrix and its bias, laid out for [`accumulate`]: panels of outputs, each as deep as its deepest output.
///
/// All buffers that meet it are row-major with rows padded to whole panels ([`padded`]).
#[derive(Debug, Clone)]
pub struct MaskedLinear<E> {
    stairs: Arc<Staircase>,
    bias: Vec<E>,
    panels: Vec<E>,
    starts: Vec<usize>,
    /// Panels of inputs against the outputs that see them; only what propagates gradients needs it.
    transposed: Option<Transposed<E>>,
}

#[derive(Debug, Clone)]
struct Transposed<E> {
    panels: Vec<E>,
    starts: Vec<usize>,
}

/// The deepest reach of panel `p`.
fn depth(stairs: &Staircase, p: usize) -> usize {
    stairs.reach(((p + 1) * PANEL).min(stairs.outputs()) - 1)
}

impl<E: Real> MaskedLinear<E> {
    /// Lays out flat `weights` (see [`Staircase`]) and a bias (none: zeros).
    pub fn pack(stairs: &Arc<Staircase>, weights: &[E], bias: Option<&[E]>, for_gradients: bool) -> Self {
        assert_eq!(weights.len(), stairs.weights());
        let outputs = stairs.outputs();
        let mut padded_bias = vec![E::ZERO; padded(outputs)];
        if let Some(bias) = bias {
            padded_bias[..outputs].copy_from_slice(bias);
        }
        let mut starts = vec![0];
        for p in 0..outputs.div_ceil(PANEL) {
            starts.push(starts[p] + depth(stairs, p) * PANEL);
        }
        let mut panels = vec![E::ZERO; starts[starts.len() - 1]];
        for j in 0..outputs {
            let panel = &mut panels[starts[j / PANEL]..];
            let row = &weights[stairs.offset(j)..][..stairs.reach(j)];
            for (k, &weight) in row.iter().enumerate() {
                panel[k * PANEL + j % PANEL] = weight;
            }
        }
        let transposed = for_gradients.then(|| Transposed::pack(stairs, weights));
        Self { stairs: stairs.clone(), bias: padded_bias, panels, starts, transposed }
    }

    /// The mask.
    pub fn stairs(&self) -> &Staircase {
        &self.stairs
    }

    /// The number of panels of outputs, which is how finely [`MaskedLinear::weight_gradient`] may be divided.
    pub fn panels(&self) -> usize {
        self.starts.len() - 1
    }

    /// `out = x Wᵀ + b`, or `out += x Wᵀ` when `add` (the bias is left out then).
    pub fn forward(&self, rows: usize, x: &[E], out: &mut [E], add: bool) {
        let (x_stride, out_stride) = (padded(self.stairs.inputs()), padded(self.stairs.outputs()));
        for p in 0..self.panels() {
            let left = Left { values: x, row_stride: x_stride, step_stride: 1 };
            let right = Right { values: &self.panels[self.starts[p]..], step_stride: PANEL };
            let start = if add { Start::Output } else { Start::Bias(&self.bias[p * PANEL..]) };
            accumulate(rows, depth(&self.stairs, p), left, right, start, &mut out[p * PANEL..], out_stride);
        }
    }

    /// `dx += dy W`.
    ///
    /// # Panics
    /// If it was not packed for gradients.
    pub fn input_gradient(&self, rows: usize, dy: &[E], dx: &mut [E]) {
        let transposed = self.transposed.as_ref().expect("packed for gradients");
        let (dx_stride, dy_stride) = (padded(self.stairs.inputs()), padded(self.stairs.outputs()));
        for q in 0..transposed.starts.len() - 1 {
            let first = self.stairs.first_output_of(q * PANEL);
            let steps = self.stairs.outputs() - first;
            if steps == 0 {
                continue;
            }
            let left = Left { values: &dy[first..], row_stride: dy_stride, step_stride: 1 };
            let right = Right { values: &transposed.panels[transposed.starts[q]..], step_stride: PANEL };
            accumulate(rows, steps, left, right, Start::Output, &mut dx[q * PANEL..], dx_stride);
        }
    }

    /// Adds the gradient of panel `p`'s weights, Σ_rows dyᵀ x, to `sums` (the panel's depth × [`PANEL`]).
    pub fn weight_gradient(&self, p: usize, rows: usize, x: &[E], dy: &[E], sums: &mut [E]) {
        let (x_stride, dy_stride) = (padded(self.stairs.inputs()), padded(self.stairs.outputs()));
        let left = Left { values: x, row_stride: 1, step_stride: x_stride };
        let right = Right { values: &dy[p * PANEL..], step_stride: dy_stride };
        accumulate(depth(&self.stairs, p), rows, left, right, Start::Output, sums, PANEL);
    }

    /// A zeroed buffer for [`MaskedLinear::weight_gradient`] of panel `p`.
    pub fn zero_sums(&self, p: usize) -> Vec<E> {
        vec![E::ZERO; depth(&self.stairs, p) * PANEL]
    }

    /// Adds panel `p`'s `sums` to the flat gradient `flat`; what the mask forbids is left out.
    pub fn unpack_panel(&self, p: usize, sums: &[E], flat: &mut [E]) {
        for j in p * PANEL..((p + 1) * PANEL).min(self.stairs.outputs()) {
            let row = &mut flat[self.stairs.offset(j)..][..self.stairs.reach(j)];
            for (k, gradient) in row.iter_mut().enumerate() {
                *gradient += sums[k * PANEL + j % PANEL];
            }
        }
    }

    /// Adds Σ_rows dy to `flat`.
    pub fn bias_gradient(&self, rows: usize, dy: &[E], flat: &mut [E]) {
        let stride = padded(self.stairs.outputs());
        for row in dy.chunks_exact(stride).take(rows) {
            for (sum, &value) in flat.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

impl<E: Real> Transposed<E> {
    fn pack(stairs: &Staircase, weights: &[E]) -> Self {
        let (inputs, outputs) = (stairs.inputs(), stairs.outputs());
        let mut starts = vec![0];
        for q in 0..inputs.div_ceil(PANEL) {
            starts.push(starts[q] + (outputs - stairs.first_output_of(q * PANEL)) * PANEL);
        }
        let mut panels = vec![E::ZERO; starts[starts.len() - 1]];
        for j in 0..outputs {
            let row = &weights[stairs.offset(j)..][..stairs.reach(j)];
            for (q, part) in row.chunks(PANEL).enumerate() {
                let at = starts[q] + (j - stairs.first_output_of(q * PANEL)) * PANEL;
                panels[at..at + part.len()].copy_from_slice(part);
            }
        }
        Self { panels, starts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mask, its weights, and the same matrix with its zeros written out.
    fn example(inputs: usize, outputs: usize) -> (Arc<Staircase>, Vec<f64>, Vec<f64>) {
        let stairs = Arc::new(Staircase::new(inputs, (0..outputs).map(|j| j * (inputs + 1) / outputs).collect()));
        let weights: Vec<f64> = (0..stairs.weights()).map(|i| (i as f64 * 1.3).sin()).collect();
        let mut dense = vec![0.0; outputs * inputs];
        for j in 0..outputs {
            let row = &weights[stairs.offset(j)..][..stairs.reach(j)];
            dense[j * inputs..j * inputs + row.len()].copy_from_slice(row);
        }
        (stairs, weights, dense)
    }

    fn pad(rows: usize, width: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut out = vec![0.0; rows * padded(width)];
        for r in 0..rows {
            for k in 0..width {
                out[r * padded(width) + k] = value(r * width + k);
            }
        }
        out
    }

    #[test]
    fn the_three_products_agree_with_the_dense_matrix() {
        for (inputs, outputs, rows) in [(1, 1, 1), (3, 7, 5), (17, 33, 9), (40, 20, 3), (5, 64, 21)] {
            let (stairs, weights, dense) = example(inputs, outputs);
            let bias: Vec<f64> = (0..outputs).map(|j| j as f64 * 0.1).collect();
            let map = MaskedLinear::pack(&stairs, &weights, Some(&bias), true);
            let x = pad(rows, inputs, |i| (i as f64 * 0.4).cos());
            let dy = pad(rows, outputs, |i| (i as f64 * 0.9).sin());
            let (xs, ys) = (padded(inputs), padded(outputs));

            let mut out = vec![0.0; rows * ys];
            map.forward(rows, &x, &mut out, false);
            let mut dx = vec![0.0; rows * xs];
            map.input_gradient(rows, &dy, &mut dx);
            let mut dw = vec![0.0; stairs.weights()];
            for p in 0..map.panels() {
                let mut sums = map.zero_sums(p);
                map.weight_gradient(p, rows, &x, &dy, &mut sums);
                map.unpack_panel(p, &sums, &mut dw);
            }
            for r in 0..rows {
                for j in 0..outputs {
                    let sum: f64 = (0..inputs).map(|k| x[r * xs + k] * dense[j * inputs + k]).sum();
                    assert!((out[r * ys + j] - bias[j] - sum).abs() < 1e-12);
                }
                for k in 0..inputs {
                    let sum: f64 = (0..outputs).map(|j| dy[r * ys + j] * dense[j * inputs + k]).sum();
                    assert!((dx[r * xs + k] - sum).abs() < 1e-12);
                }
            }
            for j in 0..outputs {
                for k in 0..stairs.reach(j) {
                    let sum: f64 = (0..rows).map(|r| x[r * xs + k] * dy[r * ys + j]).sum();
                    assert!((dw[stairs.offset(j) + k] - sum).abs() < 1e-12);
                }
            }
        }
    }
}
