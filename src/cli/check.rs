//! `flowdistill check`: everything about an experiment that can be known without training.

mod cost;

use super::Global;
use crate::data::look::{Finding, Severity};
use crate::error::{Error, Result};
use crate::experiment::{Against, Auto, Plan, StagePlan};
use crate::flow::{Cost, FlowConfig, LayerShape, Orientation};
use crate::ops::ways::Way;
use crate::seed::Stream;
use crate::target::{evaluate_in_pieces, Density, Faults};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: flowdistill check experiments/funnel.ron")]
pub struct Options {
    #[command(flatten)]
    source: super::Source,
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Findings {
    name: String,
    dim: usize,
    coordinates: Vec<String>,
    /// How many of them are given, and the rows of what is given in training and for the verdict.
    given: usize,
    given_rows: Option<[usize; 2]>,
    native: Option<String>,
    rows: Option<[usize; 3]>,
    dropped_rows: usize,
    table: Vec<String>,
    teacher_parameters: Option<usize>,
    teacher_cost: Option<Cost>,
    student_parameters: Option<usize>,
    student_cost: Option<Cost>,
    target: Option<TargetFindings>,
    whitening: Option<String>,
    memory_mib: f64,
    seconds: Option<f64>,
    /// How long the program goes on, where the stages are left to it.
    auto: Option<Auto>,
    /// The most points at which training and the student's certificate evaluate the target; a look at it by Monte Carlo comes on top.
    evaluations: Option<u64>,
    /// The time of one thread for one of them.
    evaluation_seconds: Option<f64>,
    /// What the steps of stages take in directions that cost more than a pass.
    steps: Vec<String>,
    warnings: Vec<String>,
    /// What is odd about the data.
    findings: Vec<Finding>,
}

/// What a few evaluations of the target showed.
#[derive(Debug, Serialize)]
struct TargetFindings {
    points: usize,
    finite: usize,
    worst_gradient_error: f64,
    worst_coordinate: String,
    /// The gradient there, and what central differences say.
    worst_gradient: f64,
    worst_difference: f64,
    log_z: Option<f64>,
    exact_draws: bool,
}

/// Beyond so many weights for each row to fit, a warning.
const MOST_WEIGHTS_A_ROW: usize = 50;

/// Points at which the target is evaluated.
const POINTS: usize = 32;

/// A gradient that disagrees with central differences by more than this is refused.
const GRADIENT_TOLERANCE: f64 = 1e-3;

pub fn execute(options: &Options, global: &Global) -> Result<()> {
    let (plan, _) = options.source.plan(global, true)?;
    report(&plan, &options.source.experiment, global)
}

/// Says what `plan`, read from `path`, amounts to.
pub fn report(plan: &Plan, path: &Path, global: &Global) -> Result<()> {
    let target = match &plan.target {
        Some(target) => {
            let given = plan.given_rows.as_ref().map_or(&[][..], |rows| &rows.train);
            Some(probe(target.as_ref(), given, &plan.names, &plan.seed.stream("check/points"))?)
        }
        None => None,
    };
    let parameters = |flow: &Option<FlowConfig>| flow.as_ref().map(|flow| flow.parameters(plan.space()));
    if let Some(target) = &target {
        if target.worst_gradient_error > GRADIENT_TOLERANCE {
            return Err(Error::input(
                path,
                format!(
                    "target: its gradient disagrees with central differences by {:.1e} in {} ({:.6} where {:.6} is right); \
                     below {GRADIENT_TOLERANCE:.0e} is right",
                    target.worst_gradient_error,
                    target.worst_coordinate,
                    target.worst_gradient,
                    target.worst_difference
                ),
            ));
        }
    }
    let findings = Findings {
        name: plan.spec.name.clone(),
        dim: plan.dim,
        coordinates: plan.names.clone(),
        given: plan.space().given,
        given_rows: plan.given_rows.as_ref().map(|rows| [rows.train.len() / rows.columns, rows.judged_rows()]),
        native: plan.native.clone(),
        rows: rows(plan),
        dropped_rows: plan.data.as_ref().map_or(0, |data| data.dropped),
        table: plan.table_notes.clone(),
        teacher_parameters: parameters(&plan.teacher),
        teacher_cost: cost::of(plan, Orientation::Density),
        student_parameters: parameters(&plan.student),
        student_cost: cost::of(plan, Orientation::Sampling),
        target,
        whitening: plan.whitening_note.clone(),
        memory_mib: plan.memory() / (1 << 20) as f64,
        seconds: cost::seconds(plan)?.filter(|_| plan.auto.is_none()),
        auto: plan.auto,
        evaluations: cost::evaluations(plan).filter(|_| plan.auto.is_none()).map(|(most, _)| most),
        evaluation_seconds: cost::evaluations(plan).map(|(_, each)| each),
        steps: cost::of_steps(plan),
        warnings: warnings(plan),
        findings: plan.findings().to_vec(),
    };
    if global.json {
        let line = serde_json::to_string(&findings).map_err(Error::invalid)?;
        super::print(&format!("{line}\n"))
    } else {
        super::print(&describe(&findings))
    }
}

/// Rows to fit, to validate and to test. A preview has a few draws only, so those are counted from the experiment.
fn rows(plan: &Plan) -> Option<[usize; 3]> {
    let (data, spec) = (plan.data.as_ref()?, plan.spec.data.as_ref()?);
    let Some(rows) = spec.source.drawn() else {
        return Some([&data.train, &data.validation, &data.test].map(|rows| rows.len() / plan.dim));
    };
    let share = |share: f64| (share * rows as f64).round() as usize;
    let (validation, test) = (share(spec.validation), share(spec.test));
    Some([rows.saturating_sub(validation + test), validation, test])
}

/// Evaluates the target at a few random points and compares its gradient with central differences.
fn probe(target: &dyn Density, given: &[f64], names: &[String], stream: &Stream) -> Result<TargetFindings> {
    let dim = target.dim();
    let mut points = vec![0.0; POINTS * dim];
    stream.normals(0, dim, &mut points);
    if target.given() > 0 {
        let contexts = given.chunks_exact(target.given()).cycle();
        let rows = points.chunks_exact_mut(dim).zip(contexts);
        rows.for_each(|(row, context)| row[..context.len()].copy_from_slice(context));
    }
    let (mut values, mut gradients) = (vec![0.0; POINTS], vec![0.0; POINTS * dim]);
    let mut faults = Faults::default();
    evaluate_in_pieces(target, &points, &mut values, Some(&mut gradients), &mut faults)
        .map_err(|fatal| Error::Target(fatal.0))?;
    let finite = values.iter().filter(|value| value.is_finite()).count();
    if finite == 0 {
        let reason = faults.reason().unwrap_or("its values are not finite");
        return Err(Error::invalid(format!(
            "the target could be evaluated at none of {POINTS} standard normal points: {reason}"
        )));
    }
    let probe = Probe { target, points: &points, values: &values, gradients: &gradients };
    let (mut worst, mut worst_coordinate) = (Disagreement::default(), 0);
    for i in target.given()..dim {
        let mut found = probe.disagreement(i, STEP)?;
        if found.error > GRADIENT_TOLERANCE {
            // A kink within the step is no fault; a shorter step hardly meets it again.
            let again = probe.disagreement(i, SHORT_STEP)?;
            found = if again.error < found.error { again } else { found };
        }
        if found.error > worst.error || i == target.given() {
            (worst, worst_coordinate) = (found, i);
        }
    }
    Ok(TargetFindings {
        points: POINTS,
        finite,
        worst_gradient_error: worst.error,
        worst_coordinate: names.get(worst_coordinate).cloned().unwrap_or_default(),
        worst_gradient: worst.gradient,
        worst_difference: worst.difference,
        log_z: target.log_normalizer(),
        exact_draws: target.sampler().is_some(),
    })
}

/// Steps of the central differences.
const STEP: f64 = 1e-4;
const SHORT_STEP: f64 = 1e-6;

/// Where a gradient is furthest from central differences: relative to 1 + |difference|, less what rounding of the values explains.
#[derive(Debug, Clone, Copy, Default)]
struct Disagreement {
    error: f64,
    gradient: f64,
    difference: f64,
}

struct Probe<'a> {
    target: &'a dyn Density,
    points: &'a [f64],
    values: &'a [f64],
    gradients: &'a [f64],
}

