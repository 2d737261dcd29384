//! Written densities against built-in ones, independent references, central differences and their own other forms.

use flowdistill::expression::{Datum, Expression};
use flowdistill::seed::Seed;
use flowdistill::target::{Density, EightSchools, Faults, Funnel, LogisticRegression, Parameter, Support};
use std::f64::consts::TAU;

fn parameters(list: &[(&str, Support)]) -> Vec<Parameter> {
    list.iter().map(|(name, support)| Parameter { name: name.to_string(), support: support.clone() }).collect()
}

fn compile(list: &[(&str, Support)], data: &[(&str, Datum)], text: &str) -> Result<Expression, String> {
    let data = data.iter().map(|(name, datum)| (name.to_string(), datum.clone())).collect();
    Expression::new(parameters(list), data, text)
}

fn made(list: &[(&str, Support)], data: &[(&str, Datum)], text: &str) -> Expression {
    compile(list, data, text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn evaluate(target: &dyn Density, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut values = vec![1.0; points.len() / target.dim()];
    let mut gradients = vec![1.0; points.len()];
    target.evaluate(points, &mut values, Some(&mut gradients), &mut Faults::default()).expect("not fatal");
    (values, gradients)
}

fn values(target: &dyn Density, points: &[f64]) -> Vec<f64> {
    let mut values = vec![1.0; points.len() / target.dim()];
    target.evaluate(points, &mut values, None, &mut Faults::default()).expect("not fatal");
    values
}

fn points(name: &str, rows: usize, dim: usize, scale: f64) -> Vec<f64> {
    let mut points = vec![0.0; rows * dim];
    Seed(1).stream(name).normals(0, dim, &mut points);
    points.iter_mut().for_each(|x| *x *= scale);
    points
}

/// The gradients at `points` are five-point central differences to 1e-6.
fn assert_gradients(what: &str, target: &dyn Density, points: &[f64]) {
    let dim = target.dim();
    let (with, gradients) = evaluate(target, points);
    let without = values(target, points);
    for (row, (point, gradient)) in points.chunks_exact(dim).zip(gradients.chunks_exact(dim)).enumerate() {
        assert_eq!(with[row].to_bits(), without[row].to_bits(), "{what}: values without gradients");
        if !with[row].is_finite() {
            assert!(gradient.iter().all(|g| *g == 0.0), "{what}: gradient where there is no density");
            continue;
        }
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        for i in 0..dim {
            let step = 1e-4 * (1.0 + point[i].abs()).min(3.0);
            let at = |shift: f64| {
                let mut moved = point.to_vec();
                moved[i] += shift;
                values(target, &moved)[0]
            };
            let difference = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
            let error = (difference - gradient[i]).abs();
            assert!(error <= 1e-6 * (1.0 + norm), "{what} at {point:?}, coordinate {i}: {} {difference}", gradient[i]);
        }
    }
}

fn close(found: f64, right: f64, tolerance: f64) -> bool {
    (found - right).abs() <= tolerance * (1.0 + right.abs())
}

const SCHOOLS: &str = "
    mu ~ normal(0, 5)
    tau ~ half_cauchy(5)
    theta_tilde ~ std_normal()   # not centred
    theta = mu + tau * theta_tilde
    y ~ normal(theta, sigma)
";

fn schools(text: &str) -> Expression {
    let y = Datum::Vector(vec![28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]);
    let sigma = Datum::Vector(vec![15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]);
    let list = [("mu", Support::Real), ("tau", Support::Positive), ("theta_tilde", Support::Vector(8, Box::default()))];
    made(&list, &[("y", y), ("sigma", sigma), ("J", Datum::Number(8.0))], text)
}

#[test]
fn eight_schools_is_the_built_in_one() {
    let looped = "
        normal(mu, 0, 5) + half_cauchy(tau, 5)
        sum(j in 0..J: std_normal(theta_tilde[j]) + normal(y[j], mu + tau * theta_tilde[j], sigma[j]))
    ";
    let points = points("schools", 1000, 10, 1.5);
    let (right, right_gradients) = evaluate(&EightSchools, &points);
    for text in [SCHOOLS, looped] {
        let written = schools(text);
        let (found, gradients) = evaluate(&written, &points);
        for (found, right) in found.iter().zip(&right) {
            assert!((found - right).abs() <= 1e-9 * right.abs(), "{found} {right}");
        }
        for (found, right) in gradients.iter().zip(&right_gradients) {
            assert!(close(*found, *right, 1e-7), "{found} {right}");
        }
        assert_gradients("schools", &written, &points[..100]);
    }
}

#[test]
fn a_row_depends_neither_on_its_batch_nor_on_its_place() {
    let (written, points) = (schools(SCHOOLS), points("places", 131, 10, 1.5));
    let (together, gradients) = evaluate(&written, &points);
    for (row, point) in points.chunks_exact(10).enumerate() {
        let (alone, gradient) = evaluate(&written, point);
        assert_eq!(alone[0].to_bits(), together[row].to_bits());
        assert_eq!(gradient, gradients[row * 10..(row + 1) * 10]);
    }
}

#[test]
fn the_funnel_and_the_logistic_regression_are_the_built_in_ones() {
    let funnel = made(
        &[("v", Support::Real), ("x", Support::Vector(9, Box::default()))],
        &[],
        "v ~ normal(0, 3); x ~ normal(0, exp(v / 2))",
    );
    let built_in = Funnel::new(10).expect("a funnel");
    let at = points("funnel", 300, 10, 2.0);
    let ((found, gradients), (right, right_gradients)) = (evaluate(&funnel, &at), evaluate(&built_in, &at));
    assert!(found.iter().zip(&right).all(|(a, b)| close(*a, *b, 1e-12)));
    assert!(gradients.iter().zip(&right_gradients).all(|(a, b)| close(*a, *b, 1e-10)));

    let (rows, width) = (57, 5);
    let features = points("features", rows, width, 1.0);
    let labels: Vec<f64> = features.chunks(width).map(|x| f64::from(u8::from(x[0] > 0.3))).collect();
    let names: Vec<String> = (0..width).map(|i| format!("x{i}")).collect();
    let built_in = LogisticRegression::new(&names, &features, labels.clone(), 3.0).expect("a regression");
    // Divided by their standard deviation, as the built-in one does.
    let mut scaled = features;
    for i in 0..width {
        let column: Vec<f64> = scaled.iter().skip(i).step_by(width).copied().collect();
        let mean = column.iter().sum::<f64>() / rows as f64;
        let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
        scaled.iter_mut().skip(i).step_by(width).for_each(|x| *x /= deviation);
    }
    let data = [("X", Datum::Matrix(scaled, width)), ("y", Datum::Vector(labels))];
    let list = [("alpha", Support::Real), ("beta", Support::Vector(width, Box::default()))];
    let at = points("weights", 200, width + 1, 1.0);
    let (right, right_gradients) = evaluate(&built_in, &at);
    for likelihood in [
        "y ~ bernoulli_logit(alpha + X @ beta)",
        "sum(bernoulli_logit(y, alpha + beta @ transpose(X)))",
        "sum(i in 0..len(y): bernoulli_logit(y[i], alpha + dot(X[i], beta)))",
        "sum(i in 0..rows(X): bernoulli_logit(y[i], alpha + sum(j in 0..columns(X): X[i, j] * beta[j])))",
        "eta = vector(i in 0..rows(X): alpha + X[i] @ beta)\n sum(y * eta - log1p(exp(eta)))",
    ] {
        let written = made(&list, &data, &format!("alpha ~ normal(0, 3)\nbeta ~ normal(0, 3)\n{likelihood}"));
        let (found, gradients) = evaluate(&written, &at);
        assert!(found.iter().zip(&right).all(|(a, b)| close(*a, *b, 1e-11)), "{likelihood}");
        assert!(gradients.iter().zip(&right_gradients).all(|(a, b)| close(*a, *b, 1e-10)), "{likelihood}");
    }
}

/// 2/√π Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)): the error function of the other library is good to 10 digits only.
fn erf_by_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..60 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// An expression in x, its value, and the points at which it is tried.
type Function = (&'static str, fn(f64) -> f64, [f64; 5]);

#[test]
fn functions_of_one_number() {
    let table: Vec<Function> = vec![
        ("exp(x)", f64::exp, [-30.0, -1.0, 0.0, 0.7, 5.0]),
        ("log(x)", f64::ln, [0.02, 0.5, 1.0, 3.0, 1e5]),
        ("log1p(x)", f64::ln_1p, [-0.5, 0.0, 1e-3, 2.0, 100.0]),
        ("expm1(x)", f64::exp_m1, [-5.0, -1e-3, 0.0, 0.4, 3.0]),
        ("sqrt(x)", f64::sqrt, [0.01, 0.5, 1.0, 3.0, 100.0]),
        ("square(x)", |x| x * x, [-3.0, -0.1, 0.0, 1.0, 7.0]),
        ("tanh(x)", f64::tanh, [-3.0, -0.1, 0.0, 0.5, 2.0]),
        ("sigmoid(x)", |x| 1.0 / (1.0 + (-x).exp()), [-20.0, -1.0, 0.0, 0.5, 20.0]),
        ("inv_logit(x)", |x| 1.0 / (1.0 + (-x).exp()), [-20.0, -1.0, 0.0, 0.5, 20.0]),
        ("softplus(x)", |x| x.exp().ln_1p(), [-20.0, -1.0, 0.0, 0.5, 20.0]),
        ("log1p_exp(x)", |x| x.exp().ln_1p(), [-20.0, -1.0, 0.0, 0.5, 20.0]),
        ("lgamma(x)", statrs::function::gamma::ln_gamma, [0.2, 1.0, 2.5, 10.0, 200.0]),
        ("digamma(x)", statrs::function::gamma::digamma, [0.2, 1.0, 2.5, 10.0, 200.0]),
        ("erf(x)", erf_by_series, [-2.0, -0.3, 0.0, 0.5, 1.5]),
        ("abs(x)", f64::abs, [-2.0, -0.3, 0.1, 0.5, 1.5]),
        ("sin(x)", f64::sin, [-2.0, -0.3, 0.0, 0.5, 1.5]),
        ("cos(x)", f64::cos, [-2.0, -0.3, 0.0, 0.5, 1.5]),
        ("atan(x)", f64::atan, [-2.0, -0.3, 0.0, 0.5, 1.5]),
        ("-x", |x| -x, [-2.0, -0.3, 0.0, 0.5, 1.5]),
        ("x^2 - x^3 + x^-1 + x^-2.5", |x| x * x - x.powi(3) + 1.0 / x + x.powf(-2.5), [0.2, 0.5, 1.0, 2.0, 3.0]),
        ("x^0.5 + x^1", |x| x.sqrt() + x, [0.2, 0.5, 1.0, 2.0, 3.0]),
        ("2^x + x^x", |x| 2f64.powf(x) + x.powf(x), [0.2, 0.5, 1.0, 2.0, 3.0]),
        ("pow(x, x / 2)", |x| x.powf(x / 2.0), [0.2, 0.5, 1.0, 2.0, 3.0]),
        ("x * x / (1 + x)", |x| x * x / (1.0 + x), [-0.5, 0.0, 1.0, 2.0, 3.0]),
        (
            "3 / x - x / 4 + (x - 1) / (x + 2)",
            |x| 3.0 / x - x / 4.0 + (x - 1.0) / (x + 2.0),
            [-1.0, 0.2, 1.0, 2.0, 3.0],
        ),
        ("min(x, 1) + max(x, 2 * x)", |x| x.min(1.0) + x.max(2.0 * x), [-1.0, 0.2, 0.9, 2.0, 3.0]),
        (
            "min([x, 1, x^2]) * max([x, 1, x^2])",
            |x| x.min(1.0).min(x * x) * x.max(1.0).max(x * x),
            [-2.0, 0.2, 0.9, 2.0, 3.0],
        ),
        ("logsumexp(x, 1)", |x| (x.exp() + 1f64.exp()).ln(), [-50.0, 0.2, 0.9, 2.0, 300.0]),
        ("logsumexp([x, 1, 2 * x])", |x| (x.exp() + 1f64.exp() + (2.0 * x).exp()).ln(), [-50.0, 0.2, 0.9, 2.0, 300.0]),
        (
            "sum(logsumexp([x, 1], [2, x]))",
            |x| (x.exp() + 2f64.exp()).ln() + (x.exp() + 1f64.exp()).ln(),
            [-5.0, 0.2, 0.9, 2.0, 3.0],
        ),
        (
            "log_rising(x^2 + 0.5, 3) + log_rising(2, x^2)",
            |x| {
                let gamma = libm::lgamma;
                let z = x * x;
                gamma(z + 3.5) - gamma(z + 0.5) + gamma(z + 2.0) - gamma(2.0)
            },
            [-5.0, 0.2, 0.9, 2.0, 3.0],
        ),
        ("log_mix(0.3, x, 2)", |x| (0.3 * x.exp() + 0.7 * 2f64.exp()).ln(), [-5.0, 0.2, 0.9, 2.0, 3.0]),
        (
            "mean([x, 2, x^2]) + sd([x, 2, 4])",
            |x| {
                let mean = (x + 6.0) / 3.0;
                let squares = [x, 2.0, 4.0].iter().map(|v| (v - mean).powi(2)).sum::<f64>();
                (x + 2.0 + x * x) / 3.0 + (squares / 3.0).sqrt()
            },
            [-5.0, 0.2, 0.9, 2.0, 3.0],
        ),
        ("dot([x, 2], [3, x]) + [x, 1] @ [1, 2]", |x| 3.0 * x + 2.0 * x + x + 2.0, [-5.0, 0.2, 0.9, 2.0, 3.0]),
        (
            "sum(cumulative_sum([x, x^2, 1]) * [1, 2, 3])",
            |x| x + 2.0 * (x + x * x) + 3.0 * (x + x * x + 1.0),
            [-5.0, 0.2, 0.9, 2.0, 3.0],
        ),
        (
            "if x > 1 and not (x > 2.5) then x^2 else -x",
            |x| if x > 1.0 && x <= 2.5 { x * x } else { -x },
            [-5.0, 0.2, 0.9, 2.0, 3.0],
        ),
        ("if x <= 0 or x == 2 then 0 else log(x)", |x| if x <= 0.0 { 0.0 } else { x.ln() }, [-5.0, 0.2, 0.9, 2.1, 3.0]),
        (
            "if x >= 0 then sqrt(x) else if x < -1 then exp(x) else 3",
            |x| {
                if x >= 0.0 {
                    x.sqrt()
                } else if x < -1.0 {
                    x.exp()
                } else {
                    3.0
                }
            },
            [-5.0, -0.5, 0.9, 2.0, 3.0],
        ),
        ("if x != 1 then x else 0", |x| x, [-5.0, -0.5, 0.9, 2.0, 3.0]),
        ("sum(i in 1..4: x^i / i)", |x| x + x * x / 2.0 + x.powi(3) / 3.0, [-2.0, -0.5, 0.9, 2.0, 3.0]),
        ("sum(i in 0..3: 2)  + x + sum(i in 0..0: x)", |x| 6.0 + x, [-2.0, -0.5, 0.9, 2.0, 3.0]),
        ("logsumexp(i in 0..3: i * x)", |x| (1.0 + x.exp() + (2.0 * x).exp()).ln(), [-2.0, -0.5, 0.9, 2.0, 3.0]),
        ("max(i in 0..3: i * x) + min(i in 0..3: i * x)", |x| 2.0 * x, [-2.0, -0.5, 0.9, 2.0, 3.0]),
        ("sum(i in 0..2, j in 0..3: (i + 1) * x^j)", |x| 3.0 * (1.0 + x + x * x), [-2.0, -0.5, 0.9, 2.0, 3.0]),
        (
            "sum(i in 0..2: x * sum(j in 0..3: if j <= i then x^j else 0))",
            |x| x * (1.0 + 1.0 + x),
            [-2.0, -0.5, 0.9, 2.0, 3.0],
        ),
        ("-2^2 + 2 - 1 - 1 + 2 * 3 / 6 + x", |x| -4.0 + 2.0 - 1.0 - 1.0 + 1.0 + x, [-2.0, -0.5, 0.9, 2.0, 3.0]),
        ("8 / -2 * 3 + 2^3^2 + x - -1", |x| -12.0 + 512.0 + x + 1.0, [-2.0, -0.5, 0.9, 2.0, 3.0]),
    ];
    for (text, right, at) in table {
        let written = made(&[("x", Support::Real)], &[], text);
        for (found, x) in values(&written, &at).into_iter().zip(at) {
            assert!(close(found, right(x), 3e-13), "{text} at {x}: {found} {}", right(x));
        }
        assert_gradients(text, &written, &at);
    }
}

#[test]
fn constants_are_folded_to_the_same_numbers() {
    for text in
        ["lgamma(5 / 2) + erf(0.3) + log1p(0.1) * tanh(2) ^ 1.5", "logsumexp([1, 2]) + sd([1, 2, 4]) - max([3, 1])"]
    {
        let folded = made(&[("x", Support::Real)], &[], &format!("{text} + x"));
        let varying = text.replace('2', "(2 + x)");
        let varying = made(&[("x", Support::Real)], &[], &varying);
        assert!(close(values(&folded, &[0.0])[0], values(&varying, &[0.0])[0], 1e-14), "{text}");
    }
}

/// A distribution with its arguments at a point, by the statrs crate or in closed form.
type Reference = (&'static str, Vec<(Vec<f64>, f64)>);

fn statrs_references() -> Vec<Reference> {
    use statrs::distribution as d;
    use statrs::distribution::{Continuous, Discrete};
    let at = |list: &[[f64; 4]], n: usize, f: &dyn Fn(&[f64; 4]) -> f64| -> Vec<(Vec<f64>, f64)> {
        list.iter().map(|args| (args[..n].to_vec(), f(args))).collect()
    };
    let three = [[0.3, -1.0, 0.7, 0.0], [2.0, 1.5, 3.0, 0.0], [-4.0, 0.2, 1.1, 0.0]];
    let positive = [[0.3, 1.2, 0.7, 0.0], [2.0, 0.5, 3.0, 0.0], [4.5, 6.0, 1.1, 0.0]];
    let unit = [[0.3, 1.2, 0.7, 0.0], [0.9, 0.5, 3.0, 0.0], [0.12, 6.0, 1.1, 0.0]];
    let t = [[0.3, 2.5, -1.0, 0.7], [2.0, 4.0, 1.5, 3.0], [-40.0, 1.0, 0.2, 1.1]];
    vec![
        ("normal", at(&three, 3, &|a| d::Normal::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        ("std_normal", at(&three, 1, &|a| d::Normal::new(0.0, 1.0).unwrap().ln_pdf(a[0]))),
        ("half_normal", at(&positive, 2, &|a| 2f64.ln() + d::Normal::new(0.0, a[1]).unwrap().ln_pdf(a[0]))),
        ("student_t", at(&t, 4, &|a| d::StudentsT::new(a[2], a[3], a[1]).unwrap().ln_pdf(a[0]))),
        ("cauchy", at(&three, 3, &|a| d::Cauchy::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        ("half_cauchy", at(&positive, 2, &|a| 2f64.ln() + d::Cauchy::new(0.0, a[1]).unwrap().ln_pdf(a[0]))),
        ("gamma", at(&positive, 3, &|a| d::Gamma::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        ("inv_gamma", at(&positive, 3, &|a| d::InverseGamma::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        ("beta", at(&unit, 3, &|a| d::Beta::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        ("exponential", at(&positive, 2, &|a| d::Exp::new(a[1]).unwrap().ln_pdf(a[0]))),
        ("lognormal", at(&positive, 3, &|a| d::LogNormal::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        ("laplace", at(&three, 3, &|a| d::Laplace::new(a[1], a[2]).unwrap().ln_pdf(a[0]))),
        (
            "logistic",
            at(&three, 3, &|a| {
                let z = (a[0] - a[1]) / a[2];
                (z.exp() / (a[2] * (1.0 + z.exp()).powi(2))).ln()
            }),
        ),
        (
            "uniform",
            at(&[[0.3, -1.0, 0.7, 0.0], [2.0, 1.5, 3.0, 0.0]], 3, &|a| {
                d::Uniform::new(a[1], a[2]).unwrap().ln_pdf(a[0])
            }),
        ),
        (
            "bernoulli_logit",
            at(&[[1.0, 0.4, 0.0, 0.0], [0.0, -2.0, 0.0, 0.0], [1.0, 3.0, 0.0, 0.0]], 2, &|a| {
                d::Bernoulli::new(1.0 / (1.0 + (-a[1]).exp())).unwrap().ln_pmf(a[0] as u64)
            }),
        ),
        (
            "binomial_logit",
            at(&[[3.0, 7.0, 0.4, 0.0], [0.0, 5.0, -2.0, 0.0], [20.0, 20.0, 1.0, 0.0]], 3, &|a| {
                d::Binomial::new(1.0 / (1.0 + (-a[2]).exp()), a[1] as u64).unwrap().ln_pmf(a[0] as u64)
            }),
        ),
        (
            "poisson_log",
            at(&[[3.0, 0.4, 0.0, 0.0], [0.0, -2.0, 0.0, 0.0], [20.0, 3.0, 0.0, 0.0]], 2, &|a| {
                d::Poisson::new(a[1].exp()).unwrap().ln_pmf(a[0] as u64)
            }),
        ),
        (
            "beta_binomial",
            // statrs has no such distribution: the ratio of two beta functions.
            at(&[[3.0, 7.0, 0.8, 2.5], [0.0, 5.0, 12.0, 30.0], [20.0, 20.0, 1.0, 0.3]], 4, &|a| {
                use statrs::function::{beta::ln_beta, factorial::ln_binomial};
                ln_binomial(a[1] as u64, a[0] as u64) + ln_beta(a[0] + a[2], a[1] - a[0] + a[3]) - ln_beta(a[2], a[3])
            }),
        ),
        (
            "neg_binomial",
            at(&[[3.0, 2.4, 1.5, 0.0], [0.0, 0.5, 4.0, 0.0], [20.0, 13.0, 0.7, 0.0]], 3, &|a| {
                d::NegativeBinomial::new(a[2], a[2] / (a[1] + a[2])).unwrap().ln_pmf(a[0] as u64)
            }),
        ),
    ]
}

#[test]
fn distributions_are_those_of_an_independent_library() {
    let discrete = ["bernoulli_logit", "binomial_logit", "poisson_log", "neg_binomial", "beta_binomial"];
    for (name, references) in statrs_references() {
        for (arguments, right) in references {
            let fixed = match name {
                "binomial_logit" | "beta_binomial" => 2,
                _ if discrete.contains(&name) => 1,
                _ => 0,
            };
            // All arguments but counts as parameters, shifted so that the point 0 is the one of the reference.
            let list: Vec<(String, Support)> =
                (fixed..arguments.len()).map(|i| (format!("a{i}"), Support::Real)).collect();
            let list: Vec<(&str, Support)> = list.iter().map(|(name, s)| (&name[..], s.clone())).collect();
            let shown: Vec<String> = (0..arguments.len())
                .map(|i| if i < fixed { format!("{}", arguments[i]) } else { format!("(a{i} + {})", arguments[i]) })
                .collect();
            let called = made(&list, &[], &format!("{name}({})", shown.join(", ")));
            let drawn = made(&list, &[], &format!("{} ~ {name}({})", shown[0], shown[1..].join(", ")));
            let origin = vec![0.0; list.len()];
            for written in [&called, &drawn] {
                let found = values(written, &origin)[0];
                assert!(close(found, right, 1e-10), "{name}{arguments:?}: {found} {right}");
            }
            assert_gradients(name, &called, &points(name, 20, list.len(), 0.01));
            // From the data alone, where only the last argument is a parameter; and place by place over vectors.
            let numbers: Vec<String> = arguments.iter().map(|x| format!("{x}")).collect();
            let folded = made(&[("z", Support::Real)], &[], &format!("{name}({}) + z", numbers.join(", ")));
            assert!(close(values(&folded, &[0.0])[0], right, 1e-10), "{name} folded");
            let lists: Vec<String> = shown.iter().map(|x| format!("[{x}, {x}, {x}]")).collect();
            let vectors = made(&list, &[], &format!("sum({name}({})) / 3", lists.join(", ")));
            assert!(close(values(&vectors, &origin)[0], right, 1e-10), "{name} over vectors");
        }
    }
}

#[test]
fn distributions_come_to_their_limits_however_large_a_parameter_is() {
    use statrs::distribution::{self as d, Continuous, Discrete};
    // A dispersion, degrees of freedom, or shapes of which eᵏ is far beyond what a difference of log gammas can tell.
    let cases = [
        ("7 ~ neg_binomial(3, exp(k))", d::Poisson::new(3.0).unwrap().ln_pmf(7)),
        ("1.3 ~ student_t(exp(k), 0, 2)", d::Normal::new(0.0, 2.0).unwrap().ln_pdf(1.3)),
        ("2 ~ beta_binomial(5, exp(k), 3 * exp(k))", d::Binomial::new(0.25, 5).unwrap().ln_pmf(2)),
    ];
    for (text, limit) in cases {
        let density = made(&[("k", Support::Real)], &[], text);
        // Beyond 10¹⁵⁴ the slope of a quotient by it underflows.
        for k in [30.0, 45.0, 90.0, 300.0] {
            let (found, slope) = evaluate(&density, &[k]);
            assert!((found[0] - limit).abs() < 1e-11, "{text} at {k}: {} {limit}", found[0]);
            assert!(slope[0].abs() < 1e-11, "{text} at {k}: slope {}", slope[0]);
        }
    }
}

#[test]
fn outside_the_support_the_density_is_zero_and_bad_parameters_are_faults() {
    for text in [
        "gamma(x, 2, 1)",
        "exponential(x, 1)",
        "beta(x, 2, 2)",
        "lognormal(x, 0, 1)",
        "half_normal(x, 1)",
        "uniform(x, 0, 1)",
        "inv_gamma(x, 1, 1)",
        "half_cauchy(x, 2)",
    ] {
        let written = made(&[("x", Support::Real)], &[], text);
        let (values, gradients) = evaluate(&written, &[-0.5]);
        assert_eq!((values[0], gradients[0]), (f64::NEG_INFINITY, 0.0), "{text}");
    }
    for text in ["normal(1, 0, s)", "gamma(1, s, 1)", "student_t(1, s, 0, 1)", "log(s)"] {
        let written = made(&[("s", Support::Real)], &[], text);
        let (mut values, mut faults) = (vec![0.0; 2], Faults::default());
        written.evaluate(&[1.0, -1.0], &mut values, None, &mut faults).expect("not fatal");
        assert_eq!(faults.rows(), [1], "{text}");
        assert!(faults.reason().is_some_and(|reason| reason.contains("s = -1")), "{:?}", faults.reason());
        assert!(values[0].is_finite() && values[1].is_nan());
    }
}

#[test]
fn densities_of_whole_vectors() {
    // A normal with covariance L Lᵀ in closed form: determinant and inverse of a 2 × 2 matrix.
    let l = [[1.3, 0.0], [-0.4, 0.7]];
    let list = [("x", Support::Vector(2, Box::default())), ("m", Support::Real)];
    let matrix = ("L", Datum::Matrix(vec![1.3, 0.0, -0.4, 0.7], 2));
    let written = made(&list, &[matrix], "x ~ multi_normal_cholesky([m, 2 * m], L)");
    let at = points("normal", 50, 3, 1.0);
    for (point, found) in at.chunks(3).zip(values(&written, &at)) {
        let [a, b] = [point[0] - point[2], point[1] - 2.0 * point[2]];
        let (s11, s12, s22) = (l[0][0] * l[0][0], l[0][0] * l[1][0], l[1][0] * l[1][0] + l[1][1] * l[1][1]);
        let determinant = s11 * s22 - s12 * s12;
        let form = (s22 * a * a - 2.0 * s12 * a * b + s11 * b * b) / determinant;
        assert!(close(found, -0.5 * form - 0.5 * determinant.ln() - TAU.ln(), 1e-12));
    }
    assert_gradients("multi_normal_cholesky", &written, &at);
    // With a factor that depends on parameters.
    let varying = "
        L = matrix(i in 0..2, j in 0..2: if i == j then exp(m) else if i > j then m else 0)
        x ~ multi_normal_cholesky([m, 2 * m], L)
    ";
    let written = made(&list, &[], varying);
    assert_gradients("multi_normal_cholesky of a varying factor", &written, &at);
    let x = [0.3, -0.8, 0.2f64];
    let z = [(x[0] - 0.2) / x[2].exp(), 0.0];
    let z = [z[0], (x[1] - 0.4 - 0.2 * z[0]) / x[2].exp()];
    let right = -0.5 * (z[0] * z[0] + z[1] * z[1]) - 2.0 * x[2] - TAU.ln();
    assert!(close(values(&written, &x)[0], right, 1e-12));

    let dirichlet = made(&[("p", Support::Simplex(3)), ("a", Support::Positive)], &[], "p ~ dirichlet([a, 2, 3])");
    assert_gradients("dirichlet", &dirichlet, &points("dirichlet", 50, 3, 1.0));
}

#[test]
fn indices_ranges_and_matrices() {
    let matrix = Datum::Matrix(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
    let data =
        [("A", matrix), ("g", Datum::Vector(vec![2.0, 0.0, 0.0, 1.0])), ("y", Datum::Vector(vec![1.0, 2.0, 3.0, 4.0]))];
    let list = [("x", Support::Vector(3, Box::default())), ("s", Support::Real)];
    // Pairs that say the same thing.
    for (a, b) in [
        ("sum(A @ x)", "5 * x[0] + 7 * x[1] + 9 * x[2]"),
        ("sum((A * s) @ x)", "s * (5 * x[0] + 7 * x[1] + 9 * x[2])"),
        ("sum(x @ transpose(A))", "sum(A @ x)"),
        ("sum([s, 2] @ A)", "s * 6 + 2 * 15"),
        ("sum(A[0] * x)", "x[0] + 2 * x[1] + 3 * x[2]"),
        ("sum(A[.., 1]) + sum(A[1, 1..]) * s", "7 + 11 * s"),
        ("sum(A[0..1, 1..3]) * s", "5 * s"),
        ("sum(x[1..] - x[..2])", "x[2] - x[0]"),
        ("sum(i in 0..4: y[i] * x[g[i]])", "x[2] + 2 * x[0] + 3 * x[0] + 4 * x[1]"),
        ("sum(y * x[g])", "x[2] + 2 * x[0] + 3 * x[0] + 4 * x[1]"),
        ("sum(i in 0..2: sum(A[i, g] * s))", "s * (3 + 1 + 1 + 2 + 6 + 4 + 4 + 5)"),
        ("sum((A * s)[[1, 0, 1]] @ x)", "s * sum(2 * A[1] @ x + A[0] @ x)"),
        ("sum(i in 1..3: x[i] * x[i - 1])", "x[1] * x[0] + x[2] * x[1]"),
        ("sum(i in 0..2, j in 0..3: A[i, j] * x[j] * (i + 1))", "dot(A[0] + 2 * A[1], x)"),
        ("sum(i in 0..2: sum(A[i] * x)^2)", "sum((A @ x)^2)"),
        ("sum(vector(i in 0..3: x[i]^2))", "dot(x, x)"),
        ("sum(matrix(i in 0..2, j in 0..3: A[i, j] * s))", "21 * s"),
        ("sum(i in 0..2: sum(x))", "2 * sum(x)"),
        ("sum(sum(i in 0..2: x * i))", "sum(x)"),
        ("len(x) + rows(A) * s + columns(A)", "3 + 2 * s + 3"),
        ("dot([x[0], s], [s, x[1]])", "s * (x[0] + x[1])"),
        ("sum([x, 2 * x][1])", "2 * sum(x)"),
        ("sum(i in 0..3: logsumexp([x[i], s]))", "sum(logsumexp(x, s))"),
        ("logsumexp(i in 0..2: dot(A[i], x) * s)", "logsumexp((A @ x) * s)"),
        ("max(x) + min(x)", "max(i in 0..3: x[i]) + min(i in 0..3: x[i])"),
        ("sum(i in 0..3: if i > 0 then x[i] else s)", "s + x[1] + x[2]"),
        ("sum(if x > 0 then x else 0)", "sum(max(x, 0))"),
        ("sum(i in 0..2: (A * s)[i] @ x)", "sum((A @ x)) * s"),
    ] {
        let (a, b) = (made(&list, &data, a), made(&list, &data, b));
        let at = points("indices", 70, 4, 1.0);
        let ((found, gradients), (right, right_gradients)) = (evaluate(&a, &at), evaluate(&b, &at));
        assert!(found.iter().zip(&right).all(|(a, b)| close(*a, *b, 1e-12)), "{a:?}\n{b:?}");
        assert!(gradients.iter().zip(&right_gradients).all(|(a, b)| close(*a, *b, 1e-12)), "{a:?}\n{b:?}");
    }
}

#[test]
fn infinite_data_of_no_influence_leave_no_trace() {
    // log(y) has −∞ in it, and its product with t is a sum that is taken apart.
    let list = [("t", Support::Vector(2, Box::default()))];
    let data = [("y", Datum::Vector(vec![0.0, 1.0])), ("m", Datum::Matrix(vec![0.0, 1.0, 1.0, 2.0], 2))];
    for text in [
        "t ~ std_normal()\nif t[0] > 1.5 then sum(log(y) * t) else 0",
        "t ~ std_normal()\nlogsumexp(sum(log(y) * exp(t)), t[1])",
        "t ~ std_normal()\nif t[0] > 1.5 then sum(log(m) @ t) else 0",
    ] {
        let target = made(&list, &data, text);
        let (values, gradients) = evaluate(&target, &[0.3, -0.4, 1.2, 0.7]);
        assert!(values.iter().chain(&gradients).all(|x| x.is_finite()), "{text}: {values:?} {gradients:?}");
    }
}

#[test]
fn branches_that_are_not_taken_leave_no_trace() {
    let written = made(&[("x", Support::Real)], &[], "if x > 0 then log(x) + sqrt(x) + 1 / x else x");
    let (values, gradients) = evaluate(&written, &[-1.0, 0.0]);
    assert_eq!((values, gradients), (vec![-1.0, 0.0], vec![1.0, 1.0]));
}

/// Every support, with points of a suitable spread.
fn supports() -> Vec<Support> {
    vec![
        Support::Real,
        Support::Positive,
        Support::Interval(-2.0, 5.0),
        Support::Vector(3, Box::new(Support::Real)),
        Support::Vector(3, Box::new(Support::Positive)),
        Support::Vector(2, Box::new(Support::Interval(0.0, 1.0))),
        Support::Ordered(1),
        Support::Ordered(4),
        Support::Simplex(2),
        Support::Simplex(5),
    ]
}

/// ln |det| by elimination with pivots.
fn log_determinant(mut a: Vec<Vec<f64>>) -> f64 {
    let n = a.len();
    let mut sum = 0.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).expect("a row");
        a.swap(k, pivot);
        sum += a[k][k].abs().ln();
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            (k..n).for_each(|j| a[i][j] -= factor * a[k][j]);
        }
    }
    sum
}

#[test]
fn supports_are_bijections_with_their_jacobians() {
    for support in supports() {
        let (n, m) = (support.coordinates(), support.values());
        assert_eq!(support.fault(), None);
        // The density that is 1 everywhere has the log Jacobian alone; and values are those of the map.
        let flat = made(&[("x", support.clone())], &[], "0");
        let weighted = if m == 1 && n == 1 && !matches!(support, Support::Ordered(_)) {
            "x"
        } else {
            "sum(i in 0..len(x): (i + 1) * x[i])"
        };
        let linear = made(&[("x", support.clone())], &[], weighted);
        let at = points("supports", 100, n, 1.5);
        assert_gradients("a flat density", &flat, &at);
        assert_gradients("a linear density", &linear, &at);
        for ((u, log_jacobian), sum) in at.chunks(n).zip(values(&flat, &at)).zip(values(&linear, &at)) {
            let (mut x, mut back) = (vec![0.0; m], vec![0.0; n]);
            let direct = support.constrain(u, &mut x);
            assert!(close(log_jacobian, direct, 1e-12), "{support:?}: {log_jacobian} {direct}");
            let right: f64 = x.iter().enumerate().map(|(i, x)| (i + 1) as f64 * x).sum();
            assert!(close(sum, right + direct, 1e-12), "{support:?}");
            let inverse = support.unconstrain(&x, &mut back).expect("inside");
            assert!(close(inverse, direct, 1e-9));
            assert!(u.iter().zip(&back).all(|(a, b)| close(*a, *b, 1e-8)), "{support:?}: {u:?} {back:?}");
            // Central differences; a simplex is measured by all of its values but the last.
            let column = |i: usize| {
                let shifted = |shift: f64| {
                    let (mut u, mut x) = (u.to_vec(), vec![0.0; m]);
                    u[i] += shift;
                    support.constrain(&u, &mut x);
                    x
                };
                let (up, down) = (shifted(1e-5), shifted(-1e-5));
                (0..n).map(|k| (up[k] - down[k]) / 2e-5).collect::<Vec<f64>>()
            };
            let numerical = log_determinant((0..n).map(column).collect());
            assert!(close(numerical, direct, 1e-6), "{support:?}: {numerical} {direct}");
        }
    }
    for bad in [
        Support::Interval(1.0, 1.0),
        Support::Interval(0.0, f64::INFINITY),
        Support::Vector(0, Box::default()),
        Support::Vector(2, Box::new(Support::Simplex(2))),
        Support::Simplex(1),
        Support::Ordered(100_000),
    ] {
        assert!(bad.fault().is_some(), "{bad:?}");
    }
    let mut u = [0.0; 2];
    assert!(Support::Positive.unconstrain(&[-1.0], &mut u[..1]).is_none());
    assert!(Support::Interval(0.0, 1.0).unconstrain(&[1.5], &mut u[..1]).is_none());
    assert!(Support::Ordered(2).unconstrain(&[1.0, 0.5], &mut u).is_none());
    assert!(Support::Simplex(3).unconstrain(&[0.5, 0.2, 0.2], &mut u).is_none());
}

#[test]
fn known_densities_are_recovered_over_the_unconstrained_space() {
    // ∫ γ du over a wide box, by the trapezoidal rule, which is exact to rounding for smooth functions that vanish at both ends.
    let total = |written: &Expression, half_width: f64, n: usize| {
        let (dim, step) = (written.dim(), 2.0 * half_width / n as f64);
        let at = |i: usize| -half_width + (i as f64 + 0.5) * step;
        let rows: Vec<f64> = match dim {
            1 => (0..n).map(at).collect(),
            _ => (0..n * n).flat_map(|k| [at(k / n), at(k % n)]).collect(),
        };
        values(written, &rows).into_iter().map(f64::exp).sum::<f64>() * step.powi(dim as i32)
    };
    for (support, text, right) in [
        (Support::Positive, "x ~ gamma(2, 3)", 1.0),
        (Support::Positive, "x ~ half_normal(2)", 1.0),
        (Support::Positive, "x ~ normal(0, 2)", 0.5),
        (Support::Interval(0.0, 1.0), "x ~ beta(2, 3)", 1.0),
        (Support::Interval(-1.0, 3.0), "0", 4.0),
        (Support::Interval(-1.0, 3.0), "x^2", 0.0),
        (Support::Ordered(2), "x ~ std_normal()", 0.5),
        (Support::Simplex(3), "x ~ dirichlet([1, 2, 1.5])", 1.0),
        (Support::Simplex(3), "0", 0.5),
        (Support::Simplex(2), "x ~ dirichlet([2, 2])", 1.0),
        (Support::Vector(2, Box::new(Support::Positive)), "x ~ exponential([2, 3])", 1.0),
    ] {
        let written = made(&[("x", support)], &[], text);
        let (half_width, n) = if written.dim() == 1 { (60.0, 20_000) } else { (30.0, 1500) };
        let found = total(&written, half_width, n);
        // ∫ e^{x²} from −1 to 3, by the midpoint rule.
        let right = if text == "x^2" {
            (0..400_000).map(|i| (-1.0 + (f64::from(i) + 0.5) * 1e-5).powi(2).exp() * 1e-5).sum()
        } else {
            right
        };
        assert!(close(found, right, 1e-6), "{text}: {found} {right}");
    }
}

#[test]
fn cost_is_linear_in_the_dimension() {
    let time = |n: usize| {
        let list = [("v", Support::Real), ("x", Support::Vector(n, Box::default()))];
        let terms = (0..n).map(|i| format!("+ x[{i}]^2 / 3")).collect::<Vec<_>>().join("\n");
        let text =
            format!("v ~ normal(0, 3); x ~ normal(0, exp(v / 2))\n sum(i in 1..{n}: x[i] * x[i - 1])\n (0 {terms})");
        let start = std::time::Instant::now();
        let written = made(&list, &[], &text);
        let compiled = start.elapsed().as_secs_f64();
        let at = points("linear", 256, n + 1, 1.0);
        let run = (0..5).map(|_| {
            let start = std::time::Instant::now();
            let _ = evaluate(&written, &at);
            start.elapsed().as_secs_f64()
        });
        (compiled, run.fold(f64::INFINITY, f64::min))
    };
    let (small, large) = (time(20), time(1000));
    // 50 times the size; the room is for caches and a busy machine, and far below 50².
    assert!(large.1 < 400.0 * small.1, "{small:?} {large:?}");
    assert!(large.0 < 2.0, "{small:?} {large:?}");
}

#[test]
fn faults_name_their_place_and_what_would_be_right() {
    let data =
        [("y", Datum::Vector(vec![1.0, 2.5, -3.0])), ("X", Datum::Matrix(vec![1.0; 6], 2)), ("n", Datum::Number(3.0))];
    let list = [("mu", Support::Real), ("sigma", Support::Positive), ("beta", Support::Vector(2, Box::default()))];
    for (text, line, column, fragments) in [
        ("mu ~ normal(0, 5\n", 1, 17, &["found the end", "expected `)`"][..]),
        ("mu ~ normal(0, 5)\nsgma ~ half_cauchy(5)", 2, 1, &["`sgma`", "did you mean `sigma`?"]),
        ("mu ~ norml(0, 5)", 1, 6, &["no distribution `norml`", "did you mean `normal`?"]),
        ("expp(mu)", 1, 1, &["no function `expp`", "did you mean `exp`?"]),
        ("mu ~ normal(0)", 1, 6, &["normal(mu, sigma) is right", "standard deviation"]),
        ("normal(mu, 0)", 1, 1, &["normal(x, mu, sigma) is right"]),
        ("exp(mu, mu)", 1, 1, &["2 arguments; one is right"]),
        ("pow(mu)", 1, 1, &["1 arguments; 2 are right"]),
        ("mu + y", 1, 1, &["a vector of 3", "sum(", "~"]),
        ("mu > 0", 1, 1, &["a condition", "a number"]),
        ("(mu > 0) * 2", 1, 1, &["found a condition", "a number is right"]),
        ("if mu then 1 else 0", 1, 4, &["a condition such as"]),
        ("if mu > 0 then 1", 1, 17, &["expected `else`"]),
        ("sum(y + beta)", 1, 5, &["a vector of 3 meets a vector of 2"]),
        ("sum(X * beta)", 1, 5, &["a 3 × 2 matrix meets a vector of 2", "`@`"]),
        ("sum(X @ y)", 1, 5, &["a matrix and a vector that fit"]),
        ("y[3] * mu", 1, 3, &["the index is 3; 0 to 2"]),
        ("y[mu]", 1, 3, &["depends on a parameter"]),
        ("y[1, 2] * mu", 1, 1, &["2 indices on a vector of 3"]),
        ("sum(y[1..5]) * mu", 1, 7, &["the range 1..5 of 3 places"]),
        ("sum(i in 0..mu: i)", 1, 13, &["depends on a parameter"]),
        ("sum(i in 0..2.5: i)", 1, 13, &["2.5; a whole number"]),
        ("sum(i in 0..3: sum(j in 0..i: 1)) * mu", 1, 28, &["if … then … else 0"]),
        ("sum(n in 0..3: 1) * mu", 1, 5, &["`n` has a value already"]),
        ("mu = 3", 1, 1, &["`mu` has a value already"]),
        ("pi = 3", 1, 1, &["`pi` has a value already"]),
        ("a = mu\n- 3", 2, 1, &["begins with `-`", "`;`"]),
        ("mu\n* 3", 2, 1, &["cannot begin with `*`"]),
        ("mu 3", 1, 4, &["the number 3", "expected an operator"]),
        ("2mu", 1, 1, &["`*` is right"]),
        ("mu & 1", 1, 4, &["`and` is right"]),
        ("mu' * 2", 1, 3, &["found `'`"]),
        ("1 < mu < 2", 1, 8, &["a < b and b < c"]),
        ("mu + 1e999", 1, 6, &["no finite number"]),
        ("y ~ poisson_log(mu)", 1, 1, &["`y` of `poisson_log` is 2.5 (place 1)", "whole number"]),
        ("mu ~ poisson_log(1)", 1, 1, &["depends on a parameter"]),
        ("mu ~ normal(0, -1)", 1, 16, &["`sigma` of `normal` is -1", "a positive number"]),
        ("3 ~ binomial_logit(2, mu)", 1, 1, &["3 of 2 trials"]),
        ("3 ~ beta_binomial(2, 1, exp(mu))", 1, 1, &["`beta_binomial` is 3 of 2 trials"]),
        ("normal + mu", 1, 1, &["is a function"]),
        ("sum(exp)", 1, 5, &["is a function"]),
        ("", 1, 1, &["there is nothing"]),
        ("# only a comment", 1, 1, &["there is nothing"]),
        ("mu ~ normal(i in 0..3: 1)", 1, 13, &["takes values, not a loop"]),
        ("dot(i in 0..3: mu)", 1, 1, &["cannot go over a range"]),
        ("vector(mu)", 1, 1, &["vector(i in 0..n: …)"]),
        ("mu + α", 1, 6, &["nothing is called `α`"]),
        ("[]", 1, 1, &["an empty list"]),
        ("3 = mu", 1, 1, &["only a name"]),
        ("solve_lower(X, y)", 1, 1, &["a lower triangular matrix"]),
        ("beta ~ multi_normal_cholesky(0, [[1, 0], [1, -1]])", 1, 1, &["not positive"]),
    ] {
        let error = compile(&list, &data, text).expect_err(text);
        assert!(error.starts_with(&format!("line {line}, column {column}: ")), "{text}\n{error}");
        for fragment in fragments {
            assert!(error.contains(fragment), "{text}\n{error}");
        }
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 3, "{error}");
        let caret = lines[2].chars().position(|c| c == '^').expect("a caret");
        assert_eq!(caret, 2 + column - 1, "{error}");
        assert_eq!(lines[1].trim_start(), text.lines().nth(line - 1).unwrap_or("").trim(), "{error}");
    }
    let nothing: &[(&str, Datum)] = &[];
    for (list, data, right) in [
        (&[("if", Support::Real)][..], nothing, "a meaning of its own"),
        (&[("pi", Support::Real)], nothing, "a meaning of its own"),
        (&[("2x", Support::Real)], nothing, "is no name"),
        (&[("x", Support::Real), ("x", Support::Real)], nothing, "occurs twice"),
        (&[("n", Support::Real)], &data[2..], "occurs twice"),
        (&[("x", Support::Interval(1.0, 0.0))], nothing, "parameter `x`: Interval(1, 0)"),
        (&[], nothing, "no parameters"),
        (&[("x", Support::Real)], &[("d", Datum::Vector(vec![f64::NAN]))], "data `d`"),
        (
            &[("x", Support::Vector(60_000, Box::default())), ("y", Support::Vector(60_000, Box::default()))],
            nothing,
            "65536",
        ),
    ] {
        let error = compile(list, data, "0").expect_err(right);
        assert!(error.contains(right), "{error}");
    }
}
