//! What memory an experiment would take, weighed against what may be taken before any of it is.

use super::check::Plan;
use super::spec::{MethodSpec, Spec, StageSpec};
use crate::flow::{FlowConfig, LayerShape, MaskedShape, Space};
use crate::memory;
use crate::ops::transform::Transform;
use crate::train::Settings;

/// Copies of the weights in training: themselves, gradients, Adam's two moments, the average, the best so far, the state before a step, those of a
/// checkpoint as numbers and as bytes, the file's own, and those of frozen flows in both precisions.
const OF_WEIGHTS: f64 = 21.0;

/// Numbers that a pass keeps for its way back, for each of the numbers that it makes.
const OF_PASS: f64 = 3.0;

/// Copies of rows of data: as they were read, divided, standardised for training.
const OF_DATA: f64 = 2.0;

/// Copies of draws while they are made and kept, …
const OF_SAMPLE: f64 = 4.0;

/// … and while they are judged.
const OF_JUDGED: f64 = 1.5;

/// What there is before anything of these sizes.
const BESIDES: f64 = 20.0 * 1048576.0;

// Peaks of whole runs (`/usr/bin/time -v`, one thread, x86-64) beside what is reckoned here, in MiB:
//
// | experiment                                                         | reckoned | measured |
// |--------------------------------------------------------------------|---------:|---------:|
// | Banana, 4 layers of [64, 64], batches of 512                       |       25 |       15 |
// | the same, batches of 32768                                         |      232 |      202 |
// | the same, batches of 131072                                        |      862 |      774 |
// | Banana, 2 layers of [2048, 2048]                                   |      700 |      660 |
// | Funnel(dim: 10), 2 layers of [1024, 1024, 1024]                    |      215 |      196 |
// | Funnel(dim: 10), 4 layers of [512, 512], splines                   |       93 |       80 |
// | Funnel(dim: 10), 4 layers of [64, 64], splines, batches of 16384   |      338 |      285 |
// | a teacher and a student like that, half forward KL                 |      973 |      757 |
// | a teacher and a student, affine, batches of 16384                  |      309 |      213 |
// | Gaussian(dim: 200), 3 layers of [256], batches of 4096             |      258 |      194 |
// | Funnel(dim: 10), 2000000 draws judged                              |      341 |      235 |
// | Funnel(dim: 10), 1000000 rows of data                              |      234 |      190 |
// | Gaussian(dim: 10), `Sample` of 120000 draws                        |       72 |       57 |
// | Gaussian(dim: 10), `Sample` with 600000 particles                  |      277 |      209 |

/// What an experiment holds many of.
struct Sizes {
    /// The most rows of a batch of the teacher's stages, and the stage.
    of_teacher: (usize, usize),
    /// The same of the student's, where forward KL takes a second batch.
    of_student: (usize, usize),
    sampled: usize,
    rows: usize,
    judged: usize,
    /// Whether all stages of teacher and of student keep the points of one layer alone.
    recompute: [bool; 2],
}

impl Sizes {
    fn of(spec: &Spec, rows: usize) -> Self {
        let widest = |settings: &Settings| settings.rounds().iter().map(|round| round.batch).max().unwrap_or(0);
        let mut sizes = Self {
            of_teacher: (0, 0),
            of_student: (0, 0),
            sampled: 0,
            rows,
            judged: spec.evaluation.draws,
            recompute: [true; 2],
        };
        for (place, stage) in spec.stages.iter().enumerate() {
            match stage {
                StageSpec::Sample { method, draws } => {
                    let held = match method {
                        MethodSpec::Smc(settings) => settings.islands.saturating_mul(settings.particles),
                        MethodSpec::Nuts(settings) => settings.chains.saturating_mul(settings.keep),
                    };
                    sizes.sampled = sizes.sampled.max(draws.saturating_add(held));
                }
                StageSpec::MaximumLikelihood(settings) | StageSpec::FlowMatching(settings) => {
                    sizes.recompute[0] &= settings.recompute;
                    sizes.of_teacher = sizes.of_teacher.max((widest(settings), place));
                }
                StageSpec::ForwardKl { .. } | StageSpec::ReverseKl { .. } => {
                    let batch = stage.divergence().map_or(0, |(_, divergence, settings)| {
                        sizes.recompute[1] &= settings.recompute;
                        let passes = if divergence.reverse > 0.0 && divergence.forward > 0.0 { 2 } else { 1 };
                        passes * widest(&settings)
                    });
                    sizes.of_student = sizes.of_student.max((batch, place));
                }
            }
        }
        sizes
    }
}

