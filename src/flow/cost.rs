//! What densities and draws of a flow cost: a value, known before a flow is built, that people and objectives ask for.

use super::layers::LayerShape;
use super::{FlowConfig, Orientation, Space};
use crate::ops::ways::{Way, Ways};
use serde::Serialize;

/// How a flow gives the log densities of points, and how it draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// How it gives log densities of points that are not its own draws.
    pub densities: Way,
    /// How it draws, with the log densities of the draws.
    pub draws: Way,
}

impl Cost {
    /// That of layers which go so.
    pub(super) fn new(ways: Ways, orientation: Orientation) -> Self {
        let Ways { there, back } = ways;
        let [densities, draws] = match orientation {
            Orientation::Density => [there, back],
            Orientation::Sampling => [back, there],
        };
        Self { densities, draws }
    }
}

impl FlowConfig {
    /// What a flow of this shape costs on a space.
    pub fn cost(&self, space: impl Into<Space>, orientation: Orientation) -> Cost {
        let space = space.into();
        let ways = self.shapes().iter().map(|shape| shape.ways(space)).fold(Ways::PASSES, Ways::and);
        Cost::new(ways, orientation)
    }
}

impl LayerShape {
    /// How its two directions go.
    pub(super) fn ways(&self, space: Space) -> Ways {
        match self {
            LayerShape::Masked(shape) => {
                Ways { back: Way { steps: shape.groups(space).sizes.len(), solved: false }, ..Ways::PASSES }
            }
            LayerShape::Joint(joint) => joint.ways(),
        }
    }
}
