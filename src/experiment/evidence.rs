//! Draws from the target that know nothing of any flow: a stage of a run, and the certificate's independent look.

use super::check::Plan;
use super::prepare::{self, Prepared};
use super::run::Watcher;
use super::spec::{Against, DataSpec, IndependentSpec, MethodSpec, SourceSpec, Whitening};
use super::whiten::whiten;
use crate::data::{RowWriter, Table};
use crate::error::{Error, Result};
use crate::evaluate::certificate::{certify, Certificate, Look};
use crate::evaluate::draws::{draws_of, exact_draws};
use crate::flow::FrozenModel;
use crate::sampler::{smc, Drawn, SmcSettings};
use crate::seed::Stream;
use crate::target::Density;
use std::path::Path;

/// What a stage `Sample` has found.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// By which sampler, in words.
    pub source: &'static str,
    /// Draws and diagnostics.
    pub drawn: Drawn,
}

/// Draws from the plan's target by `method` and writes them to `path`.
pub(super) fn draw(plan: &Plan, method: &MethodSpec, draws: usize, path: &Path) -> Result<Evidence> {
    let target = plan.target.as_deref().ok_or_else(|| Error::invalid("a stage that draws, without a target"))?;
    let stream = plan.seed.stream("sample");
    let fatal = |fatal: crate::target::Fatal| Error::Target(fatal.0);
    let (source, mut drawn) = match method {
        MethodSpec::Smc(settings) => {
            ("tempered sequential Monte Carlo", smc(target, settings, draws, &stream).map_err(fatal)?)
        }
        #[cfg(feature = "nuts")]
        MethodSpec::Nuts(settings) => {
            ("the no-U-turn sampler", crate::sampler::nuts(target, settings, &stream).map_err(fatal)?)
        }
        #[cfg(not(feature = "nuts"))]
        MethodSpec::Nuts(_) => return Err(Error::invalid("this build has not the feature `nuts`")),
    };
    if drawn.draws.is_empty() {
        return Err(Error::Target(format!("{source} has drawn nothing: {}", drawn.faults.join("; "))));
    }
    drawn.draws = thinned(&drawn.draws, plan.dim, draws);
    let rows = drawn.draws.len() / plan.dim;
    let mut writer = RowWriter::to_path(path, &plan.names, rows as u64)?;
    writer.write_rows(&drawn.draws, plan.dim)?;
    writer.finish()?;
    Ok(Evidence { source, drawn })
}

/// At most `most` rows, evenly spread.
fn thinned(points: &[f64], dim: usize, most: usize) -> Vec<f64> {
    let rows = points.len() / dim;
    if rows <= most {
        return points.to_vec();
    }
    (0..most).flat_map(|k| points[k * rows / most * dim..][..dim].iter().copied()).collect()
}

impl Evidence {
    /// One line for the person who watches.
    pub fn summary(&self) -> String {
        let log_z = self.drawn.log_z.map_or(String::new(), |(z, error)| format!("log Z {z:.3} ± {error:.3}, "));
        let doubt =
            if self.drawn.is_sound() { String::new() } else { format!("; IN DOUBT: {}", self.drawn.faults.join("; ")) };
        format!("{}: {log_z}R-hat {:.3}, {:.1} s{doubt}", self.source, self.drawn.r_hat, self.drawn.seconds)
    }

    fn look(&self) -> Look {
        look_of(self.source, &self.drawn)
    }
}

fn look_of(source: &str, drawn: &Drawn) -> Look {
    Look {
        source: source.into(),
        points: drawn.draws.clone(),
        effective: if drawn.effective.is_nan() { 1.0 } else { drawn.effective },
        log_z: drawn.log_z,
        faults: drawn.faults.clone(),
    }
}

impl Plan {
    /// The plan with the data that a stage has drawn: what its teacher is fitted to, unless it has other data, and the scales of its flows.
    pub(super) fn take_draws(&mut self, evidence: &Evidence) -> Result<()> {
        self.take_rows(evidence.drawn.draws.clone())
    }

    fn take_rows(&mut self, rows: Vec<f64>) -> Result<()> {
        if self.data.is_some() {
            return Ok(());
        }
        let source = SourceSpec::Draws { rows: rows.len() / self.dim };
        let spec =
            DataSpec { source, validation: 0.1, test: 0.1, standardise: true, transforms: vec![], integers: vec![] };
        let Prepared { data, standardisation, .. } =
            prepare::prepare(&spec, Table::new(self.names.clone(), rows)?, 0, self.seed)?;
        if self.spec.whitening != Whitening::Laplace {
            let (whitening, train) = (self.spec.whitening, Some(data.train.as_slice()));
            (self.standardisation, self.whitening_note) =
                whiten(whitening, standardisation, None, train, &self.names, (self.seed, 1))?;
        }
        self.data = Some(data);
        Ok(())
    }

