//! The gradient of masked weights: for each a sum over all rows of a batch, held in registers from the first row to the last.

use super::elementwise::row_sums;
use super::lanes::{for_tiles, load, multiply_add, padded, prefetch, run_end, store, width, Sums, LANES, TILE};
use super::panels::panels;
use super::real::Real;
use super::staircase::Staircase;
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Inputs of one job, and so how finely the work on one matrix may be divided.
pub const BLOCK: usize = 64;

/// Chunks whose inputs are held in panels at a time: few enough for a block of them to stay in a core's cache.
const CHUNKS: usize = 16;

/// A chunk of rows: the inputs of a layer and the gradients at its outputs, unit-major.
#[derive(Clone, Copy)]
pub struct Part<'a, E> {
    /// Rows that count.
    pub rows: usize,
    /// Lanes to a unit.
    pub stride: usize,
    /// The inputs.
    pub x: &'a [E],
    /// The gradients at the outputs.
    pub dy: &'a [E],
}

/// The flat gradients of a matrix, to which several threads add, each to the weights of other inputs.
pub struct Shared<'a, E> {
    start: *mut E,
    len: usize,
    owner: PhantomData<&'a mut [E]>,
}

// SAFETY: the functions of this file are the only way to what it points to, and their callers promise not to meet.
unsafe impl<E: Send> Send for Shared<'_, E> {}
// SAFETY: as above.
unsafe impl<E: Send> Sync for Shared<'_, E> {}

impl<'a, E> Shared<'a, E> {
    /// Shares `gradient` for as long as it is borrowed.
    pub fn new(gradient: &'a mut [E]) -> Self {
        Self { start: gradient.as_mut_ptr(), len: gradient.len(), owner: PhantomData }
    }
}

/// Adds `values`, one to each, to a tensor.
///
/// # Safety
/// No other call for the same tensor may overlap in time.
///
/// # Panics
/// If there are not as many values as the tensor has.
pub unsafe fn add_all<E: Real>(gradient: &Shared<'_, E>, values: &[f64]) {
    assert_eq!(values.len(), gradient.len, "a value for each");
    // SAFETY: `start` and `len` are those of a slice that is borrowed mutably for as long as `gradient` lives, and by the caller's promise
    // nobody else uses it now.
    let gradient = unsafe { std::slice::from_raw_parts_mut(gradient.start, gradient.len) };
    gradient.iter_mut().zip(values).for_each(|(gradient, value)| *gradient += E::of(*value));
}

/// `dW_jk += Σ_rows dy_j x_k` for inputs `k` in block `block` (the inputs `BLOCK · block ..`) and all outputs `j` that see them. `buffer` is
/// scratch space.
///
/// # Safety
/// No two calls for the same block may overlap in time.
///
/// # Panics
/// If a slice is too short for its staircase.
pub unsafe fn add_block<E: Real>(
    stairs: &Staircase,
    block: usize,
    parts: &[Part<'_, E>],
    gradient: &Shared<'_, E>,
    buffer: &mut Vec<E>,
) {
    assert_eq!(gradient.len, stairs.weights());
    let inputs = (block * BLOCK).min(stairs.seen())..((block + 1) * BLOCK).min(stairs.seen());
    if inputs.is_empty() {
        return;
    }
    for parts in parts.chunks(CHUNKS) {
        let rows: usize = parts.iter().map(|part| part.stride).sum();
        buffer.resize(padded(inputs.len()) * rows, E::ZERO);
        let mut first = 0;
        for part in parts {
            assert!(part.rows <= part.stride && part.dy.len() >= stairs.outputs() * part.stride);
            let x = &part.x[inputs.start * part.stride..inputs.end * part.stride];
            panels(inputs.len(), part.stride, x, &mut buffer[first * LANES..], rows);
            first += part.stride;
        }
        Arch::new().dispatch(Add { stairs, inputs: inputs.clone(), parts, rows, panels: buffer, gradient });
    }
}

/// Adds each output's `Σ_rows dy` to `sums`.
///
/// # Safety
/// No two calls for the same sums may overlap in time.
pub unsafe fn add_row_sums<E: Real>(parts: &[Part<'_, E>], sums: &Shared<'_, E>) {
    // SAFETY: `Shared::new` took them from a slice that is still borrowed, and nobody else has them now.
    let sums = unsafe { std::slice::from_raw_parts_mut(sums.start, sums.len) };
    parts.iter().for_each(|part| row_sums(part.rows, part.stride, part.dy, sums));
}

struct Add<'a, E> {
    stairs: &'a Staircase,
    inputs: Range<usize>,
    parts: &'a [Part<'a, E>],
    /// Rows of a panel: all lanes of all parts.
    rows: usize,
    panels: &'a [E],
    gradient: &'a Shared<'a, E>,
}

