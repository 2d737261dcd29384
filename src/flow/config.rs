//! The shape of a flow as people write it and as model files carry it.

use super::layers::{LayerShape, LayerSpec, Layers, MaskedShape, MaskedSpec};
use super::{BaseConfig, Space};
use crate::conditioner::{Activation, Groups, MadeConfig, Order, Structure};
use crate::ops::joint::Joint;
use crate::ops::linear::Matrix;
use crate::ops::network::Network;
use crate::ops::transform::Transform;
use crate::transformer::{Domain, Transformer};
use serde::{Deserialize, Serialize};

/// A stack of layers over a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// How many layers of the shape below, or a list of layers.
    pub layers: Layers,
    /// Which variables see which in each layer.
    #[serde(skip_serializing_if = "is_autoregressive")]
    pub structure: Structure,
    /// Widths of each conditioner's hidden layers; an empty list makes it linear.
    pub hidden: Vec<usize>,
    /// The non-linearity of the hidden layers.
    pub activation: Activation,
    /// The orders of the variables, taken in turn by the layers.
    pub orders: Vec<Order>,
    /// Whether every hidden layer after the first adds its input to its output; all widths must be equal then.
    pub residual: bool,
    /// Whether masked weights lead from the inputs straight to the outputs.
    pub skip: bool,
    /// The map of each variable.
    pub transformer: Transformer,
    /// The density that the layers carry.
    pub base: BaseConfig,
    /// The limit L beyond which draws z of the base are drawn in softly, to L asinh(z/L); none leaves them where they are.
    pub tail_limit: Option<f64>,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            layers: Layers::Count(5),
            structure: Structure::default(),
            hidden: vec![64, 64],
            activation: Activation::Silu,
            orders: vec![Order::Ascending, Order::Descending],
            residual: false,
            skip: true,
            transformer: Transformer::default(),
            base: BaseConfig::default(),
            tail_limit: None,
        }
    }
}

/// Sizes beyond these are taken for slips of the pen.
const MOST_LAYERS: usize = 1_000;
const WIDEST: usize = 65_536;
const MOST_HIDDEN: usize = 64;
const MOST_DIMENSIONS: usize = 65_536;

impl FlowConfig {
    /// Each layer, all of it.
    pub fn shapes(&self) -> Vec<LayerShape> {
        match &self.layers {
            Layers::Count(count) => {
                (0..*count).map(|l| LayerShape::Masked(self.masked(l, &MaskedSpec::default()))).collect()
            }
            Layers::Listed(_) => {
                // The orders go by the masked layers, whatever is between them.
                let mut masked = 0..;
                let couplings = |halves: [MaskedSpec; 2]| halves.map(|half| LayerShape::Masked(self.masked(0, &half)));
                let shapes = |layer: &LayerSpec| match layer {
                    LayerSpec::Masked(given) => {
                        vec![LayerShape::Masked(self.masked(masked.next().unwrap_or(0), given))]
                    }
                    LayerSpec::RevNet(given) => couplings(given.couplings()).to_vec(),
                    layer => layer.joint(&self.hidden).into_iter().map(LayerShape::Joint).collect(),
                };
                self.layers.each().into_iter().flat_map(shapes).collect()
            }
        }
    }

    /// Masked layer `l`, of which so much is said.
    fn masked(&self, l: usize, given: &MaskedSpec) -> MaskedShape {
        let MaskedSpec { structure, order, transformer, hidden, activation, residual, skip } = given.clone();
        let next = self.orders.get(l % self.orders.len().max(1)).copied();
        MaskedShape {
            structure: structure.unwrap_or_else(|| self.structure.clone()),
            order: order.or(next).unwrap_or(Order::Ascending),
            transformer: transformer.unwrap_or(self.transformer),
            made: MadeConfig {
                hidden: hidden.unwrap_or_else(|| self.hidden.clone()),
                activation: activation.unwrap_or(self.activation),
                residual: residual.unwrap_or(self.residual),
                skip: skip.unwrap_or(self.skip),
            },
        }
    }

