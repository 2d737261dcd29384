//! x(1) of dx/dt = f(x, t), x(0) = x, with a network f: a continuous flow (Chen et al. 2018; Grathwohl et al. 2019).

mod settings;

pub use settings::{Continuous, Steps, TraceBy};

use super::dormand_prince::{add, Stages, Step, ERROR, FIFTH, MIX, PLACES, STAGES, STEPS};
use super::net::{Net, Trace};
use super::probe::{probes, Key};
use super::Formula;

/// The layer with its weights. ln |det ∂x(1)/∂x(0)| = ∫ tr ∂f/∂x dt, exact but for the steps: the trace is that of the whole Jacobian.
///
/// Steps are those of Dormand and Prince (1980), of order 5 with an error estimate of order 4, as long as each row can bear: a row's result
/// does not depend on the others. Gradients are those of the steps taken, with their lengths held fixed (discretise, then optimise). The
/// other direction takes its own steps from 1 to 0, and its Jacobian is the inverse but for the tolerance.
#[derive(Debug)]
pub struct ContinuousLayer {
    net: Net,
    dim: usize,
    tolerance: f64,
    steps: Steps,
    /// Where the trace is an estimate, what its numbers come of.
    key: Option<Key>,
    /// The weights of ∫ ‖f‖² dt and of ∫ ‖∂f/∂x‖² dt.
    penalties: [f64; 2],
}

impl ContinuousLayer {
    /// The probe of each row that starts at `x`, which lasts for all of its way; empty where the trace is exact.
    fn probe(&self, stride: usize, x: &[f64]) -> Vec<f64> {
        self.key.map_or_else(Vec::new, |key| probes(key, x, stride).0)
    }

    /// The directions in which a way through the network is differentiated.
    fn directions(&self) -> usize {
        if self.key.is_some() {
            1
        } else {
            self.dim
        }
    }

