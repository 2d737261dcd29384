//! Colours, where they are wanted and where somebody sees them.

use std::io::IsTerminal;

/// When to use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless the variable NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    /// Whether standard output gets them.
    pub fn is_on(self) -> bool {
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
                let wanted = set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb");
                wanted && std::io::stdout().is_terminal()
            }
        }
    }
}

/// How a report's line with the verdict begins, and a heading.
const VERDICT: &str = "Verdict: ";
const HEADING: &str = "## ";

/// The text with its verdict in colour: green, yellow, red.
pub fn verdicts(text: &str, colour: Colour) -> String {
    if !colour.is_on() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let words = line.strip_prefix(HEADING).unwrap_or(line).trim_end();
        let Some(verdict) = words.strip_prefix(VERDICT) else {
            out.push_str(line);
            continue;
        };
        let code = match verdict {
            "trusted" => "1;32",
            "correctable" => "1;33",
            _ => "1;31",
        };
        out.push_str(&format!("\u{1b}[{code}m{}\u{1b}[0m\n", line.trim_end()));
    }
    out
}
