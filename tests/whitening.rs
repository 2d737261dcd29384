//! Whitening: modes and curvatures against closed forms, draws with mean 0 and covariance I, and what cannot be whitened.

mod common;

use common::*;
use flowdistill::experiment::{Plan, Spec};
use flowdistill::flow::{Link, Standardisation, Standardised};
use flowdistill::target::{climb, laplace, Density, Faults, Funnel, Gaussian, ManyWell, Pointwise, Rings};
use std::path::Path;

fn gaussian() -> Gaussian {
    let covariance = vec![4.0, 1.9, 0.005, 1.9, 1.0, 0.0, 0.005, 0.0, 1e-4];
    Gaussian::new(vec![100.0, -3.0, 0.02], covariance).expect("a gaussian")
}

#[test]
fn laplace_is_exact_for_a_gaussian() {
    let found = laplace(&gaussian(), &[vec![0.0; 3], vec![5.0; 3]]).expect("a mode");
    assert_eq!((found.arrived, found.ridge), ([2, 2], 0.0));
    assert!(disagreement(found.mode.point.clone(), [100.0, -3.0, 0.02]) < 1e-7, "{:?}", found.mode);
    let exact = [4.0, 1.9, 0.005, 1.9, 1.0, 0.0, 0.005, 0.0, 1e-4];
    assert!(found.covariance.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-5 * (b.abs() + 1e-2)));
    assert!(found.log_evidence.abs() < 1e-5, "{}", found.log_evidence);
}

#[test]
fn the_search_gets_round_curved_valleys_and_places_of_density_zero() {
    struct Walled;
    impl Pointwise for Walled {
        fn dim(&self) -> usize {
            2
        }

        fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
            if x[0] <= 0.0 || x[1] > 30.0 {
                return f64::NAN;
            }
            let bend = x[1] - x[0] * x[0];
            if let Some(gradient) = gradient {
                gradient[0] = 40.0 * bend * x[0] - (x[0] - 2.0) + 3.0 / x[0];
                gradient[1] = -20.0 * bend;
            }
            -10.0 * bend * bend - 0.5 * (x[0] - 2.0).powi(2) + 3.0 * x[0].ln()
        }
    }
    for start in [[0.1, 0.1], [1e-3, -8.0], [5.0, 3.0]] {
        let mode = climb(&Walled, &start).expect("a mode");
        // The slope of x₁ on the valley's floor is 2 − x₁ + 3/x₁, which is zero at 3.
        assert!((mode.point[0] - 3.0).abs() < 1e-5 && (mode.point[1] - 9.0).abs() < 1e-4, "{mode:?}");
    }
    assert!(climb(&Walled, &[-1.0, 0.0]).expect_err("a start without density").contains("cannot be evaluated"));
}

#[test]
fn the_highest_mode_of_several_is_taken() {
    let wells = ManyWell::new(2).expect("wells");
    let found = laplace(&wells, &[vec![-1.0, 0.3], vec![1.0, 0.3]]).expect("a mode");
    assert!(found.mode.point[0] > 1.6, "the deeper well is at a > 0");
}

#[test]
fn a_ridge_of_modes_is_regularised_and_a_flat_density_refused() {
    // The rings have no curvature along them.
    let found = laplace(&Rings, &[vec![0.9, 0.1]]).expect("a mode");
    assert!(found.covariance.iter().all(|value| value.is_finite()));
    struct Flat;
    impl Pointwise for Flat {
        fn dim(&self) -> usize {
            1
        }
        fn log_density(&self, _: &[f64], gradient: Option<&mut [f64]>) -> f64 {
            if let Some(gradient) = gradient {
                gradient[0] = 0.0;
            }
            0.0
        }
    }
    assert!(laplace(&Flat, &[vec![0.0]]).expect_err("no curvature").contains("curvature"));
    struct Slope;
    impl Pointwise for Slope {
        fn dim(&self) -> usize {
            1
        }
        fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
            if let Some(gradient) = gradient {
                gradient[0] = 1.0;
            }
            x[0]
        }
    }
    assert!(laplace(&Slope, &[vec![0.0]]).is_err(), "no mode");
}

#[test]
fn whitened_draws_have_mean_zero_and_unit_covariance() {
    let names: Vec<String> = (0..3).map(|i| format!("x{i}")).collect();
    let rows: Vec<f64> = normal_rows(500, 3, "rows")
        .chunks(3)
        .flat_map(|z| [z[0].exp(), z[0] + 0.1 * z[1] - 7.0, 1e-3 * z[2] + z[1]])
        .collect();
    let links = vec![Link::Above(0.0), Link::Identity, Link::Identity];
    let (whitening, ridge) = Standardisation::whitening_of(&rows, &names, links).expect("whitened");
    assert_eq!(ridge, 0.0);
    whitening.validate(3).expect("sound");
    let (mut white, mut log_jacobian) = (rows.clone(), vec![0.0; 500]);
    whitening.apply(&mut white, &mut log_jacobian);
    for i in 0..3 {
        let mean = white.chunks(3).map(|z| z[i]).sum::<f64>() / 500.0;
        assert!(mean.abs() < 1e-9, "mean {i}: {mean}");
        for j in 0..3 {
            let moment = white.chunks(3).map(|z| z[i] * z[j]).sum::<f64>() / 500.0;
            assert!((moment - f64::from(u8::from(i == j))).abs() < 1e-6, "covariance {i} {j}: {moment}");
        }
    }
    let mut back_jacobian = vec![0.0; 500];
    whitening.undo(&mut white, &mut back_jacobian);
    assert!(disagreement(white, rows) < 1e-10 && disagreement(back_jacobian, log_jacobian) < 1e-10);
}

