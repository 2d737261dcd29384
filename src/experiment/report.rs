//! What a run found: `run.json` for programs, `report.md` for people.

use super::among::Among;
use super::evaluation::{StudentScores, TeacherScores};
use super::paths::{Asked, Input};
use super::verdict::AgainstData;
use crate::data::look::Finding;
use crate::evaluate::certificate::{Certificate, Verdict};
use crate::evaluate::parameters::Parameter;
use crate::evaluate::spread::Spread;
use crate::evaluate::throughput::{self, rounded, Throughput};
use crate::sampler::Drawn;
use crate::target::Evaluations;
use crate::train::Trained;
use serde::Serialize;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Some stage is still to come.
    Running,
    /// Everything was done.
    Finished,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Training diverged.
    Diverged,
}

/// One stage that was carried out.
#[derive(Debug, Clone, Serialize)]
pub struct StageRecord {
    /// What a person calls it.
    pub name: String,
    /// The attempt that it is a part of, from 1, where the run is left to the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<usize>,
    /// Points at which the target was evaluated.
    pub target_evaluations: Evaluations,
    /// How training went, in a stage that trains.
    #[serde(flatten)]
    pub trained: Option<Trained>,
    /// How drawing went, in a stage that draws.
    #[serde(flatten)]
    pub sampled: Option<Drawn>,
}

/// The scores of a run.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// Of the teacher.
    pub teacher: Option<TeacherScores>,
    /// Of the student.
    pub student: Option<StudentScores>,
}

/// Everything that a run has to say.
#[derive(Debug, Clone)]
pub struct Record {
    /// The experiment's name.
    pub name: String,
    /// The experiment's seed.
    pub seed: u64,
    /// How far the run came.
    pub status: Status,
    /// Threads used.
    pub threads: usize,
    /// Start of the run, seconds since 1970.
    pub started_unix: u64,
    /// Wall-clock time so far.
    pub seconds: f64,
    /// The stages so far.
    pub stages: Vec<StageRecord>,
    /// What is odd about the data.
    pub findings: Vec<Finding>,
    /// The scores.
    pub scores: Scores,
    /// How the models compare with held-out rows.
    pub against_data: AgainstData,
    /// May the student be used for the density that it was trained against?
    pub certificate: Option<Certificate>,
    /// The same by what the student is given, where it is given something.
    pub among: Option<Among>,
    /// The speeds.
    pub throughput: Vec<Throughput>,
    /// What was tried, where the run is left to the program.
    pub attempts: Vec<Attempted>,
    /// Points at which the target was evaluated, from the survey to the certificate.
    pub evaluations: Evaluations,
    /// Points at which it was evaluated besides, for a picture of its density.
    pub picture_evaluations: u64,
    /// The modes of the target that were found, where the run is left to the program.
    pub modes: Vec<ModeMass>,
    /// What draws say of each parameter.
    pub parameters: Vec<Parameter>,
    /// Which draws, in words.
    pub parameters_from: String,
    /// How the log weights of the student's draws are spread.
    pub weights: Option<Spread>,
    /// By what it was asked for.
    pub asked: Asked,
    /// The names of the coordinates that the flows are about.
    pub coordinates: Vec<String>,
    /// The files that the experiment reads.
    pub inputs: Vec<Input>,
    /// The checksums of the files that belong to it.
    pub files: BTreeMap<String, String>,
}

/// An attempt of a run that is left to the program.
#[derive(Debug, Clone, Serialize)]
pub struct Attempted {
    /// What was done, and why.
    pub what: String,
    /// ESS/N of the student over draws by which it is decided how to go on.
    pub ess: Option<f64>,
    /// The verdict, where it came to one.
    pub verdict: Option<Verdict>,
    /// Its reasons, or why there is none.
    pub reasons: Vec<String>,
    /// Points at which the target was evaluated.
    pub target_evaluations: Evaluations,
    /// Wall-clock time.
    pub seconds: f64,
}

