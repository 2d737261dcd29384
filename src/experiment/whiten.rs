//! The affine map between the user's coordinates and the flows', by what the experiment asks for.

use super::spec::Whitening;
use crate::error::{Error, Result};
use crate::flow::{Standardisation, Standardised, MOST_WHITENED};
use crate::seed::{Seed, Stream};
use crate::target::{laplace, survey, Approximation, Density, Survey};

/// Starts of the search for the mode: the centre of the coordinates, and points around it.
pub(super) const STARTS: u64 = 8;

/// What the affine map has become.
pub(super) struct Whitened {
    pub standardisation: Standardisation,
    /// A line for people.
    pub note: Option<String>,
    /// What was found of the target for it.
    pub survey: Option<Survey>,
}

/// The standardisation that `whitening` asks for in the place of `fitted`. `train` are the rows that the teacher is
/// fitted to, in the user's units; the mode is looked for from `starts` points.
pub(super) fn whiten(
    whitening: Whitening,
    fitted: Standardisation,
    target: Option<&dyn Density>,
    train: Option<&[f64]>,
    names: &[String],
    (seed, starts): (Seed, u64),
) -> Result<Whitened> {
    let dim = names.len();
    if !matches!(whitening, Whitening::None | Whitening::Auto) && dim > MOST_WHITENED {
        let message = format!("whitening is {whitening:?} for {dim} coordinates; at most {MOST_WHITENED} are right");
        return Err(Error::invalid(message));
    }
    let (standardisation, ridge, note) = match whitening {
        Whitening::None => return Ok(Whitened { standardisation: fitted, note: None, survey: None }),
        Whitening::Auto => match target.filter(|_| train.is_none() && dim <= MOST_SURVEYED) {
            None => return Ok(Whitened { standardisation: fitted, note: None, survey: None }),
            Some(target) => {
                let stream = seed.stream("whitening/survey");
                let starts = spread_starts(dim, if starts == 1 { 1 } else { EACH }, &stream.child("starts"));
                return by_survey(survey(target, &starts, &stream), fitted);
            }
        },
        Whitening::Draws => {
            let rows = train.ok_or_else(|| Error::invalid("whitening is `Draws` but there is no `data`"))?;
            let (standardisation, ridge) = Standardisation::whitening_of(rows, names, fitted.links)?;
            (standardisation, ridge, format!("whitened by mean and covariance of {} rows", rows.len() / dim))
        }
        Whitening::Laplace => {
            let target = target.ok_or_else(|| Error::invalid("whitening is `Laplace` but there is no `target`"))?;
            // The search is in the flow's coordinates as they would be without whitening.
            let standardised = Standardised { target, standardisation: &fitted };
            let stream = seed.stream("whitening/starts");
            let start_at = |start: u64| {
                let mut point = vec![0.0; dim];
                if start > 0 {
                    stream.normals(start, dim, &mut point);
                }
                point
            };
            let starts: Vec<Vec<f64>> = (0..starts).map(start_at).collect();
            let found = laplace(&standardised, &starts)
                .map_err(|fault| Error::invalid(format!("whitening: {fault}; `Draws` or `None` may be right")))?;
            let [arrived, tried] = found.arrived;
            let (ridge, log_evidence) = (found.ridge, found.log_evidence);
            let standardisation = after(fitted, found.mode.point, &found.covariance)?;
            let note = format!("whitened at the highest mode that {arrived} of {tried} searches reached; Laplace's log Z is {log_evidence:.4}");
            (standardisation, ridge, note)
        }
    };
    let ridge = if ridge > 0.0 {
        format!("; not positive definite, so {ridge:.0e} of the diagonal was added")
    } else {
        String::new()
    };
    Ok(Whitened { standardisation, note: Some(note + &ridge), survey: None })
}

/// Starts of a survey at each of [`SCALES`].
const EACH: usize = 4;
/// How far from the origin they are, in units of the coordinates: people's coordinates are of the order of one, or are not.
const SCALES: [f64; 4] = [1.0, 4.0, 16.0, 64.0];
/// Coordinates beyond which a target is not surveyed: curvatures are matrices, and take as many gradients as they have rows.
const MOST_SURVEYED: usize = 256;
/// Modes whose evidence is less than that of the largest by more nats have no part in the moments, …
const FAR_BELOW: f64 = 20.0;
/// … and those that have one have at least this.
const LEAST_PART: f64 = 0.02;

