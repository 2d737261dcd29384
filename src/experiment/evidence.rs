//! Draws from the target that know nothing of any flow: a stage of a run, and the certificate's independent look.

use super::among::{self, Among};
use super::attended::Attended;
use super::check::Plan;
use super::data_spec::{DataSpec, SourceSpec};
use super::looking::{look_of, of_teacher, smc_in, spread_over, Looking, SMC};
use super::prepare::{self, Prepared};
use super::rows::Rows;
use super::spec::{Against, IndependentSpec, MethodSpec, Whitening};
use super::watcher::Watcher;
use super::whiten::{weights_of, whiten};
use crate::data::{RowWriter, Table};
use crate::error::{Error, Result};
use crate::evaluate::certificate::{Certificate, Look};
use crate::evaluate::draws::WeightedDraws;
use crate::flow::{FrozenModel, Standardisation};
use crate::sampler::Drawn;
use crate::seed::Stream;
use crate::target::{Approximation, Density};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What a stage `Sample` has found.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// By which sampler, in words.
    pub source: &'static str,
    /// Draws and diagnostics.
    pub drawn: Drawn,
}

/// Draws from the plan's target by `method`.
pub(super) fn draw(
    plan: &Plan,
    (method, draws): (&MethodSpec, usize),
    interrupt: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Evidence> {
    let target = plan.target.as_deref().ok_or_else(|| Error::invalid("a stage that draws, without a target"))?;
    let stream = plan.seed.stream("sample");
    let target = Attended::new(target, interrupt);
    let source = source_of(method);
    watcher.begin_open(&format!("{draws} draws of the target, {source}"), target.evaluated());
    let drawn = match method {
        MethodSpec::Smc(settings) => smc_in((plan.coordinates(), &plan.modes()), &target, settings, draws, &stream),
        #[cfg(feature = "nuts")]
        MethodSpec::Nuts(settings) => crate::sampler::nuts(&target, settings, &stream),
        #[cfg(not(feature = "nuts"))]
        MethodSpec::Nuts(_) => return Err(Error::invalid("this build has not the feature `nuts`")),
    };
    watcher.end();
    let mut drawn = drawn.map_err(|fatal| target.explain(Error::Target(fatal.0)))?;
    if drawn.draws.is_empty() {
        return Err(Error::Target(format!("{source} has drawn nothing: {}", drawn.faults.join("; "))));
    }
    drawn.draws = spread_over(&drawn.draws, plan.dim, draws);
    Ok(Evidence { source, drawn })
}

/// What a sampler is called.
pub(super) fn source_of(method: &MethodSpec) -> &'static str {
    match method {
        MethodSpec::Smc(_) => SMC,
        MethodSpec::Nuts(_) => "the no-U-turn sampler",
    }
}

impl Evidence {
    /// Writes the draws to `path`.
    pub fn write(&self, plan: &Plan, path: &Path) -> Result<()> {
        let rows = self.drawn.draws.len() / plan.dim;
        let mut writer = RowWriter::to_path(path, &plan.names, rows as u64)?;
        writer.write_rows(&self.drawn.draws, plan.dim)?;
        writer.finish()
    }

    /// One line for the person who watches.
    pub fn summary(&self) -> String {
        let log_z = self.drawn.log_z.map_or(String::new(), |(z, error)| format!("log Z {z:.3} ± {error:.3}, "));
        let doubt = if self.drawn.is_sound() {
            String::new()
        } else {
            format!(
                "; IN DOUBT: {}",
                self.drawn.faults.iter().chain(&self.drawn.doubts).cloned().collect::<Vec<_>>().join("; ")
            )
        };
        format!("{}: {log_z}R-hat {:.3}, {:.1} s{doubt}", self.source, self.drawn.r_hat, self.drawn.seconds)
    }

    /// The draws as a look. Whoever has learned from them cannot contradict a doubt about them, so that every doubt counts.
    fn look(&self) -> Look {
        let mut look = look_of(self.source, &self.drawn);
        look.faults.append(&mut look.doubts);
        look
    }
}

/// Draws for each component of a student that begins at modes.
const EACH_COMPONENT: usize = 500;
/// Modes that a base has as components, at most.
const MOST_COMPONENTS: usize = 32;

