//! Whether a student may be used: the figures, an independent look at the target, and a verdict with its reasons.

use super::bridge::bridge;
use super::draws::{log_weights_at, weighted_draws, WeightedDraws};
use super::edges::{edges, Edge};
use super::pareto;
use super::places::{self, Lost, Place};
use super::regions::{self, Region};
use super::weights::{self, ForwardScores, MeanWithError, ReverseScores};
use crate::error::Result;
use crate::flow::FrozenModel;
use crate::seed::Stream;
use crate::target::Density;
use serde::Serialize;

/// May the student be used?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something speaks against it, or nothing speaks for it.
    NotTrusted,
    /// With importance weights, resampling or independence Metropolis–Hastings.
    Correctable,
    /// As it is.
    Trusted,
}

impl Verdict {
    /// As a person reads it.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::NotTrusted => "not trusted",
            Verdict::Correctable => "correctable",
            Verdict::Trusted => "trusted",
        }
    }
}

/// What is known of the target from elsewhere than the student.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Where it comes from, in words.
    pub source: String,
    /// Draws of the target, row-major; empty where there are none.
    pub points: Vec<f64>,
    /// How many independent draws they are worth.
    pub effective: f64,
    /// log Z and its standard error, zero where it is exact.
    pub log_z: Option<(f64, f64)>,
    /// Why it should not be relied on.
    pub faults: Vec<String>,
    /// What makes it doubtful where the student does not agree with it in everything.
    pub doubts: Vec<String>,
    /// Places whose mass is known, whatever the draws say.
    pub places: Vec<Place>,
}

/// Figures and verdict. Scores are in nats; `docs/certificate.md` has a definition and a source for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// May the student be used?
    pub verdict: Verdict,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// Where the independent look came from.
    pub source: Option<String>,
    /// log Z of the independent look.
    pub independent_log_z: Option<(f64, f64)>,
    /// mean log w over the student's draws.
    pub elbo: MeanWithError,
    /// Scores from the student's draws.
    pub reverse: ReverseScores,
    /// log Z from Pareto-smoothed weights.
    pub smoothed_log_z: Option<f64>,
    /// Draws of the student that the target could not evaluate.
    pub failed_rows: usize,
    /// mean log w over the independent draws.
    pub eubo: Option<MeanWithError>,
    /// Scores from the independent draws.
    pub forward: Option<ForwardScores>,
    /// Independent draws at which the target could not be evaluated; they are left out.
    pub failed_independent: usize,
    /// log Z by Bennett's acceptance ratio, from both.
    pub bridge_log_z: Option<(f64, f64)>,
    /// The total variation distance between student and target: the most by which the probability of any event is off.
    pub total_variation: Option<f64>,
    /// The share of the independent draws whose weight is beyond all of the student's own.
    pub unseen: Option<f64>,
    /// The region where the student's mass is most wrong.
    pub worst: Option<Region>,
    /// The region where the weighted mass is most wrong.
    pub worst_corrected: Option<Region>,
    /// The standard error of a mass by the independent look and the kept draws.
    pub mass_se: f64,
    /// Places known beforehand that the student has lost.
    pub lost: Vec<Lost>,
    /// Bounds of parameters at which mass is lost in rounding.
    pub edges: Vec<Edge>,
}

/// k̂ from which importance-weighted averages are not reliable (Vehtari et al. 2024).
const MOST_K_HAT: f64 = 0.7;
/// ESS/N below which draws should be weighted.
pub const TRUSTED_ESS: f64 = 0.8;
/// Total variation distance from which draws should be weighted: that of log-normal weights of ESS/N 0.77.
const MOST_DISTANCE: f64 = 0.2;
/// Total variation distance up to which draws are as good as the target's own, whatever the tail of their weights.
const LITTLE_DISTANCE: f64 = 0.15;
/// Total variation distance, and the ESS/N from both sides, at which slow particles are taken to be in the right places.
const VERY_LITTLE_DISTANCE: f64 = 0.05;
/// See [`VERY_LITTLE_DISTANCE`].
const EVEN_ESS: f64 = 0.95;
/// ESS/N from which weighted masses are worth holding against those of a look.
const EVEN_ENOUGH: f64 = 0.5;
/// ESS/N below which weighting leaves too little.
const LEAST_ESS: f64 = 0.01;
/// Share of independent draws beyond the student's weights that is put down to chance.
const MOST_UNSEEN: f64 = 0.005;
/// A mass that is wrong by this much, and by more than chance, is worth a warning.
const MASS: f64 = 0.05;
/// A difference of evidences that does not matter, in nats.
const NATS: f64 = 0.05;
/// Standard errors that are put down to chance.
const CHANCE: f64 = 3.5;
/// The share of failed rows that does not matter.
const MOST_FAILED: f64 = 0.01;
/// Numbers kept of the student's draws to compare regions.
const KEPT_NUMBERS: usize = 10_000_000;
/// Rows kept of either side.
const KEPT_ROWS: usize = 50_000;

