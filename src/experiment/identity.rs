//! Which run a folder holds: what its checkpoints belong to, and the first thing in which an experiment differs from it.

use super::check::Plan;
use super::folder::{Folder, CHECKPOINTS};
use crate::checksum;
use crate::error::{Error, Result};
use crate::params::{load_checkpoint, save_checkpoint, Parts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What a run was when it began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    /// What its checkpoints are marked with.
    pub id: String,
    /// The version of the program.
    version: String,
    /// The experiment with every default, as JSON.
    spec: String,
    /// Checksum of what was read and found before the first stage: data, references, coordinates.
    data: String,
    /// Seconds since 1970.
    pub started_unix: u64,
}

/// The file's name.
const BEGIN: &str = "begin.ckpt";

fn path(folder: &Folder) -> PathBuf {
    folder.file(CHECKPOINTS).join(BEGIN)
}

impl Identity {
    /// Of a run that begins now.
    ///
    /// # Errors
    /// If the experiment cannot be written.
    pub fn of(plan: &Plan) -> Result<Self> {
        let spec = serde_json::to_string(&plan.spec).map_err(Error::invalid)?;
        let version = env!("CARGO_PKG_VERSION").to_string();
        let data = data_of(plan);
        let id = checksum::of(format!("{version}\n{spec}\n{data}").as_bytes());
        Ok(Self { id, version, spec, data, started_unix: seconds_since_1970() })
    }

    /// Of the run in `folder`, if one has begun there.
    ///
    /// # Errors
    /// If the file is damaged or cannot be read.
    pub fn read(folder: &Folder) -> Result<Option<Self>> {
        match load_checkpoint(&path(folder)) {
            Ok((found, _)) => Ok(Some(found)),
            Err(Error::Unread { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same as another state of the run `of`.
    pub fn of_run(self, of: Self) -> Self {
        Self { id: of.id, started_unix: of.started_unix, ..self }
    }

    /// Keeps it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        let checkpoints = folder.file(CHECKPOINTS);
        std::fs::create_dir_all(&checkpoints).map_err(|error| Error::output(&checkpoints, error))?;
        save_checkpoint(&path(folder), self, &Parts::default())
    }

    /// All in which `now` differs from this: fields with what they were and are.
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        let mut found = Vec::new();
        differences(String::new(), &read(&self.spec), &read(&now.spec), &mut found);
        if self.version != now.version {
            found.push(Difference::of("the version of flowdistill", &self.version, &now.version));
        }
        if found.is_empty() && self.data != now.data {
            found.push(Difference {
                words: "the data, or what the survey of the target finds, are not those that the run began with".into(),
                steps: None,
            });
        }
        found
    }
}

/// Now.
pub(super) fn seconds_since_1970() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

/// One thing that is not as it was.
#[derive(Debug)]
pub(super) struct Difference {
    /// For people.
    pub words: String,
    /// The stage whose steps have become more, if that is all.
    pub steps: Option<usize>,
}

impl Difference {
    fn of(field: &str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display) -> Self {
        let short = |text: String| match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        };
        let (was, is) = (short(was.to_string()), short(is.to_string()));
        Self { words: format!("{field} was {was} when the run began and is {is} now"), steps: None }
    }
}

fn differences(field: String, was: &Value, is: &Value, found: &mut Vec<Difference>) {
    let inside = |name: &str| if field.is_empty() { name.to_string() } else { format!("{field}.{name}") };
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            for name in was.keys().chain(is.keys().filter(|name| !was.contains_key(*name))) {
                let [was, is] = [was, is].map(|map| map.get(name).unwrap_or(&Value::Null));
                differences(inside(name), was, is, found);
            }
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            for (place, (was, is)) in was.iter().zip(is).enumerate() {
                differences(inside(&place.to_string()), was, is, found);
            }
        }
        _ if was != is => {
            let mut difference = Difference::of(&field, was, is);
            let more = was.as_u64().zip(is.as_u64()).is_some_and(|(was, is)| is > was);
            let mut parts = field.split('.');
            if let (Some("stages"), Some(place), true) = (parts.next(), parts.next(), more && field.ends_with(".steps"))
            {
                difference.steps = place.parse().ok();
            }
            found.push(difference);
        }
        _ => {}
    }
}

/// A checksum of what the stages will see besides the experiment.
fn data_of(plan: &Plan) -> String {
    let mut checksum = checksum::Running::default();
    let mut take = |values: &[f64]| {
        checksum.update(&(values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| {
            checksum.update(&value.to_le_bytes());
        });
    };
    if let Some(data) = &plan.data {
        [&data.train, &data.validation, &data.test, &data.weights[0], &data.weights[1]]
            .into_iter()
            .for_each(|v| take(v));
    }
    if let Some(reference) = &plan.reference {
        take(&reference.values);
    }
    // Debug writes each number to the last bit.
    checksum.update(format!("{:?} {:?} {:?}", plan.standardisation, plan.names, plan.given_rows).as_bytes());
    checksum.digits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_field_that_differs_is_named_with_both_values() {
        let (was, is) = (
            json!({"seed": 1, "stages": [{"ReverseKl": {"training": {"steps": 10, "batch": 5}}}]}),
            json!({"seed": 2, "stages": [{"ReverseKl": {"training": {"steps": 20, "batch": 5}}}], "target": null}),
        );
        let mut found = Vec::new();
        differences(String::new(), &was, &is, &mut found);
        let words: Vec<&str> = found.iter().map(|difference| difference.words.as_str()).collect();
        let steps = "stages.0.ReverseKl.training.steps was 10 when the run began and is 20 now";
        assert_eq!(words, ["seed was 1 when the run began and is 2 now", steps]);
        assert_eq!(found.iter().map(|difference| difference.steps).collect::<Vec<_>>(), [None, Some(0)]);
        let mut back = Vec::new();
        differences(String::new(), &is, &was, &mut back);
        assert_eq!(back[1].steps, None, "fewer steps are another run");
    }
}
