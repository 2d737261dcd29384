//! Experiments whose flows are on a circle or in an interval: what of the rest has to be so, too.

use super::data_spec::TransformSpec;
use super::spec::{Spec, StudentSpec, Whitening};
use super::stages::Stages;
use crate::error::{Error, Result};
use crate::flow::FlowConfig;
use crate::target::{Density, Within};
use crate::transformer::Domain;

/// Where the variables are, by the flows that are written out.
fn domains(spec: &Spec) -> Vec<(&'static str, Domain)> {
    let student = match &spec.student {
        Some(StudentSpec::Flow(flow)) => Some(flow),
        _ => None,
    };
    let of = |(name, flow): (&'static str, Option<&FlowConfig>)| flow.map(|flow| (name, flow.domain()));
    [("teacher", spec.teacher.as_ref()), ("student", student)].into_iter().filter_map(of).collect()
}

/// That of the experiment.
fn domain(spec: &Spec) -> Domain {
    domains(spec).into_iter().map(|(_, domain)| domain).find(|domain| *domain != Domain::Line).unwrap_or(Domain::Line)
}

/// Whether the variables are on a circle or in an interval.
pub(super) fn is_bounded(spec: &Spec) -> bool {
    domain(spec) != Domain::Line
}

/// `target` where the flows' variables can be, and zero density elsewhere.
pub(super) fn within<'t>(spec: &Spec, target: Box<dyn Density + 't>) -> Box<dyn Density + 't> {
    match domain(spec).half_length() {
        Some(half) => Box::new(Within::new(target, half)),
        None => target,
    }
}

/// What does not go with a circle or an interval.
pub(super) fn faults(spec: &Spec, faults: &mut Vec<String>) {
    let domain = domain(spec);
    if domain == Domain::Line {
        return;
    }
    if let Some((name, other)) = domains(spec).into_iter().find(|(_, other)| *other != domain) {
        faults.push(format!("{name} is on {other} and the other flow on {domain}; one for both is right"));
    }
    if !matches!(spec.whitening, Whitening::Auto | Whitening::None) {
        faults.push(format!(
            "whitening is {:?} for flows on {domain}, which stays as it is; `None` is right",
            spec.whitening
        ));
    }
    if matches!(spec.stages, Stages::Auto(_)) {
        faults.push(format!("stages are left out for flows on {domain}; stages that are written out are right"));
    }
    if let Some(data) = &spec.data {
        if data.standardise {
            faults
                .push(format!("data.standardise is true for flows on {domain}, which stays as it is; false is right"));
        }
        if data.transforms.iter().any(|transform| matches!(transform, TransformSpec::Circular { .. })) {
            faults.push(format!("data.transforms has `Circular`, and the flows are on {domain} already; leave it out"));
        }
    }
}

/// Refuses rows of `dim` columns outside of an interval; an angle is one whatever its number is.
///
/// # Errors
/// If there is such a row.
pub(super) fn check_rows(spec: &Spec, rows: &[f64], names: &[String]) -> Result<()> {
    let Domain::Interval(limit) = domain(spec) else { return Ok(()) };
    match rows.iter().position(|x| x.abs() > limit) {
        None => Ok(()),
        Some(place) => Err(Error::invalid(format!(
            "data: column `{}` holds {}, and the flows are on {}",
            names[place % names.len()],
            rows[place],
            Domain::Interval(limit)
        ))),
    }
}
