//! The built-in targets against central differences, quadrature, closed forms and their own exact draws.

use flowdistill::seed::Seed;
use flowdistill::target::{Banana, Density, EightSchools, Faults, Funnel, Gaussian, TwoMoons};
use std::f64::consts::{PI, TAU};

fn targets() -> Vec<(&'static str, Box<dyn Density>)> {
    vec![
        ("banana", Box::new(Banana)),
        ("two moons", Box::new(TwoMoons)),
        ("funnel", Box::new(Funnel::new(10).expect("a funnel"))),
        ("funnel of odd dimension", Box::new(Funnel::new(3).expect("a funnel"))),
        ("eight schools", Box::new(EightSchools)),
        ("gaussian", Box::new(Gaussian::conditioned(20, 1000.0, 1).expect("a gaussian"))),
        ("gaussian in one dimension", Box::new(Gaussian::conditioned(1, 10.0, 1).expect("a gaussian"))),
        ("normal", Box::new(Gaussian::new(vec![1.0, -2.0], vec![2.0, 0.5, 0.5, 1.0]).expect("a gaussian"))),
    ]
}

fn value(target: &dyn Density, point: &[f64]) -> f64 {
    let mut values = [0.0];
    target.evaluate(point, &mut values, None, &mut Faults::default()).expect("not fatal");
    values[0]
}

#[test]
fn gradients_are_central_differences() {
    for (name, target) in targets() {
        let (dim, rows) = (target.dim(), 1000);
        let mut points = vec![0.0; rows * dim];
        Seed(1).stream(name).normals(0, dim, &mut points);
        points.iter_mut().for_each(|x| *x *= 1.5);
        let (mut values, mut gradients) = (vec![0.0; rows], vec![0.0; rows * dim]);
        target.evaluate(&points, &mut values, Some(&mut gradients), &mut Faults::default()).expect("not fatal");
        for (point, gradient) in points.chunks_exact(dim).zip(gradients.chunks_exact(dim)) {
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            for i in 0..dim {
                let step = 1e-5;
                let at = |shift: f64| {
                    let mut moved = point.to_vec();
                    moved[i] += shift;
                    value(target.as_ref(), &moved)
                };
                // Five points, so that what is left of the step is below rounding.
                let difference = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
                // Relative to the whole gradient, as rounding in the value is shared by all coordinates.
                assert!((difference - gradient[i]).abs() <= 1e-6 * (1.0 + norm), "{name} at {point:?}, coordinate {i}");
            }
        }
    }
}

#[test]
fn values_do_not_depend_on_whether_gradients_are_asked_for() {
    for (name, target) in targets() {
        let dim = target.dim();
        let mut points = vec![0.0; 7 * dim];
        Seed(2).stream(name).normals(0, dim, &mut points);
        let (mut values, mut gradients) = (vec![0.0; 7], vec![0.0; 7 * dim]);
        target.evaluate(&points, &mut values, Some(&mut gradients), &mut Faults::default()).expect("not fatal");
        for (point, expected) in points.chunks_exact(dim).zip(values) {
            assert_eq!(value(target.as_ref(), point), expected, "{name}");
        }
    }
}

/// log ∫ γ over a rectangle by the midpoint rule.
fn quadrature(target: &dyn Density, (x0, x1): (f64, f64), (y0, y1): (f64, f64), n: usize) -> f64 {
    let (dx, dy) = ((x1 - x0) / n as f64, (y1 - y0) / n as f64);
    let mut total = 0.0;
    for i in 0..n {
        let x = x0 + (i as f64 + 0.5) * dx;
        let column: Vec<f64> = (0..n).flat_map(|j| [x, y0 + (j as f64 + 0.5) * dy]).collect();
        let mut values = vec![0.0; n];
        target.evaluate(&column, &mut values, None, &mut Faults::default()).expect("not fatal");
        total += values.iter().map(|v| v.exp()).sum::<f64>();
    }
    (total * dx * dy).ln()
}

#[test]
fn normalisers_are_those_of_quadrature() {
    let banana = quadrature(&Banana, (-80.0, 80.0), (-200.0, 12.0), 3000);
    assert!((banana - Banana.log_normalizer().expect("known")).abs() < 1e-6, "{banana}");
    let moons = quadrature(&TwoMoons, (-4.0, 4.0), (-4.0, 4.0), 2000);
    assert!((moons - TwoMoons.log_normalizer().expect("known")).abs() < 1e-8, "{moons}");
    // TARGETS of the literature give five digits of it.
    assert!((moons - 0.80421).abs() < 1e-5);
    let normal = Gaussian::new(vec![1.0, -2.0], vec![2.0, 0.5, 0.5, 1.0]).expect("a gaussian");
    assert!(quadrature(&normal, (-14.0, 16.0), (-13.0, 9.0), 1500).abs() < 1e-8);
}

