//! Carries out a plan: stage after stage, each on disk before the next begins.

use super::check::{Plan, StagePlan};
use super::evaluation::{score_teacher, StudentScores};
use super::evidence::{certify_student, draw, Evidence};
use super::folder::{Folder, DRAWS, INPUT, METRICS, REPORT, RESOLVED, RUN_JSON, STUDENT, TEACHER};
use super::report::{Record, Scores, StageRecord, Status};
use super::spec::Against;
use super::verdict::{self, AgainstData};
use super::watcher::Watcher;
use crate::error::{Error, Result};
use crate::evaluate::{throughput, typicality::log_densities};
use crate::flow::{Flow, FrozenModel, Model, Orientation, MOST_HELD_OUT};
use crate::target::{Constraint, Density};
use crate::train::{
    train, weighted_mean, Annealing, Draws, Epochs, ForwardKl, MaximumLikelihood, Objective, Observer, Progress,
    ReverseKl, StopReason, Trained, WeightedSum,
};
use dfdx::prelude::Cpu;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Batch sizes at which speeds are compared.
pub const COMPARED_BATCHES: [usize; 4] = [1, 64, 4096, 65_536];

/// Runs `plan` into `folder`; `input` is the experiment's text. Returns the record that was written.
///
/// # Errors
/// If a stage fails or diverges, or the user interrupts; what had been reached is on disk then.
pub fn run(
    plan: &Plan,
    input: &str,
    folder: &Folder,
    interrupt: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Record> {
    let clock = Instant::now();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut record = Record {
        name: plan.spec.name.clone(),
        seed: plan.seed.0,
        status: Status::Running,
        threads: rayon::current_num_threads(),
        started_unix: started.map_or(0, |time| time.as_secs()),
        seconds: 0.0,
        stages: Vec::new(),
        findings: plan.findings().to_vec(),
        scores: Scores::default(),
        against_data: AgainstData::default(),
        certificate: None,
        throughput: Vec::new(),
    };
    folder.write(INPUT, input)?;
    folder.write(RESOLVED, &plan.spec.to_ron()?)?;

    if let Some(dropped) = plan.data.as_ref().map(|data| data.dropped).filter(|&dropped| dropped > 0) {
        watcher.note(&format!("{dropped} rows with a missing value were left out"));
    }
    plan.findings().iter().for_each(|finding| watcher.note(&finding.to_string()));
    plan.table_notes.iter().for_each(|note| watcher.note(note));
    if let Some(note) = &plan.whitening_note {
        watcher.note(note);
    }
    let mut models = Models::default();
    let mut plan = Cow::Borrowed(plan);
    let mut evidence = None;
    let mut metrics = String::new();
    for place in 0..plan.stages.len() {
        if let StagePlan::Sample(method, draws) = plan.stages[place] {
            let found = draw(&plan, (&method, draws), &folder.file(DRAWS), interrupt, watcher);
            let found = unless_interrupted(found, &mut record, clock, folder)?;
            watcher.note(&found.summary());
            record.stages.push(StageRecord {
                name: plan.stages[place].name().into(),
                trained: None,
                sampled: Some(found.drawn.clone()),
            });
            record.seconds = clock.elapsed().as_secs_f64();
            write(&record, folder)?;
            plan.to_mut().take_draws(&found)?;
            evidence = Some(found);
            continue;
        }
        let stage = &plan.stages[place];
        watcher.begin(stage.name(), stage.settings().map_or(0, |settings| settings.steps));
        let mut recorder = Recorder { stage: stage.name(), lines: &mut metrics, watcher: &mut *watcher };
        let trained = models.carry_out(&plan, stage, interrupt, &mut recorder);
        watcher.end();
        let trained = trained?;
        models.save(stage, folder)?;
        folder.write(METRICS, &metrics)?;
        let reason = trained.reason;
        if trained.skipped_steps > 0 {
            watcher
                .note(&format!("{} steps were skipped: their loss or gradient was not finite", trained.skipped_steps));
        }
        record.stages.push(StageRecord { name: stage.name().into(), trained: Some(trained), sampled: None });
        record.status = match reason {
            StopReason::Interrupted => Status::Interrupted,
            StopReason::Diverged => Status::Diverged,
            _ => Status::Running,
        };
        record.seconds = clock.elapsed().as_secs_f64();
        write(&record, folder)?;
        match reason {
            StopReason::Interrupted => return Err(Error::Interrupted),
            StopReason::Diverged => {
                let advice = "the last good weights were kept; a smaller rate.peak, a longer rate.warm_up or a smaller clip helps";
                return Err(Error::Diverged(format!("{}: {advice}", stage.name())));
            }
            _ => {}
        }
    }

    models.compare_with_data(&plan, &mut record);
    let scored = models.score(&plan, evidence.as_ref(), &mut record, interrupt, watcher);
    unless_interrupted(scored, &mut record, clock, folder)?;
    if plan.spec.evaluation.compare {
        watcher.note("measuring speeds");
        models.compare(&plan, &mut record);
        let wish = if interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) };
        unless_interrupted(wish, &mut record, clock, folder)?;
    }
    record.status = Status::Finished;
    record.seconds = clock.elapsed().as_secs_f64();
    write(&record, folder)?;
    Ok(record)
}