/// A mode of the target with what it has of the mass.
#[derive(Debug, Clone, Serialize)]
pub struct ModeMass {
    /// Where it is, in the user's coordinates.
    pub point: Vec<f64>,
    /// The share of the student's weighted draws that are nearest to it.
    pub mass: f64,
}

/// Coordinates of a mode that a report shows.
const MOST_COORDINATES: usize = 8;

/// A map of scores in which what is not finite is null, with the reason kept aside.
#[derive(Default)]
struct Numbers {
    values: Map<String, Value>,
    reasons: Map<String, Value>,
}

impl Numbers {
    fn put(&mut self, group: &str, name: &str, value: f64) {
        let group_map = self.values.entry(group).or_insert_with(|| json!({}));
        if let Some(map) = group_map.as_object_mut() {
            map.insert(name.into(), if value.is_finite() { json!(value) } else { Value::Null });
        }
        if !value.is_finite() {
            self.reasons.insert(format!("{group}.{name}"), json!(reason(value)));
        }
    }
}

fn reason(value: f64) -> &'static str {
    if value.is_nan() {
        "not a number: too few or unusable values"
    } else if value < 0.0 {
        "minus infinity: some draw has density zero under the target, or could not be evaluated"
    } else {
        "plus infinity: some draw of the target has density zero under the student"
    }
}

impl Scores {
    /// The scores by name, and the reasons of those that are not finite. What is unknown is absent.
    fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::default();
        if let Some(teacher) = &self.teacher {
            for (part, score) in [("train", teacher.train), ("validation", teacher.validation), ("test", teacher.test)]
            {
                numbers.put("teacher", &format!("{part}_log_prob"), score.mean);
                numbers.put("teacher", &format!("{part}_log_prob_se"), score.standard_error);
            }
        }
        if let Some(student) = &self.student {
            let reverse = &student.reverse;
            numbers.put("student", "elbo", reverse.elbo);
            numbers.put("student", "log_z", reverse.log_z);
            numbers.put("student", "log_z_se", reverse.log_z_se);
            numbers.put("student", "ess", reverse.ess);
            if let Some(k_hat) = reverse.k_hat {
                numbers.put("student", "k_hat", k_hat);
            }
            if let Some(true_log_z) = student.true_log_z {
                numbers.put("student", "true_log_z", true_log_z);
            }
            if let Some((forward, _)) = &student.forward {
                numbers.put("student", "eubo", forward.eubo);
                numbers.put("student", "forward_ess", forward.forward_ess);
                if let Some(kl) = forward.forward_kl {
                    numbers.put("student", "forward_kl", kl);
                }
                if let Some(k_hat) = forward.forward_k_hat {
                    numbers.put("student", "forward_k_hat", k_hat);
                }
            }
            if let Some(map) = numbers.values.get_mut("student").and_then(Value::as_object_mut) {
                map.insert("draws".into(), json!(reverse.draws));
                map.insert("failed_rows".into(), json!(student.failed_rows));
            }
        }
        numbers
    }
}

