//! Texts that nobody would write: the language refuses or compiles and evaluates them, without panic, delay or much memory.
//!
//! Set FLOWDISTILL_FUZZ_SECONDS to go on for longer, and FLOWDISTILL_FUZZ_SEED for other texts.

use flowdistill::expression::{Datum, Expression};
use flowdistill::target::{Density, Faults, Parameter, Support};
use rand::{seq::SliceRandom, Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{Seek, Write};
use std::time::{Duration, Instant};

type Random = ChaCha8Rng;

const NAMES: [&str; 16] =
    ["mu", "sigma", "beta", "p", "c", "w", "θ", "y", "X", "n", "group", "many", "i", "j", "a", "b"];
const NUMBERS: [&str; 18] = [
    "0",
    "1",
    "2",
    "3",
    "0.5",
    "1e-320",
    "1e308",
    "1e999",
    "999999999999",
    "9007199254740993",
    "1000000",
    "4096",
    "pi",
    "inf",
    "1.",
    ".5",
    "0.1e-3",
    "00012",
];
const FUNCTIONS: [&str; 35] = [
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "square",
    "tanh",
    "sigmoid",
    "softplus",
    "lgamma",
    "digamma",
    "erf",
    "abs",
    "sin",
    "cos",
    "atan",
    "pow",
    "min",
    "max",
    "sum",
    "mean",
    "sd",
    "dot",
    "logsumexp",
    "cumulative_sum",
    "len",
    "rows",
    "columns",
    "transpose",
    "solve_lower",
    "log_determinant_lower",
    "log_mix",
    "log_rising",
    "vector",
    "matrix",
];
const DISTRIBUTIONS: [(&str, usize); 20] = [
    ("normal", 2),
    ("std_normal", 0),
    ("half_normal", 1),
    ("student_t", 3),
    ("cauchy", 2),
    ("half_cauchy", 1),
    ("laplace", 2),
    ("logistic", 2),
    ("uniform", 2),
    ("gamma", 2),
    ("inv_gamma", 2),
    ("exponential", 1),
    ("lognormal", 2),
    ("beta", 2),
    ("bernoulli_logit", 1),
    ("binomial_logit", 2),
    ("beta_binomial", 3),
    ("poisson_log", 1),
    ("multi_normal_cholesky", 2),
    ("dirichlet", 1),
];
const PIECES: [&str; 34] = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    ";",
    "\n",
    "..",
    "~",
    "=",
    "==",
    "<=",
    "!=",
    "^",
    "@",
    "-",
    "+",
    "*",
    "/",
    "if ",
    " then ",
    " else ",
    " in ",
    " and ",
    " or ",
    "not ",
    "#",
    "//",
    "é",
    "\t",
    "\u{0}",
    "\u{202e}",
    "i in 0..9:",
];

/// A value of the grammar, nested at most so deep.
fn value(rng: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return if rng.gen_bool(0.3) { pick(rng, &NUMBERS) } else { pick(rng, &NAMES) };
    }
    let inner = |rng: &mut Random| {
        let less = rng.gen_range(1..=depth);
        value(rng, depth - less)
    };
    match rng.gen_range(0..15) {
        0..=3 => {
            let operator = pick(rng, &["+", "-", "*", "/", "^", "@", "<", "==", ">=", "and", "or"]);
            format!("{} {operator} {}", inner(rng), inner(rng))
        }
        4 => format!("({})", inner(rng)),
        5 => format!("-{}", inner(rng)),
        6 => format!("(if {} > {} then {} else {})", inner(rng), inner(rng), inner(rng), inner(rng)),
        7 | 8 => {
            let count = if rng.gen_bool(0.8) { 1 } else { rng.gen_range(0..4) };
            let arguments: Vec<String> = (0..count).map(|_| inner(rng)).collect();
            format!("{}({})", pick(rng, &FUNCTIONS), arguments.join(", "))
        }
        9 => format!("{}[{}]", inner(rng), inner(rng)),
        10 => format!("{}[{}..{}]", inner(rng), pick(rng, &NUMBERS), pick(rng, &NUMBERS)),
        11 => {
            let len = if rng.gen_bool(0.95) { rng.gen_range(0..5) } else { rng.gen_range(100..3000) };
            let item = inner(rng);
            // Not much above the longest text, or it is the test that takes the memory.
            let len = len.min(300_000 / item.len().max(1));
            format!("[{}]", vec![item; len].join(", "))
        }
        12 | 13 => {
            let of = pick(rng, &["sum", "sum", "vector", "matrix", "logsumexp", "max", "mean", "exp"]);
            let end = |rng: &mut Random| match rng.gen_range(0..8) {
                0 => inner(rng),
                1 => pick(rng, &NUMBERS),
                2 => rng.gen_range(1000..2_000_000).to_string(),
                _ => pick(rng, &["n", "2", "len(y)", "rows(X)", "9"]),
            };
            let second = if rng.gen_bool(0.3) { format!(", j in 0..{}", end(rng)) } else { String::new() };
            format!("{of}(i in 0..{}{second}: {})", end(rng), inner(rng))
        }
        _ => {
            let (name, count) = *DISTRIBUTIONS.choose(rng).expect("some");
            let arguments: Vec<String> = (0..count + 1).map(|_| inner(rng)).collect();
            format!("{name}({})", arguments.join(", "))
        }
    }
}

