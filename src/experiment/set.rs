//! Changes to an experiment from the command line: `path.to.field=value`.

use super::ron_value;
use super::spec::Spec;
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
        let value = if path.contains('.') { nested(text) } else { top(path, text).map_err(refuse)? };
        // `None` is nothing where something may be left out, and elsewhere a variant of that name.
        let variant = value.is_null().then(|| Value::from("None"));
        *place = value;
        let read = serde_json::from_value(whole.clone()).map_err(|error| refuse(error.to_string()));
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
fn top(field: &str, text: &str) -> std::result::Result<Value, String> {
    let others = [("name", "\"x\""), ("stages", "[]")].into_iter().filter(|(name, _)| *name != field);
    let rest: String = others.map(|(name, value)| format!("{name}: {value},")).collect();
    let read = |text: &str| Spec::parse(&format!("({rest}{field}:{text})"));
    // `name=short` needs no quotes.
    let spec = read(text).or_else(|error| read(&format!("{text:?}")).map_err(|_| error))?;
    let whole = serde_json::to_value(spec).map_err(|error| error.to_string())?;
    Ok(whole[field].clone())
}