/// What a part of the run gave; one that was interrupted is put on record first.
fn unless_interrupted<T>(outcome: Result<T>, record: &mut Record, clock: Instant, folder: &Folder) -> Result<T> {
    if matches!(outcome, Err(Error::Interrupted)) {
        record.status = Status::Interrupted;
        record.seconds = clock.elapsed().as_secs_f64();
        write(record, folder)?;
    }
    outcome
}

fn write(record: &Record, folder: &Folder) -> Result<()> {
    folder.write(REPORT, &record.to_markdown())?;
    folder.write(RUN_JSON, &format!("{:#}\n", record.to_json()))
}

/// What the stages have made so far.
#[derive(Default)]
struct Models {
    teacher: Option<Model>,
    student: Option<Model>,
}

impl Models {
    fn carry_out(
        &mut self,
        plan: &Plan,
        stage: &StagePlan,
        interrupt: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Trained> {
        match stage {
            StagePlan::Sample(..) => Err(Error::invalid("a stage that draws trains nothing")),
            StagePlan::FitTeacher(settings) => {
                let mut model = plan.new_model(Orientation::Density)?;
                let mut objective = plan.likelihood(settings.batch)?;
                let trained = train(&mut model.flow, &mut objective, settings, interrupt, observer)?;
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
                let trained = train(&mut model.flow, objective.as_mut(), settings, interrupt, observer)?;
                plan.judge_held_out(&mut model);
                self.student = Some(model);
                Ok(trained)
            }
        }
    }

    fn save(&self, stage: &StagePlan, folder: &Folder) -> Result<()> {
        let (model, name) = match stage {
            StagePlan::Sample(..) => return Ok(()),
            StagePlan::FitTeacher(_) => (&self.teacher, TEACHER),
            StagePlan::TrainStudent(..) => (&self.student, STUDENT),
        };
        model.as_ref().map_or(Ok(()), |model| model.save(&folder.file(name)))
    }

    fn score(
        &self,
        plan: &Plan,
        evidence: Option<&Evidence>,
        record: &mut Record,
        interrupt: &AtomicBool,
        watcher: &mut dyn Watcher,
    ) -> Result<()> {
        let teacher = self.teacher.as_ref().map(|teacher| teacher.freeze::<f64>());
        if let (Some(teacher), Some(data)) = (&teacher, &plan.data) {
            record.scores.teacher = Some(score_teacher(teacher, data));
        }
        if let Some(student) = &self.student {
            let certificate = certify_student(&student.freeze(), plan, teacher.as_ref(), evidence, interrupt, watcher)?;
            record.scores.student = Some(StudentScores::of(&certificate));
            record.certificate = Some(certificate);
        }
        Ok(())
    }

    /// Compares teacher and student with rows that they have not seen.
    fn compare_with_data(&self, plan: &Plan, record: &mut Record) {
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

    fn compare(&self, plan: &Plan, record: &mut Record) {
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

impl Plan {
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
        let mut flow = Flow::new(&Cpu::default(), self.dim, config, orientation, &self.seed.stream(stream))?;
        if let Some(data) = self.data.as_ref().filter(|_| config.base.is_fitted()) {
            let mut rows = data.by_weight(self.dim).into_owned();
            let mut log_jacobian = vec![0.0; rows.len() / self.dim];
            self.standardisation.apply(&mut rows, &mut log_jacobian);
            flow.fit_base(&rows, &self.seed.stream(stream).child("base/fit"))?;
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
                    ForwardKl::new(Draws::Fresh(teacher, stream("teacher")), standardisation.clone(), batch)
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

/// Keeps every tenth step for `metrics.jsonl` and passes all of them on.
struct Recorder<'a> {
    stage: &'static str,
    lines: &'a mut String,
    watcher: &'a mut dyn Watcher,
}

/// Steps between two recorded ones.
const RECORD_EVERY: u64 = 10;

impl Observer for Recorder<'_> {
    fn step(&mut self, progress: &Progress) {
        if progress.step.is_multiple_of(RECORD_EVERY)
            || progress.step == progress.steps
            || progress.validation.is_some()
        {
            #[derive(serde::Serialize)]
            struct Line<'a> {
                stage: &'a str,
                #[serde(flatten)]
                progress: &'a Progress,
            }
            if let Ok(line) = serde_json::to_string(&Line { stage: self.stage, progress }) {
                self.lines.push_str(&line);
                self.lines.push('\n');
            }
        }
        self.watcher.step(progress);
    }
}
