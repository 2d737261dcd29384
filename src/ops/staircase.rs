//! The shape of a masked matrix whose units are sorted by degree: output `j` sees the first `reach[j]` inputs.

/// A degree-sorted mask. Its weights are stored flat: for each output in order, the weights of the inputs that it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staircase {
    inputs: usize,
    reach: Vec<usize>,
    offsets: Vec<usize>,
    first_outputs: Vec<usize>,
}

impl Staircase {
    /// A mask over `inputs` inputs.
    ///
    /// # Panics
    /// If `reach` decreases anywhere or exceeds `inputs`.
    pub fn new(inputs: usize, reach: Vec<usize>) -> Self {
        assert!(reach.windows(2).all(|pair| pair[0] <= pair[1]), "outputs sorted by degree");
        assert!(reach.last().is_none_or(|&last| last <= inputs), "no output sees more than all inputs");
        let mut offsets = Vec::with_capacity(reach.len() + 1);
        let mut total = 0;
        for &length in &reach {
            offsets.push(total);
            total += length;
        }
        offsets.push(total);
        let first_outputs = (0..inputs).map(|k| reach.partition_point(|&reach| reach <= k)).collect();
        Self { inputs, reach, offsets, first_outputs }
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.reach.len()
    }

    /// The number of unmasked weights.
    pub fn weights(&self) -> usize {
        self.offsets[self.reach.len()]
    }

    /// How many inputs output `j` sees.
    pub fn reach(&self, j: usize) -> usize {
        self.reach[j]
    }

    /// Where the weights of output `j` begin in the flat storage.
    pub fn offset(&self, j: usize) -> usize {
        self.offsets[j]
    }

    /// Where the weights of each of these outputs begin.
    pub fn offsets(&self, outputs: std::ops::Range<usize>) -> &[usize] {
        &self.offsets[outputs]
    }

    /// How many inputs are seen at all.
    pub fn seen(&self) -> usize {
        self.reach.last().copied().unwrap_or(0)
    }

    /// The first output that sees input `k` (the number of outputs if none does).
    pub fn first_output_of(&self, k: usize) -> usize {
        self.first_outputs[k]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_addresses() {
        let stairs = Staircase::new(3, vec![0, 1, 1, 3]);
        assert_eq!((stairs.inputs(), stairs.outputs(), stairs.weights()), (3, 4, 5));
        assert_eq!((0..4).map(|j| stairs.offset(j)).collect::<Vec<_>>(), [0, 0, 1, 2]);
        assert_eq!((0..3).map(|k| stairs.first_output_of(k)).collect::<Vec<_>>(), [1, 3, 3]);
    }

    #[test]
    #[should_panic(expected = "sorted by degree")]
    fn refuses_unsorted_outputs() {
        Staircase::new(3, vec![2, 1]);
    }
}
