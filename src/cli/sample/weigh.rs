//! What draws are weighed against: the target of an experiment, or that of the run that made the model.

use super::super::target::target_of;
use crate::error::{Error, Result};
use crate::experiment::{record_in, verify, Against, Spec, RESOLVED, RUN_JSON, STUDENT, TEACHER};
use crate::flow::Model;
use crate::target::{evaluate_in_pieces, Density, Faults};
use std::path::Path;
use std::sync::Arc;

/// The density that the model at `path`, of `dim` coordinates, was trained against: the run's target, or its teacher.
pub(super) fn of_run(path: &Path, allow_native: bool, dim: usize) -> Result<Arc<dyn Density>> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let resolved = folder.join(RESOLVED);
    if !resolved.is_file() {
        return Err(Error::input(
            path,
            "lies in no run's folder, so that what to weigh against is not known; --target EXPERIMENT is right",
        ));
    }
    if folder.join(RUN_JSON).exists() {
        verify(folder, &record_in(folder)?, RESOLVED)?;
    }
    let (spec, _) = Spec::read(&resolved)?;
    let against = spec.stages.iter().filter_map(|stage| stage.divergence()).next_back().map(|(against, ..)| against);
    let is_student = path.file_name().is_some_and(|name| name == STUDENT);
    if is_student && against == Some(Against::Teacher) {
        let teacher = Model::load_noting(&folder.join(TEACHER))?.0.freeze::<f64>();
        if teacher.dim() != dim {
            let message = format!("has {} coordinates; {dim}, as the student, are right", teacher.dim());
            return Err(Error::input(&folder.join(TEACHER), message));
        }
        return Ok(Arc::new(teacher));
    }
    if spec.target.is_none() {
        return Err(Error::input(path, "is of a run without a target; --target EXPERIMENT is right"));
    }
    target_of(&resolved, allow_native, dim).map_err(|error| match error {
        Error::Input { path, message } => Error::Input {
            path,
            message: format!("{message} (if its files are elsewhere, --target EXPERIMENT names the experiment itself)"),
        },
        other => other,
    })
}

/// ln(γ/q) of points whose ln q is `log_q`; a point that cannot be evaluated, or has no density, has the weight zero.
pub(super) fn log_weights(target: &dyn Density, points: &[f64], log_q: &[f64]) -> Result<Vec<f64>> {
    let mut values = vec![0.0; log_q.len()];
    evaluate_in_pieces(target, points, &mut values, None, &mut Faults::default())
        .map_err(|fatal| Error::Target(fatal.0))?;
    let weight = |(value, log_q): (&f64, &f64)| match value - log_q {
        weight if weight.is_nan() => f64::NEG_INFINITY,
        weight => weight,
    };
    Ok(values.iter().zip(log_q).map(weight).collect())
}
