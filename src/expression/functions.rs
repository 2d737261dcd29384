//! The functions of the language by name: of one number, of several, and over vectors.

use super::distributions::DISTRIBUTIONS;
use super::fault::{advice, at, Fault, Lowered, Span};
use super::graph::{Arg, Graph, Made, Op, Source, Value};
use super::operations::{Binary, Unary};
use super::syntax::Call;

/// Functions of one number, applied place by place.
pub(super) const ELEMENTWISE: [(&str, Unary); 18] = [
    ("exp", Unary::Exp),
    ("log", Unary::Log),
    ("log1p", Unary::Log1p),
    ("expm1", Unary::Expm1),
    ("sqrt", Unary::Sqrt),
    ("square", Unary::Square),
    ("tanh", Unary::Tanh),
    ("sigmoid", Unary::Sigmoid),
    ("softplus", Unary::Softplus),
    ("lgamma", Unary::Lgamma),
    ("digamma", Unary::Digamma),
    ("erf", Unary::Erf),
    ("abs", Unary::Abs),
    ("sin", Unary::Sin),
    ("cos", Unary::Cos),
    ("atan", Unary::Atan),
    ("inv_logit", Unary::Sigmoid),
    ("log1p_exp", Unary::Softplus),
];

/// All others, with the numbers of arguments that they take.
pub(super) const OTHERS: [(&str, std::ops::RangeInclusive<usize>); 19] = [
    ("pow", 2..=2),
    ("min", 1..=2),
    ("max", 1..=2),
    ("sum", 1..=1),
    ("mean", 1..=1),
    ("sd", 1..=1),
    ("dot", 2..=2),
    ("logsumexp", 1..=2),
    ("cumulative_sum", 1..=1),
    ("len", 1..=1),
    ("rows", 1..=1),
    ("columns", 1..=1),
    ("transpose", 1..=1),
    ("solve_lower", 2..=2),
    ("log_determinant_lower", 1..=1),
    // Only over loops.
    ("vector", 1..=1),
    ("matrix", 1..=1),
    ("log_mix", 3..=3),
    ("log_rising", 2..=2),
];

/// The names of all functions and distributions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let functions = ELEMENTWISE.iter().map(|(name, _)| *name).chain(OTHERS.iter().map(|(name, _)| *name));
    functions.chain(DISTRIBUTIONS.iter().map(|distribution| distribution.name))
}

/// A call with values.
pub(super) fn call(graph: &mut Graph, call: &Call, arguments: &[(Value, Span)], span: Span) -> Lowered<Value> {
    let name = &call.name[..];
    let count = arguments.len();
    let values: Vec<&Value> = arguments.iter().map(|(value, _)| value).collect();
    let wants = |right: String| Fault::new(span, format!("`{name}` has {count} arguments; {right}"));
    if let Some((_, f)) = ELEMENTWISE.iter().find(|(other, _)| *other == name) {
        let [x] = values[..] else { return Err(wants("one is right".into())) };
        return at(span, graph.unary(*f, x));
    }
    let Some((_, legal)) = OTHERS.iter().find(|(other, _)| *other == name) else {
        return Err(Fault::new(call.place, format!("there is no function `{name}`{}", advice(name, names()))));
    };
    if !legal.contains(&count) {
        let (least, most) = (legal.start(), legal.end());
        return Err(wants(if least == most {
            format!("{least} are right")
        } else {
            format!("{least} to {most} are right")
        }));
    }
    at(span, of_values(graph, name, &values))
}

