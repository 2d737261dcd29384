//! The certificate's independent look at a target: where it comes from, and how thorough it is.

use super::spec::IndependentSpec;
use crate::cholesky;
use crate::error::{Error, Result};
use crate::evaluate::certificate::{certify_by, own_draws, Certificate, Look, Verdict};
use crate::evaluate::draws::{draws_of, exact_draws, WeightedDraws};
use crate::evaluate::places::places;
use crate::flow::{FrozenModel, PulledBack, Standardisation, Standardised};
use crate::sampler::{smc, smc_scaled, Component, Drawn, SmcSettings, EFFORTS};
use crate::seed::Stream;
use crate::target::{Approximation, Density, Fatal};

/// The sampler that a run uses by itself, in words.
pub(super) const SMC: &str = "tempered sequential Monte Carlo";

/// The same in the coordinates of a student, in words, and how thorough it is there: every point is carried through the student.
const IN_THE_STUDENT: &str = "tempered sequential Monte Carlo in the student's coordinates";
const EFFORTS_IN_THE_STUDENT: [SmcSettings; 2] = [EFFORTS[0], EFFORTS[1]];

/// A standard error of log Z above this asks for a more thorough look, …
const BLURRED: f64 = 0.15;
/// … which is not taken where it would take all looks beyond so many evaluations.
const MOST_EVALUATIONS: usize = 20_000_000;

/// Rows of a look that are kept.
const KEPT: usize = 4_000;

/// Whether nothing speaks against what was drawn, and it says enough of log Z.
fn is_clear(drawn: &Drawn) -> bool {
    drawn.is_sound() && drawn.log_z.is_some_and(|(_, error)| error <= BLURRED)
}

/// At most `most` of the rows of `points`, evenly spread.
pub(super) fn spread_over(points: &[f64], dim: usize, most: usize) -> Vec<f64> {
    let rows = points.len() / dim;
    if rows <= most {
        return points.to_vec();
    }
    (0..most).flat_map(|k| points[k * rows / most * dim..][..dim].iter().copied()).collect()
}

/// How a look is taken.
#[derive(Clone, Copy)]
pub(super) struct Looking<'a> {
    /// Coordinates in which the target's scales are of the order of one, where they are known.
    pub coordinates: Option<&'a Standardisation>,
    /// Modes of the target that a survey has found, in the user's coordinates.
    pub modes: &'a [Approximation],
    /// The most evaluations of the target.
    pub most: Option<u64>,
    /// What the experiment says.
    pub independent: IndependentSpec,
    /// Exact draws that are taken.
    pub draws: usize,
    /// The randomness of the certificate.
    pub stream: &'a Stream,
}

/// A look, and the effort of [`EFFORTS`] that it took, if it was one of these.
type Taken = (Option<Look>, Option<usize>);

/// What the looks of one certificate have taken so far.
#[derive(Default)]
struct Spent {
    evaluations: usize,
    /// The last one's evaluations.
    last: usize,
    /// About how many times as many the next one takes.
    grown: f64,
}

impl Spent {
    /// Puts another look on the bill.
    fn take(&mut self, evaluations: usize) {
        // As many times as this one took more than that before, and five times for the first.
        self.grown = if self.last == 0 { 5.0 } else { (evaluations as f64 / self.last as f64).clamp(3.0, 10.0) };
        (self.evaluations, self.last) = (self.evaluations + evaluations, evaluations);
    }

    /// Whether the next is likely to stay within `most` with all before it.
    fn leaves_one_more(&self, most: usize) -> bool {
        self.evaluations as f64 + self.last as f64 * self.grown <= most as f64
    }
}