    /// The same layers in the opposite order, so that layer `k` has the groups of layer `K + 1 − k`: the shape in which the inverse of this
    /// flow can be written exactly, layer by layer. A flow with an absurd number of layers, which is a fault, stays as it is.
    pub fn reversed(&self) -> Self {
        match &self.layers {
            layers if layers.count() > MOST_LAYERS => self.clone(),
            Layers::Count(_) => {
                let count = self.layers.count();
                let orders = (0..count).rev().map(|l| self.masked(l, &MaskedSpec::default()).order).collect();
                Self { orders, ..self.clone() }
            }
            Layers::Listed(_) => {
                let list = self.shapes().into_iter().rev().map(LayerShape::spec).collect();
                Self { layers: Layers::Listed(list), ..self.clone() }
            }
        }
    }

    /// Whether a layer or the base is fitted to data before it learns.
    pub fn starts_from_data(&self) -> bool {
        let of_layer = |shape: &LayerShape| *shape == LayerShape::Joint(Joint::Linear(Matrix::ActNorm));
        self.base.settings().is_fitted() || self.shapes().iter().any(of_layer)
    }

    /// The number of trainable values on a space.
    pub fn parameters(&self, space: impl Into<Space>) -> usize {
        let space = space.into();
        let base = self.base.settings().tensors(space.variables).into_iter().map(|(_, len)| len).sum::<usize>();
        self.sum(|shape| shape.parameters(space)) + base
    }

    /// The number of multiplications by unmasked weights for one row of a space.
    pub fn multiplications(&self, space: impl Into<Space>) -> usize {
        let space = space.into();
        self.sum(|shape| shape.multiplications(space))
    }

    /// The sum over all layers, of which most are alike.
    fn sum(&self, of_layer: impl Fn(&LayerShape) -> usize) -> usize {
        let mut known: Vec<(LayerShape, usize)> = Vec::new();
        let mut total = 0usize;
        for shape in self.shapes() {
            let found = known.iter().find(|(other, _)| *other == shape).map(|(_, value)| *value);
            let value = found.unwrap_or_else(|| {
                let value = of_layer(&shape);
                known.push((shape, value));
                value
            });
            total = total.saturating_add(value);
        }
        total
    }

    /// Where its variables are: all of its layers and its base say the same of a flow without faults.
    pub fn domain(&self) -> Domain {
        self.base.settings().domain()
    }

    fn fault_of_domains(&self, shapes: &[LayerShape]) -> Option<String> {
        let base = self.base.settings().domain();
        let other = shapes.iter().map(domain_of).find(|&domain| domain != base);
        let right = "Circular with the bases Circle or VonMises, Interval with the base Interval of the same limit, and all others with those of \
                     the line are right";
        match other {
            Some(layer) => Some(format!("base: its draws are on {base}, and a layer maps {layer}; {right}")),
            None => (base != Domain::Line && self.tail_limit.is_some())
                .then(|| format!("tail_limit is given, and the variables are on {base}; leave it out")),
        }
    }

