//! What is seen in a table before it is fitted: every kind of oddity is found, by how much, and clean tables raise no alarm.

use flowdistill::data::look::{look, Finding, Kind, Known, Severity};
use flowdistill::data::{Grid, Table};
use flowdistill::seed::{normal_pair, open_unit, Seed};
use rand::RngCore;

/// Named columns, row by row.
fn table(columns: &[(&str, Vec<f64>)]) -> Table {
    let names = columns.iter().map(|(name, _)| name.to_string()).collect();
    let rows = columns[0].1.len();
    let values = (0..rows).flat_map(|row| columns.iter().map(move |(_, values)| values[row])).collect();
    Table::new(names, values).expect("a table")
}

/// `rows` numbers, each made by `draw`.
fn column(seed: u64, rows: usize, draw: impl Fn(&mut dyn RngCore) -> f64) -> Vec<f64> {
    let stream = Seed(seed).stream("tests/look");
    (0..rows).map(|row| draw(&mut stream.row(row as u64))).collect()
}

fn normal(rng: &mut dyn RngCore) -> f64 {
    normal_pair(rng)[0]
}

fn exponential(rng: &mut dyn RngCore) -> f64 {
    -open_unit(rng).ln()
}

/// A gamma number of shape n / 2.
fn gamma(halves: usize, rng: &mut dyn RngCore) -> f64 {
    (0..halves).map(|_| normal(rng).powi(2) / 2.0).sum()
}

fn seen(table: &Table) -> Vec<Finding> {
    look(table, &Known::default())
}

fn words(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{}\n", finding.words())).collect()
}

type Draw = Box<dyn Fn(&mut dyn RngCore) -> f64>;

/// Columns with the bounds that they need a link for.
fn bounded_columns() -> Vec<(&'static str, Option<f64>, Option<f64>, Draw)> {
    let beta = |a: usize, b: usize, rng: &mut dyn RngCore| {
        let (a, b) = (gamma(a, rng), gamma(b, rng));
        a / (a + b)
    };
    let zero = Some(0.0);
    vec![
        ("gamma of shape 1/2", zero, None, Box::new(|rng| gamma(1, rng))),
        ("exponential", zero, None, Box::new(exponential)),
        ("a small exponential", zero, None, Box::new(|rng| 1e-6 * exponential(rng))),
        ("gamma of shape 2", zero, None, Box::new(|rng| gamma(4, rng))),
        ("log-normal", zero, None, Box::new(|rng| normal(rng).exp())),
        ("log-normal of deviation 2", zero, None, Box::new(|rng| (2.0 * normal(rng)).exp())),
        ("half-normal", zero, None, Box::new(|rng| normal(rng).abs())),
        ("half-Cauchy", zero, None, Box::new(|rng| (normal(rng) / normal(rng)).abs())),
        (
            "normal(2, 1) above 0",
            zero,
            None,
            Box::new(|rng| loop {
                let x = 2.0 + normal(rng);
                if x > 0.0 {
                    break x;
                }
            }),
        ),
        ("ages from 18 on", Some(18.0), None, Box::new(|rng| 18.0 + 20.0 * exponential(rng))),
        ("uniform", zero, Some(1.0), Box::new(|rng| open_unit(rng))),
        ("third power of a uniform number", zero, Some(1.0), Box::new(|rng| open_unit(rng).powi(3))),
        ("beta(2, 2)", zero, Some(1.0), Box::new(move |rng| beta(4, 4, rng))),
        ("beta(5, 1) in per cent", zero, Some(100.0), Box::new(|rng| 100.0 * open_unit(rng).powf(0.2))),
        ("a correlation", Some(-1.0), Some(1.0), Box::new(|rng| (6.0 * open_unit(rng)).cos())),
        ("uniform within 4", Some(-4.0), Some(4.0), Box::new(|rng| 8.0 * open_unit(rng) - 4.0)),
        ("minus an exponential", None, zero, Box::new(|rng| -exponential(rng))),
        ("normal", None, None, Box::new(normal)),
        ("normal(50, 5)", None, None, Box::new(|rng| 50.0 + 5.0 * normal(rng))),
        ("normal(3.5, 1)", None, None, Box::new(|rng| 3.5 + normal(rng))),
        ("beta(20, 20)", None, None, Box::new(move |rng| beta(40, 40, rng))),
        ("gamma of shape 10", None, None, Box::new(|rng| gamma(20, rng))),
        ("log-normal of deviation 1/2", None, None, Box::new(|rng| (0.5 * normal(rng)).exp())),
        ("Cauchy", None, None, Box::new(|rng| normal(rng) / normal(rng))),
        ("Gumbel", None, None, Box::new(|rng| -exponential(rng).ln())),
        ("third power of a normal number", None, None, Box::new(|rng| normal(rng).powi(3))),
        ("two clusters", None, None, Box::new(|rng| 0.3 * normal(rng) + 4.0 * (open_unit(rng) - 0.5).signum())),
        ("a small cluster", None, None, Box::new(|rng| normal(rng) - if open_unit(rng) < 0.04 { 9.0 } else { 0.0 })),
    ]
}

