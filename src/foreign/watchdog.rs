//! What ends the processes of a density when we are ended without being asked.

use super::worker::Worker;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A shell that is told groups of processes until its standard input ends, which it does when whoever holds the other side is no more, and then
/// ends them, with all that they have started. In a group of its own, so that what is meant for ours does not reach it.
const SCRIPT: &str =
    "trap '' INT TERM HUP; while read -r group; do all=\"$all $group\"; done; for group in $all; do kill -KILL \"-$group\" 2>/dev/null; done";

/// Ends some groups of processes when we are ended, by whatever signal. Dropped, it does nothing any more.
pub struct Watchdog(Option<Child>);

impl Watchdog {
    /// Nobody.
    pub fn none() -> Self {
        Self(None)
    }

    /// One over nothing yet. Where there is no shell, nothing watches.
    pub fn start() -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Self(command.spawn().ok())
    }

    /// Watches the group that this worker leads, too: to be called as soon as it is there. Whoever ends us in the instant between leaves it behind.
    pub fn watch(&mut self, worker: &Worker) {
        if let Some(input) = self.0.as_mut().and_then(|child| child.stdin.as_mut()) {
            let _ = writeln!(input, "{}", worker.leader().as_raw_nonzero());
        }
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
