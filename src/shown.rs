//! Text from elsewhere as it is shown: never as long as whoever wrote it likes, and without anything that moves a cursor or turns a line round.

use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// Characters of one value that are quoted.
const QUOTED: usize = 200;

/// Characters of a line of an error, and its lines.
const LONGEST_LINE: usize = 4_000;
const MOST_LINES: usize = 200;

/// Names of a list that are named.
const LISTED: usize = 20;

/// The length of an escaped character.
const ESCAPED: usize = "\\u0000".len();

/// Whether a terminal may do something else with it than show it: control characters, marks that change the direction of text, separators of
/// lines and what has no width.
fn is_hidden(c: char) -> bool {
    let marks = ['\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}'];
    c.is_control()
        || marks.contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Such characters as `\u001b`, which JSON and a shell's `$'…'` know too; they are all below U+10000.
fn push(text: &mut String, c: char) {
    if is_hidden(c) {
        let _ = write!(text, "\\u{:04x}", u32::from(c));
    } else {
        text.push(c);
    }
}

/// At most `most` characters of a text, with nothing hidden.
pub fn cut(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    rest.by_ref().take(most).for_each(|c| push(&mut shown, c));
    if rest.next().is_some() {
        let _ = write!(shown, "… ({} bytes)", text.len());
    }
    shown
}

/// What a file says, in 200 characters at most and with nothing hidden.
pub fn quoted(text: &str) -> String {
    cut(text, QUOTED)
}

/// The columns that a text takes on a terminal, what is hidden in it as it is escaped: wide characters take two, marks on others none.
pub fn columns(text: &str) -> usize {
    let of = |c: char| if is_hidden(c) { ESCAPED } else { c.width().unwrap_or(0) };
    text.chars().map(of).sum()
}

/// The first coordinates of a place, in parentheses.
pub fn place(point: &[f64]) -> String {
    let numbers: Vec<String> = point.iter().take(4).map(|x| format!("{x:.4}")).collect();
    format!("({}{})", numbers.join(", "), if point.len() > 4 { ", …" } else { "" })
}

/// Names, the first of many.
pub fn list<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| quoted(name.as_ref())).collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{}, … and {more} more", shown.join(", ")),
    }
}

/// A whole text with its lines and tabs, and nothing else that is hidden.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            _ => push(&mut shown, c),
        }
    }
    shown
}

/// The text of an error, as [`text`]; long lines and many of them are cut.
pub fn error(of: &str) -> String {
    let cut = |line: &str| match line.chars().nth(LONGEST_LINE) {
        None => text(line),
        Some(_) => format!("{}…", text(&line.chars().take(LONGEST_LINE).collect::<String>())),
    };
    let mut lines: Vec<String> = of.lines().take(MOST_LINES).map(cut).collect();
    if of.lines().nth(MOST_LINES).is_some() {
        lines.push("…".into());
    }
    lines.join("\n")
}

/// Says a line, or several, on standard error, with nothing hidden. Nobody may be left to read it, which is no reason to fail.
pub fn on_stderr(lines: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{}\n", text(lines)).as_bytes());
}

/// [`on_stderr`] with the arguments of `format!`.
macro_rules! say {
    ($($words:tt)*) => { $crate::shown::on_stderr(&format!($($words)*)) };
}
pub(crate) use say;

/// A command as a shell would need it to be written, so that every word is told from the next.
pub fn command<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| shell_word(word.as_ref())).collect::<Vec<String>>().join(" ")
}

fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    if !word.chars().any(is_hidden) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for c in word.chars() {
        if matches!(c, '\\' | '\'') {
            quoted.push('\\');
        }
        push(&mut quoted, c);
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_differ_look_different() {
        assert_eq!(command(&["python3", "a b"]), "python3 'a b'");
        assert_eq!(command(&["python3", "a", "b"]), "python3 a b");
        assert_eq!(command(&["sh", "-c", "it's", ""]), r"sh -c 'it'\''s' ''");
        assert_eq!(command(&["x\u{1b}[2K\r\u{202e}\\'"]), r"$'x\u001b[2K\u000d\u202e\\\''");
        assert_eq!(command(&["~", "$HOME", "a\u{85}"]), r"'~' '$HOME' $'a\u0085'");
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        for (text, width) in [("abc", 3), ("日本", 4), ("e\u{301}", 1), ("ü", 1), ("\u{202e}", 6), ("🙂", 2), ("", 0)]
        {
            assert_eq!(columns(text), width, "{text:?}");
        }
        assert_eq!(columns("a\u{202e}b"), quoted("a\u{202e}b").len());
    }

    #[test]
    fn what_is_long_or_hidden_is_cut_and_escaped() {
        assert_eq!(quoted("a\u{1b}]0;b\u{2066}é\n"), "a\\u001b]0;b\\u2066é\\u000a");
        let long = quoted(&"x".repeat(1_000_000));
        assert!(long.len() < 230 && long.ends_with("… (1000000 bytes)"), "{long}");
        assert_eq!(quoted(&"x".repeat(QUOTED)), "x".repeat(QUOTED));
        assert!(list(&vec!["name"; 100_000]).len() < 200);
        assert_eq!(error("one\r\n\ttwo\u{202e}"), "one\n\ttwo\\u202e");
        assert!(error(&"long ".repeat(1_000_000)).len() < 5_000 && error(&"x\n".repeat(10_000)).lines().count() <= 201);
    }
}