#[test]
fn a_standardised_target_has_the_gradient_and_the_normaliser_of_its_own() {
    let gaussian = gaussian();
    let found = laplace(&gaussian, &[vec![0.0; 3]]).expect("a mode");
    let (standardisation, _) =
        Standardisation::whitening(found.mode.point, &found.covariance, Vec::new()).expect("whitened");
    let standardised = Standardised { target: &gaussian, standardisation: &standardisation };
    let rows = normal_rows(20, 3, "z");
    let (mut values, mut gradients, mut faults) = (vec![0.0; 20], vec![0.0; 60], Faults::default());
    standardised.evaluate(&rows, &mut values, Some(&mut gradients), &mut faults).expect("evaluated");
    let normal = |z: &[f64]| -0.5 * z.iter().map(|z| z * z).sum::<f64>() - 1.5 * std::f64::consts::TAU.ln();
    assert!(disagreement(values, rows.chunks(3).map(normal)) < 1e-4, "the density is that of a standard normal");
    assert!(disagreement(gradients, rows.iter().map(|z| -z)) < 1e-4);
    assert_eq!(standardised.log_normalizer(), Some(0.0));
    let funnel = Funnel::new(3).expect("a funnel");
    let links = vec![Link::Identity, Link::Above(-30.0), Link::Between(-50.0, 40.0)];
    let factor = vec![1.0, 0.0, 0.0, -0.6, 0.8, 0.0, 0.3, 0.2, 1.1];
    let standardisation = Standardisation {
        shift: vec![0.1, 3.0, 0.0],
        scale: vec![1.0, 0.1, 0.3],
        links,
        tails: vec![],
        factor,
        given: 0,
    };
    let standardised = Standardised { target: &funnel, standardisation: &standardisation };
    let value = |z: &[f64]| {
        let mut value = [0.0];
        standardised.evaluate(z, &mut value, None, &mut Faults::default()).expect("evaluated");
        value[0]
    };
    for z in rows.chunks(3) {
        let (mut values, mut gradient) = ([0.0], [0.0; 3]);
        standardised.evaluate(z, &mut values, Some(&mut gradient), &mut Faults::default()).expect("evaluated");
        for i in 0..3 {
            let at = |shift: f64| {
                let mut moved = z.to_vec();
                moved[i] += shift;
                value(&moved)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((gradient[i] - difference).abs() < 1e-5 * (1.0 + difference.abs()), "{i}: {gradient:?}");
        }
    }
}

fn plan(text: &str) -> flowdistill::error::Result<Plan<'static>> {
    Plan::new(Spec::parse(text).expect("an experiment"), Path::new("experiment.ron"))
}

#[test]
fn an_experiment_is_whitened_as_it_says() {
    let laplace = plan(
        "(name: \"x\", whitening: Laplace, target: Gaussian(dim: 5, condition: 1000.0), stages: [ReverseKl(against: Target)])",
    )
    .expect("a plan");
    assert_eq!(laplace.standardisation.factor.len(), 25);
    assert!(laplace.whitening_note.expect("a note").contains("8 of 8"));
    let draws = plan(
        "(name: \"x\", whitening: Draws, target: Gaussian(dim: 5), data: (source: Draws(rows: 1000)), stages: [MaximumLikelihood()])",
    )
    .expect("a plan");
    assert_eq!(draws.standardisation.factor.len(), 25);
    for (text, word) in [
        ("whitening: Draws, target: Gaussian(dim: 5), stages: [ReverseKl(against: Target)]", "no `data`"),
        ("whitening: Laplace, target: Gaussian(dim: 1100), stages: [ReverseKl(against: Target)]", "512"),
        ("whitening: Laplace, target: Funnel(dim: 1100), stages: [ReverseKl(against: Target)]", "at most 1024"),
    ] {
        let error = plan(&format!("(name: \"x\", {text})")).err().expect("refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn few_of_many_modes_do_not_mix_independent_coordinates() {
    // 256 modes, of which climbs come to some: chance makes their coordinates look correlated.
    let wells = plan("(name: \"x\", target: ManyWell(dim: 16))").expect("a plan");
    let note = wells.whitening_note.expect("a note");
    assert!(note.contains("by the moments of") && !wells.survey.expect("a survey").is_complete(), "{note}");
    let factor = &wells.standardisation.factor;
    let mixed = |cell: usize| cell / 16 != cell % 16 && factor[cell].abs() > 1e-6 * factor[cell % 16 * 17].abs();
    assert!((0..factor.len()).all(|cell| !mixed(cell)), "{factor:?}");
    // Three modes that are all of them say how coordinates vary together.
    let means = "[[6, 6, 6, 6], [0, 0, 0, 0], [-6, -6, -6, -6]]";
    let few = plan(&format!("(name: \"x\", target: Mixture(means: {means}, deviations: [1, 1, 1]))")).expect("a plan");
    let factor = &few.standardisation.factor;
    assert!(few.survey.expect("a survey").is_complete() && factor[4].abs() > 0.5 * factor[0].abs(), "{factor:?}");
}
