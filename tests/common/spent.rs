//! What another program takes: its time on processors and the most memory that it has had.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What a process took from its beginning to its end.
pub struct Spent {
    pub status: ExitStatus,
    /// Time on processors, that of the system included.
    pub seconds: f64,
    /// The most resident memory, MB.
    pub megabytes: f64,
}

/// Waits for the end of `child`, which is killed after `most`. Its output must not go into a pipe that nobody reads.
pub fn spent(mut child: Child, most: Duration) -> Spent {
    let begun = Instant::now();
    let mut status = 0;
    // SAFETY: all zeros are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places outlive the call, and nobody else waits for the child.
    while unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, libc::WNOHANG, &mut usage) } == 0 {
        if begun.elapsed() > most {
            child.kill().expect("killed");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + 1e-6 * time.tv_usec as f64;
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    Spent {
        status: std::os::unix::process::ExitStatusExt::from_raw(status),
        seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        megabytes: unit * usage.ru_maxrss as f64 / 1e6,
    }
}
