//! The products of dense networks on lanes, in tiles whose sums stay in registers.

use super::super::lanes::{load, multiply_add, store, width, Sums};
use pulp::{Arch, Simd, WithSimd};

/// The most rows of a tile: with two registers of lanes their sums fill 8 of 16 registers.
const ROWS: usize = 4;

/// y_j += Σ_k w[j, k] x_k for lanes x_k and y_j, where w has these steps between rows and columns and this many of them.
///
/// # Panics
/// If a slice is shorter than that.
pub fn multiply(w: &[f64], steps: (usize, usize), sizes: (usize, usize), lanes: usize, x: &[f64], y: &mut [f64]) {
    let ((down, across), (rows, columns)) = (steps, sizes);
    if rows * columns * lanes == 0 {
        return;
    }
    assert!(w.len() > (rows - 1) * down + (columns - 1) * across, "all of the matrix");
    assert!(x.len() >= columns * lanes && y.len() >= rows * lanes, "all lanes");
    Arch::new().dispatch(Multiply { w, down, across, rows, columns, lanes, x, y });
}

struct Multiply<'a> {
    w: &'a [f64],
    down: usize,
    across: usize,
    rows: usize,
    columns: usize,
    lanes: usize,
    x: &'a [f64],
    y: &'a mut [f64],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut j = 0;
        while j + ROWS <= self.rows {
            self.strip::<S, ROWS>(simd, j);
            j += ROWS;
        }
        while j < self.rows {
            self.strip::<S, 1>(simd, j);
            j += 1;
        }
    }
}

impl Multiply<'_> {
    /// Rows `j .. j + R`, which there are.
    #[inline(always)]
    fn strip<S: Simd, const R: usize>(&mut self, simd: S, j: usize) {
        let (mut lane, width) = (0, width::<f64, S>());
        while lane + 2 * width <= self.lanes {
            // SAFETY: these rows and lanes are there.
            unsafe { self.tile::<S, R, 2>(simd, j, lane) };
            lane += 2 * width;
        }
        while lane + width <= self.lanes {
            // SAFETY: these rows and lanes are there.
            unsafe { self.tile::<S, R, 1>(simd, j, lane) };
            lane += width;
        }
        for lane in lane..self.lanes {
            for j in j..j + R {
                let row = |k: usize| self.w[j * self.down + k * self.across] * self.x[k * self.lanes + lane];
                self.y[j * self.lanes + lane] += (0..self.columns).map(row).sum::<f64>();
            }
        }
    }

    /// # Safety
    /// The rows `j .. j + R` and `V` registers of lanes from `lane` must be there.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, j: usize, lane: usize) {
        let (w, x, y) = (self.w.as_ptr(), self.x.as_ptr(), self.y.as_mut_ptr());
        // SAFETY: `multiply` has checked the slices, and the caller rows and lanes.
        unsafe {
            let first = y.add(j * self.lanes + lane);
            let mut sums: Sums<f64, S, R, V> = [[simd.splat_f64s(0.0); V]; R];
            let mut factors = [w; R];
            for r in 0..R {
                sums[r] = load::<f64, S, V>(simd, first.add(r * self.lanes));
                factors[r] = w.add((j + r) * self.down);
            }
            let mut at = x.add(lane);
            for _ in 0..self.columns {
                multiply_add::<f64, S, R, V>(simd, factors, load::<f64, S, V>(simd, at), &mut sums);
                factors.iter_mut().for_each(|factor| *factor = factor.wrapping_add(self.across));
                at = at.wrapping_add(self.lanes);
            }
            for r in 0..R {
                store::<f64, S, V>(sums[r], first.add(r * self.lanes));
            }
        }
    }
}

/// sums[j, k] += Σ_lanes g_j x_k for `inputs` lanes x_k and as many lanes g_j as there are.
///
/// # Panics
/// If a slice is shorter than that.
pub fn add_products(g: &[f64], x: &[f64], lanes: usize, inputs: usize, sums: &mut [f64]) {
    if lanes * inputs == 0 {
        return;
    }
    let outputs = g.len() / lanes;
    assert!(x.len() >= inputs * lanes && sums.len() >= outputs * inputs, "all lanes and sums");
    Arch::new().dispatch(Products { g, x, lanes, outputs, inputs, sums });
}

