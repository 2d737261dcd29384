//! The models that stages make: how each is begun, trained, kept and compared.

use super::check::{Plan, StagePlan};
use super::evaluation::{score_teacher, StudentScores};
use super::evidence::{certify_student, Evidence};
use super::folder::{Folder, STUDENT, TEACHER};
use super::report::Record;
use super::spec::Against;
use super::stage_keeper::StageKeeper;
use super::verdict::{self, AgainstData};
use super::watcher::Watcher;
use crate::error::{Error, Result};
use crate::evaluate::draws::{draws_of, WeightedDraws};
use crate::evaluate::parameters::Parameter;
use crate::evaluate::{throughput, typicality::log_densities};
use crate::flow::{Flow, FrozenModel, Model, Orientation, MOST_HELD_OUT};
use crate::target::{Constraint, Density};
use crate::train::{
    weighted_mean, Annealing, Draws, Epochs, FlowMatching, ForwardKl, MaximumLikelihood, Objective, Observer,
    ReverseKl, Trained, WeightedSum,
};
use dfdx::prelude::Cpu;
use std::sync::atomic::AtomicBool;

/// Batch sizes at which speeds are compared.
const COMPARED_BATCHES: [usize; 4] = [1, 64, 4096, 65_536];

/// Numbers by which a teacher's columns are told.
const PARAMETER_NUMBERS: usize = 2_000_000;

/// What the stages have made so far.
#[derive(Default)]
pub(super) struct Models {
    pub teacher: Option<Model>,
    pub student: Option<Model>,
}

impl Models {
    pub fn carry_out(
        &mut self,
        plan: &Plan,
        stage: &StagePlan,
        interrupt: &AtomicBool,
        observer: &mut dyn Observer,
        keeper: &mut StageKeeper,
    ) -> Result<Trained> {
        match stage {
            StagePlan::Sample(..) => Err(Error::invalid("a stage that draws trains nothing")),
            StagePlan::FitTeacher(settings) | StagePlan::MatchTeacher(settings) => {
                let mut model = plan.new_model(Orientation::Density)?;
                let mut objective: Box<dyn Objective> = match stage {
                    StagePlan::MatchTeacher(_) => Box::new(plan.flow_matching(settings.batch)?),
                    _ => Box::new(plan.likelihood(settings.batch)?),
                };
                let trained = keeper.train(&mut model.flow, objective.as_mut(), settings, interrupt, observer)?;
                plan.judge_held_out(&mut model);
                self.teacher = Some(model);
                Ok(trained)
            }
            StagePlan::TrainStudent(against, _, settings) => {
                let mut model = match self.student.take() {
                    Some(model) => model,
                    None => plan.new_model(Orientation::Sampling)?,
                };
                let frozen = self.teacher.as_ref().map(|teacher| teacher.freeze::<f32>());
                let density: &dyn Density = match (against, &frozen, &plan.target) {
                    (Against::Teacher, Some(teacher), _) => teacher,
                    (Against::Target, _, Some(target)) => target.as_ref(),
                    _ => return Err(Error::invalid("a stage without the density that it trains against")),
                };
                let mut objective = plan.divergence(density, frozen.as_ref(), stage)?;
                let trained = keeper.train(&mut model.flow, objective.as_mut(), settings, interrupt, observer)?;
                plan.judge_held_out(&mut model);
                self.student = Some(model);
                Ok(trained)
            }
        }
    }

