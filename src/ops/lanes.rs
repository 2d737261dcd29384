//! The products of a masked layer on unit-major buffers: the lanes (rows of the batch) of a unit lie together.
//!
//! Lanes fill the registers and weights are broadcast, straight from their flat storage, so nothing is packed and no zero is
//! multiplied. Each result is a sum over one index in ascending order, whatever the number of lanes: a row's result depends
//! neither on its batch nor on the number of threads.

use super::real::Real;
use super::staircase::Staircase;
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Lanes come in multiples of this.
pub const LANES: usize = 16;

/// The most outputs of one tile: with four registers of lanes their sums fill 24 of 32 registers.
pub(super) const TILE: usize = 6;

/// Outputs whose weights are read by all inputs before those of the next: so many rows of a wide layer stay in a core's cache.
const OUTPUTS_OF_BLOCK: usize = 64;

/// The length rounded up to whole groups of lanes.
pub fn padded(len: usize) -> usize {
    len.div_ceil(LANES) * LANES
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub enum Start<'a, E> {
    /// One number for each output.
    Bias(&'a [E]),
    /// What the output holds.
    Output,
}

/// `out_j = start + Σ_k W_jk x_k` for each lane and the outputs `j` in `outputs`, the first of which begins `out`.
///
/// # Panics
/// If a slice is too short for its staircase and `stride`, or `stride` is not a multiple of [`LANES`].
pub fn forward<E: Real>(
    stairs: &Staircase,
    weights: &[E],
    start: Start<E>,
    outputs: Range<usize>,
    x: &[E],
    stride: usize,
    out: &mut [E],
) {
    assert!(stride.is_multiple_of(LANES) && weights.len() == stairs.weights() && outputs.end <= stairs.outputs());
    assert!(out.len() >= outputs.len() * stride);
    if let (Start::Bias(bias), false) = (start, outputs.is_empty()) {
        assert!(bias.len() >= outputs.end);
    }
    if let Some(last) = outputs.clone().last() {
        assert!(x.len() >= stairs.reach(last) * stride, "outputs are sorted, so the last sees the most");
    }
    Arch::new().dispatch(Forward { stairs, weights, start, outputs, x, stride, out });
}

/// `dx_k += Σ_j W_jk dy_j` for each lane.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient<E: Real>(stairs: &Staircase, weights: &[E], dy: &[E], stride: usize, dx: &mut [E]) {
    input_gradient_of(stairs, weights, 0..stairs.inputs(), dy, stride, dx);
}

/// [`input_gradient`] for the inputs `k` in `inputs`, the first of which begins `dx`. Only outputs that see one of them are read.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient_of<E: Real>(
    stairs: &Staircase,
    weights: &[E],
    inputs: Range<usize>,
    dy: &[E],
    stride: usize,
    dx: &mut [E],
) {
    assert!(stride.is_multiple_of(LANES) && weights.len() == stairs.weights() && inputs.end <= stairs.inputs());
    assert!(dy.len() >= stairs.outputs() * stride && dx.len() >= inputs.len() * stride);
    Arch::new().dispatch(InputGradient { stairs, weights, inputs, dy, stride, dx });
}

struct Forward<'a, E> {
    stairs: &'a Staircase,
    weights: &'a [E],
    start: Start<'a, E>,
    outputs: Range<usize>,
    x: &'a [E],
    stride: usize,
    out: &'a mut [E],
}

struct InputGradient<'a, E> {
    stairs: &'a Staircase,
    weights: &'a [E],
    inputs: Range<usize>,
    dy: &'a [E],
    stride: usize,
    dx: &'a mut [E],
}

/// How many numbers a register holds.
#[inline(always)]
pub(super) fn width<E: Real, S: Simd>() -> usize {
    size_of::<E::Vector<S>>() / size_of::<E>()
}

/// The end of the run of equal `value`s that begins at `from`.
#[inline(always)]
pub(super) fn run_end(from: usize, end: usize, value: impl Fn(usize) -> usize) -> usize {
    let first = value(from);
    (from + 1..end).find(|&i| value(i) != first).unwrap_or(end)
}

