//! The spline transform: laws of the scalar map, its kernels against a plain loop, gradients, and parameters of any size.

mod common;

use common::*;
use flowdistill::experiment::Spec;
use flowdistill::flow::{Flow, FlowConfig, Model, Orientation, Standardisation};
use flowdistill::ops::lanes::LANES;
use flowdistill::ops::real::Real;
use flowdistill::ops::transform::Transform;
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::transformer::{Spline, SplineSettings, Transformer, FLATTEST, NARROWEST, SWING};

const BINS: [usize; 6] = [2, 3, 5, 8, 13, 32];

fn spline(bins: usize, limit: f64) -> Spline {
    Spline { bins, limit, bound: 1000f64.ln() }
}

/// `len` normals, times `scale`.
fn normals(len: usize, scale: f64, name: &str) -> Vec<f64> {
    normal_rows(len, 1, name).into_iter().map(|z| scale * z).collect()
}

/// Sorted knots and their images, and the slopes there, by the definition.
struct Plain {
    xs: Vec<f64>,
    ys: Vec<f64>,
    slopes: Vec<f64>,
    scale: f64,
    shift: f64,
}

impl Plain {
    fn new(spline: &Spline, theta: &[f64]) -> Self {
        let (k, limit) = (spline.bins, spline.limit);
        let softmax = |logits: &[f64]| -> Vec<f64> {
            let most = logits.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = logits.iter().map(|l| (l - most).exp()).sum();
            logits.iter().map(|l| (l - most).exp() / total).collect()
        };
        let (mut xs, mut ys) = (vec![-limit], vec![-limit]);
        for (p, q) in softmax(&theta[..k]).into_iter().zip(softmax(&theta[k..2 * k])) {
            let width = 2.0 * limit * (NARROWEST + (1.0 - NARROWEST * k as f64) * p);
            xs.push(xs[xs.len() - 1] + width);
            ys.push(ys[ys.len() - 1] + FLATTEST * width + 2.0 * limit * (1.0 - FLATTEST) * q);
        }
        let steep = |j: usize| (ys[j + 1] - ys[j]) / (xs[j + 1] - xs[j]);
        let soft = |bound: f64, raw: f64| bound * (raw / bound).tanh();
        let inner = (1..k).map(|j| {
            let mean = 2.0 / (1.0 / steep(j - 1) + 1.0 / steep(j));
            mean * soft(SWING.ln(), theta[2 * k + j - 1]).exp()
        });
        let slopes = std::iter::once(1.0).chain(inner).chain([1.0]).collect();
        Self { xs, ys, slopes, scale: soft(spline.bound, theta[3 * k - 1]), shift: theta[3 * k] }
    }

    /// y and log dy/dx.
    fn at(&self, x: f64) -> (f64, f64) {
        let bins = self.xs.len() - 1;
        let (mut z, mut slope) = (x, 1.0);
        if (self.xs[0]..self.xs[bins]).contains(&x) {
            let j = (0..bins).rfind(|&j| x >= self.xs[j]).expect("a bin");
            let (w, h) = (self.xs[j + 1] - self.xs[j], self.ys[j + 1] - self.ys[j]);
            let (s, t, d0, d1) = (h / w, (x - self.xs[j]) / w, self.slopes[j], self.slopes[j + 1]);
            let denominator = s + (d1 + d0 - 2.0 * s) * t * (1.0 - t);
            z = self.ys[j] + h * (s * t * t + d0 * t * (1.0 - t)) / denominator;
            slope = s * s * (d1 * t * t + 2.0 * s * t * (1.0 - t) + d0 * (1.0 - t).powi(2)) / denominator.powi(2);
        }
        (z * self.scale.exp() + self.shift, slope.ln() + self.scale)
    }
}

/// Points and parameters for `variables` × `stride` lanes, unit-major.
struct Case {
    spline: Spline,
    stride: usize,
    x: Vec<f64>,
    theta: Vec<f64>,
}

impl Case {
    /// Rounded to single precision, so that both precisions see the same numbers.
    fn new(spline: Spline, variables: usize, stride: usize, spread: f64, size: f64) -> Self {
        let round = |values: Vec<f64>| values.into_iter().map(|v| f64::from(v as f32)).collect::<Vec<_>>();
        let x = round(normals(variables * stride, spread, "x"));
        let theta = round(normals(variables * stride * spline.per_variable(), size, "theta"));
        Self { spline, stride, x, theta }
    }

