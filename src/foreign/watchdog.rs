//! What ends the processes of a density when we are ended without being asked.

use super::worker::Worker;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A shell that waits for its standard input to end, which it does when whoever holds the other side is no more, and then ends the groups
/// of processes that it was told, with all that they have started. In a group of its own, so that what is meant for ours does not reach it.
const SCRIPT: &str =
    "trap '' INT TERM HUP; read -r _; for group in \"$@\"; do kill -KILL \"-$group\" 2>/dev/null; done";

/// Ends some groups of processes when we are ended, by whatever signal. Dropped, it does nothing any more.
pub struct Watchdog(Option<Child>);

impl Watchdog {
    /// Nobody.
    pub fn none() -> Self {
        Self(None)
    }

    /// One over the groups that these workers lead. Where there is no shell, nothing watches.
    pub fn over(workers: &[Worker]) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .args(workers.iter().map(|worker| worker.leader().as_raw_nonzero().to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Self(command.spawn().ok())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Before the groups are waited for: until then nobody else can have their numbers.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
