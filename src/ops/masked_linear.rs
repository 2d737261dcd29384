//! A masked linear map of few rows: its weights in panels of outputs, so that outputs fill the registers.

use super::real::Real;
use super::staircase::Staircase;
use super::tile::{accumulate, padded, Panels, Start, PANEL};
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
}

/// The deepest reach of panel `p`.
fn depth(stairs: &Staircase, p: usize) -> usize {
    stairs.reach(((p + 1) * PANEL).min(stairs.outputs()) - 1)
}

impl<E: Real> MaskedLinear<E> {
    /// Lays out flat `weights` (see [`Staircase`]) and a bias (empty: zeros).
    pub fn pack(stairs: &Arc<Staircase>, weights: &[E], bias: &[E]) -> Self {
        assert_eq!(weights.len(), stairs.weights());
        let outputs = stairs.outputs();
        let mut padded_bias = vec![E::ZERO; padded(outputs)];
        padded_bias[..bias.len()].copy_from_slice(bias);
        let mut starts = vec![0];
        for p in 0..outputs.div_ceil(PANEL) {
            starts.push(starts[p] + depth(stairs, p));
        }
        let mut panels = vec![E::ZERO; starts[starts.len() - 1] * PANEL];
        for j in 0..outputs {
            let panel = &mut panels[starts[j / PANEL] * PANEL..];
            let row = &weights[stairs.offset(j)..][..stairs.reach(j)];
            for (k, &weight) in row.iter().enumerate() {
                panel[k * PANEL + j % PANEL] = weight;
            }
        }
        Self { stairs: stairs.clone(), bias: padded_bias, panels, starts }
    }

    /// `out = x Wᵀ + b`, or `out += x Wᵀ` when `add` (the bias is left out then).
    pub fn forward(&self, rows: usize, x: &[E], out: &mut [E], add: bool) {
        let (x_stride, out_stride) = (padded(self.stairs.inputs()), padded(self.stairs.outputs()));
        let panels = Panels { values: &self.panels, starts: &self.starts };
        let start = if add { Start::Output } else { Start::Bias(&self.bias) };
        accumulate(rows, x, x_stride, panels, start, out, out_stride);
    }
}
