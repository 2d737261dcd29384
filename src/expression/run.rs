//! A program carried out over a batch: forward for the values, backward for the gradients.

use super::kernels::{self, weigh, Target, View};
use super::operations::{Binary, Unary};
use super::products;
use super::program::{Action, Operand, Program, Step, MOST_LANES};

/// The room that one batch needs.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// The results of all steps, place by place and lane by lane; the coordinates come first.
    pub values: Vec<f64>,
    pub adjoints: Vec<f64>,
    slopes: Vec<f64>,
}

impl Workspace {
    pub fn new(program: &Program) -> Self {
        let room = |places: usize| vec![0.0; places * program.lanes];
        Self { values: room(program.results), adjoints: room(program.results), slopes: room(program.slopes) }
    }
}

impl Program {
    fn view<'a>(&'a self, operand: Operand, len: usize, values: &'a [f64]) -> View<'a> {
        let (at, lanes) = (operand.at, self.lanes);
        match (operand.known, operand.spread) {
            (true, true) => View::Number(self.known[at]),
            (true, false) => View::Places(&self.known[at..at + len]),
            (false, true) => View::Lanes(&values[at * lanes..(at + 1) * lanes]),
            (false, false) => View::Full(&values[at * lanes..(at + len) * lanes]),
        }
    }

    /// Computes all results from the coordinates at the front of `work.values`, and keeps slopes for [`Program::backward`] if asked.
    pub fn forward(&self, work: &mut Workspace, keep_slopes: bool) {
        for step in &self.steps {
            let (before, rest) = work.values.split_at_mut(step.out * self.lanes);
            self.step(step, before, &mut rest[..step.len * self.lanes], keep_slopes.then_some(&mut work.slopes));
        }
    }

