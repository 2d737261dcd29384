//! flowdistill
pub mod bijection;
pub mod conditioner;
#[path = "/tmp/durable_stub.rs"]
pub mod durable;
pub mod error;
pub mod flow;
pub mod ops;
pub mod params;
pub mod seed;
#[path = "/tmp/target_stub.rs"]
pub mod target;
pub mod train;
pub mod transformer;
