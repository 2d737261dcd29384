//! Parses the command line, carries the command out, prints the error, sets the exit code.

use flowdistill::cli::{to_json, Cli};
use flowdistill::error::Error;
use flowdistill::shown;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::read(&words) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough (`head`, for instance): no failure.
        Err(Error::Output { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it; the exit code says the same.
            let _ = match cli.is_json() {
                true => writeln!(std::io::stderr(), "{}", shown::text(&to_json(&error).to_string())),
                false => writeln!(std::io::stderr(), "error: {}", shown::error(&error.to_string())),
            };
            ExitCode::from(error.exit_code())
        }
    }
}
