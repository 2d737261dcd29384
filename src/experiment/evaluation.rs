//! The scores of a teacher and of a student, in `f64` over a stated number of draws.

use super::check::Plan;
use super::prepare::Divided;
use super::spec::Against;
use crate::error::{Error, Result};
use crate::evaluate::draws::{draws_of, exact_draws, log_weights_at, log_weights_of_draws};
use crate::evaluate::weights::{self, ForwardScores, MeanWithError, ReverseScores};
use crate::flow::FrozenModel;
use crate::target::Density;

/// Mean log densities of a teacher in nats, in the user's units.
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherScores {
    /// Over the rows that it was fitted to.
    pub train: MeanWithError,
    /// Over the rows that decided when to stop.
    pub validation: MeanWithError,
    /// Over rows that nothing depended on.
    pub test: MeanWithError,
}

/// What is known of a student against the density that it was trained against.
#[derive(Debug, Clone, PartialEq)]
pub struct StudentScores {
    /// From draws of the student.
    pub reverse: ReverseScores,
    /// Draws of the student that the target could not evaluate; they count with weight zero.
    pub failed_rows: usize,
    /// The logarithm of the target's normaliser, where it is known.
    pub true_log_z: Option<f64>,
    /// From draws of the target, where there are any, and where they come from.
    pub forward: Option<(ForwardScores, &'static str)>,
}

/// Scores `teacher` on the plan's data.
pub fn score_teacher(teacher: &FrozenModel<f64>, data: &Divided) -> TeacherScores {
    let mean = |rows: &[f64]| {
        let mut log_prob = vec![0.0; rows.len() / teacher.dim()];
        teacher.log_prob(rows, &mut log_prob);
        weights::mean(&log_prob)
    };
    TeacherScores { train: mean(&data.train), validation: mean(&data.validation), test: mean(&data.test) }
}

/// Scores `student` on `draws` of its own, and on draws of the target where it can be sampled or `plan` has reference draws.
///
/// # Errors
/// If the target asks for the run to stop.
pub fn score_student(
    student: &FrozenModel<f64>,
    plan: &Plan,
    teacher: Option<&FrozenModel<f64>>,
) -> Result<StudentScores> {
    let draws = plan.spec.evaluation.draws;
    let density: &dyn Density = match (plan.student_against(), teacher, &plan.target) {
        (Some(Against::Teacher), Some(teacher), _) => teacher,
        (Some(Against::Target), _, Some(target)) => target.as_ref(),
        _ => return Err(Error::invalid("there is no student to score")),
    };
    let noise = plan.seed.stream("evaluation/noise");
    let (log_weights, failed_rows) = log_weights_of_draws(student, density, draws, &noise)?;
    let true_log_z = density.log_normalizer();
    let foreign = match (plan.student_against(), teacher, density.sampler(), &plan.reference) {
        (Some(Against::Teacher), Some(teacher), _, _) => {
            let noise = plan.seed.stream("evaluation/teacher");
            Some((draws_of(teacher, draws, &noise), "draws of the teacher"))
        }
        (_, _, Some(sampler), _) => {
            let stream = plan.seed.stream("evaluation/exact");
            Some((exact_draws(sampler, plan.dim, draws, &stream), "exact draws of the target"))
        }
        (_, _, None, Some(reference)) => Some((reference.values.clone(), "reference draws of the target")),
        _ => None,
    };
    let forward = match foreign {
        None => None,
        Some((points, source)) => {
            let log_weights = log_weights_at(student, density, &points)?;
            Some((weights::forward(&log_weights, true_log_z), source))
        }
    };
    Ok(StudentScores { reverse: weights::reverse(&log_weights), failed_rows, true_log_z, forward })
}
