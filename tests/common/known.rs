//! Known densities, true and wrong ones, to judge the certificate against held-out rows by.

use flowdistill::evaluate::certificate::Verdict;
use flowdistill::evaluate::held_out::{DataCertificate, Sides};
use flowdistill::seed::{normal_pair, open_unit, Seed, Stream};
use rand::RngCore;

/// A mixture of normal densities whose coordinates are then bent: x = sinh(bend · u)/bend.
#[derive(Clone)]
pub struct Known {
    /// The number of coordinates.
    pub dim: usize,
    /// The weight, the mean, and the lower triangular factor of the covariance of each.
    parts: Vec<(f64, Vec<f64>, Vec<f64>)>,
    bends: Vec<f64>,
    /// What lies above this in the first coordinate is cut off, and the share that it had.
    cut: Option<(f64, f64)>,
}

fn normal(rng: &mut impl RngCore) -> f64 {
    normal_pair(rng)[0]
}

impl Known {
    /// One density of many: `dim` coordinates, `parts` bumps of which the last is far from the others and has the weight `last`.
    pub fn any(dim: usize, parts: usize, last: f64, correlated: f64, rng: &mut impl RngCore) -> Self {
        let mut all = Vec::new();
        for part in 0..parts {
            let far = if part + 1 == parts && parts > 1 { 5.0 } else { 0.0 };
            let mut mean: Vec<f64> = (0..dim).map(|_| 0.8 * normal(rng)).collect();
            mean[0] += far;
            let mut factor = vec![0.0; dim * dim];
            for i in 0..dim {
                let row: Vec<f64> = (0..=i).map(|j| if i == j { 1.0 } else { correlated * normal(rng) }).collect();
                let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                (0..=i).for_each(|j| factor[i * dim + j] = row[j] / norm);
            }
            let weight = if parts == 1 {
                1.0
            } else if part + 1 == parts {
                last
            } else {
                (1.0 - last) / (parts - 1) as f64
            };
            all.push((weight, mean, factor));
        }
        let bends = (0..dim).map(|_| if open_unit(rng) < 0.3 { 0.8 } else { 0.0 }).collect();
        Self { dim, parts: all, bends, cut: None }
    }

    fn draw(&self, rng: &mut impl RngCore) -> Vec<f64> {
        loop {
            let mut left = open_unit(rng);
            let part = self.parts.iter().find(|part| {
                left -= part.0;
                left <= 0.0
            });
            let (_, mean, factor) = part.unwrap_or(&self.parts[0]);
            let z: Vec<f64> = (0..self.dim).map(|_| normal(rng)).collect();
            let x: Vec<f64> = (0..self.dim)
                .map(|i| mean[i] + (0..=i).map(|j| factor[i * self.dim + j] * z[j]).sum::<f64>())
                .zip(&self.bends)
                .map(|(u, &bend)| if bend > 0.0 { (bend * u).sinh() / bend } else { u })
                .collect();
            if self.cut.is_none_or(|(above, _)| x[0] <= above) {
                return x;
            }
        }
    }

    pub fn draws(&self, rows: usize, stream: &Stream) -> Vec<f64> {
        (0..rows).flat_map(|row| self.draw(&mut stream.row(row as u64))).collect()
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        let cut = match self.cut {
            Some((above, _)) if x[0] > above => return f64::NEG_INFINITY,
            Some((_, share)) => -(1.0 - share).ln(),
            None => 0.0,
        };
        let mut log_jacobian = 0.0;
        let u: Vec<f64> = x
            .iter()
            .zip(&self.bends)
            .map(|(&x, &bend)| {
                if bend > 0.0 {
                    log_jacobian -= 0.5 * (1.0 + (bend * x).powi(2)).ln();
                    (bend * x).asinh() / bend
                } else {
                    x
                }
            })
            .collect();
        let of_part = |(weight, mean, factor): &(f64, Vec<f64>, Vec<f64>)| {
            let mut z = vec![0.0; self.dim];
            let mut log = weight.ln();
            for i in 0..self.dim {
                let known: f64 = (0..i).map(|j| factor[i * self.dim + j] * z[j]).sum();
                z[i] = (u[i] - mean[i] - known) / factor[i * self.dim + i];
                log -= 0.5 * (z[i] * z[i] + std::f64::consts::TAU.ln()) + factor[i * self.dim + i].ln();
            }
            log
        };
        let logs: Vec<f64> = self.parts.iter().map(of_part).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln() + log_jacobian + cut
    }

