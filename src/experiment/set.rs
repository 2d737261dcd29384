//! Changes to an experiment from the command line: `path.to.field=value`.

use super::ron_value;
use super::spec::Spec;
use super::wording;
use crate::error::{Error, Result};
use serde_json::Value;

impl Spec {
    /// Sets one field. The path names fields and, from 0, places in lists; the names of variants may be left out. The value is
    /// written as in RON: `target=Funnel(dim: 5)`, `student.transformer=Spline(bins: 8)`, `stages.0.steps=500`.
    ///
    /// # Errors
    /// If there is no such field, or the value is not of its type.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let refuse = |message: String| Error::invalid(format!("--set {assignment}: {message}"));
        let (path, text) =
            assignment.split_once('=').ok_or_else(|| refuse("no `=`; path.to.field=value is right".into()))?;
        let mut whole = serde_json::to_value(&*self).map_err(|error| refuse(error.to_string()))?;
        let mut place = &mut whole;
        for part in path.split('.') {
            place = step(place, part).map_err(refuse)?;
        }
        let value = match path.contains('.') {
            true => nested(text),
            false => top(path, text).map_err(|error| refuse(of_top(self, path, text, &error)))?,
        };
        // `None` is nothing where something may be left out, and elsewhere a variant of that name.
        let variant = value.is_null().then(|| Value::from("None"));
        *place = value;
        let read = serde_json::from_value(whole.clone());
        let read = read.map_err(|error| refuse(self.words(path, text, &error.to_string())));
        *self = match (read, variant) {
            (Err(error), Some(variant)) => {
                let mut place = &mut whole;
                for part in path.split('.') {
                    place = step(place, part).map_err(refuse)?;
                }
                *place = variant;
                serde_json::from_value(whole).map_err(|_| error)?
            }
            (read, _) => read?,
        };
        Ok(())
    }
}

impl Spec {
    /// What a reader says of the experiment with another value at the place of `path`.
    fn with(&self, path: &str, value: Value) -> Option<String> {
        let mut whole = serde_json::to_value(self).ok()?;
        let mut place = &mut whole;
        for part in path.split('.') {
            place = step(place, part).ok()?;
        }
        *place = value;
        serde_json::from_value::<Spec>(whole).err().map(|error| error.to_string())
    }

    /// What is wrong with a value, by what a reader `said` of it.
    fn words(&self, path: &str, text: &str, said: &str) -> String {
        match several(path, text) {
            Some(fault) => fault,
            None => wording::of_json(path, text, said, |value| self.with(path, value)),
        }
    }
}

/// The fault of a value that is several.
fn several(path: &str, text: &str) -> Option<String> {
    if text.contains("..") && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Some(format!("{path} is `{text}`, which is several values; one is right"));
    }
    let list = format!("[{text}]");
    let is_list = text.contains(',') && ron_value::parse(text).is_none() && ron_value::parse(&list).is_some();
    is_list
        .then(|| format!("{path} is `{text}`, which is several values; one is right, and a list is written `{list}`"))
}

/// One step down a path.
fn step<'a>(mut place: &'a mut Value, part: &str) -> std::result::Result<&'a mut Value, String> {
    // A variant with fields is an object with one key, which need not be named.
    while is_variant(place) && place.get(part).is_none() {
        place = place.as_object_mut().and_then(|map| map.values_mut().next()).ok_or("an empty variant")?;
    }
    match place {
        Value::Object(map) => {
            let legal = map.keys().cloned().collect::<Vec<_>>().join(", ");
            map.get_mut(part).ok_or_else(|| format!("there is no field `{part}` here; there are {legal}"))
        }
        Value::Array(list) => {
            let len = list.len();
            let index = part.parse::<usize>().ok().filter(|index| *index < len);
            match index {
                Some(index) => Ok(&mut list[index]),
                None => Err(format!("`{part}` is no place in a list of {len}; 0 to {} are", len.saturating_sub(1))),
            }
        }
        Value::Null => Err(format!("`{part}` is inside something that the experiment does not give")),
        _ => Err(format!("`{part}` is inside something that has no fields")),
    }
}

fn is_variant(place: &Value) -> bool {
    let key = place.as_object().filter(|map| map.len() == 1).and_then(|map| map.keys().next());
    key.is_some_and(|key| key.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// A value as RON or JSON; anything else is text without quotes.
fn nested(text: &str) -> Value {
    let json = || serde_json::from_str(text).ok();
    ron_value::parse(text).or_else(json).unwrap_or_else(|| Value::String(text.to_string()))
}

/// A field at the top, as RON.
fn top(field: &str, text: &str) -> std::result::Result<Value, Fault> {
    let others = [("name", "\"x\""), ("stages", "[]")].into_iter().filter(|(name, _)| *name != field);
    let rest: String = others.map(|(name, value)| format!("{name}: {value},")).collect();
    let read = |value: &str| {
        let whole = format!("({rest}{field}:{value})");
        let spec = Spec::read_plain(&whole).map_err(|error| Fault::Unreadable(Spec::fault(&error, &whole)))?;
        // What can be read may not be what was meant: stages of another name.
        Spec::parse(&whole).map_err(Fault::Refused)?;
        Ok(spec)
    };
    // `name=short` needs no quotes.
    let spec = read(text).or_else(|error| read(&format!("{text:?}")).map_err(|_| error))?;
    let whole = serde_json::to_value(spec).map_err(|error| Fault::Refused(error.to_string()))?;
    Ok(whole[field].clone())
}

/// Why a field at the top cannot be set.
enum Fault {
    /// It is no value of the field, in words for a text without a name of the field.
    Unreadable(String),
    Refused(String),
}

/// What is wrong with the value of a field at the top.
fn of_top(spec: &Spec, field: &str, text: &str, fault: &Fault) -> String {
    let value = ron_value::parse(text);
    let said = value.and_then(|value| spec.with(field, value));
    match (fault, several(field, text), said) {
        (Fault::Refused(fault), ..) => fault.clone(),
        (_, Some(fault), _) => fault,
        (_, _, Some(said)) => spec.words(field, text, &said),
        (Fault::Unreadable(words), ..) => format!("{field}: {words}"),
    }
}
