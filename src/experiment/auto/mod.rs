//! Runs that are left to the program: plan, train, look, judge, and go on by what is wrong until the verdict is good enough.

mod modes;
mod recipe;
mod situation;
mod symptom;
mod unexplained;

use super::check::Plan;
use super::course::{evaluations, Course};
use super::evaluation::StudentScores;
use super::folder::STUDENT;
use super::report::{Attempted, ModeMass};
use super::spec::{IndependentSpec, Spec};
use super::stages::Auto;
use crate::error::{Error, Result};
use crate::evaluate::certificate::{Certificate, Verdict, TRUSTED_ESS};
use crate::evaluate::draws::{weighted_draws, WeightedDraws};
use crate::evaluate::parameters::Parameter;
use crate::evaluate::weights;
use crate::flow::Model;
use crate::shown;
use crate::target::Evaluations;
use modes::Modes;
use recipe::Recipe;
use situation::Situation;
use std::borrow::Cow;
use std::time::Instant;
use symptom::Symptom;

/// Draws of a student by which it is decided how to go on; the verdict has draws of its own.
const PEEK: usize = 2_048;
/// Draws of a second look where the first has found weights that are uneven.
const SECOND_PEEK: usize = 16_384;
/// ESS/N below which a student is not worth a verdict, unless there is no better one.
const WORTH_JUDGING: f64 = 0.75;
/// The same where weighted draws will do.
const WORTH_WEIGHING: f64 = 0.05;

/// ESS/N below which a student is of no use for what is asked for.
fn worth(auto: Auto) -> f64 {
    match auto.require.verdict() {
        Verdict::Trusted => WORTH_JUDGING,
        _ => WORTH_WEIGHING,
    }
}

/// ESS/N below which no student has the verdict that is asked for.
fn asked(auto: Auto) -> f64 {
    match auto.require.verdict() {
        Verdict::Trusted => TRUSTED_ESS,
        _ => WORTH_WEIGHING,
    }
}

/// How often the target is surveyed again, from what an attempt has come by.
const MOST_SURVEYS: usize = 3;

/// What is kept of the best attempt so far.
struct Kept<'t> {
    model: Model,
    plan: Plan<'t>,
    certificate: Option<Certificate>,
    parameters: Vec<Parameter>,
    parameters_from: String,
    /// Those of its certificate, or those by which it was dropped without one.
    draws: Option<WeightedDraws>,
    ess: f64,
    /// Why it is not to be trusted whatever its own look says: modes that later became known.
    lacks: Option<String>,
}

