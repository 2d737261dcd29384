//! The structure of a masked network: which unit sees which, and the list of its trainable tensors.

use super::activation::Activation;
use super::staircase::Staircase;
use std::sync::Arc;

/// A masked multilayer network over degree-sorted inputs, with variable-major outputs (Germain et al. 2015).
///
/// With hidden layers h₀ = x, hₗ = φ(Wₗ hₗ₋₁ + bₗ) (plus hₗ₋₁ from the second on, when residual), the output is
/// W h_L + b, plus S x when there is a skip. Inputs come in groups: those that are given, of degree 0, without outputs; then groups of
/// degree 1, 2, … A unit of degree `m` sees what has a degree of at most `m`; the `per_variable` outputs of a variable of degree `m` see what
/// has a degree below `m`. With groups of one variable each that is the masked autoencoder; with some given and one group, the dense network of a
/// coupling (Dinh, Krueger and Bengio 2015); with one group and none given, constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where groups begin among the columns; the end at last.
    starts: Vec<usize>,
    /// How many of the first columns are one input whatever the others are.
    plain: usize,
    /// The inputs that each of the others is.
    each: usize,
    per_variable: usize,
    degrees: Vec<Vec<usize>>,
    hidden: Vec<Arc<Staircase>>,
    output: Arc<Staircase>,
    skip: Option<Arc<Staircase>>,
    activation: Activation,
    residual: bool,
}

/// The columns that a [`Network`] sees, and what it sees of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs<'a> {
    /// How many of the first columns are one input each: those that are given with the rows, which are no angles.
    pub plain: usize,
    /// The inputs that each other column is: one, or two for the cosine and the sine of an angle.
    pub each: usize,
    /// The number of columns that are given, plain ones among them.
    pub given: usize,
    /// The sizes of the groups that come after them.
    pub groups: &'a [usize],
}

impl<'a> Inputs<'a> {
    /// So many columns that are given and groups of these sizes, each column one input.
    pub fn single(given: usize, groups: &'a [usize]) -> Self {
        Self { plain: 0, each: 1, given, groups }
    }
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
    /// A network over these inputs, from the widths of its hidden layers, which are left out where there is nothing to see.
    ///
    /// # Panics
    /// If there is no group, or a size, `per_variable` or a width is 0, or a residual network has unequal widths: all refused on checking.
    pub fn new(
        inputs: Inputs,
        per_variable: usize,
        widths: &[usize],
        activation: Activation,
        residual: bool,
        skip: bool,
    ) -> Self {
        let Inputs { plain, each, given, groups } = inputs;
        assert!(
            per_variable > 0 && !groups.is_empty() && !widths.iter().chain(groups).any(|&size| size == 0),
            "positive sizes"
        );
        assert!(!residual || widths.windows(2).all(|pair| pair[0] == pair[1]), "residual layers of one width");
        let mut starts = vec![given];
        for size in groups {
            starts.push(starts[starts.len() - 1] + size);
        }
        // A hidden unit sees something, and is seen.
        let seen = usize::from(given == 0)..groups.len();
        let widths = if seen.is_empty() { &[] } else { widths };
        let degrees: Vec<Vec<usize>> = widths.iter().map(|&width| hidden_degrees(&seen, width)).collect();
        let sizes = || groups.iter().enumerate().map(|(group, &size)| (group + 1, size));
        let columns = std::iter::once((0, given)).chain(sizes()).flat_map(|(degree, size)| vec![degree; size]);
        let inputs = |(column, degree)| vec![degree; if column < plain { 1 } else { each }];
        let input_degrees: Vec<usize> = columns.enumerate().flat_map(inputs).collect();
        let mut hidden = Vec::new();
        let mut below = &input_degrees;
        for layer in &degrees {
            hidden.push(Arc::new(stairs_between(below, layer)));
            below = layer;
        }
        let output_degrees: Vec<usize> =
            sizes().flat_map(|(degree, size)| vec![degree - 1; size * per_variable]).collect();
        let output = Arc::new(stairs_between(below, &output_degrees));
        let skip = (skip && !degrees.is_empty()).then(|| Arc::new(stairs_between(&input_degrees, &output_degrees)));
        Self { starts, plain, each, per_variable, degrees, hidden, output, skip, activation, residual }
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.input_at(self.starts[self.starts.len() - 1])
    }