/// The origin, and `each` normal points of each scale.
fn spread_starts(dim: usize, each: usize, stream: &Stream) -> Vec<Vec<f64>> {
    let mut starts = vec![vec![0.0; dim]];
    for start in 0..each * SCALES.len() {
        let mut point = vec![0.0; dim];
        stream.normals(start as u64, dim, &mut point);
        point.iter_mut().for_each(|x| *x *= SCALES[start % SCALES.len()]);
        starts.push(point);
    }
    starts
}

impl Survey {
    /// Modes that have a part in the target, as far as normal approximations tell.
    pub(super) fn weighty(&self) -> impl Iterator<Item = &Approximation> {
        let most = self.best.as_ref().map_or(f64::INFINITY, |best| best.log_evidence.max(best.laplace));
        self.modes.iter().filter(move |mode| mode.log_evidence.max(mode.laplace) > most - FAR_BELOW)
    }
}

/// Whitening by what a survey has found.
fn by_survey(found: Survey, fitted: Standardisation) -> Result<Whitened> {
    let climbs = format!("{} of {} climbs", found.arrivals.iter().sum::<usize>(), found.starts);
    let modes: Vec<_> = found.weighty().collect();
    let (mean, covariance, note) = match (&found.best, modes.len()) {
        (None, _) => {
            let fault = found.fault.clone().unwrap_or_else(|| "nothing could be approximated".into());
            let note = format!("not whitened: {climbs} reached a mode ({fault})");
            return Ok(Whitened { standardisation: fitted, note: Some(note), survey: Some(found) });
        }
        (Some(_), 2..) => {
            let (mean, covariance) = moments(&modes);
            (mean, covariance, format!("whitened by the moments of {} modes that {climbs} reached", modes.len()))
        }
        (Some(best), _) => {
            let place = match (best.at_mode, found.modes.len()) {
                (true, _) => format!("the curvature at the mode that {climbs} reached"),
                (false, 0) => format!("the curvature at a place on the way up: {climbs} reached a mode"),
                (false, _) => "the curvature at a place on the way up: the mode itself has next to no mass".into(),
            };
            (best.mean.clone(), best.covariance.clone(), format!("whitened by {place}"))
        }
    };
    match after(fitted.clone(), mean, &covariance) {
        Ok(standardisation) => Ok(Whitened { standardisation, note: Some(note), survey: Some(found) }),
        Err(fault) => {
            let note = format!("not whitened: {fault}");
            Ok(Whitened { standardisation: fitted, note: Some(note), survey: Some(found) })
        }
    }
}

/// Mean and covariance (row-major) of a mixture of `modes` weighted by their evidence.
fn moments(modes: &[&Approximation]) -> (Vec<f64>, Vec<f64>) {
    let dim = modes[0].mean.len();
    let most = modes.iter().map(|mode| mode.log_evidence).fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = modes.iter().map(|mode| (mode.log_evidence - most).exp().max(LEAST_PART)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    let (mut mean, mut covariance) = (vec![0.0; dim], vec![0.0; dim * dim]);
    for (mode, weight) in modes.iter().zip(&weights) {
        mean.iter_mut().zip(&mode.mean).for_each(|(sum, x)| *sum += weight * x);
    }
    for (mode, weight) in modes.iter().zip(&weights) {
        for i in 0..dim {
            for j in 0..dim {
                let apart = (mode.mean[i] - mean[i]) * (mode.mean[j] - mean[j]);
                covariance[i * dim + j] += weight * (mode.covariance[i * dim + j] + apart);
            }
        }
    }
    (mean, covariance)
}

/// `first` with an inner map that has this mean and covariance in its coordinates.
fn after(first: Standardisation, mut mean: Vec<f64>, covariance: &[f64]) -> Result<Standardisation> {
    let dim = mean.len();
    for (mean, (shift, scale)) in mean.iter_mut().zip(first.shift.iter().zip(&first.scale)) {
        *mean = *mean * scale + shift;
    }
    let scaled = (0..dim * dim).map(|cell| covariance[cell] * first.scale[cell / dim] * first.scale[cell % dim]);
    Ok(Standardisation::whitening(mean, &scaled.collect::<Vec<_>>(), first.links)?.0)
}
