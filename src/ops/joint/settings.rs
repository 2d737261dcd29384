//! What a map by formula says of itself to people who name it in a flow: its fields, their faults, its tensors, what it costs, and how the formula
//! comes from them.

use super::super::ways::Ways;
use super::{Formula, Kind};
use std::sync::Arc;

/// The fields of a map by formula as they are written in experiments and model files. They stand beside the formula that comes from them, with
/// their defaults.
pub trait FormulaSettings {
    /// The names and lengths of its tensors for `dim` variables.
    fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)>;

    /// The standard deviations of the values of each tensor at the start, near the identity.
    fn starts(&self, dim: usize) -> Vec<f64>;

    /// What is wrong with a field for `dim` variables, and what would be right.
    fn fault(&self, _dim: usize) -> Option<String> {
        None
    }

    /// How its two directions go.
    fn ways(&self) -> Ways;

    /// Multiplications for a row of `dim` variables, roughly.
    fn multiplications(&self, dim: usize) -> usize;

    /// Elementary operations for a row, roughly.
    fn work(&self, dim: usize) -> usize {
        2 * self.multiplications(dim)
    }

    /// The same in a flow of networks of these widths.
    fn within(&self, hidden: &[usize]) -> Kind;

    /// The same with nothing estimated and nothing held against what it does.
    fn exact(&self) -> Kind {
        self.within(&[])
    }

    /// The formula with these values.
    fn formula(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Formula>;
}

/// Whether a field need not be written.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