impl Plan<'_> {
    /// The coordinates in which the target's scales are of the order of one, where a survey has found them.
    pub(super) fn coordinates(&self) -> Option<&Standardisation> {
        self.survey.as_ref().map(|_| &self.standardisation)
    }

    /// Modes that the survey has found, where they are several, all of them as far as can be told, and few enough to be a base.
    pub(super) fn modes(&self) -> Vec<Approximation> {
        let found: Vec<Approximation> = match self.survey.as_ref().filter(|survey| survey.is_complete()) {
            Some(survey) => survey.weighty().cloned().collect(),
            None => Vec::new(),
        };
        if (2..=MOST_COMPONENTS).contains(&found.len()) {
            found
        } else {
            Vec::new()
        }
    }

    /// Draws of the normal approximations at those modes, row-major in the user's coordinates, and how many of each there are, one after the other,
    /// by its evidence: where a student with several components begins that sees no others.
    pub(super) fn draws_of_modes(&self, stream: &Stream) -> (Vec<f64>, Vec<usize>) {
        let modes = self.modes();
        let (mut rows, mut counts) = (Vec::new(), Vec::new());
        for (k, weight) in weights_of(&modes.iter().collect::<Vec<_>>()).into_iter().enumerate() {
            let count = (weight * (EACH_COMPONENT * modes.len()) as f64).ceil() as usize;
            let draws = modes[k].draws(count, &stream.child(&k.to_string()));
            counts.push(draws.len() / self.dim);
            rows.extend(draws);
        }
        counts.retain(|count| *count > 0);
        (rows, counts)
    }

    /// The plan with the data that a stage has drawn: what its teacher is fitted to, unless it has other data, and the scales of its flows.
    pub(super) fn take_draws(&mut self, evidence: &Evidence) -> Result<()> {
        self.take_rows(evidence.drawn.draws.clone())
    }

    fn take_rows(&mut self, rows: Vec<f64>) -> Result<()> {
        if self.data.is_some() {
            return Ok(());
        }
        let source = SourceSpec::Draws { rows: rows.len() / self.dim };
        let rows = Rows::plain(Table::new(self.names.clone(), rows)?);
        let Prepared { data, standardisation, .. } = prepare::prepare(&DataSpec::new(source), rows, self.seed)?;
        if self.spec.whitening != Whitening::Laplace {
            let (whitening, train) = (self.spec.whitening, Some(data.train.as_slice()));
            let whitened = whiten(whitening, standardisation, None, train, &self.names, (self.seed, 1, &[]))?;
            (self.standardisation, self.whitening_note) = (whitened.standardisation, whitened.note);
        }
        self.data = Some(data);
        Ok(())
    }

    /// The plan with random numbers in the place of draws that are still to be made, to time a step.
    ///
    /// # Errors
    /// If there are no coordinates.
    pub fn with_stand_in(&self) -> Result<Self> {
        let mut plan = self.clone();
        let mut rows = vec![0.0; 2_000 * self.dim];
        self.seed.stream("check/stand-in").normals(0, self.dim, &mut rows);
        plan.take_rows(rows)?;
        Ok(plan)
    }
}

/// The certificate of a run's student, and its draws on which it rests; of one that is given something also what it is at single rows.
pub(super) fn certify_student(
    student: &FrozenModel<f64>,
    plan: &Plan,
    teacher: Option<&FrozenModel<f64>>,
    evidence: Option<&Evidence>,
    most_evaluations: Option<u64>,
    interrupt: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<(Certificate, Option<Among>, Option<WeightedDraws>)> {
    let evaluation = &plan.spec.evaluation;
    let stream = match evaluation.judged {
        0 => plan.seed.stream("certificate"),
        before => plan.seed.stream("certificate").child(&format!("judged {before}")),
    };
    let density: &dyn Density = match (plan.student_against(), teacher, &plan.target) {
        (Some(Against::Teacher), Some(teacher), _) => teacher,
        (_, _, Some(target)) => target.as_ref(),
        _ => return Err(Error::invalid("there is no student to certify")),
    };
    let density = Attended::new(density, interrupt);
    let reference = plan.reference.as_ref().map(|table| table.values.clone());
    let known = density.sampler().is_some() || density.log_normalizer().is_some() || reference.is_some();
    if let Some(rows) = &plan.given_rows {
        let by = format!("certificates at rows of what is given, over {} draws each", evaluation.draws);
        watcher.begin_open(&by, density.evaluated());
        let by_teacher = teacher.filter(|_| plan.student_against() == Some(Against::Teacher));
        let among = among::certify(student, &density, by_teacher, rows, &looking(plan, most_evaluations, &[], &stream));
        watcher.end();
        let among = among.map_err(|error| density.explain(error))?;
        let certificate = among.certificate().ok_or_else(|| Error::invalid("there is no row to be given"))?;
        return Ok((certificate, Some(among), None));
    }
    // Draws that the teacher or a stage has made are a look already.
    let at_hand = match (plan.student_against(), teacher, evidence) {
        (Some(Against::Teacher), Some(teacher), _) => Some(of_teacher(teacher, evaluation.draws, &stream)),
        (_, _, Some(evidence))
            if !known && !matches!(evaluation.independent, IndependentSpec::Smc(_) | IndependentSpec::Fresh) =>
        {
            Some(evidence.look())
        }
        _ => None,
    };
    let samples = match evaluation.independent {
        IndependentSpec::Smc(_) => true,
        IndependentSpec::Auto | IndependentSpec::Fresh => !known,
        IndependentSpec::None => false,
    };
    let by = if at_hand.is_none() && samples { format!(" and a look at the target by {SMC}") } else { String::new() };
    watcher.begin_open(&format!("certificate over {} draws{by}", evaluation.draws), density.evaluated());
    let modes = if plan.student_against() == Some(Against::Target) { plan.modes() } else { Vec::new() };
    let looking = looking(plan, most_evaluations, &modes, &stream);
    let certificate = looking.certify(student, &density, at_hand, reference);
    watcher.end();
    let (certificate, draws) = certificate.map_err(|error| density.explain(error))?;
    Ok((certificate, None, Some(draws)))
}

/// How the plan's verdict looks at the target.
fn looking<'a>(plan: &'a Plan, most: Option<u64>, modes: &'a [Approximation], stream: &'a Stream) -> Looking<'a> {
    let evaluation = &plan.spec.evaluation;
    let (independent, draws) = (evaluation.independent, evaluation.draws);
    Looking { coordinates: plan.coordinates(), modes, most, independent, draws, stream }
}