    /// How many of the first columns are one input each.
    pub fn plain(&self) -> usize {
        self.plain
    }

    /// The inputs that each other column is.
    pub fn each(&self) -> usize {
        self.each
    }

    fn input_at(&self, column: usize) -> usize {
        let plain = column.min(self.plain);
        plain + self.each * (column - plain)
    }

    /// The number of columns that are given; the others are variables.
    pub fn given(&self) -> usize {
        self.starts[0]
    }

    /// The number of groups of variables.
    pub fn groups(&self) -> usize {
        self.starts.len() - 1
    }

    /// The columns of group `group`, from 0, which have the degree `group` + 1.
    pub fn columns_of(&self, group: usize) -> std::ops::Range<usize> {
        self.starts[group]..self.starts[group + 1]
    }

    /// The inputs that these columns are.
    pub fn inputs_of(&self, columns: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        self.input_at(columns.start)..self.input_at(columns.end)
    }

    /// The outputs of these columns, none of which is given.
    pub fn outputs_of(&self, columns: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        (columns.start - self.given()) * self.per_variable..(columns.end - self.given()) * self.per_variable
    }

    /// The number of outputs for each variable.
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

/// Sorted degrees of `seen`, spread evenly over `width` units and ending at the last, so that every input that may be seen is.
fn hidden_degrees(seen: &std::ops::Range<usize>, width: usize) -> Vec<usize> {
    (1..=width).map(|unit| seen.start + (unit * seen.len()).div_ceil(width) - 1).collect()
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
        assert_eq!(hidden_degrees(&(1..5), 4), [1, 2, 3, 4]);
        assert_eq!(hidden_degrees(&(1..5), 2), [2, 4]);
        assert_eq!(hidden_degrees(&(1..2), 3), [1, 1, 1]);
        assert_eq!(hidden_degrees(&(0..1), 3), [0, 0, 0]);
        assert_eq!(hidden_degrees(&(0..3), 3), [0, 1, 2]);
        for width in 1..40 {
            let degrees = hidden_degrees(&(1..10), width);
            assert!(degrees.is_sorted() && degrees[0] >= 1 && *degrees.last().expect("one") == 9);
        }
    }

    #[test]
    fn one_input_has_only_an_output_bias() {
        let network = Network::new(Inputs::single(0, &[1]), 2, &[8, 8], Activation::Relu, false, true);
        let names: Vec<String> = network.tensors().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["output.bias"]);
    }

    #[test]
    fn outputs_of_a_variable_see_only_earlier_inputs() {
        let network = Network::new(Inputs::single(0, &[1; 4]), 2, &[], Activation::Relu, false, false);
        let reach: Vec<usize> = (0..8).map(|j| network.output().reach(j)).collect();
        assert_eq!(reach, [0, 0, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_coupling_is_a_dense_network_of_what_is_given() {
        let network = Network::new(Inputs::single(2, &[3]), 2, &[7], Activation::Relu, false, true);
        let all = |stairs: &Staircase| (0..stairs.outputs()).map(|j| stairs.reach(j)).collect::<Vec<_>>();
        assert_eq!((all(&network.hidden()[0]), all(network.output())), (vec![2; 7], vec![7; 6]));
        assert_eq!((network.inputs(), network.groups(), network.columns_of(0), network.outputs()), (5, 1, 2..5, 6));
        assert_eq!(network.skip().map(|skip| all(skip)), Some(vec![2; 6]));
    }

    #[test]
    fn groups_see_whole_groups_before_them() {
        let network = Network::new(Inputs::single(1, &[2, 2]), 1, &[], Activation::Relu, false, false);
        let reach: Vec<usize> = (0..4).map(|j| network.output().reach(j)).collect();
        assert_eq!(reach, [1, 1, 3, 3]);
        assert_eq!(network.outputs_of(&network.columns_of(1)), 2..4);
    }

    #[test]
    fn an_angle_is_two_inputs() {
        let inputs = Inputs { plain: 1, each: 2, given: 2, groups: &[2] };
        let network = Network::new(inputs, 1, &[], Activation::Relu, false, false);
        assert_eq!((network.inputs(), network.columns_of(0), network.inputs_of(&(2..4))), (7, 2..4, 3..7));
        assert_eq!((network.inputs_of(&(0..2)), network.output().reach(0), network.outputs()), (0..3, 3, 2));
    }
}
