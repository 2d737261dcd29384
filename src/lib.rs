//! Turns a density that is hard to sample into a sampler that needs one network pass for a batch of draws and knows the exact log
//! density of each.
//!
//! A **teacher** (masked autoregressive flow) is fitted to data by maximum likelihood; a **student** (inverse autoregressive flow) is
//! trained by reverse KL against an unnormalized density or against the teacher. The binary `flowdistill` runs both from a RON file;
//! this crate is what it is made of. Rooms in rank order, each using only those above it:
//!
//! | room | question it answers |
//! |---|---|
//! | [`error`], [`seed`], [`shown`] | what went wrong, which random number, how foreign text is shown |
//! | [`durable`], [`intake`], [`memory`] | how a file is written and read, what memory may be taken |
//! | [`picture`] | how numbers become a picture |
//! | [`ops`], [`target`], [`data`] | kernels; unnormalized densities; tables of numbers |
//! | [`expression`] | densities written as text: parsed, checked, differentiated |
//! | [`foreign`] | densities in compiled models and in other processes |
//! | [`sampler`] | draws of a target that know nothing of a flow |
//! | [`params`] | which tensors are trained, and how they are kept |
//! | [`conditioner`], [`transformer`] | where parameters come from, what they do to one variable |
//! | [`bijection`] | invertible maps with their log-det |
//! | [`flow`] | a density carried through bijections, in one of two orientations |
//! | [`train`] | what is minimised, and the one loop that does it |
//! | [`evaluate`] | how good and how fast the result is |
//! | [`report`] | what a person sees of it |
//! | [`experiment`] | what is done in which order, and what is left on disk |
//! | [`cli`] | what a person types and sees |
//!
//! # Example
//!
//! A sampler for an energy of one's own, here two oscillators with a spring between them:
//!
//! ```
//! use flowdistill::target::Pointwise;
//!
//! struct Oscillators;
//!
//! impl Pointwise for Oscillators {
//!     fn dim(&self) -> usize {
//!         2
//!     }
//!
//!     fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
//!         let apart = x[0] - x[1];
//!         if let Some(gradient) = gradient {
//!             gradient[0] = -x[0].powi(3) - apart;
//!             gradient[1] = -x[1].powi(3) + apart;
//!         }
//!         -0.25 * (x[0].powi(4) + x[1].powi(4)) - 0.5 * apart.powi(2)
//!     }
//! }
//!
//! # fn main() -> flowdistill::error::Result<()> {
//! let mut fitted = flowdistill::fit(&Oscillators).seed(1).run()?;
//! println!("{:?}: {}", fitted.verdict(), fitted.report());
//! let (draws, log_density) = fitted.sample(1000);
//! # assert!(fitted.certificate().reverse.ess > 0.75);
//! # assert_eq!((draws.len(), log_density.len()), (2000, 1000));
//! # Ok(())
//! # }
//! ```
//!
//! [`fit`] plans, trains, looks and judges by itself. The parts that it is made of are there for those who want them: flows, objectives, the
//! training loop, certificates.

pub mod bijection;
pub mod checksum;
pub mod cholesky;
pub mod cli;
pub mod conditioner;
pub mod data;
pub mod durable;
pub mod error;
pub mod evaluate;
pub mod experiment;
pub mod expression;
pub mod flow;
pub mod foreign;
pub mod gamma;
pub mod intake;
pub mod memory;
pub mod ops;
pub mod params;
pub mod picture;
mod progress;
pub mod report;
pub mod sampler;
pub mod seed;
pub mod shown;
pub mod target;
pub mod train;
pub mod transformer;

pub use experiment::fit;
