//! What an experiment does: stages in order, or `Auto`, which plans them.

use super::spec::StageSpec;
use crate::evaluate::certificate::Verdict;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::ops::Deref;

/// The stages of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Stages {
    /// Left to the program: it plans, trains, judges, and goes on until the verdict is good enough or the budget is spent.
    Auto(Auto),
    /// As they are written.
    #[serde(untagged)]
    Listed(Vec<StageSpec>),
}

/// How long `Auto` goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auto {
    /// The most evaluations of the target, of values and of gradients together; none leaves it to the time.
    pub evaluations: Option<u64>,
    /// The longest time in seconds before the last attempt begins.
    pub seconds: f64,
    /// The verdict that ends it.
    pub require: Demand,
}

/// A verdict that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Demand {
    /// The draws may be used as they are.
    Trusted,
    /// The draws may be used with their weights.
    Correctable,
}

impl Demand {
    /// The verdict.
    pub fn verdict(self) -> Verdict {
        match self {
            Demand::Trusted => Verdict::Trusted,
            Demand::Correctable => Verdict::Correctable,
        }
    }
}

impl Default for Auto {
    fn default() -> Self {
        Self { evaluations: None, seconds: 300.0, require: Demand::Trusted }
    }
}

impl Auto {
    /// Everything that is wrong with it, each fault naming its field, its value and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(evaluations) = self.evaluations.filter(|&evaluations| evaluations < 1_000) {
            faults.push(format!("stages: Auto: evaluations is {evaluations}; at least 1000 are right"));
        }
        if !(self.seconds.is_finite() && self.seconds > 0.0) {
            faults.push(format!("stages: Auto: seconds is {}; a positive number is right", self.seconds));
        }
        faults
    }
}

impl Default for Stages {
    fn default() -> Self {
        Stages::Auto(Auto::default())
    }
}

impl Deref for Stages {
    type Target = [StageSpec];

    /// Those that are written; none where they are left to the program.
    fn deref(&self) -> &[StageSpec] {
        match self {
            Stages::Auto(_) => &[],
            Stages::Listed(stages) => stages,
        }
    }
}

impl From<Vec<StageSpec>> for Stages {
    fn from(stages: Vec<StageSpec>) -> Self {
        Stages::Listed(stages)
    }
}

impl<'de> Deserialize<'de> for Stages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads `[stage, …]` and `Auto(field: value, …)`, from RON and from JSON. RON does not tell the name before parentheses; [`name_of`] looks
/// for it.
struct Reader;

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Field {
    Auto,
    #[serde(rename = "evaluations")]
    Evaluations,
    #[serde(rename = "seconds")]
    Seconds,
    #[serde(rename = "require")]
    Require,
}

impl<'de> Visitor<'de> for Reader {
    type Value = Stages;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a list of stages, or `Auto()`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut stages: A) -> Result<Stages, A::Error> {
        let mut list = Vec::new();
        while let Some(stage) = stages.next_element()? {
            list.push(stage);
        }
        Ok(if list.is_empty() { Stages::default() } else { Stages::Listed(list) })
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Stages, E> {
        Ok(Stages::default())
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Stages, E> {
        match name {
            "Auto" => Ok(Stages::default()),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(name), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Stages, A::Error> {
        let mut auto = Auto::default();
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Auto => auto = fields.next_value()?,
                Field::Evaluations => auto.evaluations = fields.next_value()?,
                Field::Seconds => auto.seconds = fields.next_value()?,
                Field::Require => auto.require = fields.next_value()?,
            }
        }
        if auto.seconds.is_nan() {
            return Err(A::Error::custom("seconds is not a number"));
        }
        Ok(Stages::Auto(auto))
    }
}

/// The word that stands where the stages of an experiment are, if a word does.
pub(super) fn name_of(text: &str) -> Option<&str> {
    let code = text.match_indices("stages").map(|(at, word)| text[at + word.len()..].trim_start());
    let value = code.filter_map(|rest| rest.strip_prefix(':')).map(str::trim_start).next()?;
    let end = value.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(value.len());
    (end > 0).then(|| &value[..end])
}

#[cfg(test)]
mod tests {
    use super::super::spec::Spec;
    use super::*;

    #[test]
    fn stages_are_left_out_listed_or_auto() {
        let of = |text: &str| Spec::parse(&format!("(name: \"x\"{text})")).map(|spec| spec.stages);
        assert_eq!(of(""), Ok(Stages::default()));
        for text in ["Auto", "Auto()", "[]"] {
            assert_eq!(of(&format!(", stages: {text}")), Ok(Stages::default()), "{text}");
        }
        let auto = Auto { evaluations: Some(5000), require: Demand::Correctable, ..Auto::default() };
        let written = of(", stages: Auto(evaluations: 5000, require: Correctable)");
        assert_eq!(written, Ok(Stages::Auto(auto)));
        assert_eq!(of(", stages: [ReverseKl(against: Target)]").map(|stages| stages.len()), Ok(1));
        for (wrong, word) in [("Autos()", "Auto"), ("Auto(evaluation: 5)", "evaluations"), ("7", "list of stages")] {
            let fault = of(&format!(", stages: {wrong}")).expect_err("wrong");
            assert!(fault.contains(word) && fault.contains("line 1"), "{fault}");
        }
        let spec = Spec { stages: Stages::Auto(auto), ..Spec::parse("(name: \"x\")").expect("an experiment") };
        let again = Spec::parse(&spec.to_ron().expect("RON")).expect("read again");
        assert_eq!(again, spec);
        let json = serde_json::to_value(&spec).expect("JSON");
        assert_eq!(serde_json::from_value::<Spec>(json).expect("read"), spec);
    }
}
