//! How often the certificate against held-out rows is wrong: true models that it rejects and wrong ones that it trusts.
//! `cargo run --release --example data_certificate [CASES] [FIRST SEED]`: so many tables drawn from a known density and judged against that
//! density, then so many wrong densities, each of a total variation of 0.1 to 0.3, judged on 2,000 rows.

#[path = "../tests/common/known.rs"]
mod known;

use flowdistill::evaluate::certificate::Verdict;
use flowdistill::seed::Seed;
use known::{false_alarm, judge, wrong, KINDS};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (cases, first) = (number(200), number(1));
    let clock = std::time::Instant::now();
    let alarms: Vec<String> = (first..first + cases).filter_map(false_alarm).collect();
    alarms.iter().for_each(|alarm| println!("{alarm}"));
    let alarms = alarms.len();
    println!("true models: {alarms} of {cases} not trusted");
    let (mut trusted, mut of_kind) = ([0; 4], [0; 4]);
    for case in first..first + cases {
        let (truth, model, kind, distance) = wrong(case);
        let found = judge(&truth, &model, 2_000, &Seed(case).stream("judge wrong"));
        of_kind[kind] += 1;
        if found.verdict == Verdict::Trusted {
            trusted[kind] += 1;
            let (size, error) = found.total_variation();
            let words = KINDS[kind];
            println!(
                "case {case}: {words}, {} columns, total variation {distance:.3}, found {size:.3} ± {error:.3}",
                truth.dim
            );
        }
    }
    for (kind, words) in KINDS.iter().enumerate() {
        println!("{words}: {} of {} trusted", trusted[kind], of_kind[kind]);
    }
    println!(
        "wrong models: {} of {cases} trusted; {:.0} s",
        trusted.iter().sum::<u32>(),
        clock.elapsed().as_secs_f64()
    );
}
