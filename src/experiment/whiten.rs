//! The affine map between the user's coordinates and the flows', by what the experiment asks for.

use super::spec::Whitening;
use crate::error::{Error, Result};
use crate::flow::{Standardisation, Standardised, MOST_WHITENED};
use crate::seed::Seed;
use crate::target::{laplace, Density};

/// Starts of the search for the mode: the centre of the coordinates, and points around it.
pub(super) const STARTS: u64 = 8;

/// The standardisation that `whitening` asks for in the place of `fitted`, and a line for people. `train` are the rows that the teacher is
/// fitted to, in the user's units; the mode is looked for from `starts` points.
pub(super) fn whiten(
    whitening: Whitening,
    fitted: Standardisation,
    target: Option<&dyn Density>,
    train: Option<&[f64]>,
    names: &[String],
    (seed, starts): (Seed, u64),
) -> Result<(Standardisation, Option<String>)> {
    let dim = names.len();
    if whitening != Whitening::None && dim > MOST_WHITENED {
        let message = format!("whitening is {whitening:?} for {dim} coordinates; at most {MOST_WHITENED} are right");
        return Err(Error::invalid(message));
    }
    let (standardisation, ridge, note) = match whitening {
        Whitening::None => return Ok((fitted, None)),
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
    Ok((standardisation, Some(note + &ridge)))
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
