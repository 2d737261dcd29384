//! flowdistill
pub mod bijection;
pub mod cli;
pub mod conditioner;
pub mod data;
pub mod durable;
pub mod error;
pub mod evaluate;
pub mod experiment;
pub mod flow;
pub mod ops;
pub mod params;
mod progress;
pub mod seed;
pub mod target;
pub mod train;
pub mod transformer;
