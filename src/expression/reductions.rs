//! What takes axes away: sums, running sums and other functions of whole vectors, and the ends of loops.

use super::functions::log_sum_exp;
use super::graph::{Graph, Made, Op, Source, Value};
use super::operations::Binary;

impl Graph {
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

    /// ln(eᵃ + eᵇ), place by place.
    pub fn log_add_exp(&mut self, a: &Value, b: &Value) -> Made<Value> {
        let stacked = self.stack(&[a.clone(), b.clone()])?;
        let dims = stacked.dims[1..].to_vec();
        let (outer, len) = (self.size(&stacked.loops, &[])?, dims.iter().product::<usize>());
        // From (loops, which, place) to (loops, place, which).
        self.prepare(2 * outer * len)?;
        let order = super::graph::table(&[outer, len, 2], &[2 * len, 1, len]);
        let pairs = self.gather(&stacked, order, stacked.loops.clone(), vec![len, 2])?;
        let source = match &pairs.source {
            Source::Const(numbers) => Source::Const(numbers.chunks_exact(2).map(log_sum_exp).collect()),
            Source::Node(id) => self.node(Op::LogSumExp(*id, [outer * len, 2]), outer * len)?,
        };
        Ok(Value { source, loops: pairs.loops, dims, condition: false, positive: false })
    }
}
