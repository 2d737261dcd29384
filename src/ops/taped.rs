//! The kernels on slices as differentiable tensor ops: `Kernels<f32> for Cpu`.

use super::affine::{self, Scales};
use super::chunks::{map_chunks, map_pieces, CHUNK};
use super::network::Network;
use super::packed::{PackedNetwork, Trace};
use super::tile::padded;
use super::{Kernels, Mapped, Points, Rows};
use crate::error::Result;
use dfdx::prelude::*;
use std::sync::Arc;

/// The values of a contiguous tensor.
fn values<S: Shape>(tensor: &Tensor<S, f32, Cpu>) -> Vec<f32> {
    let mut out = vec![0.0; tensor.shape().num_elements()];
    tensor.copy_into(&mut out);
    out
}

impl Kernels<f32> for Cpu {
    fn masked_network<T: Tape<f32, Self>>(
        network: &Arc<Network>,
        tensors: &[&Rows<f32, Self>],
        order: &Arc<[usize]>,
        x: Points<f32, Self, T>,
    ) -> Result<Points<f32, Self, T>> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let (rows, width) = *x.shape();
        let outputs = network.outputs();
        let input = values(&x);
        let flat: Vec<Vec<f32>> = tensors.iter().map(|tensor| values(tensor)).collect();
        let flat: Vec<&[f32]> = flat.iter().map(Vec::as_slice).collect();
        let packed = PackedNetwork::pack(network, &flat, T::OWNS_TAPE);

        let traces = map_chunks(rows, rows * network.weights(), |piece| {
            let mut trace = Trace::new(network, piece.len(), T::OWNS_TAPE);
            let rows = input[piece.start * width..].chunks_exact(width);
            for (sorted, row) in trace.x.chunks_exact_mut(padded(width)).zip(rows) {
                for (value, &column) in sorted.iter_mut().zip(order.iter()) {
                    *value = row[column];
                }
            }
            packed.forward(&mut trace);
            trace
        });
        let mut out = Vec::with_capacity(rows * outputs);
        for trace in &traces {
            for row in trace.out.chunks_exact(padded(outputs)) {
                out.extend_from_slice(&row[..outputs]);
            }
        }
        let out = x.device().try_tensor_from_vec(out, (rows, outputs))?;

