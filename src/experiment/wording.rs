//! What is wrong with a value that a parser refuses, in the words of this program: what stands there, and what would be right.

use crate::conditioner::Structure;
use crate::ops::linear::Matrix;
use crate::shown;
use crate::transformer::Transformer;
use ron::error::{Position, SpannedError};
use ron::Error as Ron;
use serde::de::DeserializeOwned;
use serde_json::{json, Value};

/// What no field and no variant is called: whoever is given it says what is possible.
const NOBODY: &str = "no__name";

/// The longest list of names, in characters.
const LONGEST: usize = 600;

/// Where something is wrong: where it begins, or where it is cut off.
pub(super) fn place(error: &SpannedError) -> Position {
    match &error.code {
        Ron::ExpectedComma | Ron::ExpectedArrayEnd | Ron::ExpectedMapEnd | Ron::ExpectedStructLikeEnd | Ron::Eof => {
            error.span.end
        }
        _ => error.span.start,
    }
}

/// What is wrong with the RON `text`; `parse` tells it of any other text.
pub(super) fn of_ron(error: &SpannedError, text: &str, parse: impl Fn(&str) -> Option<SpannedError>) -> String {
    let at = offset(text, &place(error));
    let (before, rest) = text.split_at(at);
    let found = shown::cut(rest.trim_start().split(['\n', ',', ')', ']', '}']).next().unwrap_or("").trim(), 60);
    let there = if found.is_empty() {
        rest.trim_start().chars().next().map_or("the end".into(), |c| format!("`{c}`"))
    } else {
        format!("`{found}`")
    };
    let word = before.trim_end().rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("");
    match &error.code {
        Ron::ExpectedIdentifier => {
            let probe = parse(&format!("{before} {NOBODY} {rest}")).map(|error| error.code);
            let opened = before.trim_end().ends_with('(') && rest.trim_start().starts_with('(');
            let of =
                before.trim_end().trim_end_matches('(').rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next();
            let of = of.filter(|of| !of.is_empty()).map_or(String::new(), |of| format!(" of `{of}`"));
            match probe {
                Some(Ron::NoSuchStructField { expected, .. }) if opened => {
                    format!("a second `(`; one is enough, and in it the fields{of}: {}", list(expected))
                }
                Some(Ron::NoSuchStructField { expected, .. }) => {
                    format!("{there} where a field{of} is right: {}", list(expected))
                }
                Some(Ron::NoSuchEnumVariant { expected, .. }) if found.is_empty() => {
                    format!("nothing in the parentheses{of}; one of {} is right", list(expected))
                }
                Some(Ron::NoSuchEnumVariant { expected, .. }) => {
                    format!("{there} where one of {} is right", list(expected))
                }
                _ => format!("{there} where a name is right"),
            }
        }
        Ron::ExpectedStructLike | Ron::ExpectedNamedStructLike(_) if word.starts_with(char::is_uppercase) => {
            let probe = parse(&format!("{before}({NOBODY}:0){rest}")).map(|error| error.code);
            let fields = match probe {
                Some(Ron::NoSuchStructField { expected, .. }) if !expected.is_empty() => {
                    format!("; its fields are {}", list(expected))
                }
                _ => String::new(),
            };
            format!("`{word}` without its parentheses; `{word}()` is right{fields}")
        }
        Ron::ExpectedStructLike | Ron::ExpectedNamedStructLike(_) => {
            let probe = parse(&format!("{before}({NOBODY}:0){}", &rest[end_of_value(rest)..])).map(|error| error.code);
            match probe {
                Some(Ron::NoSuchStructField { expected, .. }) => {
                    format!("{there}; fields in parentheses are right, `(field: value, …)`, of {}", list(expected))
                }
                _ => format!("{there}; something in parentheses is right"),
            }
        }
        Ron::ExpectedInteger => format!("{there} is no whole number, and one is right"),
        Ron::IntegerOutOfBounds if before.trim_end().ends_with('-') => {
            format!("`-{found}` is below what this number may be; 0 or more is right")
        }
        Ron::IntegerOutOfBounds => format!("{there} is below or beyond what this number may be"),
        Ron::ExpectedFloat => format!("{there} is no number, and one is right"),
        Ron::ExpectedBoolean => format!("{there} is neither `true` nor `false`, and one of them is right"),
        Ron::ExpectedString => format!("{there} is no text; \"text in quotes\" is right"),
        Ron::ExpectedChar => format!("{there} is no character; 'c', one in single quotes, is right"),
        Ron::ExpectedArray => format!("{there} is no list; `[…]` is right"),
        Ron::ExpectedMap => format!("{there} is no map; `{{ \"name\": …, }}` is right"),
        Ron::ExpectedUnit => format!("{there}, where `()` is right"),
        Ron::ExpectedMapColon => format!("{there}, where a `:` and a value are right"),
        Ron::ExpectedComma | Ron::ExpectedStructLikeEnd | Ron::ExpectedArrayEnd
            if found.starts_with('.') && word.ends_with(|c: char| c.is_ascii_digit()) =>
        {
            format!("`{word}{found}` is no whole number, and one is right")
        }
        Ron::ExpectedComma => format!("{there}, where a comma or a closing bracket is right"),
        Ron::ExpectedArrayEnd => format!("{there}, where a comma or `]` is right"),
        Ron::ExpectedMapEnd => format!("{there}, where a comma or `}}` is right"),
        Ron::ExpectedStructLikeEnd | Ron::ExpectedOptionEnd => format!("{there}, where a comma or `)` is right"),
        Ron::ExpectedStringEnd => "a text that does not end: its closing quote is missing".into(),
        Ron::UnclosedBlockComment => "a comment that does not end: its `*/` is missing".into(),
        Ron::Eof => "the end, in the midst of something: a bracket or a value is missing".into(),
        Ron::TrailingCharacters => format!("{there} after the end"),
        Ron::MissingStructField { field, .. } => format!("the field `{field}` is missing"),
        Ron::DuplicateStructField { field, .. } => format!("the field `{field}` is there twice"),
        Ron::NoSuchStructField { expected, found, .. } => no_such("field", found, expected),
        Ron::NoSuchEnumVariant { expected, found, .. } => {
            no_such("choice", found, expected) + &layer_advice(found, expected)
        }
        Ron::Message(message) => shown::cut(&of_message(message), LONGEST),
        other => shown::cut(&other.to_string(), LONGEST),
    }
}

