//! A density on a box: for flows whose variables are on a circle or in an interval.

use super::{Constraint, Density, Fatal, Faults};

/// log γ(x) where every variable is between ± `half`, and zero density elsewhere.
pub struct Within<'a> {
    density: Box<dyn Density + 'a>,
    half: f64,
}

/// What rounding in single precision may add to a number at the end of the box, relative to it.
const ROUNDING: f64 = 1e-6;

impl<'a> Within<'a> {
    /// `density` between ± `half`.
    pub fn new(density: Box<dyn Density + 'a>, half: f64) -> Self {
        Self { density, half }
    }
}

impl Density for Within<'_> {
    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn given(&self) -> usize {
        self.density.given()
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let (dim, given, most) = (self.dim(), self.given(), self.half * (1.0 + ROUNDING));
        let is_outside = |row: &[f64]| row[given..].iter().any(|x| x.abs() > most);
        // Points outside are not shown to a density that may know nothing of them.
        let mut inside = points.to_vec();
        for row in inside.chunks_exact_mut(dim).filter(|row| is_outside(row)) {
            row[given..].fill(0.0);
        }
        let outside: Vec<bool> = points.chunks_exact(dim).map(is_outside).collect();
        match gradients {
            None => self.density.evaluate(&inside, values, None, faults)?,
            Some(gradients) => {
                self.density.evaluate(&inside, values, Some(&mut *gradients), faults)?;
                let rows = gradients.chunks_exact_mut(dim).zip(&outside);
                rows.filter(|(_, outside)| **outside).for_each(|(row, _)| row.fill(0.0));
            }
        }
        let rows = values.iter_mut().zip(&outside);
        rows.filter(|(_, outside)| **outside).for_each(|(value, _)| *value = f64::NEG_INFINITY);
        Ok(())
    }

    fn piece(&self) -> usize {
        self.density.piece()
    }

    fn names(&self) -> Vec<String> {
        self.density.names()
    }

    fn constraint(&self) -> Constraint {
        self.density.constraint()
    }

    fn constrained_names(&self) -> Vec<String> {
        self.density.constrained_names()
    }

    fn constrain(&self, point: &[f64], values: &mut [f64]) -> Result<(), Fatal> {
        self.density.constrain(point, values)
    }
}
