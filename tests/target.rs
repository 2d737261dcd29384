//! The built-in targets against central differences, quadrature, closed forms and their own exact draws.

use flowdistill::seed::Seed;
use flowdistill::target::{
    Banana, Density, EightSchools, Faults, Funnel, Gaussian, Lattice, LinearRegression, LogisticRegression, ManyWell,
    Mixture, Moons, Ridges, Rings, StudentT,
};
use std::f64::consts::{PI, TAU};

/// Name, target, and the standard deviations of random points: of the first coordinate and of the others.
type Row = (&'static str, Box<dyn Density>, [f64; 2]);

fn targets() -> Vec<Row> {
    vec![
        ("banana", Box::new(Banana), [10.0, 3.0]),
        ("two moons", Box::new(Moons::separated()), [2.0, 1.5]),
        ("u1", Box::new(Moons::u1()), [2.0, 1.5]),
        ("u2", Box::new(Ridges::u2()), [2.0, 1.5]),
        ("u3", Box::new(Ridges::u3()), [2.0, 1.5]),
        ("u4", Box::new(Ridges::u4()), [2.0, 1.5]),
        ("rosenbrock", Box::new(Ridges::rosenbrock()), [2.0, 3.0]),
        ("rings", Box::new(Rings), [1.5, 1.5]),
        ("two modes", Box::new(Mixture::two()), [4.0, 4.0]),
        ("nine modes", Box::new(Mixture::nine()), [5.0, 5.0]),
        ("forty modes", Box::new(Mixture::forty(1)), [30.0, 30.0]),
        ("mixture", Box::new(mixture()), [1.5, 1.5]),
        ("many well", Box::new(ManyWell::new(6).expect("wells")), [1.5, 1.5]),
        ("student t", Box::new(StudentT::new(3, 2.0).expect("student")), [3.0, 3.0]),
        ("coupled student t", Box::new(coupled_student()), [3.0, 3.0]),
        ("lattice", Box::new(Lattice::new(3, 0.2, 0.5).expect("a lattice")), [1.0, 1.0]),
        ("logistic regression", Box::new(logistic()), [1.0, 1.0]),
        ("linear regression", Box::new(linear()), [1.0, 1.0]),
        ("funnel", Box::new(Funnel::new(10).expect("a funnel")), [3.0, 1.5]),
        ("funnel of odd dimension", Box::new(Funnel::new(3).expect("a funnel")), [3.0, 1.5]),
        ("eight schools", Box::new(EightSchools), [5.0, 1.5]),
        ("gaussian", Box::new(conditioned()), [1.5, 1.5]),
        ("gaussian in one dimension", Box::new(Gaussian::conditioned(1, 10.0, 1).expect("a gaussian")), [1.5, 1.5]),
        ("normal", Box::new(normal()), [1.5, 1.5]),
    ]
}

fn coupled_student() -> StudentT {
    StudentT::new(3, 2.0).and_then(|independent| independent.coupled(0.5)).expect("student")
}

fn mixture() -> Mixture {
    Mixture::new(vec![vec![0.0, 1.0, -1.0], vec![2.0, 0.0, 0.5]], vec![1.0, 0.5], Some(vec![3.0, 1.0]))
        .expect("a mixture")
}

/// A table of two features and a binary response, made up.
fn table() -> (Vec<String>, Vec<f64>, Vec<f64>) {
    let mut features = vec![0.0; 60];
    Seed(5).stream("features").normals(0, 2, &mut features);
    features.iter_mut().step_by(2).for_each(|x| *x = 3.0 * *x + 7.0);
    let labels = features.chunks(2).map(|x| f64::from(u8::from(x[0] + x[1] > 7.3))).collect();
    (vec!["a".into(), "b".into()], features, labels)
}

fn logistic() -> LogisticRegression {
    let (names, features, labels) = table();
    LogisticRegression::new(&names, &features, labels, 3.0).expect("a regression")
}

fn linear() -> LinearRegression {
    let (names, features, labels) = table();
    LinearRegression::new(&names, &features, &labels, 0.4, 2.0).expect("a regression")
}

fn conditioned() -> Gaussian {
    Gaussian::conditioned(20, 1e4, 1).expect("a gaussian")
}

fn normal() -> Gaussian {
    Gaussian::new(vec![1.0, -2.0], vec![2.0, 0.5, 0.5, 1.0]).expect("a gaussian")
}

fn evaluate(target: &dyn Density, points: &[f64]) -> (Vec<f64>, Vec<f64>, Faults) {
    let mut values = vec![1.0; points.len() / target.dim()];
    let (mut gradients, mut faults) = (vec![1.0; points.len()], Faults::default());
    target.evaluate(points, &mut values, Some(&mut gradients), &mut faults).expect("not fatal");
    (values, gradients, faults)
}

fn values(target: &dyn Density, points: &[f64]) -> Vec<f64> {
    let mut values = vec![1.0; points.len() / target.dim()];
    target.evaluate(points, &mut values, None, &mut Faults::default()).expect("not fatal");
    values
}

#[test]
fn gradients_are_central_differences() {
    for (name, target, [first, others]) in targets() {
        let dim = target.dim();
        let mut points = vec![0.0; 1000 * dim];
        Seed(1).stream(name).normals(0, dim, &mut points);
        points.iter_mut().enumerate().for_each(|(i, x)| *x *= if i % dim == 0 { first } else { others });
        let (with, gradients, faults) = evaluate(target.as_ref(), &points);
        assert!(faults.rows().is_empty(), "{name}");
        assert_eq!(with, values(target.as_ref(), &points), "{name}: values without gradients");
        for (point, gradient) in points.chunks_exact(dim).zip(gradients.chunks_exact(dim)) {
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            for i in 0..dim {
                let step = 1e-5;
                let at = |shift: f64| {
                    let mut moved = point.to_vec();
                    moved[i] += shift;
                    values(target.as_ref(), &moved)[0]
                };
                // Five points, so that what is left of the step is below rounding.
                let difference = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
                // Relative to the Euclidean norm of the whole gradient, as all coordinates share the rounding in the value.
                assert!((difference - gradient[i]).abs() <= 1e-6 * (1.0 + norm), "{name} at {point:?}, coordinate {i}");
            }
        }
    }
}

/// ∫ f γ over a rectangle by the midpoint rule.
fn integral(target: &dyn Density, x: [f64; 2], y: [f64; 2], n: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
    let (dx, dy) = ((x[1] - x[0]) / n as f64, (y[1] - y[0]) / n as f64);
    let column = |i: usize| {
        let centre = move |j: usize| [x[0] + (i as f64 + 0.5) * dx, y[0] + (j as f64 + 0.5) * dy];
        let points: Vec<f64> = (0..n).flat_map(centre).collect();
        points.chunks(2).zip(values(target, &points)).map(|(x, v)| f(x) * v.exp()).sum::<f64>()
    };
    (0..n).map(column).sum::<f64>() * dx * dy
}

#[test]
fn normalisers_are_those_of_quadrature() {
    let error = |target: &dyn Density, x, y, n| {
        integral(target, x, y, n, |_| 1.0).ln() - target.log_normalizer().expect("known")
    };
    assert!(error(&Banana, [-90.0, 90.0], [-250.0, 12.0], 3000).abs() < 1e-9);
    assert!(error(&Moons::separated(), [-4.0, 4.0], [-4.0, 4.0], 2000).abs() < 1e-11);
    assert!(error(&Moons::u1(), [-7.0, 7.0], [-7.0, 7.0], 2000).abs() < 1e-9);
    assert!(error(&Ridges::u2(), [-20.0, 20.0], [-8.0, 8.0], 2000).abs() < 1e-9);
    assert!(error(&Ridges::u3(), [-20.0, 20.0], [-8.0, 8.0], 2000).abs() < 1e-9);
    assert!(error(&Ridges::u4(), [-20.0, 20.0], [-8.0, 8.0], 2000).abs() < 1e-9);
    assert!(error(&Ridges::rosenbrock(), [-24.0, 26.0], [-5.0, 680.0], 5000).abs() < 1e-6);
    assert!(error(&Rings, [-4.0, 4.0], [-4.0, 4.0], 2000).abs() < 1e-9);
    for mixture in [Mixture::two(), Mixture::nine()] {
        assert!(error(&mixture, [-14.0, 14.0], [-14.0, 14.0], 1500).abs() < 1e-9);
    }
    assert!(error(&Mixture::forty(1), [-60.0, 60.0], [-60.0, 60.0], 1500).abs() < 1e-9);
    assert!(error(&ManyWell::new(2).expect("a well"), [-6.0, 6.0], [-11.0, 11.0], 1500).abs() < 1e-9);
    assert!(error(&normal(), [-14.0, 16.0], [-13.0, 9.0], 1500).abs() < 1e-11);
    assert!(
        error(&Gaussian::conditioned(2, 100.0, 3).expect("a gaussian"), [-30.0, 30.0], [-30.0, 30.0], 1500).abs()
            < 1e-11
    );
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
    let step = 80.0 / 8000.0;
    let total: f64 = (0..8000).map(|i| log_integrand(-40.0 + (f64::from(i) + 0.5) * step).exp()).sum();
    let evidence = (total * step).ln();
    assert!((evidence - EightSchools.log_normalizer().expect("known")).abs() < 1e-11, "{evidence}");
    // That says nothing of the density itself: here its terms one by one, at a point.
    let log_normal = |x: f64, sd: f64| -0.5 * TAU.ln() - sd.ln() - 0.5 * (x / sd).powi(2);
    let x = [4.0, 1.2, 0.3, -0.1, 0.7, 1.1, -1.4, 0.2, 2.0, -0.6];
    let tau = 1.2f64.exp();
    let half_cauchy = (2.0 / (PI * 5.0 * (1.0 + (tau / 5.0).powi(2)))).ln();
    let likelihood = |i: usize| log_normal(effects[i] - x[0] - tau * x[2 + i], errors[i]) + log_normal(x[2 + i], 1.0);
    let expected = log_normal(x[0], 5.0) + half_cauchy + 1.2 + (0..8).map(likelihood).sum::<f64>();
    assert!((values(&EightSchools, &x)[0] - expected).abs() < 1e-12);
}

#[test]
fn densities_in_many_dimensions_have_their_closed_form() {
    let log_normal = |x: f64, variance: f64| -0.5 * (TAU * variance).ln() - 0.5 * x * x / variance;
    for v in [-6.5, 1.3, 8.0] {
        let x = [v, 0.4, -2.0, 0.0, 1.1];
        let expected = log_normal(v, 9.0) + x[1..].iter().map(|x| log_normal(*x, v.exp())).sum::<f64>();
        let value = values(&Funnel::new(5).expect("a funnel"), &x)[0];
        assert!((value - expected).abs() < 1e-13 * expected.abs(), "{value} for {expected}");
    }

    // The precision matrix, row by row from the gradients at the unit vectors, has the eigenvalues asked for: their sum and the
    // sum of their squares; and as they multiply to one, the density at the mean is that of N(0, I).
    let unit: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 21 == 0))).collect();
    let (at_unit, precision, _) = evaluate(&conditioned(), &unit);
    let eigenvalues = (0..20).map(|k| 1e4f64.powf(f64::from(k) / 19.0 - 0.5));
    let (sum, squares) = eigenvalues.fold((0.0, 0.0), |(sum, squares), e| (sum + e, squares + e * e));
    assert!((precision.iter().step_by(21).sum::<f64>() / -sum - 1.0).abs() < 1e-10);
    assert!((precision.iter().map(|p| p * p).sum::<f64>() / squares - 1.0).abs() < 1e-10);
    for i in 0..20 {
        assert!((at_unit[i] + 10.0 * TAU.ln() - 0.5 * precision[i * 21]).abs() < 1e-9, "{i}");
        (0..i).for_each(|j| assert!((precision[i * 20 + j] - precision[j * 20 + i]).abs() < 1e-9, "{i}, {j}"));
    }
    assert_ne!(evaluate(&Gaussian::conditioned(20, 1e4, 2).expect("a gaussian"), &unit).1, precision);
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

