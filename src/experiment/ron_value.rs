//! The RON of one value as JSON, without knowing its type: `Spline(bins: 8)` is `{"Spline": {"bins": 8}}`.

use serde_json::{Map, Value};

/// Values nested deeper than this are refused.
const DEEPEST: usize = 64;

/// Reads numbers, booleans, quoted text, lists, `(field: value, …)`, and variants: `Name`, `Name(value, …)`, `Name(field: value, …)`.
/// None if `text` is not one whole value of these.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.rest.trim_start().is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Whether `token` comes next, which is then read.
    fn eat(&mut self, token: char) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(token);
        self.rest = found.unwrap_or(rest);
        found.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        if self.eat('[') {
            return self.values(']', depth).map(Value::Array);
        }
        if self.eat('(') {
            return self.inside(depth);
        }
        if self.rest.starts_with('"') {
            let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
            let text = stream.next()?.ok()?;
            self.rest = &self.rest[stream.byte_offset()..];
            return Some(Value::String(text));
        }
        let word = self.word(|c| c.is_alphanumeric() || "_.+-".contains(c))?;
        match word.as_str() {
            "true" => return Some(Value::Bool(true)),
            "false" => return Some(Value::Bool(false)),
            "None" => return Some(Value::Null),
            _ => {}
        }
        if word.starts_with(|c: char| c.is_alphabetic()) {
            if !self.eat('(') {
                return Some(Value::String(word));
            }
            let inside = self.inside(depth)?;
            // An option is written as what it holds.
            return Some(if word == "Some" { inside } else { Value::Object(Map::from_iter([(word, inside)])) });
        }
        serde_json::from_str(&word.replace('_', "")).ok()
    }

    /// What follows an opening parenthesis: fields, one value, or several.
    fn inside(&mut self, depth: usize) -> Option<Value> {
        if self.eat(')') {
            return Some(Value::Object(Map::new()));
        }
        let before = self.rest;
        let is_field = self.word(|c| c.is_alphanumeric() || c == '_').is_some() && self.eat(':');
        self.rest = before;
        if !is_field {
            let mut values = self.values(')', depth)?;
            return Some(if values.len() == 1 { values.remove(0) } else { Value::Array(values) });
        }
        let mut fields = Map::new();
        loop {
            let name = self.word(|c| c.is_alphanumeric() || c == '_')?;
            if !self.eat(':') || fields.insert(name, self.value(depth + 1)?).is_some() {
                return None;
            }
            let comma = self.eat(',');
            if self.eat(')') {
                return Some(Value::Object(fields));
            }
            if !comma {
                return None;
            }
        }
    }

    /// Values up to `end`, with commas between them.
    fn values(&mut self, end: char, depth: usize) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        while !self.eat(end) {
            values.push(self.value(depth + 1)?);
            if !self.eat(',') {
                return self.eat(end).then_some(values);
            }
        }
        Some(values)
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> Option<String> {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_at(rest.find(|c| !belongs(c)).unwrap_or(rest.len()));
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_keep_the_names_of_their_variants() {
        for (text, value) in [
            ("3", json!(3)),
            ("-1.5e-3", json!(-1.5e-3)),
            ("1_000", json!(1000)),
            ("\"a, (b)\"", json!("a, (b)")),
            ("Tanh", json!("Tanh")),
            ("Spline()", json!({"Spline": {}})),
            (" Spline( bins : 8 , limit: 3.0, ) ", json!({"Spline": {"bins": 8, "limit": 3.0}})),
            ("[Ascending, Shuffled(3)]", json!(["Ascending", {"Shuffled": 3}])),
            ("Between(0, 1)", json!({"Between": [0, 1]})),
            ("(peak: 1e-3, warm_up: 10)", json!({"peak": 1e-3, "warm_up": 10})),
            ("Some((ess: 0.5))", json!({"ess": 0.5})),
            ("None", Value::Null),
            ("[]", json!([])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for text in ["", "[1", "(a: 1", "(a: 1 b: 2)", "1 2", "(a: 1, a: 2)", "Spline(bins:)", ")", "\"open", "1.2.3"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
        assert_eq!(parse(&"A(".repeat(100_000)), None);
    }
}
