//! Several islands of tempered sequential Monte Carlo from a base found by pilots, what they agree on, and whether they do.

use super::base::Component;
use super::convergence::{effective_draws, split_r_hat};
use super::resampling::systematic;
use super::smc::{island, Island, Metric};
use super::{Drawn, Shape, SmcSettings};
use crate::seed::{open_unit, Stream};
use crate::target::{Density, Fatal};
use rayon::prelude::*;
use std::time::Instant;

/// The scales of the round bases from which pilots look for the target.
const PILOT_SCALES: [f64; 4] = [1.0, 4.0, 16.0, 64.0];

/// The base is this much wider than what the pilots found.
const INFLATION: f64 = 1.5;

/// The share, and the points, of a standard normal in a base for a density that is about as wide.
const SHARE_AROUND: f64 = 0.25;
/// See [`SHARE_AROUND`].
const PILOT_AROUND: usize = 256;

/// Islands whose estimates of log Z have a larger standard deviation than this do not tell the same story.
const MOST_SPREAD: f64 = 0.5;

/// A larger rank correlation of the largest log weights before and after a round of moves says that particles are stuck: a round goes on until
/// it is below 0.4, or as long as it may.
const MOST_MEMORY: f64 = 0.5;

/// A larger R̂ over islands says that they did not find the same places.
const MOST_R_HAT: f64 = 1.1;

/// `draws` draws (or as many as the islands have particles, if that is more) and log Z, by independent islands of tempered sequential
/// Monte Carlo. Ẑ is the mean of the islands' estimates; its standard error is the larger of two, from the spread of the islands and from
/// the descent of their particles (Chan and Lai 2013).
///
/// The base is a Student-t distribution of four degrees of freedom, since a normal one has lighter tails than many a target; round with the
/// scale that is given. Else pilots from round bases of scales 1, 4, 16 and 64 look for the target, and the base is the distribution of that
/// shape fitted to their particles, each pilot weighted by its evidence, 1.5 times wider. A part of the target that no pilot sees (farther out than about 150, or narrow and far from where the others lie) is missed.
///
/// The result does not depend on the number of threads.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn smc(density: &dyn Density, settings: &SmcSettings, draws: usize, stream: &Stream) -> Result<Drawn, Fatal> {
    islands_from(density, settings, draws, None, stream)
}

/// [`smc`] of a density whose coordinates have been scaled so that it is about as wide as a standard normal: the base covers that too. Half of
/// the base's mass lies at `components`, if there are any, as places where the density is known to have mass: what is narrow and far from
/// the rest is lost on a path from a base that does not know of it.
///
/// # Errors
/// As [`smc`].
pub fn smc_scaled(
    density: &dyn Density,
    settings: &SmcSettings,
    components: &[Component],
    draws: usize,
    stream: &Stream,
) -> Result<Drawn, Fatal> {
    islands_from(density, settings, draws, Some(components), stream)
}

fn islands_from(
    density: &dyn Density,
    settings: &SmcSettings,
    draws: usize,
    scaled: Option<&[Component]>,
    stream: &Stream,
) -> Result<Drawn, Fatal> {
    let clock = Instant::now();
    let mut evaluations = 0;
    let shape = match settings.scale {
        Some(scale) => Shape::round(density.dim(), scale),
        None => {
            let (shape, spent) = found_base(density, settings, scaled.is_some(), &stream.child("pilots"))?;
            evaluations += spent;
            shape
        }
    };
    let Some(shape) = Some(shape).filter(|shape| shape.log_det().is_finite()) else {
        return Ok(nothing("the base has no finite scale", evaluations, clock));
    };
    // A base that pilots have found is shaped like the target already.
    let metric = if settings.scale.is_some() { Metric::Dense } else { Metric::Diagonal };
    let components = scaled.unwrap_or(&[]);
    let snapshots = draws.div_ceil(settings.islands * settings.particles).max(1);
    let islands: Vec<Result<Island, Fatal>> = (0..settings.islands)
        .into_par_iter()
        .map(|k| {
            island(density, (&shape, components), settings, metric, snapshots, &stream.child(&format!("island {k}")))
        })
        .collect();
    let islands: Vec<Island> = islands.into_iter().collect::<Result<_, _>>()?;
    let mut drawn = combine(density.dim(), &islands, settings, stream);
    drawn.evaluations += evaluations;
    drawn.seconds = clock.elapsed().as_secs_f64();
    Ok(drawn)
}

