//! From one seed to named, independent, addressable random streams.
//!
//! Every use of randomness has a name ("teacher/init", "student/noise") and every row of it a place, so adding a stage
//! never shifts another stage's numbers, and draw `i` is the same whatever the number of draws or threads.

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
        assert!(dim > 0 && out.len() % dim == 0, "whole rows of normals");
        let pairs = dim.div_ceil(2);
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_word_pos(u128::from(first) * (pairs as u128) * 4);
        for row in out.chunks_exact_mut(dim) {
            for pair in row.chunks_mut(2) {
                let len = pair.len();
                pair.copy_from_slice(&normal_pair(&mut rng)[..len]);
            }
        }
    }
}

/// A uniform number in the open interval (0, 1), from one 64-bit word.
pub fn open_unit(rng: &mut (impl RngCore + ?Sized)) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
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
