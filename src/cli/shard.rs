//! A part of the work: said, or found in what schedulers of arrays of jobs say.

use crate::error::{Error, Result};

/// Part `i`, from 1, of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    pub i: u64,
    pub n: u64,
}

/// A shard as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    This(Shard),
    /// As the scheduler says.
    Auto,
}

/// Reads `i/N` or `auto`.
pub(super) fn parse(text: &str) -> std::result::Result<Asked, String> {
    if text == "auto" {
        return Ok(Asked::Auto);
    }
    let shard = text.split_once('/').and_then(|(i, n)| Some(Shard { i: i.parse().ok()?, n: n.parse().ok()? }));
    let shard = shard.filter(|shard| (1..=MOST).contains(&shard.n) && (1..=shard.n).contains(&shard.i));
    shard.map(Asked::This).ok_or_else(|| "`2/8`, the second of eight, or `auto`, as a scheduler says, is right".into())
}

/// More parts than these are a slip of the pen.
const MOST: u64 = 1_000_000;

/// The variables of a scheduler: the number of a job, the first and the last of them, and what is between two; and, elsewhere, how many
/// there are.
const SCHEDULERS: [[&str; 5]; 3] = [
    [
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
        "SLURM_ARRAY_TASK_COUNT",
    ],
    ["SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE", ""],
    ["LSB_JOBINDEX", "", "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP", ""],
];

impl Asked {
    /// The part that is meant.
    pub fn shard(self) -> Result<Shard> {
        match self {
            Asked::This(shard) => Ok(shard),
            Asked::Auto => scheduled(|name| std::env::var(name).ok()),
        }
    }
}

/// The part that a scheduler means by variables.
fn scheduled(variable: impl Fn(&str) -> Option<String>) -> Result<Shard> {
    let number = |name: &str| -> Result<Option<u64>> {
        let text = if name.is_empty() { None } else { variable(name) };
        let Some(text) = text.filter(|text| text != "undefined") else { return Ok(None) };
        let read = text.trim().parse();
        read.map(Some).map_err(|_| Error::invalid(format!("--shard auto: {name} is `{text}`; a whole number is right")))
    };
    for [id, first, last, step, count] in SCHEDULERS {
        let Some(place) = number(id)? else { continue };
        let (first, step) = (number(first)?.unwrap_or(1), number(step)?.unwrap_or(1).max(1));
        let n = match (number(count)?, number(last)?) {
            // Tasks that are left out of a list (`--array=1,3,7`) leave holes, which no count tells.
            (Some(count), Some(last)) if last.saturating_sub(first) / step + 1 != count => {
                let message = format!("--shard auto: the array has {count} tasks with holes between them; tasks from {first} to {last} without holes are right");
                return Err(Error::invalid(message));
            }
            (Some(count), _) => count,
            (None, Some(last)) => last.saturating_sub(first) / step + 1,
            (None, None) => {
                return Err(Error::invalid(format!("--shard auto: {id} is set, but not how many tasks there are")));
            }
        };
        let i = place.checked_sub(first).map(|place| place / step + 1).filter(|i| *i <= n && n <= MOST);
        let i =
            i.ok_or_else(|| Error::invalid(format!("--shard auto: task {place} is none of the {n} from {first}")))?;
        return Ok(Shard { i, n });
    }
    Err(Error::invalid(
        "--shard auto: no array of jobs: neither SLURM_ARRAY_TASK_ID nor SGE_TASK_ID nor LSB_JOBINDEX is set; --shard i/N is right",
    ))
}

impl Shard {
    /// The part of `0..total` that it is.
    pub fn part(self, total: u64) -> std::ops::Range<u64> {
        let at = |i: u64| (u128::from(total) * u128::from(i) / u128::from(self.n)) as u64;
        at(self.i - 1)..at(self.i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole_and_schedulers_are_understood() {
        for (total, n) in [(10, 3), (2, 5), (1_000_000_000_000, 7), (0, 2)] {
            let parts: Vec<_> = (1..=n).map(|i| Shard { i, n }.part(total)).collect();
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, total));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
        assert_eq!(parse("2/8"), Ok(Asked::This(Shard { i: 2, n: 8 })));
        for wrong in ["0/8", "9/8", "2", "a/b", "-1/2", "1/0"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let of = |variables: &[(&str, &str)]| {
            scheduled(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string()))
        };
        let slurm = |id, min, max, step, count| {
            of(&[
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
                ("SLURM_ARRAY_TASK_STEP", step),
                ("SLURM_ARRAY_TASK_COUNT", count),
            ])
        };
        assert_eq!(slurm("3", "0", "7", "1", "8").ok(), Some(Shard { i: 4, n: 8 }));
        assert_eq!(slurm("9", "1", "9", "4", "3").ok(), Some(Shard { i: 3, n: 3 }));
        assert!(slurm("7", "1", "7", "1", "3").is_err(), "holes");
        assert!(slurm("x", "1", "7", "1", "3").is_err());
        let grid = [("SGE_TASK_ID", "2"), ("SGE_TASK_FIRST", "1"), ("SGE_TASK_LAST", "5"), ("SGE_TASK_STEPSIZE", "1")];
        assert_eq!(of(&grid).ok(), Some(Shard { i: 2, n: 5 }));
        assert_eq!(of(&[("LSB_JOBINDEX", "5"), ("LSB_JOBINDEX_END", "5")]).ok(), Some(Shard { i: 5, n: 5 }));
        assert!(of(&[("SGE_TASK_ID", "undefined")]).is_err() && of(&[]).is_err());
    }
}