impl Probe<'_> {
    /// The worst of all points in coordinate `i`, by differences over five points.
    fn disagreement(&self, i: usize, step: f64) -> Result<Disagreement> {
        let dim = self.target.dim();
        let mut moved = Vec::with_capacity(4 * self.points.len());
        for shift in [-2.0, -1.0, 1.0, 2.0] {
            let from = moved.len();
            moved.extend_from_slice(self.points);
            moved[from..].iter_mut().skip(i).step_by(dim).for_each(|x| *x += shift * step);
        }
        let mut around = vec![0.0; 4 * POINTS];
        evaluate_in_pieces(self.target, &moved, &mut around, None, &mut Faults::default())
            .map_err(|fatal| Error::Target(fatal.0))?;
        let mut worst = Disagreement::default();
        for row in 0..POINTS {
            let [far_down, down, up, far_up] = [0, 1, 2, 3].map(|k| around[k * POINTS + row]);
            let difference = (8.0 * (up - down) - (far_up - far_down)) / (12.0 * step);
            let gradient = self.gradients[row * dim + i];
            if !self.values[row].is_finite() || !difference.is_finite() {
                continue;
            }
            let rounding = 8.0 * f64::EPSILON * (1.0 + self.values[row].abs()) / step;
            let error = ((gradient - difference).abs() - rounding).max(0.0) / (1.0 + difference.abs());
            let error = if gradient.is_finite() { error } else { f64::INFINITY };
            if error > worst.error || row == 0 {
                worst = Disagreement { error, gradient, difference };
            }
        }
        Ok(worst)
    }
}

fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, flow) in [("teacher", &plan.teacher), ("student", &plan.student)] {
        let Some(flow) = flow else { continue };
        let shapes = flow.shapes();
        let narrow = shapes.iter().filter_map(LayerShape::masked).find_map(|shape| {
            let groups = shape.groups(plan.space()).sizes.len();
            shape.made.hidden.iter().find(|&&width| width + 1 < groups).map(|&width| (width, groups))
        });
        if let Some((width, groups)) = narrow {
            warnings.push(format!(
                "{name}: a hidden layer of {width} units is narrower than the {} degrees of {groups} groups; \
                 some coordinates will share what they see",
                groups - 1,
            ));
        }
    }
    if let (Some(teacher), Some([rows, ..])) = (&plan.teacher, rows(plan)) {
        let weights = teacher.parameters(plan.space());
        if weights > MOST_WEIGHTS_A_ROW * rows {
            warnings.push(format!(
                "teacher: {weights} weights for {rows} rows to fit, more than {MOST_WEIGHTS_A_ROW} for each: it may learn them by heart; \
                 fewer layers, narrower ones (`hidden`), or more rows are right"
            ));
        }
    }
    let distils = plan.stages.iter().any(|stage| matches!(stage, StagePlan::TrainStudent(Against::Teacher, ..)));
    // A pass of a teacher that solves an equation is no pass of its student.
    let work = |flow: &Option<FlowConfig>| flow.as_ref().map_or(0, |flow| flow.multiplications(plan.space()));
    let is_as_quick = work(&plan.teacher) < 4 * work(&plan.student);
    let in_one_pass = cost::of(plan, Orientation::Density).is_some_and(|teacher| teacher.draws == Way::PASS);
    if distils && is_as_quick && in_one_pass {
        warnings.push(
            "the teacher draws in one pass as well: a student of it gains no speed, unless it is much smaller".into(),
        );
    }
    if plan.spec.student == Some(crate::experiment::StudentSpec::LikeTeacher) && plan.teacher.is_none() {
        warnings.push("student: `LikeTeacher` without a teacher".into());
    }
    warnings
}

