//! `flowdistill targets`: what can be written in the `target` field.

use super::Global;
use crate::error::{Error, Result};
use crate::experiment::{Native, Spec};
use std::fmt::Write;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  flowdistill targets\n  flowdistill targets Funnel > funnel.ron")]
pub struct Options {
    /// Print a whole experiment for this target
    name: Option<String>,
}

/// Each target as RON, what it tests, and where it comes from. Those that need files are shown without being built.
const CATALOGUE: [(&str, &str); 24] = [
    ("Banana()", "a curved ridge (Haario, Saksman and Tamminen 1999)"),
    ("TwoMoons()", "two separated modes (after Rezende and Mohamed 2015)"),
    ("EnergyU1()", "two modes that touch (Rezende and Mohamed 2015)"),
    ("EnergyU2()", "a wave (Rezende and Mohamed 2015, with an envelope)"),
    ("EnergyU3()", "a wave that forks and joins again (Rezende and Mohamed 2015, with an envelope)"),
    ("EnergyU4()", "a wave that forks (Rezende and Mohamed 2015, with an envelope)"),
    ("Rings()", "holes that a smooth map of the plane can only approach"),
    ("Rosenbrock()", "a narrow curved valley (Rosenbrock 1960)"),
    ("TwoModes()", "two distant modes"),
    ("NineModes()", "nine distant modes"),
    ("FortyModes(places: 1)", "forty distant modes (Midgley et al. 2023)"),
    ("Mixture(means: [[0.0], [3.0]], deviations: [1.0, 0.5], weights: [2.0, 1.0])", "round modes of your own"),
    ("Funnel(dim: 10)", "scales over several orders of magnitude (Neal 2003)"),
    ("ManyWell(dim: 32)", "modes that double with every second coordinate (Noé et al. 2019)"),
    ("StudentT(dim: 10, freedom: 2.0, coupling: 0.0)", "heavy tails, independent or mixed"),
    ("Lattice(side: 8, kappa: 0.2, lambda: 0.5)", "the φ⁴ field on a torus"),
    ("EightSchools()", "a hierarchical posterior, non-centred (Rubin 1981)"),
    ("Gaussian(dim: 20, condition: 1000.0, rotation: 1)", "strong correlations, everything known in closed form"),
    ("Normal(mean: [0.0, 1.0], covariance: [[2.0, 0.5], [0.5, 1.0]])", "a normal distribution of your own"),
    (
        "Expression(parameters: {\"mu\": Real, \"sigma\": Positive}, data: {\"y\": Vector([1.2, 0.7, 2.9])}, \
         log_density: \"mu ~ normal(0, 10); sigma ~ half_cauchy(5); y ~ normal(mu, sigma)\")",
        "a density of your own, written down: see docs/expression.md",
    ),
    (
        "LogisticRegression(path: \"table.csv\", label: \"column\", prior_scale: 10.0)",
        "the posterior of a logistic regression on your table",
    ),
    (
        "LinearRegression(path: \"table.csv\", response: \"column\", noise: 1.0, prior_scale: 10.0)",
        "the posterior of a linear regression on your table; its evidence has a closed form",
    ),
    (
        "Compiled(library: \"model.so\", data: \"data.json\")",
        "a Stan model compiled with BridgeStan's interface: docs/stan.md; needs --allow-native",
    ),
    (
        "Process(command: [\"python3\", \"density.py\"], workers: 1, timeout_s: 30.0)",
        "a density of your own in another program: docs/process.md; needs --allow-native",
    ),
];

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
        let found = CATALOGUE.iter().find(|(ron, _)| variant(ron).eq_ignore_ascii_case(name));
        let Some((ron, _)) = found else {
            let legal: Vec<&str> = CATALOGUE.iter().map(|(ron, _)| variant(ron)).collect();
            return Err(Error::invalid(format!("no target is called {name}; there are {}", legal.join(", "))));
        };
        return super::print(&experiment(ron));
    }
    let mut out = String::new();
    for (ron, about) in CATALOGUE {
        let spec = Spec::parse(&experiment(ron)).map_err(Error::invalid)?;
        let target = spec
            .target
            .filter(|_| !["path:", "library:", "command:"].iter().any(|field| ron.contains(field)))
            .map(|target| target.build_with_permission(Path::new("."), Native::Refuse));
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
