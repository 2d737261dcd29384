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
const TILE: usize = 6;

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
    assert!(stride % LANES == 0 && weights.len() == stairs.weights() && outputs.end <= stairs.outputs());
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
    assert!(stride % LANES == 0 && weights.len() == stairs.weights());
    assert!(dy.len() >= stairs.outputs() * stride && dx.len() >= stairs.inputs() * stride);
    Arch::new().dispatch(InputGradient { stairs, weights, dy, stride, dx });
}

/// `dW_jk += Σ_rows dy_j x_k` for what the mask leaves, with x in [`panels`] of `rows` rows.
///
/// # Panics
/// As [`forward`], or if `rows` exceeds `stride`.
pub fn weight_gradient<E: Real>(stairs: &Staircase, rows: usize, x: &[E], dy: &[E], stride: usize, gradient: &mut [E]) {
    assert!(rows <= stride && gradient.len() == stairs.weights());
    assert!(x.len() >= padded(stairs.inputs()) * stride && dy.len() >= stairs.outputs() * stride);
    Arch::new().dispatch(WeightGradient { stairs, rows, x, dy, stride, gradient });
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
    dy: &'a [E],
    stride: usize,
    dx: &'a mut [E],
}

struct WeightGradient<'a, E> {
    stairs: &'a Staircase,
    rows: usize,
    x: &'a [E],
    dy: &'a [E],
    stride: usize,
    gradient: &'a mut [E],
}

/// How many numbers a register holds.
#[inline(always)]
fn width<E: Real, S: Simd>() -> usize {
    size_of::<E::Vector<S>>() / size_of::<E>()
}

/// The end of the run of equal `value`s that begins at `from`.
#[inline(always)]
fn run_end(from: usize, end: usize, value: impl Fn(usize) -> usize) -> usize {
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
type Sums<E, S, const R: usize, const V: usize> = [[<E as Real>::Vector<S>; V]; R];

/// # Safety
/// `from` must be followed by `V` registers of numbers.
#[inline(always)]
unsafe fn load<E: Real, S: Simd, const V: usize>(simd: S, from: *const E) -> [E::Vector<S>; V] {
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
unsafe fn store<E: Real, S: Simd, const V: usize>(vectors: [E::Vector<S>; V], to: *mut E) {
    for (v, vector) in vectors.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<E::Vector<S>>().add(v).write_unaligned(vector) };
    }
}

