//! What a target says of itself to people who name it in an experiment: its fields, an example, a line, and how the density comes from them.

use super::Density;
use std::path::{Path, PathBuf};

/// The fields of a target as they are written in an experiment file. They stand beside the density that comes from them, with their defaults.
pub trait TargetSettings {
    /// The target as it is written, every field shown: what `flowdistill targets` prints and tries.
    const EXAMPLE: &'static str;
    /// In a line, what it tests and where it comes from.
    const ABOUT: &'static str;

    /// Builds the density; `folder` is that of the experiment file. Whoever calls this has the permission that
    /// [`TargetSettings::native`] may need.
    ///
    /// # Errors
    /// What is wrong with a field or a file, and what would be right.
    fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String>;

    /// The code of others that building it loads or starts, in words; none for what only this program computes.
    fn native(&self, _folder: &Path) -> Option<String> {
        None
    }

    /// The files that it names, relative to the folder of the experiment.
    fn files(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }
}

/// The settings of targets that have no field.
macro_rules! fieldless {
    ($($settings:ident = $name:literal, $about:literal, $density:expr;)+) => { $(
        #[doc = concat!("What is written for `", $name, "()`: nothing.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        #[serde(rename = $name, deny_unknown_fields)]
        pub struct $settings {}

        impl $crate::target::TargetSettings for $settings {
            const EXAMPLE: &'static str = concat!($name, "()");
            const ABOUT: &'static str = $about;

            fn build(&self, _: &std::path::Path) -> Result<Box<dyn $crate::target::Density>, String> {
                Ok(Box::new($density))
            }
        }
    )+ };
}
pub(super) use fieldless;
