//! From what was written to what was found: `Spec` → [`Plan`] → run → report, and the folder that holds it all.

mod attended;
mod check;
mod evaluation;
mod evidence;
mod expression_spec;
mod folder;
mod native;
mod ordered;
mod prepare;
mod report;
mod ron_value;
mod run;
mod set;
mod spec;
mod target_spec;
mod watcher;
mod whiten;

pub use check::{Plan, StagePlan};
pub use evaluation::{score_teacher, StudentScores, TeacherScores};
pub use evidence::look_at;
pub use expression_spec::{DatumSpec, ExpressionSpec, Scaling};
pub use folder::{Folder, DRAWS, RESOLVED, RUN_JSON, STUDENT, TEACHER};
pub use native::Native;
pub use ordered::Ordered;
pub use prepare::Divided;
pub use report::{Record, Scores, StageRecord, Status};
pub use run::run;
pub use spec::{
    Against, DataSpec, EvaluationSpec, IndependentSpec, MethodSpec, Missing, SourceSpec, Spec, StageSpec, StudentSpec,
    TransformSpec, Whitening,
};
pub use target_spec::TargetSpec;
pub use watcher::Watcher;
