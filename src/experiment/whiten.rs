//! The affine map between the user's coordinates and the flows', by what the experiment asks for.

use super::given_rows::GivenRows;
use super::spec::Whitening;
use crate::error::{Error, Result};
use crate::flow::{Link, Standardisation, Standardised, MOST_WHITENED};
use crate::seed::{Seed, Stream};
use crate::target::{improper, laplace, survey, survey_around, Approximation, At, Density, Survey};

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
/// fitted to, in the user's units; the mode is looked for from `starts` points and from those of `near`.
pub(super) fn whiten(
    whitening: Whitening,
    fitted: Standardisation,
    target: Option<&dyn Density>,
    train: Option<&[f64]>,
    names: &[String],
    (seed, starts, near): (Seed, u64, &[Vec<f64>]),
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
                let is_preview = starts == 1;
                // Those first: a mode within a wider one is known as one only if it is found before that.
                let mut starts = near.to_vec();
                starts.extend(spread_starts(dim, if is_preview { 1 } else { EACH }, &stream.child("starts")));
                let found =
                    if is_preview { survey(target, &starts, &stream) } else { survey_around(target, &starts, &stream) };
                let flat = found.best.as_ref().map_or(Vec::new(), |best| improper(target, best));
                let mut whitened = by_survey(found, fitted)?;
                if let Some(note) = whitened.note.as_mut().filter(|_| !flat.is_empty()) {
                    let which: Vec<&str> = flat.iter().map(|&i| names[i].as_str()).collect();
                    let which = which.join(", ");
                    note.push_str(&format!("; the density does not fall along {which}, as far as 1e8 from there: its integral is likely infinite (a prior is missing?)"));
                }
                return Ok(whitened);
            }
        },
        Whitening::Draws => {
            let rows = train.ok_or_else(|| Error::invalid("whitening is `Draws` but there is no `data`"))?;
            let (standardisation, ridge) = Standardisation::whitening_of(rows, names, fitted.links)?;
            (
                standardisation.beside(fitted.given),
                ridge,
                format!("whitened by mean and covariance of {} rows", rows.len() / dim),
            )
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
            let mut starts: Vec<Vec<f64>> = (0..starts).map(start_at).collect();
            for place in near {
                let mut place = place.clone();
                fitted.apply(&mut place, &mut [0.0]);
                starts.push(place);
            }
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
/// Modes that have a part in the moments have at least this.
const LEAST_PART: f64 = 0.02;
/// Modes for each coordinate from which they tell how coordinates vary together, where these are not all.
const EACH_COORDINATE: usize = 4;

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
            let tell = found.is_complete() || modes.len() >= EACH_COORDINATE * modes[0].mean.len();
            let (mean, covariance) = moments(&modes, tell);
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

/// Rows of what is given at which a target is approximated, at least, for each column, and at most.
const GIVEN: [usize; 3] = [12, 3, 100];

/// The standardisation of a target that is given columns, of which `rows` are some: by the joint moments of what is given and of the normal
/// approximations there, so that what is linear in the one and normal in the other is a standard normal in the flow's coordinates.
pub(super) fn whiten_given(
    whitening: Whitening,
    target: &dyn Density,
    rows: &GivenRows,
    seed: Seed,
) -> Result<Whitened> {
    let (given, dim, GivenRows { train: rows, links, .. }) = (target.given(), target.dim(), rows);
    let names = target.names();
    let mut scaled = Standardisation::fit(rows, &names[..given], links.clone(), true)?;
    scaled.links.resize(if links.is_empty() { 0 } else { dim }, Link::Identity);
    scaled.shift.resize(dim, 0.0);
    scaled.scale.resize(dim, 1.0);
    scaled.tails.resize(if scaled.tails.is_empty() { 0 } else { dim }, None);
    let scaled = scaled.beside(given);
    if whitening == Whitening::None || dim > MOST_SURVEYED {
        return Ok(Whitened { standardisation: scaled, note: None, survey: None });
    }
    let [least, each, most] = GIVEN;
    let all = rows.len() / given;
    let count = (each * given).clamp(least, most).min(all);
    let stream = seed.stream("whitening/given");
    let starts = spread_starts(dim - given, 1, &stream.child("starts"));
    // In the flow's coordinates of what is given, the others as they are.
    let mut found: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for k in 0..count {
        let context = &rows[k * all / count * given..][..given];
        let surveyed = survey(&At::new(target, context), &starts, &stream.child(&format!("row {k}")));
        if let Some(best) = surveyed.best {
            found.push(([scaled.of_given(context), best.mean].concat(), best.covariance));
        }
    }
    if found.len() < 2 {
        let note = format!("not whitened: the target could be approximated at {} of {count} rows", found.len());
        return Ok(Whitened { standardisation: scaled, note: Some(note), survey: None });
    }
    let n = found.len() as f64;
    let mean: Vec<f64> = (0..dim).map(|i| found.iter().map(|(point, _)| point[i]).sum::<f64>() / n).collect();
    let mut covariance = vec![0.0; dim * dim];
    for (point, around) in &found {
        for i in 0..dim {
            for j in 0..dim {
                let within = if i.min(j) < given { 0.0 } else { around[(i - given) * (dim - given) + j - given] };
                covariance[i * dim + j] += ((point[i] - mean[i]) * (point[j] - mean[j]) + within) / n;
            }
        }
    }
    let count = found.len();
    let (tails, note) = (
        scaled.tails.clone(),
        format!("whitened by the moments of {count} rows of what is given and of normal approximations there"),
    );
    match after(scaled.clone(), mean, &covariance) {
        Ok(whitened) => {
            let standardisation = Standardisation { tails, ..whitened }.beside(given);
            Ok(Whitened { standardisation, note: Some(note), survey: None })
        }
        Err(fault) => {
            Ok(Whitened { standardisation: scaled, note: Some(format!("not whitened: {fault}")), survey: None })
        }
    }
}

/// What each of `modes` has of all their evidence; little as it may be, none goes unheard.
pub(super) fn weights_of(modes: &[&Approximation]) -> Vec<f64> {
    let most = modes.iter().map(|mode| mode.log_evidence).fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = modes.iter().map(|mode| (mode.log_evidence - most).exp().max(LEAST_PART)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

/// Mean and covariance (row-major) of a mixture of `modes` weighted by their evidence. Where they do not `tell` how coordinates vary together, such as
/// ten of the thousands of modes of a product, how far they are apart counts along each coordinate alone: correlations would be chance, and mix
/// what is independent.
fn moments(modes: &[&Approximation], tell: bool) -> (Vec<f64>, Vec<f64>) {
    let dim = modes[0].mean.len();
    let weights = weights_of(modes);
    let (mut mean, mut covariance) = (vec![0.0; dim], vec![0.0; dim * dim]);
    for (mode, weight) in modes.iter().zip(&weights) {
        mean.iter_mut().zip(&mode.mean).for_each(|(sum, x)| *sum += weight * x);
    }
    for (mode, weight) in modes.iter().zip(&weights) {
        for i in 0..dim {
            for j in 0..dim {
                let apart = if tell || i == j { (mode.mean[i] - mean[i]) * (mode.mean[j] - mean[j]) } else { 0.0 };
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