impl Record {
    /// The contents of `run.json`.
    pub fn to_json(&self) -> Value {
        let Numbers { values, reasons } = self.scores.numbers();
        let mut run = json!({
            "name": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "format": super::spec::VERSION,
            "seed": self.seed,
            "status": self.status,
            "threads": self.threads,
            "host": {
                "os": std::env::consts::OS,
                "arch": std::env::consts::ARCH,
                "cores": std::thread::available_parallelism().map_or(0, |n| n.get()),
                "cpu": cpu_name(),
            },
            "started_unix": self.started_unix,
            "seconds": self.seconds,
            "stages": self.stages,
            "scores": values,
            "target_evaluations": self.evaluations,
        });
        if let Some(map) = run.as_object_mut() {
            if !self.files.is_empty() {
                map.insert("files".into(), json!(self.files));
            }
            if !self.asked.command.is_empty() {
                map.insert("command".into(), json!(self.asked.command));
                map.insert("overrides".into(), json!(self.asked.overrides));
            }
            map.insert("coordinates".into(), json!(self.coordinates));
            if !self.inputs.is_empty() {
                map.insert("inputs".into(), json!(self.inputs));
            }
            if self.picture_evaluations > 0 {
                map.insert("picture_evaluations".into(), json!(self.picture_evaluations));
            }
            if !self.attempts.is_empty() {
                map.insert("attempts".into(), json!(self.attempts));
            }
            if !self.parameters.is_empty() {
                map.insert("parameters".into(), json!(self.parameters));
                map.insert("parameters_from".into(), json!(self.parameters_from));
            }
            if !self.modes.is_empty() {
                map.insert("modes".into(), json!(self.modes));
            }
            if !self.findings.is_empty() {
                map.insert("findings".into(), json!(self.findings));
            }
            if !reasons.is_empty() {
                map.insert("score_reasons".into(), Value::Object(reasons));
            }
            if let Some(judgement) = self.judgement() {
                map.insert("verdict".into(), json!(judgement.verdict));
                map.insert("reasons".into(), json!(judgement.reasons));
            }
            let data = [("teacher", &self.against_data.teacher), ("student", &self.against_data.student)];
            let data = data.into_iter().filter_map(|(who, found)| Some((who.into(), found.as_ref()?.to_json())));
            let data: Map<String, Value> = data.collect();
            if !data.is_empty() {
                map.insert("data_certificate".into(), Value::Object(data));
            }
            if let Some(certificate) = &self.certificate {
                map.insert("certificate".into(), certificate.to_json());
            }
            if let Some(among) = &self.among {
                map.insert("given".into(), among.to_json());
            }
            if let Some(weights) = &self.weights {
                map.insert("weights".into(), json!(weights));
            }
            if !self.throughput.is_empty() {
                map.insert("throughput".into(), json!(self.throughput));
            }
        }
        run
    }

