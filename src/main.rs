//! Parses the command line, carries the command out, prints the error, sets the exit code.

use clap::Parser;
use flowdistill::cli::Cli;
use flowdistill::error::Error;
use flowdistill::shown;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough (`head`, for instance): no failure.
        Err(Error::Output { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it; the exit code says the same.
            let _ = writeln!(std::io::stderr(), "error: {}", shown::error(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}