#[test]
fn bounds_are_found_where_a_fit_without_a_link_would_draw_outside() {
    for (name, low, high, draw) in bounded_columns() {
        for rows in [2000, 20_000] {
            for seed in 0..4 {
                let found = seen(&table(&[("x", column(seed, rows, &draw))]));
                let bounds: Vec<_> = found
                    .iter()
                    .filter_map(|finding| match finding.kind {
                        Kind::Bound { low, high, .. } => Some((low, high)),
                        _ => None,
                    })
                    .collect();
                let right: Vec<_> = (low.is_some() || high.is_some()).then_some((low, high)).into_iter().collect();
                assert_eq!(bounds, right, "{name}, {rows} rows, seed {seed}: {}", words(&found));
                let others = found.iter().filter(|finding| !matches!(finding.kind, Kind::Bound { .. }));
                assert_eq!(others.count(), 0, "{name}, {rows} rows, seed {seed}: {}", words(&found));
            }
        }
    }
}

#[test]
fn clean_tables_raise_no_alarm() {
    let mut alarms = Vec::new();
    let tables = 200;
    for i in 0..tables {
        let mut rng = Seed(i).stream("tests/look/clean").row(0);
        let columns = 1 + (open_unit(&mut rng) * 20.0) as usize;
        let rows = (50.0 * 400f64.powf(open_unit(&mut rng))) as usize;
        let (kind, tied) = (i % 4, open_unit(&mut rng));
        let places: Vec<[f64; 2]> =
            (0..columns).map(|_| [100.0 * normal(&mut rng), (3.0 * normal(&mut rng)).exp()]).collect();
        let mut values = Vec::new();
        for row in 0..rows {
            let mut rng = Seed(i).stream("tests/look/rows").row(row as u64);
            let common = normal(&mut rng);
            let heavy = (gamma(3, &mut rng) / 1.5).sqrt();
            let cluster = (4.0 * open_unit(&mut rng)).floor();
            for (c, [place, scale]) in places.iter().enumerate() {
                let z = normal(&mut rng);
                let value = match kind {
                    0 => z,
                    // Correlations of up to 0.98.
                    1 => 0.99 * tied.sqrt() * common + (1.0 - 0.98 * tied).sqrt() * z,
                    // Columns of Cauchy numbers, else rows of Student-t vectors.
                    2 if c % 3 == 0 => z / normal(&mut rng),
                    2 => z / heavy,
                    _ => z + 6.0 * cluster * f64::from(c as u32 % 2) - (c as f64 + 3.0) * cluster,
                };
                values.push(place + scale * value);
            }
        }
        let names = (0..columns).map(|c| format!("c{c}")).collect();
        let found = seen(&Table::new(names, values).expect("a table"));
        let warnings: Vec<String> = found
            .iter()
            .filter(|finding| finding.severity == Severity::Warning)
            .map(|finding| format!("table {i}, {rows} × {columns}, kind {kind}: {}", finding.words()))
            .collect();
        alarms.extend(warnings.first().cloned());
    }
    assert!(alarms.len() as u64 * 100 <= 3 * tables, "{}", alarms.join("\n"));
}

