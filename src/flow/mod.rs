//! A base density carried through bijections, in one of two orientations.

mod base;
mod config;
mod cost;
mod frozen;
mod given;
mod layers;
mod link;
mod model;
mod model_file;
mod pass;
mod points;
mod pulled_back;
mod revnet;
mod space;
mod standardisation;
mod standardised;
mod tail;

pub use crate::ops::joint::{Continuous, Residual};
pub(crate) use base::fresh_noise;
pub use base::{
    Base, BaseConfig, BaseSettings, CircleBase, IntervalBase, Limited, Mixture, MixtureBase, Normal, NormalBase,
    Strata, StudentT, StudentTBase, Uniform, VonMises, VonMisesBase,
};
pub use config::FlowConfig;
pub use cost::Cost;
pub use frozen::{FrozenFlow, Method};
pub use layers::{LayerShape, LayerSpec, Layers, MaskedShape, MaskedSpec};
pub use link::Link;
pub use model::{FrozenModel, Model, MOST_HELD_OUT};
pub use pass::Pass;
pub use pulled_back::PulledBack;
pub use revnet::RevNetSpec;
pub use space::Space;
pub use standardisation::{Standardisation, MOST_WHITENED};
pub use standardised::Standardised;
pub use tail::Tail;

use crate::bijection::{Autoregressive, Bijection, Chain, Joint, Kind, Layer};
use crate::conditioner::Made;
use crate::error::{Error, Result};
use crate::ops::real::Real;
use crate::ops::transform::Transform;
use crate::ops::{Kernels, Mapped, Points, Rows};
use crate::params::Parameters;
use crate::seed::Stream;
use base::LearnedBase;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which question a flow answers in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Orientation {
    /// What is the density here? A masked autoregressive flow (Papamakarios, Pavlakou and Murray 2017).
    Density,
    /// What is a draw? An inverse autoregressive flow (Kingma et al. 2016).
    Sampling,
}

/// log of the standard normal density is −½‖z‖² minus this for each dimension.
pub(crate) const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_8;

/// A base density carried through a chain of bijections.
#[derive(Debug, Clone)]
pub struct Flow<E: Real, D: Kernels<E>> {
    space: Space,
    config: FlowConfig,
    orientation: Orientation,
    base: LearnedBase<E, D>,
    chain: Chain<Layer<E, D>>,
    recompute: bool,
}

impl<E: Real, D: Kernels<E>> Flow<E, D> {
    /// A flow on R^`space`, or on the variables of a [`Space`] given its other columns, with weights started from `stream`.
    ///
    /// # Errors
    /// If `config` is at fault ([`FlowConfig::faults`]) or the device cannot hold the weights.
    pub fn new(
        device: &D,
        space: impl Into<Space>,
        config: &FlowConfig,
        orientation: Orientation,
        stream: &Stream,
    ) -> Result<Self> {
        let space = space.into();
        if let Some(fault) = config.faults(space).into_iter().next() {
            return Err(Error::invalid(fault));
        }
        let links = config.shapes().into_iter().enumerate().map(|(l, shape)| {
            let layer = stream.child(&format!("layers.{l}"));
            Ok(Layer::from(match shape {
                LayerShape::Masked(shape) => {
                    let (groups, transformer) = (shape.groups(space), &shape.transformer);
                    let per_variable = (transformer.inputs(), transformer.per_variable());
                    let conditioner = Made::new(device, groups, per_variable, &shape.made, &layer)?;
                    Kind::Masked(Autoregressive::new(conditioner, shape.transformer))
                }
                LayerShape::Joint(joint) => {
                    Kind::Joint(Joint::new(device, joint, (space.given..space.columns()).collect(), &layer)?)
                }
            }))
        });
        let chain = Chain::new(links.collect::<Result<Vec<_>>>()?)?;
        let base = LearnedBase::new(device, space, (config.base, config.tail_limit), &stream.child("base"))?;
        Ok(Self { space, config: config.clone(), orientation, base, chain, recompute: false })
    }

    /// The number of columns of a row.
    pub fn dim(&self) -> usize {
        self.space.columns()
    }

    /// Which of them are given.
    pub fn space(&self) -> Space {
        self.space
    }

    /// What it was built from.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// Which direction takes one pass.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// A copy of its base, on slices.
    pub fn base(&self) -> Arc<dyn Base> {
        self.base.on_slices()
    }

    /// The numbers that one draw takes: the columns that are given, and standard normals.
    pub fn noise_width(&self) -> usize {
        self.space.given + self.config.base.settings().noise_width(self.space.variables)
    }

    /// Looks at `rows` (row-major) once before anything learns: layers that start from data are made to standardise what comes to them on the way
    /// to the base, and a base that is fitted to draws is fitted to what arrives there. All else stays as it is.
    ///
    /// # Errors
    /// If the tensor library fails.
    pub fn start(&mut self, rows: &[f64], stream: &Stream) -> Result<()> {
        self.start_in_groups(rows, &[], stream)
    }