    fn step(&self, step: &Step, before: &[f64], out: &mut [f64], slopes: Option<&mut Vec<f64>>) {
        let (lanes, len) = (self.lanes, step.len);
        let places = |at: usize, len: usize| &before[at * lanes..(at + len) * lanes];
        match &step.action {
            Action::Unary(f, x, kept) => {
                let slopes = kept.and_then(|at| slopes.map(|slopes| &mut slopes[at * lanes..(at + len) * lanes]));
                kernels::unary(*f, places(*x, len), out, slopes);
            }
            Action::Binary(f, a, b) => {
                kernels::binary(*f, self.view(*a, len, before), self.view(*b, len, before), out, lanes);
            }
            Action::Select(c, a, b) => {
                let [c, a, b] = [c, a, b].map(|operand| self.view(*operand, len, before));
                let mut spares = [[0.0; MOST_LANES]; 3];
                let [spare_c, spare_a, spare_b] = &mut spares;
                for (place, out) in out.chunks_exact_mut(lanes).enumerate() {
                    let c = c.lanes(place, &mut spare_c[..lanes]);
                    let (a, b) = (a.lanes(place, &mut spare_a[..lanes]), b.lanes(place, &mut spare_b[..lanes]));
                    for (((out, c), a), b) in out.iter_mut().zip(c).zip(a).zip(b) {
                        *out = if *c != 0.0 { *a } else { *b };
                    }
                }
            }
            Action::Gather(x, stretches) => {
                let mut at = 0;
                for &(start, len) in stretches {
                    let len = len as usize;
                    out[at * lanes..(at + len) * lanes].copy_from_slice(places(x + start as usize, len));
                    at += len;
                }
            }
            Action::Stack(parts) => {
                let mut spare = [0.0; MOST_LANES];
                let mut out = out.chunks_exact_mut(lanes);
                for (part, len) in parts {
                    let view = self.view(*part, *len, before);
                    for place in 0..*len {
                        if let Some(out) = out.next() {
                            out.copy_from_slice(view.lanes(place, &mut spare[..lanes]));
                        }
                    }
                }
            }
            Action::Dot(a, b, n) => products::dot(places(*a, *n), places(*b, *n), out),
            Action::Sum(x, [outer, n, inner]) => {
                out.fill(0.0);
                for (o, out) in out.chunks_exact_mut(inner * lanes).enumerate().take(*outer) {
                    kernels::add_stretches(places(x + o * n * inner, n * inner), out);
                }
            }
            Action::LogSumExp(x, [_, n]) => {
                for (o, out) in out.chunks_exact_mut(lanes).enumerate() {
                    log_sum_exp(places(x + o * n, *n), out);
                }
            }
            Action::Extreme(x, [_, n], largest) => {
                for (o, out) in out.chunks_exact_mut(lanes).enumerate() {
                    out.copy_from_slice(places(x + o * n, 1));
                    for j in 1..*n {
                        for (out, x) in out.iter_mut().zip(places(x + o * n + j, 1)) {
                            let f = if *largest { Binary::Max } else { Binary::Min };
                            *out = f.of(*out, *x);
                        }
                    }
                }
            }
            Action::CumulativeSum(x, [outer, n]) => {
                for o in 0..*outer {
                    let mut sums = [0.0; MOST_LANES];
                    for j in o * n..(o + 1) * n {
                        let out = &mut out[j * lanes..(j + 1) * lanes];
                        for ((sum, x), out) in sums.iter_mut().zip(places(x + j, 1)).zip(out) {
                            *sum += x;
                            *out = *sum;
                        }
                    }
                }
            }
            Action::Product { matrix, shape: [rows, columns], vector, .. } => {
                out.fill(0.0);
                let matrix = &self.known[*matrix..matrix + rows * columns];
                products::add_product(matrix, *columns, places(*vector, *columns), out, lanes);
            }
            Action::Solve(l, x, n) => {
                let (l, x) = (self.view(*l, n * n, before), self.view(*x, *n, before));
                let (mut spare_l, mut spare_x) = ([0.0; MOST_LANES], [0.0; MOST_LANES]);
                for i in 0..*n {
                    let (solved, out) = out.split_at_mut(i * lanes);
                    let out = &mut out[..lanes];
                    out.copy_from_slice(x.lanes(i, &mut spare_x[..lanes]));
                    for (j, z) in solved.chunks_exact(lanes).enumerate() {
                        let l = l.lanes(i * n + j, &mut spare_l[..lanes]);
                        out.iter_mut().zip(l).zip(z).for_each(|((out, l), z)| *out -= l * z);
                    }
                    let l = l.lanes(i * n + i, &mut spare_l[..lanes]);
                    out.iter_mut().zip(l).for_each(|(out, l)| *out /= l);
                }
            }
        }
    }

    /// From the results of [`Program::forward`] with slopes kept: fills `work.adjoints` with the derivatives of the root by every result;
    /// those by the coordinates come first.
    pub fn backward(&self, work: &mut Workspace) {
        work.adjoints.fill(0.0);
        if self.root.known {
            return;
        }
        work.adjoints[self.root.at * self.lanes..(self.root.at + 1) * self.lanes].fill(1.0);
        for step in self.steps.iter().rev() {
            let (before, rest) = work.adjoints.split_at_mut(step.out * self.lanes);
            let adjoint = &mut rest[..step.len * self.lanes];
            self.step_back(step, &work.values, &work.slopes, before, adjoint);
        }
    }

