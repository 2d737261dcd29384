//! The target of an experiment that a command on a model names.

use crate::error::{Error, Result};
use crate::experiment::{Native, Spec};
use crate::target::Density;
use std::path::Path;
use std::sync::Arc;

/// The target of the experiment at `path`, which must have `dim` coordinates; one that runs code needs `allow_native`.
pub(super) fn target_of(path: &Path, allow_native: bool, dim: usize) -> Result<Arc<dyn Density>> {
    let (spec, _) = Spec::read(path)?;
    let spec = spec.target.ok_or_else(|| Error::input(path, "has no `target`"))?;
    let native = if allow_native { Native::Allow } else { Native::Refuse };
    let folder = path.parent().unwrap_or(Path::new("."));
    let target = spec.build_with_permission(folder, native).map_err(|fault| Error::input(path, fault))?;
    if target.given() > 0 {
        return Err(Error::input(path, "its target is given columns of a table; `run` judges a student of it"));
    }
    if target.dim() != dim {
        let found = target.dim();
        return Err(Error::input(path, format!("its target has {found} coordinates; the model has {dim}")));
    }
    Ok(Arc::from(target))
}
