//! The samplers that know nothing of a flow: evidence, draws, sameness on any number of threads, and admissions of failure.

use flowdistill::sampler::{effective_draws, smc, split_r_hat, SmcSettings};
use flowdistill::seed::Seed;
use flowdistill::target::*;

fn small() -> SmcSettings {
    SmcSettings { islands: 8, particles: 256, ..SmcSettings::default() }
}

#[test]
fn evidence_is_right_within_its_own_error() {
    let targets: Vec<(&str, Box<dyn Density>, f64)> = vec![
        ("banana", Box::new(Banana), 4.14046),
        ("u1", Box::new(Moons::u1()), 1.87750),
        ("u4", Box::new(Ridges::u4()), 2.24334),
        ("two moons", Box::new(Moons::separated()), 0.80421),
        ("rings", Box::new(Rings), 1.77599),
        ("two modes", Box::new(Mixture::two()), 0.0),
        ("nine modes", Box::new(Mixture::nine()), 0.0),
        ("student-t", Box::new(StudentT::new(5, 2.0).expect("a target")), 0.0),
        ("gaussian", Box::new(Gaussian::conditioned(7, 1e4, 1).expect("a target")), 0.0),
        ("eight schools", Box::new(EightSchools), -31.31135),
        ("lattice", Box::new(Lattice::new(4, 0.2, 0.0).expect("a target")), f64::NAN),
    ];
    for (name, target, right) in targets {
        let found = smc(target.as_ref(), &small(), 0, &Seed(1).stream("smc")).expect("drawn");
        let (log_z, error) = found.log_z.expect("an estimate");
        let right = if right.is_nan() { target.log_normalizer().expect("known") } else { right };
        assert!((log_z - right).abs() <= 4.0 * error && error < 0.1, "{name}: {log_z} ± {error}, {right}");
        assert!(found.is_sound(), "{name}: {:?}", found.faults);
        assert_eq!(found.draws.len(), 8 * 256 * target.dim());
    }
}

#[test]
fn wells_are_filled_by_their_weights() {
    let target = ManyWell::new(8).expect("a target");
    let found = smc(&target, &small(), 4096, &Seed(2).stream("smc")).expect("drawn");
    assert_eq!(found.draws.len(), 4096 * 8, "two snapshots");
    for well in 0..4 {
        let heavy = found.draws.iter().skip(2 * well).step_by(8).filter(|a| **a > 0.0).count() as f64 / 4096.0;
        assert!((heavy - 0.84431).abs() < 0.04, "well {well}: {heavy}");
    }
}

#[test]
fn draws_do_not_depend_on_threads() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let settings = SmcSettings { islands: 3, particles: 150, ..SmcSettings::default() };
        pool.install(|| smc(&Mixture::two(), &settings, 0, &Seed(3).stream("smc")).expect("drawn"))
    };
    let (one, three) = (on(1), on(3));
    assert_eq!((&one.draws, one.log_z), (&three.draws, three.log_z));
}

/// A standard normal distribution that can be evaluated only where this says so.
struct Only(fn(f64) -> bool);

impl Density for Only {
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
            *value = -0.5 * x * x;
            if !self.0(*x) {
                faults.mark(row, "it is not defined there");
            }
        }
        if let Some(gradients) = gradients {
            gradients.iter_mut().zip(points).for_each(|(g, x)| *g = -x);
        }
        Ok(())
    }
}

#[test]
fn failed_evaluations_put_the_draws_in_doubt() {
    let found = smc(&Only(|x| x <= 0.0), &small(), 0, &Seed(4).stream("smc")).expect("drawn");
    assert!(found.draws.iter().all(|x| *x <= 0.0));
    assert!(
        !found.is_sound() && found.faults[0].contains("evaluations around the target's mass failed"),
        "{:?}",
        found.faults
    );
}

#[test]
fn failures_far_from_the_mass_are_no_doubt() {
    // Most of the base lies where nothing can be evaluated, as where an exponential overflows.
    let settings = SmcSettings { scale: Some(16.0), ..small() };
    let found = smc(&Only(|x| x.abs() <= 8.0), &settings, 0, &Seed(4).stream("smc")).expect("drawn");
    assert!(found.is_sound() && found.failed * 100 > found.evaluations, "{:?}", found);
    let (log_z, error) = found.log_z.expect("an estimate");
    assert!((log_z - 0.5 * std::f64::consts::TAU.ln()).abs() < 4.0 * error.max(0.02), "{log_z} {error}");
}

/// A standard normal distribution of which the half beyond x = 0.5 weighs e² times as much: no step is short enough for the jump.
struct Jump;