    /// Parameters of one lane.
    fn theta_of(&self, cell: usize) -> Vec<f64> {
        let (variable, lane, count) = (cell / self.stride, cell % self.stride, self.spline.per_variable());
        (0..count).map(|slot| self.theta[(variable * count + slot) * self.stride + lane]).collect()
    }

    /// Sets one parameter of every lane.
    fn set(&mut self, slot: usize, value: impl Fn(usize) -> f64) {
        let count = self.spline.per_variable();
        for cell in 0..self.x.len() {
            let (variable, lane) = (cell / self.stride, cell % self.stride);
            self.theta[(variable * count + slot) * self.stride + lane] = value(cell);
        }
    }

    fn forward<E: Real>(&self) -> (Vec<f64>, Vec<f64>, Vec<E>) {
        let (mut y, theta) = (narrow::<E>(&self.x), narrow::<E>(&self.theta));
        let mut log_det = vec![0.0; self.stride];
        let mut kept = vec![E::ZERO; self.spline.kept() * y.len()];
        self.spline.forward_lanes(self.stride, &mut y, &theta, &mut log_det, Some(&mut kept));
        (widen(y), log_det, kept)
    }

    fn inverse<E: Real>(&self, y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut x, mut log_det) = (narrow::<E>(y), vec![0.0; self.stride]);
        self.spline.inverse_lanes(self.stride, &mut x, &narrow::<E>(&self.theta), &mut log_det);
        (widen(x), log_det)
    }

    /// Gradients of Σ d_y · y + Σ d_log_det · log-det by the point (or, with `adjoint`, `d` is that and the result d_y), and by θ.
    fn gradients<E: Real>(&self, d: &[f64], d_log_det: &[f64], adjoint: bool) -> (Vec<f64>, Vec<f64>) {
        let kept = self.forward::<E>().2;
        let (x, mut d, d_log_det) = (narrow::<E>(&self.x), narrow::<E>(d), narrow::<E>(d_log_det));
        let mut d_theta = vec![E::of(f64::NAN); self.theta.len()];
        if adjoint {
            self.spline.adjoint_lanes(self.stride, &x, &kept, &mut d, &d_log_det, &mut d_theta);
        } else {
            self.spline.backward_lanes(self.stride, &x, &kept, &mut d, &d_log_det, &mut d_theta);
        }
        (widen(d), widen(d_theta))
    }
}

fn narrow<E: Real>(values: &[f64]) -> Vec<E> {
    values.iter().map(|&value| E::of(value)).collect()
}

fn cases(size: f64) -> impl Iterator<Item = Case> {
    BINS.into_iter().flat_map(move |bins| {
        [(1, LANES), (3, 3 * LANES), (7, 5 * LANES)].map(|(variables, stride)| {
            Case::new(spline(bins, if bins % 2 == 0 { 4.0 } else { 2.5 }), variables, stride, 2.0, size)
        })
    })
}

#[test]
fn kernels_follow_a_plain_loop() {
    for size in [0.3, 1.5, 10.0] {
        for case in cases(size) {
            let mut log_det = vec![0.0; case.stride];
            let mut exact = Vec::new();
            for (cell, &x) in case.x.iter().enumerate() {
                let (y, log_slope) = Plain::new(&case.spline, &case.theta_of(cell)).at(x);
                exact.push(y);
                log_det[cell % case.stride] += log_slope;
            }
            let (y, sums, _) = case.forward::<f64>();
            assert!(disagreement(y, exact.clone()) < 1e-11, "{:?}, size {size}", case.spline);
            assert!(disagreement(sums, log_det.clone()) < 1e-10, "{:?}, size {size}", case.spline);
            let (y, sums, _) = case.forward::<f32>();
            assert!(disagreement(y, exact) < 1e-4, "{:?}, size {size}", case.spline);
            assert!(disagreement(sums, log_det) < 2e-4, "{:?}, size {size}", case.spline);
        }
    }
}

#[test]
fn zeros_give_the_identity() {
    for bins in BINS {
        let mut case = Case::new(spline(bins, 4.0), 3, 2 * LANES, 3.0, 0.0);
        case.theta.fill(0.0);
        let (y, log_det, _) = case.forward::<f64>();
        assert!(disagreement(y, case.x.clone()) < 1e-14);
        assert!(log_det.iter().all(|sum| sum.abs() < 1e-13));
        let (y, log_det, _) = case.forward::<f32>();
        assert!(disagreement(y, case.x.clone()) < 5e-7);
        assert!(log_det.iter().all(|sum| sum.abs() < 3e-6));
    }
}

