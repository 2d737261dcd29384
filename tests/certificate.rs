//! The certificate: students that lost a mode are never trusted, good ones are, and figures agree with the reference programs.

use dfdx::prelude::Cpu;
use flowdistill::evaluate::bridge::bridge;
use flowdistill::evaluate::certificate::{certify, Certificate, Look, Verdict};
use flowdistill::evaluate::pareto::{k_hat, smooth};
use flowdistill::evaluate::requirement::require;
use flowdistill::evaluate::weights;
use flowdistill::experiment::{certify_at, IndependentSpec};
use flowdistill::flow::{Flow, FlowConfig, Method, Model, Orientation, PulledBack, Standardisation};
use flowdistill::sampler::SmcSettings;
use flowdistill::seed::Seed;
use flowdistill::target::{Density, Fatal, Faults, Gaussian, Mixture, Moons};
use flowdistill::train::{train, Observer, Progress, ReverseKl, Schedule, Settings};

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Progress) {}
}

/// Evenly spread numbers in (0, 1), as in the script that made the reference values: the fractional parts of (i + 1)/φ + offset.
fn golden(n: usize, offset: f64) -> Vec<f64> {
    (1..=n).map(|i| (i as f64 * 0.618_033_988_749_894_9 + offset).fract()).collect()
}

fn close(found: f64, right: f64) {
    assert!((found - right).abs() <= 1e-6, "{found}, {right}");
}

/// ArviZ 0.23.4, `arviz.stats.psislw`, on the same weights.
#[test]
fn tail_index_and_smoothed_evidence_are_those_of_arviz() {
    let tail = |n, k: f64, shift: f64| golden(n, 0.0).iter().map(|u| shift - k * u.ln()).collect::<Vec<f64>>();
    let bounded: Vec<f64> = golden(400, 0.0).iter().map(|u| 1.0 + 0.5 * u.ln()).collect();
    for (log_weights, right_k, right_log_z) in [
        (tail(1000, 0.3, 2.0), 0.296_726_340_632_550_93, 2.354_384_380_045_113),
        (tail(10_000, 0.6, -700.0), 0.573_355_818_910_819_7, -699.103_069_294_392_8),
        (tail(5000, 0.95, 0.0), 0.917_624_573_274_191_9, 2.054_944_327_678_203_6),
        (bounded, -0.754_348_766_211_745_8, 0.596_573_298_647_942_2),
    ] {
        let smoothed = smooth(&log_weights).expect("a tail");
        close(smoothed.k_hat, right_k);
        close(k_hat(&log_weights).expect("a tail"), right_k);
        close(weights::reverse(&smoothed.log_weights).log_z, right_log_z);
    }
}

/// pymbar 4.0.3, `pymbar.other_estimators.bar`, on the same weights.
#[test]
fn the_bridge_is_that_of_pymbar() {
    for (n, m, right, right_error) in [
        (1000, 1000, 2.345_177_286_630_438, 0.028_218_544_097_404_312),
        (2000, 500, 2.454_578_176_692_797, 0.028_658_189_580_040_058),
    ] {
        let own: Vec<f64> = golden(n, 0.0).iter().map(|u| 1.5 - 0.8 * u.ln() + 0.5 * (1.0 - u).ln()).collect();
        let foreign: Vec<f64> = golden(m, 0.25).iter().map(|u| 3.0 + 0.9 * (u / (1.0 - u)).ln()).collect();
        let (log_z, error) = bridge(&own, &foreign).expect("an estimate");
        close(log_z, right);
        assert!((error - right_error).abs() < 1e-3, "{error} {right_error}");
    }
}

/// A student trained by plain reverse KL, which starts as N(shift, scale²).
fn student(target: &dyn Density, shift: &[f64], scale: f64, steps: u64, seed: u64) -> Model {
    let (seed, config) = (Seed(seed), FlowConfig { layers: 3.into(), hidden: vec![24, 24], ..FlowConfig::default() });
    let dim = target.dim();
    let standardisation =
        Standardisation { shift: shift.to_vec(), scale: vec![scale; dim], ..Standardisation::identity(dim) };
    let mut flow =
        Flow::new(&Cpu::default(), dim, &config, Orientation::Sampling, &seed.stream("init")).expect("a flow");
    let mut objective = ReverseKl::new(target, standardisation.clone(), 256, seed.stream("noise"));
    let rate = Schedule { peak: 3e-3, ..Schedule::default() };
    let settings = Settings { steps, batch: 256, rate, ..Settings::default() };
    train(&mut flow, &mut objective, &settings, &Default::default(), &mut Silent).expect("trained");
    Model {
        flow,
        standardisation,
        names: target.names(),
        columns: Default::default(),
        constraint: Default::default(),
        held_out: vec![],
    }
}

