//! An exponential moving average of parameters.

use super::checkpoint_file::Parts;
use super::pieces::{for_each, PIECE};
use pulp::{Arch, Simd, WithSimd};

/// Running averages θ̄ ← δ θ̄ + (1 − δ) θ, corrected for their start at zero, so that early averages are not behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Average {
    decay: f64,
    weight: f64,
    sums: Vec<Vec<f32>>,
}

impl Average {
    /// An average with decay δ in [0, 1) of tensors of these lengths.
    pub fn new(decay: f64, lengths: impl IntoIterator<Item = usize>) -> Self {
        Self { decay, weight: 0.0, sums: lengths.into_iter().map(|len| vec![0.0; len]).collect() }
    }

    /// Takes in the current values.
    pub fn update(&mut self, values: &[Vec<f32>]) {
        self.weight = self.decay * self.weight + (1.0 - self.decay);
        let (keep, take) = (self.decay as f32, (1.0 - self.decay) as f32);
        let pairs = self.sums.iter_mut().zip(values);
        let pieces = pairs.flat_map(|(sums, values)| sums.chunks_mut(PIECE).zip(values.chunks(PIECE)));
        for_each(pieces, |(sums, values): (&mut [f32], &[f32])| {
            Arch::new().dispatch(Update { keep, take, sums, values });
        });
    }

    /// Puts the sums into `parts`; the weight of all that was taken in.
    pub fn keep(&self, parts: &mut Parts) -> f64 {
        parts.put_all("average", &self.sums);
        self.weight
    }

    /// What [`Average::keep`] put into `parts`.
    ///
    /// # Errors
    /// If it is not there.
    pub fn kept(decay: f64, weight: f64, parts: &mut Parts, lengths: &[usize]) -> Result<Self, String> {
        Ok(Self { decay, weight, sums: parts.take_all("average", lengths)? })
    }

    /// The averages; nothing before the first update.
    pub fn values(&self) -> Option<Vec<Vec<f32>>> {
        (self.weight > 0.0).then(|| {
            let scale = (1.0 / self.weight) as f32;
            self.sums.iter().map(|sums| sums.iter().map(|sum| sum * scale).collect()).collect()
        })
    }
}

/// One update of a piece of a tensor, as what `pulp` compiles once per instruction set.
struct Update<'a> {
    keep: f32,
    take: f32,
    sums: &'a mut [f32],
    values: &'a [f32],
}

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, &value) in self.sums.iter_mut().zip(self.values) {
            *sum = self.keep * *sum + self.take * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_averages_to_itself_from_the_first_step() {
        let mut average = Average::new(0.99, [1]);
        assert_eq!(average.values(), None);
        for _ in 0..5 {
            average.update(&[vec![3.0]]);
            let value = average.values().expect("updated")[0][0];
            assert!((value - 3.0).abs() < 1e-5);
        }
    }

    #[test]
    fn later_values_weigh_more() {
        let mut average = Average::new(0.5, [1]);
        average.update(&[vec![0.0]]);
        average.update(&[vec![3.0]]);
        assert!((average.values().expect("updated")[0][0] - 2.0).abs() < 1e-6);
    }
}