fn of_values(graph: &mut Graph, name: &str, values: &[&Value]) -> Made<Value> {
    let vector = |value: &Value| match value.dims[..] {
        [] => Err(format!("`{name}` of {}; a vector is right", value.shape())),
        _ => Ok(value.own_len()),
    };
    match (name, values) {
        ("pow", [a, b]) => power(graph, a, b),
        ("min", [a, b]) => graph.binary(Binary::Min, a, b),
        ("max", [a, b]) => graph.binary(Binary::Max, a, b),
        ("dot", [a, b]) => dot(graph, a, b),
        ("solve_lower", [l, x]) => solve(graph, l, x),
        ("logsumexp", [a, b]) => graph.binary(Binary::LogAddExp, a, b),
        ("log_rising", [x, n]) => graph.binary(Binary::LogRising, x, n),
        ("log_mix", [share, a, b]) => {
            let log_share = graph.unary(Unary::Log, share)?;
            let negative = graph.unary(Unary::Negative, share)?;
            let log_rest = graph.unary(Unary::Log1p, &negative)?;
            let (a, b) = (graph.binary(Binary::Add, &log_share, a)?, graph.binary(Binary::Add, &log_rest, b)?);
            of_values(graph, "logsumexp", &[&a, &b])
        }
        ("len", [x]) => Ok(Value::number(vector(x)? as f64)),
        ("rows" | "columns", [x]) => match x.dims[..] {
            [rows, columns] => Ok(Value::number(if name == "rows" { rows } else { columns } as f64)),
            _ => Err(format!("`{name}` of {}; a matrix is right", x.shape())),
        },
        ("transpose", [x]) => transpose(graph, x),
        ("log_determinant_lower", [l]) => {
            let n = square(l)?;
            if !l.loops.is_empty() {
                return Err("a matrix that differs from turn to turn of a loop".into());
            }
            let diagonal = graph.gather(l, (0..n as u32).map(|i| i * (n as u32 + 1)).collect(), vec![], vec![n])?;
            if diagonal.known().is_some_and(|numbers| numbers.iter().any(|&x| x <= 0.0)) {
                return Err(
                    "a diagonal entry of the triangular matrix is not positive; a Cholesky factor is right".into()
                );
            }
            let logs = graph.unary(Unary::Log, &diagonal)?;
            graph.sum(&logs)
        }
        ("vector" | "matrix", _) => Err(format!("`{name}` goes over a range: `{name}(i in 0..n: …)` is right")),
        (_, [x]) => {
            if x.is_scalar() && name != "sum" {
                vector(x)?;
            }
            reduce(graph, name, x)
        }
        _ => Err(format!("`{name}` cannot be taken of this")),
    }
}

/// A function of all places of a vector or matrix.
fn reduce(graph: &mut Graph, name: &str, x: &Value) -> Made<Value> {
    let n = x.own_len() as f64;
    match name {
        "sum" => graph.sum(x),
        "mean" => {
            let sum = graph.sum(x)?;
            graph.binary(Binary::Divide, &sum, &Value::number(n))
        }
        "sd" => {
            let mean = reduce(graph, "mean", x)?;
            let centred = graph.binary(Binary::Subtract, x, &mean)?;
            let squares = graph.unary(Unary::Square, &centred)?;
            let variance = reduce(graph, "mean", &squares)?;
            graph.unary(Unary::Sqrt, &variance)
        }
        "max" => graph.reduce(
            x,
            |row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            |id, n| Op::Extreme(id, n, true),
        ),
        "min" => {
            graph.reduce(x, |row| row.iter().copied().fold(f64::INFINITY, f64::min), |id, n| Op::Extreme(id, n, false))
        }
        "logsumexp" => graph.reduce(x, log_sum_exp, Op::LogSumExp),
        "cumulative_sum" if x.dims.len() == 1 => graph.cumulative_sum(x),
        _ => Err(format!("`{name}` cannot be taken of {}", x.shape())),
    }
}

/// ln Σ exp of known numbers.
pub(super) fn log_sum_exp(row: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
}

/// `name(i in a..b: body)` with the loops from the outermost on.
pub(super) fn over_loops(graph: &mut Graph, name: &str, mut body: Value, loops: &[usize]) -> Made<Value> {
    if name == "sum" {
        for &id in loops.iter().rev() {
            body = graph.sum_over(&body, id)?;
        }
        return Ok(body);
    }
    let known = ["vector", "matrix", "logsumexp", "max", "min", "mean", "sd"];
    if !known.contains(&name) {
        let over = known.into_iter().chain(["sum"]);
        return Err(format!("`{name}` cannot go over a range{}", advice(name, over)));
    }
    if !body.is_scalar() {
        return Err(format!("`{name}` over a range of {}; a number for each turn is right", body.shape()));
    }
    if loops.len() > 2 {
        return Err(format!("`{name}` over {} ranges; one or two are right", loops.len()));
    }
    for &id in loops.iter().rev() {
        body = graph.collect(&body, id)?;
    }
    match (name, loops.len()) {
        ("vector", 1) | ("matrix", 2) => Ok(body),
        ("vector", _) => Err("a vector over two ranges; `matrix` is right".into()),
        ("matrix", _) => Err("a matrix over one range; two are right".into()),
        _ => of_values(graph, name, &[&body]),
    }
}

