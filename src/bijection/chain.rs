//! Bijections one after another.

use super::{tensor_error, Bijection};
use crate::error::{Error, Result};
use crate::ops::real::Real;
use crate::ops::{Kernels, Mapped, Points, Rows};
use crate::params::Parameters;
use dfdx::prelude::*;

/// `forward` applies the links in the order in which they are written, `inverse` in the opposite order; log-dets add up.
#[derive(Debug, Clone)]
pub struct Chain<B> {
    links: Vec<B>,
}

impl<B> Chain<B> {
    /// A chain of at least one link.
    ///
    /// # Errors
    /// If there is no link.
    pub fn new(links: Vec<B>) -> Result<Self> {
        if links.is_empty() {
            return Err(Error::invalid("a flow without layers; at least one is right"));
        }
        Ok(Self { links })
    }

    /// The links.
    pub fn links(&self) -> &[B] {
        &self.links
    }

    /// The links, to be changed.
    pub fn links_mut(&mut self) -> &mut [B] {
        &mut self.links
    }
}

impl<E: Real, D: Kernels<E>, B: Bijection<E, D>> Bijection<E, D> for Chain<B> {
    fn forward<T: Tape<E, D>>(&self, x: Points<E, D, T>) -> Result<Mapped<E, D, T>> {
        B::forward_all(&self.links, x)
    }

    fn inverse(&self, y: &Points<E, D>) -> Result<Mapped<E, D>> {
        let mut links = self.links.iter().rev();
        let last = links.next().ok_or_else(|| Error::invalid("a chain without links"))?;
        let (mut x, mut total) = last.inverse(y)?;
        for link in links {
            let (next, log_det) = link.inverse(&x)?;
            x = next;
            total = total.try_add(log_det).map_err(tensor_error)?;
        }
        Ok((x, total))
    }
}

impl<E: Real, D: Kernels<E>, B: Parameters<E, D>> Parameters<E, D> for Chain<B> {
    fn parameters(&self) -> Vec<(String, &Rows<E, D>)> {
        let named = self.links.iter().enumerate().flat_map(|(l, link)| {
            link.parameters().into_iter().map(move |(name, tensor)| (format!("layers.{l}.{name}"), tensor))
        });
        named.collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut Rows<E, D>> {
        self.links.iter_mut().flat_map(|link| link.parameters_mut()).collect()
    }
}
