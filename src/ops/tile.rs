//! The product kernel of few rows: panels of 16 outputs, several rows or several panels at a time.
//!
//! Each output element is accumulated over the steps in order, whatever the number of rows, so results depend neither on the batch nor
//! on the number of threads. A single row takes four panels at once: one sum alone would wait for its own last addition.

use super::real::Real;
use pulp::{Arch, Simd, WithSimd};

/// The number of columns of a panel.
pub const PANEL: usize = 16;

/// The length rounded up to whole panels, which is the row stride of every buffer that the kernels touch.
pub fn padded(len: usize) -> usize {
    len.div_ceil(PANEL) * PANEL
}

/// A matrix in panels: row `k` of panel `p` is `values[(starts[p] + k) · PANEL ..][.. PANEL]`, and the panel has
/// `starts[p + 1] − starts[p]` rows, no fewer than the panel before.
#[derive(Clone, Copy)]
pub struct Panels<'a, E> {
    /// The storage.
    pub values: &'a [E],
    /// Where the panels begin, in rows of a panel, and where the last one ends.
    pub starts: &'a [usize],
}

/// What the sum is added to.
#[derive(Clone, Copy)]
pub enum Start<'a, E> {
    /// What the output already holds.
    Output,
    /// The same numbers in every row.
    Bias(&'a [E]),
}

/// `out[row · out_stride + p · PANEL + c] = start + Σ_k x[row · x_stride + k] · panel_p[k][c]`.
///
/// # Panics
/// If a slice is too short for its strides, or a panel is shorter than the one before.
pub fn accumulate<E: Real>(
    rows: usize,
    x: &[E],
    x_stride: usize,
    panels: Panels<E>,
    start: Start<E>,
    out: &mut [E],
    out_stride: usize,
) {
    let Panels { values, starts } = panels;
    let Some(count) = starts.len().checked_sub(1).filter(|&count| count > 0 && rows > 0) else {
        return;
    };
    let depths = || starts.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]) && depths().is_sorted(), "panels grow deeper");
    assert!(starts[count] * PANEL <= values.len());
    assert!((rows - 1) * x_stride + depths().next_back().unwrap_or(0) <= x.len());
    assert!((rows - 1) * out_stride + count * PANEL <= out.len());
    if let Start::Bias(bias) = start {
        assert!(bias.len() >= count * PANEL);
    }
    Arch::new().dispatch(Accumulate { rows, x, x_stride, panels, start, out, out_stride });
}

/// The arguments of [`accumulate`], as what `pulp` compiles once per instruction set.
struct Accumulate<'a, E> {
    rows: usize,
    x: &'a [E],
    x_stride: usize,
    panels: Panels<'a, E>,
    start: Start<'a, E>,
    out: &'a mut [E],
    out_stride: usize,
}

impl<E: Real> WithSimd for Accumulate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        if let Start::Bias(bias) = self.start {
            let width = (self.panels.starts.len() - 1) * PANEL;
            for row in 0..self.rows {
                self.out[row * self.out_stride..][..width].copy_from_slice(&bias[..width]);
            }
        }
        let mut row = 0;
        while row + 8 <= self.rows {
            self.rows_at::<8, 1>(row);
            row += 8;
        }
        if row + 4 <= self.rows {
            self.rows_at::<4, 2>(row);
            row += 4;
        }
        while row < self.rows {
            self.rows_at::<1, 4>(row);
            row += 1;
        }
    }
}