/// The only finding.
fn only(table: &Table) -> Finding {
    let mut found = seen(table);
    assert_eq!(found.len(), 1, "{}", words(&found));
    found.remove(0)
}

#[test]
fn outliers_are_named_by_row_and_only_where_the_tail_does_not_explain_them() {
    let (mut a, mut b) = (column(1, 6000, normal), column(2, 6000, normal));
    (a[17], b[17], b[4000]) = (1e6, -1e6, 60.0);
    let finding = only(&table(&[("a", a.clone()), ("b", b)]));
    let Kind::Outliers { rows, values, .. } = &finding.kind else { panic!("{finding:?}") };
    let places: Vec<(usize, &str, f64)> = values.iter().map(|v| (v.row, v.column.as_str(), v.value)).collect();
    assert_eq!(*rows, 2);
    assert_eq!(places, [(18, "a", 1e6), (18, "b", -1e6), (4001, "b", 60.0)]);
    assert!(values.iter().all(|v| v.others[0] > -5.0 && v.others[1] < 5.0), "{values:?}");
    assert!(finding.words().starts_with("far outside: row 18: `a` is 1000000 (others −"), "{}", finding.words());

    // The largest of many Cauchy numbers is no outlier; ten million times it is.
    let mut heavy = column(3, 6000, |rng| normal(rng) / normal(rng));
    assert_eq!(seen(&table(&[("heavy", heavy.clone())])), []);
    heavy[5] = 1e13;
    assert!(matches!(only(&table(&[("heavy", heavy)])).kind, Kind::Outliers { rows: 1, .. }));

    // Far out only together: off the line on which all others lie.
    let mut line: Vec<f64> = a.iter().zip(column(4, 6000, normal)).map(|(a, z)| 2.0 * a + 0.05 * z).collect();
    a[17] = 0.3;
    line[17] = -1.0;
    let finding = only(&table(&[("a", a), ("line", line)]));
    let Kind::JointOutliers { rows: 1, first, .. } = &finding.kind else { panic!("{finding:?}") };
    assert_eq!(first[0].0, 18);
    // 1.6 off where 95 in 100 are within 2.45 · 0.05.
    assert!((first[0].1 / (1.6 / 0.1224) - 1.0).abs() < 0.1, "{first:?}");
}

#[test]
fn a_code_for_missing_values_is_seen_though_it_is_rare() {
    let mut x = column(1, 3000, |rng| 20.0 + normal(rng));
    (0..20).for_each(|i| x[7 + 100 * i] = -999.0);
    let finding = only(&table(&[("x", x)]));
    assert!(matches!(finding.kind, Kind::Code { value: -999.0, rows: 20, .. }), "{finding:?}");
    assert!(finding.advice().contains("missing: Drop"));
}

