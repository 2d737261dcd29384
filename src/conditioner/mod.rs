//! Networks that emit the parameters of transformers.

mod made;
mod order;

pub use crate::ops::activation::Activation;
pub use made::{Made, MadeConfig};
pub use order::Order;
