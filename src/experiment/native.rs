//! Targets that run code which an experiment names, and the permission that they need.

use super::target_spec::TargetSpec;
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