/// Judges `model` against `density` on `draws` draws of its own and on what `look` knows.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn certify(
    model: &FrozenModel<f64>,
    density: &dyn Density,
    draws: usize,
    stream: &Stream,
    look: Option<&Look>,
) -> Result<Certificate> {
    let own = own_draws(model, density, draws, stream)?;
    certify_by(model, density, &own, stream, look)
}

/// The draws of the model on which a certificate rests.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn own_draws(
    model: &FrozenModel<f64>,
    density: &dyn Density,
    draws: usize,
    stream: &Stream,
) -> Result<WeightedDraws> {
    let kept = KEPT_ROWS.min((KEPT_NUMBERS / model.dim()).max(1_000)).min(draws);
    weighted_draws(model, density, draws, &stream.child("own"), kept)
}

/// [`certify`] with draws of the model that are there already.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn certify_by(
    model: &FrozenModel<f64>,
    density: &dyn Density,
    own: &WeightedDraws,
    stream: &Stream,
    look: Option<&Look>,
) -> Result<Certificate> {
    let dim = model.dim();
    let kept = own.points.len() / dim;
    let reverse = weights::reverse(&own.log_weights);
    let smoothed = pareto::smooth(&own.log_weights);
    let log_mean = |log_weights: &[f64]| weights::reverse(log_weights).log_z;
    let mut certificate = Certificate {
        verdict: Verdict::Trusted,
        reasons: Vec::new(),
        source: look.map(|look| look.source.clone()),
        independent_log_z: look.and_then(|look| look.log_z),
        elbo: weights::mean(&own.log_weights),
        reverse,
        smoothed_log_z: smoothed.map(|smoothed| log_mean(&smoothed.log_weights)),
        failed_rows: own.failed,
        eubo: None,
        forward: None,
        failed_independent: 0,
        bridge_log_z: None,
        total_variation: None,
        unseen: None,
        worst: None,
        worst_corrected: None,
        mass_se: f64::INFINITY,
        lost: Vec::new(),
        edges: edges(&density.constraint(), dim, own),
    };
    if let Some(look) = look {
        let independent = look.log_z.map_or(f64::NEG_INFINITY, |(log_z, _)| log_z);
        certificate.lost = places::lost(&look.places, own, reverse.ess, reverse.log_z.max(independent));
    }
    // The standard error of the distance.
    let mut blur = f64::INFINITY;
    if let Some(look) = look.filter(|look| !look.points.is_empty()) {
        let foreign = log_weights_at(model, density, &look.points)?;
        let given = foreign.len();
        let foreign: Vec<f64> = foreign.into_iter().filter(|w| !w.is_nan()).collect();
        certificate.failed_independent = given - foreign.len();
        certificate.bridge_log_z = bridge(&own.log_weights, &foreign);
        let known = look.log_z.filter(|(_, error)| *error == 0.0);
        let best = known.or(certificate.bridge_log_z);
        certificate.eubo = Some(weights::mean(&foreign));
        certificate.forward = Some(weights::forward(&foreign, best.map(|best| best.0)));
        certificate.total_variation = best.map(|best| weights::total_variation(&own.log_weights, &foreign, best.0));
        blur = 0.5 / look.effective.min(foreign.len() as f64).max(1.0).sqrt() + best.map_or(0.0, |best| best.1);
        let largest = own.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let unseen = foreign.iter().filter(|w| **w > largest).count();
        certificate.unseen = Some(unseen as f64 / foreign.len() as f64);
        let relative: Vec<f64> = own.log_weights[..kept].iter().map(|w| (w - largest).exp()).collect();
        let points = &look.points[..look.points.len().min(kept.max(4_000) * dim)];
        let regions = regions::compare(model.names(), &own.points, &relative, points, &stream.child("regions"));
        let effective = look.effective.min((points.len() / dim) as f64);
        certificate.mass_se = (0.25 / effective + 0.25 / (kept as f64 * reverse.ess.max(1e-9))).sqrt();
        let largest_by = |by: fn(&Region) -> f64| regions.iter().max_by(|a, b| by(a).total_cmp(&by(b))).cloned();
        certificate.worst = largest_by(Region::raw);
        certificate.worst_corrected = largest_by(Region::corrected);
    }
    certificate.judge(look, blur);
    Ok(certificate)
}

impl Certificate {
    /// Whether the model's own draws find more of the target than the independent look has: it is the look that has missed a part then.
    pub fn look_has_missed(&self) -> bool {
        let (reverse, noise) = (&self.reverse, self.reverse.log_z_se);
        self.independent_log_z.is_some_and(|(log_z, error)| {
            reverse.ess >= LEAST_ESS && reverse.log_z - log_z > NATS.max(CHANCE * error.hypot(noise))
        })
    }

