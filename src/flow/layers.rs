//! The layers of a flow as people write them, and each of them written out.

use super::RevNetSpec;
use crate::conditioner::{Activation, MadeConfig, Order, Structure};
use crate::ops::joint::{Continuous, Joint, Kind, Residual};
use crate::ops::linear::Matrix;
use crate::transformer::Transformer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// How many layers of one shape, or each by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Layers {
    /// So many of the flow's own shape, with its orders in turn.
    Count(usize),
    /// These, in the order in which the one-pass direction applies them.
    Listed(Vec<LayerSpec>),
}

/// An entry in a list of layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum LayerSpec {
    /// These, so many times.
    Repeat(usize, Vec<LayerSpec>),
    /// A layer that transforms variables by what a masked network makes of others.
    Masked(MaskedSpec),
    /// A reversible residual layer of two parts: two additive couplings.
    RevNet(RevNetSpec),
    /// A linear map of all variables.
    Linear(Matrix),
    /// A fold of all variables along a plane (Rezende and Mohamed 2015).
    Planar,
    /// A swelling of all variables about a point.
    Radial,
    /// A residual layer of all variables, held to be invertible (Behrmann et al. 2019).
    Residual(Residual),
    /// The flow of a differential equation over all variables (Chen et al. 2018).
    Continuous(Continuous),
}

/// A masked layer; what is not said is as the flow says it. Its order is the next of the flow's where it has none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskedSpec {
    /// Which variables see which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<Structure>,
    /// The order of the variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The map of each variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformer: Option<Transformer>,
    /// Widths of the hidden layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// Their non-linearity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Whether hidden layers add their input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<bool>,
    /// Whether weights lead from the inputs straight to the parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<bool>,
}

/// A layer, all of it.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerShape {
    /// A masked layer.
    Masked(MaskedShape),
    /// A map of all variables at once.
    Joint(Joint),
}

/// A masked layer, all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedShape {
    /// Which variables see which.
    pub structure: Structure,
    /// The order of the variables.
    pub order: Order,
    /// The map of each variable.
    pub transformer: Transformer,
    /// The network.
    pub made: MadeConfig,
}

impl From<usize> for Layers {
    fn from(count: usize) -> Self {
        Layers::Count(count)
    }
}

impl Layers {
    /// How many there are, repeated ones counted as often.
    pub fn count(&self) -> usize {
        match self {
            Layers::Count(count) => *count,
            Layers::Listed(list) => list.iter().map(LayerSpec::count).fold(0, usize::saturating_add),
        }
    }

    /// The entries of a list with repetitions written out.
    pub(super) fn each(&self) -> Vec<&LayerSpec> {
        let mut all = Vec::new();
        if let Layers::Listed(list) = self {
            list.iter().for_each(|layer| layer.add_to(&mut all));
        }
        all
    }
}

impl From<Kind> for LayerSpec {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Planar => LayerSpec::Planar,
            Kind::Radial => LayerSpec::Radial,
            Kind::Residual(of) => LayerSpec::Residual(of),
            Kind::Continuous(of) => LayerSpec::Continuous(of),
        }
    }
}

impl LayerSpec {
    /// What it is, if it is a map of all variables: in a flow of networks of these widths.
    pub(super) fn joint(&self, hidden: &[usize]) -> Option<Joint> {
        let kind = match self {
            LayerSpec::Linear(matrix) => return Some(Joint::Linear(*matrix)),
            LayerSpec::Planar => Kind::Planar,
            LayerSpec::Radial => Kind::Radial,
            LayerSpec::Residual(of) => Kind::Residual(of.clone()),
            LayerSpec::Continuous(of) => Kind::Continuous(of.clone()),
            LayerSpec::Repeat(..) | LayerSpec::Masked(_) | LayerSpec::RevNet(_) => return None,
        };
        Some(Joint::Formula(kind.settings().within(hidden)))
    }

    fn count(&self) -> usize {
        match self {
            LayerSpec::Repeat(times, list) => {
                list.iter().map(LayerSpec::count).fold(0, usize::saturating_add).saturating_mul(*times)
            }
            LayerSpec::RevNet(_) => 2,
            _ => 1,
        }
    }

    fn add_to<'a>(&'a self, all: &mut Vec<&'a LayerSpec>) {
        match self {
            // Nothing is nothing however often.
            LayerSpec::Repeat(..) if self.count() == 0 => {}
            LayerSpec::Repeat(times, list) => {
                (0..*times).for_each(|_| list.iter().for_each(|layer| layer.add_to(all)));
            }
            _ => all.push(self),
        }
    }
}

