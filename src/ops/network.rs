//! The structure of a masked network: which unit sees which, and the list of its trainable tensors.

use super::activation::Activation;
use super::staircase::Staircase;
use std::sync::Arc;

/// A masked multilayer network over degree-sorted inputs, with variable-major outputs (Germain et al. 2015).
///
/// With hidden layers h₀ = x, hₗ = φ(Wₗ hₗ₋₁ + bₗ) (plus hₗ₋₁ from the second on, when residual), the output is
/// W h_L + b, plus S x when there is a skip. Input `i` (from 0) has degree `i + 1`; a unit of degree `m` sees what has a degree
/// of at most `m`; the `per_variable` outputs of variable `i` see what has a degree of at most `i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    inputs: usize,
    per_variable: usize,
    degrees: Vec<Vec<usize>>,
    hidden: Vec<Arc<Staircase>>,
    output: Arc<Staircase>,
    skip: Option<Arc<Staircase>>,
    activation: Activation,
    residual: bool,
}

/// One trainable tensor of a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorShape {
    /// Its name inside the network, such as `hidden.0.weight`.
    pub name: String,
    /// Its number of values.
    pub len: usize,
    /// What it is.
    pub role: Role,
}

/// What a tensor of a [`Network`] is, which decides how it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The unmasked weights of a hidden layer.
    Hidden(Arc<Staircase>),
    /// The unmasked weights of the output layer or the skip.
    Output,
    /// The bias of a hidden layer.
    HiddenBias,
    /// The bias of the output layer.
    OutputBias,
}

impl Network {
    /// A network from the widths of its hidden layers. With one input there is nothing to see, so hidden layers are left out.
    ///
    /// # Panics
    /// If `inputs`, `per_variable` or a width is 0, or a residual network has unequal widths: all refused on checking.
    pub fn new(
        inputs: usize,
        per_variable: usize,
        widths: &[usize],
        activation: Activation,
        residual: bool,
        skip: bool,
    ) -> Self {
        assert!(inputs > 0 && per_variable > 0 && !widths.contains(&0), "positive sizes");
        assert!(!residual || widths.windows(2).all(|pair| pair[0] == pair[1]), "residual layers of one width");
        let widths = if inputs == 1 { &[] } else { widths };
        let degrees: Vec<Vec<usize>> = widths.iter().map(|&width| hidden_degrees(inputs, width)).collect();
        let input_degrees: Vec<usize> = (1..=inputs).collect();
        let mut hidden = Vec::new();
        let mut below = &input_degrees;
        for layer in &degrees {
            hidden.push(Arc::new(stairs_between(below, layer)));
            below = layer;
        }
        let output_degrees: Vec<usize> = (0..inputs * per_variable).map(|j| j / per_variable).collect();
        let output = Arc::new(stairs_between(below, &output_degrees));
        let skip = (skip && !degrees.is_empty()).then(|| Arc::new(stairs_between(&input_degrees, &output_degrees)));
        Self { inputs, per_variable, degrees, hidden, output, skip, activation, residual }
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs for each input.
    pub fn per_variable(&self) -> usize {
        self.per_variable
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.output.outputs()
    }

    /// The masks of the hidden layers.
    pub fn hidden(&self) -> &[Arc<Staircase>] {
        &self.hidden
    }

    /// The mask of the output layer.
    pub fn output(&self) -> &Arc<Staircase> {
        &self.output
    }

    /// The mask of the input-to-output skip.
    pub fn skip(&self) -> Option<&Arc<Staircase>> {
        self.skip.as_ref()
    }

    /// The non-linearity of the hidden layers.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Whether hidden layer `l` adds its input to its output.
    pub fn adds_input(&self, l: usize) -> bool {
        self.residual && l > 0
    }

    /// The units of hidden layer `l` whose degree is `degree`.
    pub fn units_of_degree(&self, l: usize, degree: usize) -> std::ops::Range<usize> {
        let degrees = &self.degrees[l];
        degrees.partition_point(|&d| d < degree)..degrees.partition_point(|&d| d <= degree)
    }

    /// The trainable tensors, in the order in which they are stored and handed over. A tensor without values is left out.
    pub fn tensors(&self) -> Vec<TensorShape> {
        let mut tensors = Vec::new();
        let mut push = |name: String, len: usize, role: Role| {
            if len > 0 {
                tensors.push(TensorShape { name, len, role });
            }
        };
        for (l, stairs) in self.hidden.iter().enumerate() {
            push(format!("hidden.{l}.weight"), stairs.weights(), Role::Hidden(stairs.clone()));
            push(format!("hidden.{l}.bias"), stairs.outputs(), Role::HiddenBias);
        }
        push("output.weight".into(), self.output.weights(), Role::Output);
        push("output.bias".into(), self.output.outputs(), Role::OutputBias);
        if let Some(skip) = &self.skip {
            push("skip.weight".into(), skip.weights(), Role::Output);
        }
        tensors
    }

    /// The number of hidden units and outputs.
    pub fn units(&self) -> usize {
        self.hidden.iter().chain([&self.output]).map(|stairs| stairs.outputs()).sum()
    }

    /// The number of multiplications for one row.
    pub fn weights(&self) -> usize {
        let maps = self.hidden.iter().chain([&self.output]).chain(&self.skip);
        maps.map(|stairs| stairs.weights()).sum()
    }
}

/// Sorted degrees 1 ..= inputs − 1, spread evenly over `width` units and ending at `inputs − 1`, so that every input is seen.
fn hidden_degrees(inputs: usize, width: usize) -> Vec<usize> {
    (1..=width).map(|unit| (unit * (inputs - 1)).div_ceil(width)).collect()
}

/// The mask between two sorted layers: an output of degree m sees the inputs of degree at most m.
fn stairs_between(below: &[usize], above: &[usize]) -> Staircase {
    let reach = above.iter().map(|&degree| below.partition_point(|&d| d <= degree)).collect();
    Staircase::new(below.len(), reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_cover_all_inputs() {
        assert_eq!(hidden_degrees(5, 4), [1, 2, 3, 4]);
        assert_eq!(hidden_degrees(5, 2), [2, 4]);
        assert_eq!(hidden_degrees(2, 3), [1, 1, 1]);
        for width in 1..40 {
            let degrees = hidden_degrees(10, width);
            assert!(degrees.is_sorted() && degrees[0] >= 1 && *degrees.last().expect("one") == 9);
        }
    }

    #[test]
    fn one_input_has_only_an_output_bias() {
        let network = Network::new(1, 2, &[8, 8], Activation::Relu, false, true);
        let names: Vec<String> = network.tensors().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["output.bias"]);
    }

    #[test]
    fn outputs_of_a_variable_see_only_earlier_inputs() {
        let network = Network::new(4, 2, &[], Activation::Relu, false, false);
        let reach: Vec<usize> = (0..8).map(|j| network.output().reach(j)).collect();
        assert_eq!(reach, [0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