        if T::OWNS_TAPE {
            let (x_ghost, out_ghost, order) = (x.ghost(), out.ghost(), order.clone());
            let tensor_ghosts: Vec<_> = tensors.iter().map(|tensor| tensor.ghost()).collect();
            tape.add_backward_op(move |gradients| {
                let d_out = gradients.get_or_alloc_mut(&out_ghost)?.to_vec();
                let traces = backward(&packed, traces, &d_out);
                let d_x = &mut **gradients.get_or_alloc_mut(&x_ghost)?;
                let sorted = traces.iter().flat_map(|trace| trace.d_x.chunks_exact(padded(width)));
                for (row, sorted) in d_x.chunks_exact_mut(width).zip(sorted) {
                    for (&value, &column) in sorted.iter().zip(order.iter()) {
                        row[column] += value;
                    }
                }
                for (ghost, gradient) in tensor_ghosts.iter().zip(packed.weight_gradients(&traces)) {
                    for (sum, value) in gradients.get_or_alloc_mut(ghost)?.iter_mut().zip(gradient) {
                        *sum += value;
                    }
                }
                Ok(())
            });
        }
        Ok(out.put_tape(tape))
    }

    fn affine<T: Tape<f32, Self>>(
        bound: f64,
        order: &Arc<[usize]>,
        x: Points<f32, Self>,
        parameters: Points<f32, Self, T>,
    ) -> Result<Mapped<f32, Self, T>> {
        let x = x.try_contiguous()?;
        let (parameters, mut tape) = parameters.try_contiguous()?.split_tape();
        let (rows, width) = *x.shape();
        let stride = affine::PER_VARIABLE * width;
        let (input, raw) = (values(&x), values(&parameters));

        let pieces = map_chunks(rows, rows * width * OPERATIONS_PER_ELEMENT, |piece| {
            let cells = piece.start * width..piece.end * width;
            let sorted = to_order(&input[cells], width, order);
            let mut y = sorted.clone();
            let mut log_det = vec![0.0f64; piece.len()];
            let mut kept = Scales::default();
            let raw = &raw[piece.start * stride..piece.end * stride];
            affine::forward(bound, width, &mut y, raw, stride, &mut log_det, Some(&mut kept));
            (sorted, y, log_det, kept)
        });
        let mut y = vec![0.0; rows * width];
        let mut log_det = Vec::with_capacity(rows);
        for (piece, (_, sorted, sums, _)) in y.chunks_mut(CHUNK * width).zip(&pieces) {
            add_from_order(sorted, width, order, piece);
            log_det.extend(sums.iter().map(|&sum| sum as f32));
        }
        let y = x.device().try_tensor_from_vec(y, (rows, width))?;
        let log_det = x.device().try_tensor_from_vec(log_det, (rows,))?;

        if T::OWNS_TAPE {
            let ghosts = (x.ghost(), parameters.ghost(), y.ghost(), log_det.ghost());
            let order = order.clone();
            tape.add_backward_op(move |gradients| {
                let (x, parameters, y, log_det) = &ghosts;
                let d_y = gradients.get_or_alloc_mut(y)?.to_vec();
                let d_log_det = gradients.get_or_alloc_mut(log_det)?.to_vec();
                let pieces = map_chunks(rows, rows * width * OPERATIONS_PER_ELEMENT, |piece| {
                    let (sorted, _, _, kept) = &pieces[piece.start / CHUNK];
                    let mut d_x = to_order(&d_y[piece.start * width..piece.end * width], width, &order);
                    let mut d_parameters = vec![0.0; piece.len() * stride];
                    affine::backward(width, sorted, kept, &mut d_x, &d_log_det[piece], &mut d_parameters, stride);
                    (d_x, d_parameters)
                });
                let d_x = &mut **gradients.get_or_alloc_mut(x)?;
                for (piece, (sorted, _)) in d_x.chunks_mut(CHUNK * width).zip(&pieces) {
                    add_from_order(sorted, width, &order, piece);
                }
                let d_parameters = &mut **gradients.get_or_alloc_mut(parameters)?;
                for (piece, (_, values)) in d_parameters.chunks_mut(CHUNK * stride).zip(&pieces) {
                    for (sum, &value) in piece.iter_mut().zip(values) {
                        *sum += value;
                    }
                }
                Ok(())
            });
        }
        Ok((y.put_tape(tape), log_det.put_tape(T::default())))
    }
}

/// Roughly what one affine map costs in multiplications, an exponential and a hyperbolic tangent included.
const OPERATIONS_PER_ELEMENT: usize = 20;

/// The backward pass of the conditioner over the same pieces as the forward pass.
fn backward(packed: &PackedNetwork<f32>, traces: Vec<Trace<f32>>, d_out: &[f32]) -> Vec<Trace<f32>> {
    let outputs = packed.network().outputs();
    let rows = d_out.len() / outputs;
    let pieces: Vec<_> = traces.into_iter().zip(d_out.chunks(CHUNK * outputs)).collect();
    map_pieces(pieces, 2 * rows * packed.network().weights(), |(mut trace, d_out)| {
        for (padded, row) in trace.d_out.chunks_exact_mut(padded(outputs)).zip(d_out.chunks_exact(outputs)) {
            padded[..outputs].copy_from_slice(row);
        }
        packed.backward(&mut trace);
        trace
    })
}

/// Rows with their columns brought into `order`.
fn to_order(rows: &[f32], width: usize, order: &[usize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact(width) {
        out.extend(order.iter().map(|&column| row[column]));
    }
    out
}

/// Adds rows in `order` to rows in the user's order.
fn add_from_order(sorted: &[f32], width: usize, order: &[usize], out: &mut [f32]) {
    for (out, sorted) in out.chunks_exact_mut(width).zip(sorted.chunks_exact(width)) {
        for (&value, &column) in sorted.iter().zip(order) {
            out[column] += value;
        }
    }
}
