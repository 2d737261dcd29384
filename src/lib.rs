//! Turns a density that is hard to sample into a sampler that needs one network pass for a batch of draws and knows the exact log
//! density of each.
//!
//! A **teacher** (masked autoregressive flow) is fitted to data by maximum likelihood; a **student** (inverse autoregressive flow) is
//! trained by reverse KL against an unnormalized density or against the teacher. The binary `flowdistill` runs both from a RON file;
//! this crate is what it is made of. Rooms in rank order, each using only those above it:
//!
//! | room | question it answers |
//! |---|---|
//! | [`error`], [`seed`], [`durable`] | what went wrong, which random number, how a file is written |
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
//! | [`experiment`] | what is done in which order, and what is left on disk |
//! | [`cli`] | what a person types and sees |
//!
//! # Example
//!
//! A sampler for an energy of one's own, here a normal distribution with mean 3:
//!
//! ```
//! use flowdistill::evaluate::{draws::log_weights_of_draws, weights};
//! use flowdistill::flow::{Flow, FlowConfig, Model, Orientation, Standardisation};
//! use flowdistill::seed::Seed;
//! use flowdistill::target::Pointwise;
//! use flowdistill::train::{train, Observer, Progress, ReverseKl, Settings};
//!
//! struct Mine;
//!
//! impl Pointwise for Mine {
//!     fn dim(&self) -> usize {
//!         1
//!     }
//!
//!     fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
//!         if let Some(gradient) = gradient {
//!             gradient[0] = 3.0 - x[0];
//!         }
//!         -0.5 * (x[0] - 3.0).powi(2)
//!     }
//! }
//!
//! struct Silent;
//!
//! impl Observer for Silent {
//!     fn step(&mut self, _: &Progress) {}
//! }
//!
//! # fn main() -> flowdistill::error::Result<()> {
//! let (seed, config) = (Seed(1), FlowConfig { layers: 1, ..FlowConfig::default() });
//! let mut flow = Flow::new(&Default::default(), 1, &config, Orientation::Sampling, &seed.stream("init"))?;
//! let mut objective = ReverseKl::new(&Mine, Standardisation::identity(1), 64, seed.stream("noise"));
//! let settings = Settings { steps: 1500, batch: 64, rate: flowdistill::train::Schedule { peak: 0.02, ..Default::default() }, ..Default::default() };
//! train(&mut flow, &mut objective, &settings, &Default::default(), &mut Silent)?;
//!
//! let (standardisation, names) = (Standardisation::identity(1), vec!["x".to_string()]);
//! let student = Model { flow, standardisation, names, columns: Default::default(), constraint: Default::default(), held_out: vec![] }.freeze();
//! let (log_weights, _) = log_weights_of_draws(&student, &Mine, 10_000, &seed.stream("evaluation"))?;
//! let scores = weights::reverse(&log_weights);
//! assert!(scores.ess > 0.99);
//! assert!((scores.log_z - 0.5 * std::f64::consts::TAU.ln()).abs() < 0.01);
//! # Ok(())
//! # }
//! ```

pub mod bijection;
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
pub mod ops;
pub mod params;
mod progress;
pub mod sampler;
pub mod seed;
pub mod target;
pub mod train;
pub mod transformer;
