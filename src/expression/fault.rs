//! What is wrong with an expression, and where: shown with its line and a caret.

use crate::shown;

/// A stretch of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A fault at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub span: Span,
    pub message: String,
}

/// What is made of a stretch of the text, unless it is refused.
pub(super) type Lowered<T> = Result<T, Fault>;

/// A refusal with its place.
pub(super) fn at<T>(span: Span, made: Result<T, String>) -> Lowered<T> {
    made.map_err(|message| Fault::new(span, message))
}

impl Fault {
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }

    /// The message with line and column, the line itself and carets under the place.
    pub fn show(&self, text: &str) -> String {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let (number, column) = (text[..from].matches('\n').count() + 1, text[from..start].chars().count() + 1);
        // A line may be very long; its neighbourhood is enough.
        let skipped = (column - 1).saturating_sub(80);
        let shown: String = text[from..to].trim_end().chars().skip(skipped).take(120).collect();
        let shown = shown.replace('\t', " ");
        let before: String = shown.chars().take(column - 1 - skipped).collect();
        let carets = shown::columns(&text[start..end.min(to)].replace('\t', " ")).clamp(1, 120);
        let gap = " ".repeat(shown::columns(&before));
        format!(
            "line {number}, column {column}: {}\n  {shown}\n  {gap}{}",
            self.message,
            "^".repeat(carets.min(120usize.saturating_sub(gap.len()).max(1)))
        )
    }
}

/// The start of the character that holds byte `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// "; did you mean `x`?", or the legal names where none is near.
pub(super) fn advice<'a>(found: &str, legal: impl IntoIterator<Item = &'a str>) -> String {
    let mut legal: Vec<&str> = legal.into_iter().collect();
    let found = found.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&found, &name.to_lowercase());
    let nearest = legal.iter().copied().min_by_key(|name| distance(name));
    if let Some(name) = nearest.filter(|name| distance(name) <= 1 + name.chars().count() / 4 && found.len() > 1) {
        return format!("; did you mean `{name}`?");
    }
    legal.sort_unstable();
    let more = legal.len().saturating_sub(60);
    legal.truncate(60);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    if legal.is_empty() {
        String::new()
    } else {
        format!("; there are {}{rest}", legal.join(", "))
    }
}
