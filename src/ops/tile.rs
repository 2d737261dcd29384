//! The one product kernel: a sum of outer products into a tile of rows × one panel of columns.
//!
//! All three products of a masked layer (its output, its input gradient, its weight gradient) are this sum with different
//! strides. Each output element is accumulated over the steps in order, whatever the number of rows, so results depend
//! neither on the batch nor on the number of threads.

use super::real::Real;
use pulp::{Arch, Simd, WithSimd};

/// The number of columns of a panel.
pub const PANEL: usize = 16;

/// The length rounded up to whole panels, which is the row stride of every buffer that the kernels touch.
pub fn padded(len: usize) -> usize {
    len.div_ceil(PANEL) * PANEL
}

/// A strided factor: element (row, step) is `values[row · row_stride + step · step_stride]`.
#[derive(Clone, Copy)]
pub struct Left<'a, E> {
    /// The storage.
    pub values: &'a [E],
    /// Distance between rows.
    pub row_stride: usize,
    /// Distance between steps.
    pub step_stride: usize,
}

/// A factor of panel width: element (step, column) is `values[step · step_stride + column]`.
#[derive(Clone, Copy)]
pub struct Right<'a, E> {
    /// The storage.
    pub values: &'a [E],
    /// Distance between steps.
    pub step_stride: usize,
}

/// What the sum is added to.
#[derive(Clone, Copy)]
pub enum Start<'a, E> {
    /// What the output already holds.
    Output,
    /// The same panel of numbers in every row.
    Bias(&'a [E]),
}

/// `out[row · out_stride + c] = start + Σ_step left(row, step) · right(step, c)` for `c` in one panel.
///
/// # Panics
/// If a slice is too short for its strides.
pub fn accumulate<E: Real>(
    rows: usize,
    steps: usize,
    left: Left<E>,
    right: Right<E>,
    start: Start<E>,
    out: &mut [E],
    out_stride: usize,
) {
    if rows == 0 {
        return;
    }
    if steps > 0 {
        assert!((rows - 1) * left.row_stride + (steps - 1) * left.step_stride < left.values.len());
        assert!((steps - 1) * right.step_stride + PANEL <= right.values.len());
    }
    assert!((rows - 1) * out_stride + PANEL <= out.len());
    if let Start::Bias(bias) = start {
        assert!(bias.len() >= PANEL);
    }
    Arch::new().dispatch(Accumulate { rows, steps, left, right, start, out, out_stride });
}

/// The arguments of [`accumulate`], as what `pulp` compiles once per instruction set.
struct Accumulate<'a, E> {
    rows: usize,
    steps: usize,
    left: Left<'a, E>,
    right: Right<'a, E>,
    start: Start<'a, E>,
    out: &'a mut [E],
    out_stride: usize,
}

impl<E: Real> WithSimd for Accumulate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let mut row = 0;
        while row + 8 <= self.rows {
            self.block::<8>(row);
            row += 8;
        }
        if row + 4 <= self.rows {
            self.block::<4>(row);
            row += 4;
        }
        while row < self.rows {
            self.block::<1>(row);
            row += 1;
        }
    }
}

impl<E: Real> Accumulate<'_, E> {
    /// Rows `row .. row + R`.
    #[inline(always)]
    fn block<const R: usize>(&mut self, row: usize) {
        let mut sums = [[E::ZERO; PANEL]; R];
        for (r, sum) in sums.iter_mut().enumerate() {
            match self.start {
                Start::Output => {
                    let at = (row + r) * self.out_stride;
                    sum.copy_from_slice(&self.out[at..at + PANEL]);
                }
                Start::Bias(bias) => sum.copy_from_slice(&bias[..PANEL]),
            }
        }
        // SAFETY: `accumulate` has checked that the largest row and step lie inside `left` and, with a whole panel
        // after it, inside `right`; rows and steps here stay below `self.rows` and `self.steps`.
        unsafe {
            let left = self.left.values.as_ptr().add(row * self.left.row_stride);
            let right = self.right.values.as_ptr();
            for step in 0..self.steps {
                let panel = right.add(step * self.right.step_stride);
                let column = left.add(step * self.left.step_stride);
                for (r, sum) in sums.iter_mut().enumerate() {
                    let factor = *column.add(r * self.left.row_stride);
                    for (c, value) in sum.iter_mut().enumerate() {
                        *value = factor.fma(*panel.add(c), *value);
                    }
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            let at = (row + r) * self.out_stride;
            self.out[at..at + PANEL].copy_from_slice(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_plain_loop_on_odd_sizes() {
        for rows in [1, 2, 3, 5, 8, 13, 21] {
            for steps in [0, 1, 7, 33] {
                let left: Vec<f64> = (0..rows * (steps + 2)).map(|i| (i as f64 * 0.7).sin()).collect();
                let right: Vec<f64> = (0..(steps + 1) * PANEL).map(|i| (i as f64 * 0.3).cos()).collect();
                let bias: Vec<f64> = (0..PANEL).map(|i| i as f64).collect();
                let mut out = vec![0.0; rows * 2 * PANEL];
                accumulate(
                    rows,
                    steps,
                    Left { values: &left, row_stride: steps + 2, step_stride: 1 },
                    Right { values: &right, step_stride: PANEL },
                    Start::Bias(&bias),
                    &mut out,
                    2 * PANEL,
                );
                for r in 0..rows {
                    for c in 0..PANEL {
                        let sum: f64 = (0..steps).map(|t| left[r * (steps + 2) + t] * right[t * PANEL + c]).sum();
                        assert!((out[r * 2 * PANEL + c] - bias[c] - sum).abs() < 1e-12);
                        assert_eq!(out[r * 2 * PANEL + PANEL + c], 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_company() {
        let (rows, steps) = (21, 40);
        let left: Vec<f32> = (0..rows * steps).map(|i| (i as f32 * 0.7).sin()).collect();
        let right: Vec<f32> = (0..steps * PANEL).map(|i| (i as f32 * 0.3).cos()).collect();
        let product = |from: usize, rows: usize| {
            let mut out = vec![0.0f32; rows * PANEL];
            let left = Left { values: &left[from * steps..], row_stride: steps, step_stride: 1 };
            let right = Right { values: &right, step_stride: PANEL };
            accumulate(rows, steps, left, right, Start::Output, &mut out, PANEL);
            out
        };
        let all = product(0, rows);
        for row in 0..rows {
            assert_eq!(product(row, 1)[..], all[row * PANEL..(row + 1) * PANEL]);
        }
    }
}
