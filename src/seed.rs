//! From one seed to named, independent, addressable random streams.
//!
//! Every use of randomness has a name ("teacher/init", "student/noise") and every row of it a place, so adding a stage
//! never shifts another stage's numbers, and draw `i` is the same whatever the number of draws or threads.

use pulp::{Arch, Simd, WithSimd};
use rand::RngCore;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The seed of a run; the mother of all its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

/// A named stream of random numbers, addressed by row.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u8; 32],
}

impl Seed {
    /// The stream of that name. Different names give independent streams of the same seed.
    pub fn stream(self, name: &str) -> Stream {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name.bytes()).to_le_bytes());
        key[16..24].copy_from_slice(&fnv1a(name.bytes().rev()).to_le_bytes());
        key[24..].copy_from_slice(&(name.len() as u64).to_le_bytes());
        Stream { key }
    }
}

/// The FNV-1a hash (Fowler, Noll and Vo 1991): stable across versions of Rust, which `std`'s hasher is not.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Stream {
    /// A stream of its own for a part of what this one is for.
    pub fn child(&self, name: &str) -> Stream {
        let mut key = self.key;
        for (byte, part) in key[8..16].iter_mut().zip(fnv1a(name.bytes()).to_le_bytes()) {
            *byte = byte.wrapping_mul(31) ^ part;
        }
        for (byte, part) in key[16..24].iter_mut().zip(fnv1a(name.bytes().rev()).to_le_bytes()) {
            *byte = byte.wrapping_mul(31) ^ part;
        }
        key[24] = key[24].wrapping_add(1);
        Stream { key }
    }

    /// A generator for one row that may use as many numbers as it likes (rejection sampling, shuffles).
    pub fn row(&self, row: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(row.wrapping_add(1));
        rng
    }

    /// Standard normal numbers for rows `first ..`, row-major, `dim` to a row (`out.len()` must be a multiple of `dim`).
    ///
    /// A fixed number of words for each normal ([`normal_pair`]) keeps every row addressable.
    pub fn normals(&self, first: u64, dim: usize, out: &mut [f64]) {
        assert!(dim > 0 && out.len().is_multiple_of(dim), "whole rows of normals");
        let pairs = dim.div_ceil(2);
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_word_pos(u128::from(first) * (pairs as u128) * 4);
        let mut bytes = [0u8; 16 * PAIRS];
        let mut normals = [[0.0; PAIRS]; 2];
        let mut used = PAIRS;
        for row in out.chunks_exact_mut(dim) {
            for pair in row.chunks_mut(2) {
                if used == PAIRS {
                    rng.fill_bytes(&mut bytes);
                    normals = Arch::new().dispatch(Pairs(&bytes));
                    used = 0;
                }
                for (value, normals) in pair.iter_mut().zip(&normals) {
                    *value = normals[used];
                }
                used += 1;
            }
        }
    }
}

/// Pairs of normals that are made at a time, to fill registers.
const PAIRS: usize = 32;

/// [`normal_pair`] for many pairs of words, in operations that the compiler can vectorise; within 2·10⁻¹⁵ of it (which is the rounding of 2πu).
struct Pairs<'a>(&'a [u8; 16 * PAIRS]);

impl WithSimd for Pairs<'_> {
    type Output = [[f64; PAIRS]; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut units = [[0.0; PAIRS]; 2];
        for (i, pair) in self.0.chunks_exact(16).enumerate() {
            for (unit, word) in units.iter_mut().zip(pair.chunks_exact(8)) {
                let mut little = [0u8; 8];
                little.copy_from_slice(word);
                unit[i] = unit_of(u64::from_le_bytes(little));
            }
        }
        let mut normals = [[0.0; PAIRS]; 2];
        for i in 0..PAIRS {
            let radius = (-2.0 * ln_of_unit(units[0][i])).sqrt();
            let (sin, cos) = sin_cos_of_turns(units[1][i]);
            normals[0][i] = radius * cos;
            normals[1][i] = radius * sin;
        }
        normals
    }
}

/// ln u for normal numbers u: with u = 2ᵏ m and m in [√½, √2), it is k ln 2 + 2 artanh((m − 1) / (m + 1)), a series.
#[inline(always)]
fn ln_of_unit(u: f64) -> f64 {
    // Subtracting the bits of √½ leaves k in the exponent.
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let offset = u.to_bits().wrapping_sub(SQRT_HALF);
    let k = ((offset as i64) >> 52) as i32;
    let m = f64::from_bits(u.to_bits().wrapping_sub((i64::from(k) << 52) as u64));
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut tail = 1.0 / 21.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        tail = tail * square + 1.0 / odd;
    }
    f64::from(k) * std::f64::consts::LN_2 + (2.0 * s + 2.0 * s * square * tail)
}