    /// The same with rows that come in groups of these sizes, one after the other: a mixture base of as many components begins with one for each.
    ///
    /// # Errors
    /// If the tensor library fails.
    pub fn start_in_groups(&mut self, rows: &[f64], groups: &[usize], stream: &Stream) -> Result<()> {
        if !self.config.starts_from_data() || rows.is_empty() {
            return Ok(());
        }
        let x = rows.iter().map(|&value| E::of(value)).collect();
        let shape = (rows.len() / self.dim(), self.dim());
        let mut x: Points<E, D> = tensor_result(self.device().try_tensor_from_vec(x, shape))?;
        let to_base = self.orientation == Orientation::Density;
        let count = self.chain.links().len();
        for l in 0..count {
            let layer = &mut self.chain.links_mut()[if to_base { l } else { count - 1 - l }];
            layer.start(&x, to_base);
            x = if to_base { layer.forward(x)?.0 } else { layer.inverse(&x)?.0 };
        }
        self.base.fit(&x.as_vec().into_iter().map(E::widen).collect::<Vec<_>>(), groups, stream);
        Ok(())
    }

    /// Whether training keeps no record of the way through the layers and finds each layer's points again by its inverse: memory does not grow with
    /// the number of layers then, and a step takes about as long. Gradients are the same but for rounding.
    ///
    /// # Errors
    /// If a layer has no inverse of one pass ([`FlowConfig::fault_of_recomputing`]).
    pub fn recompute(&mut self, recompute: bool) -> Result<()> {
        if let Some(fault) = self.config.fault_of_recomputing(self.space).filter(|_| recompute) {
            return Err(Error::invalid(fault));
        }
        self.recompute = recompute;
        self.chain.links_mut().iter_mut().for_each(|layer| layer.recompute(recompute));
        Ok(())
    }

    /// Where its weights are.
    pub fn device(&self) -> &D {
        self.chain.links()[0].tensors()[0].device()
    }

    /// The layers, in the order in which the one-pass direction applies them.
    pub fn layers(&self) -> &[Layer<E, D>] {
        self.chain.links()
    }

    /// log p of each row of `x`. Differentiable in the `Density` orientation only.
    ///
    /// # Errors
    /// If a tape rides on `x` in the `Sampling` orientation, or the tensor library fails.
    pub fn log_prob<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Rows<E, D, T>> {
        match self.orientation {
            Orientation::Density => {
                let (noise, log_det) = self.chain.forward(x)?;
                tensor_result(self.base.log_prob(noise)?.try_add(log_det))
            }
            Orientation::Sampling => {
                let (x, tape) = untaped(x, "log_prob", "Sampling")?;
                let (noise, log_det) = self.chain.inverse(&x)?;
                Ok(tensor_result(self.base.log_prob(noise)?.try_add(log_det))?.put_tape(tape))
            }
        }
    }

    /// The point of each row of base `noise` (rows × [`Flow::noise_width`] numbers: what is given, and standard normals), and its log density. Differentiable in the
    /// `Sampling` orientation only.
    ///
    /// # Errors
    /// If a tape rides on `noise` in the `Density` orientation, or the tensor library fails.
    pub fn push<T: Tape<E, D>>(&self, noise: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        match self.orientation {
            Orientation::Sampling => {
                let (z, base) = self.base.push(noise)?;
                let (x, log_det) = self.chain.forward(z)?;
                Ok((x, tensor_result(base.try_sub(log_det))?))
            }
            Orientation::Density => {
                let (noise, tape) = untaped(noise, "push", "Density")?;
                let (z, base) = self.base.push(noise)?;
                let (x, log_det) = self.chain.inverse(&z)?;
                let log_prob = tensor_result(base.try_sub(log_det))?;
                Ok((x.put_tape(tape), log_prob.put_tape(T::default())))
            }
        }
    }

    /// Freezes it for draws and evaluation in precision `F`.
    pub fn freeze<F: Real>(&self) -> FrozenFlow<F> {
        FrozenFlow::new(self)
    }
}

fn untaped<E: Real, D: Kernels<E>, T: Tape<E, D>>(
    x: Points<E, D, T>,
    question: &str,
    orientation: &str,
) -> Result<(Points<E, D>, T)> {
    if T::OWNS_TAPE {
        return Err(Error::invalid(format!("`{question}` is not differentiable in the {orientation} orientation")));
    }
    Ok(x.split_tape())
}

fn tensor_result<T, R: std::fmt::Debug>(result: std::result::Result<T, R>) -> Result<T> {
    result.map_err(|error| Error::Tensor(format!("{error:?}")))
}

impl<E: Real, D: Kernels<E>> Parameters<E, D> for Flow<E, D> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        let mut parameters = self.chain.parameters();
        parameters.extend(self.base.parameters());
        parameters
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        let mut parameters = self.chain.parameters_mut();
        parameters.extend(self.base.parameters_mut());
        parameters
    }
}
