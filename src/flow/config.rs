//! The shape of a flow as people write it and as model files carry it.

use super::BaseConfig;
use crate::conditioner::{Activation, MadeConfig, Order};
use crate::ops::transform::Transform;
use crate::transformer::Transformer;
use serde::{Deserialize, Serialize};

/// A stack of autoregressive layers of one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// The number of layers.
    pub layers: usize,
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
            layers: 5,
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
    /// The order of layer `l`.
    pub fn order(&self, l: usize) -> Order {
        self.orders[l % self.orders.len()]
    }

    /// The shape of each layer's conditioner.
    pub fn made(&self) -> MadeConfig {
        MadeConfig {
            hidden: self.hidden.clone(),
            activation: self.activation,
            residual: self.residual,
            skip: self.skip,
        }
    }

    /// The same widths and depth with the layer orders reversed, so that layer `k` has the order of layer `K + 1 − k`: the
    /// shape in which the inverse of this flow can be written exactly, layer by layer.
    pub fn reversed(&self) -> Self {
        Self { orders: (0..self.layers).rev().map(|l| self.order(l)).collect(), ..self.clone() }
    }

    /// The number of trainable values on R^`dim`.
    pub fn parameters(&self, dim: usize) -> usize {
        let tensors = self.network(dim).tensors();
        let base = self.base.tensors(dim).into_iter().map(|(_, len)| len).sum::<usize>();
        self.layers * tensors.iter().map(|tensor| tensor.len).sum::<usize>() + base
    }

    /// The number of multiplications by unmasked weights for one row on R^`dim`.
    pub fn multiplications(&self, dim: usize) -> usize {
        self.layers * self.network(dim).weights()
    }

    fn network(&self, dim: usize) -> crate::ops::network::Network {
        let per_variable = self.transformer.per_variable();
        crate::ops::network::Network::new(dim, per_variable, &self.hidden, self.activation, self.residual, self.skip)
    }

    /// Everything that is wrong with it for R^`dim`, each fault naming its field, its value and what would be right.
    pub fn faults(&self, dim: usize) -> Vec<String> {
        let mut faults = Vec::new();
        if dim == 0 || dim > MOST_DIMENSIONS {
            faults.push(format!("the dimension is {dim}; 1 to {MOST_DIMENSIONS} is right"));
        }
        if self.layers == 0 || self.layers > MOST_LAYERS {
            faults.push(format!("layers is {}; 1 to {MOST_LAYERS} is right", self.layers));
        }
        if self.hidden.len() > MOST_HIDDEN {
            faults.push(format!("hidden lists {} layers; at most {MOST_HIDDEN} is right", self.hidden.len()));
        }
        for (i, &width) in self.hidden.iter().enumerate() {
            if width == 0 || width > WIDEST {
                faults.push(format!("hidden[{i}] is {width}; 1 to {WIDEST} is right"));
            }
        }
        if self.residual && self.hidden.windows(2).any(|pair| pair[0] != pair[1]) {
            faults.push(format!("hidden is {:?}; residual layers must all have one width", self.hidden));
        }
        if self.orders.is_empty() {
            faults.push("orders is empty; at least one order is right".into());
        }
        faults.extend(self.transformer.fault().map(|fault| format!("transformer: {fault}")));
        faults.extend(self.base.fault().map(|fault| format!("base: {fault}")));
        if let Some(limit) = self.tail_limit.filter(|limit| !(1.0..=1e6).contains(limit)) {
            faults.push(format!("tail_limit is {limit}; 1 to 1000000, in scales of the base, is right"));
        }
        if faults.is_empty() && self.multiplications(dim) > 1 << 31 {
            let millions = self.multiplications(dim) / 1_000_000;
            faults.push(format!("the flow has {millions} million weights; at most 2147 million is right"));
        }
        faults
    }
}
