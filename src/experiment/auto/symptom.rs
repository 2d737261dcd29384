//! What is wrong with a student, as far as it says how to go on.

use crate::evaluate::certificate::{Certificate, Verdict};
use crate::evaluate::weights::ReverseScores;

/// What is wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Symptom {
    /// A part of the target that the student hardly ever comes to.
    pub missing: bool,
    /// Some independent draws around what the student has, and nothing of more weight.
    pub fringe: bool,
    /// Weights whose largest decide everything: the target has heavier tails than the student.
    pub heavy: bool,
    /// Draws where the density is zero.
    pub walls: bool,
    /// Weights that are too uneven.
    pub uneven: bool,
    /// Training that diverged, and why.
    pub diverged: Option<String>,
}

/// Tail index of the weights from which the target's tails may be heavier than the student's: half of what spoils averages.
const HEAVY: f64 = 0.5;
/// Share of draws without density from which there is a wall.
const WALLS: f64 = 0.01;
/// ESS/N below which weights are uneven.
const UNEVEN: f64 = 0.8;
/// Share of independent draws beyond the weights of the student's own.
const UNSEEN: f64 = 0.002;
/// The same from which they are more than a fringe, whatever log Z says.
const MUCH_UNSEEN: f64 = 0.02;

impl Symptom {
    /// Of the weights of a student's draws alone.
    pub fn of_weights(own: &ReverseScores) -> Self {
        Self {
            heavy: own.k_hat.is_some_and(|k_hat| k_hat >= HEAVY),
            walls: own.zero_weights as f64 > WALLS * own.draws as f64,
            uneven: own.ess.is_nan() || own.ess < UNEVEN,
            ..Self::default()
        }
    }

    /// Of a certificate.
    pub fn of_certificate(certificate: &Certificate) -> Self {
        let own = &certificate.reverse;
        let apart = certificate.log_z_apart().is_some();
        let unseen = |most: f64| certificate.unseen.is_some_and(|share| share > most);
        let wrong = !certificate.lost.is_empty()
            || certificate.worst_corrected.as_ref().is_some_and(|region| region.corrected() > 0.1);
        let of_weights = Self::of_weights(own);
        // Draws that are right only with their weights are too uneven for whoever asks for more.
        let uneven = of_weights.uneven || certificate.verdict == Verdict::Correctable;
        let missing = apart || wrong || unseen(MUCH_UNSEEN);
        Self { missing, fringe: !missing && unseen(UNSEEN), uneven, ..of_weights }
    }

    /// For people.
    pub fn words(&self) -> String {
        if let Some(reason) = &self.diverged {
            return reason.clone();
        }
        let all = [
            (self.missing, "it hardly comes to a part of the target"),
            (self.fringe, "it hardly comes to a fringe of the target"),
            (self.heavy, "its tails are too light"),
            (self.walls, "many of its draws lie where the density is zero"),
            (self.uneven, "its weights are too uneven"),
        ];
        let words: Vec<&str> = all.into_iter().filter(|(so, _)| *so).map(|(_, words)| words).collect();
        if words.is_empty() {
            "nothing that another attempt would mend".into()
        } else {
            words.join(", ")
        }
    }
}