/// The bytes of training a flow with batches of so many rows.
fn of_flow(flow: &FlowConfig, (batch, recompute): (usize, bool), space: Space) -> f64 {
    let network = |layer: &MaskedShape| {
        layer.made.hidden.iter().sum::<usize>() + layer.transformer.per_variable() * space.variables
    };
    let width = |layer: &LayerShape| layer.masked().map_or(0, network) + 4 * space.columns();
    let widths = flow.shapes().iter().map(|layer| width(layer) as f64).fold(0.0, |all: f64, width| {
        if recompute {
            all.max(width)
        } else {
            all + width
        }
    });
    4.0 * (OF_WEIGHTS * flow.parameters(space) as f64 + OF_PASS * batch as f64 * widths)
}

/// What takes memory, and how many bytes.
fn parts(sizes: &Sizes, [teacher, student]: [&Option<FlowConfig>; 2], space: Space) -> Vec<(String, f64)> {
    let of_rows = |copies: f64, rows: usize| copies * 8.0 * rows as f64 * (space.columns() + 4) as f64;
    let trained = |name: &str, flow: &Option<FlowConfig>, (batch, place): (usize, usize), recompute: bool| {
        let bytes = of_flow(flow.as_ref()?, (batch, recompute), space);
        Some((format!("training the {name} with batches of {batch} rows (stages[{place}])"), bytes))
    };
    let Sizes { of_teacher, of_student, sampled, rows, judged, recompute } = *sizes;
    let all = [
        trained("teacher", teacher, of_teacher, recompute[0]),
        trained("student", student, of_student, recompute[1]),
        Some((format!("holding {sampled} draws and particles of the target"), of_rows(OF_SAMPLE, sampled))),
        Some((format!("keeping {rows} rows of data"), of_rows(OF_DATA, rows))),
        Some((format!("judging {judged} draws"), of_rows(OF_JUDGED, judged))),
    ];
    all.into_iter().flatten().collect()
}

fn sum(parts: &[(String, f64)]) -> f64 {
    BESIDES + parts.iter().map(|(_, bytes)| bytes).sum::<f64>()
}

/// What is wrong with the sizes of an experiment whose flows, all in order otherwise, are on `space`: the largest of them, if all of them together
/// are more than the memory that may be taken.
pub(super) fn fault(
    spec: &Spec,
    teacher: &Option<FlowConfig>,
    student: &Option<FlowConfig>,
    space: Space,
) -> Option<String> {
    // Those of a file are weighed when it is read.
    let rows = spec.data.as_ref().and_then(|data| data.source.drawn()).unwrap_or(0);
    let parts = parts(&Sizes::of(spec, rows), [teacher, student], space);
    let (largest, bytes) = parts.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let what = format!("the experiment, of which {largest} takes {},", memory::written(*bytes));
    memory::weigh(&what, sum(&parts)).err()
}

impl Plan<'_> {
    /// About the most bytes that carrying it out takes at once.
    pub fn memory(&self) -> f64 {
        let held = self
            .data
            .as_ref()
            .map_or(0, |data| (data.train.len() + data.validation.len() + data.test.len()) / self.dim.max(1));
        // A preview makes do with fewer draws.
        let rows = self.spec.data.as_ref().and_then(|data| data.source.drawn()).unwrap_or(held);
        sum(&parts(&Sizes::of(&self.spec, rows), [&self.teacher, &self.student], self.space()))
    }
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
        assert!(fault("()", sample).expect("too many").contains("draws and particles"));
    }
}
