//! Points that are counted while something of unknown length is under way.

use super::words::points_of;
use super::LINE_EVERY;
use crate::shown::say;
use indicatif::ProgressBar;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Tells how many points have been evaluated while something of unknown length is under way.
pub(super) struct Ticker {
    stop: Sender<()>,
    evaluated: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Ticker {
    pub fn new(what: String, bar: Option<ProgressBar>, evaluated: Arc<AtomicU64>) -> Self {
        let (stop, stopped) = channel();
        let count = evaluated.clone();
        let every = if bar.is_some() { Duration::from_millis(100) } else { LINE_EVERY };
        let began = Instant::now();
        let thread = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                let points = points_of(count.load(Ordering::Relaxed));
                match &bar {
                    Some(bar) => {
                        bar.set_prefix(points);
                        bar.tick();
                    }
                    None => say!("{what}: {points}, {:.0} s", began.elapsed().as_secs_f64()),
                }
            }
        });
        Self { stop, evaluated, thread }
    }

    /// Ends it; what there is to say at the end.
    pub fn stop(self) -> String {
        drop(self.stop);
        // A thread that only talks has nothing to hand on, even if it has panicked.
        let _ = self.thread.join();
        points_of(self.evaluated.load(Ordering::Relaxed))
    }
}
