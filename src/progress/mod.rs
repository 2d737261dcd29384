//! What a person sees while something long is under way: bars on a terminal, a plain line every few seconds elsewhere; and the log of a run.

mod log;
mod rows;
mod ticker;
mod words;

pub use log::Log;
pub use rows::RowBar;

use crate::experiment::Watcher;
use crate::shown::on_stderr;
use crate::train::{Observer, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ticker::Ticker;
use words::{fitting, points_of, rate, time};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// Time between two lines of progress in the log.
const LOGGED_EVERY: Duration = Duration::from_secs(30);
/// Characters of the bar itself.
const BAR: usize = 12;

/// A watcher that talks on standard error.
pub struct Console {
    quiet: bool,
    terminal: bool,
    log: Log,
    stage: String,
    /// The place of the stage among all, and the steps of those.
    outline: (usize, Vec<u64>),
    bar: Option<ProgressBar>,
    ticker: Option<Ticker>,
    began: Instant,
    last_line: Instant,
    last_logged: Instant,
    validation: Option<f64>,
    evaluations: Option<u64>,
    loss: Smoothed,
    ess: Smoothed,
}

/// A running mean, steadier to look at than the last value.
#[derive(Default)]
struct Smoothed(Option<f64>);

impl Smoothed {
    fn update(&mut self, value: f64) {
        if value.is_finite() {
            self.0 = Some(self.0.map_or(value, |mean| 0.95 * mean + 0.05 * value));
        }
    }
}

impl Console {
    /// A watcher; a quiet one says nothing, and one that is to say more has lines in the place of bars. Everything goes into the log, too.
    pub fn new(quiet: bool, verbose: bool, log: Log) -> Self {
        let now = Instant::now();
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal() && !verbose,
            log,
            stage: String::new(),
            outline: (0, Vec::new()),
            bar: None,
            ticker: None,
            began: now,
            last_line: now,
            last_logged: now,
            validation: None,
            evaluations: None,
            loss: Smoothed::default(),
            ess: Smoothed::default(),
        }
    }

    fn say(&mut self, line: &str) {
        self.log.line(line);
        if !self.quiet {
            on_stderr(line);
        }
    }

    /// "stage 2 of 4: its name", where there are more than one.
    fn heading(&self, stage: &str) -> String {
        match &self.outline {
            (place, all) if all.len() > 1 => format!("stage {} of {}: {stage}", place + 1, all.len()),
            _ => stage.into(),
        }
    }

    /// What is known of the quality, the loss last.
    fn quality(&self) -> Vec<String> {
        let mut parts: Vec<String> = self.ess.0.map(|ess| format!("ESS {ess:.3}")).into_iter().collect();
        parts.push(self.loss.0.map_or("loss not finite".into(), |loss| format!("loss {loss:.4}")));
        parts.extend(self.validation.map(|score| format!("validation {score:.4}")));
        parts
    }

    fn status(&self) -> String {
        let mut parts = self.quality();
        parts.extend(self.evaluations.filter(|&count| count > 0).map(points_of));
        parts.join(", ")
    }

    /// What is left of this stage, and of all of them if each step of the others takes as long as one of this.
    fn left(&self, progress: &Progress) -> (f64, String) {
        let each = self.began.elapsed().as_secs_f64() / progress.step.max(1) as f64;
        let left = (progress.steps - progress.step) as f64 * each;
        let (place, all) = &self.outline;
        let later: u64 = all.iter().skip(place + 1).sum();
        let of_all =
            if later > 0 { format!(", about {} in all", time(left + later as f64 * each)) } else { String::new() };
        (1.0 / each, format!("{} left{of_all}", time(left)))
    }
}

/// The width of the terminal.
fn width() -> usize {
    console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

impl Observer for Console {
    fn step(&mut self, progress: &Progress) {
        self.loss.update(progress.loss);
        if let Some(ess) = progress.ess {
            self.ess.update(ess);
        }
        self.validation = progress.validation.or(self.validation);
        self.evaluations = progress.evaluations;
        let Progress { step, steps, .. } = *progress;
        let line = |console: &Self| {
            let (speed, left) = console.left(progress);
            format!("{}: step {step}/{steps}, {}, {}, {left}", console.stage, console.status(), rate(speed))
        };
        if self.last_logged.elapsed() >= LOGGED_EVERY {
            self.last_logged = Instant::now();
            let line = line(self);
            self.log.line(&line);
        }
        if self.quiet {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            if step.is_multiple_of(20) {
                let (speed, left) = self.left(progress);
                let mut parts = vec![format!("{} %", 100 * step / steps.max(1)), left];
                parts.extend(self.quality());
                parts.extend([rate(speed), format!("step {step} of {steps}")]);
                parts.extend(self.evaluations.filter(|&count| count > 0).map(points_of));
                bar.set_prefix(fitting(&parts, width().saturating_sub(BAR + 2)));
            }
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            on_stderr(&line(self));
        }
    }
}

impl Watcher for Console {
    fn outline(&mut self, place: usize, steps: &[u64]) {
        self.outline = (place, steps.to_vec());
    }

    fn begin(&mut self, stage: &str, steps: u64) {
        self.stage = stage.to_string();
        self.began = Instant::now();
        (self.last_line, self.last_logged) = (self.began, self.began);
        (self.loss, self.ess, self.validation) = (Smoothed::default(), Smoothed::default(), None);
        let heading = self.heading(stage);
        let line = format!("{heading}: {steps} steps");
        if self.quiet || !self.terminal {
            return self.say(&line);
        }
        self.log.line(&line);
        // A line for the name, cut where the terminal ends, and one for what is known: as much as there is room for.
        let style = ProgressStyle::with_template(&format!("{{wide_msg}}\n{{bar:{BAR}}} {{prefix}}"));
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = Some(ProgressBar::new(steps).with_style(style).with_message(heading));
    }

    fn begin_open(&mut self, what: &str, evaluated: Arc<AtomicU64>) {
        (self.stage, self.began) = (what.to_string(), Instant::now());
        self.log.line(what);
        if self.quiet {
            return;
        }
        if self.terminal {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}\n  {prefix}, {elapsed}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.bar = Some(ProgressBar::new_spinner().with_style(style).with_message(self.stage.clone()));
        } else {
            on_stderr(what);
        }
        self.ticker = Some(Ticker::new(self.stage.clone(), self.bar.clone(), evaluated));
    }

    fn end(&mut self) {
        let status = match self.ticker.take() {
            Some(ticker) => ticker.stop(),
            None => self.status(),
        };
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let line = format!("{}: done in {:.1} s, {status}", self.stage, self.began.elapsed().as_secs_f64());
        self.say(&line);
    }

    fn note(&mut self, text: &str) {
        self.say(text);
    }
}
