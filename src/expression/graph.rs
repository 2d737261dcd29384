//! Values of an expression with their shapes, and the nodes that compute those that depend on the parameters. What is known from the
//! data alone is computed at once.

use super::operations::{Binary, Unary};
use std::sync::Arc;

/// Where the numbers of a value come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Known.
    Const(Arc<[f64]>),
    /// Computed, for each row, by the node of this number.
    Node(usize),
}

/// An argument of a node: `spread` is one number for all places.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    pub source: Source,
    pub spread: bool,
}

/// What a node computes.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// The parameters' coordinates from this one on.
    Input(usize),
    Unary(Unary, usize),
    Binary(Binary, Arg, Arg),
    /// The second where the first is not 0, else the third.
    Select(Arg, Arg, Arg),
    /// The places of a node, in any order and as often as wanted.
    Gather(usize, Arc<[u32]>),
    /// One after the other, each with its length.
    Stack(Vec<(Arg, usize)>),
    /// The sum of the products of two nodes, place by place.
    Dot(usize, usize),
    /// Sums over the middle of three axes, of so many places.
    Sum(usize, [usize; 3]),
    /// ln Σ exp over the last of two axes.
    LogSumExp(usize, [usize; 2]),
    /// The largest (or smallest) over the last of two axes.
    Extreme(usize, [usize; 2], bool),
    /// Running sums over the last of two axes.
    CumulativeSum(usize, [usize; 2]),
    /// A known matrix, with its rows and columns, times a vector.
    Product(Arc<[f64]>, [usize; 2], usize),
    /// L⁻¹ x for a lower triangular matrix of so many rows.
    Solve(Arg, Arg, usize),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub op: Op,
    pub len: usize,
}

/// A value: numbers or conditions over the axes of the loops that it depends on, and then over its own.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub source: Source,
    /// The loops, outermost first.
    pub loops: Vec<usize>,
    /// Its own shape: nothing, a length, or rows and columns.
    pub dims: Vec<usize>,
    pub condition: bool,
    /// Known to be positive wherever it is finite.
    pub positive: bool,
}

/// The result of a step that may be refused.
pub(super) type Made<T> = Result<T, String>;

/// The most numbers that an expression may compute for each row.
const MOST_COMPUTED: usize = 1 << 21;
/// The most numbers that may be prepared from the data.
const MOST_PREPARED: usize = 1 << 23;

#[derive(Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    /// The length of each loop.
    pub loops: Vec<usize>,
    computed: usize,
    prepared: usize,
}

impl Value {
    pub fn constant(numbers: Vec<f64>, dims: Vec<usize>) -> Self {
        let positive = numbers.iter().all(|&x| x > 0.0);
        Self { source: Source::Const(numbers.into()), loops: vec![], dims, condition: false, positive }
    }

    pub fn number(x: f64) -> Self {
        Self::constant(vec![x], vec![])
    }

    /// The numbers, where they are known.
    pub fn known(&self) -> Option<&[f64]> {
        match &self.source {
            Source::Const(numbers) => Some(numbers),
            Source::Node(_) => None,
        }
    }

    /// The number, where it is one and known.
    pub fn known_number(&self) -> Option<f64> {
        self.known().filter(|numbers| numbers.len() == 1 && self.dims.is_empty()).map(|numbers| numbers[0])
    }

    pub fn is_scalar(&self) -> bool {
        self.dims.is_empty()
    }

    /// How a message calls its shape.
    pub fn shape(&self) -> String {
        match self.dims[..] {
            [] if self.condition => "a condition".into(),
            [] => "a number".into(),
            [n] => format!("a vector of {n}"),
            [rows, columns] => format!("a {rows} × {columns} matrix"),
            _ => "an array".into(),
        }
    }