    pub fn log_densities(&self, points: &[f64]) -> Vec<f64> {
        points.chunks_exact(self.dim).map(|x| self.log_density(x)).collect()
    }

    /// The total variation distance to `other`, from 20,000 draws of this one.
    fn distance(&self, other: &Known, stream: &Stream) -> f64 {
        let points = self.draws(20_000, stream);
        let (own, others) = (self.log_densities(&points), other.log_densities(&points));
        own.iter().zip(&others).map(|(own, other)| (1.0 - (other - own).exp()).max(0.0)).sum::<f64>() / own.len() as f64
    }
}

/// Judges the density `model` on `rows` rows of `truth`.
pub fn judge(truth: &Known, model: &Known, rows: usize, stream: &Stream) -> DataCertificate {
    let names: Vec<String> = (0..truth.dim).map(|i| format!("c{i}")).collect();
    let rows = truth.draws(rows, &stream.child("rows"));
    let draws = model.draws((4 * rows.len() / truth.dim).clamp(4_000, 20_000), &stream.child("draws"));
    let (of_rows, of_draws) = (model.log_densities(&rows), model.log_densities(&draws));
    let sides = Sides { names: &names, rows: &rows, draws: &draws, log_densities: Some((&of_rows, &of_draws)) };
    DataCertificate::of(&sides, &stream.child("compare"))
}

/// Whether a true density is not trusted, and why.
pub fn false_alarm(case: u64) -> Option<String> {
    let stream = Seed(case).stream("true models");
    let mut rng = stream.row(0);
    let mut up_to = |most: f64| open_unit(&mut rng) * most;
    let rows = (100.0 * (200f64).powf(up_to(1.0))) as usize;
    let dim = 1 + up_to(20.0) as usize;
    let parts = 1 + up_to(3.0) as usize;
    let (last, correlated) = (0.1 + up_to(0.3), up_to(0.8));
    let known = Known::any(dim, parts, last, correlated, &mut rng);
    let found = judge(&known, &known, rows, &stream);
    let off = found.verdict != Verdict::Trusted;
    off.then(|| format!("case {case}: {rows} rows, {dim} columns: {}", found.reasons.join("; ")))
}

/// How densities are made wrong.
pub const KINDS: [&str; 4] = ["a bump lost", "a dependence lost", "a tail cut", "a marginal bent"];

/// A wrong density for the truth of case `case`, its kind, and how wrong it is.
pub fn wrong(case: u64) -> (Known, Known, usize, f64) {
    let stream = Seed(case).stream("wrong models");
    let kind = (case % 4) as usize;
    for attempt in 0.. {
        let mut rng = stream.row(attempt);
        let mut up_to = |most: f64| open_unit(&mut rng) * most;
        let dim = if kind == 1 { 2 + up_to(19.0) as usize } else { 1 + up_to(20.0) as usize };
        let parts = if kind == 0 { 2 + up_to(2.0) as usize } else { 1 + up_to(2.0) as usize };
        let (last, correlated, strength) = (0.1 + up_to(0.2), up_to(0.8), up_to(1.0));
        let place = up_to(dim as f64) as usize;
        let truth = Known::any(dim, parts, last, correlated, &mut rng);
        let mut model = truth.clone();
        match kind {
            0 => {
                model.parts.pop();
                let left: f64 = model.parts.iter().map(|part| part.0).sum();
                model.parts.iter_mut().for_each(|part| part.0 /= left);
            }
            1 => {
                for (_, _, factor) in &mut model.parts {
                    let diagonal = (0..dim * dim).map(|at| f64::from(u8::from(at % (dim + 1) == 0)));
                    factor.iter_mut().zip(diagonal).for_each(|(x, diagonal)| *x = diagonal);
                }
            }
            2 => {
                let mut first: Vec<f64> = truth.draws(20_000, &stream).iter().step_by(dim).copied().collect();
                first.sort_by(f64::total_cmp);
                let share = 0.1 + 0.1 * strength;
                model.cut = Some((first[((1.0 - share) * 20_000.0) as usize], share));
            }
            _ => {
                if strength < 0.5 {
                    model.parts.iter_mut().for_each(|part| part.1[place] += 0.25 + strength);
                } else {
                    model.bends[place] = if model.bends[place] > 0.0 { 0.0 } else { 1.2 };
                }
            }
        }
        let distance = truth.distance(&model, &stream.child("distance"));
        if (0.1..0.3).contains(&distance) {
            return (truth, model, kind, distance);
        }
    }
    unreachable!("some attempt has such a distance")
}