/// Calls `tile!(R, from)` for tiles of even sizes `R` of at most [`TILE`] that cover `from .. end`.
macro_rules! for_tiles {
    ($from:expr, $end:expr, $tile:ident) => {
        let (mut from, end) = ($from, $end);
        while from < end {
            let left = end - from;
            let size = left.div_ceil(left.div_ceil(TILE));
            match size {
                1 => $tile!(1, from),
                2 => $tile!(2, from),
                3 => $tile!(3, from),
                4 => $tile!(4, from),
                5 => $tile!(5, from),
                _ => $tile!(6, from),
            }
            from += size;
        }
    };
}
pub(super) use for_tiles;

/// Calls `$block!(V, lane)` for blocks of `V` registers that cover `$stride` lanes.
macro_rules! for_lanes {
    ($E:ty, $S:ty, $stride:expr, $block:ident) => {
        let width = width::<$E, $S>();
        let mut lane = 0;
        if <$S>::REGISTER_COUNT >= 32 {
            while lane + 4 * width <= $stride {
                $block!(4, lane);
                lane += 4 * width;
            }
            if lane + 3 * width <= $stride {
                $block!(3, lane);
                lane += 3 * width;
            }
        }
        while lane + 2 * width <= $stride {
            $block!(2, lane);
            lane += 2 * width;
        }
        if lane + width <= $stride {
            $block!(1, lane);
        }
    };
}

/// Sums of `R` results over `V` registers of lanes each.
pub(super) type Sums<E, S, const R: usize, const V: usize> = [[<E as Real>::Vector<S>; V]; R];

/// # Safety
/// `from` must be followed by `V` registers of numbers.
#[inline(always)]
pub(super) unsafe fn load<E: Real, S: Simd, const V: usize>(simd: S, from: *const E) -> [E::Vector<S>; V] {
    let mut vectors = [E::splat(simd, E::ZERO); V];
    for (v, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *vector = unsafe { from.cast::<E::Vector<S>>().add(v).read_unaligned() };
    }
    vectors
}

/// # Safety
/// `to` must have room for `V` registers of numbers.
#[inline(always)]
pub(super) unsafe fn store<E: Real, S: Simd, const V: usize>(vectors: [E::Vector<S>; V], to: *mut E) {
    for (v, vector) in vectors.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<E::Vector<S>>().add(v).write_unaligned(vector) };
    }
}

/// Asks for the memory at `address` ahead of its use.
#[inline(always)]
pub(super) fn prefetch<E>(address: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, and it never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Adds `factors[r] · x` to the sums.
///
/// # Safety
/// `factors` must be readable.
#[inline(always)]
pub(super) unsafe fn multiply_add<E: Real, S: Simd, const R: usize, const V: usize>(
    simd: S,
    factors: [*const E; R],
    x: [E::Vector<S>; V],
    sums: &mut Sums<E, S, R, V>,
) {
    for (sums, factor) in sums.iter_mut().zip(factors) {
        // SAFETY: the caller's promise.
        let factor = E::splat(simd, unsafe { *factor });
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum = E::vector_fma(simd, factor, x, *sum);
        }
    }
}

impl<E: Real> WithSimd for Forward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut group = self.outputs.start;
        while group < self.outputs.end {
            let group_end = run_end(group, self.outputs.end, |j| self.stairs.reach(j));
            macro_rules! tile {
                ($R:literal, $j:ident) => {{
                    macro_rules! block {
                        ($V:literal, $lane:ident) => {
                            // SAFETY: j and its R − 1 successors are outputs, and V registers of lanes end within the stride.
                            unsafe { self.tile::<S, $R, $V>(simd, $j, $lane) }
                        };
                    }
                    for_lanes!(E, S, self.stride, block);
                }};
            }
            for_tiles!(group, group_end, tile);
            group = group_end;
        }
    }
}

impl<E: Real> Forward<'_, E> {
    /// Outputs `j .. j + R`, which see the same inputs, at `V` registers of lanes from `lane`.
    ///
    /// # Safety
    /// The outputs must lie in `self.outputs` and the lanes within the stride.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, j: usize, lane: usize) {
        let Self { stairs, weights, start, outputs, x, stride, out } = self;
        let stride = *stride;
        // SAFETY: `forward` has checked the buffers: weights hold every row of the staircase, x every input that the last output
        // sees, out and the bias every output.
        unsafe {
            let first = out.as_mut_ptr().add((j - outputs.start) * stride + lane);
            let mut sums: Sums<E, S, R, V> = [[E::splat(simd, E::ZERO); V]; R];
            let mut rows = [weights.as_ptr(); R];
            for r in 0..R {
                sums[r] = match start {
                    Start::Bias(bias) => [E::splat(simd, *bias.get_unchecked(j + r)); V],
                    Start::Output => load::<E, S, V>(simd, first.add(r * stride)),
                };
                rows[r] = weights.as_ptr().add(stairs.offset(j + r));
            }
            let mut at = x.as_ptr().add(lane);
            for _ in 0..stairs.reach(j) {
                multiply_add::<E, S, R, V>(simd, rows, load::<E, S, V>(simd, at), &mut sums);
                rows.iter_mut().for_each(|row| *row = row.add(1));
                at = at.wrapping_add(stride);
            }
            for r in 0..R {
                store::<E, S, V>(sums[r], first.add(r * stride));
            }
        }
    }
}