    fn lower(&mut self, verdict: Verdict, reason: String) {
        self.verdict = self.verdict.min(verdict);
        self.reasons.push(reason);
    }

    /// Whether a mass is off by more than matters, which so few independent draws put down to chance: more of them would tell.
    pub fn look_is_coarse(&self) -> bool {
        let off = |mass: f64| mass > MASS + self.mass_se && mass <= MASS + CHANCE * self.mass_se;
        let raw = self.worst.as_ref().is_some_and(|region| off(region.raw()));
        raw || self.worst_corrected.as_ref().is_some_and(|region| off(region.corrected()))
    }

    /// Whether student and look agree on log Z and differ on masses, though the student's weights are even enough to tell them: either may be
    /// wrong, and a more thorough look says which.
    pub fn look_disagrees(&self) -> bool {
        let allowed = MASS + CHANCE * self.mass_se.min(1.0);
        let masses = self.worst_corrected.as_ref().is_some_and(|region| region.corrected() > allowed);
        let evidence = self.independent_log_z.is_some() && self.log_z_apart().is_none();
        masses && evidence && self.reverse.ess >= EVEN_ENOUGH
    }

    /// Whether slow particles are all that speaks against `look`, which has come by nothing that the student lacks: another way of moving them may
    /// settle it.
    pub fn look_is_only_slow(&self, look: &Look) -> bool {
        look.faults.is_empty() && !look.doubts.is_empty() && self.look_has_found_nothing_else()
    }

    /// Whether the look has come by less than the student's own draws and by nothing that the student lacks: it is the one to be doubted.
    pub fn look_has_only_missed(&self) -> bool {
        self.look_has_missed() && self.look_has_found_nothing_else()
    }

    fn look_has_found_nothing_else(&self) -> bool {
        let found_more = self.log_z_apart().is_some_and(|apart| apart.is_nan() || apart < 0.0);
        let elsewhere = self.unseen.is_none_or(|share| share > MOST_UNSEEN) || !self.lost.is_empty();
        !found_more && !elsewhere && self.reverse.ess >= EVEN_ENOUGH
    }

    /// By how much the student's log Z is off the independent one, if by more than chance and more than matters.
    pub fn log_z_apart(&self) -> Option<f64> {
        let (log_z, error) = self.independent_log_z?;
        let apart = self.reverse.log_z - log_z;
        let allowed = NATS.max(CHANCE * error.hypot(self.reverse.log_z_se));
        (apart.is_nan() || apart.abs() > allowed).then_some(apart)
    }

