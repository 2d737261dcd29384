//! Objectives, schedule and the one training loop. Concrete in `f32` on the CPU.

mod annealing;
mod contexts;
mod divergence;
mod epochs;
mod forward_kl;
mod keeper;
mod likelihood;
mod objective;
mod replay;
mod reverse_kl;
mod rounds;
mod schedule;
mod settings;
mod state;
mod trainer;
mod until;
mod weighted_sum;

pub use annealing::{AnnealConfig, Annealing};
pub use contexts::Contexts;
pub use divergence::Divergence;
pub use epochs::Epochs;
pub use forward_kl::{Draws, ForwardKl};
pub use keeper::{Forgetful, Keeper};
pub use likelihood::MaximumLikelihood;
pub use objective::{weighted_mean, Objective, Outcome};
pub use replay::Replay;
pub use reverse_kl::{Gradient, ReverseKl};
pub use rounds::{Round, Rounds};
pub use schedule::{Decay, Schedule};
pub use settings::Settings;
pub use state::Kept;
pub use trainer::{train, train_kept, Observer, Progress, StopReason, Trained};
pub use until::{Agreement, Until, LOOK_ROWS, ROUND_LOOK_ROWS};
pub use weighted_sum::WeightedSum;