/// sin and cos of 2πu for u in (0, 1): Taylor series on an eighth of a turn to either side of a whole quarter.
#[inline(always)]
fn sin_cos_of_turns(u: f64) -> (f64, f64) {
    // Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits of the sum.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let shifted = 4.0 * u + SHIFT;
    let quarters = shifted.to_bits();
    let angle = std::f64::consts::TAU * (u - 0.25 * (shifted - SHIFT));
    let square = angle * angle;
    let (mut sin, mut cos) = (1.0, 1.0);
    for n in [16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0] {
        sin = 1.0 - sin * square * (1.0 / (n * (n + 1.0)));
        cos = 1.0 - cos * square * (1.0 / (n * (n - 1.0)));
    }
    sin *= angle;
    let (sin, cos) = if quarters & 1 == 0 { (sin, cos) } else { (cos, -sin) };
    if quarters & 2 == 0 {
        (sin, cos)
    } else {
        (-sin, -cos)
    }
}

/// A uniform number in the open interval (0, 1) from one word.
#[inline(always)]
fn unit_of(word: u64) -> f64 {
    ((word >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// The numbers 0 to `count` − 1 in a random order that is fixed by `seed` (Fisher and Yates).
pub fn permutation(seed: u64, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut rng = Seed(seed).stream("order").row(0);
    for last in (1..count).rev() {
        let pick = (open_unit(&mut rng) * (last + 1) as f64) as usize;
        order.swap(last, pick.min(last));
    }
    order
}

/// A uniform number in the open interval (0, 1), from one 64-bit word.
pub fn open_unit(rng: &mut (impl RngCore + ?Sized)) -> f64 {
    unit_of(rng.next_u64())
}

/// Two independent standard normal numbers from two words (Box and Muller 1958).
pub fn normal_pair(rng: &mut (impl RngCore + ?Sized)) -> [f64; 2] {
    let radius = (-2.0 * open_unit(rng).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * open_unit(rng)).sin_cos();
    [radius * cos, radius * sin]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_addressable() {
        let stream = Seed(7).stream("noise");
        for dim in [1, 2, 5] {
            let mut all = vec![0.0; 10 * dim];
            stream.normals(0, dim, &mut all);
            let mut tail = vec![0.0; 3 * dim];
            stream.normals(7, dim, &mut tail);
            assert_eq!(all[7 * dim..], tail[..]);
        }
    }

    #[test]
    fn normals_are_those_of_pairs_of_words() {
        for dim in [1, 2, 3, 8] {
            let mut fast = vec![0.0; 20_000 * dim];
            let stream = Seed(11).stream("normals");
            stream.normals(0, dim, &mut fast);
            let mut rng = ChaCha8Rng::from_seed(stream.key);
            for pair in fast.chunks_exact(dim).flat_map(|row| row.chunks(2)) {
                let exact = normal_pair(&mut rng);
                let radius = exact[0].hypot(exact[1]);
                assert!(pair.iter().zip(exact).all(|(fast, exact)| (fast - exact).abs() <= 2e-15 * radius.max(1.0)));
            }
        }
        // Both ends of the interval and the edges between quarters.
        for u in [unit_of(0), unit_of(u64::MAX), 0.125, 0.375, 0.5, 0.625, 0.875, 0.7071067811865475] {
            assert!((ln_of_unit(u) - u.ln()).abs() <= 4e-16 * u.ln().abs().max(1.0), "ln {u}");
            let (sin, cos) = sin_cos_of_turns(u);
            let (exact_sin, exact_cos) = (std::f64::consts::TAU * u).sin_cos();
            assert!((sin - exact_sin).abs() < 1e-15 && (cos - exact_cos).abs() < 1e-15, "{u}");
        }
    }

    #[test]
    fn names_and_seeds_give_different_numbers() {
        let first = |seed: u64, name: &str| Seed(seed).stream(name).row(0).next_u64();
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "ab"), first(1, "ba"));
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let n = 200_000;
        let mut z = vec![0.0; n];
        Seed(3).stream("moments").normals(0, 1, &mut z);
        let moment = |k: i32| z.iter().map(|v| v.powi(k)).sum::<f64>() / n as f64;
        // Five standard errors of the sample moments of N(0, 1).
        let bound = |variance: f64| 5.0 * (variance / n as f64).sqrt();
        assert!(moment(1).abs() < bound(1.0));
        assert!((moment(2) - 1.0).abs() < bound(2.0));
        assert!(moment(3).abs() < bound(15.0));
        assert!((moment(4) - 3.0).abs() < bound(96.0));
    }
}
