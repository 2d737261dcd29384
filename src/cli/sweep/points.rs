//! The points of a sweep: every combination of the values that its fields take.

use crate::error::{Error, Result};
use crate::experiment::Spec;
use serde::{Deserialize, Serialize};

/// A combination and the folder of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The folder's name.
    pub name: String,
    /// Fields and their values, as for `--set`.
    pub set: Vec<[String; 2]>,
}

impl Point {
    /// What it sets, for people.
    pub fn words(&self) -> String {
        self.set.iter().map(|[field, value]| format!("{field}={value}")).collect::<Vec<_>>().join(", ")
    }

    /// The experiment at this point.
    pub fn of(&self, spec: &Spec) -> Result<Spec> {
        let mut spec = spec.clone();
        for [field, value] in &self.set {
            spec.set(&format!("{field}={value}")).map_err(|error| match error {
                Error::Invalid(message) => Error::Invalid(message.replacen("--set", "--sweep", 1)),
                other => other,
            })?;
        }
        spec.name.clone_from(&self.name);
        Ok(spec)
    }
}

/// More points than these are a slip of the pen.
const MOST: usize = 10_000;

/// The longest name of a folder but for its number.
const LONGEST: usize = 60;

/// All points of `FIELD=VALUES`, the last field's values next to each other.
pub fn points(sweeps: &[String]) -> Result<Vec<Point>> {
    let mut all: Vec<Vec<[String; 2]>> = vec![Vec::new()];
    for sweep in sweeps {
        let refuse = |message: String| Error::invalid(format!("--sweep {sweep}: {message}"));
        let (field, values) =
            sweep.split_once('=').ok_or_else(|| refuse("no `=`; FIELD=1..5 or FIELD=[2,4] is right".into()))?;
        if all.iter().any(|set| set.iter().any(|[other, _]| other == field)) {
            return Err(refuse(format!("`{field}` is swept twice")));
        }
        let values = values_of(values).map_err(refuse)?;
        if all.len().saturating_mul(values.len()) > MOST {
            return Err(refuse(format!("more than {MOST} runs; as many at most are right")));
        }
        let with = |set: &Vec<[String; 2]>, value: &String| {
            let mut set = set.clone();
            set.push([field.to_string(), value.clone()]);
            set
        };
        all = all.iter().flat_map(|set| values.iter().map(|value| with(set, value)).collect::<Vec<_>>()).collect();
    }
    let digits = all.len().to_string().len().max(3);
    let named = |(i, set): (usize, Vec<[String; 2]>)| {
        let words: Vec<String> = set.iter().map(|[field, value]| format!("{field}-{value}")).collect();
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
        let words: String = words.join("_").chars().map(legal).take(LONGEST).collect();
        Point { name: format!("{:0digits$}_{}", i + 1, words.trim_end_matches(['_', '.'])), set }
    };
    Ok(all.into_iter().enumerate().map(named).collect())
}

/// The values of `1..5`, both ends among them, or of a list.
fn values_of(text: &str) -> std::result::Result<Vec<String>, String> {
    let right = "`1..5`, whole numbers with both ends, or a list `[2, 4]` is right";
    let text = text.trim();
    if let Some((from, to)) = text.split_once("..") {
        let ends = from.trim().parse::<i64>().ok().zip(to.trim().parse::<i64>().ok());
        let (from, to) = ends.ok_or_else(|| format!("`{text}` is no range; {right}"))?;
        if from > to || to.saturating_sub(from) >= MOST as i64 {
            return Err(format!(
                "the range has {} numbers; 1 to {MOST} are right",
                (to.saturating_sub(from) + 1).max(0)
            ));
        }
        return Ok((from..=to).map(|number| number.to_string()).collect());
    }
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inside = inside.ok_or_else(|| format!("`{text}` is no list; {right}"))?;
    let (mut values, mut value, mut depth, mut quoted, mut escaped) = (Vec::new(), String::new(), 0i32, false, false);
    for c in inside.chars() {
        match c {
            _ if escaped => {}
            '"' => quoted = !quoted,
            '[' | '(' | '{' if !quoted => depth += 1,
            ']' | ')' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                values.push(std::mem::take(&mut value));
                continue;
            }
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        value.push(c);
    }
    if !value.trim().is_empty() {
        values.push(value);
    }
    let values: Vec<String> = values.into_iter().map(|value| value.trim().to_string()).collect();
    if values.is_empty() || values.iter().any(String::is_empty) || depth != 0 || quoted {
        return Err(format!("`{text}` is no list of values; {right}"));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_a_point_with_a_name_of_its_own() {
        let of = |sweeps: &[&str]| points(&sweeps.iter().map(|text| text.to_string()).collect::<Vec<_>>());
        let found = of(&["seed=1..3", "student.layers=[2, 4]"]).expect("points");
        let names: Vec<&str> = found.iter().map(|point| point.name.as_str()).collect();
        assert_eq!(names[..2], ["001_seed-1_student.layers-2", "002_seed-1_student.layers-4"]);
        assert_eq!((names.len(), found[5].words().as_str()), (6, "seed=3, student.layers=4"));
        assert_eq!(values_of("-1..1"), Ok(vec!["-1".into(), "0".into(), "1".into()]));
        assert_eq!(
            values_of(r#"[Funnel(dim: 3, a: [1]), "a, \"]", [8, 8],]"#),
            Ok(vec!["Funnel(dim: 3, a: [1])".into(), r#""a, \"]""#.into(), "[8, 8]".into()])
        );
        for wrong in
            ["seed", "seed=5..1", "seed=1..99999", "seed=3", "seed=[]", "seed=[1,,2]", "seed=[(1]", "seed=a..b"]
        {
            let error = of(&[wrong]).expect_err(wrong).to_string();
            assert!(error.contains("right"), "{error}");
        }
        assert!(of(&["seed=1..2", "seed=3..4"]).is_err());
        assert!(of(&["seed=1..5000", "a=1..3"]).expect_err("many").to_string().contains("10000"));
        let long = format!("x=[\"{}\", 2]", "y".repeat(500));
        assert!(of(&[&long]).expect("points").iter().all(|point| point.name.len() <= 70));
    }
}