    /// Writes what a stage has made under its next name; the name.
    pub fn save_next(&self, stage: &StagePlan, folder: &Folder) -> Result<Option<&'static str>> {
        let (model, name) = match stage {
            StagePlan::Sample(..) => return Ok(None),
            StagePlan::FitTeacher(_) | StagePlan::MatchTeacher(_) => (&self.teacher, TEACHER),
            StagePlan::TrainStudent(..) => (&self.student, STUDENT),
        };
        let saved = model.as_ref().map(|model| model.save(&folder.next(name)).map(|()| name));
        saved.transpose()
    }

    pub fn score(
        &self,
        plan: &Plan,
        evidence: Option<&Evidence>,
        most_evaluations: Option<u64>,
        record: &mut Record,
        interrupt: &AtomicBool,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<WeightedDraws>> {
        let teacher = self.teacher.as_ref().map(|teacher| teacher.freeze::<f64>());
        if let (Some(teacher), Some(data)) = (&teacher, &plan.data) {
            record.scores.teacher = Some(score_teacher(teacher, data));
        }
        let mut judged_by = None;
        if let Some(student) = &self.student {
            let (certificate, among, draws) = certify_student(
                &student.freeze(),
                plan,
                teacher.as_ref(),
                evidence,
                most_evaluations,
                interrupt,
                watcher,
            )?;
            record.scores.student = Some(StudentScores::of(&certificate));
            record.certificate = Some(certificate);
            record.among = among;
            judged_by = draws;
        }
        Ok(judged_by)
    }

    /// Compares teacher and student with rows that they have not seen.
    pub fn compare_with_data(&self, plan: &Plan, record: &mut Record) {
        let Some((teacher, data)) = self.teacher.as_ref().zip(plan.data.as_ref()) else { return };
        let certify = |model: &Model, name: &str| {
            verdict::certify(&model.freeze(), data, &plan.seed.stream("held out").child(name))
        };
        let student_against = plan.student_against();
        let student = self.student.as_ref().filter(|_| student_against == Some(Against::Teacher));
        let student = student.and_then(|student| certify(student, "student"));
        let teacher = certify(teacher, "teacher");
        let nothing_held_out = teacher.is_none();
        record.against_data = AgainstData { student_against, teacher, student, nothing_held_out };
    }

    /// What a teacher alone says of each column, where those are numbers and nothing is given; and by which draws.
    pub fn parameters_of_teacher(&self, plan: &Plan) -> (Vec<Parameter>, String) {
        let teacher = self.teacher.as_ref().map(Model::freeze::<f64>);
        let Some(teacher) = teacher.filter(|teacher| teacher.space().given == 0 && plan.columns.is_plain()) else {
            return Default::default();
        };
        let rows = (PARAMETER_NUMBERS / teacher.dim()).clamp(1_000, 20_000);
        let points = draws_of(&teacher, rows, &plan.seed.stream("parameters"));
        let draws = WeightedDraws { points, log_weights: vec![0.0; rows], ..WeightedDraws::default() };
        (Parameter::table(&teacher, &draws, false), format!("{rows} draws of the teacher"))
    }

    pub fn compare(&self, plan: &Plan, record: &mut Record) {
        let ess = record.scores.student.as_ref().map(|scores| scores.reverse.ess);
        if let Some(teacher) = &self.teacher {
            // The teacher's draws are exact for a student that was trained against it.
            let exact = (plan.student_against() == Some(Against::Teacher)).then_some(1.0);
            let rows = throughput::measure("teacher", &teacher.freeze::<f32>(), &COMPARED_BATCHES, exact);
            record.throughput.extend(rows);
        }
        if let Some(student) = &self.student {
            let rows = throughput::measure("student", &student.freeze::<f32>(), &COMPARED_BATCHES, ess);
            record.throughput.extend(rows);
        }
    }
}