    /// f and what the log-det grows by, its divergence less what is held against it, at `x` and the times `t`.
    fn slope(&self, v: &[f64], x: &[f64], t: &[f64], trace: &mut Trace) -> (Vec<f64>, Vec<f64>) {
        let (input, stride, dim) = ([x, t].concat(), t.len(), self.dim);
        if self.key.is_some() {
            self.net.forward_along(stride, &input, v, trace);
        } else {
            self.net.forward(stride, &input, dim, trace);
        }
        let (mut growth, jacobian) = (vec![0.0; stride], trace.jacobian());
        let mut grow = |factor: f64, a: &[f64], b: &[f64]| {
            for (a, b) in a.chunks_exact(stride).zip(b.chunks_exact(stride)) {
                growth.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += factor * a * b);
            }
        };
        if self.key.is_some() {
            grow(1.0, jacobian, v);
        } else {
            let ones = vec![1.0; stride];
            (0..dim).for_each(|i| grow(1.0, &jacobian[(i * dim + i) * stride..][..stride], &ones));
        }
        let [kinetic, of_jacobian] = self.penalties;
        if kinetic > 0.0 {
            grow(-kinetic, trace.out(), trace.out());
        }
        if of_jacobian > 0.0 {
            grow(-of_jacobian, jacobian, jacobian);
        }
        (trace.out().to_vec(), growth)
    }

    /// The gradients at f and at its derivatives, given that at what the log-det grows by; `d_values` is added to.
    fn slope_back(&self, v: &[f64], trace: &Trace, d_growth: &[f64], d_values: &mut [f64]) -> Vec<f64> {
        let (stride, dim, jacobian) = (d_growth.len(), self.dim, trace.jacobian());
        let [kinetic, of_jacobian] = self.penalties;
        let mut d_jacobian = vec![0.0; jacobian.len()];
        if self.key.is_some() {
            add(1.0, d_growth, v, &mut d_jacobian);
        } else {
            (0..dim).for_each(|i| d_jacobian[(i * dim + i) * stride..][..stride].copy_from_slice(d_growth));
        }
        if kinetic > 0.0 {
            add(-2.0 * kinetic, d_growth, trace.out(), d_values);
        }
        if of_jacobian > 0.0 {
            add(-2.0 * of_jacobian, d_growth, jacobian, &mut d_jacobian);
        }
        d_jacobian
    }

    /// The stages of a step; what they make of a first one that is known already.
    fn stages(&self, v: &[f64], step: &Step, first: Option<(Vec<f64>, Vec<f64>)>, stages: &mut Stages) {
        let mut first = first;
        for s in 0..STAGES {
            let mut x = step.x.clone();
            for (j, slopes) in stages.slopes.iter().enumerate().take(s).filter(|(j, _)| MIX[s][*j] != 0.0) {
                add(MIX[s][j], &step.h, slopes, &mut x);
            }
            let t: Vec<f64> = step.t.iter().zip(&step.h).map(|(t, h)| t + PLACES[s] * h).collect();
            let known = if s == 0 { first.take() } else { None };
            let found = known.unwrap_or_else(|| self.slope(v, &x, &t, &mut stages.traces[s]));
            (stages.slopes[s], stages.divergences[s]) = found;
        }
    }

    /// Carries rows from time 0 to 1, or back; adds the log-dets of that way, and calls `each` with every step that was taken.
    fn solve(&self, (v, forward): (&[f64], bool), x: &mut [f64], log_det: &mut [f64], mut each: impl FnMut(Step)) {
        let stride = log_det.len();
        let (end, sign) = if forward { (1.0, 1.0) } else { (0.0, -1.0) };
        let mut t = vec![1.0 - end; stride];
        // Of steps that are all of one length, the last one goes to the end as it is.
        let (most, length) = match self.steps {
            Steps::Adaptive => (STEPS, 0.1),
            Steps::Fixed(steps) => (steps, 1.0 / steps as f64),
        };
        let fixed = self.steps != Steps::Adaptive;
        let mut h = vec![sign * length; stride];
        let mut last = Trace::default();
        let mut first = self.slope(v, x, &t, &mut last);
        let mut stages = Stages::default();
        for count in 1..=most {
            let mut step = Step { x: x.to_vec(), t: t.clone(), h: h.clone() };
            for (h, t) in step.h.iter_mut().zip(&t) {
                let left = end - t;
                if h.abs() >= left.abs() || count == most {
                    *h = left;
                }
            }
            self.stages(v, &step, Some(first.clone()), &mut stages);
            let mut next = step.x.clone();
            let (mut log, mut error) = (vec![0.0; stride], vec![0.0; x.len()]);
            let mut log_error = vec![0.0; stride];
            for s in 0..STAGES {
                add(FIFTH[s], &step.h, &stages.slopes[s], &mut next);
                add(FIFTH[s], &step.h, &stages.divergences[s], &mut log);
                add(ERROR[s], &step.h, &stages.slopes[s], &mut error);
                add(ERROR[s], &step.h, &stages.divergences[s], &mut log_error);
            }
            let after: Vec<f64> = t.iter().zip(&step.h).map(|(t, h)| t + h).collect();
            let then = self.slope(v, &next, &after, &mut last);
            add(ERROR[STAGES], &step.h, &then.0, &mut error);
            add(ERROR[STAGES], &step.h, &then.1, &mut log_error);
            let mut open = false;
            for lane in 0..stride {
                if step.h[lane] == 0.0 {
                    continue;
                }
                let places = || (lane..x.len()).step_by(stride);
                let of_place = |place: usize| error[place].abs() / (1.0 + next[place].abs());
                let off = places().map(of_place).fold(log_error[lane].abs(), f64::max) / self.tolerance;
                // An error that is no number comes of a place that is none: the row goes on as it is, to its end.
                let wrong = off > 1.0 && count < most && !fixed;
                let factor = if off.is_nan() { 5.0 } else { (0.9 * off.powf(-0.2)).clamp(0.2, 5.0) };
                if !fixed {
                    h[lane] = step.h[lane] * factor;
                }
                if wrong {
                    step.h[lane] = 0.0;
                    open = true;
                    continue;
                }
                for place in places() {
                    x[place] = next[place];
                    first.0[place] = then.0[place];
                }
                first.1[lane] = then.1[lane];
                t[lane] = if step.h[lane] == end - t[lane] { end } else { after[lane] };
                log_det[lane] += log[lane];
                open |= t[lane] != end;
            }
            each(step);
            if !open {
                break;
            }
        }
    }

    /// The gradients at the images, and of the log-dets of a way, carried back along its steps to its start.
    fn back(
        &self,
        (v, forward): (&[f64], bool),
        start: &[f64],
        gradient: &mut [f64],
        d_log_det: &[f64],
        mut sums: Option<&mut [f64]>,
    ) {
        let stride = d_log_det.len();
        let (mut steps, mut x) = (Vec::new(), start.to_vec());
        self.solve((v, forward), &mut x, &mut vec![0.0; stride], |step| steps.push(step));
        let (dim, mut stages) = (self.dim, Stages::default());
        for step in steps.into_iter().rev().filter(|step| step.h.iter().any(|&h| h != 0.0)) {
            self.stages(v, &step, None, &mut stages);
            let mut d_slopes: Vec<Vec<f64>> = (0..STAGES)
                .map(|s| {
                    let mut d = vec![0.0; gradient.len()];
                    add(FIFTH[s], &step.h, gradient, &mut d);
                    d
                })
                .collect();
            for s in (0..STAGES).rev() {
                let mut d_growth = vec![0.0; stride];
                add(FIFTH[s], &step.h, d_log_det, &mut d_growth);
                let mut d_values = std::mem::take(&mut d_slopes[s]);
                let d_jacobian = self.slope_back(v, &stages.traces[s], &d_growth, &mut d_values);
                let sums = sums.as_deref_mut();
                let d_x = self.net.backward((stride, self.directions()), &stages.traces[s], d_values, d_jacobian, sums);
                let d_x = &d_x[..dim * stride];
                gradient.iter_mut().zip(d_x).for_each(|(g, d)| *g += d);
                for (j, d_slopes) in d_slopes.iter_mut().enumerate().take(s).filter(|(j, _)| MIX[s][*j] != 0.0) {
                    add(MIX[s][j], &step.h, d_x, d_slopes);
                }
            }
        }
    }
}

