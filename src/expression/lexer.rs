//! From text to tokens: numbers, names, signs, and the ends of lines that end a statement.

use super::fault::{Fault, Span};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Number(f64),
    Name(&'a str),
    /// A sign or a keyword.
    Sign(&'static str),
    /// The end of a line, or a semicolon.
    Line,
    End,
}

/// Longest first where one begins another.
const SIGNS: [&str; 22] =
    ["..", "==", "!=", "<=", ">=", "+", "-", "*", "/", "^", "@", "(", ")", "[", "]", ",", ":", "=", "<", ">", "~", ";"];

pub(super) const KEYWORDS: [&str; 7] = ["if", "then", "else", "in", "and", "or", "not"];

/// After these a line goes on in the next.
const OPEN: [&str; 26] = [
    "..", "==", "!=", "<=", ">=", "+", "-", "*", "/", "^", "@", "(", "[", ",", ":", "=", "<", ">", "~", "then", "else",
    "and", "or", "not", "if", "in",
];

impl Token<'_> {
    /// How a message calls it.
    pub fn describe(&self) -> String {
        match self {
            Token::Number(value) => format!("the number {value}"),
            Token::Name(name) => format!("`{name}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Line => "the end of the line".into(),
            Token::End => "the end".into(),
        }
    }
}

/// The tokens of `text`, each with its place; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Span)>, Fault> {
    let mut tokens: Vec<(Token, Span)> = Vec::new();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c == '\n' || c == ';' {
            let explicit = c == ';';
            let span = Span::new(at, at + 1);
            at += 1;
            let open = match tokens.last() {
                None | Some((Token::Line, _)) => true,
                Some((Token::Sign(sign), _)) => !explicit && OPEN.contains(sign),
                _ => false,
            };
            if depth == 0 && !open {
                tokens.push((Token::Line, span));
            } else if explicit && depth > 0 {
                return Err(Fault::new(span, "found `;` inside brackets; a `)` or `]` is missing before it"));
            }
        } else if c.is_whitespace() {
            at += c.len_utf8();
        } else if c == '#' || rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let len = number_len(rest);
            let span = Span::new(at, at + len);
            let value = rest[..len].parse::<f64>().ok().filter(|value| value.is_finite());
            let value = value.ok_or_else(|| Fault::new(span, format!("{} is no finite number", &rest[..len])))?;
            at += len;
            if text[at..].starts_with(|c: char| c.is_alphabetic() || c == '_') {
                let message = "a name cannot begin with a digit; for a product, `*` is right";
                return Err(Fault::new(Span::new(span.start, at + 1), message));
            }
            tokens.push((Token::Number(value), span));
        } else if c.is_alphabetic() || c == '_' {
            let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (word, span) = (&rest[..len], Span::new(at, at + len));
            at += len;
            match KEYWORDS.into_iter().find(|keyword| *keyword == word) {
                // A line that begins with `then` or `else` goes on with the one before.
                Some(keyword) => {
                    if keyword == "then" || keyword == "else" {
                        tokens.pop_if(|(token, span)| *token == Token::Line && !text[span.start..].starts_with(';'));
                    }
                    tokens.push((Token::Sign(keyword), span));
                }
                None => tokens.push((Token::Name(word), span)),
            }
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            match sign {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            tokens.push((Token::Sign(sign), Span::new(at, at + sign.len())));
            at += sign.len();
        } else {
            let hint = match c {
                '&' => "; `and` is right for both",
                '|' => "; `or` is right for either, `abs(x)` for the absolute value",
                '!' => "; `not` is right",
                '{' | '}' => "; `if … then … else …` and lines need no braces",
                '%' => "; there is no remainder",
                '\'' => "; `dot(a, b)` or `X @ b` is right for a product of vectors",
                _ => "",
            };
            return Err(Fault::new(
                Span::new(at, at + c.len_utf8()),
                format!("found `{c}`, which means nothing here{hint}"),
            ));
        }
    }
    let end = text.trim_end().len();
    tokens.push((Token::End, Span::new(end, end)));
    Ok(tokens)
}

/// The length of the number at the start of `text`. A point that begins `..` does not belong to it.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut len = digits(0);
    if bytes.get(len) == Some(&b'.') && bytes.get(len + 1) != Some(&b'.') {
        len = digits(len + 1);
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let end = digits((len + 1 + sign).min(bytes.len()));
        if end > len + 1 + sign {
            len = end;
        }
    }
    len
}
