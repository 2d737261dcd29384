//! `flowdistill targets`: what can be written in the `target` field.

use super::Global;
use crate::error::{Error, Result};
use crate::experiment::{Native, Spec, TargetSpec};
use std::fmt::Write;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill targets\n  flowdistill targets Funnel > funnel.ron")]
pub struct Options {
    /// Print a whole experiment for this target
    name: Option<String>,
}

/// The experiment that fits `ron` by itself.
fn experiment(ron: &str) -> String {
    let name = variant(ron).to_lowercase();
    format!("(\n    version: 1,\n    name: \"{name}\",\n    target: {ron},\n)\n")
}

fn variant(ron: &str) -> &str {
    ron.split('(').next().unwrap_or(ron)
}

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    if let Some(name) = &options.name {
        let found = TargetSpec::CATALOGUE.iter().find(|(ron, _)| variant(ron).eq_ignore_ascii_case(name));
        let Some((ron, _)) = found else {
            let legal: Vec<&str> = TargetSpec::CATALOGUE.iter().map(|(ron, _)| variant(ron)).collect();
            return Err(Error::invalid(format!("no target is called {name}; there are {}", legal.join(", "))));
        };
        return super::print(&experiment(ron));
    }
    let mut out = String::new();
    for &(ron, about) in TargetSpec::CATALOGUE {
        let spec = Spec::parse(&experiment(ron)).map_err(Error::invalid)?;
        let here = Path::new(".");
        // The files and programs of an example are nobody's.
        let target = spec.target.filter(|target| target.native(here).is_none() && target.clone().files().is_empty());
        let target = target.map(|target| target.build_with_permission(here, Native::Refuse));
        let target = target.transpose().map_err(Error::invalid)?;
        let dim = target.as_ref().map(|target| target.dim());
        let log_z = target.as_ref().and_then(|target| target.log_normalizer());
        let exact = target.as_ref().is_some_and(|target| target.sampler().is_some());
        // Writing to a string cannot fail.
        let _ = if global.json {
            let line =
                serde_json::json!({ "ron": ron, "dim": dim, "log_z": log_z, "exact_draws": exact, "about": about });
            writeln!(out, "{line}")
        } else {
            let dim = dim.map_or("by its files".into(), |dim| dim.to_string());
            let log_z = log_z.map_or(String::new(), |log_z| format!(", log Z {log_z:.5}"));
            let draws = if exact { ", exact draws" } else { "" };
            writeln!(out, "target: {ron}\n    {about}; dim {dim}{log_z}{draws}")
        };
    }
    super::print(&out)
}
