//! Parameters on their supports: the maps of [`Support`] as nodes of a graph, with the log Jacobian.

use super::graph::{Graph, Made, Op, Value};
use super::operations::{Binary, Unary};
use crate::target::Support;

/// The value of a parameter whose coordinates begin at `first`, and its log Jacobian.
pub(super) fn place(graph: &mut Graph, support: &Support, first: usize) -> Made<(Value, Value)> {
    let n = support.coordinates();
    let source = graph.node(Op::Input(first), n)?;
    let vector = !matches!(support, Support::Real | Support::Positive | Support::Interval(..));
    let dims = if vector { vec![n] } else { vec![] };
    let u = Value { source, loops: vec![], dims, condition: false, positive: false };
    let none = Value::number(0.0);
    match support {
        Support::Real => Ok((u, none)),
        Support::Positive | Support::Interval(..) => each(graph, support, &u),
        Support::Vector(_, of) => each(graph, of, &u),
        Support::Ordered(_) => ordered(graph, &u),
        Support::Simplex(n) => simplex(graph, &u, *n),
    }
}

fn each(graph: &mut Graph, support: &Support, u: &Value) -> Made<(Value, Value)> {
    match support {
        Support::Positive => Ok((graph.unary(Unary::Exp, u)?, graph.sum(u)?)),
        Support::Interval(a, b) => {
            let share = graph.unary(Unary::Sigmoid, u)?;
            let scaled = graph.binary(Binary::Multiply, &share, &Value::number(b - a))?;
            let mut x = graph.binary(Binary::Add, &scaled, &Value::number(*a))?;
            x.positive = *a >= 0.0;
            // ln σ(u) + ln σ(−u) = u − 2 ln(1 + eᵘ).
            let slopes = log_slope(graph, u)?;
            let slopes = graph.binary(Binary::Add, &slopes, &Value::number((b - a).ln()))?;
            Ok((x, graph.sum(&slopes)?))
        }
        _ => Ok((u.clone(), Value::number(0.0))),
    }
}

fn log_slope(graph: &mut Graph, u: &Value) -> Made<Value> {
    let softplus = graph.unary(Unary::Softplus, u)?;
    let twice = graph.binary(Binary::Multiply, &softplus, &Value::number(2.0))?;
    graph.binary(Binary::Subtract, u, &twice)
}

/// The places `from .. to` of a vector without loops.
fn part(graph: &mut Graph, x: &Value, from: usize, to: usize) -> Made<Value> {
    graph.gather(x, (from as u32..to as u32).collect(), vec![], vec![to - from])
}

/// Vectors without loops, one after the other.
fn join(graph: &mut Graph, parts: &[Value]) -> Made<Value> {
    let arg = |value: &Value| super::graph::Arg { source: value.source.clone(), spread: false };
    let parts: Vec<_> = parts.iter().map(|value| (arg(value), value.dims[0])).collect();
    let len = parts.iter().map(|(_, len)| len).sum();
    let source = graph.node(Op::Stack(parts), len)?;
    Ok(Value { source, loops: vec![], dims: vec![len], condition: false, positive: false })
}

fn ordered(graph: &mut Graph, u: &Value) -> Made<(Value, Value)> {
    let n = u.dims[0];
    let (first, rest) = (part(graph, u, 0, 1)?, part(graph, u, 1, n)?);
    let steps = graph.unary(Unary::Exp, &rest)?;
    let joined = if n == 1 { first } else { join(graph, &[first, steps])? };
    Ok((graph.cumulative_sum(&joined)?, graph.sum(&rest)?))
}

fn simplex(graph: &mut Graph, u: &Value, n: usize) -> Made<(Value, Value)> {
    let offsets = (0..n - 1).map(|k| ((n - 1 - k) as f64).ln()).collect();
    let logits = graph.binary(Binary::Subtract, u, &Value::constant(offsets, vec![n - 1]))?;
    // ln σ(−l) = −ln(1 + eˡ), of which the running sums are what is left of the stick, and ln σ(l) = l + ln σ(−l).
    let softplus = graph.unary(Unary::Softplus, &logits)?;
    let log_kept = graph.unary(Unary::Negative, &softplus)?;
    let log_taken = graph.binary(Binary::Add, &logits, &log_kept)?;
    let log_left = graph.cumulative_sum(&log_kept)?;
    let zero = Value::constant(vec![0.0], vec![1]);
    let before = if n == 2 {
        zero.clone()
    } else {
        let all_but_last = part(graph, &log_left, 0, n - 2)?;
        join(graph, &[zero, all_but_last])?
    };
    let log_pieces = graph.binary(Binary::Add, &before, &log_taken)?;
    let last = part(graph, &log_left, n - 2, n - 1)?;
    let log_x = join(graph, &[log_pieces.clone(), last])?;
    let x = graph.unary(Unary::Exp, &log_x)?;
    let jacobian = graph.binary(Binary::Add, &log_pieces, &log_kept)?;
    Ok((x, graph.sum(&jacobian)?))
}
