//! What a survey finds of a target: its modes where they stand for it, and something better where they do not.

use flowdistill::seed::Seed;
use flowdistill::target::{
    survey, survey_around, Density, EightSchools, Fatal, Faults, Funnel, Gaussian, Mixture, Rings, Survey,
};
use std::sync::atomic::{AtomicUsize, Ordering};

fn starts(dim: usize) -> Vec<Vec<f64>> {
    let stream = Seed(1).stream("starts");
    let start = |k: u64| {
        let mut point = vec![0.0; dim];
        stream.normals(k, dim, &mut point);
        point.iter_mut().for_each(|x| *x *= [0.0, 1.0, 4.0, 16.0][k as usize % 4] + 1e-3);
        point
    };
    (0..16).map(start).collect()
}

fn of(density: &dyn Density) -> Survey {
    survey(density, &starts(density.dim()), &Seed(1).stream("survey"))
}

#[test]
fn separate_modes_are_told_apart_with_their_evidence() {
    let means = [[-6.0, -6.0], [6.0, 6.0], [6.0, -6.0]];
    let weights = [0.6, 0.3, 0.1];
    let rows = means.iter().map(|mean| mean.to_vec()).collect();
    let mixture = Mixture::new(rows, vec![1.0, 0.8, 0.9], Some(weights.to_vec())).expect("a mixture");
    let found = of(&mixture);
    assert_eq!(found.modes.len(), 3);
    assert_eq!(found.arrivals.iter().sum::<usize>(), 16);
    for (mode, right) in found.modes.iter().zip([0, 1, 2]) {
        // In the order of their evidence, which is the logarithm of their weight.
        assert!((mode.mean[0] - means[right][0]).abs() < 1e-4, "{:?}", mode.mean);
        assert!((mode.laplace - f64::ln(weights[right])).abs() < 1e-3, "{}", mode.laplace);
        assert!((mode.log_evidence - f64::ln(weights[right])).abs() < 1e-3 && mode.ess > 0.99);
    }
}

#[test]
fn narrow_modes_beside_a_wide_one_are_found_by_climbing_on() {
    // Of climbs from far away nearly all end at the widest; the others are 729 and 11 times smaller.
    let means = [
        [106.32, 111.83, 125.63, 119.26, 103.01, 129.68],
        [106.4, 107.75, 123.18, 109.87, 108.89, 102.2],
        [102.7, 117.48, 107.29, 118.04, 111.15, 113.6],
    ];
    let weights = [0.5, 0.3, 0.2];
    let rows = means.iter().map(|mean| mean.to_vec()).collect();
    let mixture = Mixture::new(rows, vec![1.0, 0.5, 1.5], Some(weights.to_vec())).expect("a mixture");
    assert_eq!(of(&mixture).modes.len(), 1);
    let found = survey_around(&mixture, &starts(6), &Seed(1).stream("survey"));
    assert_eq!(found.modes.len(), 3);
    assert!(found.is_complete());
    assert_eq!(found.weighty().count(), 3);
    for (mode, right) in found.modes.iter().zip(weights) {
        assert!((mode.laplace - f64::ln(right)).abs() < 1e-3, "{}", mode.laplace);
    }
}

#[test]
fn modes_whose_labels_can_be_exchanged_are_found_all_and_lesser_ones_have_no_part() {
    // All orders of three places, and one of a weight of e⁻¹³ beside each.
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let places = |values: [f64; 3]| orders.map(|order| order.map(|k| values[k]).to_vec());
    let (major, minor) = (places([-6.0, 0.0, 7.0]), places([-14.0, 3.0, 15.0]));
    let weights: Vec<f64> = [[1.0f64; 6], [f64::exp(-13.0); 6]].concat();
    let rows: Vec<Vec<f64>> = major.into_iter().chain(minor).collect();
    let total: f64 = weights.iter().sum();
    let weights = weights.into_iter().map(|weight| weight / total).collect();
    let mixture = Mixture::new(rows, vec![1.0; 12], Some(weights)).expect("a mixture");
    // More modes than half of the first climbs is no reason to give up before any was made from around them.
    let found = survey_around(&mixture, &starts(3), &Seed(1).stream("survey"));
    assert!(found.modes.len() >= 8 && found.is_complete(), "{} modes, {:?}", found.modes.len(), found.arrivals);
    assert_eq!(found.weighty().count(), 6);
}