impl Looking<'_> {
    /// Exact draws, else the given `reference`, else its known log Z, else tempered sequential Monte Carlo; none where the experiment forbids the
    /// latter and there is nothing else.
    ///
    /// # Errors
    /// If the target asks for the run to stop.
    fn at(&self, target: &dyn Density, reference: Option<Vec<f64>>, spent: &mut Spent) -> Result<Taken> {
        let log_z = target.log_normalizer().map(|log_z| (log_z, 0.0));
        if let IndependentSpec::Smc(settings) = self.independent {
            let drawn = smc_in((self.coordinates, self.modes), target, &settings, 0, &self.stream.child("smc"));
            return Ok((Some(look_of(SMC, &drawn.map_err(|fatal| Error::Target(fatal.0))?)), None));
        }
        if let Some(sampler) = target.sampler() {
            let points = exact_draws(sampler, target.dim(), self.draws, &self.stream.child("exact"));
            let (source, effective) = ("exact draws of the target".into(), self.draws as f64);
            return Ok((Some(Look { source, points, effective, log_z, ..Look::default() }), None));
        }
        if let Some(points) = reference {
            let effective = (points.len() / target.dim()) as f64;
            let source = "the given draws of the target".into();
            return Ok((Some(Look { source, points, effective, log_z, ..Look::default() }), None));
        }
        match (self.independent, log_z) {
            (IndependentSpec::Auto | IndependentSpec::Fresh, _) => self.by_smc(target, 0, spent),
            (_, Some(_)) => Ok((Some(Look { source: "its known log Z".into(), log_z, ..Look::default() }), None)),
            _ => Ok((None, None)),
        }
    }

    /// The certificate by a look that is `at_hand` or still to be taken, and the student's draws on which it rests. A Monte Carlo look that has
    /// found less of the target than the student, or is too coarse to tell, is followed by a more thorough one; one whose particles hardly move, and
    /// against which nothing else speaks, by one in the student's coordinates; so is the last one, if it has found less than the student and nothing else.
    ///
    /// # Errors
    /// If the target asks for the run to stop.
    pub fn certify(
        &self,
        student: &FrozenModel<f64>,
        density: &dyn Density,
        at_hand: Option<Look>,
        reference: Option<Vec<f64>>,
    ) -> Result<(Certificate, WeightedDraws)> {
        let mut spent = Spent::default();
        let (mut look, mut effort) = match at_hand {
            Some(look) => (Some(look), None),
            None => self.at(density, reference, &mut spent)?,
        };
        let mut own = own_draws(student, density, self.draws, self.stream)?;
        let known =
            places(density, self.modes, &self.stream.child("places")).map_err(|fatal| Error::Target(fatal.0))?;
        let mut asks_another = effort.is_some();
        loop {
            if let Some(look) = &mut look {
                look.places.clone_from(&known);
            }
            let certificate = certify_by(student, density, &own, self.stream, look.as_ref())?;
            let another = asks_another && (self.most.is_none() || spent.leaves_one_more(self.most()));
            if let Some(slow) = look.as_ref().filter(|look| another && certificate.look_is_only_slow(look)) {
                // It would say the same again.
                asks_another = false;
                if let Some((certificate, look)) = self.in_the_student(student, density, &own, slow, &certificate)? {
                    own.independent = spread_over(&look.points, student.dim(), KEPT);
                    return Ok((certificate, own));
                }
            }
            let unsettled = look.as_ref().is_some_and(|look| !look.doubts.is_empty());
            let in_doubt = unsettled
                || certificate.look_has_missed()
                || certificate.look_is_coarse()
                || certificate.look_disagrees();
            let more = in_doubt && spent.leaves_one_more(self.most());
            match effort.filter(|place| more && place + 1 < EFFORTS.len()) {
                Some(place) => (look, effort) = self.by_smc(density, place + 1, &mut spent)?,
                None => {
                    if let Some(less) = look.as_ref().filter(|_| another && certificate.look_has_only_missed()) {
                        if let Some((certificate, look)) =
                            self.in_the_student(student, density, &own, less, &certificate)?
                        {
                            own.independent = spread_over(&look.points, student.dim(), KEPT);
                            return Ok((certificate, own));
                        }
                    }
                    own.independent = look.map_or_else(Vec::new, |look| spread_over(&look.points, student.dim(), KEPT));
                    return Ok((certificate, own));
                }
            }
        }
    }

    /// A look in the coordinates of the student, in which what it has learned is round, and the certificate by it; none where that is in doubt, too,
    /// or judges no better than the one by the look `before`.
    ///
    /// # Errors
    /// If the target asks for the run to stop.
    fn in_the_student(
        &self,
        student: &FrozenModel<f64>,
        density: &dyn Density,
        own: &WeightedDraws,
        before: &Look,
        certificate: &Certificate,
    ) -> Result<Option<(Certificate, Look)>> {
        let pulled = PulledBack::new(density, student).filter(|_| certificate.verdict < Verdict::Trusted);
        let Some(pulled) = pulled else { return Ok(None) };
        for (place, settings) in EFFORTS_IN_THE_STUDENT.iter().enumerate() {
            let stream = self.stream.child("smc in the student").child(&format!("effort {place}"));
            let drawn = smc_scaled(&pulled, settings, &[], 0, &stream);
            let drawn = drawn.map_err(|fatal| Error::Target(fatal.0))?;
            if !is_clear(&drawn) {
                continue;
            }
            let mut look = Look { places: before.places.clone(), ..look_of(IN_THE_STUDENT, &drawn) };
            pulled.carry(&mut look.points);
            look.log_z = density.log_normalizer().map(|log_z| (log_z, 0.0)).or(look.log_z);
            let mut settled = certify_by(student, density, own, self.stream, Some(&look))?;
            let mut why: Vec<&str> = before.faults.iter().chain(&before.doubts).map(String::as_str).collect();
            if certificate.look_has_missed() {
                why.push("it found less than the student's own draws");
            }
            let why = why.join("; ");
            settled
                .reasons
                .push(format!("a look in the target's coordinates has come by nothing else, but was in doubt: {why}"));
            if settled.verdict > certificate.verdict {
                return Ok(Some((settled, look)));
            }
        }
        Ok(None)
    }

    /// The most evaluations of all looks together.
    fn most(&self) -> usize {
        self.most.map_or(MOST_EVALUATIONS, |most| most as usize)
    }

    /// Sequential Monte Carlo, each more thorough than the one before, until nothing but slow particles speaks against one, or the next would take
    /// more evaluations than it may; the last is taken. The first is that of effort `from`.
    ///
    /// # Errors
    /// If the target asks for the run to stop.
    fn by_smc(&self, target: &dyn Density, from: usize, spent: &mut Spent) -> Result<Taken> {
        let log_z = target.log_normalizer().map(|log_z| (log_z, 0.0));
        let mut place = from;
        loop {
            let stream = self.stream.child("smc").child(&format!("effort {place}"));
            let drawn = smc_in((self.coordinates, self.modes), target, &EFFORTS[place], 0, &stream);
            let drawn = drawn.map_err(|fatal| Error::Target(fatal.0))?;
            spent.take(drawn.evaluations);
            // More moves are the dearest way to settle it.
            let only_slow = drawn.faults.is_empty() && !drawn.doubts.is_empty();
            if is_clear(&drawn) || only_slow || place + 1 == EFFORTS.len() || !spent.leaves_one_more(self.most()) {
                let look = look_of(SMC, &drawn);
                return Ok((Some(Look { log_z: log_z.or(look.log_z), ..look }), Some(place)));
            }
            place += 1;
        }
    }
}

