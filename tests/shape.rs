//! The maps of one variable that are given by formulas: derivatives, inverses, and what happens far out.

mod common;

use common::{disagreement, normal_rows};
use flowdistill::ops::lanes::LANES;
use flowdistill::ops::transform::Transform;
use flowdistill::transformer::{point, Bins, ByFormula, Curve, Leaky, MixtureCdf, MonotoneNet, Shape};

/// Calls `law` with every shape and random parameters of size `scale`.
fn for_all(scale: f64, mut law: impl FnMut(&str, &dyn Fn(f64, &[f64]) -> (f64, f64), &dyn Law, &[f64])) {
    let random = |len: usize| normal_rows(len.max(1), 1, "theta").into_iter().take(len).map(|z| scale * z).collect();
    macro_rules! each {
        ($($name:literal => $shape:expr),* $(,)?) => {
            $( let shape = $shape;
               let theta: Vec<f64> = random(shape.parameters());
               law($name, &|x, theta| point::at(&shape, x, theta), &shape, &theta); )*
        };
    }
    each!(
        "lines" => Bins { bins: 5, limit: 2.0, curve: Curve::Line },
        "sines" => Bins { bins: 5, limit: 2.0, curve: Curve::Sine },
        "mixture" => MixtureCdf { components: 4 },
        "one component" => MixtureCdf { components: 1 },
        "network" => MonotoneNet { units: 4 },
        "leaky" => Leaky { slope: 0.2 },
    );
}

/// What a law needs beside the value: an object-safe view of a shape.
trait Law {
    fn slopes_at(&self, x: f64, theta: &[f64]) -> (Vec<f64>, Vec<f64>, (f64, f64, f64));
    fn solved(&self, y: f64, theta: &[f64]) -> f64;
    /// Images and log slopes of these numbers in single precision, a group of lanes at a time; what the images come back to, and the log slopes both ways.
    fn on_lanes(&self, x: &[f32; LANES], theta: &[f64]) -> [Vec<f64>; 4];
}

impl<S: Shape> Law for S {
    fn slopes_at(&self, x: f64, theta: &[f64]) -> (Vec<f64>, Vec<f64>, (f64, f64, f64)) {
        let (mut value, mut log) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
        let found = point::slopes(self, x, theta, &mut value, &mut log);
        (value, log, found)
    }

    fn solved(&self, y: f64, theta: &[f64]) -> f64 {
        point::solve(self, y, theta)
    }

    fn on_lanes(&self, x: &[f32; LANES], theta: &[f64]) -> [Vec<f64>; 4] {
        let parameters: Vec<f32> = theta.iter().flat_map(|&theta| [theta as f32; LANES]).collect();
        let (mut y, mut log_slopes) = (x.to_vec(), vec![0.0; LANES]);
        ByFormula(*self).forward_lanes(LANES, &mut y, &parameters, &mut log_slopes, None);
        let (mut back, mut log_det) = (y.clone(), log_slopes.clone());
        ByFormula(*self).inverse_lanes(LANES, &mut back, &parameters, &mut log_det);
        let single = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        [single(y), log_slopes, single(back), log_det]
    }
}

#[test]
fn slopes_are_central_differences() {
    for_all(0.8, |name, at, shape, theta| {
        // Away from the knots of bins and bends.
        for x in [-5.0, -1.9, -1.1, -0.33, 0.05, 0.7, 1.5, 1.99, 7.0] {
            let (by_theta, log_by_theta, (value, log_slope, bend)) = shape.slopes_at(x, theta);
            assert_eq!((value, log_slope), at(x, theta), "{name}");
            let h = 1e-6;
            let (up, down) = (at(x + h, theta), at(x - h, theta));
            assert!(disagreement([log_slope.exp()], [(up.0 - down.0) / (2.0 * h)]) < 1e-7, "{name} at {x}");
            assert!(disagreement([bend], [(up.1 - down.1) / (2.0 * h)]) < 1e-7, "{name} at {x}: {bend}");
            for k in 0..theta.len() {
                let moved = |shift: f64| {
                    let mut theta = theta.to_vec();
                    theta[k] += shift;
                    at(x, &theta)
                };
                let (up, down) = (moved(h), moved(-h));
                assert!(disagreement([by_theta[k]], [(up.0 - down.0) / (2.0 * h)]) < 1e-7, "{name} at {x}: {k}");
                assert!(disagreement([log_by_theta[k]], [(up.1 - down.1) / (2.0 * h)]) < 1e-7, "{name} at {x}: {k}");
            }
        }
    });
}

#[test]
fn inverses_are_right_to_the_last_bits_however_far_out() {
    for scale in [0.3, 3.0, 30.0] {
        for_all(scale, |name, at, shape, theta| {
            let far = [1e-300, 1e-9, 0.3, 1.0, 1.999, 2.0, 17.0, 1e3, 1e6, 1e12];
            for x in far.into_iter().flat_map(|x| [-x, x]) {
                let (y, log_slope) = at(x, theta);
                assert!(y.is_finite() && log_slope.is_finite(), "{name} of {scale} at {x}: {y}, {log_slope}");
                let back = shape.solved(y, theta);
                // What rounding of y is worth in x.
                let worth =
                    4.0 * f64::EPSILON * (1.0 + y.abs()) * (-log_slope).exp().max(1.0) + 1e-12 * (1.0 + x.abs());
                assert!((back - x).abs() <= worth, "{name} of {scale} at {x}: {back}");
                let (_, by, (_, _, bend)) = shape.slopes_at(x, theta);
                assert!(bend.is_finite() && by.iter().all(|by| by.is_finite()), "{name} of {scale} at {x}");
            }
            // They increase.
            let mut before = f64::NEG_INFINITY;
            for i in -400..400 {
                let (y, _) = at(0.0171 * f64::from(i), theta);
                assert!(y >= before, "{name} of {scale}");
                before = y;
            }
        });
    }
}

