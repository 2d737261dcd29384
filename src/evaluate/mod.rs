//! Numbers from log weights and clocks: ELBO, evidence, effective sample size, tail index, throughput.

pub mod draws;
pub mod memory;
pub mod pareto;
pub mod throughput;
pub mod weights;
