//! The Adam optimiser over flat parameter slices, with a state that can be saved.

use super::checkpoint_file::Parts;
use super::pieces::{for_each, PIECE};
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// The constants of Adam (Kingma and Ba 2015).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamConfig {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The state of Adam: two moments for each parameter, and the number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    config: AdamConfig,
    step: u64,
    first: Vec<Vec<f32>>,
    second: Vec<Vec<f32>>,
}

impl Adam {
    /// A fresh state for tensors of these lengths.
    pub fn new(config: AdamConfig, lengths: impl IntoIterator<Item = usize>) -> Self {
        let first: Vec<Vec<f32>> = lengths.into_iter().map(|len| vec![0.0; len]).collect();
        Self { config, step: 0, second: first.clone(), first }
    }

    /// The number of updates so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// θ' = θ − rate · m̂ / (√v̂ + ε), with bias-corrected moments of the gradients, each gradient first multiplied by `factor` (the
    /// clipping); θ stays as it was, so that a step can be taken back.
    ///
    /// # Panics
    /// If the tensors are not those of the start.
    pub fn update(
        &mut self,
        rate: f64,
        factor: f32,
        values: &[Vec<f32>],
        gradients: &[Vec<f32>],
        next: &mut [Vec<f32>],
    ) {
        self.step += 1;
        let (beta1, beta2) = (self.config.beta1 as f32, self.config.beta2 as f32);
        let steps = self.step.min(i32::MAX as u64) as i32;
        let step_size = (rate / (1.0 - self.config.beta1.powi(steps))) as f32;
        let unbias = (1.0 / (1.0 - self.config.beta2.powi(steps))) as f32;
        let epsilon = self.config.epsilon as f32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        let tensors = values.iter().zip(gradients).zip(next).zip(moments).flat_map(
            |(((values, gradients), next), (first, second))| {
                assert!([gradients.len(), next.len(), first.len()] == [values.len(); 3], "tensors of one length");
                values
                    .chunks(PIECE)
                    .zip(gradients.chunks(PIECE))
                    .zip(next.chunks_mut(PIECE))
                    .zip(first.chunks_mut(PIECE).zip(second.chunks_mut(PIECE)))
            },
        );
        for_each(tensors, |(((values, gradients), next), (first, second))| {
            Arch::new().dispatch(Update {
                betas: [beta1, beta2],
                factor,
                step_size,
                unbias,
                epsilon,
                values,
                gradients,
                next,
                first,
                second,
            });
        });
    }

    /// Puts the moments into `parts`; with [`Adam::step`] they are the whole state.
    pub fn keep(&self, parts: &mut Parts) {
        parts.put_all("adam.first", &self.first);
        parts.put_all("adam.second", &self.second);
    }

    /// The state after `step` updates whose moments [`Adam::keep`] put into `parts`, for tensors of these lengths.
    ///
    /// # Errors
    /// If they are not there.
    pub fn kept(
        config: AdamConfig,
        step: u64,
        parts: &mut Parts,
        lengths: &[usize],
    ) -> std::result::Result<Self, String> {
        let (first, second) = (parts.take_all("adam.first", lengths)?, parts.take_all("adam.second", lengths)?);
        Ok(Self { config, step, first, second })
    }
}

/// One update of a piece of a tensor, as what `pulp` compiles once per instruction set.
struct Update<'a> {
    betas: [f32; 2],
    factor: f32,
    step_size: f32,
    unbias: f32,
    epsilon: f32,
    values: &'a [f32],
    gradients: &'a [f32],
    next: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { betas: [beta1, beta2], factor, step_size, unbias, epsilon, .. } = self;
        let moments = self.first.iter_mut().zip(self.second);
        for (((&value, &gradient), next), (m, v)) in self.values.iter().zip(self.gradients).zip(self.next).zip(moments)
        {
            let gradient = gradient * factor;
            *m = beta1 * *m + (1.0 - beta1) * gradient;
            *v = beta2 * *v + (1.0 - beta2) * gradient * gradient;
            *next = value - step_size * *m / ((*v * unbias).sqrt() + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(step: usize) -> Vec<Vec<f32>> {
        vec![vec![(step as f32).sin(), 0.5, 0.0], vec![-1.0 / (step + 1) as f32]]
    }

    fn update(adam: &mut Adam, values: &mut Vec<Vec<f32>>, step: usize) {
        let mut next = values.clone();
        adam.update(0.01, 1.0, values, &gradient(step), &mut next);
        *values = next;
    }

    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        let mut adam = Adam::new(AdamConfig::default(), [1]);
        let values = vec![vec![0.0f32]];
        let mut next = values.clone();
        adam.update(0.1, 1.0, &values, &[vec![-3.0]], &mut next);
        assert!((next[0][0] - 0.1).abs() < 1e-6);
    }

    #[test]
    fn a_resumed_run_is_the_uninterrupted_run() {
        let mut adam = Adam::new(AdamConfig::default(), [3, 1]);
        let mut values = vec![vec![1.0f32; 3], vec![2.0]];
        (0..10).for_each(|step| update(&mut adam, &mut values, step));
        let mut parts = Parts::default();
        adam.keep(&mut parts);
        let mut resumed = Adam::kept(AdamConfig::default(), adam.step(), &mut parts, &[3, 1]).expect("whole");
        assert_eq!(resumed, adam);
        let mut resumed_values = values.clone();
        for step in 10..20 {
            update(&mut adam, &mut values, step);
            update(&mut resumed, &mut resumed_values, step);
        }
        assert_eq!(values, resumed_values);
    }
}