/// A value that fits its place: a number, or a vector of three.
fn sound(rng: &mut Random, depth: usize, vector: bool) -> String {
    if depth == 0 {
        let vectors = ["y", "θ", "c", "p", "X @ beta", "X[.., 0]", "many[7..10]", "p[group][1..4]"];
        let numbers =
            ["mu", "sigma", "w", "beta[1]", "θ[0]", "y[2]", "n", "0.5", "2", "X[2, 1]", "1e300", "-1e-9", "0"];
        return if vector { pick(rng, &vectors) } else { pick(rng, &numbers) };
    }
    let inner = |rng: &mut Random, vector: bool| {
        let less = rng.gen_range(1..=depth);
        if rng.gen_ratio(1, 60) {
            value(rng, depth - less)
        } else {
            sound(rng, depth - less, vector)
        }
    };
    match rng.gen_range(0..12) {
        0..=2 => {
            let other = vector && rng.gen();
            let operator = pick(rng, &["+", "-", "*", "/", "^"]);
            format!("({} {operator} {})", inner(rng, vector), inner(rng, other))
        }
        3 | 4 => format!("{}({})", pick(rng, &FUNCTIONS[..16]), inner(rng, vector)),
        5 => {
            let operator = pick(rng, &["<", "<=", ">", "!=", "=="]);
            let condition = format!("{} {operator} {}", inner(rng, vector), inner(rng, false));
            format!("(if {condition} then {} else {})", inner(rng, vector), inner(rng, vector))
        }
        6 => {
            let f = pick(rng, &["min", "max", "logsumexp", "pow"]);
            format!("{f}({}, {})", inner(rng, vector), inner(rng, vector))
        }
        7 => {
            let (name, count) = *DISTRIBUTIONS[..14].choose(rng).expect("some");
            let arguments: Vec<String> = (0..count + 1).map(|_| inner(rng, vector)).collect();
            format!("{name}({})", arguments.join(", "))
        }
        8 if vector => format!("vector(i in 0..3: θ[i] * {})", inner(rng, false)),
        9 if vector => format!("cumulative_sum({})", inner(rng, true)),
        10 if vector => format!("poisson_log(y, {})", inner(rng, true)),
        _ if vector => format!("[{}, {}, {}]", inner(rng, false), inner(rng, false), inner(rng, false)),
        8 => format!("sum(i in 0..{}: sin(i) * {})", rng.gen_range(0..400), inner(rng, false)),
        9 => format!("dot({}, {})", inner(rng, true), inner(rng, true)),
        _ => {
            let f = pick(rng, &["sum", "mean", "sd", "max", "min", "logsumexp"]);
            format!("{f}({})", inner(rng, true))
        }
    }
}

fn pick(rng: &mut Random, list: &[&str]) -> String {
    (*list.choose(rng).expect("some")).to_string()
}

