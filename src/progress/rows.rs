//! A bar over rows, for commands that stream.

use indicatif::ProgressBar;
use std::io::IsTerminal;

/// A bar over a known number of rows, for commands that stream.
pub struct RowBar(Option<ProgressBar>);

impl RowBar {
    /// A bar over `rows` rows; silent when quiet or where standard error is not a terminal.
    pub fn new(quiet: bool, rows: u64) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        Self(shown.then(|| ProgressBar::new(rows)))
    }

    /// `rows` more are done.
    pub fn advance(&self, rows: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(rows);
        }
    }
}

impl Drop for RowBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
