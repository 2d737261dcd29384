//! What takes axes away: sums, running sums and other functions of whole vectors, and the ends of loops.

use super::graph::{Arg, Graph, Made, Node, Op, Source, Value};
use super::operations::{Binary, Unary};

/// The most terms into which a sum is taken apart.
const MOST_TERMS: usize = 8;

impl Graph {
    /// The sum over all places of a node of several: what is the same everywhere is taken out of it, and products are not kept place by
    /// place. `left` counts the terms that may yet be made.
    fn total(&mut self, id: usize, left: &mut usize) -> Made<Value> {
        let Node { op, len } = self.nodes[id].clone();
        let plain = |source| Value { source, ..Value::number(0.0) }.with(false);
        if *left > 0 {
            *left -= 1;
            match &op {
                Op::Unary(Unary::Negative, x) => {
                    let sum = self.total(*x, left)?;
                    return self.unary(Unary::Negative, &sum);
                }
                Op::Unary(Unary::Square, x) => return Ok(plain(self.node(Op::Dot(*x, *x), 1)?)),
                Op::Binary(f @ (Binary::Add | Binary::Subtract), a, b) => {
                    let (a, b) = (self.total_of(a, len, left)?, self.total_of(b, len, left)?);
                    return self.binary(*f, &a, &b);
                }
                Op::Binary(Binary::Multiply, a, b) => {
                    if let Some((factor, other)) = [(a, b), (b, a)].into_iter().find(|(factor, _)| factor.spread) {
                        let sum = self.total_of(other, len, left)?;
                        return self.binary(Binary::Multiply, &plain(factor.source.clone()), &sum);
                    }
                    let source = match (&a.source, &b.source) {
                        (Source::Node(a), Source::Node(b)) => self.node(Op::Dot(*a, *b), 1)?,
                        (Source::Const(row), Source::Node(x)) | (Source::Node(x), Source::Const(row)) => {
                            self.node(Op::Product(row.clone(), [1, len], *x), 1)?
                        }
                        (Source::Const(_), Source::Const(_)) => self.node(Op::Sum(id, [1, len, 1]), 1)?,
                    };
                    return Ok(plain(source));
                }
                Op::Select(condition, yes, no) if condition.spread => {
                    let (yes, no) = (self.total_of(yes, len, left)?, self.total_of(no, len, left)?);
                    return self.select(&plain(condition.source.clone()), &yes, &no);
                }
                _ => {}
            }
        }
        Ok(plain(self.node(Op::Sum(id, [1, len, 1]), 1)?))
    }

    /// The sum of an argument over `len` places.
    fn total_of(&mut self, arg: &Arg, len: usize, left: &mut usize) -> Made<Value> {
        match (&arg.source, arg.spread) {
            (source, true) => {
                let value = Value { source: source.clone(), ..Value::number(1.0) };
                self.binary(Binary::Multiply, &value, &Value::number(len as f64))
            }
            (Source::Const(numbers), _) => Ok(Value::number(numbers.iter().sum())),
            (Source::Node(id), _) => self.total(*id, left),
        }
    }

    /// Sums over all of its own axes.
    pub fn sum(&mut self, x: &Value) -> Made<Value> {
        let (outer, n) = (self.size(&x.loops, &[])?, x.own_len());
        let source = self.sums(&x.source, [outer, n, 1])?;
        Ok(Value { source, loops: x.loops.clone(), dims: vec![], condition: false, positive: x.positive && n > 0 })
    }

    fn sums(&mut self, source: &Source, [outer, n, inner]: [usize; 3]) -> Made<Source> {
        match source {
            Source::Const(numbers) => {
                self.prepare(outer * inner)?;
                let sum = |o: usize, k: usize| (0..n).map(|j| numbers[(o * n + j) * inner + k]).sum::<f64>();
                Ok(Source::Const(
                    (0..outer).flat_map(|o| (0..inner).map(move |k| (o, k))).map(|(o, k)| sum(o, k)).collect(),
                ))
            }
            Source::Node(_) if n * outer * inner == 0 => Ok(Source::Const(vec![0.0; outer * inner].into())),
            Source::Node(id) if n == 1 => Ok(Source::Node(*id)),
            Source::Node(id) if outer * inner == 1 => Ok(self.total(*id, &mut MOST_TERMS.clone())?.source),
            Source::Node(id) => self.node(Op::Sum(*id, [outer, n, inner]), outer * inner),
        }
    }

    /// Sums over the innermost loop `id`.
    pub fn sum_over(&mut self, x: &Value, id: usize) -> Made<Value> {
        let n = self.loops[id];
        if x.loops.last() != Some(&id) {
            return self.binary(Binary::Multiply, x, &Value::number(n as f64));
        }
        let loops = x.loops[..x.loops.len() - 1].to_vec();
        let source = self.sums(&x.source, [self.size(&loops, &[])?, n, x.own_len()])?;
        Ok(Value { source, loops, dims: x.dims.clone(), condition: false, positive: x.positive && n > 0 })
    }

    /// Turns the innermost loop `id` into the first of the value's own axes.
    pub fn collect(&mut self, x: &Value, id: usize) -> Made<Value> {
        let outer: Vec<usize> = x.loops.iter().copied().filter(|&other| other != id).collect();
        let all: Vec<usize> = outer.iter().copied().chain([id]).collect();
        let mut value = self.spread(x, &all, &x.dims.clone())?;
        value.dims.insert(0, self.loops[id]);
        value.loops = outer;
        Ok(value)
    }

    /// A known or computed reduction of a vector by a node over (outer, n).
    pub fn reduce(
        &mut self,
        x: &Value,
        fold: impl Fn(&[f64]) -> f64,
        op: impl Fn(usize, [usize; 2]) -> Op,
    ) -> Made<Value> {
        let (outer, n) = (self.size(&x.loops, &[])?, x.own_len());
        if n == 0 {
            return Err("an empty vector".into());
        }
        let source = match &x.source {
            Source::Const(numbers) => Source::Const(numbers.chunks_exact(n).map(fold).collect()),
            Source::Node(id) => self.node(op(*id, [outer, n]), outer)?,
        };
        Ok(Value { source, loops: x.loops.clone(), dims: vec![], condition: false, positive: false })
    }

    /// Sums over the last of its own axes.
    pub fn sum_last(&mut self, x: &Value) -> Made<Value> {
        let n = x.dims.last().copied().unwrap_or(1);
        let outer = self.len(x)? / n.max(1);
        let source = self.sums(&x.source, [outer, n, 1])?;
        let dims = x.dims[..x.dims.len().saturating_sub(1)].to_vec();
        Ok(Value { source, dims, ..x.clone() })
    }

    /// Running sums of a vector.
    pub fn cumulative_sum(&mut self, x: &Value) -> Made<Value> {
        let (outer, n) = (self.size(&x.loops, &[])?, x.own_len());
        let source = match &x.source {
            Source::Const(numbers) => {
                self.prepare(numbers.len())?;
                let mut sums = numbers.to_vec();
                for row in sums.chunks_exact_mut(n.max(1)) {
                    (1..n).for_each(|i| row[i] += row[i - 1]);
                }
                Source::Const(sums.into())
            }
            Source::Node(id) => self.node(Op::CumulativeSum(*id, [outer, n]), outer * n)?,
        };
        Ok(Value { source, ..x.clone() })
    }
}