#[test]
fn spikes_are_told_with_their_share_and_grids_have_none() {
    let spiked = |rng: &mut dyn RngCore| if open_unit(rng) < 0.3 { 0.0 } else { 50.0 + 20.0 * normal(rng) };
    let finding = only(&table(&[("x", column(1, 6000, spiked)), ("y", column(2, 6000, normal))]));
    let Kind::Spikes { column: name, values, rows, edge } = &finding.kind else { panic!("{finding:?}") };
    let [(value, share)] = values[..] else { panic!("{finding:?}") };
    assert_eq!((name.as_str(), value, *edge), ("x", 0.0, false));
    assert!((share - 0.3).abs() < 0.03 && *rows as f64 == (share * 6000.0).round());
    // Rounded values, counts and few values are no spikes.
    let rounded = column(3, 6000, |rng| (10.0 * (20.0 + 3.0 * normal(rng))).round() / 10.0);
    let counts = column(4, 6000, |rng| (3.0 * exponential(rng)).floor());
    let found = seen(&table(&[("rounded", rounded), ("counts", counts), ("y", column(2, 6000, normal))]));
    assert!(
        found.iter().all(|finding| matches!(finding.kind, Kind::WholeNumbers { .. } | Kind::OnGrid { .. })),
        "{}",
        words(&found)
    );
    let texts =
        ["`rounded` (step 0.1) lies on a grid: draws will lie between the places", "`counts` holds whole numbers"];
    assert_eq!(found.iter().map(Finding::words).collect::<Vec<_>>(), texts);
    let limits = column(6, 2000, |rng| normal(rng).clamp(-1.0, 1.5));
    assert_eq!(
        only(&table(&[("x", limits)])).words().split(" in ").next(),
        Some("`x` is exactly −1"),
        "readings at both ends of a scale"
    );
    let levels = column(5, 600, |rng| [0.3, 1.7, 12.9137][(3.0 * open_unit(rng)) as usize]);
    let finding = only(&table(&[("levels", levels), ("y", column(2, 600, normal))]));
    assert!(matches!(&finding.kind, Kind::FewValues { values, .. } if values.len() == 3), "{finding:?}");
}

#[test]
fn columns_that_say_nothing_new_are_named_with_their_coefficients() {
    let [a, b, c] = [1, 2, 3].map(|seed| column(seed, 2000, normal));
    let kelvin: Vec<f64> = a.iter().map(|a| 1.8 * (a + 10.0) + 32.0).collect();
    let sum: Vec<f64> = b.iter().zip(&c).map(|(b, c)| b - 3.0 * c).collect();
    let near: Vec<f64> = b.iter().zip(column(4, 2000, normal)).map(|(b, noise)| b + 0.005 * noise).collect();
    let a: Vec<f64> = a.iter().map(|a| a + 10.0).collect();
    let curve: Vec<f64> = c.iter().map(|c| c * c).collect();
    let found = seen(&table(&[
        ("same", vec![7.0; 2000]),
        ("a", a.clone()),
        ("b", b),
        ("twin", a),
        ("c", c),
        ("warm", kelvin),
        ("sum", sum),
        ("near", near),
        ("curve", curve),
    ]));
    let texts: Vec<String> = found.iter().map(Finding::words).collect();
    for text in [
        "`same` is 7 in every row",
        "`twin` equals `a` in every row",
        "`warm` is 1.8 `a` + 32 in every row",
        "`sum` is `b` − 3 `c` in every row",
    ] {
        assert!(texts.iter().any(|found| found == text), "{text}: {texts:#?}");
    }
    let redundant: Vec<&str> = found.iter().filter_map(Finding::redundant).collect();
    assert_eq!(redundant, ["same", "twin", "warm", "sum", "curve"], "{texts:#?}");
    let near = found.iter().find(|finding| finding.columns()[0] == "near").expect("a near dependence");
    let Kind::Dependent { unexplained, exact: false, .. } = near.kind else { panic!("{near:?}") };
    assert!((unexplained / 2.5e-5 - 1.0).abs() < 0.2, "{near:?}");
    assert_eq!(found.len(), 6, "{texts:#?}");
}

#[test]
fn one_row_far_out_neither_makes_nor_hides_a_dependence() {
    let [mut a, mut b] = [1, 2].map(|seed| column(seed, 3000, normal));
    (a[5], b[5]) = (1e9, -1e9);
    assert_eq!(seen(&table(&[("a", a.clone()), ("b", b.clone())])).len(), 1, "the row alone");
    let mut sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    sum[2000] += 1e6;
    let found = seen(&table(&[("a", a), ("b", b), ("sum", sum)]));
    assert!(
        found.iter().any(|finding| finding.words() == "`sum` is `a` + `b` in every row but 1"),
        "{}",
        words(&found)
    );
}