fn judged(model: &Model, target: &dyn Density, independent: IndependentSpec) -> Certificate {
    let stream = Seed(7).stream("certificate");
    certify_at(&model.freeze(), target, None, independent, 20_000, &stream).expect("a certificate")
}

fn by_smc() -> IndependentSpec {
    IndependentSpec::Smc(SmcSettings { islands: 6, particles: 512, ..SmcSettings::default() })
}

#[test]
fn students_that_lost_modes_are_not_trusted() {
    let targets: [(&str, Box<dyn Density>, [f64; 2]); 3] = [
        ("two modes", Box::new(Mixture::two()), [4.0, 4.0]),
        ("nine modes", Box::new(Mixture::nine()), [0.0, 0.0]),
        ("two moons", Box::new(Moons::separated()), [2.0, 0.0]),
    ];
    for (name, target, start) in targets {
        // A narrow start in one mode: reverse KL stays there.
        let model = student(target.as_ref(), &start, 0.5, 400, 1);
        for independent in [IndependentSpec::Auto, by_smc()] {
            let certificate = judged(&model, target.as_ref(), independent);
            let reverse = certificate.reverse;
            assert_ne!(certificate.verdict, Verdict::Trusted, "{name} {independent:?}: {:?}", certificate.reasons);
            // The test means something only if a mode was lost: the evidence is short of it.
            assert!(reverse.log_z < target.log_normalizer().expect("known") - 0.05, "{name}: {reverse:?}");
            assert_eq!(certificate.verdict, Verdict::NotTrusted, "{name}: {:?}", certificate.reasons);
        }
    }
}

/// A standard normal distribution with one part in 10⁵ of its mass at 40, and no value beyond 50.
struct Speck;

impl Density for Speck {
    fn dim(&self) -> usize {
        1
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        for (row, (x, value)) in points.iter().zip(&mut *values).enumerate() {
            let (near, far) = (-0.5 * x * x, 1e-5f64.ln() - 0.5 * (x - 40.0).powi(2));
            *value = near.max(far) + (-(near - far).abs()).exp().ln_1p() - 0.5 * std::f64::consts::TAU.ln();
            if *x > 50.0 {
                faults.mark(row, "x is beyond 50");
            }
        }
        let slope = |x: &f64| if *x < 20.0 { -x } else { 40.0 - x };
        gradients.into_iter().for_each(|gradients| gradients.iter_mut().zip(points).for_each(|(g, x)| *g = slope(x)));
        Ok(())
    }
}

#[test]
fn an_extreme_draw_is_remarked_on_and_failing_ones_count() {
    let student = student(&Speck, &[0.0], 1.0, 100, 1).freeze();
    let mut points = vec![0.0; 20_000];
    Seed(3).stream("look").normals(0, 1, &mut points);
    let verdict = |points: Vec<f64>| {
        let look = Look { source: "draws".into(), effective: 20_000.0, points, log_z: None, ..Look::default() };
        certify(&student, &Speck, 20_000, &Seed(7).stream("certificate"), Some(&look)).expect("a certificate")
    };
    // A single draw where the student never comes makes the forward ESS vanish, and hardly moves the distance.
    points[0] = 40.0;
    let one = verdict(points.clone());
    let forward = one.forward.expect("draws").forward_ess;
    assert!(forward < 1e-6 && one.total_variation.is_some_and(|d| d < 0.02), "{forward} {:?}", one.total_variation);
    assert_eq!(one.verdict, Verdict::Trusted, "{:?}", one.reasons);
    assert!(one.reasons[0].contains("a few of them") && !one.reasons[1].contains("even"), "{:?}", one.reasons);
    // Two in a hundred that the target cannot evaluate are a fault of the look.
    points[..400].fill(60.0);
    let failing = verdict(points);
    assert_eq!((failing.failed_independent, failing.verdict), (400, Verdict::NotTrusted));
    assert!(failing.reasons.iter().any(|r| r.contains("2.0 % of the independent draws")), "{:?}", failing.reasons);
}

