//! What the pictures of a run are made of: draws of all sides and densities in the plane, gathered at its end and kept in its folder.

use super::check::Plan;
use super::looking::spread_over;
use crate::data::read_npy;
use crate::error::{Error, Result};
use crate::evaluate::draws::{draws_beside, exact_draws, WeightedDraws};
use crate::flow::{FrozenModel, Model};
use crate::params::{load, save};
use crate::report::{Looks, Raster, Sample, Who};
use crate::seed::Seed;
use crate::target::{evaluate_in_pieces, Constraint, Density, Faults};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Rows of each side, at most and at least, and the numbers that all of them may have.
const ROWS: [usize; 2] = [4_000, 1_000];
const NUMBERS: usize = 600_000;
/// Columns beyond this number are left out.
const COLUMNS: usize = 256;
/// Cells along each side of a density in the plane.
const SIDE: usize = 72;

/// What there is to make them of.
pub(super) struct Found<'a> {
    /// The experiment, where it can be had.
    pub plan: Option<&'a Plan<'a>>,
    /// The seed of the run.
    pub seed: Seed,
    pub teacher: Option<&'a Model>,
    pub student: Option<&'a Model>,
    /// The student's draws by which it was judged, and the draws that were beside them.
    pub judged_by: Option<&'a WeightedDraws>,
    /// Draws of the target that a stage has made, row-major.
    pub draws: &'a [f64],
    /// Where the independent draws come from.
    pub source: Option<&'a str>,
}

/// Draws of the teacher are no others than the teacher's.
const OF_THE_TEACHER: &str = "draws of the teacher";

/// Gathers it; nothing where there is no model.
pub(super) fn gather(found: &Found) -> Looks {
    let frozen = |model: Option<&Model>| model.map(Model::freeze::<f64>);
    let (teacher, student) = (frozen(found.teacher), frozen(found.student));
    let Some(any) = student.as_ref().or(teacher.as_ref()) else { return Looks::default() };
    let (dim, names) = (any.dim(), any.value_names());
    let width = names.len().min(COLUMNS);
    let rows = (NUMBERS / width.max(1)).clamp(ROWS[1], ROWS[0]);
    let stream = found.seed.stream("pictures");
    let data = found.plan.and_then(|plan| {
        let (data, _) = plan.data.as_ref().zip(plan.spec.data.as_ref())?;
        Some(if data.test.is_empty() { data.validation.as_slice() } else { data.test.as_slice() })
    });
    let data = data.map(|data| spread_over(data, dim, rows)).filter(|data| !data.is_empty());
    let beside = beside(any, found.plan, data.as_deref());
    if any.space().given > 0 && beside.is_none() {
        return Looks::default();
    }
    let draw = |model: &FrozenModel<f64>, name: &str| {
        draws_beside(model, beside.as_deref().unwrap_or(&[]), rows, &stream.child(name))
    };
    let judged_by = found.judged_by.filter(|draws| !draws.points.is_empty());
    // Of a student that was held against its teacher, draws of the target show what both lack.
    let kept = judged_by.map_or(&[][..], |draws| draws.independent.as_slice());
    let exact = || {
        let plan = found.plan.filter(|_| data.is_none() && any.space().given == 0)?;
        let target = plan.target.as_ref()?;
        Some((exact_draws(target.sampler()?, dim, rows, &stream.child("exact")), "exact draws of the target"))
    };
    let (independent, source) = match found.source.filter(|source| *source != OF_THE_TEACHER) {
        Some(source) if !kept.is_empty() => (Some(kept.to_vec()), source),
        _ if !found.draws.is_empty() => (Some(found.draws.to_vec()), "those of a stage that draws"),
        _ => exact().map_or((None, ""), |(draws, source)| (Some(draws), source)),
    };
    let mut looks = Looks { source: source.into(), ..Looks::default() };
    let mut put = |who: Who, points: Option<Vec<f64>>| {
        let Some(points) = points.map(|points| spread_over(&points, dim, rows)) else { return };
        let mut points = points;
        any.snap(&mut points);
        let count = points.len() / dim;
        let values = any.constrain(points, &mut vec![0.0; count]);
        if values.len() != count * names.len() || count == 0 {
            return;
        }
        let kept = values.chunks_exact(names.len()).flat_map(|row| &row[..width]);
        // A value beyond the largest single is shown as that.
        let single = |value: &f64| value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        let values: Vec<f32> = kept.map(single).collect();
        if values.iter().all(|value| value.is_finite()) {
            looks.samples.push(Sample { who, values });
        }
    };
    put(Who::Data, data);
    put(Who::Independent, independent);
    put(Who::Teacher, teacher.as_ref().map(|teacher| draw(teacher, "teacher")));
    let own = student.as_ref().map(|student| match judged_by {
        Some(draws) => draws.points.clone(),
        None => draw(student, "student"),
    });
    put(Who::Student, own);
    looks.names = names.into_iter().take(width).collect();
    let in_the_plane = dim == 2 && any.space().given == 0 && any.columns().is_plain();
    if in_the_plane && matches!(any.constraint(), Constraint::Identity) && !looks.samples.is_empty() {
        looks.plane = [looks.range(0), looks.range(1)];
        draw_rasters(found.plan, &mut looks, teacher.as_ref(), student.as_ref());
    }
    looks
}

