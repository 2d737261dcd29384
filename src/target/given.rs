//! A density of which some coordinates are given, where they are fixed.

use super::{Constraint, Density, Fatal, Faults};

/// log γ(x | c) of the variables x alone, for one c.
pub struct At<'a> {
    density: &'a dyn Density,
    context: Vec<f64>,
}

impl<'a> At<'a> {
    /// `density` where its first coordinates are `context`.
    ///
    /// # Panics
    /// If `context` has not [`Density::given`] values.
    pub fn new(density: &'a dyn Density, context: &[f64]) -> Self {
        assert_eq!(context.len(), density.given(), "a value for each coordinate that is given");
        Self { density, context: context.to_vec() }
    }

    fn whole(&self, points: &[f64]) -> Vec<f64> {
        let beside = |row: &[f64]| self.context.iter().chain(row).copied().collect::<Vec<f64>>();
        points.chunks_exact(self.dim()).flat_map(beside).collect()
    }
}

impl Density for At<'_> {
    fn dim(&self) -> usize {
        self.density.dim() - self.context.len()
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let whole = self.whole(points);
        let Some(gradients) = gradients else { return self.density.evaluate(&whole, values, None, faults) };
        let mut slopes = vec![0.0; whole.len()];
        self.density.evaluate(&whole, values, Some(&mut slopes), faults)?;
        let rows = gradients.chunks_exact_mut(self.dim()).zip(slopes.chunks_exact(self.density.dim()));
        rows.for_each(|(row, slopes)| row.copy_from_slice(&slopes[self.context.len()..]));
        Ok(())
    }

    fn piece(&self) -> usize {
        self.density.piece()
    }

    fn names(&self) -> Vec<String> {
        self.density.names().split_off(self.context.len())
    }

    fn constraint(&self) -> Constraint {
        self.density.constraint().without(self.context.len())
    }

    /// Where it is known, it is so for every context.
    fn log_normalizer(&self) -> Option<f64> {
        self.density.log_normalizer()
    }
}
