//! What an experiment would cost: passes of its flows, time, evaluations of its target.

use crate::error::Result;
use crate::experiment::{Against, Plan, StagePlan};
use crate::flow::{Cost, Orientation};
use crate::ops::ways::Way;
use crate::train::Objective;
use std::time::Instant;

/// What the teacher (of densities) or the student (of draws) costs.
pub(super) fn of(plan: &Plan, orientation: Orientation) -> Option<Cost> {
    let flow = match orientation {
        Orientation::Density => &plan.teacher,
        Orientation::Sampling => &plan.student,
    };
    flow.as_ref().map(|flow| flow.cost(plan.space(), orientation))
}

/// What the steps of stages ask of a flow in a direction that takes more than a pass.
pub(super) fn of_steps(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |s: usize, what: &str, way: Way| {
        if way != Way::PASS {
            found.push(format!("stages[{s}] takes {what} {way}"));
        }
    };
    let [teacher, student] = [Orientation::Density, Orientation::Sampling].map(|orientation| of(plan, orientation));
    for (s, stage) in plan.stages.iter().enumerate() {
        match (stage, teacher, student) {
            (StagePlan::FitTeacher(_), Some(teacher), _) => say(s, "densities of the teacher", teacher.densities),
            (StagePlan::TrainStudent(against, divergence, _), teacher, Some(student)) => {
                if divergence.reverse > 0.0 {
                    say(s, "draws of the student", student.draws);
                    if let (Against::Teacher, Some(teacher)) = (against, teacher) {
                        say(s, "densities of the teacher", teacher.densities);
                    }
                }
                if divergence.forward > 0.0 {
                    say(s, "densities of the student", student.densities);
                    if let (Against::Teacher, Some(teacher)) = (against, teacher) {
                        say(s, "draws of the teacher", teacher.draws);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// About the most points at which training, without the draws of a `Sample` stage, and the student's own draws for the certificate evaluate the
/// target; and the time of one thread for one of them.
pub(super) fn evaluations(plan: &Plan) -> Option<(u64, f64)> {
    let target = plan.target.as_ref()?;
    let trained = plan.stages.iter().filter_map(|stage| match stage {
        StagePlan::TrainStudent(Against::Target, divergence, settings) if divergence.reverse > 0.0 => {
            Some(settings.fresh_rows())
        }
        _ => None,
    });
    Some((trained.sum::<u64>() + plan.spec.evaluation.draws as u64, target.seconds_each()))
}

/// Time of the training stages, from a few steps without an update; none where a step takes too long to try.
pub(super) fn seconds(plan: &Plan) -> Result<Option<f64>> {
    let mut total = 0.0;
    for stage in &plan.stages {
        let Some(settings) = stage.settings() else { continue };
        let flow = match stage {
            StagePlan::Sample(..) => continue,
            StagePlan::FitTeacher(_) | StagePlan::MatchTeacher(_) => &plan.teacher,
            StagePlan::TrainStudent(..) => &plan.student,
        };
        let work = flow.as_ref().map_or(0, |flow| flow.multiplications(plan.space())) * settings.batch;
        if work > MOST_WORK_TO_TRY {
            return Ok(None);
        }
        // Steps of later rounds take longer as they have more rows.
        total += settings.most_rows() as f64 / settings.batch as f64 * seconds_of_step(plan, stage)?;
    }
    Ok(Some(total))
}

/// Multiplications of a step above which it is not tried.
const MOST_WORK_TO_TRY: usize = 1_000_000_000;

fn seconds_of_step(plan: &Plan, stage: &StagePlan) -> Result<f64> {
    // Where the draws of a stage are still to be made, any will do.
    let samples = plan.stages.iter().any(|stage| matches!(stage, StagePlan::Sample(..)));
    let stand_in = if samples && plan.data.is_none() { Some(plan.with_stand_in()?) } else { None };
    let plan = stand_in.as_ref().unwrap_or(plan);
    match stage {
        StagePlan::Sample(..) => Ok(0.0),
        StagePlan::FitTeacher(settings) => {
            let model = plan.new_model(Orientation::Density)?;
            time(&mut plan.likelihood(settings.batch)?, &model.flow)
        }
        StagePlan::MatchTeacher(settings) => {
            let model = plan.new_model(Orientation::Density)?;
            time(&mut plan.flow_matching(settings.batch)?, &model.flow)
        }
        StagePlan::TrainStudent(against, ..) => {
            let model = plan.new_model(Orientation::Sampling)?;
            match (against, &plan.target) {
                (Against::Target, Some(target)) => {
                    time(plan.divergence(target.as_ref(), None, stage)?.as_mut(), &model.flow)
                }
                _ => {
                    let teacher = plan.new_model(Orientation::Density)?.freeze::<f32>();
                    let mut objective = plan.divergence(&teacher, Some(&teacher), stage)?;
                    time(objective.as_mut(), &model.flow)
                }
            }
        }
    }
}

fn time(objective: &mut dyn Objective, flow: &crate::flow::Flow<f32, dfdx::prelude::Cpu>) -> Result<f64> {
    let mut gradients = crate::params::Parameters::snapshot(flow);
    objective.evaluate(flow, 0, &mut gradients)?;
    let start = Instant::now();
    let mut steps = 0;
    while steps < 3 || (start.elapsed().as_secs_f64() < 0.05 && steps < 1000) {
        steps += 1;
        objective.evaluate(flow, steps, &mut gradients)?;
    }
    Ok(start.elapsed().as_secs_f64() / steps as f64)
}
