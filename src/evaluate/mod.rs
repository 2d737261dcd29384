//! Figures and verdicts: from log weights, from rows held out, from clocks.

pub mod bridge;
pub mod certificate;
pub mod correction;
pub mod draws;
pub mod edges;
pub mod figures;
pub mod held_out;
pub mod parameters;
pub mod pareto;
pub mod places;
pub mod regions;
pub mod requirement;
pub mod spread;
pub mod throughput;
pub mod typicality;
pub mod weights;