/// Some lines of the grammar.
fn text(rng: &mut Random) -> String {
    let lines = rng.gen_range(1..5);
    let lines: Vec<String> = (0..lines)
        .map(|_| {
            let depth = rng.gen_range(0..7);
            match rng.gen_range(0..8) {
                4..=6 => sound(rng, depth, false),
                7 => format!("sum({})", sound(rng, depth, true)),
                0 => format!("{} = {}", pick(rng, &["a", "b", "a", "c2", "mu"]), value(rng, depth)),
                1 => {
                    let (name, count) = *DISTRIBUTIONS.choose(rng).expect("some");
                    let arguments: Vec<String> = (0..count).map(|_| value(rng, depth / 2)).collect();
                    format!("{} ~ {name}({})", pick(rng, &NAMES), arguments.join(", "))
                }
                2 => format!("sum({})", value(rng, depth)),
                _ => value(rng, depth),
            }
        })
        .collect();
    lines.join(if rng.gen_bool(0.5) { "\n" } else { ";" })
}

/// One change of the kind that slips, editors and ill will make.
fn mutate(text: &str, rng: &mut Random) -> String {
    let letters: Vec<char> = text.chars().take(300_000).collect();
    let at = rng.gen_range(0..=letters.len());
    let to = (at + rng.gen_range(0..12)).min(letters.len());
    let part = |from: usize, to: usize| letters[from..to].iter().collect::<String>();
    let (before, piece, after) = (part(0, at), part(at, to), part(to, letters.len()));
    match rng.gen_range(0..7) {
        0 => before + &after,
        1 => before + &pick(rng, &PIECES) + &piece + &after,
        2 => before + &pick(rng, &NAMES) + &after,
        3 => before + &pick(rng, &NUMBERS) + &after,
        // Said again, and again.
        4 => before + &piece.repeat(rng.gen_range(2..6)) + &after,
        5 => {
            before
                + &pick(rng, &["(", "[", "-", "not ", "exp(", "2^", "(if 1 < 2 then "]).repeat(rng.gen_range(2..4000))
                + &after
        }
        _ => after + &piece + &before,
    }
}

fn world() -> (Vec<Parameter>, Vec<(String, Datum)>) {
    let vector = |n, of| Support::Vector(n, Box::new(of));
    let parameters = [
        ("mu", Support::Real),
        ("sigma", Support::Positive),
        ("beta", vector(2, Support::Real)),
        ("p", Support::Simplex(3)),
        ("c", Support::Ordered(3)),
        ("w", Support::Interval(-1.0, 2.0)),
        ("θ", vector(3, Support::Positive)),
    ];
    let data = [
        ("y", Datum::Vector(vec![1.0, 0.0, 1.0])),
        ("X", Datum::Matrix(vec![1.0, -2.0, 0.5, 0.0, 3.0, 1.5], 2)),
        ("n", Datum::Number(3.0)),
        ("group", Datum::Vector(vec![0.0, 1.0, 1.0, 0.0, 2.0])),
        ("many", Datum::Vector((0..2000).map(f64::from).collect())),
    ];
    (
        parameters.map(|(name, support)| Parameter { name: name.into(), support }).into(),
        data.map(|(name, datum)| (name.into(), datum)).into(),
    )
}

/// Compiles and evaluates `text`; whether it was a density.
fn attempt(text: &str, rng: &mut Random) -> bool {
    const ROWS: usize = 5;
    let (parameters, data) = world();
    let written = match Expression::new(parameters, data, text) {
        Ok(written) => written,
        Err(fault) => {
            assert!(!fault.is_empty() && fault.len() < 5000, "{fault}");
            return false;
        }
    };
    let dim = written.dim();
    let points: Vec<f64> = (0..ROWS * dim).map(|_| rng.gen_range(-3.0..3.0)).collect();
    let (mut values, mut gradients, mut alone) = (vec![0.0; ROWS], vec![0.0; ROWS * dim], vec![0.0; ROWS]);
    let mut faults = Faults::default();
    written.evaluate(&points, &mut values, Some(&mut gradients), &mut faults).expect("never fatal");
    written.evaluate(&points, &mut alone, None, &mut Faults::default()).expect("never fatal");
    for (row, (value, alone)) in values.iter().zip(&alone).enumerate() {
        assert!(value == alone || value.is_nan() && alone.is_nan(), "{value} with gradients, {alone} without");
        assert_eq!(value.is_nan(), faults.rows().contains(&row), "a row without a value is a fault");
        assert!(*value < f64::INFINITY || value.is_nan(), "plus infinity is no value");
    }
    true
}

