//! The no-U-turn sampler of the crate nuts-rs on our densities: several chains from over-dispersed starts.

use super::islands::worst;
use super::{Drawn, NutsSettings};
use crate::seed::Stream;
use crate::target::{Density, Fatal, Faults};
use nuts_rs::rand::rngs::StdRng;
use nuts_rs::rand::SeedableRng;
use nuts_rs::{Chain, CpuLogpFunc, CpuMath, CpuMathError, DiagNutsSettings, HasDims, LogpError, Settings};
use rand::RngCore;
use rayon::prelude::*;
use std::collections::HashMap;
use std::time::Instant;

/// R̂ above which chains have not mixed (Vehtari et al. 2021).
const MOST_R_HAT: f64 = 1.01;

/// Effective draws below which nothing is said (Vehtari et al. 2021: 100 for each of four chains).
const LEAST_EFFECTIVE: f64 = 400.0;

/// The share of divergent transitions above which a part of the density was not reached.
const MOST_DIVERGENT: f64 = 0.001;

/// Starts that are tried for one chain before it is given up.
const MOST_STARTS: u64 = 100;

/// One density as nuts-rs sees it.
struct Function<'a> {
    density: &'a dyn Density,
    failed: usize,
    evaluations: usize,
}

/// A point that cannot be evaluated, or where the density is zero: a divergence; or the end.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no density at a point")]
    Here,
    #[error("{0}")]
    Fatal(String),
}

impl LogpError for Fault {
    fn is_recoverable(&self) -> bool {
        matches!(self, Fault::Here)
    }
}

impl HasDims for Function<'_> {
    fn dim_sizes(&self) -> HashMap<String, u64> {
        HashMap::from([("unconstrained_parameter".to_string(), self.density.dim() as u64)])
    }
}

impl CpuLogpFunc for Function<'_> {
    type LogpError = Fault;
    type FlowParameters = ();
    type ExpandedVector = Vec<f64>;

    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn logp(&mut self, position: &[f64], gradient: &mut [f64]) -> Result<f64, Fault> {
        let (mut value, mut faults) = ([0.0], Faults::default());
        let result = self.density.evaluate(position, &mut value, Some(&mut *gradient), &mut faults);
        result.map_err(|fatal| Fault::Fatal(fatal.0))?;
        self.evaluations += 1;
        self.failed += faults.rows().len();
        let sound = faults.rows().is_empty() && value[0].is_finite() && gradient.iter().all(|g| g.is_finite());
        if sound {
            Ok(value[0])
        } else {
            Err(Fault::Here)
        }
    }

    fn expand_vector<R>(&mut self, _: &mut R, position: &[f64]) -> Result<Vec<f64>, CpuMathError>
    where
        R: nuts_rs::rand::Rng + ?Sized,
    {
        Ok(position.to_vec())
    }
}

/// What one chain found.
#[derive(Default)]
struct Found {
    points: Vec<f64>,
    divergences: usize,
    evaluations: usize,
    lost: Option<String>,
}

/// Draws by the no-U-turn sampler (Hoffman and Gelman 2014), row-major, chain after chain; chains run in parallel and each has random numbers
/// of its own, so the result does not depend on the number of threads. The draws are in doubt if R̂ is above 1.01, fewer than 400 of them are
/// effective, or more than 0.1 % of the transitions diverge. log Z stays unknown.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn nuts(density: &dyn Density, settings: &NutsSettings, stream: &Stream) -> Result<Drawn, Fatal> {
    let (clock, dim) = (Instant::now(), density.dim());
    let chains: Vec<Result<Found, Fatal>> =
        (0..settings.chains).into_par_iter().map(|k| chain(density, settings, stream, k as u64)).collect();
    let chains: Vec<Found> = chains.into_iter().collect::<Result<_, _>>()?;
    let mut faults: Vec<String> = chains.iter().filter_map(|chain| chain.lost.clone()).collect();
    let whole: Vec<&[f64]> = chains.iter().filter(|c| c.lost.is_none()).map(|c| &c.points[..]).collect();
    let (r_hat, effective) = if whole.len() >= 2 { worst(dim, &whole) } else { (f64::NAN, f64::NAN) };
    let divergences = chains.iter().map(|chain| chain.divergences).sum::<usize>();
    if r_hat.is_nan() || r_hat > MOST_R_HAT {
        faults.push(format!("the chains did not find the same places: R-hat is {r_hat:.3}, above {MOST_R_HAT}"));
    }
    if effective.is_nan() || effective < LEAST_EFFECTIVE {
        faults.push(format!("only {effective:.0} draws are effective; {LEAST_EFFECTIVE} are needed"));
    }
    let kept = (settings.chains * settings.keep) as f64;
    if divergences as f64 > MOST_DIVERGENT * kept {
        faults.push(format!("{divergences} of {kept} transitions diverged: a narrow part was not reached"));
    }
    Ok(Drawn {
        draws: whole.concat(),
        log_z: None,
        effective,
        r_hat,
        acceptance: f64::NAN,
        temperatures: None,
        ancestors: None,
        divergences: Some(divergences),
        evaluations: chains.iter().map(|chain| chain.evaluations).sum(),
        failed: 0,
        seconds: clock.elapsed().as_secs_f64(),
        faults,
    })
}

fn chain(density: &dyn Density, settings: &NutsSettings, stream: &Stream, k: u64) -> Result<Found, Fatal> {
    let dim = density.dim();
    let mut seed = [0u8; 32];
    stream.child("chains").row(k).fill_bytes(&mut seed);
    let mut rng = StdRng::from_seed(seed);
    let options = DiagNutsSettings {
        num_tune: settings.warm_up as u64,
        num_draws: settings.keep as u64,
        num_chains: settings.chains,
        ..DiagNutsSettings::default()
    };
    let lost = |why: String| Found { lost: Some(format!("chain {}: {why}", k + 1)), ..Found::default() };
    let starts = stream.child("starts");
    let math = CpuMath::new(Function { density, failed: 0, evaluations: 0 });
    let Ok(mut sampler) = options.new_chain(k, math, &mut rng) else {
        return Ok(lost("the sampler refused its settings".into()));
    };
    let mut start = vec![0.0; dim];
    let begun = (0..MOST_STARTS).any(|attempt| {
        starts.normals(k * MOST_STARTS + attempt, dim, &mut start);
        start.iter_mut().for_each(|x| *x *= settings.spread);
        sampler.set_position(&start).is_ok()
    });
    if !begun {
        return Ok(lost(format!("none of {MOST_STARTS} starts has a density")));
    }
    let mut found = Found::default();
    for step in 0..settings.warm_up + settings.keep {
        match sampler.draw() {
            Ok((point, progress)) => {
                found.evaluations += progress.num_steps as usize;
                if step >= settings.warm_up {
                    found.divergences += usize::from(progress.diverging);
                    found.points.extend_from_slice(&point);
                }
            }
            Err(error) => return Ok(lost(format!("{error:#}"))),
        }
    }
    Ok(found)
}