/// The Kolmogorov–Smirnov statistic times √n; above 2.2 with probability 2e^{−2·2.2²} = 1.3·10⁻⁴ if `cdf` is right.
fn kolmogorov(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let gaps = sample.iter().enumerate().map(|(i, &x)| {
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

/// The moment of that power within five standard errors of `expected`.
fn assert_moment(name: &str, sample: &[f64], power: i32, expected: f64) {
    let moment = |power: i32| sample.iter().map(|x| x.powi(power)).sum::<f64>() / sample.len() as f64;
    let standard_error = ((moment(2 * power) - moment(power).powi(2)) / sample.len() as f64).sqrt();
    let found = moment(power);
    assert!((found - expected).abs() < 5.0 * standard_error, "{name}: moment {power} is {found} for {expected}");
}

fn assert_standard_normal(name: &str, sample: Vec<f64>) {
    assert_moment(name, &sample, 1, 0.0);
    assert_moment(name, &sample, 2, 1.0);
    let statistic = kolmogorov(sample, normal_cdf);
    assert!(statistic < KS_BOUND, "{name}: Kolmogorov-Smirnov {statistic}");
}

/// The score ∇ log p of a normal distribution is normal with the precision matrix, whose diagonal is its change along the axes.
fn scores(target: &Gaussian) -> Vec<f64> {
    let dim = target.dim();
    let unit: Vec<f64> = (0..dim * dim).map(|i| f64::from(u8::from(i % (dim + 1) == 0))).collect();
    let (at_unit, at_zero) = (evaluate(target, &unit).1, evaluate(target, &vec![0.0; dim]).1);
    let mut scores = evaluate(target, &exact_draws(target)).1;
    scores.iter_mut().enumerate().for_each(|(k, score)| {
        *score /= (at_zero[k % dim] - at_unit[k % dim * (dim + 1)]).sqrt();
    });
    scores
}

#[test]
fn exact_draws_become_independent_normals() {
    let banana = exact_draws(&Banana).chunks(2).flat_map(|x| [x[0] / 10.0, x[1] + 0.03 * x[0] * x[0] - 3.0]).collect();
    let funnel = exact_draws(&Funnel::new(5).expect("a funnel"));
    let funnel = funnel.chunks(5).flat_map(|x| {
        let half = (0.5 * x[0]).exp();
        [x[0] / 3.0, x[1] / half, x[2] / half, x[3] / half, x[4] / half]
    });
    let given = |x: &[f64]| [(x[0] - 1.0) / 2f64.sqrt(), (x[1] + 2.0 - 0.25 * (x[0] - 1.0)) / 0.875f64.sqrt()];
    let pair = exact_draws(&normal()).chunks(2).flat_map(given).collect();
    let table: [(&str, Vec<f64>, usize, bool); 5] = [
        ("banana", banana, 2, true),
        ("funnel", funnel.collect(), 5, true),
        ("normal", pair, 2, true),
        ("scores of the normal", scores(&normal()), 2, false),
        ("scores of the conditioned gaussian", scores(&conditioned()), 20, false),
    ];
    for (name, sample, dim, independent) in table {
        for i in 0..dim {
            assert_standard_normal(&format!("{name}, {i}"), sample.iter().skip(i).step_by(dim).copied().collect());
            for j in (0..i).filter(|_| independent) {
                // The second sees a scale that depends on another coordinate in the wrong way.
                for power in [1, 2] {
                    let product: Vec<f64> = sample.chunks(dim).map(|x| x[i].powi(power) * x[j]).collect();
                    assert_moment(&format!("{name}, {i} to the {power} times {j}"), &product, 1, 0.0);
                }
            }
        }
    }
}

#[test]
fn exact_draws_in_the_plane_have_their_distribution() {
    let cases: Vec<(&str, Box<dyn Density>, f64)> = vec![
        ("two moons", Box::new(Moons::separated()), 4.0),
        ("u1", Box::new(Moons::u1()), 6.0),
        ("u2", Box::new(Ridges::u2()), 14.0),
        ("u3", Box::new(Ridges::u3()), 14.0),
        ("u4", Box::new(Ridges::u4()), 14.0),
        ("rings", Box::new(Rings), 4.0),
        ("two modes", Box::new(Mixture::two()), 12.0),
        ("nine modes", Box::new(Mixture::nine()), 10.0),
        ("forty modes", Box::new(Mixture::forty(1)), 55.0),
        ("many well", Box::new(ManyWell::new(2).expect("a well")), 7.0),
    ];
    for (name, target, half) in cases {
        let (target, draws) = (target.as_ref(), exact_draws(target.as_ref()));
        let area = [-half, half];
        let mass = integral(target, area, area, 1000, |_| 1.0);
        let radius = |x: &[f64]| x[0].hypot(x[1]);
        for power in [1, 2] {
            for axis in [0, 1] {
                let sample: Vec<f64> = draws.chunks(2).map(|x| x[axis]).collect();
                let expected = integral(target, area, area, 1000, |x| x[axis].powi(power)) / mass;
                assert_moment(&format!("{name}, {axis}"), &sample, power, expected);
            }
            let sample: Vec<f64> = draws.chunks(2).map(radius).collect();
            let expected = integral(target, area, area, 1000, |x| radius(x).powi(power)) / mass;
            assert_moment(&format!("{name}, radius"), &sample, power, expected);
        }
        for axis in [0, 1] {
            let sample: Vec<f64> = draws.chunks(2).map(|x| x[axis]).collect();
            let statistic = kolmogorov(sample, marginal_cdf(target, axis, half));
            assert!(statistic < KS_BOUND, "{name}, {axis}: Kolmogorov-Smirnov {statistic}");
        }
    }
}

#[test]
fn exact_draws_of_the_other_targets_become_known_distributions() {
    // Student's t with two degrees of freedom has an elementary distribution function.
    let draws = exact_draws(&StudentT::new(3, 2.0).expect("student"));
    for axis in 0..3 {
        let sample: Vec<f64> = draws.chunks(3).map(|x| x[axis]).collect();
        let statistic = kolmogorov(sample, |x| 0.5 + 0.5 * x / (2.0 + x * x).sqrt());
        assert!(statistic < KS_BOUND, "student t, {axis}: Kolmogorov-Smirnov {statistic}");
    }
    let draws = exact_draws(&coupled_student());
    for axis in 0..3 {
        let unmix = |x: &[f64]| [x[0], x[1] - 0.5 * x[0], x[2] - 0.5 * (x[0] + x[1] - 0.5 * x[0])][axis];
        let statistic = kolmogorov(draws.chunks(3).map(unmix).collect(), |x| 0.5 + 0.5 * x / (2.0 + x * x).sqrt());
        assert!(statistic < KS_BOUND, "coupled student t, {axis}: Kolmogorov-Smirnov {statistic}");
    }
    let draws = exact_draws(&Ridges::rosenbrock());
    let deviation = 10f64.sqrt();
    assert_standard_normal("rosenbrock, x1", draws.chunks(2).map(|x| (x[0] - 1.0) / deviation).collect());
    assert_standard_normal("rosenbrock, x2", draws.chunks(2).map(|x| (x[1] - x[0] * x[0]) * deviation).collect());
}

#[test]
fn regressions_have_the_value_of_their_formula() {
    let (_, features, labels) = table();
    let n = labels.len() as f64;
    let scale = |axis: usize| {
        let column = || features.iter().skip(axis).step_by(2);
        let mean = column().sum::<f64>() / n;
        (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    let scales = [scale(0), scale(1)];
    let normal = |x: f64, deviation: f64| -0.5 * (x / deviation).powi(2) - (deviation * TAU.sqrt()).ln();
    let w = [0.3, -1.2, 0.7];
    let lines: Vec<f64> =
        features.chunks(2).map(|x| w[0] + w[1] * x[0] / scales[0] + w[2] * x[1] / scales[1]).collect();
    let prior = |s: f64| w.iter().map(|w| normal(*w, s)).sum::<f64>();

    // The value is posterior × evidence by the closed form, and prior × likelihood by this one.
    let likelihood: f64 = lines.iter().zip(&labels).map(|(line, y)| normal(y - line, 0.4)).sum();
    let expected = prior(2.0) + likelihood;
    assert!((values(&linear(), &w)[0] - expected).abs() < 1e-9 * expected.abs(), "linear regression");

    let probability = |line: &f64| 1.0 / (1.0 + (-line).exp());
    let likelihood: f64 = lines
        .iter()
        .zip(&labels)
        .map(|(l, y)| if *y == 1.0 { probability(l).ln() } else { (1.0 - probability(l)).ln() })
        .sum();
    let expected = prior(3.0) + likelihood;
    assert!((values(&logistic(), &w)[0] - expected).abs() < 1e-9 * expected.abs(), "logistic regression");
}

#[test]
fn the_free_lattice_has_its_closed_form() {
    let log_z = |side| Lattice::new(side, 0.2, 0.0).expect("a lattice").log_normalizer().expect("known");
    assert!((log_z(8) - 39.87913).abs() < 1e-5);
    // On a 2 × 2 torus every site has each neighbour twice: the precision matrix is 2I − 4κ(neighbours).
    let lattice = Lattice::new(2, 0.2, 0.0).expect("a lattice");
    let neighbours = |i: u8, j: u8| f64::from(u8::from((i ^ j) == 1 || (i ^ j) == 2));
    let precision: Vec<Vec<f64>> = (0..4)
        .map(|i: u8| (0..4u8).map(|j| if i == j { 2.0 } else { -4.0 * 0.2 * neighbours(i, j) }).collect())
        .collect();
    let x = [0.3, -0.7, 1.1, 0.2];
    let quadratic: f64 = (0..4).map(|i| (0..4).map(|j| x[i] * precision[i][j] * x[j]).sum::<f64>()).sum();
    assert!((values(&lattice, &x)[0] + 0.5 * quadratic).abs() < 1e-12);
    assert!(Lattice::new(8, 0.2, 0.5).expect("a lattice").log_normalizer().is_none());
}

/// The distribution function of one coordinate on (−half, half), by quadrature.
fn marginal_cdf(target: &dyn Density, axis: usize, half: f64) -> impl Fn(f64) -> f64 {
    let n = 1600;
    let step = 2.0 * half / n as f64;
    let centre = |i: usize| -half + (i as f64 + 0.5) * step;
    let mut cumulative = vec![0.0];
    for i in 0..n {
        let points: Vec<f64> =
            (0..n).flat_map(|j| if axis == 0 { [centre(i), centre(j)] } else { [centre(j), centre(i)] }).collect();
        cumulative.push(cumulative[i] + values(target, &points).iter().map(|v| v.exp()).sum::<f64>());
    }
    let total = cumulative[n];
    move |x| {
        let place = ((x + half) / step).clamp(0.0, n as f64 - 1e-9);
        let i = place as usize;
        (cumulative[i] + (place - i as f64) * (cumulative[i + 1] - cumulative[i])) / total
    }
}

#[test]
fn points_that_are_not_finite_are_faults() {
    for (name, target, _) in targets() {
        let dim = target.dim();
        let mut points = vec![0.1; 5 * dim];
        points[dim] = f64::NAN;
        points[3 * dim - 1] = f64::INFINITY;
        points[3 * dim] = f64::NEG_INFINITY;
        let (values, gradients, faults) = evaluate(target.as_ref(), &points);
        assert_eq!(faults.rows(), [1, 2, 3], "{name}");
        assert_eq!(faults.reason(), Some("the point is not finite"), "{name}");
        assert!(values[0].is_finite() && values[0] == values[4], "{name}");
        assert!(values[1..4].iter().all(|v| v.is_nan()), "{name}");
        assert!(gradients[dim..4 * dim].iter().all(|g| *g == 0.0), "{name}");
    }
}

#[test]
fn far_points_have_low_values_and_no_nan() {
    for (name, target, _) in targets() {
        let dim = target.dim();
        for far in [1e3, 1e4, 1e100, 1e200, 1e308, f64::MAX] {
            // One coordinate after another, and all at once.
            for (case, far) in (0..=dim).flat_map(|case| [(case, far), (case, -far)]) {
                let point: Vec<f64> = (0..dim).map(|i| if i == case || case == dim { far } else { 0.5 }).collect();
                let (values, gradients, faults) = evaluate(target.as_ref(), &point);
                assert!(values[0] < -20.0 && faults.rows().is_empty(), "{name}: {} at {point:?}", values[0]);
                assert!(gradients.iter().all(|g| !g.is_nan()), "{name}: {gradients:?} at {point:?}");
                let zero = gradients.iter().all(|g| *g == 0.0);
                assert!(values[0].is_finite() || zero, "{name}: {gradients:?} at {point:?}, of density zero");
            }
        }
    }
    // Where the ring has no direction, and where a square or e^{−v} overflows but what is asked for does not.
    assert_eq!(evaluate(&Moons::separated(), &[0.0, 0.0]).1, [0.0, 0.0]);
    let (value, gradient, _) = evaluate(&Funnel::new(2).expect("a funnel"), &[-1000.0, 1e-300]);
    assert!((value[0] + 55_058.492).abs() < 0.01 && (gradient[1] / -1.97e134 - 1.0).abs() < 1e-3, "{value:?}");
}

#[test]
fn wrong_parameters_are_refused() {
    assert!(ManyWell::new(3).is_err() && ManyWell::new(0).is_err());
    assert!(coupled_student().coupled(1.5).is_err());
    assert!(StudentT::new(2, 0.0).is_err() && StudentT::new(0, 2.0).is_err() && StudentT::new(2, f64::NAN).is_err());
    assert!(Lattice::new(1, 0.1, 0.0).is_err() && Lattice::new(4, 0.3, 0.0).is_err());
    assert!(Lattice::new(4, f64::NAN, 0.5).is_err() && Lattice::new(4, 0.1, -1.0).is_err());
    assert!(Mixture::new(vec![], vec![], None).is_err());
    assert!(Mixture::new(vec![vec![0.0], vec![0.0, 1.0]], vec![1.0; 2], None).is_err());
    assert!(Mixture::new(vec![vec![0.0]], vec![0.0], None).is_err());
    assert!(Mixture::new(vec![vec![0.0]], vec![1.0], Some(vec![f64::INFINITY])).is_err());
    let (names, features, mut labels) = table();
    assert!(LinearRegression::new(&names, &features, &labels, 0.0, 1.0).is_err());
    assert!(LogisticRegression::new(&names, &vec![1.0; 60], labels.clone(), 1.0).is_err(), "a constant feature");
    labels[3] = 2.0;
    assert!(LogisticRegression::new(&names, &features, labels, 1.0).expect_err("refused").contains("row 4"));
    assert!(Funnel::new(1).is_err());
    assert!(Gaussian::conditioned(0, 10.0, 1).is_err());
    assert!(Gaussian::conditioned(3, 0.5, 1).is_err());
    assert!(Gaussian::conditioned(3, f64::NAN, 1).is_err());
    let refused = |covariance: Vec<f64>| {
        let dim = if covariance.len() == 9 { 3 } else { 2 };
        Gaussian::new(vec![0.0; dim], covariance).expect_err("refused")
    };
    assert!(refused(vec![1.0, 0.5, 0.4, 1.0]).contains("must be equal"));
    assert!(refused(vec![1.0, 2.0, 2.0, 1.0]).contains("positive definite"));
    assert!(refused(vec![1.0, f64::INFINITY, 0.0, 1.0]).contains("finite"));
    assert!(refused(vec![1.0]).contains("n × n"));
    // Singular but for rounding, and entries so far apart that the factor overflows.
    assert!(refused(vec![0.1 * 0.1, 0.1 * 0.7, 0.1 * 0.7, 0.7 * 0.7]).contains("positive definite"));
    assert!(refused(vec![1e-300, 0.0, 1e300, 0.0, 1.0, 0.0, 1e300, 0.0, 1.0]).contains("positive definite"));
}
