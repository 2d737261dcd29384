//! What a person sees while something long is under way: bars on a terminal, a plain line every few seconds elsewhere.

use crate::experiment::Watcher;
use crate::shown::{on_stderr, say};
use crate::train::{Observer, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(3);

/// A watcher that talks on standard error.
pub struct Console {
    quiet: bool,
    terminal: bool,
    stage: String,
    bar: Option<ProgressBar>,
    ticker: Option<Ticker>,
    began: Instant,
    last_line: Instant,
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
    /// A watcher; a quiet one says nothing.
    pub fn new(quiet: bool) -> Self {
        let now = Instant::now();
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            stage: String::new(),
            bar: None,
            ticker: None,
            began: now,
            last_line: now,
            validation: None,
            evaluations: None,
            loss: Smoothed::default(),
            ess: Smoothed::default(),
        }
    }

    fn status(&self) -> String {
        let mut parts = vec![self.loss.0.map_or("loss not finite".into(), |loss| format!("loss {loss:.4}"))];
        parts.extend(self.ess.0.map(|ess| format!("ESS {ess:.3}")));
        parts.extend(self.validation.map(|score| format!("validation {score:.4}")));
        parts.extend(self.evaluations.filter(|&count| count > 0).map(points_of));
        parts.join(", ")
    }
}

impl Observer for Console {
    fn step(&mut self, progress: &Progress) {
        self.loss.update(progress.loss);
        if let Some(ess) = progress.ess {
            self.ess.update(ess);
        }
        self.validation = progress.validation.or(self.validation);
        self.evaluations = progress.evaluations;
        if self.quiet {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(progress.step);
            if progress.step.is_multiple_of(20) {
                bar.set_message(self.status());
            }
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let elapsed = self.began.elapsed().as_secs_f64();
            let rate = progress.step as f64 / elapsed;
            let left = (progress.steps - progress.step) as f64 / rate;
            let Progress { step, steps, .. } = progress;
            say!("{}: step {step}/{steps}, {}, {rate:.0} steps/s, {left:.0} s left", self.stage, self.status());
        }
    }
}

impl Watcher for Console {
    fn begin(&mut self, stage: &str, steps: u64) {
        self.stage = stage.to_string();
        self.began = Instant::now();
        self.last_line = Instant::now();
        (self.loss, self.ess, self.validation) = (Smoothed::default(), Smoothed::default(), None);
        if self.quiet {
            return;
        }
        if self.terminal {
            let template = "{prefix} {wide_bar} {pos}/{len} {msg} {per_sec} {eta}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(ProgressBar::new(steps).with_style(style).with_prefix(self.stage.clone()));
        } else {
            say!("{stage}: {steps} steps");
        }
    }

    fn begin_open(&mut self, what: &str, evaluated: Arc<AtomicU64>) {
        (self.stage, self.began) = (what.to_string(), Instant::now());
        if self.quiet {
            return;
        }
        if self.terminal {
            let style = ProgressStyle::with_template("{spinner} {prefix}: {msg} {elapsed}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.bar = Some(ProgressBar::new_spinner().with_style(style).with_prefix(self.stage.clone()));
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
        if !self.quiet {
            say!("{}: done in {:.1} s, {status}", self.stage, self.began.elapsed().as_secs_f64());
        }
    }

    fn note(&mut self, text: &str) {
        if !self.quiet {
            on_stderr(text);
        }
    }
}

/// Tells how many points have been evaluated while something of unknown length is under way.
struct Ticker {
    stop: Sender<()>,
    evaluated: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Ticker {
    fn new(what: String, bar: Option<ProgressBar>, evaluated: Arc<AtomicU64>) -> Self {
        let (stop, stopped) = channel();
        let count = evaluated.clone();
        let every = if bar.is_some() { Duration::from_millis(100) } else { LINE_EVERY };
        let began = Instant::now();
        let thread = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                let points = points_of(count.load(Ordering::Relaxed));
                match &bar {
                    Some(bar) => {
                        bar.set_message(points);
                        bar.tick();
                    }
                    None => say!("{what}: {points}, {:.0} s", began.elapsed().as_secs_f64()),
                }
            }
        });
        Self { stop, evaluated, thread }
    }

    /// Ends it; what there is to say at the end.
    fn stop(self) -> String {
        drop(self.stop);
        // A thread that only talks has nothing to hand on, even if it has panicked.
        let _ = self.thread.join();
        points_of(self.evaluated.load(Ordering::Relaxed))
    }
}

fn points_of(evaluated: u64) -> String {
    match evaluated {
        few @ 0..10_000 => format!("{few} points evaluated"),
        many => format!("{:.2} million points evaluated", many as f64 / 1e6),
    }
}

/// A bar over a known number of rows, for commands that stream.
pub struct RowBar(Option<ProgressBar>);

impl RowBar {
    /// A bar over `rows` rows; silent when quiet or where standard error is not a terminal.
    pub fn new(quiet: bool, rows: u64) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        Self(shown.then(|| ProgressBar::new(rows)))
    }

    /// `rows` more are done.
    pub fn advance(&self, rows: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(rows);
        }
    }
}

impl Drop for RowBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
