//! Conditions that a judgement must meet, such as `ess>=0.9` or `verdict>=correctable`.

use super::certificate::Verdict;
use crate::error::{Error, Result};

/// Checks conditions of a verdict and of figures; a figure that is not known does not meet any.
///
/// # Errors
/// [`Error::Invalid`] for what is not a condition, [`Error::Requirement`] for those that are not met.
pub fn require(conditions: &[String], verdict: Verdict, figures: &[(&'static str, f64)]) -> Result<()> {
    let mut unmet = Vec::new();
    for condition in conditions {
        let (name, comparison, bound) = parse(condition)?;
        let figure = match name {
            "verdict" => Some(f64::from(verdict as u8)),
            _ => figures.iter().find(|(figure, _)| *figure == name).map(|(_, value)| *value),
        };
        if !figure.is_some_and(|figure| comparison(figure, bound)) {
            let found = match (name, figure) {
                ("verdict", _) => verdict.words().to_string(),
                (_, Some(figure)) => figure.to_string(),
                (_, None) => "unknown".into(),
            };
            unmet.push(format!("{condition} is required, {name} is {found}"));
        }
    }
    if unmet.is_empty() {
        Ok(())
    } else {
        Err(Error::Requirement(unmet.join("; ")))
    }
}

/// The names that conditions may use.
const NAMES: [&str; 28] = [
    "verdict",
    "ess",
    "elbo",
    "elbo_se",
    "log_z",
    "log_z_se",
    "failed_share",
    "zero_weight_share",
    "k_hat",
    "smoothed_log_z",
    "eubo",
    "eubo_se",
    "forward_ess",
    "forward_k_hat",
    "bridge_log_z",
    "bridge_log_z_se",
    "independent_log_z",
    "independent_log_z_se",
    "total_variation",
    "unseen_share",
    "wrong_mass",
    "wrong_mass_weighted",
    "data_total_variation",
    "data_total_variation_se",
    "data_auc",
    "data_ks",
    "data_visible",
    "data_rows",
];

type Comparison = fn(f64, f64) -> bool;

/// Checks that all of `conditions` can be understood, before anything is computed.
///
/// # Errors
/// If one cannot.
pub fn check_conditions(conditions: &[String]) -> Result<()> {
    conditions.iter().try_for_each(|condition| parse(condition).map(|_| ()))
}

fn parse(condition: &str) -> Result<(&str, Comparison, f64)> {
    let comparisons: [(&str, Comparison); 4] =
        [(">=", |a, b| a >= b), ("<=", |a, b| a <= b), (">", |a, b| a > b), ("<", |a, b| a < b)];
    let wrong = |why: String| Error::invalid(format!("--require '{condition}': {why}; such as 'ess>=0.9' is right"));
    let found = comparisons.into_iter().find_map(|(sign, f)| condition.split_once(sign).map(|(a, b)| (a, f, b)));
    let (name, comparison, bound) = found.ok_or_else(|| wrong("has no >=, <=, > or <".into()))?;
    let (name, bound) = (name.trim(), bound.trim());
    if !NAMES.contains(&name) {
        return Err(wrong(format!("there is no figure `{name}`; there are {}", NAMES.join(", "))));
    }
    let verdicts = [Verdict::NotTrusted, Verdict::Correctable, Verdict::Trusted];
    let named = verdicts.into_iter().find(|verdict| verdict.words().replace(' ', "_") == bound.replace(' ', "_"));
    let bound = match (name, named) {
        ("verdict", Some(verdict)) => f64::from(verdict as u8),
        ("verdict", None) => return Err(wrong(format!("`{bound}` is no verdict"))),
        _ => bound.parse().map_err(|_| wrong(format!("`{bound}` is no number")))?,
    };
    Ok((name, comparison, bound))
}