impl Kept<'_> {
    /// The verdict first, then the ESS/N.
    fn rank(&self) -> (Option<Verdict>, f64) {
        (self.certificate.as_ref().map(|certificate| certificate.verdict), self.ess)
    }

    /// The draws of a later look have a say in its verdict.
    fn hear_of(&mut self, later: &[f64]) -> Result<()> {
        match (&mut self.certificate, &self.draws) {
            (Some(certificate), Some(draws)) => {
                unexplained::by_later_look(&self.plan, &self.model.freeze(), certificate, draws, later)
            }
            _ => Ok(()),
        }
    }

    /// It is known by now to have lost a part.
    fn lacks(&mut self, modes: &str) {
        let reason = format!("there is a mode at {modes} that was not known when it was trained");
        if let Some(certificate) = &mut self.certificate {
            distrust(certificate, &reason);
        }
        self.lacks = Some(reason);
    }

    /// Modes of the target that the survey has not shown and its draws have.
    fn come_by(&self) -> Result<Vec<Vec<f64>>> {
        match (&self.plan.survey, &self.draws) {
            (Some(known), Some(draws)) if self.plan.data.is_none() => {
                unexplained::modes(&self.plan, known, &self.model.freeze(), self.certificate.as_ref(), draws)
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// What an attempt has come to.
struct Outcome<'t> {
    kept: Option<Kept<'t>>,
    symptom: Symptom,
}

/// Carries out `base`, whose stages are left to the program. `resolved.ron` becomes the experiment of the best attempt, which repeats it.
///
/// # Errors
/// If the target asks for the run to stop, the user interrupts, or no attempt gives a student.
pub(super) fn by_itself(base: &Plan, auto: Auto, course: &mut Course) -> Result<()> {
    let mut base = Cow::Borrowed(base);
    let mut situation = Situation::of(&base, auto);
    let mut best: Option<Kept> = None;
    let (mut tried, mut judged, mut surveys) = (Vec::new(), 0, 0);
    let mut symptom = Symptom::default();
    while let Some(kind) = situation.next(&tried, &symptom) {
        let number = course.record.attempts.len() + 1;
        if number > 1 && spent(&base, auto, course)? {
            course.watcher.note("the budget is spent: the best attempt so far is kept");
            break;
        }
        let recipe = situation.recipe(kind, &symptom);
        tried.push(kind);
        if best.is_some() && course.journal.decided(|_| is_too_dear(kind, &base, auto))? {
            let seconds = seconds_of(kind, &base);
            course.watcher.note(&format!("left out, since it would take about {seconds:.0} s: {}", recipe.why));
            continue;
        }
        let what = format!("attempt {number}: {}", recipe.why);
        course.watcher.note(&what);
        let (before, clock) = (evaluations(&base), Instant::now());
        let target_evaluations = Evaluations::default();
        let (ess, verdict, reasons, seconds) = (None, None, Vec::new(), 0.0);
        let attempted = Attempted { what: recipe.why.clone(), ess, verdict, reasons, target_evaluations, seconds };
        course.record.attempts.push(attempted);
        let outcome = match attempt(&base, auto, &recipe, &mut situation, &mut judged, course) {
            Err(Error::Diverged(reason)) => {
                Outcome { kept: None, symptom: Symptom { diverged: Some(reason), ..Symptom::default() } }
            }
            Err(error) => {
                return Err(kept_after(error, best, course)?);
            }
            Ok(outcome) => outcome,
        };
        symptom = outcome.symptom;
        situation.hear_of(kind, outcome.kept.as_ref().map(|kept| kept.ess));
        if let Some(attempted) = course.record.attempts.last_mut() {
            attempted.ess = outcome.kept.as_ref().map(|kept| kept.ess);
            let certificate = outcome.kept.as_ref().and_then(|kept| kept.certificate.as_ref());
            attempted.verdict = certificate.map(|certificate| certificate.verdict);
            attempted.reasons = match certificate {
                Some(certificate) => certificate.reasons.clone(),
                None => vec![symptom.words()],
            };
            attempted.target_evaluations = evaluations(&base) - before;
            attempted.seconds = clock.elapsed().as_secs_f64();
            let verdict = attempted.verdict.map_or("not judged", Verdict::words);
            let ess = attempted.ess.map_or(String::new(), |ess| format!(", ESS/N {ess:.3}"));
            let note = format!("attempt {number}: {verdict}{ess}: {}", attempted.reasons.join("; "));
            course.watcher.note(&note);
        }
        let is_enough = |kept: &Kept| kept.rank().0.is_some_and(|verdict| verdict >= auto.require.verdict());
        let come_by = match &outcome.kept {
            Some(kept) if !is_enough(kept) && surveys < MOST_SURVEYS => kept.come_by(),
            _ => Ok(Vec::new()),
        };
        let heard = match (&mut best, outcome.kept.as_ref().and_then(|kept| kept.draws.as_ref())) {
            (Some(best), Some(draws)) => best.hear_of(&draws.independent),
            _ => Ok(()),
        };
        if let Some(kept) = outcome.kept {
            if best.as_ref().is_none_or(|best| kept.rank() > best.rank()) {
                best = Some(kept);
            }
        }
        let come_by = match heard.and(come_by) {
            Ok(come_by) => come_by,
            Err(error) => return Err(kept_after(error, best, course)?),
        };
        if best.as_ref().is_some_and(is_enough) {
            break;
        }
        let judged_so = best.as_ref().and_then(|best| best.certificate.as_ref());
        if let Some(why) = judged_so.and_then(|certificate| in_vain(certificate, base.spec.evaluation.independent)) {
            course.watcher.note(&format!("no other student would be judged better: {why}"));
            break;
        }
        // A place that rounds to a bound of a parameter cannot be written down.
        let resurveyed = if come_by.is_empty() { None } else { base.resurveyed(&come_by).ok() };
        if let Some(resurveyed) = resurveyed {
            surveys += 1;
            let places: Vec<String> = come_by.iter().map(|place| shown::place(place)).collect();
            let where_to = places.join(" and ");
            course
                .watcher
                .note(&format!("the target is surveyed again, since there is a mode at {where_to} that was not known"));
            base = Cow::Owned(resurveyed);
            base.whitening_note.iter().for_each(|note| course.watcher.note(note));
            situation = Situation::of(&base, auto);
            tried.clear();
            symptom = Symptom::default();
            best.iter_mut().for_each(|best| best.lacks(&where_to));
        }
    }
    let Some(best) = best else {
        let reason = symptom.diverged.unwrap_or_else(|| "no attempt has given a student".into());
        return Err(Error::Diverged(reason));
    };
    conclude(best, &situation, judged, course)
}

/// A verdict that says more than what is known by now.
fn distrust(certificate: &mut Certificate, reason: &str) {
    if certificate.verdict != Verdict::NotTrusted {
        certificate.verdict = Verdict::NotTrusted;
        certificate.reasons.push(reason.into());
    }
}

/// Why another student would be judged no better, if that is so.
fn in_vain(certificate: &Certificate, independent: IndependentSpec) -> Option<&'static str> {
    if !certificate.edges.is_empty() {
        return Some("the target says no more near its bound");
    }
    let unseen = independent == IndependentSpec::None && certificate.source.is_none();
    (unseen && certificate.reverse.ess >= WORTH_JUDGING)
        .then_some("by `evaluation: (independent: None)` nothing but its own draws looks at the target")
}

/// The seconds that a way would spend in the target.
fn seconds_of(kind: recipe::Kind, base: &Plan) -> f64 {
    let each = base.target.as_ref().map_or(0.0, |target| target.seconds_each());
    kind.evaluations() * each / rayon::current_num_threads() as f64
}

/// Whether they are far more than there are.
fn is_too_dear(kind: recipe::Kind, base: &Plan, auto: Auto) -> bool {
    seconds_of(kind, base) > 2.0 * auto.seconds
}

/// Whether no further attempt should begin.
fn spent(base: &Plan, auto: Auto, course: &mut Course) -> Result<bool> {
    let asked = evaluations(base).total();
    let late = course.journal.decided(|journal| journal.seconds() > auto.seconds)?;
    Ok(late || auto.evaluations.is_some_and(|most| asked >= most))
}

/// `error`, once what was reached before it is on disk.
fn kept_after(error: Error, best: Option<Kept>, course: &mut Course) -> Result<Error> {
    if let Some(best) = best {
        restore(best, course)?;
        course.write()?;
    }
    Ok(error)
}

/// The best attempt becomes the run's result, with its certificate if it has one; its plan.
fn restore<'t>(best: Kept<'t>, course: &mut Course) -> Result<Plan<'t>> {
    if let Some(folder) = course.folder {
        best.model.save(&folder.next(STUDENT))?;
        course.pend(STUDENT);
    }
    course.keep_spec(&best.plan.spec, &best.plan.folder)?;
    course.models.student = Some(best.model);
    course.record.scores.student = best.certificate.as_ref().map(StudentScores::of);
    course.record.certificate = best.certificate;
    (course.record.parameters, course.record.parameters_from) = (best.parameters, best.parameters_from);
    course.judged_by = best.draws;
    Ok(best.plan)
}

