//! Densities that are somebody else's code: compiled models and other processes, behind the same [`crate::target::Density`].

mod compiled;
pub mod frames;
mod library;
mod process;
#[cfg(unix)]
mod watchdog;
#[cfg(unix)]
mod worker;
#[cfg(not(unix))]
#[path = "no_worker.rs"]
mod worker;

pub use compiled::{Compiled, CompiledSettings};
pub use process::{Process, ProcessSettings};

/// The largest number of coordinates that is believed.
pub const MOST_COORDINATES: usize = 100_000;

/// The longest name of a coordinate, in bytes.
const LONGEST_NAME: usize = 200;

/// What is wrong with `names` as names of `dim` coordinates.
fn fault_of_names(names: &[String], dim: usize) -> Option<String> {
    if names.len() != dim {
        return Some(format!("{} names for {dim} coordinates", names.len()));
    }
    let unfit = |name: &&String| name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control);
    let bad = names.iter().find(unfit)?;
    Some(format!("the name {bad:?}; 1 to {LONGEST_NAME} bytes without control characters are right"))
}
