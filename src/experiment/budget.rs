//! What memory an experiment would take, weighed against what may be taken before any of it is.

use super::data_spec::SourceSpec;
use super::spec::{Spec, StageSpec};
use crate::flow::{FlowConfig, LayerShape, Space};
use crate::memory;
use crate::train::Settings;

/// Copies of the weights in training: themselves, gradients, Adam's two moments, the average, the best so far, and those on their way to and
/// from files.
const OF_WEIGHTS: f64 = 10.0;

/// Numbers that a pass keeps for its way back, for each of the numbers that it makes.
const OF_PASS: f64 = 3.0;

/// Copies of draws while they are made, judged and kept.
const OF_DRAWS: f64 = 4.0;

/// The bytes of training a flow with batches of so many rows.
fn of_flow(flow: &FlowConfig, batch: usize, space: Space) -> f64 {
    let hidden = |layer: &LayerShape| layer.masked().map_or(0, |layer| layer.made.hidden.iter().sum::<usize>());
    let widths: f64 = flow.shapes().iter().map(|layer| (hidden(layer) + 4 * space.columns()) as f64).sum();
    4.0 * (OF_WEIGHTS * flow.parameters(space) as f64 + OF_PASS * batch as f64 * widths)
}

/// What is wrong with the sizes of an experiment whose flows, all in order otherwise, are on `space`: the largest of them, if all of them together
/// are more than the memory that may be taken.
pub(super) fn fault(
    spec: &Spec,
    teacher: &Option<FlowConfig>,
    student: &Option<FlowConfig>,
    space: Space,
) -> Option<String> {
    let widest = |settings: &Settings| settings.rounds().iter().map(|round| round.batch).max().unwrap_or(0);
    let (mut of_teacher, mut of_student, mut draws) = ((0, 0), (0, 0), 0);
    for (place, stage) in spec.stages.iter().enumerate() {
        match stage {
            StageSpec::Sample { draws: asked, .. } => draws = *asked,
            StageSpec::MaximumLikelihood(settings) | StageSpec::FlowMatching(settings) => {
                of_teacher = of_teacher.max((widest(settings), place))
            }
            StageSpec::ForwardKl { .. } | StageSpec::ReverseKl { .. } => {
                let batch = stage.divergence().map_or(0, |(_, _, settings)| widest(&settings));
                of_student = of_student.max((batch, place));
            }
        }
    }
    let of_rows = |rows: usize| OF_DRAWS * 8.0 * rows as f64 * (space.columns() + 4) as f64;
    let rows = match spec.data.as_ref().map(|data| &data.source) {
        Some(SourceSpec::Draws { rows }) => *rows,
        _ => 0,
    };
    let trained = |name: &str, flow: &Option<FlowConfig>, (batch, place): (usize, usize)| {
        let flow = flow.as_ref()?;
        let bytes = of_flow(flow, batch, space);
        Some((format!("training the {name} with batches of {batch} rows (stages[{place}])"), bytes))
    };
    let parts = [
        trained("teacher", teacher, of_teacher),
        trained("student", student, of_student),
        Some((format!("drawing {draws} times from the target"), of_rows(draws))),
        Some((format!("drawing {rows} rows of data"), of_rows(rows))),
        Some((format!("judging {} draws", spec.evaluation.draws), of_rows(spec.evaluation.draws))),
    ];
    let parts: Vec<(String, f64)> = parts.into_iter().flatten().collect();
    let all = parts.iter().map(|(_, bytes)| bytes).sum();
    let (largest, bytes) = parts.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let what = format!("the experiment, of which {largest} takes {},", memory::written(*bytes));
    memory::weigh(&what, all).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_all_memory_are_faults_and_the_usual_ones_are_none() {
        let fault = |student: &str, stages: &str| {
            let text = format!("(name: \"x\", target: Banana(), student: Flow{student}, stages: [{stages}])");
            let spec = Spec::parse(&text).expect("an experiment");
            let Some(super::super::spec::StudentSpec::Flow(flow)) = spec.student.clone() else { panic!("a flow") };
            fault(&spec, &None, &Some(flow), Space { given: 0, variables: 2 })
        };
        let usual = "ReverseKl(against: Target)";
        assert_eq!(fault("()", usual), None);
        let wide = fault("(hidden: [65536, 65536, 65536], layers: 100)", usual).expect("too wide");
        assert!(wide.contains("training the student"), "{wide}");
        let batch = "ReverseKl(against: Target, training: (batch: 1048576))";
        assert!(fault("(hidden: [8192, 8192], layers: 1000)", batch).expect("too many").contains("1048576 rows"));
        let sample = "Sample(draws: 100000000000), ReverseKl(against: Target)";
        assert!(fault("()", sample).expect("too many").contains("from the target"));
    }
}