#[test]
fn a_flow_starts_as_its_base() {
    let config = FlowConfig {
        hidden: vec![128, 128],
        transformer: Transformer::Spline(SplineSettings { bins: 8, limit: 4.0, max_scale: 1000.0 }),
        ..FlowConfig::default()
    };
    let flow: Flow<f32, dfdx::prelude::Cpu> =
        Flow::new(&Default::default(), 32, &config, Orientation::Sampling, &Seed(1).stream("init")).expect("a flow");
    let noise = normal_rows(1000, 32, "noise");
    let (mut points, mut log_prob) = (vec![0.0; noise.len()], vec![0.0; 1000]);
    flow.freeze::<f64>().push(&noise, &mut points, &mut log_prob);
    assert!(points.iter().zip(&noise).all(|(x, z)| (x - z).abs() < 0.05));
    let base = |z: &[f64]| z.iter().map(|z| -0.5 * (z * z + std::f64::consts::TAU.ln())).sum::<f64>();
    assert!(log_prob.iter().zip(noise.chunks(32)).all(|(l, z)| (l - base(z)).abs() < 0.2));
}

/// The kernel along a line of points at the parameters of one lane.
fn along(spline: Spline, theta: &[f64], x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    // One variable, so that the log-dets are the log slopes.
    let stride = x.len().next_multiple_of(LANES);
    let mut case = Case { spline, stride, x: x.to_vec(), theta: vec![0.0; theta.len() * stride] };
    case.x.resize(stride, 0.0);
    theta.iter().enumerate().for_each(|(slot, &value)| case.set(slot, |_| value));
    let (mut y, mut log_slope, _) = case.forward::<f64>();
    y.truncate(x.len());
    log_slope.truncate(x.len());
    (y, log_slope)
}

#[test]
fn the_curve_rises_is_smooth_at_its_knots_and_straight_outside() {
    for bins in BINS {
        for size in [1.0, 50.0] {
            let spline = spline(bins, 3.0);
            let mut theta = normals(spline.per_variable(), size, "theta");
            theta[3 * bins - 1] = 0.3;
            let grid: Vec<f64> = (0..=4000).map(|i| f64::from(i) * 0.002 - 4.0).collect();
            let (y, log_slope) = along(spline, &theta, &grid);
            assert!(y.windows(2).all(|pair| pair[0] < pair[1]), "{bins} bins, size {size}");
            // g' > 1/200 everywhere.
            let affine = Plain::new(&spline, &theta);
            assert!(log_slope.iter().all(|l| l - affine.scale > -(200f64.ln())), "{bins} bins, size {size}");
            for (x, (y, l)) in grid.iter().zip(y.iter().zip(&log_slope)).filter(|(x, _)| x.abs() > 3.0) {
                let line = x * affine.scale.exp() + affine.shift;
                assert!((y - line).abs() < 1e-12 * (1.0 + line.abs()) && (l - affine.scale).abs() < 1e-12);
            }
            for knot in affine.xs {
                let (y, l) = along(spline, &theta, &[knot - 1e-9, knot, knot + 1e-9]);
                assert!(disagreement([y[0], y[2]], [y[1]; 2]) < 1e-6, "{bins} bins, size {size}: at {knot}");
                assert!(disagreement([l[0], l[2]], [l[1]; 2]) < 1e-4, "{bins} bins, size {size}: at {knot}");
            }
        }
    }
}

/// Raw parameters of ±50 in every mixture of signs, gentle ones, and points up to ±10 that crowd where the curve bends.
fn extremes(bins: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (round, size) in [0.5, 3.0, 50.0, 50.0].into_iter().enumerate() {
        let mut case = Case::new(spline(bins, 4.0), 3, 64 * LANES, 1.0, 1.0);
        case.theta = normals(case.theta.len(), 1.0, &format!("extreme {round}"));
        // Signs alone in the third round.
        case.theta.iter_mut().for_each(|raw| *raw = if round == 2 { size * raw.signum() } else { size * *raw });
        case.theta.iter_mut().for_each(|raw| *raw = f64::from(raw.clamp(-50.0, 50.0) as f32));
        let points = case.x.len() as f64;
        case.x = (0..case.x.len()).map(|i| i as f64 / points * 2.0 - 1.0).map(|u| 10.0 * u * u.abs()).collect();
        case.x.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        cases.push(case);
    }
    cases
}