impl Formula for ContinuousLayer {
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]) {
        self.solve((&self.probe(stride, x), true), x, log_det, |_| ());
    }

    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]) {
        self.solve((&self.probe(stride, y), false), y, log_det, |_| ());
    }

    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        self.back((&self.probe(stride, x), true), x, gradient, d_log_det, None);
    }

    fn adjoint(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        // log q at the images is log q at the points and the log-det of the way back: so the way back is differentiated.
        let mut y = x.to_vec();
        self.forward(stride, &mut y, &mut vec![0.0; stride]);
        self.back((&self.probe(stride, &y), false), &y, gradient, d_log_det, None);
    }

    fn sums(&self) -> usize {
        self.net.len()
    }

    fn add(&self, stride: usize, x: &[f64], d_y: &[f64], d_log_det: &[f64], sums: &mut [f64]) {
        self.back((&self.probe(stride, x), true), x, &mut d_y.to_vec(), d_log_det, Some(sums));
    }

    fn backward_and_add(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64], sums: &mut [f64]) {
        self.back((&self.probe(stride, x), true), x, gradient, d_log_det, Some(sums));
    }

    fn pull_back(&self, sums: &[f64]) -> Vec<Vec<f64>> {
        self.net.tensors_of(sums)
    }

    fn match_velocities(&self, (stride, rows): (usize, usize), points: &[f64], velocities: &[f64]) -> (f64, Vec<f64>) {
        let (mut trace, mut sums) = (Trace::default(), vec![0.0; self.sums()]);
        self.net.forward(stride, points, 0, &mut trace);
        let (mut loss, mut d_values) = (0.0, vec![0.0; velocities.len()]);
        let units = d_values.chunks_exact_mut(stride).zip(trace.out().chunks_exact(stride));
        for ((d, f), v) in units.zip(velocities.chunks_exact(stride)) {
            for lane in 0..rows {
                let off = f[lane] - v[lane];
                loss += off * off;
                d[lane] = 2.0 * off;
            }
        }
        self.net.backward((stride, 0), &trace, d_values, Vec::new(), Some(&mut sums));
        (loss, sums)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FormulaSettings, Kind};
    use super::*;

    fn random(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| (((i + 3) * (seed + 11) * 7919) % 1000) as f64 / 500.0 - 1.0).collect()
    }

    fn values(of: &Continuous, dim: usize) -> Vec<Vec<f64>> {
        of.tensors(dim).into_iter().enumerate().map(|(t, (_, len))| random(len, t)).collect()
    }

    #[test]
    fn what_is_estimated_and_held_against_it_has_the_slopes_of_central_differences() {
        let dim = 3;
        let plain = Continuous { hidden: vec![6, 5], steps: Steps::Fixed(4), ..Continuous::default() };
        for trace in [TraceBy::Exact, TraceBy::Hutchinson] {
            let of = Continuous { trace, kinetic: 0.2, jacobian: 0.1, ..plain.clone() };
            let (values, x, weights) = (values(&of, dim), random(dim, 7), random(dim, 8));
            // One probe, whatever is moved.
            let v = if trace == TraceBy::Exact { vec![] } else { vec![1.0, -1.0, -1.0] };
            let loss = |values: &[Vec<f64>], x: &[f64]| {
                let (mut y, mut log_det) = (x.to_vec(), [0.0]);
                of.layer(dim, values).solve((&v, true), &mut y, &mut log_det, |_| ());
                y.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>() + 0.3 * log_det[0]
            };
            let layer = of.layer(dim, &values);
            let (mut gradient, mut sums) = (weights.clone(), vec![0.0; layer.sums()]);
            layer.back((&v, true), &x, &mut gradient, &[0.3], Some(&mut sums));
            let near = |name: &str, found: f64, loss: &dyn Fn(f64) -> f64| {
                let right = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                assert!((found - right).abs() < 1e-7 * (1.0 + right.abs()), "{trace:?} {name}: {found} {right}");
            };
            for i in 0..dim {
                near("x", gradient[i], &|step| {
                    let mut x = x.clone();
                    x[i] += step;
                    loss(&values, &x)
                });
            }
            for (t, found) in layer.pull_back(&sums).into_iter().enumerate() {
                for (i, found) in found.into_iter().enumerate() {
                    near("a value", found, &|step| {
                        let mut values = values.clone();
                        values[t][i] += step;
                        loss(&values, &x)
                    });
                }
            }
        }
    }

    #[test]
    fn the_mean_over_all_probes_is_the_exact_trace_and_the_exact_penalty() {
        let dim = 3;
        let of = Continuous { hidden: vec![6], steps: Steps::Fixed(3), jacobian: 0.1, ..Continuous::default() };
        let (values, x) = (values(&of, dim), random(dim, 7));
        let log_det = |of: &Continuous, v: &[f64]| {
            let mut log_det = [0.0];
            of.layer(dim, &values).solve((v, true), &mut x.clone(), &mut log_det, |_| ());
            log_det[0]
        };
        let estimate = Continuous { trace: TraceBy::Hutchinson, ..of.clone() };
        let sign = |probe: usize, i: usize| if probe >> i & 1 == 0 { 1.0 } else { -1.0 };
        let of_probe = |probe| log_det(&estimate, &(0..dim).map(|i| sign(probe, i)).collect::<Vec<f64>>());
        let mean = (0..8).map(of_probe).sum::<f64>() / 8.0;
        let exact = log_det(&of, &[]);
        assert!((mean - exact).abs() < 1e-12 && (of_probe(0) - exact).abs() > 1e-3, "{mean} {exact}");
        let Kind::Continuous(drawn) = of.exact() else { panic!("{of:?} is not itself") };
        assert_ne!(log_det(&drawn, &[]), exact, "nothing is held against what draws go by");
    }
}