    /// The plan with random numbers in the place of draws that are still to be made, to time a step.
    ///
    /// # Errors
    /// If there are no coordinates.
    pub fn with_stand_in(&self) -> Result<Plan> {
        let mut plan = self.clone();
        let mut rows = vec![0.0; 2_000 * self.dim];
        self.seed.stream("check/stand-in").normals(0, self.dim, &mut rows);
        plan.take_rows(rows)?;
        Ok(plan)
    }
}

/// The certificate of a run's student.
pub(super) fn certify_student(
    student: &FrozenModel<f64>,
    plan: &Plan,
    teacher: Option<&FrozenModel<f64>>,
    evidence: Option<&Evidence>,
    watcher: &mut dyn Watcher,
) -> Result<Certificate> {
    let evaluation = &plan.spec.evaluation;
    let stream = plan.seed.stream("certificate");
    let (density, look): (&dyn Density, _) = match (plan.student_against(), teacher, &plan.target) {
        (Some(Against::Teacher), Some(teacher), _) => {
            let look = Look {
                source: "draws of the teacher".into(),
                points: draws_of(teacher, evaluation.draws, &stream.child("teacher")),
                effective: evaluation.draws as f64,
                log_z: Some((0.0, 0.0)),
                faults: Vec::new(),
            };
            (teacher, Some(look))
        }
        (_, _, Some(target)) => {
            let reference = plan.reference.as_ref().map(|table| table.values.clone());
            let exact = target.sampler().is_some() || target.log_normalizer().is_some();
            let look = match (evidence, evaluation.independent, exact || reference.is_some()) {
                (Some(evidence), IndependentSpec::Auto | IndependentSpec::None, false) => Some(evidence.look()),
                (_, independent, known) => {
                    if matches!(independent, IndependentSpec::Smc(_))
                        || (!known && independent == IndependentSpec::Auto)
                    {
                        watcher.note("an independent look at the target, by tempered sequential Monte Carlo");
                    }
                    look_at(target.as_ref(), reference, independent, evaluation.draws, &stream)?
                }
            };
            (target.as_ref(), look)
        }
        _ => return Err(Error::invalid("there is no student to certify")),
    };
    certify(student, density, evaluation.draws, &stream, look.as_ref())
}

/// An independent look at `target`: exact draws, else the given `reference`, else its known log Z, else tempered sequential Monte Carlo;
/// none where `independent` forbids the latter and there is nothing else.
///
/// # Errors
/// If the target asks for the run to stop.
pub fn look_at(
    target: &dyn Density,
    reference: Option<Vec<f64>>,
    independent: IndependentSpec,
    draws: usize,
    stream: &Stream,
) -> Result<Option<Look>> {
    let log_z = target.log_normalizer().map(|log_z| (log_z, 0.0));
    let by_smc = |settings: &SmcSettings| -> Result<Option<Look>> {
        let drawn = smc(target, settings, 0, &stream.child("smc")).map_err(|fatal| Error::Target(fatal.0))?;
        Ok(Some(look_of("tempered sequential Monte Carlo", &drawn)))
    };
    if let IndependentSpec::Smc(settings) = independent {
        return by_smc(&settings);
    }
    if let Some(sampler) = target.sampler() {
        let points = exact_draws(sampler, target.dim(), draws, &stream.child("exact"));
        let source = "exact draws of the target".into();
        return Ok(Some(Look { source, points, effective: draws as f64, log_z, faults: Vec::new() }));
    }
    if let Some(points) = reference {
        let effective = (points.len() / target.dim()) as f64;
        let source = "the given draws of the target".into();
        return Ok(Some(Look { source, points, effective, log_z, faults: Vec::new() }));
    }
    match (independent, log_z) {
        (IndependentSpec::Auto, _) => {
            Ok(by_smc(&SmcSettings::default())?.map(|look| Look { log_z: log_z.or(look.log_z), ..look }))
        }
        (_, Some(_)) => Ok(Some(Look { source: "its known log Z".into(), log_z, ..Look::default() })),
        _ => Ok(None),
    }
}
