//! Layers of an i-RevNet, and which layers a training may go back through without a record.

use super::layers::MaskedSpec;
use super::{FlowConfig, Space};
use crate::conditioner::{Activation, Order, Split, Structure};
use crate::ops::ways::Way;
use crate::transformer::Transformer;
use serde::{Deserialize, Serialize};

/// A reversible residual layer of two parts, h₁′ = h₁ + f₁(h₂) and h₂′ = h₂ + f₂(h₁′) (Gomez et al. 2017; Jacobsen et al. 2018); what is not
/// said is as the flow says it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevNetSpec {
    /// Which variables are the first part.
    pub split: Split,
    /// Widths of the hidden layers of both networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// Their non-linearity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
}

impl RevNetSpec {
    /// The additive couplings that it is made of.
    pub(super) fn couplings(&self) -> [MaskedSpec; 2] {
        // Of order `Descending` the second part stays as it is.
        [Order::Descending, Order::Ascending].map(|order| MaskedSpec {
            structure: Some(Structure::Coupling(self.split.clone())),
            order: Some(order),
            transformer: Some(Transformer::Additive),
            hidden: self.hidden.clone(),
            activation: self.activation,
            residual: None,
            skip: None,
        })
    }
}

impl FlowConfig {
    /// The first layer whose points cannot be found again in one pass, as training asks that keeps no record ([`super::Flow::recompute`]).
    pub fn fault_of_recomputing(&self, space: impl Into<Space>) -> Option<String> {
        let space = space.into();
        let (l, way) =
            self.shapes().iter().map(|shape| shape.ways(space).back).enumerate().find(|(_, way)| *way != Way::PASS)?;
        Some(format!(
            "recompute is true, but layer {l} goes back {way}; layers that go back in one pass (Coupling, Blocks(1), RevNet, Linear, Radial) are right"
        ))
    }
}