#[test]
fn what_has_one_mode_is_climbed_a_limited_number_of_times() {
    let found = survey_around(&EightSchools, &starts(10), &Seed(1).stream("survey"));
    assert!(found.starts <= 16 + 1_024, "{}", found.starts);
    assert_eq!(found.weighty().count(), 1);
    // Neither where modes are spikes beside the mass (the neck of a funnel), nor where they are points of a ridge.
    let funnel = survey_around(&Funnel::new(10).expect("a target"), &starts(10), &Seed(1).stream("survey"));
    assert!(funnel.starts <= 16 && !funnel.best.expect("an approximation").at_mode, "{}", funnel.starts);
    // Points of a ridge are no modes to be counted one by one.
    let rings = survey_around(&Rings, &starts(2), &Seed(1).stream("survey"));
    assert!(rings.starts < 200 && !rings.is_complete(), "{} {}", rings.starts, rings.modes.len());
}

#[test]
fn one_mode_of_scales_that_differ_by_much_is_one() {
    // Intercept and slope of a regression on a column that is far from zero: standard deviations of 3·10³ and 20, correlated to 0.9998.
    let (deviations, correlation) = ([3e3, 20.0], -0.999_8);
    let between = correlation * deviations[0] * deviations[1];
    let covariance = vec![deviations[0] * deviations[0], between, between, deviations[1] * deviations[1]];
    let target = Gaussian::new(vec![-69_302.0, 1_429.0], covariance).expect("a target");
    let found = survey_around(&target, &starts(2), &Seed(1).stream("survey"));
    assert_eq!(found.modes.len(), 1, "{:?}", found.modes);
    assert!(found.modes[0].ess > 0.99);
}

#[test]
fn a_mode_without_mass_is_passed_over() {
    // The funnel's mode is a spike at v = −40.5 with next to no mass; normal approximations along a climb do better.
    let funnel = Funnel::new(10).expect("a funnel");
    let best = of(&funnel).best.expect("an approximation");
    assert!(!best.at_mode && best.log_evidence > -5.0, "{best:?}");
    let best = of(&EightSchools).best.expect("an approximation");
    assert!((best.log_evidence + 31.3).abs() < 3.0, "{}", best.log_evidence);
}

/// A standard normal that cannot be evaluated beyond a radius, and counts.
struct Fragile(AtomicUsize);

impl Density for Fragile {
    fn dim(&self) -> usize {
        3
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        mut gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        self.0.fetch_add(values.len(), Ordering::Relaxed);
        for (row, (point, value)) in points.chunks_exact(3).zip(values).enumerate() {
            let squares: f64 = point.iter().map(|x| x * x).sum();
            *value = -0.5 * squares;
            if squares > 25.0 {
                faults.mark(row, "it overflows");
                *value = f64::NAN;
            }
            if let Some(gradients) = &mut gradients {
                gradients[row * 3..][..3].iter_mut().zip(point).for_each(|(g, x)| *g = -x);
            }
        }
        Ok(())
    }
}

#[test]
fn starts_that_cannot_be_evaluated_are_left_and_counted() {
    let density = Fragile(AtomicUsize::new(0));
    let found = of(&density);
    let arrived: usize = found.arrivals.iter().sum();
    assert!((4..16).contains(&arrived) && found.fault.is_some(), "{arrived}");
    let best = found.best.expect("the mode");
    assert!(best.at_mode && best.mean.iter().all(|x| x.abs() < 1e-3));
    assert!(density.0.load(Ordering::Relaxed) < 1_000);
}
