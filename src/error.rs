//! The one error type of the crate, the exit code each error deserves, and the seam from the tensor library's errors.

use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, by whose hands it is in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the user wrote cannot be carried out: a field, an option, a combination.
    #[error("{0}")]
    Invalid(String),
    /// A file that was to be read is missing, malformed or not what it was taken for.
    #[error("{}: {message}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with line and column where there is one.
        message: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file that a run has kept could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The target density asked for the run to stop.
    #[error("the target failed: {0}")]
    Target(String),
    /// Training produced non-finite losses or gradients too many times in a row.
    #[error("training diverged: {0}")]
    Diverged(String),
    /// The tensor library refused (out of memory, for instance).
    #[error("tensor operation failed: {0}")]
    Tensor(String),
    /// Some of many runs did not come to their ends.
    #[error("{0}")]
    Unfinished(String),
    /// A result does not meet what `--require` asked of it.
    #[error("requirement not met: {0}")]
    Requirement(String),
    /// The user pressed Ctrl-C; what had been reached was kept.
    #[error("interrupted; what had been reached was kept")]
    Interrupted,
    /// A signal asked for the end.
    #[error("{message}")]
    Stopped {
        /// By what, what was kept, and how to go on.
        message: String,
        /// The exit code: 128 and the signal's number.
        code: u8,
    },
}

impl Error {
    /// An [`Error::Invalid`] from anything that prints.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Error::Invalid(message.to_string())
    }

    /// An [`Error::Input`] about `path`.
    pub fn input(path: &Path, message: impl std::fmt::Display) -> Self {
        Error::Input { path: path.to_path_buf(), message: message.to_string() }
    }

    /// An [`Error::Output`] about `path`.
    pub fn output(path: &Path, source: std::io::Error) -> Self {
        Error::Output { path: path.to_path_buf(), source }
    }

    /// An [`Error::Unread`] about `path`.
    pub fn unread(path: &Path, source: std::io::Error) -> Self {
        Error::Unread { path: path.to_path_buf(), source }
    }

    /// 2 for what the user can mend before a run, 1 for what went wrong under way, 3 for a requirement not met, 130 for
    /// an interruption, 128 and its number for another signal.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Invalid(_) | Error::Input { .. } => 2,
            Error::Requirement(_) => 3,
            Error::Interrupted => 130,
            Error::Stopped { code, .. } => *code,
            _ => 1,
        }
    }
}

impl From<dfdx::tensor::CpuError> for Error {
    fn from(error: dfdx::tensor::CpuError) -> Self {
        Error::Tensor(format!("{error:?}"))
    }
}