#[test]
fn the_inverse_is_exact_for_any_parameters() {
    let mut worst = 0f64;
    for bins in BINS {
        for mut case in extremes(bins) {
            // A shift that dwarfs eˢ would round the point away before any inverse could find it; see the next test for that.
            case.set(3 * bins, |_| 0.0);
            for (single, bound) in [(true, 1e-4), (false, 1e-9)] {
                let y = if single { case.forward::<f32>().0 } else { case.forward::<f64>().0 };
                let (x, down) = if single { case.inverse::<f32>(&y) } else { case.inverse::<f64>(&y) };
                for (x, back) in case.x.iter().zip(&x) {
                    assert!((x - back).abs() <= bound, "{bins} bins: {x} came back as {back}, single: {single}");
                    if single {
                        worst = worst.max((x - back).abs());
                    }
                }
                let up = if single { case.forward::<f32>().1 } else { case.forward::<f64>().1 };
                let sum = up.iter().zip(&down).map(|(up, down)| (up + down).abs()).fold(0.0, f64::max);
                assert!(sum < if single { 2e-2 } else { 1e-7 }, "{bins} bins: log-dets differ by {sum}");
            }
        }
    }
    println!("worst error of the inverse in single precision: {worst:e}");
}

#[test]
fn preimages_have_the_images_that_were_asked_for() {
    for bins in BINS {
        for case in extremes(bins) {
            let y: Vec<f64> = case.x.iter().map(|x| f64::from((7.0 * x) as f32)).collect();
            let (x, _) = case.inverse::<f32>(&y);
            assert!(x.iter().all(|x| x.is_finite()));
            for (cell, (x, y)) in x.into_iter().zip(y).enumerate() {
                let plain = Plain::new(&case.spline, &case.theta_of(cell));
                let (image, log_slope) = plain.at(x);
                // A few units in the last place of what is added up, and of x itself.
                let unit = f64::from(f32::EPSILON) * 20.0;
                let room =
                    unit * (y.abs() + plain.shift.abs() + (1.0 + x.abs()) * (log_slope.exp() + plain.scale.exp()));
                assert!((image - y).abs() <= room, "{bins} bins: {y} became {image}, room {room:e}");
            }
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    for (bins, variables) in [(2, 3), (5, 1), (8, 3)] {
        for size in [0.3, 2.0] {
            let case = Case::new(spline(bins, 2.5), variables, LANES, 2.0, size);
            let (d_y, d_log_det) = (normals(case.x.len(), 1.0, "d_y"), normals(case.stride, 1.0, "d_log_det"));
            let (d_x, d_theta) = case.gradients::<f64>(&d_y, &d_log_det, false);
            let losses = |case: &Case| -> Vec<f64> {
                // By lane, so that one parameter of every lane can be moved at once.
                let (y, log_det, _) = case.forward::<f64>();
                let mut losses: Vec<f64> = log_det.iter().zip(&d_log_det).map(|(l, d)| l * d).collect();
                y.iter().zip(&d_y).enumerate().for_each(|(cell, (y, d))| losses[cell % case.stride] += y * d);
                losses
            };
            let differences = |shift: &dyn Fn(&mut Case, f64)| -> Vec<f64> {
                let at = |by: f64| {
                    let mut moved = Case { x: case.x.clone(), theta: case.theta.clone(), ..case };
                    shift(&mut moved, by);
                    losses(&moved)
                };
                at(1e-6).iter().zip(at(-1e-6)).map(|(up, down)| (up - down) / 2e-6).collect()
            };
            for variable in 0..variables {
                let lanes = variable * case.stride..(variable + 1) * case.stride;
                let exact = differences(&|case, by| case.x[lanes.clone()].iter_mut().for_each(|x| *x += by));
                assert!(disagreement(d_x[lanes].to_vec(), exact) < 1e-6, "{bins} bins, size {size}: points");
                for slot in 0..case.spline.per_variable() {
                    let start = (variable * case.spline.per_variable() + slot) * case.stride;
                    let lanes = start..start + case.stride;
                    let exact = differences(&|case, by| case.theta[lanes.clone()].iter_mut().for_each(|x| *x += by));
                    let message = format!("{bins} bins, size {size}: parameter {slot}");
                    assert!(disagreement(d_theta[lanes].to_vec(), exact) < 1e-6, "{message}");
                }
            }
        }
    }
}

#[test]
fn gradients_in_single_precision_follow() {
    for case in cases(1.0) {
        let (d_y, d_log_det) = (normals(case.x.len(), 1.0, "d_y"), normals(case.stride, 1.0, "d_log_det"));
        let (d_x, d_theta) = case.gradients::<f64>(&d_y, &d_log_det, false);
        let (single_x, single_theta) = case.gradients::<f32>(&d_y, &d_log_det, false);
        assert!(disagreement(single_x, d_x) < 1e-3, "{:?}", case.spline);
        assert!(disagreement(single_theta, d_theta) < 1e-3, "{:?}", case.spline);
    }
}

#[test]
fn the_adjoint_pass_solves_the_backward_pass() {
    for size in [0.3, 2.0, 50.0] {
        for case in cases(size) {
            let (d_y, d_log_det) = (normals(case.x.len(), 1.0, "d_y"), normals(case.stride, 1.0, "d_log_det"));
            let (d_x, d_theta) = case.gradients::<f64>(&d_y, &d_log_det, false);
            let (found, theta) = case.gradients::<f64>(&d_x, &d_log_det, true);
            assert!(disagreement(found, d_y) < 1e-6, "{:?}, size {size}", case.spline);
            assert!(disagreement(theta, d_theta) < 1e-6, "{:?}, size {size}", case.spline);
        }
    }
}

#[test]
fn a_lane_does_not_depend_on_the_others() {
    let case = Case::new(spline(8, 4.0), 3, 4 * LANES, 2.0, 1.0);
    let (y, log_det, _) = case.forward::<f32>();
    let mut few = Case::new(case.spline, 3, LANES, 2.0, 1.0);
    // The second group of lanes alone.
    let take = |from: &[f64]| -> Vec<f64> {
        from.chunks_exact(4 * LANES).flat_map(|lanes| lanes[LANES..2 * LANES].to_vec()).collect()
    };
    (few.x, few.theta) = (take(&case.x), take(&case.theta));
    let (few_y, few_log_det, _) = few.forward::<f32>();
    assert_eq!(few_y, take(&y));
    assert_eq!(few_log_det, take(&log_det));
}

#[test]
fn what_is_not_a_number_stays_so() {
    let mut case = Case::new(spline(8, 4.0), 1, LANES, 1.0, 1.0);
    case.x[3] = f64::NAN;
    case.theta[5] = f64::NAN;
    for (values, log_det) in [(case.forward::<f32>().0, case.forward::<f32>().1), case.inverse::<f32>(&case.x)] {
        assert!(values[3].is_nan() && (values[5].is_nan() || log_det[5].is_nan()));
        assert!(values.iter().enumerate().all(|(lane, value)| value.is_finite() || lane == 3 || lane == 5));
    }
}

#[test]
fn experiments_and_model_files_carry_it() {
    let spec =
        Spec::parse("(name: \"x\", stages: [], teacher: (transformer: Spline(bins: 5)))").expect("an experiment");
    let config = FlowConfig { layers: 2.into(), ..spec.teacher.expect("a teacher") };
    assert_eq!(config.transformer, Transformer::Spline(SplineSettings { bins: 5, limit: 4.0, max_scale: 1000.0 }));
    let model = Model {
        flow: random_flow::<f32>(3, &config, Orientation::Sampling),
        standardisation: Standardisation::identity(3),
        names: ["a", "b", "c"].map(String::from).to_vec(),
        columns: Default::default(),
        constraint: flowdistill::target::Constraint::default(),
        held_out: Vec::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    model.save(&path).expect("saved");
    let loaded = Model::load(&path).expect("loaded");
    assert_eq!(loaded.flow.snapshot(), model.flow.snapshot());
    assert_eq!(loaded.flow.config(), &config);
}

#[test]
fn constants_out_of_range_are_named() {
    let fault = |bins, limit, max_scale| Transformer::Spline(SplineSettings { bins, limit, max_scale }).fault();
    assert_eq!(fault(8, 4.0, 1000.0), None);
    for (transformer, name) in [
        (fault(1, 4.0, 10.0), "bins is 1"),
        (fault(33, 4.0, 10.0), "bins is 33"),
        (fault(8, 0.0, 10.0), "limit is 0"),
        (fault(8, f64::NAN, 10.0), "limit is NaN"),
        (fault(8, f64::INFINITY, 10.0), "limit is inf"),
        (fault(8, 4.0, 1.0), "max_scale is 1"),
    ] {
        assert!(transformer.expect("a fault").starts_with(name), "{name}");
    }
}