    /// The number of its own places, in one turn of the loops.
    pub fn own_len(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn with(mut self, positive: bool) -> Self {
        self.positive = positive;
        self
    }
}

impl Binary {
    /// Whether `other` is known to change nothing, as the second argument or, where the order matters, only as that.
    fn leaves_alone(self, other: &Value, second: bool) -> bool {
        let neutral = match self {
            Binary::Add => 0.0,
            Binary::Subtract if second => 0.0,
            Binary::Multiply => 1.0,
            Binary::Divide if second => 1.0,
            _ => return false,
        };
        other.known().is_some_and(|numbers| numbers.iter().all(|&x| x == neutral))
    }
}

/// Whether all of both are positive.
fn both(a: &Value, b: &Value) -> bool {
    a.positive && b.positive
}

impl Graph {
    /// Adds a node, or says that the expression is too large.
    pub fn node(&mut self, op: Op, len: usize) -> Made<Source> {
        self.computed = self.computed.saturating_add(len);
        if self.computed > MOST_COMPUTED {
            return Err(format!("more than {MOST_COMPUTED} numbers would be computed for each point"));
        }
        self.nodes.push(Node { op, len });
        Ok(Source::Node(self.nodes.len() - 1))
    }

    /// Counts numbers that are prepared, before they are.
    pub fn prepare(&mut self, len: usize) -> Made<()> {
        self.prepared = self.prepared.saturating_add(len);
        if self.prepared > MOST_PREPARED {
            return Err(format!("more than {MOST_PREPARED} numbers would be prepared from the data"));
        }
        Ok(())
    }

    /// The lengths of the loops and of its own axes.
    pub fn extents(&self, loops: &[usize], dims: &[usize]) -> Vec<usize> {
        loops.iter().map(|&id| self.loops[id]).chain(dims.iter().copied()).collect()
    }

    pub fn len(&self, value: &Value) -> Made<usize> {
        self.size(&value.loops, &value.dims)
    }

    /// The number of places of a shape, refused where it is beyond reason.
    pub fn size(&self, loops: &[usize], dims: &[usize]) -> Made<usize> {
        let size = self.extents(loops, dims).into_iter().try_fold(1usize, usize::checked_mul);
        size.filter(|&size| size <= MOST_PREPARED).ok_or_else(|| "an array too large to prepare".into())
    }

    /// The places of `value` taken in the order of `table`, with a new shape.
    pub fn gather(&mut self, value: &Value, table: Vec<u32>, loops: Vec<usize>, dims: Vec<usize>) -> Made<Value> {
        let source = match &value.source {
            Source::Const(numbers) => Source::Const(table.iter().map(|&at| numbers[at as usize]).collect()),
            Source::Node(id) => {
                // Everything in order is no step at all.
                let whole =
                    table.len() == self.nodes[*id].len && table.iter().enumerate().all(|(i, &at)| i == at as usize);
                if whole {
                    Source::Node(*id)
                } else {
                    let len = table.len();
                    self.node(Op::Gather(*id, table.into()), len)?
                }
            }
        };
        Ok(Value { source, loops, dims, ..value.clone() })
    }

    /// `value` spread over more loops (which include its own, in order) and, where it is a single number, over `dims`.
    pub fn spread(&mut self, value: &Value, loops: &[usize], dims: &[usize]) -> Made<Value> {
        if value.loops == loops && value.dims == dims {
            return Ok(value.clone());
        }
        let extents = self.extents(loops, dims);
        let size = self.size(loops, dims)?;
        self.prepare(size)?;
        // The stride of each new axis in the old layout.
        let mut strides = vec![0; extents.len()];
        let mut stride = 1;
        if value.dims == dims {
            for axis in (loops.len()..extents.len()).rev() {
                strides[axis] = stride;
                stride *= extents[axis];
            }
        }
        for (axis, id) in loops.iter().enumerate().rev() {
            if value.loops.contains(id) {
                strides[axis] = stride;
                stride *= extents[axis];
            }
        }
        self.gather(value, table(&extents, &strides), loops.to_vec(), dims.to_vec())
    }