    fn step_back(&self, step: &Step, values: &[f64], slopes: &[f64], before: &mut [f64], adjoint: &mut [f64]) {
        let (lanes, len) = (self.lanes, step.len);
        let value = &values[step.out * lanes..(step.out + len) * lanes];
        let range = |at: usize, len: usize| at * lanes..(at + len) * lanes;
        match &step.action {
            Action::Unary(Unary::Not, ..) => {}
            Action::Unary(Unary::Negative, x, _) => kernels::subtract(adjoint, &mut before[range(*x, len)]),
            Action::Unary(_, x, kept) => {
                let slopes = kept.map_or(value, |at| &slopes[range(at, len)]);
                kernels::weighed(adjoint, slopes, &mut before[range(*x, len)]);
            }
            Action::Binary(f, a, b) if !f.is_condition() => {
                let (view_a, view_b) = (self.view(*a, len, values), self.view(*b, len, values));
                for (operand, by_first) in [(a, true), (b, false)] {
                    if operand.known {
                        continue;
                    }
                    let target = &mut before[range(operand.at, if operand.spread { 1 } else { len })];
                    match f {
                        Binary::Add if !operand.spread => kernels::add(adjoint, target),
                        Binary::Subtract if !operand.spread && by_first => kernels::add(adjoint, target),
                        Binary::Subtract if !operand.spread => kernels::subtract(adjoint, target),
                        _ => {
                            let target = Target { adjoints: target, spread: operand.spread };
                            kernels::binary_back(*f, by_first, view_a, view_b, value, adjoint, target, lanes);
                        }
                    }
                }
            }
            Action::Binary(..) => {}
            Action::Select(c, a, b) => {
                let c = self.view(*c, len, values);
                let mut spare = [0.0; MOST_LANES];
                for (operand, when) in [(a, true), (b, false)] {
                    for (place, adjoint) in adjoint.chunks_exact(lanes).enumerate().filter(|_| !operand.known) {
                        let at = operand.at + if operand.spread { 0 } else { place };
                        let c = c.lanes(place, &mut spare[..lanes]);
                        for ((target, adjoint), c) in before[range(at, 1)].iter_mut().zip(adjoint).zip(c) {
                            *target += if (*c != 0.0) == when { *adjoint } else { 0.0 };
                        }
                    }
                }
            }
            Action::Gather(x, stretches) => {
                let mut at = 0;
                for &(start, len) in stretches {
                    let len = len as usize;
                    kernels::add(&adjoint[range(at, len)], &mut before[range(x + start as usize, len)]);
                    at += len;
                }
            }
            Action::Stack(parts) => {
                let mut at = 0;
                for (part, len) in parts {
                    if !part.known {
                        kernels::add(&adjoint[range(at, *len)], &mut before[range(part.at, *len)]);
                    }
                    at += len;
                }
            }
            Action::Dot(a, b, n) => {
                products::weighed_stretches(adjoint, &values[range(*b, *n)], &mut before[range(*a, *n)]);
                products::weighed_stretches(adjoint, &values[range(*a, *n)], &mut before[range(*b, *n)]);
            }
            Action::Sum(x, [outer, n, inner]) => {
                for o in 0..*outer {
                    let target = &mut before[range(x + o * n * inner, n * inner)];
                    kernels::add_to_stretches(&adjoint[range(o * inner, *inner)], target);
                }
            }
            Action::LogSumExp(x, [outer, n]) => {
                for o in 0..*outer {
                    for j in o * n..(o + 1) * n {
                        let (adjoint, value) = (&adjoint[range(o, 1)], &value[range(o, 1)]);
                        kernels::add_share(adjoint, &values[range(x + j, 1)], value, &mut before[range(x + j, 1)]);
                    }
                }
            }
            Action::Extreme(x, [outer, n], _) => {
                for o in 0..*outer {
                    // Of equals, the first one counts.
                    let mut left: [f64; MOST_LANES] = [0.0; MOST_LANES];
                    left[..lanes].copy_from_slice(&adjoint[range(o, 1)]);
                    for j in o * n..(o + 1) * n {
                        let arguments = values[range(x + j, 1)].iter().zip(&value[range(o, 1)]);
                        for ((target, left), (x, value)) in
                            before[range(x + j, 1)].iter_mut().zip(&mut left).zip(arguments)
                        {
                            if x == value {
                                *target += *left;
                                *left = 0.0;
                            }
                        }
                    }
                }
            }
            Action::CumulativeSum(x, [outer, n]) => {
                for o in 0..*outer {
                    let mut sums = [0.0; MOST_LANES];
                    for j in (o * n..(o + 1) * n).rev() {
                        let target = before[range(x + j, 1)].iter_mut();
                        for ((target, sum), adjoint) in target.zip(&mut sums).zip(&adjoint[range(j, 1)]) {
                            *sum += adjoint;
                            *target += *sum;
                        }
                    }
                }
            }
            Action::Product { matrix, shape: [rows, columns], vector, finite: false, .. } => {
                let matrix = &self.known[*matrix..matrix + rows * columns];
                let target = &mut before[range(*vector, *columns)];
                products::add_weighed_transposed(matrix, *columns, adjoint, target, lanes);
            }
            Action::Product { transposed, shape: [rows, columns], vector, .. } => {
                let transposed = &self.known[*transposed..transposed + rows * columns];
                products::add_product(transposed, *rows, adjoint, &mut before[range(*vector, *columns)], lanes);
            }
            Action::Solve(l, x, n) => self.solve_back(*l, *x, *n, value, values, before, adjoint),
        }
    }

