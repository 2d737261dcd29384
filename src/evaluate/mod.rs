//! Numbers from log weights and clocks: ELBO, evidence, effective sample size, tail index, throughput.

pub mod bridge;
pub mod certificate;
pub mod correction;
pub mod draws;
pub mod figures;
pub mod memory;
pub mod pareto;
pub mod regions;
pub mod throughput;
pub mod weights;