/// The certificate of `model` for `target`, by exact draws of it, else by the given `reference`, else by its known log Z, else by tempered
/// sequential Monte Carlo in the coordinates in which the model was whitened; by nothing where `independent` forbids the latter and there is
/// nothing else.
///
/// # Errors
/// If the target asks for the run to stop.
pub fn certify_at(
    model: &FrozenModel<f64>,
    target: &dyn Density,
    reference: Option<Vec<f64>>,
    independent: IndependentSpec,
    draws: usize,
    stream: &Stream,
) -> Result<Certificate> {
    let coordinates = Some(model.standardisation());
    let coordinates = coordinates.filter(|it| **it != Standardisation::identity(model.dim()));
    let looking = Looking { coordinates, modes: &[], most: None, independent, draws, stream };
    Ok(looking.certify(model, target, None, reference)?.0)
}

/// Draws of a teacher, which are exact ones where it is what a student was trained against.
pub(super) fn of_teacher(teacher: &FrozenModel<f64>, draws: usize, stream: &Stream) -> Look {
    Look {
        source: "draws of the teacher".into(),
        points: draws_of(teacher, draws, &stream.child("teacher")),
        effective: draws as f64,
        log_z: Some((0.0, 0.0)),
        ..Look::default()
    }
}

/// What a sampler has found, as a look.
pub(super) fn look_of(source: &str, drawn: &Drawn) -> Look {
    Look {
        source: source.into(),
        points: drawn.draws.clone(),
        effective: if drawn.effective.is_nan() { 1.0 } else { drawn.effective },
        log_z: drawn.log_z,
        faults: drawn.faults.clone(),
        doubts: drawn.doubts.clone(),
        places: Vec::new(),
    }
}

/// Draws of `target` by sequential Monte Carlo in these coordinates, from a base that knows of `modes`, which are given in the user's; where a scale
/// is given, it is one of the user's coordinates, and the base knows nothing.
pub(super) fn smc_in(
    (coordinates, modes): (Option<&Standardisation>, &[Approximation]),
    target: &dyn Density,
    settings: &SmcSettings,
    draws: usize,
    stream: &Stream,
) -> std::result::Result<Drawn, Fatal> {
    let Some(standardisation) = coordinates.filter(|_| settings.scale.is_none()) else {
        return smc(target, settings, draws, stream);
    };
    let components = components(modes, standardisation);
    let scaled = Standardised { target, standardisation };
    let mut drawn = smc_scaled(&scaled, settings, &components, draws, stream)?;
    let rows = drawn.draws.len() / target.dim();
    standardisation.undo(&mut drawn.draws, &mut vec![0.0; rows]);
    Ok(drawn)
}

/// Modes as components of a base in these coordinates, which are affine: half of their weights by evidence, half the same for all.
fn components(modes: &[Approximation], standardisation: &Standardisation) -> Vec<Component> {
    let most = modes.iter().map(|mode| mode.log_evidence).fold(f64::NEG_INFINITY, f64::max);
    let evidence = |mode: &Approximation| (mode.log_evidence - most).exp();
    let total: f64 = modes.iter().map(evidence).sum();
    let component = |mode: &Approximation| {
        let dim = mode.mean.len();
        let (factor, _) = cholesky::regularised(&mode.covariance, dim).ok()?;
        let mut mean = mode.mean.clone();
        standardisation.apply(&mut mean, &mut [0.0]);
        let mut turned = vec![0.0; dim * dim];
        for j in 0..dim {
            let mut end: Vec<f64> = (0..dim).map(|i| mode.mean[i] + factor[i * dim + j]).collect();
            standardisation.apply(&mut end, &mut [0.0]);
            (0..dim).for_each(|i| turned[i * dim + j] = end[i] - mean[i]);
        }
        Some(Component { mean, factor: turned, weight: 0.5 / modes.len() as f64 + 0.5 * evidence(mode) / total })
    };
    modes.iter().filter_map(component).collect()
}
