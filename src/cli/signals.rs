//! Signals: the first asks for an end in good order, the second ends at once; SIGUSR1 asks for a checkpoint.

use crate::durable;
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Whether an end is asked for.
pub static STOP: AtomicBool = AtomicBool::new(false);
/// Whether a checkpoint is asked for; whoever writes it clears this.
pub static KEEP: AtomicBool = AtomicBool::new(false);
/// The signal that asked for the end.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Begins to listen; `words` are said at the first signal.
///
/// # Errors
/// If the system refuses.
#[cfg(unix)]
pub fn listen(words: Option<&'static str>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;
    let mut all = vec![SIGINT, SIGTERM, SIGUSR1];
    // `nohup` asks for deafness, which stays.
    if !is_ignored(SIGHUP) {
        all.push(SIGHUP);
    }
    let refuse = |error: std::io::Error| Error::invalid(format!("cannot catch signals: {error}"));
    let mut signals = Signals::new(all).map_err(refuse)?;
    let hear = move || {
        for signal in signals.forever() {
            if signal == SIGUSR1 {
                KEEP.store(true, Ordering::Relaxed);
                continue;
            }
            SIGNAL.store(signal, Ordering::Relaxed);
            if STOP.swap(true, Ordering::Relaxed) {
                durable::abandon_drafts();
                std::process::exit(i32::from(code_of(signal)));
            }
            if let Some(words) = words {
                // Nobody may be left to read it.
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "\n{}: {words}", name_of(signal));
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(hear).map_err(refuse)?;
    Ok(())
}

/// The same where there is Ctrl-C and little else.
#[cfg(not(unix))]
pub fn listen(_: Option<&'static str>) -> Result<()> {
    use signal_hook::consts::SIGINT;
    let refuse = |error: std::io::Error| Error::invalid(format!("cannot catch Ctrl-C: {error}"));
    let (stop, number) = (std::sync::Arc::new(AtomicBool::new(false)), SIGINT);
    signal_hook::flag::register_conditional_shutdown(number, 130, stop.clone()).map_err(refuse)?;
    signal_hook::flag::register(number, stop.clone()).map_err(refuse)?;
    let pass_on = move || loop {
        if stop.load(Ordering::Relaxed) {
            SIGNAL.store(number, Ordering::Relaxed);
            STOP.store(true, Ordering::Relaxed);
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    std::thread::Builder::new().spawn(pass_on).map_err(refuse)?;
    Ok(())
}

/// Whether this process was started deaf to a signal, where the system tells.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        15 => "SIGTERM",
        _ => "interrupted",
    }
}

/// The exit code that a shell gives a process which ends by a signal.
fn code_of(signal: i32) -> u8 {
    128 + u8::try_from(signal).unwrap_or(2)
}

/// The end that was asked for, as what a command comes to; `then` says what was kept and how to go on.
pub fn stopped(then: &str) -> Error {
    let signal = match SIGNAL.load(Ordering::Relaxed) {
        0 => 2,
        signal => signal,
    };
    Error::Stopped { message: format!("{}; {then}", name_of(signal)), code: code_of(signal) }
}