impl<E: Real> WithSimd for Add<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = width::<E, S>();
        let block = if S::REGISTER_COUNT >= 32 { 4 * width } else { 2 * width };
        let outputs = self.stairs.outputs();
        for k in self.inputs.clone().step_by(block) {
            let most = block.min(self.inputs.end - k);
            let mut group = self.stairs.first_output_of(k);
            while group < outputs {
                let seen_of = |j| (self.stairs.reach(j) - k).min(most);
                let (seen, group_end) = (seen_of(group), run_end(group, outputs, seen_of));
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

impl<E: Real> Add<'_, E> {
    /// The weights from inputs `k .. k + seen` to outputs `j .. j + R`.
    ///
    /// # Safety
    /// The outputs must see those inputs, and V registers must hold `seen` numbers.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(&self, simd: S, j: usize, k: usize, seen: usize) {
        let width = width::<E, S>();
        // SAFETY: `add_block` has checked the buffers. A register's numbers lie in one panel, since LANES is a multiple of its width
        // and so is k; the weights that are written are those of `seen` inputs, which are this call's alone.
        unsafe {
            let mut sums: Sums<E, S, R, V> = [[E::splat(simd, E::ZERO); V]; R];
            // What the sums are added to at last is fetched while they are made: it lies far apart, and nobody has it near.
            for r in 0..R {
                let to = self.gradient.start.add(self.stairs.offset(j + r) + k);
                prefetch(to);
                prefetch(to.add(seen - 1));
            }
            let mut at = [self.panels.as_ptr(); V];
            for v in 0..V {
                let input = k - self.inputs.start + v * width;
                at[v] = self.panels.as_ptr().add(input / LANES * LANES * self.rows + input % LANES);
            }
            for (p, part) in self.parts.iter().enumerate() {
                // The next part lies where the processor does not foresee it.
                if let Some(next) = self.parts.get(p + 1) {
                    for lane in (0..R * next.stride).step_by(LANES) {
                        prefetch(next.dy.as_ptr().add(j * next.stride + lane));
                    }
                }
                let mut factors = [part.dy.as_ptr(); R];
                for r in 0..R {
                    factors[r] = part.dy.as_ptr().add((j + r) * part.stride);
                }
                let mut sums_now = sums;
                for row in 0..part.rows {
                    let mut inputs = [E::splat(simd, E::ZERO); V];
                    for v in 0..V {
                        inputs[v] = load::<E, S, 1>(simd, at[v].add(row * LANES))[0];
                    }
                    multiply_add::<E, S, R, V>(simd, factors, inputs, &mut sums_now);
                    factors.iter_mut().for_each(|factor| *factor = factor.add(1));
                }
                // Between two parts the sums are in memory, so that from row to row they are in nothing but registers: compilers
                // that carry them through both loops store them at every row.
                sums = std::hint::black_box(sums_now);
                at.iter_mut().for_each(|at| *at = at.wrapping_add(part.stride * LANES));
            }
            for r in 0..R {
                let mut to = self.gradient.start.add(self.stairs.offset(j + r) + k);
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
