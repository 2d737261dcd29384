//! The compiled form: a list of steps over a batch of rows, each of which reads earlier results and writes its own.

use super::graph::{Arg, Graph, Op, Source, Value};
use super::operations::{Binary, Unary};
use std::sync::Arc;

/// The most rows of a batch; each number of the program is an array over them, its lanes.
pub(super) const MOST_LANES: usize = 64;

/// An argument: `at` counts numbers, of the results or of what is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand {
    pub at: usize,
    pub known: bool,
    pub spread: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// With the place of its slopes, where they are kept.
    Unary(Unary, usize, Option<usize>),
    Binary(Binary, Operand, Operand),
    Select(Operand, Operand, Operand),
    /// Stretches of places of an earlier result: where they begin, and how long they are.
    Gather(usize, Vec<(u32, u32)>),
    Stack(Vec<(Operand, usize)>),
    Dot(usize, usize, usize),
    Sum(usize, [usize; 3]),
    LogSumExp(usize, [usize; 2]),
    Extreme(usize, [usize; 2], bool),
    CumulativeSum(usize, [usize; 2]),
    /// A matrix and its transpose among what is known, rows and columns, the vector, and whether all its numbers are finite.
    Product {
        matrix: usize,
        transposed: usize,
        shape: [usize; 2],
        vector: usize,
        finite: bool,
    },
    Solve(Operand, Operand, usize),
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub action: Action,
    /// Where its results begin, and how many they are.
    pub out: usize,
    pub len: usize,
}

/// Steps in order; the first results are the coordinates.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub dim: usize,
    pub steps: Vec<Step>,
    pub known: Vec<f64>,
    pub root: Operand,
    /// The number of results, and of kept slopes.
    pub results: usize,
    pub slopes: usize,
    /// The rows of a batch.
    pub lanes: usize,
}

/// Bytes of results, adjoints and slopes that should stay in a core's cache.
const CACHE: usize = 3 << 18;

struct Emitter {
    known: Vec<f64>,
    /// What is in `known` already, and where.
    seen: Vec<(Arc<[f64]>, usize)>,
    places: Vec<usize>,
}

impl Emitter {
    fn store(&mut self, numbers: &Arc<[f64]>) -> usize {
        if let [number] = numbers[..] {
            // Single numbers are many and short; they need not be found again.
            self.known.push(number);
            return self.known.len() - 1;
        }
        if let Some((_, at)) = self.seen.iter().find(|(other, _)| Arc::ptr_eq(other, numbers)) {
            return *at;
        }
        let at = self.known.len();
        self.known.extend_from_slice(numbers);
        self.seen.push((numbers.clone(), at));
        at
    }

    fn operand(&mut self, arg: &Arg) -> Operand {
        match &arg.source {
            Source::Const(numbers) => Operand { at: self.store(numbers), known: true, spread: arg.spread },
            Source::Node(id) => Operand { at: self.places[*id], known: false, spread: arg.spread },
        }
    }
}

/// The nodes that an operation reads.
fn arguments(op: &Op) -> Vec<usize> {
    let of = |arg: &Arg| match arg.source {
        Source::Node(id) => Some(id),
        Source::Const(_) => None,
    };
    match op {
        Op::Input(_) => vec![],
        Op::Unary(_, x) | Op::Gather(x, _) | Op::Sum(x, _) | Op::LogSumExp(x, _) => vec![*x],
        Op::Extreme(x, ..) | Op::CumulativeSum(x, _) | Op::Product(_, _, x) => vec![*x],
        Op::Dot(a, b) => vec![*a, *b],
        Op::Binary(_, a, b) | Op::Solve(a, b, _) => [a, b].into_iter().filter_map(of).collect(),
        Op::Select(a, b, c) => [a, b, c].into_iter().filter_map(of).collect(),
        Op::Stack(parts) => parts.iter().filter_map(|(arg, _)| of(arg)).collect(),
    }
}

/// Places as stretches of neighbours.
fn stretches(table: &[u32]) -> Vec<(u32, u32)> {
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for &at in table {
        match stretches.last_mut() {
            Some((start, len)) if *start + *len == at => *len += 1,
            _ => stretches.push((at, 1)),
        }
    }
    stretches
}

impl Program {
    /// The steps that `root` needs, on `dim` coordinates.
    pub fn new(graph: &Graph, root: &Value, dim: usize) -> Self {
        let mut needed = vec![false; graph.nodes.len()];
        if let Source::Node(id) = root.source {
            needed[id] = true;
        }
        for id in (0..graph.nodes.len()).rev() {
            if needed[id] {
                arguments(&graph.nodes[id].op).into_iter().for_each(|argument| needed[argument] = true);
            }
        }
        let mut emitter = Emitter { known: Vec::new(), seen: Vec::new(), places: vec![usize::MAX; graph.nodes.len()] };
        let (mut steps, mut results, mut slopes) = (Vec::new(), dim, 0);
        for (id, node) in graph.nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
            if let Op::Input(first) = node.op {
                emitter.places[id] = first;
                continue;
            }
            let (out, len) = (results, node.len);
            let place = |id: &usize| emitter.places[*id];
            let action = match &node.op {
                Op::Input(_) => continue,
                Op::Unary(f, x) => {
                    let kept = !matches!(f, Unary::Exp | Unary::Negative | Unary::Not);
                    let at = kept.then_some(slopes);
                    slopes += if kept { len } else { 0 };
                    Action::Unary(*f, place(x), at)
                }
                Op::Gather(x, table) => Action::Gather(place(x), stretches(table)),
                Op::Dot(a, b) => Action::Dot(place(a), place(b), graph.nodes[*a].len),
                Op::Sum(x, shape) => Action::Sum(place(x), *shape),
                Op::LogSumExp(x, shape) => Action::LogSumExp(place(x), *shape),
                Op::Extreme(x, shape, largest) => Action::Extreme(place(x), *shape, *largest),
                Op::CumulativeSum(x, shape) => Action::CumulativeSum(place(x), *shape),
                Op::Product(matrix, [rows, columns], x) => {
                    let vector = place(x);
                    let transpose = (0..*columns).flat_map(|c| (0..*rows).map(move |r| (r, c)));
                    let transpose: Vec<f64> = transpose.map(|(r, c)| matrix[r * columns + c]).collect();
                    let finite = matrix.iter().all(|m| m.is_finite());
                    let matrix = emitter.store(matrix);
                    let transposed = emitter.store(&transpose.into());
                    Action::Product { matrix, transposed, shape: [*rows, *columns], vector, finite }
                }
                Op::Binary(f, a, b) => Action::Binary(*f, emitter.operand(a), emitter.operand(b)),
                Op::Select(c, a, b) => Action::Select(emitter.operand(c), emitter.operand(a), emitter.operand(b)),
                Op::Solve(l, x, n) => Action::Solve(emitter.operand(l), emitter.operand(x), *n),
                Op::Stack(parts) => {
                    Action::Stack(parts.iter().map(|(arg, len)| (emitter.operand(arg), *len)).collect())
                }
            };
            emitter.places[id] = out;
            results += len;
            steps.push(Step { action, out, len });
        }
        let root = emitter.operand(&Arg { source: root.source.clone(), spread: true });
        let bytes_of_row = 8 * (2 * results + slopes);
        let lanes = [64, 32, 16].into_iter().find(|lanes| lanes * bytes_of_row <= CACHE).unwrap_or(8);
        Self { dim, steps, known: emitter.known, root, results, slopes, lanes }
    }
}
