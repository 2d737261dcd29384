//! Modes that an attempt has come by without its student knowing of them: draws of great weight, and places where it hardly comes.

use super::super::check::Plan;
use super::super::looking::spread_over;
use crate::error::Result;
use crate::evaluate::certificate::{Certificate, Verdict};
use crate::evaluate::draws::{log_weights_at, WeightedDraws};
use crate::evaluate::weights;
use crate::flow::FrozenModel;
use crate::target::{survey, Survey};

/// Places of either kind from which a climb begins, at most.
const CLIMBS: usize = 4;
/// A draw that has this share of all weights is one of them: one that decides nothing yet may be the only one at a narrow mode.
const GREAT: f64 = 0.002;
/// The same among the fewer draws by which a student is dropped, whose weights are uneven in any case.
const GREAT_OF_DROPPED: f64 = 0.02;
/// Independent draws that are looked at.
const LOOKED_AT: usize = 512;
/// Times the average weight from which a student is at a loss: it comes to the place a twentieth as often as it should.
const AT_A_LOSS: f64 = 20.0;
/// Nats below log Z from which a mode has no part worth another survey: a fiftieth.
const BELOW: f64 = 4.0;

/// Share of a later look's draws beyond all weights of a student's own from which it is not trusted: twice what its own look may show.
const MOST_UNSEEN: f64 = 0.01;

/// Says of a student that passed its own look what the draws of a later one show of it.
///
/// # Errors
/// If the target asks for the run to stop.
pub(super) fn by_later_look(
    plan: &Plan,
    student: &FrozenModel<f64>,
    certificate: &mut Certificate,
    draws: &WeightedDraws,
    later: &[f64],
) -> Result<()> {
    let Some(target) = plan.target.as_ref().filter(|_| certificate.verdict > Verdict::NotTrusted) else {
        return Ok(());
    };
    let largest = draws.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = log_weights_at(student, target.as_ref(), later)?;
    let share = weights.iter().filter(|weight| **weight > largest).count() as f64 / weights.len().max(1) as f64;
    if share > MOST_UNSEEN {
        certificate.verdict = Verdict::NotTrusted;
        certificate.reasons.insert(0, format!(
            "{:.1} % of the independent draws of a later look lie where the student hardly ever comes (their weights are beyond all of its own)",
            100.0 * share
        ));
    }
    Ok(())
}

/// The modes that `known` lacks to which climbs from such places of a student's certificate lead, or from draws of one that was dropped
/// before it had one.
///
/// # Errors
/// If the target asks for the run to stop.
pub(super) fn modes(
    plan: &Plan,
    known: &Survey,
    student: &FrozenModel<f64>,
    certificate: Option<&Certificate>,
    draws: &WeightedDraws,
) -> Result<Vec<Vec<f64>>> {
    let (Some(target), dim) = (&plan.target, plan.dim) else { return Ok(Vec::new()) };
    let largest = draws.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = draws.log_weights.iter().map(|w| (w - largest).exp()).filter(|w| w.is_finite()).sum();
    let great = if certificate.is_some() { GREAT } else { GREAT_OF_DROPPED };
    let mut heavy: Vec<usize> = (0..draws.points.len() / dim)
        .filter(|&row| (draws.log_weights[row] - largest).exp() >= great * total)
        .collect();
    heavy.sort_by(|&a, &b| draws.log_weights[b].total_cmp(&draws.log_weights[a]));
    let row = |points: &[f64], row: usize| points[row * dim..][..dim].to_vec();
    let mut starts: Vec<Vec<f64>> = heavy.iter().take(CLIMBS).map(|&k| row(&draws.points, k)).collect();
    if certificate.and_then(|certificate| certificate.unseen).is_some_and(|share| share > 0.0) {
        let foreign = spread_over(&draws.independent, dim, LOOKED_AT);
        let weights = log_weights_at(student, target.as_ref(), &foreign)?;
        let mut unseen: Vec<usize> = (0..weights.len()).filter(|&k| weights[k] > largest).collect();
        unseen.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
        starts.extend(unseen.iter().take(CLIMBS).map(|&k| row(&foreign, k)));
    }
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let found = survey(target.as_ref(), &starts, &plan.seed.stream("auto/unexplained"));
    let independent = certificate.and_then(|certificate| certificate.independent_log_z);
    let log_z = independent.map_or(f64::NEG_INFINITY, |(log_z, _)| log_z);
    let log_z = weights::reverse(&draws.log_weights).log_z.max(log_z);
    let weighty = known.lacks(&found).filter(|mode| mode.log_evidence >= log_z - BELOW);
    let places: Vec<Vec<f64>> = weighty.map(|mode| mode.mean.clone()).collect();
    let weights = log_weights_at(student, target.as_ref(), &places.concat())?;
    let lost = places.into_iter().zip(weights).filter(|(_, weight)| *weight >= log_z + AT_A_LOSS.ln());
    Ok(lost.map(|(place, _)| place).collect())
}
