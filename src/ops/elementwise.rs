//! Elementwise work on buffers of one length, and sums over lanes.

use super::lanes::LANES;
use super::real::Real;
use pulp::{Arch, Simd, WithSimd};

/// `to += from`.
pub fn add<E: Real>(from: &[E], to: &mut [E]) {
    Arch::new().dispatch(Pairwise { from, to, apply: Apply::Add });
}

/// `to *= from`.
pub fn multiply<E: Real>(from: &[E], to: &mut [E]) {
    Arch::new().dispatch(Pairwise { from, to, apply: Apply::Multiply });
}

/// `to -= from`.
pub fn subtract<E: Real>(from: &[E], to: &mut [E]) {
    Arch::new().dispatch(Pairwise { from, to, apply: Apply::Subtract });
}

/// `to = 0` where `from` is not positive.
pub fn keep_where_positive<E: Real>(from: &[E], to: &mut [E]) {
    Arch::new().dispatch(Pairwise { from, to, apply: Apply::KeepWherePositive });
}

/// Adds each unit's sum over its first `rows` of `stride` lanes to `sums`.
pub fn row_sums<E: Real>(rows: usize, stride: usize, lanes: &[E], sums: &mut [E]) {
    Arch::new().dispatch(RowSums { rows, stride, lanes, sums });
}

/// What is done to each pair; an enum rather than a closure, which would not be compiled for the instruction set at hand.
enum Apply {
    Add,
    Subtract,
    Multiply,
    KeepWherePositive,
}

struct Pairwise<'a, E> {
    from: &'a [E],
    to: &'a mut [E],
    apply: Apply,
}

impl<E: Real> WithSimd for Pairwise<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let pairs = self.to.iter_mut().zip(self.from);
        match self.apply {
            Apply::Add => {
                for (to, &from) in pairs {
                    *to += from;
                }
            }
            Apply::Subtract => {
                for (to, &from) in pairs {
                    *to -= from;
                }
            }
            Apply::Multiply => {
                for (to, &from) in pairs {
                    *to *= from;
                }
            }
            Apply::KeepWherePositive => {
                for (to, &from) in pairs {
                    *to = if from > E::ZERO { *to } else { E::ZERO };
                }
            }
        }
    }
}

struct RowSums<'a, E> {
    rows: usize,
    stride: usize,
    lanes: &'a [E],
    sums: &'a mut [E],
}

impl<E: Real> WithSimd for RowSums<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, lanes) in self.sums.iter_mut().zip(self.lanes.chunks_exact(self.stride)) {
            let mut parts = [E::ZERO; LANES];
            let (groups, rest) = lanes[..self.rows].split_at(self.rows / LANES * LANES);
            for group in groups.chunks_exact(LANES) {
                for (part, &value) in parts.iter_mut().zip(group) {
                    *part += value;
                }
            }
            for (part, &value) in parts.iter_mut().zip(rest) {
                *part += value;
            }
            let mut len = LANES;
            while len > 1 {
                len /= 2;
                for i in 0..len {
                    let high = parts[i + len];
                    parts[i] += high;
                }
            }
            *sum += parts[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_does_what_it_says() {
        let from: Vec<f64> = (0..37).map(|i| f64::from(i % 5) - 2.0).collect();
        let to: Vec<f64> = (0..37).map(f64::from).collect();
        let (mut sum, mut difference, mut product, mut kept) = (to.clone(), to.clone(), to.clone(), to.clone());
        add(&from, &mut sum);
        subtract(&from, &mut difference);
        multiply(&from, &mut product);
        keep_where_positive(&from, &mut kept);
        for i in 0..37 {
            assert_eq!((sum[i], difference[i], product[i]), (to[i] + from[i], to[i] - from[i], to[i] * from[i]));
            assert_eq!(kept[i], if from[i] > 0.0 { to[i] } else { 0.0 });
        }
        for rows in [1, 15, 16, 17, 47, 48] {
            let lanes: Vec<f64> = (0..3 * 48).map(|i| f64::from(i) * 0.25).collect();
            let mut sums = [1.0; 3];
            row_sums(rows, 48, &lanes, &mut sums);
            for (unit, sum) in sums.into_iter().enumerate() {
                assert_eq!(sum, 1.0 + lanes[unit * 48..unit * 48 + rows].iter().sum::<f64>());
            }
        }
    }
}
