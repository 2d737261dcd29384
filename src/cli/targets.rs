//! `flowdistill targets`: what can be written in the `target` field.

use super::Global;
use crate::error::{Error, Result};
use crate::experiment::TargetSpec;
use std::fmt::Write;

/// Each target with its RON and where it comes from.
fn catalogue() -> Vec<(TargetSpec, &'static str, &'static str)> {
    let normal = TargetSpec::Normal { mean: vec![0.0, 1.0], covariance: vec![vec![2.0, 0.5], vec![0.5, 1.0]] };
    vec![
        (TargetSpec::Banana {}, "Banana()", "a curved ridge (Haario, Saksman and Tamminen 1999)"),
        (TargetSpec::TwoMoons {}, "TwoMoons()", "two separated modes (Rezende and Mohamed 2015)"),
        (TargetSpec::Funnel { dim: 10 }, "Funnel(dim: 10)", "scales over several orders of magnitude (Neal 2003)"),
        (TargetSpec::EightSchools {}, "EightSchools()", "a hierarchical posterior, non-centred (Rubin 1981)"),
        (
            TargetSpec::Gaussian { dim: 20, condition: 1000.0, rotation: 1 },
            "Gaussian(dim: 20, condition: 1000.0, rotation: 1)",
            "strong correlations, everything known in closed form",
        ),
        (normal, "Normal(mean: [0.0, 1.0], covariance: [[2.0, 0.5], [0.5, 1.0]])", "a normal distribution of your own"),
    ]
}

pub fn execute(global: &Global) -> Result<()> {
    let mut out = String::new();
    for (spec, ron, about) in catalogue() {
        let target = spec.build().map_err(Error::invalid)?;
        let (log_z, exact) = (target.log_normalizer(), target.sampler().is_some());
        let written = if global.json {
            let line = serde_json::json!({
                "ron": ron, "dim": target.dim(), "log_z": log_z, "exact_draws": exact, "about": about,
            });
            writeln!(out, "{line}")
        } else {
            let log_z = log_z.map_or("unknown".into(), |log_z| format!("{log_z:.5}"));
            let draws = if exact { "exact draws" } else { "no exact draws" };
            writeln!(out, "target: {ron}\n    {about}; dim {}, log Z {log_z}, {draws}", target.dim())
        };
        // Writing to a string cannot fail.
        let _ = written;
    }
    super::print(&out)
}