    /// The verdict from the figures; `blur` is the standard error of the total variation distance.
    fn judge(&mut self, look: Option<&Look>, blur: f64) {
        use Verdict::{Correctable, NotTrusted};
        let reverse = self.reverse;
        match look {
            None => self.lower(
                NotTrusted,
                "no independent look at the target: whatever the student's own draws say, it may have left out a part of it".into(),
            ),
            Some(look) => {
                for fault in &look.faults {
                    self.lower(NotTrusted, format!("the independent look ({}) is itself in doubt: {fault}", look.source));
                }
                if look.points.is_empty() && look.log_z.is_none() {
                    self.lower(NotTrusted, format!("the independent look ({}) has found nothing", look.source));
                }
            }
        }
        if let Some((log_z, error)) = self.independent_log_z {
            if let Some(apart) = self.log_z_apart() {
                let what = if apart < 0.0 {
                    "a part of the target is missing"
                } else {
                    "the independent look has missed a part"
                };
                self.lower(NotTrusted, format!(
                    "the student's draws give log Z = {:.3}, but it is {log_z:.3} ± {error:.3}: {what}, or the weights are useless",
                    reverse.log_z
                ));
            }
        }
        if let Some(unseen) = self.unseen.filter(|share| *share > MOST_UNSEEN) {
            self.lower(NotTrusted, format!(
                "{:.1} % of the independent draws lie where the student hardly ever comes (their weights are beyond all of its own)",
                100.0 * unseen
            ));
        }
        let allowed = MASS + CHANCE * self.mass_se.min(1.0);
        let in_words = |region: &Region, mass: f64| {
            format!("{mass:.3} of its mass where {}, the independent draws have {:.3}", region.name, region.independent)
        };
        if let Some(region) = self.worst_corrected.clone().filter(|region| region.corrected() > allowed) {
            self.lower(NotTrusted, format!("even weighted, the student has {}", in_words(&region, region.weighted)));
        }
        for lost in self.lost.clone() {
            self.lower(NotTrusted, lost.words());
        }
        for edge in self.edges.clone() {
            self.lower(NotTrusted, edge.words());
        }
        if reverse.k_hat.is_none() && (reverse.ess.is_nan() || reverse.ess <= 0.99) {
            self.lower(NotTrusted, "too few draws have a weight to judge their tail".into());
        }
        if reverse.ess.is_nan() || reverse.ess < LEAST_ESS {
            self.lower(NotTrusted, format!("ESS/N is {:.4}: weighting would leave next to nothing", reverse.ess));
        }
        let failed = self.failed_rows as f64 / reverse.draws as f64;
        if failed > MOST_FAILED {
            self.lower(
                NotTrusted,
                format!("the target could not evaluate {:.1} % of the student's draws", 100.0 * failed),
            );
        }
        if let Some(forward) = self.forward {
            let share = self.failed_independent as f64 / (forward.draws + self.failed_independent) as f64;
            if share > MOST_FAILED {
                self.lower(
                    NotTrusted,
                    format!("the target could not evaluate {:.1} % of the independent draws", 100.0 * share),
                );
            }
            if self.total_variation.is_none() {
                self.lower(
                    Correctable,
                    "there is no bridge between the draws of both sides: their distance is not known".into(),
                );
            }
        }
        if reverse.ess < TRUSTED_ESS {
            self.lower(Correctable, format!("ESS/N is {:.3}, below {TRUSTED_ESS}: weigh the draws", reverse.ess));
        }
        if let Some(distance) = self.total_variation.filter(|d| d.is_nan() || *d > MOST_DISTANCE) {
            self.lower(
                Correctable,
                format!(
                "the total variation distance from the target is {distance:.3}, above {MOST_DISTANCE}: weigh the draws"
            ),
            );
        }
        if let Some(region) = self.worst.clone().filter(|region| region.raw() > allowed) {
            self.lower(Correctable, format!("unweighted, the student has {}", in_words(&region, region.student)));
        }
        self.judge_doubts(look);
        self.judge_tails(blur);
        if self.verdict == Verdict::Trusted {
            let source = self.source.as_deref().unwrap_or("nothing");
            // Weights of which something has been said already are not even.
            let even = if self.reasons.is_empty() { ", and its weights are even" } else { "" };
            self.reasons.push(format!("the student agrees with an independent look at the target ({source}){even}"));
        }
    }
    /// What slow particles say. Where the student, which has not learned from them, gives the same log Z, the same masses and even weights on
    /// both sides, they are where they should be.
    fn judge_doubts(&mut self, look: Option<&Look>) {
        let doubts = look.map_or(&[][..], |look| &look.doubts);
        if doubts.is_empty() {
            return;
        }
        let same = self.independent_log_z.is_some_and(|(log_z, error)| {
            error <= 2.0 * NATS && (log_z - self.reverse.log_z).abs() <= NATS.max(CHANCE * error)
        });
        let even = self.reverse.ess.min(self.forward.map_or(0.0, |forward| forward.forward_ess)) >= EVEN_ESS;
        let close = self.total_variation.is_some_and(|distance| distance <= VERY_LITTLE_DISTANCE);
        let agrees = self.verdict == Verdict::Trusted && same && even && close;
        for doubt in doubts {
            if agrees {
                self.reasons.push(format!("a doubt of the independent look that all figures contradict: {doubt}"));
            } else {
                self.lower(Verdict::NotTrusted, format!("the independent look is itself in doubt: {doubt}"));
            }
        }
    }

    /// What heavy tails of the weights say. They spoil weighting and averages of what grows in the tails; draws whose distance from the
    /// target is known to be small give right probabilities all the same.
    fn judge_tails(&mut self, blur: f64) {
        let close = self.total_variation.is_some_and(|distance| distance + CHANCE * blur <= LITTLE_DISTANCE);
        match self.reverse.k_hat.filter(|k_hat| k_hat.is_nan() || *k_hat >= MOST_K_HAT) {
            Some(k_hat) if self.verdict == Verdict::Trusted && close => self.reasons.push(format!(
                "take the draws as they are: the tail index of their weights is {k_hat:.2}, not below {MOST_K_HAT}, so a few draws would \
                 decide a weighted average"
            )),
            Some(k_hat) => self.lower(
                Verdict::NotTrusted,
                format!("the tail index of the weights is {k_hat:.2}, not below {MOST_K_HAT}: a few draws decide every average"),
            ),
            None => {}
        }
        let predicted = self.forward.filter(|_| close).map(|forward| forward.forward_ess);
        if let Some(predicted) = predicted.filter(|ess| ess.is_nan() || *ess < TRUSTED_ESS - 0.1) {
            self.reasons.push(format!(
                "the ESS/N that the independent draws predict is {predicted:.3} only: a few of them lie where the student hardly comes, so \
                 averages that hang on extremes may be off"
            ));
        }
    }
}