impl Plan<'_> {
    /// An untrained teacher (`Density`) or student (`Sampling`).
    ///
    /// # Errors
    /// If the plan has none.
    pub fn new_model(&self, orientation: Orientation) -> Result<Model> {
        let (config, stream) = match orientation {
            Orientation::Density => (&self.teacher, "teacher/init"),
            Orientation::Sampling => (&self.student, "student/init"),
        };
        let config = config.as_ref().ok_or_else(|| Error::invalid("a stage without its flow"))?;
        let mut flow = Flow::new(&Cpu::default(), self.space(), config, orientation, &self.seed.stream(stream))?;
        if config.starts_from_data() {
            let stream = self.seed.stream(stream);
            let (mut rows, groups) = match &self.data {
                Some(data) => (data.by_weight(self.dim).into_owned(), Vec::new()),
                None => self.draws_of_modes(&stream.child("modes")),
            };
            let mut log_jacobian = vec![0.0; rows.len() / self.dim];
            self.standardisation.apply(&mut rows, &mut log_jacobian);
            flow.start_in_groups(&rows, &groups, &stream.child("base/fit"))?;
        }
        Ok(Model {
            flow,
            standardisation: self.standardisation.clone(),
            names: self.names.clone(),
            columns: self.columns.clone(),
            constraint: self.target.as_ref().map_or(Constraint::Identity, |target| target.constraint()),
            held_out: Vec::new(),
        })
    }

    /// Has `model` keep the log densities of rows for tests, to which `score` compares those of others.
    fn judge_held_out(&self, model: &mut Model) {
        let Some(data) = &self.data else { return };
        let rows = data.test.chunks_exact(self.dim).take(MOST_HELD_OUT).flatten().copied().collect();
        let mut held_out: Vec<f64> =
            log_densities(&model.freeze(), rows).into_iter().map(|value| value.max(f64::MIN)).collect();
        held_out.sort_by(f64::total_cmp);
        model.held_out = held_out;
    }

    /// The teacher's objective.
    ///
    /// # Errors
    /// If there are no data.
    pub fn likelihood(&self, batch: usize) -> Result<MaximumLikelihood> {
        let data = self.data.as_ref().ok_or_else(|| Error::invalid("a teacher without data"))?;
        let standardised = |rows: &[f64], weights: &[f64]| {
            let (mut rows, mut log_jacobian) = (rows.to_vec(), vec![0.0; rows.len() / self.dim]);
            self.standardisation.apply(&mut rows, &mut log_jacobian);
            (rows, weighted_mean(&log_jacobian, weights))
        };
        let [of_train, of_validation] = &data.weights;
        let ((train, for_train), (validation, for_validation)) =
            (standardised(&data.train, of_train), standardised(&data.validation, of_validation));
        let stream = self.seed.stream("teacher/batches");
        let likelihood =
            MaximumLikelihood::new(self.dim, &train, validation, batch, [for_train, for_validation], stream);
        Ok(likelihood.weighted(of_train, of_validation))
    }

    /// The objective of a continuous teacher that learns without solving its equation.
    ///
    /// # Errors
    /// If there are no data, or their rows have weights.
    pub fn flow_matching(&self, batch: usize) -> Result<FlowMatching> {
        let likelihood = self.likelihood(batch)?;
        let data = self.data.as_ref().ok_or_else(|| Error::invalid("a teacher without data"))?;
        if !data.weights[0].is_empty() {
            return Err(Error::invalid(
                "data.weights is given, and flow matching takes rows as they are; leave it out",
            ));
        }
        let (mut train, mut log_jacobian) = (data.train.clone(), vec![0.0; data.train.len() / self.dim]);
        self.standardisation.apply(&mut train, &mut log_jacobian);
        let streams = ["teacher/batches", "teacher/noise"].map(|name| self.seed.stream(name));
        Ok(FlowMatching::new(self.dim, train, batch, likelihood, streams))
    }

    /// A student's objective in `stage` against `density`, which is `teacher` where it trains against the teacher.
    ///
    /// # Errors
    /// If the stage does not train the student, or its forward KL has no draws.
    pub fn divergence<'a>(
        &'a self,
        density: &'a dyn Density,
        teacher: Option<&'a FrozenModel<f32>>,
        stage: &StagePlan,
    ) -> Result<Box<dyn Objective + 'a>> {
        let StagePlan::TrainStudent(against, divergence, settings) = stage else {
            return Err(Error::invalid("a stage that does not train the student"));
        };
        let place = self.stages.iter().position(|other| std::ptr::eq(other, stage)).unwrap_or(0);
        let stream = |name: &str| self.seed.stream(&format!("student/{name}/{place}"));
        let (batch, standardisation) = (settings.batch, &self.standardisation);
        let reverse = ReverseKl::new(density, standardisation.clone(), batch, stream("noise")).by(divergence.gradient);
        let reverse = reverse.replaying(settings.replay, settings.replay_from()).among(self.contexts(stream("given")));
        let reverse = match divergence.anneal {
            Some(anneal) => reverse.annealed(Annealing::new(anneal, settings.steps)),
            None => reverse,
        };
        if divergence.forward == 0.0 && divergence.reverse == 1.0 {
            return Ok(Box::new(reverse));
        }
        let mut parts: Vec<(f64, Box<dyn Objective + 'a>)> = vec![(divergence.reverse, Box::new(reverse))];
        if divergence.forward > 0.0 {
            let forward = match (against, teacher, &self.data) {
                (Against::Teacher, Some(teacher), _) => {
                    let draws = Draws::Fresh(teacher, stream("teacher"));
                    ForwardKl::new(draws, standardisation.clone(), batch)
                        .among(self.contexts(stream("given to the teacher")))
                }
                (Against::Target, _, Some(data)) => {
                    let epochs = Epochs::new(data.train.len() / self.dim, batch, stream("batches"));
                    ForwardKl::new(Draws::Given(&data.train, epochs), standardisation.clone(), batch)
                        .validated(&data.validation)
                        .weighted(&data.weights[0], &data.weights[1])
                }
                _ => return Err(Error::invalid("a forward KL without draws")),
            };
            parts.push((divergence.forward, Box::new(forward)));
        }
        Ok(Box::new(WeightedSum::new(parts)))
    }
}
