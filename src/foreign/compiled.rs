//! A density in a compiled model with BridgeStan's C interface.

use super::library::{Loaded, Outcome};
use crate::intake;
use crate::target::{Constraint, Density, Fatal, Faults, TargetSettings};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The log density of a Stan model over its unconstrained parameters, with the Jacobian of the constraints and all constants.
///
/// A point that the model refuses (`reject`, a scale that underflows) is a fault of that row; any other failure ends the run.
pub struct Compiled {
    loaded: Loaded,
    name: String,
}

/// The longest data file.
const MOST_DATA: u64 = 1 << 30;

impl Compiled {
    /// Loads `library` and constructs its model from `data`, a JSON file. Only with `threads` is it called from several threads at once.
    ///
    /// # Errors
    /// If a file is missing, the library does not export the interface, or the model does not take the data.
    pub fn open(library: &Path, data: Option<&Path>, threads: bool) -> Result<Self, String> {
        // Without a slash a library would be sought among the system's.
        let path = library.canonicalize().map_err(|error| format!("library {}: {error}", library.display()))?;
        let data = data.map(read).transpose()?.unwrap_or_else(|| "{}".into());
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { loaded: Loaded::open(&path, &data, threads)?, name })
    }
}

fn read(path: &Path) -> Result<String, String> {
    intake::text(path, MOST_DATA).map_err(|error| format!("data {error}"))
}

/// What is written for `Compiled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Compiled", deny_unknown_fields)]
pub struct CompiledSettings {
    /// The shared library.
    pub library: PathBuf,
    /// A JSON file with the model's data.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Whether the library may be called from several threads at once (built with `STAN_THREADS`).
    #[serde(default)]
    pub threads: bool,
}

impl TargetSettings for CompiledSettings {
    const EXAMPLE: &'static str = "Compiled(library: \"model.so\", data: \"data.json\", threads: false)";
    const ABOUT: &'static str = "a Stan model compiled with BridgeStan's interface: docs/stan.md; needs --allow-native";

    fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
        let data = self.data.as_ref().map(|data| folder.join(data));
        Ok(Box::new(Compiled::open(&folder.join(&self.library), data.as_deref(), self.threads)?))
    }

    fn native(&self, folder: &Path) -> Option<String> {
        Some(format!("load the library {}", folder.join(&self.library).display()))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        std::iter::once(&mut self.library).chain(&mut self.data).collect()
    }
}

impl Density for Compiled {
    fn dim(&self) -> usize {
        self.loaded.names.len()
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let dim = self.dim();
        let mut unasked = vec![0.0; dim];
        let mut gradients = gradients.map(|gradients| gradients.chunks_exact_mut(dim));
        let session = self.loaded.session();
        for (row, (point, value)) in points.chunks_exact(dim).zip(values).enumerate() {
            let gradient = gradients.as_mut().and_then(Iterator::next).unwrap_or(&mut unasked);
            *value = f64::NAN;
            if !point.iter().all(|x| x.is_finite()) {
                faults.mark(row, "the point is not finite");
            } else {
                match session.log_density(point, gradient) {
                    Outcome::Value(found) if found.is_nan() || found == f64::INFINITY => {
                        faults.mark(row, format!("{} gave the value {found}", self.name));
                    }
                    Outcome::Value(found) => *value = found,
                    Outcome::Refused(reason) => faults.mark(row, format!("{}: {reason}", self.name)),
                    Outcome::Fatal(reason) => return Err(Fatal(format!("{}: {reason}", self.name))),
                }
                if let Some(i) = gradient.iter().position(|g| !g.is_finite()).filter(|_| value.is_finite()) {
                    let name = &self.loaded.names[i];
                    faults.mark(row, format!("{} gave a gradient that is not finite in {name}", self.name));
                    *value = f64::NAN;
                }
            }
            if !value.is_finite() {
                gradient.fill(0.0);
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        self.loaded.names.clone()
    }

    fn constraint(&self) -> Constraint {
        Constraint::Elsewhere
    }

    /// Parameters and transformed parameters, where the library tells.
    fn constrained_names(&self) -> Vec<String> {
        self.loaded.constrained_names.clone().unwrap_or_else(|| self.names())
    }

    fn constrain(&self, point: &[f64], values: &mut [f64]) -> Result<(), Fatal> {
        let done = self.loaded.session().constrain(point, values);
        done.map_err(|fault| Fatal(format!("{}: {fault}", self.name)))
    }
}