/// The base from pilots, and the evaluations that they took.
fn found_base(
    density: &dyn Density,
    settings: &SmcSettings,
    scaled: bool,
    stream: &Stream,
) -> Result<(Shape, usize), Fatal> {
    let dim = density.dim();
    let small = SmcSettings { particles: settings.pilots.min(settings.particles), keep: 0.5, ..*settings };
    let pilots: Vec<Result<Island, Fatal>> = PILOT_SCALES
        .into_par_iter()
        .map(|scale| {
            island(
                density,
                (&Shape::round(dim, scale), &[]),
                &small,
                Metric::Dense,
                1,
                &stream.child(&format!("scale {scale}")),
            )
        })
        .collect();
    let pilots: Vec<Island> = pilots.into_iter().collect::<Result<_, _>>()?;
    let spent = pilots.iter().map(|pilot| pilot.evaluations).sum();
    let usable = |pilot: &&Island| pilot.arrived && pilot.log_z.is_finite();
    let largest = pilots.iter().filter(usable).map(|pilot| pilot.log_z).fold(f64::NEG_INFINITY, f64::max);
    let (mut points, mut weights) = (Vec::new(), Vec::new());
    for pilot in pilots.iter().filter(usable) {
        let rows = pilot.points.len() / dim;
        points.extend_from_slice(&pilot.points);
        weights.extend(std::iter::repeat_n((pilot.log_z - largest).exp() / rows as f64, rows));
    }
    if weights.is_empty() {
        return Ok((Shape::round(dim, PILOT_SCALES[1]), spent));
    }
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    // Coordinates that are scaled by what a survey has found are as wide as that: small pilots may have lost a part of it.
    if scaled {
        let mut around = vec![0.0; PILOT_AROUND * dim];
        stream.child("around").normals(0, dim, &mut around);
        weights.iter_mut().for_each(|weight| *weight *= 1.0 - SHARE_AROUND);
        weights.extend(std::iter::repeat_n(SHARE_AROUND / PILOT_AROUND as f64, PILOT_AROUND));
        points.extend(around);
    }
    Ok((Shape::fit(dim, &points, &weights, INFLATION), spent))
}

