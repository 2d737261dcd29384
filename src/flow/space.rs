//! What a row of a flow's points consists of: columns that are given, and variables that have a density.

/// The columns of a row: `given` ones first, which nothing transforms and which every layer may look at, then the variables. The density is
/// that of the variables given the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The columns that are given.
    pub given: usize,
    /// The variables.
    pub variables: usize,
}

impl Space {
    /// All columns of a row.
    pub fn columns(self) -> usize {
        self.given + self.variables
    }
}

impl From<usize> for Space {
    /// Nothing is given.
    fn from(variables: usize) -> Self {
        Self { given: 0, variables }
    }
}
