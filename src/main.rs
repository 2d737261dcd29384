//! Parses the command line, carries the command out, prints the error, sets the exit code.

use clap::Parser;
use flowdistill::cli::Cli;
use flowdistill::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough (`head`, for instance): no failure.
        Err(Error::Output { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
