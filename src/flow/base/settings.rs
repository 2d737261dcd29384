//! What a base says of itself to people who name it in a flow: its fields, their faults, its tensors, and how the density comes from them.

use super::Base;
use crate::seed::Stream;
use crate::transformer::Domain;
use std::sync::Arc;

/// The fields of a base as they are written in experiments and model files. They stand beside the density that comes from them, with their
/// defaults.
pub trait BaseSettings {
    /// What is wrong with a field, and what would be right.
    fn fault(&self) -> Option<String>;

    /// Where its draws are.
    fn domain(&self) -> Domain {
        Domain::Line
    }

    /// The number of standard normals that one draw on R^`dim` takes.
    fn noise_width(&self, dim: usize) -> usize {
        dim
    }

    /// Whether it is fitted to draws before it learns.
    fn is_fitted(&self) -> bool {
        false
    }

    /// The names and lengths of its trainable tensors on R^`dim`.
    fn tensors(&self, _dim: usize) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// The values of those tensors at the start.
    fn start(&self, _dim: usize, _stream: &Stream) -> Vec<Vec<f64>> {
        Vec::new()
    }

    /// The values of those tensors fitted to draws (row-major), where this kind of base is. `groups` are the sizes of groups that the draws come
    /// in, one after the other; empty where nobody knows which belong together.
    fn fitted(&self, _dim: usize, _draws: &[f64], _groups: &[usize], _stream: &Stream) -> Option<Vec<Vec<f64>>> {
        None
    }

    /// The density with the values of those tensors.
    fn build(&self, dim: usize, tensors: &[Vec<f64>]) -> Arc<dyn Base>;
}
