//! x(1) of dx/dt = f(x, t), x(0) = x, with a network f: a continuous flow (Chen et al. 2018; Grathwohl et al. 2019).

use super::net::{Net, Trace};
use super::residual::MOST_EXACT;
use super::Formula;

/// What a continuous layer is.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuous {
    /// The widths of the network's hidden layers.
    pub hidden: Vec<usize>,
    /// The error that one step may make, in parts of 1 + |x|.
    pub tolerance: f64,
}

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
}

/// Steps of one row at most; the last one is as long as what is left.
const STEPS: usize = 2_000;
const STAGES: usize = 6;
/// The places of the stages within a step.
const PLACES: [f64; STAGES] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0];
/// What each stage takes of those before.
const MIX: [[f64; 5]; STAGES] = [
    [0.0; 5],
    [0.2, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0],
    [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0, 0.0],
    [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
];
/// The solution of order 5.
const FIFTH: [f64; STAGES] = [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0];
/// What it differs by from that of order 4, which takes the next step's first stage as well.
const ERROR: [f64; STAGES + 1] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// A step of all lanes: where it starts, and how long it is; 0 of a lane that stays.
struct Step {
    x: Vec<f64>,
    t: Vec<f64>,
    h: Vec<f64>,
}

/// The stages of a step.
#[derive(Default)]
struct Stages {
    traces: [Trace; STAGES],
    slopes: [Vec<f64>; STAGES],
    divergences: [Vec<f64>; STAGES],
}

impl Continuous {
    fn sizes(&self, dim: usize) -> Vec<usize> {
        [dim + 1].into_iter().chain(self.hidden.iter().copied()).chain([dim]).collect()
    }

    /// The names and lengths of the tensors.
    pub fn tensors(&self, dim: usize) -> Vec<(&'static str, usize)> {
        Net::tensors(&self.sizes(dim))
    }

    /// The standard deviations of their values at the start.
    pub fn starts(&self, dim: usize) -> Vec<f64> {
        Net::starts(&self.sizes(dim))
    }

    /// What is wrong with it.
    pub fn fault(&self, dim: usize) -> Option<String> {
        if !(1e-14..=0.1).contains(&self.tolerance) {
            return Some(format!("tolerance is {}; a number from 1e-14 to 0.1 is right", self.tolerance));
        }
        let most =
            format!("a continuous layer takes at most {MOST_EXACT}, since its trace is that of the whole Jacobian");
        Net::fault(&self.hidden).or_else(|| (dim > MOST_EXACT).then(|| format!("the dimension is {dim}; {most}")))
    }

    /// Multiplications for a row, roughly: some ten steps.
    pub fn multiplications(&self, dim: usize) -> usize {
        let weights: usize = self.sizes(dim).windows(2).map(|pair| pair[0] * pair[1]).sum();
        10 * STAGES * weights * (dim + 1)
    }

    /// The layer with these values.
    pub fn layer(&self, dim: usize, tensors: &[Vec<f64>]) -> ContinuousLayer {
        ContinuousLayer { net: Net::new(self.sizes(dim), tensors), dim, tolerance: self.tolerance }
    }
}

impl ContinuousLayer {
    /// f and its divergence at `x` and the times `t`.
    fn slope(&self, stride: usize, x: &[f64], t: &[f64], trace: &mut Trace) -> (Vec<f64>, Vec<f64>) {
        let input = [x, t].concat();
        self.net.forward(stride, &input, self.dim, trace);
        let mut divergence = vec![0.0; stride];
        for i in 0..self.dim {
            let diagonal = &trace.jacobian()[(i * self.dim + i) * stride..][..stride];
            divergence.iter_mut().zip(diagonal).for_each(|(sum, entry)| *sum += entry);
        }
        (trace.out().to_vec(), divergence)
    }

    /// The stages of a step; what they make of a first one that is known already.
    fn stages(&self, stride: usize, step: &Step, first: Option<(Vec<f64>, Vec<f64>)>, stages: &mut Stages) {
        let mut first = first;
        for s in 0..STAGES {
            let mut x = step.x.clone();
            for (j, slopes) in stages.slopes.iter().enumerate().take(s).filter(|(j, _)| MIX[s][*j] != 0.0) {
                add(MIX[s][j], &step.h, slopes, &mut x);
            }
            let t: Vec<f64> = step.t.iter().zip(&step.h).map(|(t, h)| t + PLACES[s] * h).collect();
            let known = if s == 0 { first.take() } else { None };
            let found = known.unwrap_or_else(|| self.slope(stride, &x, &t, &mut stages.traces[s]));
            (stages.slopes[s], stages.divergences[s]) = found;
        }
    }

    /// Carries rows from time 0 to 1, or back; adds the log-dets of that way, and calls `each` with every step that was taken.
    fn solve(&self, (stride, forward): (usize, bool), x: &mut [f64], log_det: &mut [f64], mut each: impl FnMut(Step)) {
        let (end, sign) = if forward { (1.0, 1.0) } else { (0.0, -1.0) };
        let mut t = vec![1.0 - end; stride];
        let mut h = vec![sign * 0.1; stride];
        let mut last = Trace::default();
        let mut first = self.slope(stride, x, &t, &mut last);
        let mut stages = Stages::default();
        for count in 1..=STEPS {
            let mut step = Step { x: x.to_vec(), t: t.clone(), h: h.clone() };
            for (h, t) in step.h.iter_mut().zip(&t) {
                let left = end - t;
                if h.abs() >= left.abs() || count == STEPS {
                    *h = left;
                }
            }
            self.stages(stride, &step, Some(first.clone()), &mut stages);
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
            let then = self.slope(stride, &next, &after, &mut last);
            add(ERROR[STAGES], &step.h, &then.0, &mut error);
            add(ERROR[STAGES], &step.h, &then.1, &mut log_error);
            let mut open = false;
            for lane in 0..stride {
                if step.h[lane] == 0.0 {
                    continue;
                }
                let places = || (lane..x.len()).step_by(stride);
                let of_place = |place: usize| error[place].abs() / (1.0 + next[place].abs());
                let most = places().map(of_place).fold(log_error[lane].abs(), f64::max) / self.tolerance;
                // An error that is no number comes of a place that is none: the row goes on as it is, to its end.
                let wrong = most > 1.0 && count < STEPS;
                let factor = if most.is_nan() { 5.0 } else { (0.9 * most.powf(-0.2)).clamp(0.2, 5.0) };
                h[lane] = step.h[lane] * factor;
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
        (stride, forward): (usize, bool),
        start: &[f64],
        gradient: &mut [f64],
        d_log_det: &[f64],
        mut sums: Option<&mut [f64]>,
    ) {
        let (mut steps, mut x) = (Vec::new(), start.to_vec());
        self.solve((stride, forward), &mut x, &mut vec![0.0; stride], |step| steps.push(step));
        let (dim, mut stages) = (self.dim, Stages::default());
        for step in steps.into_iter().rev().filter(|step| step.h.iter().any(|&h| h != 0.0)) {
            self.stages(stride, &step, None, &mut stages);
            let mut d_slopes: Vec<Vec<f64>> = (0..STAGES)
                .map(|s| {
                    let mut d = vec![0.0; gradient.len()];
                    add(FIFTH[s], &step.h, gradient, &mut d);
                    d
                })
                .collect();
            for s in (0..STAGES).rev() {
                let mut d_jacobian = vec![0.0; dim * dim * stride];
                for i in 0..dim {
                    add(FIFTH[s], &step.h, d_log_det, &mut d_jacobian[(i * dim + i) * stride..][..stride]);
                }
                let d_values = std::mem::take(&mut d_slopes[s]);
                let sums = sums.as_deref_mut();
                let d_x = self.net.backward((stride, dim), &stages.traces[s], d_values, d_jacobian, sums);
                let d_x = &d_x[..dim * stride];
                gradient.iter_mut().zip(d_x).for_each(|(g, d)| *g += d);
                for (j, d_slopes) in d_slopes.iter_mut().enumerate().take(s).filter(|(j, _)| MIX[s][*j] != 0.0) {
                    add(MIX[s][j], &step.h, d_x, d_slopes);
                }
            }
        }
    }
}

/// to += factor · h · from, with the h of each lane.
fn add(factor: f64, h: &[f64], from: &[f64], to: &mut [f64]) {
    for (to, from) in to.chunks_exact_mut(h.len()).zip(from.chunks_exact(h.len())) {
        to.iter_mut().zip(from).zip(h).for_each(|((to, from), h)| *to += factor * h * from);
    }
}

impl Formula for ContinuousLayer {
    fn forward(&self, stride: usize, x: &mut [f64], log_det: &mut [f64]) {
        self.solve((stride, true), x, log_det, |_| ());
    }

    fn inverse(&self, stride: usize, y: &mut [f64], log_det: &mut [f64]) {
        self.solve((stride, false), y, log_det, |_| ());
    }

    fn backward(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        self.back((stride, true), x, gradient, d_log_det, None);
    }

    fn adjoint(&self, stride: usize, x: &[f64], gradient: &mut [f64], d_log_det: &[f64]) {
        // log q at the images is log q at the points and the log-det of the way back: so the way back is differentiated.
        let mut y = x.to_vec();
        self.forward(stride, &mut y, &mut vec![0.0; stride]);
        self.back((stride, false), &y, gradient, d_log_det, None);
    }

    fn sums(&self) -> usize {
        self.net.len()
    }

    fn add(&self, stride: usize, x: &[f64], d_y: &[f64], d_log_det: &[f64], sums: &mut [f64]) {
        self.back((stride, true), x, &mut d_y.to_vec(), d_log_det, Some(sums));
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