/// Adds `factors[r] · x` to the sums.
///
/// # Safety
/// `factors` must be readable.
#[inline(always)]
unsafe fn multiply_add<E: Real, S: Simd, const R: usize, const V: usize>(
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
        let (mut group, inputs) = (0, self.stairs.inputs());
        while group < inputs {
            let first = self.stairs.first_output_of(group);
            if first == self.stairs.outputs() {
                return;
            }
            // The inputs that the first of these outputs sees are all seen by the same outputs.
            let group_end = self.stairs.reach(first);
            macro_rules! tile {
                ($R:literal, $k:ident) => {{
                    macro_rules! block {
                        ($V:literal, $lane:ident) => {
                            // SAFETY: k and its R − 1 successors are inputs that `first` sees; the lanes end within the stride.
                            unsafe { self.tile::<S, $R, $V>(simd, first, $k, $lane) }
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

impl<E: Real> InputGradient<'_, E> {
    /// Inputs `k .. k + R`, which are seen from output `first` on, at `V` registers of lanes from `lane`.
    ///
    /// # Safety
    /// Output `first` and all later ones must see the inputs; the lanes must lie within the stride.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, first: usize, k: usize, lane: usize) {
        let Self { stairs, weights, dy, stride, dx } = self;
        let stride = *stride;
        // SAFETY: `input_gradient` has checked the buffers, and rows from `first` on are longer than k + R.
        unsafe {
            let to = dx.as_mut_ptr().add(k * stride + lane);
            let mut sums: Sums<E, S, R, V> = [[E::splat(simd, E::ZERO); V]; R];
            for r in 0..R {
                sums[r] = load::<E, S, V>(simd, to.add(r * stride));
            }
            let mut at = dy.as_ptr().add(first * stride + lane);
            for &offset in stairs.offsets(first) {
                let weight = weights.as_ptr().add(offset + k);
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

impl<E: Real> WithSimd for WeightGradient<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = width::<E, S>();
        let block = if S::REGISTER_COUNT >= 32 { 4 * width } else { 2 * width };
        let outputs = self.stairs.outputs();
        // A block of inputs stays in the nearest cache while all outputs that see it pass by.
        for k in (0..self.stairs.inputs()).step_by(block) {
            let mut group = self.stairs.first_output_of(k);
            while group < outputs {
                let group_end = run_end(group, outputs, |j| self.stairs.reach(j));
                let seen = (self.stairs.reach(group) - k).min(block);
                macro_rules! tile {
                    ($R:literal, $j:ident) => {
                        // SAFETY: the outputs see the inputs k .. k + seen, which fill at most V registers.
                        unsafe {
                            match seen.div_ceil(width) {
                                1 => self.tile::<S, $R, 1>(simd, $j, k, seen),
                                2 => self.tile::<S, $R, 2>(simd, $j, k, seen),
                                3 => self.tile::<S, $R, 3>(simd, $j, k, seen),
                                _ => self.tile::<S, $R, 4>(simd, $j, k, seen),
                            }
                        }
                    };
                }
                for_tiles!(group, group_end, tile);
                group = group_end;
            }
        }
    }
}

impl<E: Real> WeightGradient<'_, E> {
    /// The weights from inputs `k .. k + seen` to outputs `j .. j + R`.
    ///
    /// # Safety
    /// The outputs must see those inputs, and V registers must hold `seen` numbers.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, j: usize, k: usize, seen: usize) {
        let Self { stairs, rows, x, dy, stride, gradient } = self;
        let (rows, stride, width) = (*rows, *stride, width::<E, S>());
        // SAFETY: `weight_gradient` has checked the buffers. A register's numbers lie in one panel, since LANES is a multiple of its
        // width and so is k; the weights that are written are those of `seen` inputs.
        unsafe {
            let mut sums: Sums<E, S, R, V> = [[E::splat(simd, E::ZERO); V]; R];
            let mut factors = [dy.as_ptr(); R];
            for r in 0..R {
                factors[r] = dy.as_ptr().add((j + r) * stride);
            }
            let mut at = [x.as_ptr(); V];
            for v in 0..V {
                let input = k + v * width;
                at[v] = x.as_ptr().add(input / LANES * LANES * stride + input % LANES);
            }
            for row in 0..rows {
                let mut inputs = [E::splat(simd, E::ZERO); V];
                for v in 0..V {
                    inputs[v] = load::<E, S, 1>(simd, at[v].add(row * LANES))[0];
                }
                multiply_add::<E, S, R, V>(simd, factors, inputs, &mut sums);
                factors.iter_mut().for_each(|factor| *factor = factor.add(1));
            }
            for r in 0..R {
                let mut to = gradient.as_mut_ptr().add(stairs.offset(j + r) + k);
                let mut left = seen;
                for v in 0..V {
                    if left >= width {
                        let before = load::<E, S, 1>(simd, to)[0];
                        store::<E, S, 1>([E::vector_fma(simd, E::splat(simd, E::ONE), sums[r][v], before)], to);
                        to = to.add(width);
                        left -= width;
                    } else {
                        let sum = std::slice::from_raw_parts((&raw const sums[r][v]).cast::<E>(), left);
                        for (c, &sum) in sum.iter().enumerate() {
                            *to.add(c) += sum;
                        }
                        left = 0;
                    }
                }
            }
        }
    }
}

/// Brings unit-major `x` (`stride` lanes to a unit) into panels of [`LANES`] units: `out[panel][lane][unit]`, padded with zeros.
pub fn panels<E: Real>(units: usize, stride: usize, x: &[E], out: &mut Vec<E>) {
    assert!(stride % LANES == 0 && x.len() >= units * stride);
    out.resize(padded(units) * stride, E::ZERO);
    Arch::new().dispatch(Panels { units, stride, x, out });
}

struct Panels<'a, E> {
    units: usize,
    stride: usize,
    x: &'a [E],
    out: &'a mut [E],
}

impl<E: Real> WithSimd for Panels<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { units, stride, x, out } = self;
        for (p, panel) in out.chunks_exact_mut(LANES * stride).enumerate() {
            for (b, block) in panel.chunks_exact_mut(LANES * LANES).enumerate() {
                let mut square = [[E::ZERO; LANES]; LANES];
                for (unit, row) in square.iter_mut().enumerate().take(units - (p * LANES).min(units)) {
                    let at = (p * LANES + unit) * stride + b * LANES;
                    row.copy_from_slice(&x[at..at + LANES]);
                }
                let square = transpose(square);
                for (row, values) in block.chunks_exact_mut(LANES).zip(&square) {
                    row.copy_from_slice(values);
                }
            }
        }
    }
}

/// Four perfect shuffles of 16 rows are their transposition.
#[inline(always)]
fn transpose<E: Real>(mut square: [[E; LANES]; LANES]) -> [[E; LANES]; LANES] {
    for _ in 0..4 {
        let mut next = [[E::ZERO; LANES]; LANES];
        for i in 0..LANES / 2 {
            let (a, b) = (square[i], square[i + LANES / 2]);
            for c in 0..LANES / 2 {
                next[2 * i][2 * c] = a[c];
                next[2 * i][2 * c + 1] = b[c];
                next[2 * i + 1][2 * c] = a[LANES / 2 + c];
                next[2 * i + 1][2 * c + 1] = b[LANES / 2 + c];
            }
        }
        square = next;
    }
    square
}

/// Adds each unit's sum over its first `rows` lanes to `sums`.
pub fn row_sums<E: Real>(rows: usize, stride: usize, dy: &[E], sums: &mut [E]) {
    for (sum, lanes) in sums.iter_mut().zip(dy.chunks_exact(stride)) {
        let mut parts = [E::ZERO; LANES];
        for part in lanes[..rows].chunks(LANES) {
            for (sum, &value) in parts.iter_mut().zip(part) {
                *sum += value;
            }
        }
        let mut len = LANES;
        while len > 1 {
            len /= 2;
            for i in 0..len {
                let other = parts[i + len];
                parts[i] += other;
            }
        }
        *sum += parts[0];
    }
}
