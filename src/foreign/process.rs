//! A density that other processes evaluate, as many at a time as there are workers.

use super::frames::{Greeting, Request};
use super::worker::{exchange, Watchdog, Worker};
use crate::shown;
use crate::target::{Density, Fatal, Faults, TargetSettings};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Numbers in one request, so that frames stay small whatever is asked.
const MOST_NUMBERS: usize = 1 << 20;

/// Rows in one request.
const MOST_ROWS: usize = 4096;

/// The largest number of processes of one density.
pub const MOST_WORKERS: usize = 64;

/// A log density that one or more processes started from the same command evaluate, over their standard input and output.
///
/// Rows are divided evenly among the workers. A row for which a worker answers with NaN or +∞, or with a gradient that is not finite
/// at a finite value, is a fault of that row; a worker that breaks the protocol, dies, or does not answer in time ends the run.
pub struct Process {
    workers: Mutex<Workers>,
    greeting: Greeting,
    command: String,
    timeout: Duration,
}

/// What is written for `Process`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Process", deny_unknown_fields)]
pub struct ProcessSettings {
    /// The program and its arguments; started in the folder of the experiment file.
    pub command: Vec<String>,
    /// How many of it are started.
    #[serde(default = "one_worker")]
    pub workers: usize,
    /// The longest wait for its greeting or for an answer, in seconds.
    #[serde(default = "half_a_minute")]
    pub timeout_s: f64,
}

fn one_worker() -> usize {
    1
}

fn half_a_minute() -> f64 {
    30.0
}

impl TargetSettings for ProcessSettings {
    const EXAMPLE: &'static str = "Process(command: [\"python3\", \"density.py\"], workers: 1, timeout_s: 30.0)";
    const ABOUT: &'static str = "a density of your own in another program: docs/process.md; needs --allow-native";

    fn build(&self, folder: &Path) -> Result<Box<dyn Density>, String> {
        Ok(Box::new(Process::start(&self.command, folder, self.workers, self.timeout_s)?))
    }

    fn native(&self, folder: &Path) -> Option<String> {
        let times = if self.workers == 1 { String::new() } else { format!(" {} times", self.workers) };
        let at = if folder == Path::new("") { Path::new(".") } else { folder };
        Some(format!("start `{}`{times} in the folder {}", shown::command(&self.command), at.display()))
    }
}

struct Workers {
    /// Dropped before the processes that it watches over.
    watchdog: Watchdog,
    list: Vec<Worker>,
    sequence: u32,
    failure: Option<String>,
}