    /// An argument of an operation over the given shape.
    fn arg(&mut self, value: &Value, loops: &[usize], dims: &[usize]) -> Made<Arg> {
        if self.len(value)? == 1 {
            return Ok(Arg { source: value.source.clone(), spread: true });
        }
        Ok(Arg { source: self.spread(value, loops, dims)?.source, spread: false })
    }

    /// The common shape of values that are combined place by place.
    pub fn common(&self, values: &[&Value]) -> Made<(Vec<usize>, Vec<usize>)> {
        let mut loops: Vec<usize> = values.iter().flat_map(|value| value.loops.iter().copied()).collect();
        loops.sort_unstable();
        loops.dedup();
        let mut dims: &[usize] = &[];
        let mut of: Option<&Value> = None;
        for value in values.iter().copied().filter(|value| !value.is_scalar()) {
            match of {
                Some(first) if value.dims != dims => {
                    return Err(format!(
                        "{} meets {}; equal shapes, or a number, are right",
                        first.shape(),
                        value.shape()
                    ))
                }
                _ => (dims, of) = (&value.dims, Some(value)),
            }
        }
        Ok((loops, dims.to_vec()))
    }

    pub fn unary(&mut self, f: Unary, x: &Value) -> Made<Value> {
        let positive = match f {
            Unary::Exp | Unary::Softplus | Unary::Sigmoid => true,
            Unary::Sqrt | Unary::Power(_) | Unary::Reciprocal | Unary::Square => x.positive,
            _ => false,
        };
        let source = match &x.source {
            Source::Const(numbers) => {
                self.prepare(numbers.len())?;
                Source::Const(numbers.iter().map(|&x| f.of(x)).collect())
            }
            Source::Node(id) => self.node(Op::Unary(f, *id), self.nodes[*id].len)?,
        };
        Ok(Value { source, ..x.clone() }.with(positive))
    }

    pub fn binary(&mut self, f: Binary, a: &Value, b: &Value) -> Made<Value> {
        let positive = match f {
            Binary::Add | Binary::Multiply | Binary::Divide | Binary::Min => both(a, b),
            Binary::Max => a.positive || b.positive,
            Binary::Power => a.positive,
            _ => false,
        };
        let (loops, dims) = self.common(&[a, b])?;
        let size = self.size(&loops, &dims)?;
        // A division by something known is a multiplication.
        if let (Binary::Divide, None, Some(divisors)) = (f, a.known(), b.known()) {
            if divisors.iter().all(|x| x.is_normal() && (1.0 / x).is_normal()) {
                let inverse = self.unary(Unary::Reciprocal, b)?;
                return self.binary(Binary::Multiply, a, &inverse);
            }
        }
        // One division for all places instead of one for each, there and in the slopes.
        if f == Binary::Divide && b.known().is_none() && size > 1 && self.len(b)? == 1 {
            let inverse = self.unary(Unary::Reciprocal, b)?;
            return self.binary(Binary::Multiply, a, &inverse);
        }
        let (left, right) = (self.arg(a, &loops, &dims)?, self.arg(b, &loops, &dims)?);
        // Nothing added, and once, are no steps.
        for (value, arg, other, either_side) in [(a, &left, b, true), (b, &right, a, false)] {
            if f.leaves_alone(other, either_side) && (size == 1 || !arg.spread) {
                let source = arg.source.clone();
                return Ok(Value { source, loops, dims, condition: false, positive: value.positive });
            }
        }
        let source = match (&left.source, &right.source) {
            (Source::Const(x), Source::Const(y)) => {
                self.prepare(size)?;
                let at = |numbers: &[f64], spread: bool, i: usize| numbers[if spread { 0 } else { i }];
                let numbers = (0..size).map(|i| f.of(at(x, left.spread, i), at(y, right.spread, i)));
                Source::Const(numbers.collect())
            }
            _ => self.node(Op::Binary(f, left, right), size)?,
        };
        Ok(Value { source, loops, dims, condition: f.is_condition(), positive })
    }