/// Rows that have what models are given, if they are given anything.
fn beside(model: &FrozenModel<f64>, plan: Option<&Plan>, data: Option<&[f64]>) -> Option<Vec<f64>> {
    let (given, dim) = (model.space().given, model.dim());
    if given == 0 {
        return None;
    }
    if let Some(data) = data {
        return Some(data.to_vec());
    }
    let rows = plan?.given_rows.as_ref().filter(|rows| !rows.judged.is_empty())?;
    let mut all = vec![0.0; rows.judged_rows() * dim];
    all.chunks_exact_mut(dim).enumerate().for_each(|(row, whole)| whole[..given].copy_from_slice(rows.judged(row)));
    Some(all)
}

/// The densities on even cells of the plane. A target that is somebody else's program is not asked for a picture.
fn draw_rasters(
    plan: Option<&Plan>,
    looks: &mut Looks,
    teacher: Option<&FrozenModel<f64>>,
    student: Option<&FrozenModel<f64>>,
) {
    let [x, y] = looks.plane;
    let place = |[low, high]: [f64; 2], k: usize| low + (k as f64 + 0.5) / SIDE as f64 * (high - low);
    let points: Vec<f64> = (0..SIDE * SIDE).flat_map(|k| [place(x, k % SIDE), place(y, k / SIDE)]).collect();
    let count = SIDE * SIDE;
    let mut rasters = Vec::new();
    let mut put = |who: Who, values: Vec<f64>| {
        let largest = values.iter().copied().filter(|value| value.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        if largest.is_finite() {
            // Densities that are not seen are not told apart.
            let relative = |value: f64| if value.is_nan() { LEAST } else { (value - largest).max(LEAST) };
            let log_density = values.into_iter().map(|value| relative(value) as f32).collect();
            rasters.push(Raster { who, log_density });
        }
    };
    let target = plan.and_then(|plan| plan.target.as_deref());
    if let Some(target) = target.filter(|_| plan.is_some_and(|plan| plan.native.is_none())) {
        let (mut values, mut faults) = (vec![0.0; count], Faults::default());
        let evaluated = evaluate_in_pieces(target.uncounted(), &points, &mut values, None, &mut faults);
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        if evaluated.is_ok() {
            put(Who::Target, values);
        }
        looks.evaluated = count as u64;
    } else if target.is_some() {
        looks.missing.push(format!("the target's density: {OF_OTHERS}"));
    }
    for (who, model) in [(Who::Teacher, teacher), (Who::Student, student)] {
        if let Some(model) = model {
            let mut values = vec![0.0; count];
            model.log_prob(&points, &mut values);
            put(who, values);
        }
    }
    looks.rasters = rasters;
}

/// Why there is no density of a target that is somebody else's program.
const OF_OTHERS: &str = "its code is a library or a program of its own, which is not asked for a picture";

/// The least of the log densities that are kept, relative to the largest.
const LEAST: f64 = -60.0;

/// What the file says of its tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    names: Vec<String>,
    source: String,
    plane: [[f64; 2]; 2],
    #[serde(default)]
    missing: Vec<String>,
    #[serde(default)]
    evaluated: u64,
}

/// Writes it.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(looks: &Looks, path: &Path) -> Result<()> {
    let of_draws = looks.samples.iter().map(|it| (format!("draws.{}", it.who.name()), it.values.clone()));
    let of_densities = looks.rasters.iter().map(|it| (format!("density.{}", it.who.name()), it.log_density.clone()));
    let tensors: Vec<(String, Vec<f32>)> = of_draws.chain(of_densities).collect();
    let Looks { names, source, plane, missing, evaluated, .. } = looks.clone();
    let header = Header { names, source, plane, missing, evaluated };
    save(path, &tensors, &header)
}

/// Reads it.
///
/// # Errors
/// If the file is not one of these.
pub(super) fn read(path: &Path) -> Result<Looks> {
    let file = load::<Header>(path)?;
    if !file.verified {
        return Err(Error::input(path, "is damaged: it lacks the checksum with which it was written"));
    }
    let Header { names, source, plane, missing, evaluated } = file.header;
    let refuse = |what: &str| Error::input(path, format!("{what}: not written by this program"));
    let ends = plane.iter().flatten();
    if names.is_empty() || ends.clone().any(|end| !end.is_finite()) {
        return Err(refuse("has no columns, or a plane without ends"));
    }
    let mut looks = Looks { names, source, plane, missing, evaluated, ..Looks::default() };
    for who in Who::ALL {
        if let Some(values) = file.tensors.get(&format!("draws.{}", who.name())) {
            if values.is_empty() || !values.len().is_multiple_of(looks.width()) {
                return Err(refuse("has draws of another number of columns"));
            }
            looks.samples.push(Sample { who, values: values.clone() });
        }
        if let Some(values) = file.tensors.get(&format!("density.{}", who.name())) {
            if values.len() != SIDE * SIDE || looks.width() != 2 {
                return Err(refuse("has a density of another size"));
            }
            looks.rasters.push(Raster { who, log_density: values.clone() });
        }
    }
    Ok(looks)
}

/// Draws in a file, or none.
pub(super) fn draws_in(path: &Path) -> Vec<f64> {
    read_npy(path).map_or_else(|_| Vec::new(), |table| table.values)
}