impl Process {
    /// Starts `workers` processes of `command` in `folder` and hears their greetings. Each exchange may take `timeout_s` seconds.
    ///
    /// # Errors
    /// If a process cannot be started or does not greet as it should, or a number is out of its range.
    pub fn start(command: &[String], folder: &Path, workers: usize, timeout_s: f64) -> Result<Self, String> {
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(format!("workers is {workers}; 1 to {MOST_WORKERS} is right"));
        }
        if !(1e-3..=86_400.0).contains(&timeout_s) {
            return Err(format!("timeout_s is {timeout_s}; 0.001 to 86400 is right"));
        }
        let timeout = Duration::from_secs_f64(timeout_s);
        let written = shown::command(command);
        // There before the first of them, so that none is ever without.
        let mut watchdog = Watchdog::start();
        let mut started = || {
            let worker = Worker::start(command, folder)?;
            watchdog.watch(&worker);
            Ok::<_, String>(worker)
        };
        let list = (0..workers).map(|_| started()).collect::<Result<Vec<_>, _>>()?;
        let mut workers = Workers { watchdog, list, sequence: 0, failure: None };
        let greeting = workers.greetings(timeout).map_err(|fault| format!("`{written}`: {fault}"))?;
        Ok(Self { workers: Mutex::new(workers), greeting, command: written, timeout })
    }

    fn evaluate_finite(
        &self,
        workers: &mut Workers,
        rows: &[usize],
        points: &[f64],
        values: &mut [f64],
        mut gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), String> {
        let dim = self.greeting.dim;
        let most = MOST_ROWS.min(MOST_NUMBERS / dim).max(1);
        for rows in rows.chunks(most * workers.list.len()) {
            let parts: Vec<&[usize]> = rows.chunks(rows.len().div_ceil(workers.list.len())).collect();
            workers.sequence = workers.sequence.wrapping_add(1);
            let request = |part: &[usize]| Request {
                sequence: workers.sequence,
                rows: part.len(),
                dim,
                gradients: gradients.is_some(),
            };
            let requests: Vec<Request> = parts.iter().map(|part| request(part)).collect();
            for ((worker, part), request) in workers.list.iter_mut().zip(&parts).zip(&requests) {
                worker.ask(*request, part.iter().map(|row| &points[row * dim..(row + 1) * dim]));
            }
            workers.exchange(parts.len(), self.timeout)?;
            for (place, (part, request)) in parts.iter().zip(&requests).enumerate() {
                let worker = &workers.list[place];
                let answer = worker.payload().and_then(|payload| request.read(payload));
                let mut note = None;
                match answer {
                    Ok(answer) => {
                        for (row, value) in part.iter().zip(answer.values()) {
                            values[*row] = value;
                        }
                        if let Some(gradients) = &mut gradients {
                            for (row, gradient) in part.iter().zip(answer.gradients(dim)) {
                                let into = &mut gradients[row * dim..(row + 1) * dim];
                                into.iter_mut().zip(gradient).for_each(|(into, g)| *into = g);
                            }
                        }
                        note = note.or_else(|| answer.note());
                    }
                    Err(fault) => return Err(workers.list[place].with_last_words(&fault)),
                }
                for &row in *part {
                    let gradient = gradients.as_mut().map(|gradients| &mut gradients[row * dim..(row + 1) * dim]);
                    self.judge(row, &mut values[row], gradient, &mut note, faults);
                }
            }
        }
        Ok(())
    }

    /// Marks a row whose answer cannot be used; where the density is zero, so is the gradient.
    fn judge(
        &self,
        row: usize,
        value: &mut f64,
        gradient: Option<&mut [f64]>,
        note: &mut Option<String>,
        faults: &mut Faults,
    ) {
        let stray = gradient.as_ref().and_then(|gradient| gradient.iter().position(|g| !g.is_finite()));
        if value.is_nan() || *value == f64::INFINITY {
            faults.mark(row, note.take().unwrap_or_else(|| format!("`{}` gave the value {value}", self.command)));
            *value = f64::NAN;
        } else if let Some(i) = stray.filter(|_| value.is_finite()) {
            let name = &self.greeting.names[i];
            faults.mark(row, format!("`{}` gave a gradient that is not finite in {name}", self.command));
            *value = f64::NAN;
        }
        if let Some(gradient) = gradient.filter(|_| !value.is_finite()) {
            gradient.fill(0.0);
        }
    }
}

impl Workers {
    /// Ends them all.
    fn give_up(&mut self) {
        self.watchdog = Watchdog::none();
        self.list.clear();
    }

    /// Hears the greetings, which must be the same.
    fn greetings(&mut self, timeout: Duration) -> Result<Greeting, String> {
        self.exchange(self.list.len(), timeout)?;
        let mut first: Option<Greeting> = None;
        for worker in &mut self.list {
            let greeting = worker.greeting().map_err(|fault| worker.with_last_words(&fault))?;
            match &first {
                Some(first) if *first != greeting => return Err("its workers greet differently".into()),
                Some(_) => {}
                None => first = Some(greeting),
            }
        }
        first.ok_or_else(|| "there is no worker".into())
    }

    fn exchange(&mut self, workers: usize, timeout: Duration) -> Result<(), String> {
        exchange(&mut self.list[..workers], timeout).map_err(|(place, fault)| self.list[place].with_last_words(&fault))
    }
}

impl Density for Process {
    fn dim(&self) -> usize {
        self.greeting.dim
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        mut gradients: Option<&mut [f64]>,
        faults: &mut Faults,
    ) -> Result<(), Fatal> {
        let dim = self.greeting.dim;
        let mut finite = Vec::with_capacity(values.len());
        for (row, point) in points.chunks_exact(dim).enumerate() {
            if point.iter().all(|x| x.is_finite()) {
                finite.push(row);
                continue;
            }
            values[row] = f64::NAN;
            faults.mark(row, "the point is not finite");
            if let Some(gradients) = gradients.as_deref_mut() {
                gradients[row * dim..(row + 1) * dim].fill(0.0);
            }
        }
        // A panic elsewhere leaves nothing half done here that the sequence numbers would not tell.
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &workers.failure {
            return Err(Fatal(failure.clone()));
        }
        let done = self.evaluate_finite(&mut workers, &finite, points, values, gradients, faults);
        done.map_err(|fault| {
            let failure = format!("`{}`: {fault}", self.command);
            workers.failure = Some(failure.clone());
            // They are of no more use, and one of them may be stuck.
            workers.give_up();
            Fatal(failure)
        })
    }

    fn names(&self) -> Vec<String> {
        self.greeting.names.clone()
    }

    /// Many: a round trip costs more than the rows in it.
    fn piece(&self) -> usize {
        2 * MOST_ROWS
    }
}