    /// With v = L⁻ᵀ z̄: x̄ = v and L̄ = −v zᵀ below and on the diagonal.
    #[allow(clippy::too_many_arguments)]
    fn solve_back(
        &self,
        l: Operand,
        x: Operand,
        n: usize,
        z: &[f64],
        values: &[f64],
        before: &mut [f64],
        adjoint: &mut [f64],
    ) {
        let lanes = self.lanes;
        let view = self.view(l, n * n, values);
        let mut spare = [0.0; MOST_LANES];
        for i in (0..n).rev() {
            let (low, high) = adjoint.split_at_mut((i + 1) * lanes);
            let out = &mut low[i * lanes..];
            for (k, v) in high.chunks_exact(lanes).enumerate().take(n - i - 1) {
                let l = view.lanes((i + 1 + k) * n + i, &mut spare[..lanes]);
                out.iter_mut().zip(l).zip(v).for_each(|((out, l), v)| *out -= weigh(*v, *l));
            }
            let l = view.lanes(i * n + i, &mut spare[..lanes]);
            out.iter_mut().zip(l).for_each(|(out, l)| *out /= l);
        }
        if !x.known {
            kernels::add(&adjoint[..n * lanes], &mut before[x.at * lanes..(x.at + n) * lanes]);
        }
        if !l.known {
            for (i, v) in adjoint.chunks_exact(lanes).enumerate() {
                for (j, z) in z.chunks_exact(lanes).enumerate().take(i + 1) {
                    let at = (l.at + i * n + j) * lanes;
                    let target = before[at..at + lanes].iter_mut();
                    target.zip(v).zip(z).for_each(|((target, v), z)| *target -= weigh(*v, *z));
                }
            }
        }
    }
}

/// ln Σ exp over the places of `x`, lane by lane.
fn log_sum_exp(x: &[f64], out: &mut [f64]) {
    let lanes = out.len();
    let mut most = [f64::NEG_INFINITY; MOST_LANES];
    let most = &mut most[..lanes];
    for x in x.chunks_exact(lanes) {
        most.iter_mut().zip(x).for_each(|(most, x)| *most = if *x > *most || x.is_nan() { *x } else { *most });
    }
    let (mut sums, mut differences, mut exps) = ([0.0; MOST_LANES], [0.0; MOST_LANES], [0.0; MOST_LANES]);
    for x in x.chunks_exact(lanes) {
        kernels::binary(Binary::Subtract, View::Full(x), View::Full(most), &mut differences[..lanes], lanes);
        kernels::unary(Unary::Exp, &differences[..lanes], &mut exps[..lanes], None);
        kernels::add(&exps[..lanes], &mut sums[..lanes]);
    }
    kernels::unary(Unary::Log, &sums[..lanes], &mut exps[..lanes], None);
    for ((out, most), rest) in out.iter_mut().zip(most).zip(exps) {
        // An infinite largest is the result itself.
        *out = if most.is_infinite() { *most } else { *most + rest };
    }
}
