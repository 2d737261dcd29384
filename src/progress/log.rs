//! The log of a run: what was said while it went, with the time since it began; nobody's failure if it cannot be written.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// A file that lines are added to, or nothing.
pub struct Log {
    file: Option<File>,
    began: Instant,
}

impl Log {
    /// Adds to the file, which is made if it is not there.
    pub fn at(path: &Path) -> Self {
        let mut log = Self { file: File::options().create(true).append(true).open(path).ok(), began: Instant::now() };
        log.line(&format!("flowdistill {}", env!("CARGO_PKG_VERSION")));
        log
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        if let Some(file) = &mut self.file {
            let line = format!("{:>9.1} s  {line}\n", self.began.elapsed().as_secs_f64());
            // A full disk is told of by the files that matter.
            let _ = file.write_all(line.as_bytes());
        }
    }
}