    /// The contents of `report.md`, which is also what a person sees at the end of a run.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_markdown(&mut out);
        out
    }

    /// What was tried, and the modes that were found.
    fn write_attempts(&self, out: &mut String) -> std::fmt::Result {
        for (number, attempt) in self.attempts.iter().enumerate() {
            let verdict = attempt.verdict.map_or("no verdict", Verdict::words);
            let (what, seconds, asked) = (&attempt.what, attempt.seconds, attempt.target_evaluations.total());
            writeln!(out, "{}. {what}: {verdict} ({asked} evaluations, {seconds:.1} s)", number + 1)?;
            if attempt.verdict != Some(Verdict::Trusted) {
                attempt.reasons.iter().try_for_each(|reason| writeln!(out, "   - {reason}"))?;
            }
        }
        if !self.attempts.is_empty() {
            writeln!(out)?;
        }
        if self.modes.is_empty() {
            return Ok(());
        }
        writeln!(out, "| mode at | mass |\n|---|---:|")?;
        for ModeMass { point, mass } in &self.modes {
            let place: Vec<String> = point.iter().take(MOST_COORDINATES).map(|x| format!("{x:.4}")).collect();
            let more = if point.len() > MOST_COORDINATES { ", …" } else { "" };
            writeln!(out, "| {}{more} | {mass:.4} |", place.join(", "))?;
        }
        writeln!(out)
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# {}\n", self.name)?;
        if let Some(judgement) = self.judgement() {
            writeln!(out, "## Verdict: {}\n", judgement.verdict.words())?;
            judgement.reasons.iter().try_for_each(|reason| writeln!(out, "- {reason}"))?;
            if !judgement.reasons.is_empty() {
                writeln!(out)?;
            }
        }
        let status = match self.status {
            Status::Running => "still running",
            Status::Finished => "finished",
            Status::Interrupted => "interrupted; what had been reached was kept",
            Status::Diverged => "training diverged; the last good weights were kept",
        };
        writeln!(out, "{status}; seed {}, {} threads, {:.1} s\n", self.seed, self.threads, self.seconds)?;
        if !self.parameters.is_empty() {
            writeln!(out, "By {}:\n\n{}", self.parameters_from, Parameter::to_markdown(&self.parameters))?;
        }
        self.write_attempts(out)?;
        for finding in &self.findings {
            writeln!(out, "- {finding}")?;
        }
        if !self.findings.is_empty() {
            writeln!(out)?;
        }
        writeln!(
            out,
            "| stage | steps | stopped by | skipped steps | evaluations | seconds |\n|---|---:|---|---:|---:|---:|"
        )?;
        for StageRecord { name, trained, target_evaluations, .. } in &self.stages {
            let Some(trained) = trained else { continue };
            let reason = trained.reason.words();
            let Trained { steps, skipped_steps, seconds, .. } = trained;
            let asked = target_evaluations.total();
            writeln!(out, "| {name} | {steps} | {reason} | {skipped_steps} | {asked} | {seconds:.1} |")?;
        }
        if self.evaluations.total() > 0 {
            let Evaluations { values, gradients } = self.evaluations;
            let more = match self.picture_evaluations {
                0 => String::new(),
                more => format!("; {more} times more for the picture of its density"),
            };
            let all = values + gradients;
            writeln!(
                out,
                "\nthe target was evaluated {all} times in all, {gradients} of them with its gradient{more}"
            )?;
        }
        for StageRecord { name, trained, .. } in &self.stages {
            if let Some(Trained { seconds, target_seconds, .. }) = trained.as_ref().filter(|of| of.target_seconds > 0.0)
            {
                writeln!(out, "\n{name}: {:.0} % of its time in the target", 100.0 * target_seconds / seconds)?;
            }
        }
        for (name, drawn) in self.stages.iter().filter_map(|stage| Some((&stage.name, stage.sampled.as_ref()?))) {
            write_drawn(out, name, drawn)?;
        }
        if let Some(teacher) = &self.scores.teacher {
            writeln!(out, "\n| teacher | mean log density, nats | standard error |\n|---|---:|---:|")?;
            for (part, score) in [("train", teacher.train), ("validation", teacher.validation), ("test", teacher.test)]
            {
                writeln!(out, "| {part} | {:.4} | {:.4} |", score.mean, score.standard_error)?;
            }
        }
        for (who, found) in [("teacher", &self.against_data.teacher), ("student", &self.against_data.student)] {
            if let Some(found) = found {
                write!(out, "\n{}", found.to_markdown(who))?;
            }
        }
        if let Some(among) = &self.among {
            write!(out, "\n{}", among.to_markdown())?;
        }
        if let Some(certificate) = &self.certificate {
            write!(out, "\n{}", certificate.to_markdown())?;
        }
        if !self.throughput.is_empty() {
            writeln!(out, "\n| model | method | batch | draws/s | effective draws/s |\n|---|---|---:|---:|---:|")?;
            for row in &self.throughput {
                let effective =
                    row.effective_per_second.map_or("unknown".into(), |rate| format!("{:.0}", rounded(rate)));
                let Throughput { model, method, batch, draws_per_second, estimated, .. } = row;
                let mark = if *estimated { "~" } else { "" };
                let rate = rounded(*draws_per_second);
                writeln!(out, "| {model} | {method} | {batch} | {mark}{rate:.0} | {effective} |")?;
            }
            if let Some(verdict) = throughput::verdict(&self.throughput) {
                writeln!(out, "\n{verdict}")?;
            }
        }
        Ok(())
    }
}

fn write_drawn(out: &mut String, name: &str, drawn: &Drawn) -> std::fmt::Result {
    writeln!(out, "\n| {name} | |\n|---|---:|")?;
    if let Some((log_z, error)) = drawn.log_z {
        writeln!(out, "| log Z | {log_z:.4} ± {error:.4} |")?;
    }
    writeln!(out, "| R-hat, largest | {:.3} |", drawn.r_hat)?;
    writeln!(out, "| effective draws, fewest | {:.0} |", drawn.effective)?;
    writeln!(out, "| evaluations | {} |\n| seconds | {:.1} |", drawn.evaluations, drawn.seconds)?;
    drawn.faults.iter().try_for_each(|fault| writeln!(out, "| **in doubt** | {fault} |"))
}

/// The processor's name, where the system tells.
fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}
