//! Random numbers that are a hash of the row and of the layer's values: the same on the way there and back, whatever the batch, the chunk and
//! the thread, and others after every step, since the values are others.

/// A hash of a layer's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key(u64);

impl Key {
    /// Of these.
    pub fn of<'a>(values: impl Iterator<Item = &'a f64>) -> Self {
        Self(values.fold(0x9e37_79b9_7f4a_7c15, |hash, value| mixed(hash ^ value.to_bits())))
    }

    /// Of the row in a lane, besides.
    pub fn of_row(self, x: &[f64], stride: usize, lane: usize) -> Self {
        Self(x.iter().skip(lane).step_by(stride).fold(self.0, |hash, value| mixed(hash ^ value.to_bits())))
    }

    /// Fills a lane of `v` with signs, 1 or −1 each with probability one half: E v vᵀ = I.
    pub fn signs(self, v: &mut [f64], stride: usize, lane: usize) {
        let mut word = 0;
        for (i, v) in v.iter_mut().skip(lane).step_by(stride).enumerate() {
            if i % 64 == 0 {
                word = mixed(self.0 ^ (i as u64 / 64 + 1));
            }
            *v = if word >> (i % 64) & 1 == 0 { 1.0 } else { -1.0 };
        }
    }

    /// A uniform number in (0, 1].
    pub fn uniform(self) -> f64 {
        ((mixed(!self.0) >> 11) + 1) as f64 * (0.5f64).powi(53)
    }
}

/// Signs for the row of each lane, and its key.
pub fn probes(key: Key, x: &[f64], stride: usize) -> (Vec<f64>, Vec<Key>) {
    let mut v = vec![0.0; x.len()];
    let keys = (0..stride).map(|lane| {
        let key = key.of_row(x, stride, lane);
        key.signs(&mut v, stride, lane);
        key
    });
    let keys = keys.collect();
    (v, keys)
}

/// SplitMix64's step and finaliser (Steele, Lea and Flood 2014).
fn mixed(hash: u64) -> u64 {
    let z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_even_and_independent_and_those_of_the_row_alone() {
        let (dim, count) = (70, 20_000);
        let key = Key::of([0.3, -1.0].iter());
        let rows: Vec<f64> = (0..count).map(|row| f64::from(row) * 1e-9).collect();
        let (mut sum, mut product, mut uniform) = (vec![0.0; dim], vec![0.0; dim], 0.0);
        for row in rows.chunks_exact(4) {
            let x: Vec<f64> = (0..dim).flat_map(|i| row.iter().map(move |x| x + i as f64)).collect();
            let (v, keys) = probes(key, &x, 4);
            for lane in 0..4 {
                let alone: Vec<f64> = x.iter().skip(lane).step_by(4).copied().collect();
                let (of_row, of_key) = probes(key, &alone, 1);
                assert!(of_row.iter().eq(v.iter().skip(lane).step_by(4)) && of_key[0] == keys[lane]);
                (0..dim).for_each(|i| sum[i] += of_row[i]);
                (0..dim).for_each(|i| product[i] += of_row[i] * of_row[(i + 1) % dim]);
                uniform += keys[lane].uniform();
            }
        }
        let within = |sum: f64| assert!(sum.abs() < 4.5 * f64::from(count).sqrt(), "{sum}");
        sum.into_iter().chain(product).for_each(within);
        assert!((uniform / f64::from(count) - 0.5).abs() < 0.01);
        assert_ne!(Key::of([0.3, -1.0].iter()), Key::of([-1.0, 0.3].iter()));
    }
}