struct Products<'a> {
    g: &'a [f64],
    x: &'a [f64],
    lanes: usize,
    outputs: usize,
    inputs: usize,
    sums: &'a mut [f64],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut j = 0;
        while j + ROWS <= self.outputs {
            self.strip::<S, ROWS>(simd, j);
            j += ROWS;
        }
        while j < self.outputs {
            self.strip::<S, 1>(simd, j);
            j += 1;
        }
    }
}

impl Products<'_> {
    /// Rows `j .. j + R`, which there are.
    #[inline(always)]
    fn strip<S: Simd, const R: usize>(&mut self, simd: S, j: usize) {
        let mut k = 0;
        while k + 2 <= self.inputs {
            // SAFETY: these rows and inputs are there.
            unsafe { self.tile::<S, R, 2>(simd, j, k) };
            k += 2;
        }
        if k < self.inputs {
            // SAFETY: this row and this input are there.
            unsafe { self.tile::<S, R, 1>(simd, j, k) };
        }
    }

    /// # Safety
    /// The rows `j .. j + R` and the inputs `k .. k + C` must be there.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, j: usize, k: usize) {
        let (lanes, width) = (self.lanes, width::<f64, S>());
        let mut sums = [[simd.splat_f64s(0.0); C]; R];
        let mut lane = 0;
        // SAFETY: `add_products` has checked the slices, and the caller rows and inputs.
        unsafe {
            let (g, x) = (self.g.as_ptr().add(j * lanes), self.x.as_ptr().add(k * lanes));
            while lane + width <= lanes {
                let mut xs = [simd.splat_f64s(0.0); C];
                for c in 0..C {
                    [xs[c]] = load::<f64, S, 1>(simd, x.add(c * lanes + lane));
                }
                for r in 0..R {
                    let [g] = load::<f64, S, 1>(simd, g.add(r * lanes + lane));
                    for c in 0..C {
                        sums[r][c] = simd.mul_add_f64s(g, xs[c], sums[r][c]);
                    }
                }
                lane += width;
            }
        }
        for r in 0..R {
            for c in 0..C {
                let (g, x) = (&self.g[(j + r) * lanes..][..lanes], &self.x[(k + c) * lanes..][..lanes]);
                let rest: f64 = g[lane..].iter().zip(&x[lane..]).map(|(g, x)| g * x).sum();
                self.sums[(j + r) * self.inputs + k + c] += simd.reduce_sum_f64s(sums[r][c]) + rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_shapes_are_those_of_sums_one_by_one() {
        let random = |len: usize, seed: usize| -> Vec<f64> {
            (0..len).map(|i| (((i + 3) * (seed + 11) * 7919) % 1000) as f64 / 250.0 - 2.0).collect()
        };
        for (rows, columns, lanes) in [(1, 1, 1), (3, 5, 4), (4, 4, 8), (9, 7, 13), (8, 3, 32), (2, 6, 0)] {
            let (w, x, g) = (random(rows * columns, 1), random(columns * lanes, 2), random(rows * lanes, 3));
            let (mut y, mut back) = (vec![0.5; rows * lanes], vec![0.0; columns * lanes]);
            multiply(&w, (columns, 1), (rows, columns), lanes, &x, &mut y);
            multiply(&w, (1, columns), (columns, rows), lanes, &g, &mut back);
            let mut sums = vec![0.25; rows * columns];
            add_products(&g, &x, lanes, columns, &mut sums);
            let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()), "{a} {b}");
            for lane in 0..lanes {
                for j in 0..rows {
                    let sum: f64 = (0..columns).map(|k| w[j * columns + k] * x[k * lanes + lane]).sum();
                    near(y[j * lanes + lane], 0.5 + sum);
                }
                for k in 0..columns {
                    let sum: f64 = (0..rows).map(|j| w[j * columns + k] * g[j * lanes + lane]).sum();
                    near(back[k * lanes + lane], sum);
                }
            }
            for j in 0..rows {
                for k in 0..columns {
                    let sum: f64 = (0..lanes).map(|lane| g[j * lanes + lane] * x[k * lanes + lane]).sum();
                    near(sums[j * columns + k], 0.25 + sum);
                }
            }
        }
    }
}
