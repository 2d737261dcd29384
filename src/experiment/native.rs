//! Targets that run code which an experiment names, and the permission that they need.

use super::target_spec::TargetSpec;
use crate::foreign::{Compiled, Process};
use crate::shown;
use crate::target::Density;
use std::path::Path;

/// Whether code that an experiment names may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Native {
    /// It is refused, with what it would be.
    #[default]
    Refuse,
    /// It is loaded or started.
    Allow,
}

impl TargetSpec {
    /// What building this loads or starts, none for everything that only this program computes; `folder` is that of the experiment file.
    pub fn native(&self, folder: &Path) -> Option<String> {
        match self {
            TargetSpec::Compiled { library, .. } => {
                Some(format!("load the library {}", folder.join(library).display()))
            }
            TargetSpec::Process { command, workers, .. } => {
                let times = if *workers == 1 { String::new() } else { format!(" {workers} times") };
                let at = if folder == Path::new("") { Path::new(".") } else { folder };
                Some(format!("start `{}`{times} in the folder {}", shown::command(command), at.display()))
            }
            _ => None,
        }
    }

    /// Builds the density for an experiment in `folder`, if `native` permits what that takes.
    ///
    /// # Errors
    /// If a constant is out of its range or a file is at fault, and where permission is lacking.
    pub fn build_with_permission(&self, folder: &Path, native: Native) -> Result<Box<dyn Density>, String> {
        match self.forbidden(folder, native) {
            Some(fault) => Err(fault),
            None => self.build(folder).map_err(|fault| format!("target: {fault}")),
        }
    }

    /// The fault of a target that runs code without permission.
    pub(super) fn forbidden(&self, folder: &Path, native: Native) -> Option<String> {
        let what = self.native(folder).filter(|_| native == Native::Refuse)?;
        Some(format!("target: it would {what}, which is code that runs with your rights; if you trust it, --allow-native permits it"))
    }
}

/// Loads a compiled model.
pub(super) fn compiled(
    folder: &Path,
    library: &Path,
    data: Option<&Path>,
    threads: bool,
) -> Result<Box<dyn Density>, String> {
    let data = data.map(|data| folder.join(data));
    Ok(Box::new(Compiled::open(&folder.join(library), data.as_deref(), threads)?))
}

/// Starts processes.
pub(super) fn process(
    folder: &Path,
    command: &[String],
    workers: usize,
    timeout_s: f64,
) -> Result<Box<dyn Density>, String> {
    Ok(Box::new(Process::start(command, folder, workers, timeout_s)?))
}
