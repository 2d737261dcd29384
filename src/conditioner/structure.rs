//! Which variables of a layer see which.

use super::Order;
use crate::ops::network::Inputs;
use serde::{Deserialize, Serialize};

/// Groups of variables, of which each sees those before it. How many there are is what the sequential direction takes in steps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Structure {
    /// Each variable is a group.
    #[default]
    Autoregressive,
    /// So many groups of neighbours in the layer's order, as even as they can be (as many as there are variables, where those are fewer).
    Blocks(usize),
    /// A part of the variables stays as it is, and the rest is transformed by what that part says (Dinh, Krueger and Bengio 2015; Dinh,
    /// Sohl-Dickstein and Bengio 2017): one step both ways.
    Coupling(Split),
}

/// The two parts of a coupling. In a layer of order `Ascending` the first part stays as it is, of order `Descending` the second.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Split {
    /// The first half of the columns and the second, which has one more where their number is odd. Of order `Shuffled`: halves at random.
    #[default]
    Halves,
    /// The columns 0, 2, 4, … and the columns 1, 3, 5, …
    Parity,
    /// These columns, from 0, and all others.
    Columns(Vec<usize>),
}

/// Columns in the order of a masked network's inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The columns: first those that are given, then those of the groups.
    pub columns: Vec<usize>,
    /// How many are given: they stay as they are.
    pub given: usize,
    /// How many of those, the first ones, are not variables of the space.
    pub beside: usize,
    /// The sizes of the groups.
    pub sizes: Vec<usize>,
}

impl Groups {
    /// What a network that sees variables as `each` inputs sees of them.
    pub fn inputs(&self, each: usize) -> Inputs<'_> {
        Inputs { plain: self.beside, each, given: self.given, groups: &self.sizes }
    }

    /// The same beside so many columns before them, all of which are given too.
    pub fn beside(self, given: usize) -> Self {
        let columns = (0..given).chain(self.columns.into_iter().map(|column| given + column)).collect();
        Self { columns, given: given + self.given, beside: given + self.beside, sizes: self.sizes }
    }
}

impl Structure {
    /// The groups in a layer of this order on R^`dim`.
    pub fn groups(&self, order: Order, dim: usize) -> Groups {
        match self {
            Structure::Autoregressive => {
                Groups { columns: order.variables(dim), given: 0, beside: 0, sizes: vec![1; dim] }
            }
            Structure::Blocks(blocks) => {
                let blocks = (*blocks).clamp(1, dim);
                let end = |block: usize| block * dim / blocks;
                let sizes = (0..blocks).map(|block| end(block + 1) - end(block)).collect();
                Groups { columns: order.variables(dim), given: 0, beside: 0, sizes }
            }
            Structure::Coupling(split) => {
                let mut parts = split.parts(order, dim);
                if order == Order::Descending {
                    parts.swap(0, 1);
                }
                // One column has nothing beside it to look at.
                if parts[1].is_empty() {
                    parts.swap(0, 1);
                }
                let [given, rest] = parts;
                Groups { given: given.len(), beside: 0, sizes: vec![rest.len()], columns: [given, rest].concat() }
            }
        }
    }

    /// What is wrong with it in a layer of this order on R^`dim`.
    pub fn fault(&self, order: Order, dim: usize) -> Option<String> {
        match self {
            Structure::Blocks(0) => Some("Blocks(0): at least one block is right".into()),
            Structure::Coupling(Split::Columns(columns)) => {
                if let Some(column) = columns.iter().find(|&&column| column >= dim) {
                    return Some(format!(
                        "Coupling(Columns([…])): there is no column {column}; 0 to {} is right",
                        dim - 1
                    ));
                }
                let mut sorted = columns.clone();
                sorted.sort_unstable();
                if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Some("Coupling(Columns([…])): a column is listed twice".into());
                }
                if sorted.is_empty() || sorted.len() == dim {
                    return Some("Coupling(Columns([…])): some columns, but not all, is right".into());
                }
                self.shuffled(order)
            }
            _ => self.shuffled(order),
        }
    }

    fn shuffled(&self, order: Order) -> Option<String> {
        let fixed = matches!(self, Structure::Coupling(Split::Parity | Split::Columns(_)));
        let shuffled = fixed && matches!(order, Order::Shuffled(_));
        shuffled.then(|| {
            "a coupling by parity or by columns has the order `Ascending` or `Descending`, not `Shuffled`".into()
        })
    }
}

impl Split {
    fn parts(&self, order: Order, dim: usize) -> [Vec<usize>; 2] {
        match self {
            Split::Halves => {
                let columns = match order {
                    Order::Shuffled(_) => order.variables(dim),
                    Order::Ascending | Order::Descending => (0..dim).collect(),
                };
                let (first, second) = columns.split_at(dim / 2);
                [first.to_vec(), second.to_vec()]
            }
            Split::Parity => [0, 1].map(|parity| (parity..dim).step_by(2).collect()),
            Split::Columns(columns) => [columns.clone(), (0..dim).filter(|column| !columns.contains(column)).collect()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_structure_takes_every_column_once() {
        let structures = [
            Structure::Autoregressive,
            Structure::Blocks(1),
            Structure::Blocks(3),
            Structure::Blocks(100),
            Structure::Coupling(Split::Halves),
            Structure::Coupling(Split::Parity),
        ];
        for dim in [1, 2, 5, 17] {
            for structure in &structures {
                for order in [Order::Ascending, Order::Descending, Order::Shuffled(4)] {
                    let Groups { mut columns, given, sizes, .. } = structure.groups(order, dim);
                    assert_eq!(given + sizes.iter().sum::<usize>(), dim, "{structure:?}");
                    assert!(!sizes.contains(&0) && (given == 0 || sizes.len() == 1));
                    columns.sort_unstable();
                    assert!(columns.into_iter().eq(0..dim));
                }
            }
        }
    }

    #[test]
    fn the_other_order_transforms_the_other_part() {
        let of = |split: Split, order| Structure::Coupling(split).groups(order, 5).columns;
        assert_eq!(of(Split::Halves, Order::Ascending), [0, 1, 2, 3, 4]);
        assert_eq!(of(Split::Halves, Order::Descending), [2, 3, 4, 0, 1]);
        assert_eq!(of(Split::Parity, Order::Descending), [1, 3, 0, 2, 4]);
        assert_eq!(of(Split::Columns(vec![3, 1]), Order::Ascending), [3, 1, 0, 2, 4]);
        assert_eq!(Structure::Blocks(2).groups(Order::Descending, 5).sizes, [2, 3]);
        for wrong in [vec![5], vec![1, 1], vec![], vec![0, 1, 2, 3, 4]] {
            assert!(Structure::Coupling(Split::Columns(wrong)).fault(Order::Ascending, 5).is_some());
        }
        assert!(Structure::Coupling(Split::Parity).fault(Order::Shuffled(1), 5).is_some());
        assert!(Structure::Coupling(Split::Halves).fault(Order::Shuffled(1), 5).is_none());
    }
}