    /// Everything that is wrong with it on a space, each fault naming its field, its value and what would be right.
    pub fn faults(&self, space: impl Into<Space>) -> Vec<String> {
        let space = space.into();
        let dim = space.variables;
        let mut faults = Vec::new();
        if dim == 0 || space.columns() > MOST_DIMENSIONS {
            faults.push(format!("the dimension is {dim}; 1 to {MOST_DIMENSIONS} is right"));
        }
        let count = self.layers.count();
        let right = (1..=MOST_LAYERS).contains(&count);
        if !right {
            faults.push(format!("layers is {count}; 1 to {MOST_LAYERS} is right"));
        }
        if self.orders.is_empty() {
            faults.push("orders is empty; at least one order is right".into());
        }
        let listed = matches!(self.layers, Layers::Listed(_));
        let shapes = match listed {
            true if right => self.shapes(),
            true => Vec::new(),
            // They differ by their orders only.
            false => {
                let shape = |l| LayerShape::Masked(self.masked(l, &MaskedSpec::default()));
                (0..self.orders.len().max(1)).map(shape).collect()
            }
        };
        for (l, shape) in shapes.iter().enumerate() {
            let of_layer = shape.faults(dim.max(1));
            let name = |fault: String| if listed { format!("layers[{l}]: {fault}") } else { fault };
            faults.extend(of_layer.into_iter().map(name).filter(|fault| !faults.contains(fault)).collect::<Vec<_>>());
        }
        faults.extend(self.base.settings().fault().map(|fault| format!("base: {fault}")));
        faults.extend(self.fault_of_domains(&shapes));
        if let Some(limit) = self.tail_limit.filter(|limit| !(1.0..=1e6).contains(limit)) {
            faults.push(format!("tail_limit is {limit}; 1 to 1000000, in scales of the base, is right"));
        }
        if faults.is_empty() && self.multiplications(space) > 1 << 31 {
            let millions = self.multiplications(space) / 1_000_000;
            faults.push(format!("the flow has {millions} million weights; at most 2147 million is right"));
        }
        faults
    }
}

/// Where the variables of a layer are.
fn domain_of(shape: &LayerShape) -> Domain {
    shape.masked().map_or(Domain::Line, |shape| shape.transformer.domain())
}

fn is_autoregressive(structure: &Structure) -> bool {
    *structure == Structure::Autoregressive
}

impl LayerShape {
    /// The layer, if it has a masked network.
    pub fn masked(&self) -> Option<&MaskedShape> {
        match self {
            LayerShape::Masked(shape) => Some(shape),
            LayerShape::Joint(_) => None,
        }
    }

    fn parameters(&self, space: Space) -> usize {
        match self {
            LayerShape::Masked(shape) => shape.network(space).tensors().iter().map(|tensor| tensor.len).sum(),
            LayerShape::Joint(joint) => joint.tensors(space.variables).into_iter().map(|(_, len)| len).sum(),
        }
    }

    fn multiplications(&self, space: Space) -> usize {
        match self {
            LayerShape::Masked(shape) => shape.network(space).weights(),
            LayerShape::Joint(joint) => joint.multiplications(space.variables),
        }
    }

    fn faults(&self, dim: usize) -> Vec<String> {
        match self {
            LayerShape::Masked(shape) => shape.faults(dim),
            LayerShape::Joint(joint) => joint.fault(dim).into_iter().collect(),
        }
    }
}

impl MaskedShape {
    /// The groups of its columns on a space; those that are given come first.
    pub fn groups(&self, space: Space) -> Groups {
        self.structure.groups(self.order, space.variables).beside(space.given)
    }

    fn network(&self, space: Space) -> Network {
        let groups = self.groups(space);
        let MadeConfig { hidden, activation, residual, skip } = &self.made;
        let per_variable = self.transformer.per_variable();
        Network::new(groups.inputs(self.transformer.inputs()), per_variable, hidden, *activation, *residual, *skip)
    }

    fn faults(&self, dim: usize) -> Vec<String> {
        let mut faults = Vec::new();
        let hidden = &self.made.hidden;
        if hidden.len() > MOST_HIDDEN {
            faults.push(format!("hidden lists {} layers; at most {MOST_HIDDEN} is right", hidden.len()));
        }
        for (i, &width) in hidden.iter().enumerate() {
            if width == 0 || width > WIDEST {
                faults.push(format!("hidden[{i}] is {width}; 1 to {WIDEST} is right"));
            }
        }
        if self.made.residual && hidden.windows(2).any(|pair| pair[0] != pair[1]) {
            faults.push(format!("hidden is {hidden:?}; residual layers must all have one width"));
        }
        faults.extend(self.transformer.fault().map(|fault| format!("transformer: {fault}")));
        faults.extend(self.structure.fault(self.order, dim).map(|fault| format!("structure: {fault}")));
        faults
    }
}