impl LayerShape {
    /// The same as an entry of a list that leaves nothing to the flow.
    pub(super) fn spec(self) -> LayerSpec {
        let MaskedShape { structure, order, transformer, made } = match self {
            LayerShape::Masked(shape) => shape,
            LayerShape::Joint(Joint::Linear(matrix)) => return LayerSpec::Linear(matrix),
            LayerShape::Joint(Joint::Formula(kind)) => return kind.into(),
        };
        let MadeConfig { hidden, activation, residual, skip } = made;
        LayerSpec::Masked(MaskedSpec {
            structure: Some(structure),
            order: Some(order),
            transformer: Some(transformer),
            hidden: Some(hidden),
            activation: Some(activation),
            residual: Some(residual),
            skip: Some(skip),
        })
    }
}

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads a number or a list, from RON and from JSON.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Layers;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a number of layers, or a list of layers such as [Masked(), Repeat(2, [Masked()])]")
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Layers, E> {
        Ok(Layers::Count(usize::try_from(count).unwrap_or(usize::MAX)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut layers: A) -> Result<Layers, A::Error> {
        let mut list = Vec::new();
        while let Some(layer) = layers.next_element()? {
            list.push(layer);
        }
        Ok(Layers::Listed(list))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FlowConfig;
    use super::*;
    use crate::conditioner::Split;

    fn masked(shape: &LayerShape) -> &MaskedShape {
        match shape {
            LayerShape::Masked(shape) => shape,
            LayerShape::Joint(_) => panic!("{shape:?}"),
        }
    }

    fn of(text: &str) -> FlowConfig {
        let extensions =
            ron::extensions::Extensions::IMPLICIT_SOME | ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES;
        ron::Options::default().with_default_extension(extensions).from_str(text).expect("a flow")
    }

    #[test]
    fn layers_are_counted_or_listed_and_take_from_the_flow_what_they_do_not_say() {
        let plain = of("(layers: 3, hidden: [8])").shapes();
        assert_eq!(
            plain.iter().map(|shape| masked(shape).order).collect::<Vec<_>>(),
            [Order::Ascending, Order::Descending, Order::Ascending]
        );
        let flow = of("(hidden: [8], structure: Coupling(Parity), layers: [
            Repeat(2, [Masked(), Repeat(1, [Masked(order: Shuffled(3), structure: Autoregressive)])]),
            Masked(transformer: Additive, hidden: [], skip: false),
        ])");
        let shapes = flow.shapes();
        assert_eq!((flow.layers.count(), shapes.len()), (5, 5));
        assert_eq!(masked(&shapes[0]).structure, Structure::Coupling(Split::Parity));
        assert_eq!(
            (masked(&shapes[1]).order, &masked(&shapes[1]).structure),
            (Order::Shuffled(3), &Structure::Autoregressive)
        );
        assert_eq!((masked(&shapes[2]).order, &masked(&shapes[2]).made.hidden), (Order::Ascending, &vec![8]));
        assert_eq!((masked(&shapes[4]).transformer, masked(&shapes[4]).made.skip), (Transformer::Additive, false));
        let mut backwards = flow.reversed().shapes();
        backwards.reverse();
        assert_eq!(backwards, shapes);
        let absurd = of("(layers: 1000000000000000)");
        assert_eq!(absurd.reversed(), absurd);
        let steps = |flow: &FlowConfig| flow.cost(6, super::super::Orientation::Density).draws.steps;
        assert_eq!(steps(&flow), 6, "of the autoregressive ones");
        assert_eq!(steps(&of("(structure: Coupling(Halves))")), 1);
        let json = serde_json::to_value(&flow).expect("JSON");
        assert_eq!(serde_json::from_value::<FlowConfig>(json).expect("read again"), flow);
    }

    #[test]
    fn faults_name_the_layer_and_absurd_lists_are_refused_before_they_are_written_out() {
        let wrong = of("(layers: [Masked(), Masked(hidden: [0]), Masked(structure: Blocks(0))])").faults(4);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong[0].starts_with("layers[1]: hidden[0]") && wrong[1].starts_with("layers[2]: structure"),
            "{wrong:?}"
        );
        let mut nested = "Masked()".to_string();
        (0..7).for_each(|_| nested = format!("Repeat(1000000000, [{nested}])"));
        assert!(of(&format!("(layers: [{nested}])")).faults(4)[0].contains("layers is"));
        assert!(of("(layers: [Repeat(1000000000000, [])])").faults(4)[0].contains("layers is 0"));
        let of_nothing = of("(layers: [Repeat(1000000000000, [Repeat(0, [Masked()])]), Masked()])");
        assert_eq!((of_nothing.faults(4), of_nothing.shapes().len()), (vec![], 1));
    }
}