impl<E: Real> Accumulate<'_, E> {
    /// Rows `row .. row + R`, by groups of at most `P` panels.
    #[inline(always)]
    fn rows_at<const R: usize, const P: usize>(&mut self, row: usize) {
        let starts = self.panels.starts;
        let count = starts.len() - 1;
        let mut end = 0;
        while end < count {
            let mut panel = end;
            end = (panel + P).min(count);
            // All panels of a group share the steps of its first; what the later ones have beyond those, they share without it.
            let mut from = 0;
            while panel < end {
                let to = starts[panel + 1] - starts[panel];
                if to > from {
                    match end - panel {
                        1 => self.block::<R, 1>(row, panel, from, to),
                        2 => self.block::<R, 2>(row, panel, from, to),
                        3 if P > 2 => self.block::<R, 3>(row, panel, from, to),
                        _ => self.block::<R, P>(row, panel, from, to),
                    }
                }
                (from, panel) = (to, panel + 1);
            }
        }
    }

    /// Steps `from .. to` for rows `row .. row + R` of panels `panel .. panel + P`, which all have them.
    #[inline(always)]
    fn block<const R: usize, const P: usize>(&mut self, row: usize, panel: usize, from: usize, to: usize) {
        let Panels { values, starts } = self.panels;
        let mut sums = [[[E::ZERO; PANEL]; P]; R];
        for r in 0..R {
            for p in 0..P {
                sums[r][p].copy_from_slice(&self.out[(row + r) * self.out_stride + (panel + p) * PANEL..][..PANEL]);
            }
        }
        // SAFETY: `accumulate` has checked that every panel lies inside `values` and is no shorter than those before, and that the
        // steps of the deepest, for the last row, lie inside `x`; rows stay below `self.rows`, and `to` is within the first panel.
        unsafe {
            let x = self.x.as_ptr().add(row * self.x_stride);
            let mut weights = [values.as_ptr(); P];
            for p in 0..P {
                weights[p] = values.as_ptr().add(starts[panel + p] * PANEL);
            }
            for step in from..to {
                for p in 0..P {
                    let weights = weights[p].add(step * PANEL);
                    for r in 0..R {
                        let factor = *x.add(r * self.x_stride + step);
                        for c in 0..PANEL {
                            sums[r][p][c] = factor.fma(*weights.add(c), sums[r][p][c]);
                        }
                    }
                }
            }
        }
        for r in 0..R {
            for p in 0..P {
                self.out[(row + r) * self.out_stride + (panel + p) * PANEL..][..PANEL].copy_from_slice(&sums[r][p]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panels of growing depth with odd numbers in them.
    fn panels(depths: &[usize]) -> (Vec<f64>, Vec<usize>) {
        let mut starts = vec![0];
        depths.iter().for_each(|depth| starts.push(starts[starts.len() - 1] + depth));
        ((0..starts[depths.len()] * PANEL).map(|i| (i as f64 * 0.3).cos()).collect(), starts)
    }

    #[test]
    fn agrees_with_a_plain_loop_on_odd_sizes() {
        for rows in [1, 2, 3, 5, 8, 13, 21] {
            for depths in [&[0][..], &[7], &[1, 1, 33], &[0, 2, 2, 9, 40], &[3, 4, 5, 6, 7, 8, 9]] {
                let (values, starts) = panels(depths);
                let (count, deepest) = (depths.len(), depths[depths.len() - 1]);
                let x_stride = deepest + 2;
                let x: Vec<f64> = (0..rows * x_stride).map(|i| (i as f64 * 0.7).sin()).collect();
                let bias: Vec<f64> = (0..count * PANEL).map(|i| i as f64).collect();
                let out_stride = (count + 1) * PANEL;
                let mut out = vec![0.0; rows * out_stride];
                let panels = Panels { values: &values, starts: &starts };
                accumulate(rows, &x, x_stride, panels, Start::Bias(&bias), &mut out, out_stride);
                let once = out.clone();
                accumulate(rows, &x, x_stride, panels, Start::Output, &mut out, out_stride);
                for r in 0..rows {
                    for c in 0..count * PANEL {
                        let weights = &values[starts[c / PANEL] * PANEL..];
                        let sum: f64 =
                            (0..depths[c / PANEL]).map(|k| x[r * x_stride + k] * weights[k * PANEL + c % PANEL]).sum();
                        assert!((once[r * out_stride + c] - bias[c] - sum).abs() < 1e-12);
                        assert!((out[r * out_stride + c] - bias[c] - 2.0 * sum).abs() < 1e-12);
                    }
                    assert!(out[r * out_stride + count * PANEL..][..PANEL].iter().all(|&value| value == 0.0));
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_company() {
        let (values, starts) = panels(&[5, 20, 20, 31, 40, 40]);
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        let (rows, stride) = (21, 40);
        let x: Vec<f32> = (0..rows * stride).map(|i| (i as f32 * 0.7).sin()).collect();
        let product = |from: usize, rows: usize| {
            let mut out = vec![0.0f32; rows * 6 * PANEL];
            let panels = Panels { values: &values, starts: &starts };
            accumulate(rows, &x[from * stride..], stride, panels, Start::Output, &mut out, 6 * PANEL);
            out
        };
        let all = product(0, rows);
        for row in 0..rows {
            assert_eq!(product(row, 1)[..], all[row * 6 * PANEL..(row + 1) * 6 * PANEL]);
        }
    }
}