#[test]
fn a_good_student_is_trusted_only_with_an_independent_look() {
    let target = Gaussian::conditioned(3, 5.0, 1).expect("a gaussian");
    let model = student(&target, &[0.0; 3], 1.0, 1000, 2);
    for independent in [IndependentSpec::Auto, by_smc()] {
        let certificate = judged(&model, &target, independent);
        assert_eq!(certificate.verdict, Verdict::Trusted, "{:?}", certificate.reasons);
        assert!(certificate.elbo.mean <= 1e-3 && certificate.eubo.expect("draws").mean >= -1e-3);
        let met = |conditions: &[String]| require(conditions, certificate.verdict, &certificate.figures());
        assert!(met(&["ess>=0.9".into(), "verdict>=trusted".into()]).is_ok());
        let error = met(&["ess>1".into()]).expect_err("not met");
        assert_eq!(error.exit_code(), 3);
        assert_eq!(met(&["essay>1".into()]).expect_err("no figure").exit_code(), 2);
    }
    let alone = certify(&model.freeze(), &target, 20_000, &Seed(7).stream("certificate"), None).expect("judged");
    assert_eq!(alone.verdict, Verdict::NotTrusted);
    let doubtful = Look {
        source: "a sampler".into(),
        faults: vec!["it failed".into()],
        log_z: Some((0.0, 0.1)),
        ..Look::default()
    };
    let alone = certify(&model.freeze(), &target, 20_000, &Seed(7).stream("certificate"), Some(&doubtful));
    assert_eq!(alone.expect("judged").verdict, Verdict::NotTrusted);
}

#[test]
fn a_doubt_is_a_remark_only_where_every_figure_contradicts_it() {
    let target = Gaussian::conditioned(2, 2.0, 1).expect("a target");
    let (good, bad) = (student(&target, &[0.0; 2], 1.0, 800, 1), student(&target, &[0.0; 2], 1.0, 1, 1));
    let points = flowdistill::evaluate::draws::exact_draws(
        target.sampler().expect("exact draws"),
        2,
        5_000,
        &Seed(3).stream("exact"),
    );
    let look = |log_z, error| Look {
        source: "a slow sampler".into(),
        points: points.clone(),
        effective: 5_000.0,
        log_z: Some((log_z, error)),
        doubts: vec!["they hardly move".into()],
        ..Look::default()
    };
    let verdict = |model: &Model, look: Look| {
        let found = certify(&model.freeze(), &target, 20_000, &Seed(7).stream("certificate"), Some(&look));
        let found = found.expect("judged");
        assert!(found.reasons.iter().any(|reason| reason.contains("they hardly move")), "{:?}", found.reasons);
        found.verdict
    };
    assert_eq!(verdict(&good, look(0.01, 0.03)), Verdict::Trusted);
    // A log Z that is known too badly, or is another; a student with uneven weights.
    assert_eq!(verdict(&good, look(0.01, 0.3)), Verdict::NotTrusted);
    assert_eq!(verdict(&good, look(0.5, 0.05)), Verdict::NotTrusted);
    let uneven =
        Model { standardisation: Standardisation { scale: vec![1.8; 2], ..bad.standardisation.clone() }, ..bad };
    assert_eq!(verdict(&uneven, look(0.01, 0.03)), Verdict::NotTrusted);
}

#[test]
fn a_look_of_few_draws_says_that_more_would_tell() {
    let normal = Mixture::new(vec![vec![0.0]], vec![1.0], None).expect("a normal");
    // Nearly a tenth of its mass is on the wrong side, which 400 draws put down to chance.
    let model = student(&normal, &[0.22], 1.0, 0, 1);
    let by = |rows: usize| {
        let mut points = vec![0.0; rows];
        let stream = Seed(5).stream("exact");
        stream.normals(0, 1, &mut points);
        let look =
            Look { source: "draws".into(), effective: rows as f64, points, log_z: Some((0.0, 0.0)), ..Look::default() };
        certify(&model.freeze(), &normal, 20_000, &Seed(2).stream("certify"), Some(&look)).expect("judged")
    };
    let (few, many) = (by(400), by(20_000));
    assert!(few.verdict == Verdict::Trusted && few.look_is_coarse(), "{few:?}");
    assert!(many.verdict == Verdict::Correctable && !many.look_is_coarse(), "{many:?}");
}

