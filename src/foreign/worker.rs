//! One process with its pipes: started, spoken to without ever waiting longer than allowed, and ended with all that it started.

pub use super::watchdog::Watchdog;

use super::frames::{Expected, Greeting, Incoming, Request};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process_group, waitid, Pid, Signal, WaitId, WaitIdOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// What is kept of the end of a process's standard error.
const TAIL: usize = 2048;

/// Read from standard error at one go, so that a process which never stops talking cannot keep us.
const MOST_CHATTER: usize = 1 << 18;

/// Time for a process to end by itself once nothing more will be asked.
const FAREWELL: Duration = Duration::from_millis(200);

/// A process that evaluates densities.
pub struct Worker {
    child: Child,
    /// Closed to tell it that nothing more will be asked.
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: Option<ChildStderr>,
    tail: Vec<u8>,
    outgoing: Vec<u8>,
    written: usize,
    incoming: Incoming,
    done: bool,
}

impl Worker {
    /// Starts `command` in `folder`; its greeting is still to come.
    pub fn start(command: &[String], folder: &Path) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("its command is empty")?;
        // A program given by a path is sought from the experiment; one without a slash is sought like in a shell.
        let path = match program.contains('/') {
            true => std::path::absolute(folder.join(program)).map_err(|error| error.to_string())?,
            false => program.into(),
        };
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is ours to handle, and whatever it starts in turn can be ended with it.
        command.process_group(0);
        if folder != Path::new("") {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(|error| format!("cannot start {program:?}: {error}"))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("cannot speak to {program:?}"));
        };
        let worker = Self {
            child,
            input: Some(input),
            output,
            errors: Some(errors),
            tail: Vec::new(),
            outgoing: Vec::new(),
            written: 0,
            incoming: Incoming::new(Expected::Greeting),
            done: false,
        };
        worker.never_block().map_err(|error| format!("cannot speak to {program:?}: {error}"))?;
        Ok(worker)
    }

    /// Its number, which is that of the group of what it starts.
    pub fn leader(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn never_block(&self) -> rustix::io::Result<()> {
        if let Some(input) = &self.input {
            rustix::io::ioctl_fionbio(input, true)?;
        }
        if let Some(errors) = &self.errors {
            rustix::io::ioctl_fionbio(errors, true)?;
        }
        rustix::io::ioctl_fionbio(&self.output, true)
    }

    /// Prepares a request; [`exchange`] carries it out.
    pub fn ask<'a>(&mut self, request: Request, points: impl Iterator<Item = &'a [f64]>) {
        request.write(points, &mut self.outgoing);
        self.incoming.expect(Expected::Answer(request));
        (self.written, self.done) = (0, false);
    }

    /// The greeting that came.
    pub fn greeting(&self) -> Result<Greeting, String> {
        self.incoming.payload().and_then(Greeting::read)
    }

    /// The payload that came.
    pub fn payload(&self) -> Result<&[u8], String> {
        self.incoming.payload()
    }

    /// Writes and reads as much as the pipes take and have.
    fn advance(&mut self) -> Result<(), String> {
        self.listen();
        while let Some(input) = self.input.as_mut().filter(|_| self.written < self.outgoing.len()) {
            match input.write(&self.outgoing[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It does not listen any more. What it said last is still to be read.
                Err(_) => self.input = None,
            }
        }
        while !self.done {
            match self.output.read(self.incoming.room()) {
                Ok(0) => return Err(self.ended()),
                Ok(n) => self.done = self.incoming.advance(n)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot read its standard output: {error}")),
            }
        }
        Ok(())
    }

    /// Empties its standard error, of which the end is kept.
    fn listen(&mut self) {
        let (mut chunk, mut heard) = ([0; 4096], 0);
        while let Some(errors) = self.errors.as_mut().filter(|_| heard < MOST_CHATTER) {
            match errors.read(&mut chunk) {
                Ok(n) if n > 0 => {
                    heard += n;
                    self.tail.extend_from_slice(&chunk[..n]);
                    let surplus = self.tail.len().saturating_sub(TAIL);
                    self.tail.drain(..surplus);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => self.errors = None,
            }
        }
    }

    /// Its output is at an end: how it ended, and within what.
    fn ended(&mut self) -> String {
        let begun = Instant::now();
        let mut how = "it closed its standard output".to_string();
        while begun.elapsed() < FAREWELL {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(status)) = waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
                how = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => format!("it ended with exit status {code}"),
                    (_, Some(signal)) => format!("it was ended by signal {signal}"),
                    _ => "it ended".into(),
                };
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        match self.incoming.filled() {
            0 => how,
            n => format!("{how} after {n} bytes of a frame"),
        }
    }

    /// `fault` with the last lines of its standard error.
    pub fn with_last_words(&mut self, fault: &str) -> String {
        self.listen();
        let text = String::from_utf8_lossy(&self.tail);
        let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
        let text: String = text.trim().chars().map(visible).collect();
        let lines: Vec<&str> = text.lines().collect();
        if lines.is_empty() {
            return fault.into();
        }
        let last = lines[lines.len().saturating_sub(12)..].join("\n    ");
        format!("{fault}; its standard error ends with\n    {last}")
    }
}

/// Sends what was asked and waits for every answer, at most `timeout` in all; on failure also says which worker failed.
pub fn exchange(workers: &mut [Worker], timeout: Duration) -> Result<(), (usize, String)> {
    let deadline = Instant::now() + timeout;
    loop {
        for (place, worker) in workers.iter_mut().enumerate().filter(|(_, worker)| !worker.done) {
            worker.advance().map_err(|fault| (place, fault))?;
        }
        let Some(place) = workers.iter().position(|worker| !worker.done) else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err((place, format!("it did not answer within {} s", timeout.as_secs_f64())));
        }
        wait(workers, left);
    }
}

/// Waits until some pipe is ready, or some time has passed.
fn wait(workers: &[Worker], most: Duration) {
    let mut pipes = Vec::with_capacity(3 * workers.len());
    for worker in workers.iter().filter(|worker| !worker.done) {
        pipes.push(PollFd::from_borrowed_fd(worker.output.as_fd(), PollFlags::IN));
        if let Some(errors) = &worker.errors {
            pipes.push(PollFd::from_borrowed_fd(errors.as_fd(), PollFlags::IN));
        }
        if let Some(input) = worker.input.as_ref().filter(|_| worker.written < worker.outgoing.len()) {
            pipes.push(PollFd::from_borrowed_fd(input.as_fd(), PollFlags::OUT));
        }
    }
    // An error (an interruption, for instance) only means that the caller looks again.
    let _ = poll(&mut pipes, Timespec::try_from(most.min(Duration::from_secs(3600))).ok().as_ref());
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.input = None;
        let begun = Instant::now();
        // Its output ends when it does. One that was asked something is not given the time to answer.
        while self.done && begun.elapsed() < FAREWELL {
            let mut rest = [0; 4096];
            self.listen();
            match self.output.read(&mut rest) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                Err(error) if error.kind() != ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        // Before it is waited for: until then nobody else can have its number.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