#[test]
fn the_evidence_of_eight_schools_is_that_of_quadrature() {
    // Given τ, y is normal with independent errors of variance σᵢ² + τ² about a common μ ~ N(0, 5²), which integrates out.
    let effects = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
    let errors = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
    let log_integrand = |u: f64| {
        let tau: f64 = f64::exp(u);
        let (mut precision, mut weighted, mut log) = (1.0 / 25.0, 0.0, 0.0);
        for (y, s) in effects.iter().zip(errors) {
            let variance: f64 = s * s + tau * tau;
            log -= 0.5 * (TAU * variance).ln() + 0.5 * y * y / variance;
            precision += 1.0 / variance;
            weighted += y / variance;
        }
        log + 0.5 * weighted * weighted / precision - 0.5 * (25.0 * precision).ln() + (2.0 / (PI * 5.0)).ln()
            - (tau / 5.0).powi(2).ln_1p()
            + u
    };
    let (n, low, high) = (20_000, -40.0, 40.0);
    let step = (high - low) / f64::from(n);
    let total: f64 = (0..n).map(|i| log_integrand(low + (f64::from(i) + 0.5) * step).exp()).sum();
    let evidence = (total * step).ln();
    assert!((evidence - EightSchools.log_normalizer().expect("known")).abs() < 1e-7, "{evidence}");
    assert!((evidence + 31.31135).abs() < 1e-5);
}

#[test]
fn densities_in_many_dimensions_have_their_closed_form() {
    let normal = |x: f64, variance: f64| -0.5 * (TAU * variance).ln() - 0.5 * x * x / variance;
    let funnel = Funnel::new(5).expect("a funnel");
    let x = [1.3, 0.4, -2.0, 0.0, 1.1];
    let expected = normal(x[0], 9.0) + x[1..].iter().map(|x| normal(*x, 1.3f64.exp())).sum::<f64>();
    assert!((value(&funnel, &x) - expected).abs() < 1e-12);

    // The eigenvalues of the conditioned Gaussian multiply to one, so its density at the mean is that of N(0, I).
    let gaussian = Gaussian::conditioned(20, 1000.0, 1).expect("a gaussian");
    assert!((value(&gaussian, &[0.0; 20]) + 10.0 * TAU.ln()).abs() < 1e-10);
}

const DRAWS: usize = 20_000;

fn exact_draws(target: &dyn Density) -> Vec<f64> {
    let sampler = target.sampler().expect("an exact sampler");
    let stream = Seed(11).stream("draws");
    let mut draws = vec![0.0; DRAWS * target.dim()];
    for (row, point) in draws.chunks_exact_mut(target.dim()).enumerate() {
        sampler.draw(&mut stream.row(row as u64), point);
    }
    draws
}

/// The Kolmogorov–Smirnov statistic times √n; above 2.2 with probability 10⁻⁴ if `cdf` is right.
fn kolmogorov(values: impl Iterator<Item = f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let gaps = sorted.iter().enumerate().map(|(i, &x)| {
        let p = cdf(x);
        (p - i as f64 / n).abs().max(((i + 1) as f64 / n - p).abs())
    });
    gaps.fold(0.0, f64::max) * n.sqrt()
}

const KS_BOUND: f64 = 2.2;