    /// `yes` where `condition` holds, else `no`.
    pub fn select(&mut self, condition: &Value, yes: &Value, no: &Value) -> Made<Value> {
        // Where it is known everywhere the other case need not be computed.
        if let Some(known) = condition.known() {
            for (all, chosen) in [(known.iter().all(|&c| c != 0.0), yes), (known.iter().all(|&c| c == 0.0), no)] {
                let (loops, dims) = self.common(&[condition, yes, no])?;
                if all {
                    return self.spread(chosen, &loops, &dims);
                }
            }
        }
        let (loops, dims) = self.common(&[condition, yes, no])?;
        let size = self.size(&loops, &dims)?;
        let args = [condition, yes, no].map(|value| self.arg(value, &loops, &dims));
        let [c, a, b] = args;
        let (c, a, b) = (c?, a?, b?);
        let source = match (&c.source, &a.source, &b.source) {
            (Source::Const(x), Source::Const(y), Source::Const(z)) => {
                self.prepare(size)?;
                let at = |numbers: &[f64], spread: bool, i: usize| numbers[if spread { 0 } else { i }];
                let choose = |i| if at(x, c.spread, i) != 0.0 { at(y, a.spread, i) } else { at(z, b.spread, i) };
                Source::Const((0..size).map(choose).collect())
            }
            _ => self.node(Op::Select(c, a, b), size)?,
        };
        Ok(Value { source, loops, dims, condition: yes.condition, positive: both(yes, no) })
    }

    /// Values one after the other, along a new first axis of their own.
    pub fn stack(&mut self, values: &[Value]) -> Made<Value> {
        let refs: Vec<&Value> = values.iter().collect();
        let (loops, dims) = self.common(&refs)?;
        let (outer, size) = (self.size(&loops, &[])?, self.size(&loops, &dims)?);
        let total = size.checked_mul(values.len()).ok_or("a list too large")?;
        self.prepare(total)?;
        let positive = values.iter().all(|value| value.positive);
        let own: Vec<usize> = std::iter::once(values.len()).chain(dims.iter().copied()).collect();
        let spread = values.iter().map(|value| self.spread(value, &loops, &dims)).collect::<Made<Vec<_>>>()?;
        let known: Option<Vec<&[f64]>> = spread.iter().map(Value::known).collect();
        let (source, flat) = match known {
            Some(parts) => (Source::Const(parts.concat().into()), true),
            None => {
                let arg = |value: &Value| (Arg { source: value.source.clone(), spread: false }, size);
                (self.node(Op::Stack(spread.iter().map(arg).collect()), total)?, outer == 1)
            }
        };
        let stacked = Value { source, loops: loops.clone(), dims: own.clone(), condition: false, positive };
        if flat && outer == 1 {
            return Ok(stacked);
        }
        // From (item, loops, dims) to (loops, item, dims).
        let inner = size / outer.max(1);
        let order = table(&[outer, values.len(), inner], &[inner, size, 1]);
        self.gather(&stacked, order, loops, own)
    }

    /// A matrix with so many rows, all equal to a vector.
    pub fn repeat_rows(&mut self, x: &Value, rows: usize) -> Made<Value> {
        let (outer, n) = (self.size(&x.loops, &[])?, x.own_len());
        let size = self.size(&x.loops, &[rows, n])?;
        self.prepare(size)?;
        self.gather(x, table(&[outer, rows, n], &[n, 0, 1]), x.loops.clone(), vec![rows, n])
    }
}

/// The places of a walk over `extents` with the given strides, last axis fastest.
pub(super) fn table(extents: &[usize], strides: &[usize]) -> Vec<u32> {
    let mut places = vec![0u32];
    for (&extent, &stride) in extents.iter().zip(strides) {
        places = places.iter().flat_map(|&base| (0..extent).map(move |i| base + (i * stride) as u32)).collect();
    }
    places
}