/// The most memory that this process has had, in MiB, where the system tells.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn from_environment(name: &str) -> Option<f64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn odd_texts_are_refused_or_evaluated_without_panic_delay_or_much_memory() {
    let long = from_environment("FLOWDISTILL_FUZZ_SECONDS");
    let seed = from_environment("FLOWDISTILL_FUZZ_SEED").unwrap_or(1.0);
    let mut rng = Random::seed_from_u64(seed as u64);
    let path = std::env::temp_dir().join("flowdistill-fuzz-expression.txt");
    let mut last = long.map(|_| std::fs::File::create(path).expect("a file"));
    let begun = Instant::now();
    let (mut rounds, mut whole, mut accepted, mut mutants, mut slowest) = (0u64, 0u64, 0u64, 0u64, Duration::ZERO);
    while begun.elapsed() < Duration::from_secs_f64(long.unwrap_or(1.0)) || rounds < 3000 {
        rounds += 1;
        let mut text = text(&mut rng);
        let mutations = rng.gen_range(0..4);
        for _ in 0..mutations {
            text = mutate(&text, &mut rng);
        }
        // What ends the process without a word can be read afterwards.
        if let Some(file) = &mut last {
            file.rewind()
                .and_then(|()| write!(file, "{text}\n--- seed {seed}, round {rounds} ---\n"))
                .expect("written");
        }
        let start = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attempt(&text, &mut rng)));
        let density = result.unwrap_or_else(|_| panic!("seed {seed}, round {rounds}:\n{text}"));
        slowest = slowest.max(start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}:\n{text}", start.elapsed());
        whole += u64::from(density && mutations == 0);
        mutants += u64::from(density && mutations > 0);
        accepted += u64::from(density);
        let watched = long.is_some() || rounds % 64 == 0 || density;
        if let Some(peak) = watched.then(peak).flatten() {
            assert!(peak < 512.0, "{peak} MiB, at the latest by\n{text}");
        }
    }
    assert!(
        whole > rounds / 200 && mutants > 0,
        "{whole} whole and {mutants} changed texts of {rounds} were densities"
    );
    let (slowest, peak) = (slowest.as_secs_f64(), peak().unwrap_or(f64::NAN));
    println!("{rounds} texts, {accepted} of them densities, slowest {slowest:.2} s, at most {peak:.0} MiB");
}

#[test]
fn deep_long_and_large_texts_are_no_exception() {
    let mut rng = Random::seed_from_u64(1);
    for text in [
        "(".repeat(100_000),
        "-".repeat(100_000) + "mu",
        "not ".repeat(50_000),
        "[".repeat(200_000),
        "mu^".repeat(50_000) + "2",
        "if mu > 0 then 1 else ".repeat(10_000) + "2",
        format!("mu{}", "[0]".repeat(50_000)),
        format!("exp({}", "exp(".repeat(50_000)),
        format!("{}mu", "mu + ".repeat(40_000)),
        format!("{}mu", "mu - mu * ".repeat(20_000)),
        "x".repeat(300_000),
        "sum(i in 0..99999999: mu)".into(),
        "sum(i in 0..9999, j in 0..9999: mu * i * j)".into(),
        "sum(i in 0..4000, j in 0..4000: i * j) * mu".into(),
        "sum(i in 0..3000: sum(exp(vector(j in 0..3000: i * j * mu))))".into(),
        "sum(i in 0..999999: exp(mu * i))\n".repeat(50),
        "a = vector(i in 0..9999: i) * mu\n matrix(i in 0..9999, j in 0..9999: a[i] * a[j])[0, 0]".into(),
    ] {
        let start = Instant::now();
        attempt(&text, &mut rng);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {}", start.elapsed(), &text[..40]);
    }
    // Deep is not wrong: forty thousand additions are a sum.
    let (parameters, data) = world();
    let long = Expression::new(parameters, data, &format!("{}mu", "mu + ".repeat(40_000))).expect("a density");
    let at = |mu: f64| {
        let mut point = vec![0.0; long.dim()];
        point[0] = mu;
        let mut value = [0.0];
        long.evaluate(&point, &mut value, None, &mut Faults::default()).expect("not fatal");
        value[0]
    };
    assert_eq!(at(1.0) - at(0.0), 40_001.0);
}
