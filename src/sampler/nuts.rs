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
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// R̂ above which chains have not mixed (Vehtari et al. 2021).
const MOST_R_HAT: f64 = 1.01;

/// Effective draws below which nothing is said (Vehtari et al. 2021: 100 for each of four chains).
const LEAST_EFFECTIVE: f64 = 400.0;

/// The share of divergent transitions above which a part of the density was not reached.
const MOST_DIVERGENT: f64 = 0.001;

/// Starts that are tried for one chain before it is given up.
const MOST_STARTS: u64 = 100;

/// One density as nuts-rs sees it, and what it did.
struct Function<'a> {
    density: &'a dyn Density,
    log: &'a Log,
}

/// What the evaluations of a chain came to. The sampler owns the function, so this is written behind its back.
#[derive(Default)]
struct Log {
    evaluations: AtomicUsize,
    failed: AtomicUsize,
    /// Why the first failure failed.
    reason: Mutex<Option<String>>,
    fatal: Mutex<Option<String>>,
}

impl Log {
    /// Keeps the first of what is said.
    fn keep(of: &Mutex<Option<String>>, text: &str) {
        of.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| text.into());
    }

    fn read(of: &Mutex<Option<String>>) -> Option<String> {
        of.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
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
        self.log.evaluations.fetch_add(1, Ordering::Relaxed);
        if let Err(fatal) = self.density.evaluate(position, &mut value, Some(&mut *gradient), &mut faults) {
            Log::keep(&self.log.fatal, &fatal.0);
            return Err(Fault::Fatal(fatal.0));
        }
        if let Some(reason) = faults.reason() {
            self.log.failed.fetch_add(1, Ordering::Relaxed);
            Log::keep(&self.log.reason, reason);
        }
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
    failed: usize,
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
    let whole: Vec<&[f64]> = chains.iter().filter(|c| c.lost.is_none()).map(|c| &c.points[..]).collect();
    let lost: Vec<&String> = chains.iter().filter_map(|chain| chain.lost.as_ref()).collect();
    let mut faults = Vec::new();
    if let Some(why) = lost.first() {
        faults.push(format!("{} of {} chains were lost: {why}", lost.len(), settings.chains));
    }
    let (r_hat, effective) = if whole.len() >= 2 { worst(dim, &whole) } else { (f64::NAN, f64::NAN) };
    let divergences = chains.iter().map(|chain| chain.divergences).sum::<usize>();
    let kept = whole.len() * settings.keep;
    if whole.len() >= 2 && (r_hat.is_nan() || r_hat > MOST_R_HAT) {
        faults.push(format!(
            "the chains did not find the same places: R-hat is {r_hat:.3}, above {MOST_R_HAT}; a longer `warm_up` (now {}) or `keep` \
             (now {}) would help, or `Smc` if there are several modes",
            settings.warm_up, settings.keep
        ));
    }
    if whole.len() >= 2 && (effective.is_nan() || effective < LEAST_EFFECTIVE) {
        faults.push(format!(
            "only {effective:.0} draws are effective; {LEAST_EFFECTIVE} are needed: a larger `keep` (now {}) would help",
            settings.keep
        ));
    }
    if divergences as f64 > MOST_DIVERGENT * kept as f64 {
        faults.push(format!(
            "{divergences} of {kept} transitions diverged: a narrow part was not reached; `Smc`, or other coordinates, would help"
        ));
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
        failed: chains.iter().map(|chain| chain.failed).sum(),
        seconds: clock.elapsed().as_secs_f64(),
        faults,
        doubts: Vec::new(),
    })
}

/// One chain, and the evaluations that it took.
fn chain(density: &dyn Density, settings: &NutsSettings, stream: &Stream, k: u64) -> Result<Found, Fatal> {
    let log = Log::default();
    let (found, lost) = match walk(density, settings, stream, k, &log) {
        Ok(found) => (found, None),
        Err(why) => (Found::default(), Some(why)),
    };
    if let Some(fatal) = Log::read(&log.fatal) {
        return Err(Fatal(fatal));
    }
    Ok(Found {
        evaluations: log.evaluations.load(Ordering::Relaxed),
        failed: log.failed.load(Ordering::Relaxed),
        lost,
        ..found
    })
}

/// The points and divergences of one chain, or why there are none.
fn walk(density: &dyn Density, settings: &NutsSettings, stream: &Stream, k: u64, log: &Log) -> Result<Found, String> {
    let mut seed = [0u8; 32];
    stream.child("chains").row(k).fill_bytes(&mut seed);
    let mut rng = StdRng::from_seed(seed);
    let options = DiagNutsSettings {
        num_tune: settings.warm_up as u64,
        num_draws: settings.keep as u64,
        num_chains: settings.chains,
        ..DiagNutsSettings::default()
    };
    let math = CpuMath::new(Function { density, log });
    let mut sampler = options.new_chain(k, math, &mut rng).map_err(|error| format!("nuts-rs: {error:#}"))?;
    let starts = stream.child("starts");
    let mut start = vec![0.0; density.dim()];
    let begun = (0..MOST_STARTS).any(|attempt| {
        starts.normals(k * MOST_STARTS + attempt, start.len(), &mut start);
        start.iter_mut().for_each(|x| *x *= settings.spread);
        Log::read(&log.fatal).is_none() && sampler.set_position(&start).is_ok()
    });
    if !begun {
        let reason = Log::read(&log.reason).map_or(String::new(), |reason| format!(" ({reason})"));
        return Err(format!(
            "none of {MOST_STARTS} starts of standard deviation {} around the origin has a density{reason}; another `spread` may help",
            settings.spread
        ));
    }
    let mut found = Found::default();
    for step in 0..settings.warm_up + settings.keep {
        let (point, progress) = sampler.draw().map_err(|error| format!("{error:#}"))?;
        if step >= settings.warm_up {
            found.divergences += usize::from(progress.diverging);
            found.points.extend_from_slice(&point);
        }
    }
    Ok(found)
}
