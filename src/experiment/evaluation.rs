//! The scores of a teacher on its data, and of a student from its certificate.

use super::prepare::Divided;
use crate::evaluate::certificate::Certificate;
use crate::evaluate::weights::{self, ForwardScores, MeanWithError, ReverseScores};
use crate::flow::FrozenModel;

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
    pub forward: Option<(ForwardScores, String)>,
}

/// Scores `teacher` on the plan's data.
pub fn score_teacher(teacher: &FrozenModel<f64>, data: &Divided) -> TeacherScores {
    let mean = |rows: &[f64], row_weights: &[f64]| {
        let mut log_prob = vec![0.0; rows.len() / teacher.dim()];
        teacher.log_prob(rows, &mut log_prob);
        if row_weights.is_empty() {
            weights::mean(&log_prob)
        } else {
            weights::weighted_mean(&log_prob, row_weights)
        }
    };
    let [of_train, of_validation] = &data.weights;
    TeacherScores {
        train: mean(&data.train, of_train),
        validation: mean(&data.validation, of_validation),
        test: mean(&data.test, &[]),
    }
}

impl StudentScores {
    /// What a certificate knows, by the names of the scores.
    pub fn of(certificate: &Certificate) -> Self {
        let source = certificate.source.clone().unwrap_or_default();
        Self {
            reverse: certificate.reverse,
            failed_rows: certificate.failed_rows,
            true_log_z: certificate.independent_log_z.filter(|(_, error)| *error == 0.0).map(|(log_z, _)| log_z),
            forward: certificate.forward.map(|forward| (forward, source)),
        }
    }
}
