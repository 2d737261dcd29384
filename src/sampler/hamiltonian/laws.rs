//! Laws of a Hamiltonian move: it leaves the tempered density as it is, and every orbit that is kept leads back.

use super::*;
use crate::sampler::{systematic, Shape};
use crate::seed::{open_unit, Seed};
use crate::target::{Density, Faults, Funnel, Moons, StudentT};

/// The exponential distribution on x > 0, which cannot be evaluated elsewhere.
struct Wall;

impl Density for Wall {
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
            *value = -x;
            if *x <= 0.0 {
                faults.mark(row, "x is not positive");
            }
        }
        gradients.into_iter().for_each(|gradients| gradients.fill(-1.0));
        Ok(())
    }
}

/// `n` particles distributed as γ^β · base^(1 − β): chosen by weight from very many draws of the base.
fn distributed(path: &Path, beta: f64, n: usize) -> Particles {
    let (dim, many) = (path.shape.dim(), 400_000);
    let mut all = Particles { z: vec![0.0; many * dim], values: vec![0.0; many], gradients: vec![0.0; many * dim] };
    path.base.draw(&Seed(1).stream("base"), &mut all.z);
    path.refresh(&mut all).expect("evaluated");
    let logs: Vec<f64> = path.differences(&all).into_iter().map(|d| beta * d).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
    all.chosen(&systematic(&weights, n, open_unit(&mut Seed(1).stream("u").row(0))), dim)
}

/// A metric that mixes coordinates.
fn metric(dim: usize) -> Shape {
    let mut points = vec![0.0; 500 * dim];
    Seed(4).stream("metric").normals(0, dim, &mut points);
    for point in points.chunks_exact_mut(dim) {
        (1..dim).for_each(|i| point[i] = 0.7 * point[i - 1] + 0.7 * point[i]);
    }
    Shape::fit(dim, &points, &[1.0 / 500.0; 500], 1.0)
}

fn targets() -> Vec<(&'static str, Box<dyn Density>)> {
    vec![
        ("funnel", Box::new(Funnel::new(2).expect("a target"))),
        ("moons", Box::new(Moons::u1())),
        ("tails", Box::new(StudentT::new(3, 2.0).expect("a target"))),
        ("wall", Box::new(Wall)),
    ]
}

#[test]
fn draws_of_a_tempered_density_stay_draws_of_it() {
    for (name, target) in targets() {
        let shape = Shape::round(target.dim(), 1.5);
        let path = Path::new(target.as_ref(), &shape, &[]);
        let (dim, n) = (target.dim(), 20_000);
        for (beta, step) in [(0.0, 0.7), (0.4, 0.5), (0.9, 0.3), (0.9, 1.2)] {
            // A wall is none where the target does not count.
            if beta == 0.0 && name == "wall" {
                continue;
            }
            let before = distributed(&path, beta, n);
            let mut after = before.clone();
            let metric = metric(dim);
            let mut acceptance = 0.0;
            for k in 0..4 {
                let how = Move { beta, step, stretches: 3, leapfrogs: 2, halvings: MOST_HALVINGS, metric: &metric };
                let noise = Seed(2).stream(&format!("{name} {beta} {step} {k}"));
                acceptance += path.carry_on(&mut after, &how, &noise).expect("moved").acceptance / 4.0;
            }
            assert!(acceptance > 0.03, "{name} at {beta}, step {step}: acceptance {acceptance}");
            // Bounded functions of the place, among them some that look at necks and tails.
            let heights = |particles: &Particles| path.differences(particles);
            let (low, high) = (heights(&before), heights(&after));
            let mut sorted = low.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for q in [0.05, 0.3, 0.7, 0.95] {
                let level = sorted[(q * n as f64) as usize];
                let above = |height: &f64| f64::from(u8::from(*height > level));
                let changes: Vec<f64> = high.iter().zip(&low).map(|(a, b)| above(a) - above(b)).collect();
                small(&changes, &format!("{name} at {beta}, step {step}: share above the quantile {q}"));
            }
            for i in 0..dim {
                for (word, of) in [("place", |z: f64| z.tanh()), ("size", |z: f64| (2.0 + z.abs().ln()).tanh())]
                    as [(_, fn(f64) -> f64); 2]
                {
                    let column = |particles: &Particles| -> Vec<f64> {
                        particles.z.iter().skip(i).step_by(dim).map(|z| of(*z)).collect()
                    };
                    let changes: Vec<f64> = column(&after).iter().zip(column(&before)).map(|(a, b)| a - b).collect();
                    small(&changes, &format!("{name} at {beta}, step {step}: {word} {i}"));
                }
            }
        }
    }
}

/// The mean of `changes` is zero within four and a half standard errors.
fn small(changes: &[f64], what: &str) {
    let n = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / n;
    let error = (changes.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n * n)).sqrt();
    assert!(error > 0.0 && mean.abs() <= 4.5 * error, "{what}: {mean} with standard error {error}");
}

#[test]
fn an_orbit_has_its_reverse() {
    // Nearly all of these long orbits end at the wall.
    for (name, target) in targets().into_iter().filter(|(name, _)| *name != "wall") {
        let (dim, rows) = (target.dim(), 64);
        let shape = Shape::round(dim, 1.5);
        let path = Path::new(target.as_ref(), &shape, &[]);
        let from = distributed(&path, 0.8, rows);
        let mut momenta = vec![0.0; rows * dim];
        Seed(3).stream("momenta").normals(0, dim, &mut momenta);
        let start = Phase { z: from.z, momenta, values: from.values, gradients: from.gradients };
        let metric = metric(dim);
        let how = Move { beta: 0.8, step: 0.8, stretches: 4, leapfrogs: 2, halvings: MOST_HALVINGS, metric: &metric };
        let steps: Vec<f64> = (0..rows).map(|r| 0.2 + 0.01 * r as f64).collect();
        let there = path.orbits(start.clone(), &how, &steps).expect("an orbit");
        let mut back = there.ends.clone();
        back.momenta.iter_mut().for_each(|p| *p = -*p);
        let here = path.orbits(back, &how, &steps).expect("an orbit");
        let alive = (0..rows).filter(|&row| there.alive[row]);
        assert!(alive.clone().count() > rows / 4, "{name}");
        for row in alive {
            assert!(here.alive[row], "{name}: row {row} does not find back");
            for i in row * dim..(row + 1) * dim {
                assert!((start.z[i] - here.ends.z[i]).abs() < 1e-6 * (1.0 + start.z[i].abs()), "{name}, row {row}");
            }
        }
    }
}