impl Pointwise for Jump {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        if let Some(gradient) = gradient {
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g = -x);
        }
        let jump = if x[0] > 0.5 { 2.0 } else { 0.0 };
        jump - 0.5 * (x[0] * x[0] + x[1] * x[1]) - std::f64::consts::TAU.ln()
    }
}

#[test]
fn a_jump_of_the_density_costs_no_more_than_it_must() {
    let found = smc(&Jump, &small(), 0, &Seed(6).stream("smc")).expect("drawn");
    let (log_z, error) = found.log_z.expect("an estimate");
    // Φ(½) = 0.691462…
    let right = (0.691_462_461 + (1.0 - 0.691_462_461) * 2f64.exp()).ln();
    assert!((log_z - right).abs() <= 4.0 * error && error < 0.05, "{log_z} ± {error}, {right}");
    assert!(found.is_sound(), "{:?}", found.faults);
    let smooth = smc(&Mixture::two(), &small(), 0, &Seed(6).stream("smc")).expect("drawn");
    assert!(found.evaluations < 12 * smooth.evaluations, "{} against {}", found.evaluations, smooth.evaluations);
}

#[test]
fn the_neck_of_a_funnel_is_reached_or_in_doubt() {
    // Its scale varies by four orders of magnitude, so orbits have to refine their steps as they go.
    let target = Funnel::new(10).expect("a target");
    let found = smc(&target, &small(), 0, &Seed(1).stream("smc")).expect("drawn");
    let (log_z, error) = found.log_z.expect("an estimate");
    assert!(found.is_sound(), "{:?}", found.faults);
    assert!(log_z.abs() <= 3.5 * error && error < 0.1, "{log_z} ± {error}");
    // 4.8 % of the mass is below v = -5.
    let neck = found.draws.iter().step_by(10).filter(|v| **v < -5.0).count() as f64 / (8.0 * 256.0);
    assert!((neck - 0.0478).abs() < 0.025, "{neck}");
    // Too few moves do not get there, and that is said, with what would help.
    let hasty = SmcSettings { moves: 1, keep: 0.5, ..small() };
    let found = smc(&target, &hasty, 0, &Seed(1).stream("smc")).expect("drawn");
    let said = found.faults.iter().chain(&found.doubts).any(|fault| fault.contains("would"));
    assert!(said && !found.is_sound(), "{:?}, {:?}", found.faults, found.doubts);
}

#[test]
fn the_error_of_the_evidence_covers_heavy_tails() {
    // Here eight islands once agreed by chance on an estimate that was five of their standard errors low.
    let target = StudentT::new(10, 2.0).expect("a target");
    for seed in 1..=3 {
        let found = smc(&target, &SmcSettings::default(), 0, &Seed(seed).stream("smc")).expect("drawn");
        let (log_z, error) = found.log_z.expect("an estimate");
        assert!(log_z.abs() <= 3.5 * error && error < 0.1, "seed {seed}: {log_z} ± {error}");
    }
}

#[test]
fn a_base_that_cannot_see_all_modes_makes_islands_disagree() {
    // Two far modes and a base that few particles leave: each island finds its own share of them.
    let far = Mixture::new(vec![vec![9.0], vec![-9.0]], vec![0.3, 0.3], None).expect("a target");
    let narrow =
        SmcSettings { islands: 8, particles: 64, moves: 1, keep: 0.1, scale: Some(1.0), ..SmcSettings::default() };
    let found = smc(&far, &narrow, 0, &Seed(5).stream("smc")).expect("drawn");
    assert!(!found.is_sound());
}

#[test]
fn convergence_figures_of_independent_and_of_stuck_chains() {
    let mut z = vec![0.0; 4000];
    Seed(6).stream("chains").normals(0, 1, &mut z);
    let independent: Vec<Vec<f64>> = z.chunks(1000).map(<[f64]>::to_vec).collect();
    assert!(split_r_hat(&independent) < 1.01);
    assert!((effective_draws(&independent) / 4000.0 - 1.0).abs() < 0.2);
    let mut stuck = independent.clone();
    stuck[0].iter_mut().for_each(|x| *x += 2.0);
    assert!(split_r_hat(&stuck) > 1.1);
    // An autoregression of coefficient 0.8 has the time (1 + 0.8)/(1 − 0.8) = 9.
    let correlated: Vec<Vec<f64>> = independent
        .iter()
        .map(|chain| {
            chain
                .iter()
                .scan(0.0, |x, z| {
                    Some({
                        *x = 0.8 * *x + 0.6 * z;
                        *x
                    })
                })
                .collect()
        })
        .collect();
    let worth = effective_draws(&correlated);
    assert!((250.0..750.0).contains(&worth), "{worth}");
}