#[test]
fn only_a_look_that_has_found_nothing_else_may_be_settled_in_the_students_coordinates() {
    let target = Gaussian::conditioned(2, 2.0, 1).expect("a target");
    let model = student(&target, &[0.0; 2], 1.0, 800, 1);
    let sampler = target.sampler().expect("exact draws");
    let points = flowdistill::evaluate::draws::exact_draws(sampler, 2, 5_000, &Seed(3).stream("exact"));
    let judged = |look: &Look| {
        certify(&model.freeze(), &target, 20_000, &Seed(7).stream("certificate"), Some(look)).expect("judged")
    };
    let only_slow = |look: Look| judged(&look).look_is_only_slow(&look);
    let only_missed = |look: &Look| judged(look).look_has_only_missed();
    let (doubts, effective) = (vec!["they hardly move".to_string()], 5_000.0);
    let slow = |log_z| Look {
        points: points.clone(),
        effective,
        log_z: Some((log_z, 0.02)),
        doubts: doubts.clone(),
        ..Look::default()
    };
    assert!(only_slow(slow(-1.0)) && only_slow(slow(0.0)));
    // It knows of mass that the student lacks, by its log Z or by its draws; or it is wrong for other reasons; or nothing is wrong with it.
    assert!(!only_slow(slow(0.5)));
    let mut elsewhere = slow(-1.0);
    elsewhere.points[..200].fill(30.0);
    assert!(!only_missed(&elsewhere));
    assert!(!only_slow(elsewhere));
    assert!(!only_slow(Look { faults: doubts.clone(), ..slow(-1.0) }));
    assert!(!only_slow(Look { doubts: Vec::new(), ..slow(-1.0) }));
    // Less than the student's own draws have found speaks against a look, whatever else does.
    assert!(only_missed(&Look { faults: doubts.clone(), ..slow(-1.0) }) && only_missed(&slow(-1.0)));
    assert!(!only_missed(&slow(0.0)) && !only_missed(&slow(0.5)));
}

#[test]
fn a_model_seen_through_itself_is_a_standard_normal() {
    let target = Gaussian::conditioned(3, 10.0, 1).expect("a target");
    let model = student(&target, &[1.0, -2.0, 0.5], 0.3, 50, 1).freeze::<f64>();
    let pulled = PulledBack::new(&model, &model).expect("it draws in one pass");
    let z = [0.3, -1.2, 2.0, 0.0, 4.0, -0.5];
    let (mut values, mut alone, mut slopes) = ([0.0; 2], [0.0; 2], [0.0; 6]);
    pulled.evaluate(&z, &mut values, Some(&mut slopes), &mut Faults::default()).expect("values");
    pulled.evaluate(&z, &mut alone, None, &mut Faults::default()).expect("values");
    for (z, (value, alone)) in z.chunks_exact(3).zip(values.into_iter().zip(alone)) {
        let right = -0.5 * z.iter().map(|z| z * z).sum::<f64>() - 1.5 * std::f64::consts::TAU.ln();
        close(value, right);
        close(alone, right);
    }
    slopes.iter().zip(z).for_each(|(slope, z)| close(*slope, -z));
    let (mut carried, mut drawn) = (z, [0.0; 6]);
    pulled.carry(&mut carried);
    model.push(Method::Cached, &z, &mut drawn, &mut [0.0; 2]);
    carried.into_iter().zip(drawn).for_each(|(found, right)| close(found, right));
    let teacher = Flow::<f32, Cpu>::new(
        &Cpu::default(),
        3,
        &FlowConfig::default(),
        Orientation::Density,
        &Seed(1).stream("init"),
    );
    let teacher = Model { flow: teacher.expect("a flow"), ..student(&target, &[0.0; 3], 1.0, 1, 1) }.freeze::<f64>();
    assert!(PulledBack::new(&model, &teacher).is_none());
}
