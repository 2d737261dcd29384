//! Networks that emit the parameters of transformers.

mod made;
mod order;
mod structure;

pub use crate::ops::activation::Activation;
pub use made::{Made, MadeConfig};
pub use order::Order;
pub use structure::{Groups, Split, Structure};
