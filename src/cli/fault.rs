//! What went wrong, as an object for programs.

use super::Cli;
use crate::error::Error;
use clap::error::{Error as Usage, ErrorKind};
use clap::Parser;
use serde_json::{json, Value};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

impl Cli {
    /// The command line; what is wrong with it is said, as JSON where `--json` is in it, and the exit code returned.
    ///
    /// # Errors
    /// The exit code: 2 for a wrong command line, 0 where help was asked for.
    pub fn read(words: &[OsString]) -> Result<Self, u8> {
        Cli::try_parse_from(words).map_err(|usage| say_usage(&usage, words))
    }

    /// Whether errors are said as JSON.
    pub fn is_json(&self) -> bool {
        self.global.json
    }
}

fn say_usage(usage: &Usage, words: &[OsString]) -> u8 {
    let asked = matches!(usage.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked && words.iter().any(|word| word == "--json") {
        let text = usage.render().to_string();
        let message = text.lines().next().unwrap_or("").trim_start_matches("error: ");
        // Nobody may be left to read it.
        let _ = writeln!(std::io::stderr(), "{}", object(message, None, usage.exit_code() as u8));
    } else {
        // Nobody may be left to read it.
        let _ = usage.print();
    }
    usage.exit_code() as u8
}

/// The object: `message`, `file`, `line`, `column` and `field` (null where there is none), `exit_code`.
pub fn to_json(error: &Error) -> Value {
    let (message, file) = match error {
        Error::Input { path, message } => (message.clone(), Some(path.as_path())),
        Error::Output { path, .. } => (error.to_string(), Some(path.as_path())),
        other => (other.to_string(), None),
    };
    object(&message, file, error.exit_code())
}

fn object(message: &str, file: Option<&Path>, exit_code: u8) -> Value {
    let number = |after: &str| {
        let (_, rest) = message.split_once(after)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let line = number("line ");
    json!({
        "message": message,
        "file": file.map(|file| file.to_string_lossy()),
        "line": line,
        "column": line.and_then(|_| number("column ")),
        "field": field(message),
        "exit_code": exit_code,
    })
}

/// The field of an experiment that a message is about: those at its beginning, such as `stages[0].training.steps is 0` or `target: dim is 1`.
fn field(message: &str) -> Option<String> {
    let message =
        message.split_once("\n  ").filter(|(first, _)| first.ends_with(" faults")).map_or(message, |(_, rest)| rest);
    let message = match message.strip_prefix("--set ") {
        Some(rest) => rest.split_once(": ")?.1,
        None => message,
    };
    let mut path = String::new();
    let mut rest = message;
    loop {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.[]".contains(c);
        let word = rest.split(|c: char| !legal(c)).next().unwrap_or("");
        let after = &rest[word.len()..];
        let ends = after.starts_with(" is ");
        if word.is_empty() || !word.starts_with(|c: char| c.is_ascii_lowercase()) || !(ends || after.starts_with(": "))
        {
            break;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path += word.trim_end_matches('.');
        if ends {
            break;
        }
        rest = &after[2..];
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_say_the_place() {
        for (message, right) in [
            ("target: dim is 1; at least 2 is right", Some("target.dim")),
            ("stages[0]: batch is 0; 1 to 3 is right", Some("stages[0].batch")),
            ("2 faults\n  teacher.hidden[0] is 0; x\n  seed is 1", Some("teacher.hidden[0]")),
            ("--set seed=1,2: seed is `1,2`, which is several", Some("seed")),
            ("a model is right", None),
            ("No such file or directory (os error 2)", None),
            ("cannot write x: is full", None),
        ] {
            assert_eq!(field(message).as_deref(), right, "{message}");
        }
        let error = Error::input(Path::new("a.ron"), "line 3, column 14: `x` is no text");
        let found = to_json(&error);
        assert_eq!((&found["line"], &found["column"], &found["file"]), (&json!(3), &json!(14), &json!("a.ron")));
        assert_eq!((&found["exit_code"], &found["field"]), (&json!(2), &Value::Null));
    }
}