impl<E: Real> WithSimd for InputGradient<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // All tiles of inputs read the weights of a block before the next block is begun: those of all outputs would have left the core's
        // cache when the next tile asks for the same lines.
        for block in (0..self.stairs.outputs()).step_by(OUTPUTS_OF_BLOCK) {
            let end = (block + OUTPUTS_OF_BLOCK).min(self.stairs.outputs());
            self.block(simd, block..end);
        }
    }
}

impl<E: Real> InputGradient<'_, E> {
    /// What the outputs in `block` give to all inputs.
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, block: Range<usize>) {
        let within = |outputs: Range<usize>| outputs.start.max(block.start)..outputs.end.min(block.end);
        // Inputs beyond the reach of the last of these outputs are seen by none of them.
        let end = self.inputs.end.min(self.stairs.reach(block.end - 1));
        let mut group = self.inputs.start;
        while group < end {
            // The inputs that the first of these outputs sees are all seen by the same outputs. Where those are few, the next inputs
            // join them: what only the earlier ones are seen by is added for each alone.
            let mut group_end = self.stairs.reach(self.stairs.first_output_of(group));
            while group_end < end && group_end - group < TILE {
                group_end = self.stairs.reach(self.stairs.first_output_of(group_end));
            }
            let group_end = group_end.min(end);
            macro_rules! tile {
                ($R:literal, $k:ident) => {{
                    let shared = self.stairs.first_output_of($k + $R - 1);
                    macro_rules! lanes {
                        ($V:literal, $lane:ident) => {
                            // SAFETY: the inputs are seen by all outputs in their ranges; the lanes end within the stride.
                            unsafe {
                                for k in $k..$k + $R - 1 {
                                    let first = self.stairs.first_output_of(k);
                                    if first == shared {
                                        break;
                                    }
                                    self.tile::<S, 1, $V>(simd, within(first..shared), k, $lane);
                                }
                                self.tile::<S, $R, $V>(simd, within(shared..self.stairs.outputs()), $k, $lane)
                            }
                        };
                    }
                    for_lanes!(E, S, self.stride, lanes);
                }};
            }
            for_tiles!(group, group_end, tile);
            group = group_end;
        }
    }

    /// What `outputs` give to inputs `k .. k + R`, at `V` registers of lanes from `lane`.
    ///
    /// # Safety
    /// The outputs must all see the inputs; the lanes must lie within the stride.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        outputs: Range<usize>,
        k: usize,
        lane: usize,
    ) {
        if outputs.is_empty() {
            return;
        }
        let Self { stairs, weights, inputs, dy, stride, dx } = self;
        let stride = *stride;
        // SAFETY: `input_gradient_of` has checked the buffers, and the rows of these outputs are longer than k + R.
        unsafe {
            let to = dx.as_mut_ptr().add((k - inputs.start) * stride + lane);
            let mut sums: Sums<E, S, R, V> = [[E::splat(simd, E::ZERO); V]; R];
            for r in 0..R {
                sums[r] = load::<E, S, V>(simd, to.add(r * stride));
            }
            let mut at = dy.as_ptr().add(outputs.start * stride + lane);
            for &offset in stairs.offsets(outputs) {
                let weight = weights.as_ptr().add(offset + k);
                // The inputs after these read on in the same rows, which lie too far apart for the processor to foresee it.
                prefetch(weight.wrapping_add(LANES));
                let mut factors = [weight; R];
                for r in 0..R {
                    factors[r] = weight.add(r);
                }
                multiply_add::<E, S, R, V>(simd, factors, load::<E, S, V>(simd, at), &mut sums);
                at = at.wrapping_add(stride);
            }
            for r in 0..R {
                store::<E, S, V>(sums[r], to.add(r * stride));
            }
        }
    }
}
