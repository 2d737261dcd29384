//! The order in which an autoregressive bijection takes its variables.

use crate::seed::permutation;
use serde::{Deserialize, Serialize};

/// An order of the variables; it lives in the mask of the conditioner, so no permutation layers are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// First to last.
    Ascending,
    /// Last to first.
    Descending,
    /// A random order, fixed by this seed.
    Shuffled(u64),
}

impl Order {
    /// The variables (columns, from 0) in the order in which they are taken.
    pub fn variables(self, dim: usize) -> Vec<usize> {
        let mut variables: Vec<usize> = (0..dim).collect();
        match self {
            Order::Ascending => {}
            Order::Descending => variables.reverse(),
            Order::Shuffled(seed) => variables = permutation(seed, dim),
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_a_permutation() {
        for dim in [1, 2, 5, 17] {
            for order in [Order::Ascending, Order::Descending, Order::Shuffled(3)] {
                let mut variables = order.variables(dim);
                variables.sort_unstable();
                assert!(variables.iter().copied().eq(0..dim));
            }
        }
        assert_eq!(Order::Descending.variables(3), [2, 1, 0]);
        assert_ne!(Order::Shuffled(1).variables(17), Order::Shuffled(2).variables(17));
    }
}
