//! The scores of a teacher and of a student, in `f64` over a stated number of draws.

use super::check::{exact_draws, Divided, Plan};
use super::spec::Against;
use crate::error::{Error, Result};
use crate::evaluate::weights::{self, ForwardScores, MeanWithError, ReverseScores};
use crate::flow::{FrozenModel, Method};
use crate::seed::Stream;
use crate::target::{evaluate_in_pieces, Density, Faults};

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

/// Rows held in memory at a time.
const ROWS: usize = 8192;

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
    let (log_weights, failed_rows) = log_weights_of_own_draws(student, density, draws, &noise)?;
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

/// log γ − log q at `draws` draws of `student`; and how many rows failed, which have the weight zero.
fn log_weights_of_own_draws(
    student: &FrozenModel<f64>,
    density: &dyn Density,
    draws: usize,
    noise: &Stream,
) -> Result<(Vec<f64>, usize)> {
    let dim = student.dim();
    let mut log_weights = Vec::with_capacity(draws);
    let mut failed = 0;
    for first in (0..draws).step_by(ROWS) {
        let rows = ROWS.min(draws - first);
        let mut z = vec![0.0; rows * dim];
        noise.normals(first as u64, dim, &mut z);
        let (mut points, mut log_q) = (vec![0.0; rows * dim], vec![0.0; rows]);
        student.push(Method::Cached, &z, &mut points, &mut log_q);
        let mut values = vec![0.0; rows];
        let mut faults = Faults::default();
        evaluate_in_pieces(density, &points, &mut values, None, &mut faults).map_err(|fatal| Error::Target(fatal.0))?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        failed += faults.rows().len();
        log_weights.extend(values.iter().zip(&log_q).map(|(value, q)| value - q));
    }
    Ok((log_weights, failed))
}

/// log γ − log q at `points`.
fn log_weights_at(student: &FrozenModel<f64>, density: &dyn Density, points: &[f64]) -> Result<Vec<f64>> {
    let dim = student.dim();
    let mut log_weights = Vec::with_capacity(points.len() / dim);
    for points in points.chunks(ROWS * dim) {
        let rows = points.len() / dim;
        let (mut values, mut log_q) = (vec![0.0; rows], vec![0.0; rows]);
        evaluate_in_pieces(density, points, &mut values, None, &mut Faults::default())
            .map_err(|fatal| Error::Target(fatal.0))?;
        student.log_prob(points, &mut log_q);
        log_weights.extend(values.iter().zip(&log_q).map(|(value, q)| value - q));
    }
    Ok(log_weights)
}

/// `draws` draws of `model`.
fn draws_of(model: &FrozenModel<f64>, draws: usize, noise: &Stream) -> Vec<f64> {
    let dim = model.dim();
    let mut points = vec![0.0; draws * dim];
    for (piece, points) in points.chunks_mut(ROWS * dim).enumerate() {
        let rows = points.len() / dim;
        let mut z = vec![0.0; rows * dim];
        noise.normals((piece * ROWS) as u64, dim, &mut z);
        model.push(Method::Cached, &z, points, &mut vec![0.0; rows]);
    }
    points
}