#[test]
fn repeated_rows_are_told_where_rounding_does_not_explain_them() {
    let (a, b) = (column(1, 1000, normal), column(2, 1000, normal));
    let again = |x: &[f64]| x.iter().chain(&x[100..200]).copied().collect::<Vec<f64>>();
    let finding = only(&table(&[("a", again(&a)), ("b", again(&b))]));
    let Kind::Repeated { rows: 100, share } = finding.kind else { panic!("{finding:?}") };
    assert!((share - 100.0 / 1100.0).abs() < 1e-12);
    let rounded = |x: &[f64]| x.iter().map(|x| (30.0 * x).round() / 30.0).collect::<Vec<f64>>();
    let found = seen(&table(&[("a", rounded(&a)), ("b", rounded(&b))]));
    assert!(found.iter().all(|finding| matches!(finding.kind, Kind::OnGrid { .. })), "{}", words(&found));
}

#[test]
fn values_on_a_bound_and_counts_are_told_apart() {
    let mut x = column(1, 2000, exponential);
    (x[3], x[90]) = (0.0, 0.0);
    let finding = only(&table(&[("x", x)]));
    assert!(matches!(finding.kind, Kind::Bound { low: Some(0.0), high: None, on_bound: 2, .. }), "{finding:?}");
    assert_eq!(finding.transform(), None, "no link can take a value on its bound");
    // Dithered counts stay above −½.
    let counts = table(&[("n", column(2, 4000, |rng| (5.0 * exponential(rng)).floor()))]);
    let known = Known { grids: vec![Some(Grid::WHOLE)], ..Known::default() };
    let found = look(&counts, &known);
    assert_eq!(found.len(), 1, "{}", words(&found));
    assert_eq!(found[0].transform().as_deref(), Some("Log(column: \"n\", above: -0.5)"));
    assert_eq!(look(&counts, &Known { linked: vec![true], ..known }), [], "what has a link is not told");
}

#[test]
fn few_rows_are_told_first() {
    let wide: Vec<(String, Vec<f64>)> = (0..200).map(|c| (format!("c{c}"), column(c, 150, normal))).collect();
    let wide: Vec<(&str, Vec<f64>)> = wide.iter().map(|(name, values)| (name.as_str(), values.clone())).collect();
    let found = seen(&table(&wide));
    assert_eq!(found[0].words(), "150 rows and 200 columns: no more rows than columns");
    assert_eq!(found[0].severity, Severity::Warning);
    let found = seen(&table(&wide[..10]));
    assert_eq!((found.len(), found[0].severity), (1, Severity::Note), "{}", words(&found));
}

#[test]
fn odd_tables_are_looked_at_without_a_fault() {
    let extremes = [f64::MAX, -f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.0, -0.0, 1.0, 1e308];
    for rows in [1, 2, 3, 9, 60, 400] {
        for columns in [1, 2, 7] {
            let values = (0..rows * columns).map(|i| extremes[(i * i + i / 7) % extremes.len()]).collect();
            let names = (0..columns).map(|c| format!("c{c}")).collect();
            let found = seen(&Table::new(names, values).expect("a table"));
            found.iter().for_each(|finding| assert!(!finding.words().is_empty() && !finding.advice().is_empty()));
            serde_json::to_string(&found).expect("JSON");
        }
    }
}

#[test]
fn findings_are_json_with_their_numbers_and_words() {
    let json = serde_json::to_value(only(&table(&[("x", column(1, 900, exponential))]))).expect("JSON");
    assert_eq!((&json["kind"], &json["severity"]), (&"bound".into(), &"warning".into()));
    assert_eq!((&json["column"], &json["low"]), (&"x".into(), &0.0.into()));
    assert!(json["high"].is_null() && json["words"].is_string() && json["advice"].is_string());
}

#[test]
fn the_same_table_gives_the_same_findings_whatever_the_threads() {
    let mut x = column(1, 3000, exponential);
    x[7] = 1e9;
    let table = table(&[("x", x.clone()), ("y", x), ("z", column(2, 3000, normal))]);
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| seen(&table))
    };
    assert_eq!(of(1), of(3));
}
