//! The fit of a table about which nothing is said: flows and training of a size that suits its rows and columns.

use super::spec::{Against, StageSpec};
use crate::conditioner::Activation;
use crate::flow::FlowConfig;
use crate::train::{Gradient, Schedule, Settings, Until};
use crate::transformer::{SplineSettings, Transformer};

/// A teacher's flow of splines and the two stages, which fit it and distil a student of the same shape from it.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultFit {
    /// The layers of either flow.
    pub layers: usize,
    /// The widths of their networks.
    pub hidden: Vec<usize>,
    /// The bins of their splines, …
    pub bins: usize,
    /// … which bend what is within ± this, in units of the columns' spreads.
    pub limit: f64,
    /// How it is fitted.
    pub likelihood: Settings,
    /// How the student is trained, by forward KL: draws of the teacher are exact and cheap, and show it every part of the teacher.
    pub distillation: Settings,
}

/// Up to so many columns bins are fine and networks deep: few columns show every edge.
const FEW_COLUMNS: usize = 6;
/// Layers grow with the columns up to this width.
const WIDEST: usize = 256;
/// Below so many rows for each column flows are coarse: they would learn the rows rather than where these come from.
const FEW_ROWS_TO_A_COLUMN: usize = 100;
/// Below so many rows one layer is all that they support.
const HARDLY_ANY_ROWS: usize = 100;
/// Below so many rows batches are smaller, and validation more frequent.
const FEW_ROWS: usize = 2_000;
/// The number of rows after which a training of [`STEPS`] steps would take more if it were as thorough, …
const ROWS: f64 = 4_800.0;
/// … which most trainings of fewer do not use up, since validation ends them.
const STEPS: f64 = 3_000.0;
const MOST_STEPS: f64 = 10_000.0;
/// ESS/N at which a student is good enough.
const ENOUGH: f64 = 0.98;

/// The stages of a student of a target that is given columns: nobody plans them, and each step sees as many contexts as it has rows.
pub(super) fn stages_of_given() -> Vec<StageSpec> {
    // On average over contexts: a rare one is worse.
    let until = Some(Until { ess: 0.998, se: None });
    let training =
        Settings { steps: 10_000, batch: 128, average: 0.998, until, rounds: None, ..Settings::for_reverse_kl() };
    vec![StageSpec::ReverseKl {
        against: Against::Target,
        gradient: Gradient::Path,
        reverse: 1.0,
        forward: 0.0,
        anneal: None,
        training,
    }]
}

impl DefaultFit {
    /// For `rows` rows to fit, of `dim` columns.
    pub fn of(rows: usize, dim: usize) -> Self {
        let (layers, hidden, bins, peak) = match (rows < FEW_ROWS_TO_A_COLUMN * dim, dim <= FEW_COLUMNS) {
            (true, _) if rows < HARDLY_ANY_ROWS => (1, vec![64, 64], 4, 2e-3),
            (true, _) => (2, vec![64, 64], 4, 2e-3),
            (false, true) => (2, vec![64, 64, 64], 16, 5e-3),
            (false, false) => (3, vec![64, 64], 4, 2e-3),
        };
        // A layer narrower than the columns makes some of them share what they see.
        let hidden = hidden.into_iter().map(|width: usize| width.max(dim.min(WIDEST))).collect();
        let (batch, validate_every) = if rows < FEW_ROWS { (128, 50) } else { (256, 100) };
        let steps = (STEPS * (rows as f64 / ROWS).sqrt()).clamp(STEPS, MOST_STEPS);
        let rate = Schedule { peak, ..Schedule::default() };
        let likelihood = Settings {
            steps: 100 * (steps / 100.0) as u64,
            batch,
            rate,
            validate_every,
            patience: 15,
            ..Settings::default()
        };
        let batch = if dim <= 3 { 256 } else { 512 };
        let until = Some(Until { ess: ENOUGH, se: None });
        let distillation = Settings { steps: 4_000, batch, rate, until, ..Settings::default() };
        Self { layers, hidden, bins, limit: 3.0, likelihood, distillation }
    }

    /// The teacher's flow.
    pub fn teacher(&self) -> FlowConfig {
        FlowConfig {
            layers: self.layers.into(),
            hidden: self.hidden.clone(),
            activation: Activation::Silu,
            transformer: Transformer::Spline(SplineSettings { bins: self.bins, limit: self.limit, max_scale: 1000.0 }),
            ..FlowConfig::default()
        }
    }

    /// The two stages.
    pub fn stages(&self) -> Vec<StageSpec> {
        vec![
            StageSpec::MaximumLikelihood(self.likelihood),
            StageSpec::ForwardKl { against: Against::Teacher, training: self.distillation },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_suit_rows_and_columns() {
        let sizes = |rows, dim| {
            let DefaultFit { layers, hidden, bins, .. } = DefaultFit::of(rows, dim);
            (layers, hidden, bins)
        };
        assert_eq!(sizes(4_800, 2), (2, vec![64; 3], 16));
        assert_eq!(sizes(4_800, 10), (3, vec![64; 2], 4));
        assert_eq!(sizes(350, 7), (2, vec![64; 2], 4));
        assert_eq!(sizes(60, 4), (1, vec![64; 2], 4));
        assert_eq!(sizes(120, 200), (2, vec![200; 2], 4));
        let steps = |rows| DefaultFit::of(rows, 2).likelihood.steps;
        assert_eq!([steps(100), steps(4_800), steps(19_200), steps(10_000_000)], [3_000, 3_000, 6_000, 10_000]);
    }
}