/// What is wrong with the `value`, written as `text`, of a field. `read` tells what a reader says of another one in its place.
pub(super) fn of_json(field: &str, text: &str, said: &str, read: impl Fn(Value) -> Option<String>) -> String {
    let text = shown::quoted(text);
    let of_nobody = |value: Value| {
        let said = read(value)?;
        let names = backticked(said.split_once(", expected ")?.1);
        said.starts_with("unknown").then_some(names).filter(|names| !names.is_empty())
    };
    if let Some(rest) = said.strip_prefix("unknown variant ").or_else(|| said.strip_prefix("unknown field ")) {
        let (found, names) = rest.split_once(", ").unwrap_or((rest, ""));
        let (found, names) = (found.trim_matches('`'), backticked(names));
        let what = if said.starts_with("unknown variant") { "choice" } else { "field" };
        return format!("{field} is `{text}`: {}", no_such(what, found, &names)) + &layer_advice(found, &names);
    }
    if let Some(missing) = said.strip_prefix("missing field ") {
        let name = text.split('(').next().unwrap_or("").trim();
        let missing = missing.trim_matches('`');
        return format!("{field} is `{text}`, without its field `{missing}`; `{name}({missing}: …)` is right");
    }
    let Some((_, expected)) = said.split_once(", expected ") else { return format!("{field} is `{text}`: {said}") };
    let is_name = text.chars().all(|c| c.is_alphanumeric() || c == '_') && text.starts_with(char::is_uppercase);
    let holds_fields =
        ["struct variant", "tuple variant", "newtype variant"].iter().any(|kind| expected.starts_with(kind));
    if is_name && holds_fields {
        let fields = of_nobody(json!({ text.as_str(): { NOBODY: 0 } }));
        let fields = fields.map_or(String::new(), |names| format!("; its fields are {}", list(&names)));
        return format!("{field} is `{text}`, without its parentheses; `{text}()` is right{fields}");
    }
    let right = match expected {
        "u64" | "usize" | "u32" | "u16" | "u8" => "a whole number from 0".to_string(),
        "i64" | "isize" | "i32" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" | "path string" => "a text".into(),
        "a sequence" => "a list, `[…]`,".into(),
        "a character" => "one character".into(),
        "map with a single key" => "`Name(…)`, with what it is of in the parentheses,".into(),
        _ => {
            let (fields, choices) = (of_nobody(json!({ NOBODY: 0 })), of_nobody(Value::from(NOBODY)));
            match (choices, fields) {
                (Some(names), _) => format!("one of {}", list(&names)),
                (None, Some(names)) => {
                    let first = &names[0];
                    return format!(
                        "{field} is `{text}`; it has fields, {}, so that `{field}.{first}=…` or `{field}=({first}: …)` is right",
                        list(&names)
                    );
                }
                _ => expected.replace("struct ", ""),
            }
        }
    };
    format!("{field} is `{text}`; {right} is right")
}