fn normal_cdf(z: f64) -> f64 {
    // Simpson's rule from 0, precise enough against the bound of the test.
    let n = 200;
    let step = z / f64::from(n);
    let density = |x: f64| (-0.5 * x * x).exp() / TAU.sqrt();
    let inner: f64 = (1..n).map(|i| density(f64::from(i) * step) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    0.5 + step / 3.0 * (density(0.0) + inner + density(z))
}

/// Mean 0 and variance 1 within five standard errors, and the whole distribution.
fn assert_standard_normal(name: &str, values: Vec<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| v * v).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 / n.sqrt(), "{name}: mean {mean}");
    assert!((variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{name}: variance {variance}");
    let statistic = kolmogorov(values.into_iter(), normal_cdf);
    assert!(statistic < KS_BOUND, "{name}: Kolmogorov-Smirnov {statistic}");
}

#[test]
fn exact_draws_have_the_distribution_of_their_target() {
    let banana = exact_draws(&Banana);
    assert_standard_normal("banana, x1", banana.chunks(2).map(|x| x[0] / 10.0).collect());
    assert_standard_normal("banana, x2", banana.chunks(2).map(|x| x[1] + 0.03 * x[0] * x[0] - 3.0).collect());

    let funnel = exact_draws(&Funnel::new(5).expect("a funnel"));
    assert_standard_normal("funnel, v", funnel.chunks(5).map(|x| x[0] / 3.0).collect());
    for i in 1..5 {
        let name = format!("funnel, x{i}");
        assert_standard_normal(&name, funnel.chunks(5).map(|x| x[i] * (-0.5 * x[0]).exp()).collect());
    }

    let normal = exact_draws(&Gaussian::new(vec![1.0, -2.0], vec![2.0, 0.5, 0.5, 1.0]).expect("a gaussian"));
    assert_standard_normal("normal, x1", normal.chunks(2).map(|x| (x[0] - 1.0) / 2f64.sqrt()).collect());
    let given = |x: &[f64]| (x[1] + 2.0 - 0.25 * (x[0] - 1.0)) / (1.0 - 0.125f64).sqrt();
    assert_standard_normal("normal, x2 given x1", normal.chunks(2).map(given).collect());

    let moons = exact_draws(&TwoMoons);
    let right = moons.chunks(2).filter(|x| x[0] > 0.0).count() as f64 / DRAWS as f64;
    assert!((right - 0.5).abs() < 5.0 * 0.5 / (DRAWS as f64).sqrt(), "a moon is missing: {right}");
    for (axis, name) in ["two moons, x1", "two moons, x2"].into_iter().enumerate() {
        let cdf = marginal_cdf(&TwoMoons, axis);
        let statistic = kolmogorov(moons.chunks(2).map(|x| x[axis]), cdf);
        assert!(statistic < KS_BOUND, "{name}: Kolmogorov-Smirnov {statistic}");
    }
}

/// The distribution function of one coordinate on (−4, 4), by quadrature.
fn marginal_cdf(target: &dyn Density, axis: usize) -> impl Fn(f64) -> f64 {
    let n = 1600;
    let step = 8.0 / n as f64;
    let centre = |i: usize| -4.0 + (i as f64 + 0.5) * step;
    let mut cumulative = vec![0.0];
    for i in 0..n {
        let points: Vec<f64> =
            (0..n).flat_map(|j| if axis == 0 { [centre(i), centre(j)] } else { [centre(j), centre(i)] }).collect();
        let mut values = vec![0.0; n];
        target.evaluate(&points, &mut values, None, &mut Faults::default()).expect("not fatal");
        cumulative.push(cumulative[i] + values.iter().map(|v| v.exp()).sum::<f64>());
    }
    let total = cumulative[n];
    move |x| {
        let place = ((x + 4.0) / step).clamp(0.0, n as f64 - 1e-9);
        let i = place as usize;
        (cumulative[i] + (place - i as f64) * (cumulative[i + 1] - cumulative[i])) / total
    }
}

#[test]
fn points_without_a_value_are_faults_and_far_points_have_no_nan() {
    for (name, target) in targets() {
        let dim = target.dim();
        let mut points = vec![0.1; 3 * dim];
        points[dim] = f64::NAN;
        points[2 * dim] = f64::INFINITY;
        let (mut values, mut gradients) = (vec![0.0; 3], vec![1.0; 3 * dim]);
        let mut faults = Faults::default();
        target.evaluate(&points, &mut values, Some(&mut gradients), &mut faults).expect("not fatal");
        assert_eq!(faults.rows(), [1, 2], "{name}");
        assert!(values[0].is_finite() && gradients.iter().all(|g| g.is_finite()), "{name}");

        for far in [1e3, -1e3, 1e200, -1e200] {
            for coordinate in 0..dim {
                let mut point = vec![0.5; dim];
                point[coordinate] = far;
                let (mut values, mut gradients) = ([0.0], vec![0.0; dim]);
                target.evaluate(&point, &mut values, Some(&mut gradients), &mut Faults::default()).expect("not fatal");
                assert!(values[0] < 0.0, "{name}: {} at {far} in coordinate {coordinate}", values[0]);
                assert!(gradients.iter().all(|g| !g.is_nan()), "{name}: gradient at {far} in coordinate {coordinate}");
            }
        }
    }
}

#[test]
fn wrong_parameters_are_refused() {
    assert!(Funnel::new(1).is_err());
    assert!(Gaussian::conditioned(0, 10.0, 1).is_err());
    assert!(Gaussian::conditioned(3, 0.5, 1).is_err());
    assert!(Gaussian::conditioned(3, f64::NAN, 1).is_err());
    let refused = |covariance: Vec<f64>| Gaussian::new(vec![0.0, 0.0], covariance).expect_err("refused");
    assert!(refused(vec![1.0, 0.5, 0.4, 1.0]).contains("must be equal"));
    assert!(refused(vec![1.0, 2.0, 2.0, 1.0]).contains("positive definite"));
    assert!(refused(vec![1.0, f64::INFINITY, 0.0, 1.0]).contains("finite"));
    assert!(refused(vec![1.0]).contains("n × n"));
}