#[test]
fn lanes_in_single_precision_are_what_one_number_in_double_precision_is() {
    for scale in [0.3, 1.0] {
        for_all(scale, |name, at, shape, theta| {
            let theta: Vec<f64> = theta.iter().map(|&theta| f64::from(theta as f32)).collect();
            // A lane that needs many steps lies beside others that need few.
            let x: [f32; LANES] =
                std::array::from_fn(|c| [-40.0, -3.1, -0.7, 0.01, 0.4, 1.6, 5.0, 1e4][c % 8] + c as f32 / 97.0);
            let [y, log_slopes, back, both] = shape.on_lanes(&x, &theta);
            for (c, &x) in x.iter().enumerate() {
                let (value, log_slope) = at(f64::from(x), &theta);
                assert!(disagreement([y[c]], [value]) < 2e-6, "{name} at {x}: {} for {value}", y[c]);
                assert!(
                    disagreement([log_slopes[c]], [log_slope]) < 1e-5,
                    "{name} at {x}: {} for {log_slope}",
                    log_slopes[c]
                );
                assert!(both[c].abs() < 1e-3, "{name} at {x}: {} there and back", both[c]);
                let worth = 4e-6 * (1.0 + value.abs()) * (-log_slope).exp().max(1.0);
                assert!(
                    (back[c] - f64::from(x)).abs() <= worth + 1e-6 * f64::from(x).abs(),
                    "{name} at {x}: {}",
                    back[c]
                );
            }
        });
    }
}

#[test]
fn what_single_precision_finds_is_a_solution_at_each_of_many_points() {
    for scale in [0.1, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0] {
        for_all(scale, |name, at, shape, theta| {
            let theta: Vec<f64> = theta.iter().map(|&theta| f64::from(theta as f32)).collect();
            for batch in 0..1_000 {
                let x: [f32; LANES] =
                    std::array::from_fn(|c| ((batch * LANES + c) as f32 * 0.754_877_7).fract() * 6.0 - 3.0);
                let [_, _, back, _] = shape.on_lanes(&x, &theta);
                for (&x, back) in x.iter().zip(back) {
                    let (value, log_slope) = at(f64::from(x), &theta);
                    let worth = 4e-6 * (1.0 + value.abs()) * (-log_slope).exp().max(1.0);
                    assert!((back - f64::from(x)).abs() <= worth + 1e-6 * f64::from(x).abs(), "{name} at {x}: {back}");
                }
            }
        });
    }
}

#[test]
fn lanes_are_finite_whatever_the_parameters() {
    for scale in [3.0, 30.0, 1e6] {
        for_all(scale, |name, _, shape, theta| {
            let x: [f32; LANES] =
                std::array::from_fn(|c| [0.0, 1e-30, 0.3, 2.0, 17.0, 1e3, 1e6, 1e12][c / 2] * [1.0, -1.0][c % 2]);
            for values in shape.on_lanes(&x, theta) {
                assert!(values.iter().all(|value| value.is_finite()), "{name} of {scale}: {values:?}");
            }
        });
    }
}

#[test]
fn problems_16_8_and_16_9_five_bins() {
    // Shares 0.1, 0.2, 0.5, 0.1, 0.1 on [0, 1], here on [−½, ½]; every share is drawn a hundredth towards an even one.
    let shares = [0.1, 0.2, 0.5, 0.1, 0.1];
    let drawn = |share: f64| 0.01 / 5.0 + 0.99 * share;
    let theta: Vec<f64> = shares.iter().map(|share: &f64| share.ln()).collect();
    let lines = Bins { bins: 5, limit: 0.5, curve: Curve::Line };
    let before = drawn(0.1) + drawn(0.2);
    // h = 0.5 is in the middle of the third bin, where the slope is K φ₃.
    let (y, log_slope) = point::at(&lines, 0.0, &theta);
    assert!((y + 0.5 - before - 0.5 * drawn(0.5)).abs() < 1e-14);
    assert!((log_slope - (5.0 * drawn(0.5)).ln()).abs() < 1e-14);
    // The inverse within bin b: h = (b + (h' − what is before)/φ_b)/K.
    let h = point::solve(&lines, before + 0.25 * drawn(0.5) - 0.5, &theta) + 0.5;
    assert!((h - (2.0 + 0.25) / 5.0).abs() < 1e-14);
    let sines = Bins { curve: Curve::Sine, ..lines };
    let (y, _) = point::at(&sines, 0.0, &theta);
    let within = 0.1 * 0.5 + 0.9 * std::f64::consts::FRAC_PI_4.sin();
    assert!((y + 0.5 - before - within * drawn(0.5)).abs() < 1e-14);
}