/// The end: what is still to be judged is judged, and modes are weighed.
fn conclude(mut best: Kept, situation: &Situation, judged: u64, course: &mut Course) -> Result<()> {
    let unjudged = best.certificate.is_none();
    if unjudged {
        best.plan.spec.evaluation.judged = judged;
    }
    let lacks = best.lacks.take();
    let plan = restore(best, course)?;
    if unjudged {
        course.judge(&plan, None)?;
        if let (Some(certificate), Some(reason)) = (&mut course.record.certificate, lacks) {
            distrust(certificate, &reason);
        }
    }
    let of_survey = Modes::of_survey(&plan);
    if let (Some(modes), Some(draws)) = (situation.modes.as_ref().or(of_survey.as_ref()), &course.judged_by) {
        let (points, masses) = (modes.in_user_coordinates(), modes.masses(draws));
        course.record.modes = points.into_iter().zip(masses).map(|(point, mass)| ModeMass { point, mass }).collect();
    }
    course.record.evaluations = evaluations(&plan);
    course.compare(&plan)?;
    course.picture(&plan)
}

/// One attempt.
fn attempt<'t>(
    base: &Plan<'t>,
    auto: Auto,
    recipe: &Recipe,
    situation: &mut Situation,
    judged: &mut u64,
    course: &mut Course,
) -> Result<Outcome<'t>> {
    course.models.student = None;
    let mut plan = base.for_attempt(recipe.spec(base, situation))?;
    let mut first = 0;
    if recipe.fits_draws() {
        let mut draws = plan;
        if base.data.is_none() {
            let mut sampled = Cow::Owned(draws);
            course.carry_out(&mut sampled, 0..1)?;
            draws = sampled.into_owned();
            first = 1;
        }
        if situation.modes.is_none() {
            let found = Modes::of_draws(&draws)?;
            course.watcher.note(&found.summary());
            situation.modes = Some(found);
        }
        // What is trained depends on what the draws show.
        plan = draws.for_attempt(recipe.spec(base, situation))?;
    }
    course.keep_spec(&plan.spec, &base.folder)?;
    let mut course_plan = Cow::Borrowed(&plan);
    let whole = first..plan.stages.len();
    course.carry_out(&mut course_plan, whole)?;
    let Some(model) = course.models.student.clone() else {
        return Err(Error::invalid("an attempt without a student"));
    };
    let Some(target) = &plan.target else { return Err(Error::invalid("an attempt without a target")) };
    let peek = plan.seed.stream(&format!("auto/peek {}", course.record.attempts.len()));
    let frozen = model.freeze();
    let mut draws = weighted_draws(&frozen, target.as_ref(), PEEK, &peek, PEEK)?;
    let mut own = weights::reverse(&draws.log_weights);
    if (WORTH_WEIGHING..WORTH_JUDGING).contains(&own.ess) {
        // One draw may have decided.
        draws = weighted_draws(&frozen, target.as_ref(), SECOND_PEEK, &peek.child("second"), SECOND_PEEK)?;
        own = weights::reverse(&draws.log_weights);
    }
    let mut kept = Kept {
        model,
        plan: plan.clone(),
        certificate: None,
        parameters: Vec::new(),
        parameters_from: String::new(),
        draws: Some(draws),
        ess: own.ess,
        lacks: None,
    };
    if own.ess.is_nan() || own.ess < worth(auto) {
        return Ok(Outcome { kept: Some(kept), symptom: Symptom::of_weights(&own) });
    }
    let mut spec = plan.spec.clone();
    spec.evaluation.judged = *judged;
    *judged += 1;
    plan.spec = spec.clone();
    course.keep_spec(&spec, &base.folder)?;
    let left = auto.evaluations.map(|most| most.saturating_sub(evaluations(base).total()));
    course.judge(&plan, left)?;
    let certificate = course.record.certificate.clone();
    let symptom = certificate.as_ref().map_or_else(Symptom::default, Symptom::of_certificate);
    kept.plan.spec = spec;
    kept.certificate = certificate;
    kept.parameters = std::mem::take(&mut course.record.parameters);
    kept.parameters_from = std::mem::take(&mut course.record.parameters_from);
    kept.draws = course.judged_by.take();
    Ok(Outcome { kept: Some(kept), symptom })
}

impl<'t> Plan<'t> {
    /// The plan with another experiment, which is about the same target and says what to do.
    fn for_attempt(&self, spec: Spec) -> Result<Self> {
        let mut faults = Vec::new();
        let (teacher, student) = super::faults::resolve_flows(&spec, &mut faults);
        if let Some(fault) = faults.into_iter().next() {
            return Err(Error::invalid(fault));
        }
        let stages = spec.stages.iter().filter_map(super::check::StagePlan::of).collect();
        Ok(Self { teacher, student, stages, spec, ..self.clone() })
    }

    /// The experiment of an attempt: that which was written, with what the program has decided in the place of what was left to it.
    fn decided(&self, student: crate::flow::FlowConfig, stages: Vec<super::spec::StageSpec>) -> Spec {
        let mut spec = self.spec.clone();
        spec.student = Some(super::spec::StudentSpec::Flow(student));
        if spec.evaluation.independent == IndependentSpec::Auto {
            spec.evaluation.independent = IndependentSpec::Fresh;
        }
        spec.stages = stages.into();
        spec
    }
}
