//! Climbs from around the modes that are known, and from farther away, for those that are not.

use super::survey::{Search, MOST_MODES, POOR};
use super::{evaluate_in_pieces, Faults};
use crate::cholesky;

/// Places of a batch that are looked at, with one mode and with several, …
const BATCH: [usize; 2] = [256, 1_024];
/// … and climbs from those that are promising, at most.
const CLIMBS: usize = 32;
/// How far from a mode starts are while it is the only one, in units of the standard deviations around it.
const LADDER: [f64; 4] = [4.0, 8.0, 16.0, 32.0];
/// The same for several, in units of the distances between them.
const AMONG: [f64; 4] = [0.7, 1.0, 1.5, 2.5];
/// Places without a new mode after which there are likely no more, with one mode and with several: a mode to which one place of ten thousand
/// belongs is missed by sixty thousand once in five hundred times.
const CALM: [usize; 2] = [4_096, 65_536];
/// Evaluations, at most, with one mode and with several.
const MOST_SPENT: [usize; 2] = [8_000, 120_000];
/// A place whose gradient differs from that of the known modes by less than this part of it belongs to one of them.
const SAME: f64 = 0.1;
/// From so many modes on …
const MANY: usize = 8;
/// … climbs should come to each so often on average; else they are points of a ridge, or too many to be counted.
const OFTEN: usize = 2;

/// Where modes lie.
struct Extent {
    centre: Vec<f64>,
    /// The standard deviation of each coordinate around a mode.
    unit: Vec<f64>,
    /// How far modes are from the centre in these units, as a root mean square over coordinates; none of one mode.
    reach: Option<f64>,
}

impl Search<'_> {
    /// Goes on climbing until nothing new is found, or as many evaluations are spent as that is worth. Modes that do not describe the density
    /// around them (spikes beside its mass, points of a ridge) say nothing of where to look.
    pub(super) fn explore(&mut self) {
        if self.found.modes.iter().all(|mode| mode.ess < POOR) {
            return;
        }
        let (before, mut calm, mut batch) = (self.spent, 0, 0);
        while let Some(extent) = self.extent() {
            let (modes, arrived) = (self.found.modes.len(), self.found.arrivals.iter().sum::<usize>());
            let several = usize::from(extent.reach.is_some());
            let (most, calm_enough) = (MOST_SPENT[several], CALM[several]);
            let countless = batch > 0 && modes >= MANY && arrived < OFTEN * modes;
            if calm >= calm_enough || self.spent - before >= most || modes >= MOST_MODES || countless {
                break;
            }
            let dim = extent.centre.len();
            let stream = self.stream("exploration").child(&batch.to_string());
            let mut places = vec![0.0; BATCH[several] * dim];
            stream.normals(0, dim, &mut places);
            for (k, place) in places.chunks_exact_mut(dim).enumerate() {
                let scale = extent.reach.map_or(LADDER[k % 4], |reach| reach * AMONG[k % 4]);
                let around = place.iter_mut().zip(&extent.centre).zip(&extent.unit);
                around.for_each(|((x, centre), unit)| *x = centre + scale * unit * *x);
            }
            let promising = self.promising(&places, &extent.unit);
            let starts: Vec<Vec<f64>> =
                promising.iter().take(CLIMBS).map(|&row| places[row * dim..][..dim].to_vec()).collect();
            self.climb(&starts);
            let looked_at = BATCH[several] - promising.len() + starts.len();
            calm = if self.found.modes.len() > modes { 0 } else { calm + looked_at };
            batch += 1;
        }
    }

    /// Rows of `places` whose gradient the normal approximations of the known modes do not explain. Where they do, a climb would end at one of
    /// them; one evaluation tells that, a climb takes many.
    fn promising(&mut self, places: &[f64], unit: &[f64]) -> Vec<usize> {
        let dim = unit.len();
        let rows = places.len() / dim;
        let (mut values, mut gradients) = (vec![0.0; rows], vec![0.0; rows * dim]);
        let mut faults = Faults::default();
        self.spent += rows;
        let asked = evaluate_in_pieces(self.density, places, &mut values, Some(&mut gradients), &mut faults);
        if asked.is_err() {
            return Vec::new();
        }
        faults.rows().iter().for_each(|&row| values[row] = f64::NAN);
        // ln ∫ and ½ ln det P of each.
        let known: Vec<(f64, &[f64], &[f64])> = self
            .found
            .modes
            .iter()
            .zip(&self.precisions)
            .filter_map(|(mode, precision)| {
                let (factor, _) = cholesky::regularised(precision, dim).ok()?;
                let half_log_det: f64 = factor.iter().step_by(dim + 1).map(|pivot| pivot.ln()).sum();
                Some((mode.log_evidence + half_log_det, precision.as_slice(), mode.mean.as_slice()))
            })
            .collect();
        let is_explained = |place: &[f64], gradient: &[f64]| {
            let mut nearest = (f64::NEG_INFINITY, vec![0.0; dim]);
            for (constant, precision, mean) in &known {
                let apart: Vec<f64> = place.iter().zip(*mean).map(|(x, m)| x - m).collect();
                let pull: Vec<f64> = precision
                    .chunks_exact(dim)
                    .map(|row| -row.iter().zip(&apart).map(|(p, d)| p * d).sum::<f64>())
                    .collect();
                let log = constant + 0.5 * pull.iter().zip(&apart).map(|(g, d)| g * d).sum::<f64>();
                if log > nearest.0 {
                    nearest = (log, pull);
                }
            }
            let length = |of: &dyn Fn(usize) -> f64| (0..dim).map(|i| (unit[i] * of(i)).powi(2)).sum::<f64>();
            length(&|i| gradient[i] - nearest.1[i]) <= SAME * SAME * length(&|i| nearest.1[i])
        };
        let usable = |row: &usize| values[*row].is_finite();
        let unexplained = |row: &usize| !is_explained(&places[row * dim..][..dim], &gradients[row * dim..][..dim]);
        (0..rows).filter(usable).filter(unexplained).collect()
    }

    /// Where the modes lie that have a part in the density; none where there is none.
    fn extent(&mut self) -> Option<Extent> {
        let largest = |of: &super::Approximation| of.log_evidence.max(of.laplace);
        self.found.best = self.found.modes.iter().max_by(|a, b| largest(a).total_cmp(&largest(b))).cloned();
        let modes: Vec<_> = self.found.weighty().collect();
        let (dim, n) = (modes.first()?.mean.len(), modes.len() as f64);
        let mean_of = |of: &dyn Fn(usize) -> f64| (0..modes.len()).map(of).sum::<f64>() / n;
        let centre: Vec<f64> = (0..dim).map(|i| mean_of(&|k| modes[k].mean[i])).collect();
        let unit: Vec<f64> =
            (0..dim).map(|i| mean_of(&|k| 0.5 * modes[k].covariance[i * dim + i].ln()).exp()).collect();
        let squares = mean_of(&|k| {
            let apart = modes[k].mean.iter().zip(&centre).zip(&unit).map(|((x, c), u)| ((x - c) / u).powi(2));
            apart.sum::<f64>() / dim as f64
        });
        let reach = (modes.len() > 1).then(|| (squares * n / (n - 1.0)).sqrt());
        let finite = centre.iter().chain(&unit).chain(&reach).all(|x| x.is_finite());
        finite.then_some(Extent { centre, unit, reach })
    }
}
