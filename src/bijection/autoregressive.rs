//! The autoregressive bijection: each variable is mapped monotonically, with parameters that depend on the variables before it.

use crate::conditioner::Made;
use crate::ops::autoregressive::AutoregressiveMap;
use crate::ops::real::Real;
use crate::ops::weighted::WeightedNetwork;
use crate::ops::{Kernels, Link, Rows};
use crate::params::Parameters;
use crate::transformer::Transformer;

/// `y_i = τ(x_i; c_i(x_<i))` for a conditioner c and a transformer τ, in the conditioner's order of variables.
///
/// log |det ∂y/∂x| = Σ log ∂y_i/∂x_i, since the Jacobian is triangular in that order (Papamakarios et al. 2021, section 3.1).
#[derive(Debug, Clone)]
pub struct Autoregressive<E: Real, D: Kernels<E>> {
    conditioner: Made<E, D>,
    transformer: Transformer,
}

impl<E: Real, D: Kernels<E>> Autoregressive<E, D> {
    /// A bijection from its two halves.
    pub fn new(conditioner: Made<E, D>, transformer: Transformer) -> Self {
        Self { conditioner, transformer }
    }

    /// The conditioner.
    pub fn conditioner(&self) -> &Made<E, D> {
        &self.conditioner
    }

    /// The transformer.
    pub fn transformer(&self) -> &Transformer {
        &self.transformer
    }

    /// The same map on slices in precision `F`, with a copy of the weights; `packed` as in [`AutoregressiveMap::new`].
    pub(super) fn on_slices<F: Real>(&self, packed: bool) -> AutoregressiveMap<F, Transformer> {
        let tensors = self.conditioner.tensors().iter().map(super::copied).collect();
        let network = WeightedNetwork::new(self.conditioner.network(), tensors);
        AutoregressiveMap::new(self.conditioner.order().clone(), self.transformer, network, packed)
    }

    pub(super) fn link(&self) -> Link<'_, E, D, Transformer> {
        Link::Masked {
            network: self.conditioner.network(),
            tensors: self.conditioner.tensors().iter().collect(),
            order: self.conditioner.order(),
            transform: self.transformer,
        }
    }
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Autoregressive<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        self.conditioner.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.conditioner.parameters_mut()
    }
}