/// aᵇ, with the usual exponents as operations of their own.
pub(super) fn power(graph: &mut Graph, a: &Value, b: &Value) -> Made<Value> {
    match b.known_number() {
        Some(2.0) => graph.unary(Unary::Square, a),
        Some(1.0) => Ok(a.clone()),
        Some(0.5) => graph.unary(Unary::Sqrt, a),
        Some(-1.0) => graph.unary(Unary::Reciprocal, a),
        Some(k) => graph.unary(Unary::Power(k), a),
        None => graph.binary(Binary::Power, a, b),
    }
}

fn dot(graph: &mut Graph, a: &Value, b: &Value) -> Made<Value> {
    let ([n], [m]) = (&a.dims[..], &b.dims[..]) else {
        return Err(format!("`dot` of {} and {}; two vectors are right", a.shape(), b.shape()));
    };
    if n != m {
        return Err(format!("`dot` of {} and {}; equal lengths are right", a.shape(), b.shape()));
    }
    for (rows, x) in [(a, b), (b, a)] {
        // Rows of a known matrix, turn by turn of the loops.
        if let (Some(numbers), Source::Node(id), true) = (rows.known(), &x.source, x.loops.is_empty()) {
            let turns = graph.size(&rows.loops, &[])?;
            let source = graph.node(Op::Product(numbers.into(), [turns, *n], *id), turns)?;
            return Ok(Value { source, loops: rows.loops.clone(), dims: vec![], condition: false, positive: false });
        }
    }
    let products = graph.binary(Binary::Multiply, a, b)?;
    graph.sum(&products)
}

/// Matrix times vector, vector times matrix, or vector times vector.
pub(super) fn product(graph: &mut Graph, a: &Value, b: &Value) -> Made<Value> {
    match (&a.dims[..], &b.dims[..]) {
        ([_], [_]) => dot(graph, a, b),
        ([rows, columns], [n]) if columns == n => {
            if let (Some(numbers), Source::Node(id), true, true) =
                (a.known(), &b.source, a.loops.is_empty(), b.loops.is_empty())
            {
                let source = graph.node(Op::Product(numbers.into(), [*rows, *columns], *id), *rows)?;
                let dims = vec![*rows];
                return Ok(Value { source, loops: vec![], dims, condition: false, positive: false });
            }
            let repeated = graph.repeat_rows(b, *rows)?;
            let products = graph.binary(Binary::Multiply, a, &repeated)?;
            graph.sum_last(&products)
        }
        ([_], [_, _]) => {
            let turned = transpose(graph, b)?;
            product(graph, &turned, a)
        }
        _ => Err(format!("`@` of {} and {}; a matrix and a vector that fit are right", a.shape(), b.shape())),
    }
}

fn transpose(graph: &mut Graph, x: &Value) -> Made<Value> {
    let [rows, columns] = x.dims[..] else { return Err(format!("`transpose` of {}; a matrix is right", x.shape())) };
    let outer = graph.size(&x.loops, &[])?;
    graph.prepare(outer * rows * columns)?;
    let order = super::graph::table(&[outer, columns, rows], &[rows * columns, 1, columns]);
    graph.gather(x, order, x.loops.clone(), vec![columns, rows])
}

/// The rows of a square matrix.
fn square(l: &Value) -> Made<usize> {
    match l.dims[..] {
        [n, m] if n == m => Ok(n),
        _ => Err(format!("found {}; a lower triangular matrix is right", l.shape())),
    }
}

fn solve(graph: &mut Graph, l: &Value, x: &Value) -> Made<Value> {
    let n = square(l)?;
    if x.dims != [n] {
        return Err(format!("{} meets {}; a vector of {n} is right", l.shape(), x.shape()));
    }
    if !l.loops.is_empty() || !x.loops.is_empty() {
        return Err("triangular systems cannot be solved inside a loop".into());
    }
    let arg = |value: &Value| Arg { source: value.source.clone(), spread: false };
    let source = match (l.known(), x.known()) {
        (Some(l), Some(x)) => {
            let mut z = x.to_vec();
            for i in 0..n {
                let known: f64 = (0..i).map(|j| l[i * n + j] * z[j]).sum();
                z[i] = (z[i] - known) / l[i * n + i];
            }
            Source::Const(z.into())
        }
        _ => graph.node(Op::Solve(arg(l), arg(x), n), n)?,
    };
    Ok(Value { source, loops: vec![], dims: vec![n], condition: false, positive: false })
}
