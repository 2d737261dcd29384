//! `report.html`: made of what a run's folder holds, at every record of the run and anew whenever somebody asks for it.

use super::check::Plan;
use super::folder::{DRAWS, LOOKS, METRICS, REPORT, RESOLVED, STUDENT, TEACHER};
use super::on_record::{record_in, verify};
use super::pictures::{self, Found};
use super::spec::Spec;
use crate::error::{Error, Result};
use crate::flow::Model;
use crate::intake;
use crate::report::{first_picture, page, Looks, Sources};
use crate::seed::Seed;
use serde_json::Value;
use std::path::Path;

/// The longest files of a run that are read for it.
const LARGEST: u64 = 1 << 28;

/// A run's report.
pub struct Pages {
    /// The whole page, HTML.
    pub page: String,
    /// Its first picture as an SVG file, if there are draws to be shown.
    pub first: Option<String>,
}

/// The report of the run in `folder`. Where it was made by an older program, and pictures are wanting, they are made of its models and of what
/// its experiment says, as far as that can still be read.
///
/// # Errors
/// If the folder holds no run, or a file of it was changed since it was written.
pub fn report_of(folder: &Path) -> Result<Pages> {
    let record = record_in(folder)?;
    let text = |name: &str| {
        let path = folder.join(name);
        if path.exists() {
            verify(folder, &record, name)?;
            intake::text(&path, LARGEST)
        } else {
            Ok(String::new())
        }
    };
    let kept = folder.join(LOOKS);
    let looks = if kept.exists() { pictures::read(&kept)? } else { again(folder, &record)? };
    let sources = Sources { record: &record, markdown: &text(REPORT)?, metrics: &text(METRICS)?, looks: Some(&looks) };
    Ok(Pages { page: page(&sources), first: first_picture(&sources) })
}

/// Gathers what pictures are made of, of a run that has not kept it. One that has not come to its end has none.
fn again(folder: &Path, record: &Value) -> Result<Looks> {
    if record["status"] != "finished" {
        return Ok(Looks::default());
    }
    let model = |name: &str| {
        let path = folder.join(name);
        path.exists().then(|| Model::load(&path)).transpose()
    };
    let (teacher, student) = (model(TEACHER)?, model(STUDENT)?);
    let mut missing = Vec::new();
    for (name, found) in [(TEACHER, &teacher), (STUDENT, &student)] {
        if found.is_none() && record["files"][name].is_string() {
            missing.push(format!("draws of {name}: it is not in the folder any more"));
        }
    }
    // Code of others is not run for a picture, and data may have gone.
    let path = folder.join(RESOLVED);
    let dim = teacher.as_ref().or(student.as_ref()).map(|model| model.names.len());
    let plan = Spec::read(&path).and_then(|(spec, _)| Plan::new(spec, &path)).and_then(|plan| {
        let others =
            |dim| Error::input(&path, format!("it is about {} coordinates, the models are about {dim}", plan.dim));
        match dim {
            Some(dim) if dim != plan.dim => Err(others(dim)),
            _ => Ok(plan),
        }
    });
    let plan = match plan {
        Ok(plan) => Some(plan),
        Err(error) => {
            missing.push(format!("held-out rows, and the target: {error}"));
            None
        }
    };
    let mut draws = pictures::draws_in(&folder.join(DRAWS));
    if dim.is_none_or(|dim| !draws.len().is_multiple_of(dim.max(1))) {
        draws.clear();
    }
    let source = record["certificate"]["independent_look"].as_str();
    let seed = Seed(record["seed"].as_u64().unwrap_or(1));
    let (plan, draws, judged_by) = (plan.as_ref(), draws.as_slice(), None);
    let mut looks = pictures::gather(&Found {
        plan,
        seed,
        teacher: teacher.as_ref(),
        student: student.as_ref(),
        judged_by,
        draws,
        source,
    });
    missing.append(&mut looks.missing);
    Ok(Looks { missing, ..looks })
}