fn combine(dim: usize, islands: &[Island], settings: &SmcSettings, stream: &Stream) -> Drawn {
    let count = islands.len() as f64;
    let largest = islands.iter().map(|island| island.log_z).fold(f64::NEG_INFINITY, f64::max);
    let evidence: Vec<f64> = islands.iter().map(|island| (island.log_z - largest).exp()).collect();
    let mean = evidence.iter().sum::<f64>() / count;
    let variance = evidence.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // Few islands may agree by chance; the descent of the particles gives a second estimate of the same variance, and the larger one counts.
    let of_descent = islands.iter().zip(&evidence).map(|(island, z)| z * z * island.variance).sum::<f64>() / count;
    let log_z = (largest + mean.ln(), (variance.max(of_descent) / count).sqrt() / mean);

    // Draws of equal weight: an island's particles weigh as much as its evidence says.
    let rows = islands.first().map_or(0, |island| island.points.len() / dim);
    let weights: Vec<f64> = evidence.iter().flat_map(|z| std::iter::repeat_n(*z, rows)).collect();
    let chosen = systematic(&weights, weights.len(), open_unit(&mut stream.child("islands").row(0)));
    let at = |place: usize| islands[place / rows].points[place % rows * dim..][..dim].iter().copied();
    let draws: Vec<f64> = chosen.into_iter().flat_map(at).collect();

    // One snapshot of each island is a sample of independent rows; the order of its rows means nothing.
    let last = rows - settings.particles;
    let chains: Vec<&[f64]> = islands.iter().map(|island| &island.points[last * dim..]).collect();
    let (r_hat, effective) = worst(dim, &chains);
    let temperatures = islands.iter().map(|island| island.temperatures).max();
    let ancestors = islands.iter().map(|island| island.ancestors).min();
    let acceptance = islands.iter().map(|island| island.acceptance).fold(f64::INFINITY, f64::min);
    let evaluations = islands.iter().map(|island| island.evaluations).sum::<usize>();
    let failed = islands.iter().map(|island| island.failed).sum::<usize>();

    let mut faults = Vec::new();
    if let Some(lost) = Some(islands.iter().filter(|island| !island.arrived).count()).filter(|&lost| lost > 0) {
        faults.push(format!(
            "{lost} of {count} islands did not reach the target: give a `scale` near its width, or more `particles`"
        ));
    }
    let spread = variance.sqrt() / mean;
    if spread.is_nan() || spread > MOST_SPREAD {
        faults.push(format!(
            "the islands' estimates of the evidence differ by {:.0} % (standard deviation): more `particles` (now {}) or `moves` \
             (now {}) would bring them together",
            100.0 * spread,
            settings.particles,
            settings.moves
        ));
    }
    if r_hat.is_nan() || r_hat > MOST_R_HAT {
        faults.push(format!(
            "the islands did not find the same places: R-hat is {r_hat:.2}, above {MOST_R_HAT}; more `particles` (now {}), or a `scale` \
             that covers all of them, would help",
            settings.particles
        ));
    }
    let memory = islands.iter().map(|island| island.memory).fold(0.0, f64::max);
    let mut doubts = Vec::new();
    if memory > MOST_MEMORY {
        doubts.push(format!(
            "the particles hardly move where weights are large: there, log weights before and after a round of moves have the rank correlation \
             {memory:.2}, above {MOST_MEMORY}; more `moves` (now {}) would help",
            settings.moves
        ));
    }
    if let Some(few) = ancestors.filter(|&n| n < 5) {
        faults.push(format!("all particles of an island descend from {few} of its first ones: more `particles` (now {}), or a `keep` nearer to 1, would help", settings.particles));
    }
    if acceptance < 0.2 {
        faults.push(format!("the last moves were accepted with probability {acceptance:.2} only: the density is rough or has walls; more `moves` (now {}) would help", settings.moves));
    }
    // Far from the target's mass, where a path begins, exponentials overflow; what fails beside the mass may hide some of it.
    let of_moves = islands.iter().map(|island| island.at_target);
    let (moves, in_vain) = of_moves.fold((0, 0), |sum, island| (sum.0 + island.0, sum.1 + island.1));
    if in_vain * 100 > moves {
        faults.push(format!(
            "{in_vain} of {moves} evaluations around the target's mass failed: the target should be defined there, or its density be zero (-inf)"
        ));
    }
    let log_z = log_z.0.is_finite().then_some(log_z);
    let (divergences, seconds) = (None, 0.0);
    Drawn {
        draws,
        log_z,
        effective,
        r_hat,
        acceptance,
        temperatures,
        ancestors,
        divergences,
        evaluations,
        failed,
        seconds,
        faults,
        doubts,
    }
}

/// The largest R̂ and the smallest effective number of draws over the coordinates.
pub(super) fn worst(dim: usize, chains: &[&[f64]]) -> (f64, f64) {
    let of_coordinate = |i: usize| {
        let columns: Vec<Vec<f64>> =
            chains.iter().map(|chain| chain.iter().skip(i).step_by(dim).copied().collect()).collect();
        (split_r_hat(&columns), effective_draws(&columns))
    };
    let all: Vec<(f64, f64)> = (0..dim).into_par_iter().map(of_coordinate).collect();
    // A NaN must come through as the worst.
    let worse = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
    all.into_iter().fold((1.0, f64::INFINITY), |(r, n), (r_hat, draws)| (worse(r_hat, r), -worse(-draws, -n)))
}

fn nothing(fault: &str, evaluations: usize, clock: Instant) -> Drawn {
    Drawn {
        draws: Vec::new(),
        log_z: None,
        effective: 0.0,
        r_hat: f64::INFINITY,
        acceptance: 0.0,
        temperatures: None,
        ancestors: None,
        divergences: None,
        evaluations,
        failed: 0,
        seconds: clock.elapsed().as_secs_f64(),
        faults: vec![fault.into()],
        doubts: Vec::new(),
    }
}