fn describe(findings: &Findings) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("{}: fine", findings.name));
    let (given, variables) = findings.coordinates.split_at(findings.given);
    line(format!("  coordinates  {} ({})", variables.len(), shorten(variables)));
    if let Some([train, judged]) = findings.given_rows {
        line(format!(
            "  given        {} ({}): {train} rows in training, {judged} for the verdict",
            given.len(),
            shorten(given)
        ));
    }
    if let Some(native) = &findings.native {
        line(format!("  native       allowed to {native}"));
    }
    if let Some([train, validation, test]) = findings.rows {
        line(format!("  rows         {train} to fit, {validation} to validate, {test} to test"));
    }
    if findings.dropped_rows > 0 {
        line(format!("  left out     {} rows with a missing value", findings.dropped_rows));
    }
    findings.table.iter().for_each(|note| line(format!("  table        {note}")));
    if let Some(target) = &findings.target {
        let log_z = target.log_z.map_or("unknown".into(), |log_z| format!("{log_z:.5}"));
        let draws = if target.exact_draws { "exact draws" } else { "no exact draws" };
        line(format!("  target       finite at {} of {} points, log Z {log_z}, {draws}", target.finite, target.points));
        line(format!(
            "  gradient     agrees with central differences to {:.1e} (worst in {})",
            target.worst_gradient_error, target.worst_coordinate
        ));
    }
    if let Some(whitening) = &findings.whitening {
        line(format!("  whitening    {whitening}"));
    }
    if let (Some(parameters), Some(Cost { densities, draws })) = (findings.teacher_parameters, findings.teacher_cost) {
        line(format!("  teacher      {parameters} parameters; densities {densities}, draws {draws}"));
    }
    if let (Some(parameters), Some(Cost { densities, draws })) = (findings.student_parameters, findings.student_cost) {
        line(format!("  student      {parameters} parameters; draws {draws}, densities {densities}"));
    }
    findings.steps.iter().for_each(|step| line(format!("  steps        {step}")));
    line(format!("  memory       about {:.0} MiB", findings.memory_mib.max(1.0)));
    if let Some(each) = findings.evaluation_seconds {
        let each = format!("{:.3} µs each (one thread)", 1e6 * each);
        match findings.evaluations {
            Some(most) => line(format!(
                "  evaluations  up to about {most} in training and of its draws, {each}; a Monte Carlo look comes on top"
            )),
            None => line(format!("  evaluations  {each}")),
        }
    }
    if let Some(auto) = &findings.auto {
        let most = auto.evaluations.map_or(String::new(), |most| format!(" or {most} evaluations"));
        let until = auto.require.verdict().words();
        line(format!(
            "  stages       left to the program, until {until}; no attempt begins after {} s{most}",
            auto.seconds
        ));
    }
    match findings.seconds {
        None if findings.auto.is_some() => {}
        Some(seconds) => line(format!("  training     about {seconds:.0} s")),
        None => line("  training     not estimated: one step is too long to try".into()),
    }
    for finding in &findings.findings {
        let what = match finding.severity {
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        line(format!("  {what:<12} {}; {}", finding.words(), finding.advice()));
    }
    findings.warnings.iter().for_each(|warning| line(format!("  warning      {warning}")));
    out
}

fn shorten(names: &[String]) -> String {
    if names.len() <= 6 {
        names.join(", ")
    } else {
        format!("{}, …, {}", names[..4].join(", "), names[names.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::target::Pointwise;

    /// −|x|³ and a kink in y, with the gradient by x times a factor.
    struct Bent(f64);

    impl Pointwise for Bent {
        fn dim(&self) -> usize {
            2
        }

        fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
            if let Some(gradient) = gradient {
                gradient[0] = -3.0 * x[0] * x[0].abs() * self.0;
                gradient[1] = -1e3 * x[1].signum();
            }
            -x[0].abs().powi(3) - 1e3 * x[1].abs()
        }
    }

    #[test]
    fn a_wrong_gradient_is_found_with_its_coordinate_and_kinks_are_none() {
        let names = ["a".to_string(), "b".to_string()];
        for seed in 0..100 {
            let stream = Seed(seed).stream("check/points");
            let right = probe(&Bent(1.0), &[], &names, &stream).expect("evaluated");
            assert!(right.worst_gradient_error < GRADIENT_TOLERANCE, "seed {seed}: {right:?}");
            let wrong = probe(&Bent(1.01), &[], &names, &stream).expect("evaluated");
            assert!(wrong.worst_gradient_error > GRADIENT_TOLERANCE, "seed {seed}");
            assert_eq!(wrong.worst_coordinate, "a", "seed {seed}");
            assert!((wrong.worst_gradient / wrong.worst_difference - 1.01).abs() < 1e-3, "seed {seed}: {wrong:?}");
        }
    }
}
