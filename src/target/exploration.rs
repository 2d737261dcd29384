//! Climbs from around the modes that are known, and from farther away, for those that are not.

use super::survey::{Search, MOST_MODES};

/// Climbs of a batch.
const BATCH: usize = 32;
/// How far from a mode starts are while it is the only one, in units of the standard deviations around it.
const LADDER: [f64; 4] = [4.0, 8.0, 16.0, 32.0];
/// The same for several, in units of the distances between them.
const AMONG: [f64; 4] = [0.7, 1.0, 1.5, 2.5];
/// Climbs without a new mode after which there are likely no more, with one mode and with several: a mode to which one climb of a thousand
/// comes is missed by four thousand once in fifty times.
const CALM: [usize; 2] = [256, 4_096];
/// Evaluations of climbs, at most, with one mode and with several.
const MOST_SPENT: [usize; 2] = [8_000, 120_000];
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
    /// Goes on climbing until nothing new is found, or as many evaluations are spent as that is worth.
    pub(super) fn explore(&mut self) {
        let (before, mut calm, mut batch) = (self.spent, 0, 0);
        while let Some(extent) = self.extent() {
            let (modes, arrived) = (self.found.modes.len(), self.found.arrivals.iter().sum::<usize>());
            let several = usize::from(extent.reach.is_some());
            let (most, calm_enough) = (MOST_SPENT[several], CALM[several]);
            let countless = modes >= MANY && arrived < OFTEN * modes;
            if calm >= calm_enough || self.spent - before >= most || modes >= MOST_MODES || countless {
                break;
            }
            let dim = extent.centre.len();
            let stream = self.stream("exploration").child(&batch.to_string());
            let starts: Vec<Vec<f64>> = (0..BATCH)
                .map(|k| {
                    let scale = extent.reach.map_or(LADDER[k % 4], |reach| reach * AMONG[k % 4]);
                    let mut point = vec![0.0; dim];
                    stream.normals(k as u64, dim, &mut point);
                    let around = point.iter_mut().zip(&extent.centre).zip(&extent.unit);
                    around.for_each(|((x, centre), unit)| *x = centre + scale * unit * *x);
                    point
                })
                .collect();
            self.climb(&starts);
            calm = if self.found.modes.len() > modes { 0 } else { calm + BATCH };
            batch += 1;
        }
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
