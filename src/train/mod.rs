//! Objectives, schedule and the one training loop. Concrete in `f32` on the CPU.

mod likelihood;
mod objective;
mod reverse_kl;
mod schedule;
mod settings;
mod trainer;

pub use likelihood::MaximumLikelihood;
pub use objective::{Objective, Outcome};
pub use reverse_kl::ReverseKl;
pub use schedule::{Decay, Schedule};
pub use settings::Settings;
pub use trainer::{train, Observer, Progress, StopReason, Trained};