/// Where a place of the parser is in bytes.
fn offset(text: &str, place: &Position) -> usize {
    let mut from = 0;
    for _ in 1..place.line {
        from = text[from..].find('\n').map_or(text.len(), |at| from + at + 1);
    }
    let line = text[from..].split('\n').next().unwrap_or("");
    from + line.char_indices().nth(place.col.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
}

/// Where a value ends that holds no brackets.
fn end_of_value(text: &str) -> usize {
    text.find([',', ')', ']', '}', '\n']).unwrap_or(text.len())
}

/// Texts of visitors, which say what they found in a way of their own.
fn of_message(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, right)) => {
            let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
            format!("{found}, where {right} is right")
        }
        None => message.into(),
    }
}

fn list<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    shown::cut(&names.join(", "), LONGEST)
}

fn no_such<T: AsRef<str>>(what: &str, found: &str, legal: &[T]) -> String {
    let names: Vec<&str> = legal.iter().map(AsRef::as_ref).collect();
    let advice = nearest(found, &names).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
    let found = shown::quoted(found);
    match names.len() {
        0 => format!("there is no {what} `{found}`, nor any other"),
        1 => format!("there is no {what} `{found}`; only {} is right{advice}", list(legal)),
        _ => format!("there is no {what} `{found}`; one of {} is right{advice}", list(legal)),
    }
}

/// The legal name that is most like the one that was found.
fn nearest<'a>(found: &str, legal: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase());
    legal.iter().copied().min_by_key(|name| distance(name)).filter(|name| distance(name) <= 1 + name.len() / 3)
}

/// How a layer is written of which somebody knows only a part.
fn layer_advice<T: AsRef<str>>(found: &str, legal: &[T]) -> String {
    if !legal.iter().any(|name| name.as_ref() == "Masked") {
        return String::new();
    }
    let is = |names: Vec<String>| names.iter().any(|name| name == found);
    if is(names_of::<Structure>()) {
        format!("; a layer of that structure is `Masked(structure: {found}…)`")
    } else if is(names_of::<Transformer>()) {
        format!("; a layer of that map is `Masked(transformer: {found}…)`")
    } else if is(names_of::<Matrix>()) {
        format!("; a layer of that matrix is `Linear({found}…)`")
    } else {
        String::new()
    }
}

/// The variants of a type, as it tells them itself.
fn names_of<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_value::<T>(Value::from(NOBODY)).err().map(|error| error.to_string());
    error.and_then(|error| error.split_once(", expected ").map(|(_, names)| backticked(names))).unwrap_or_default()
}

/// What stands in backticks.
fn backticked(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_string).collect()
}
