//! Shards of a table put together: to the bytes that the whole table would have had.

use super::plain::npy_header;
use super::stan::END;
use super::Written;
use crate::durable::Draft;
use crate::error::{Error, Result};
use crate::intake;
use crate::shown;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// The name of shard `i` (from 1) of `n` of a table: `draws.2-of-8.npy` of `draws.npy`.
pub fn shard_of(path: &Path, i: u64, n: u64) -> PathBuf {
    let (stem, ending) = name_of(path);
    path.with_file_name(format!("{stem}.{i}-of-{n}{ending}"))
}

/// The name without its ending, and the ending.
fn name_of(path: &Path) -> (String, String) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lower = name.to_lowercase();
    let ending =
        if lower.ends_with(".stan.csv") { ".stan.csv".len() } else { name.len() - name.rfind('.').unwrap_or(0) };
    let at = name.len() - ending;
    (name[..at].to_string(), name[at..].to_string())
}

/// All shards of `path` in their order.
///
/// # Errors
/// If there are none, some are missing, or there are those of two divisions.
pub fn shards_of(path: &Path) -> Result<Vec<PathBuf>> {
    let (stem, ending) = name_of(path);
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|error| Error::input(folder, error))?;
    let mut found: Vec<(u64, u64)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let place = name.strip_prefix(&format!("{stem}.")).and_then(|rest| rest.strip_suffix(&ending));
        let place = place.and_then(|place| place.split_once("-of-"));
        found.extend(place.and_then(|(i, n)| Some((n.parse().ok()?, i.parse().ok()?))));
    }
    found.sort_unstable();
    let Some(&(n, _)) = found.first() else {
        let right = shard_of(path, 1, 2);
        return Err(Error::input(path, format!("has no shards beside it, such as {}", right.display())));
    };
    if let Some((other, _)) = found.iter().find(|(other, _)| *other != n) {
        return Err(Error::input(path, format!("has shards of {n} and of {other}; those of one division are right")));
    }
    let missing = |i: &u64| found.binary_search(&(n, *i)).is_err();
    let missing: Vec<String> = (1..=n).filter(missing).take(1000).map(|i| i.to_string()).collect();
    if !missing.is_empty() {
        return Err(Error::input(path, format!("lacks {} of {n} shards: {}", missing.len(), shown::list(&missing))));
    }
    Ok((1..=n).map(|i| shard_of(path, i, n)).collect())
}

/// Makes `path` of all its shards; how many there were.
///
/// # Errors
/// If a shard is missing, or there are several divisions; if one is not what the first one is, or something cannot be read or written.
pub fn merge(path: &Path) -> Result<usize> {
    let format = Written::of(path)?;
    if !format.is_divisible() {
        return Err(Error::input(path, "is of a format that is not divided; .csv, .jsonl, .npy or .stan.csv is right"));
    }
    let shards = shards_of(path)?;
    let mut heads = Vec::new();
    for shard in &shards {
        heads.push(head(shard, format)?);
    }
    let first = &heads[0];
    if let Some(i) = heads.iter().position(|head| head.same != first.same) {
        return Err(Error::input(&shards[i], format!("has other columns than {}", shards[0].display())));
    }
    let rows: u64 = heads.iter().map(|head| head.rows).sum();
    let mut draft = Draft::create(path)?;
    let refuse = |error| Error::output(path, error);
    let header = match format {
        Written::Npy => npy_header("<f8", &format!("({rows}, {})", first.same)),
        _ => first.same.replace(ROWS, &rows.to_string()).into_bytes(),
    };
    draft.write_all(&header).map_err(refuse)?;
    for (shard, head) in shards.iter().zip(&heads) {
        let mut file = intake::open(shard)?.0;
        let skipped = std::io::copy(&mut Read::by_ref(&mut file).take(head.length), &mut std::io::sink());
        skipped.map_err(|error| Error::input(shard, error))?;
        std::io::copy(&mut file.take(head.draws), &mut draft).map_err(refuse)?;
    }
    if format == Written::Stan {
        draft.write_all(END.as_bytes()).map_err(refuse)?;
    }
    draft.commit()?;
    Ok(shards.len())
}

/// What stands for the number of rows.
const ROWS: &str = "\u{0}rows";

/// What a shard begins with.
struct Head {
    /// What must be the same in all of them: text, with [`ROWS`] in the place of the number of rows; of an array the number of columns.
    same: String,
    /// Its bytes, and those of what follows it.
    length: u64,
    draws: u64,
    /// Rows, where the head says how many.
    rows: u64,
}

fn head(path: &Path, format: Written) -> Result<Head> {
    let (file, length) = intake::open(path)?;
    let refuse = |error: &dyn std::fmt::Display| Error::input(path, format!("is no whole shard ({error})"));
    let mut file = BufReader::new(file);
    match format {
        Written::JsonLines => Ok(Head { same: String::new(), length: 0, draws: length, rows: 0 }),
        Written::Csv => {
            let mut reader = csv::Reader::from_reader(file);
            let names = reader.byte_headers().map_err(|error| refuse(&error))?.clone();
            let same = super::plain::record(names.iter())?;
            let same = String::from_utf8(same).map_err(|error| refuse(&error))?;
            let head = same.len() as u64;
            Ok(Head { same, length: head, draws: length.saturating_sub(head), rows: 0 })
        }
        Written::Npy => {
            let mut start = [0; 10];
            file.read_exact(&mut start).map_err(|error| refuse(&error))?;
            let header = 10 + u64::from(u16::from_le_bytes([start[8], start[9]]));
            let mut dictionary = String::new();
            file.take(header - 10).read_to_string(&mut dictionary).map_err(|error| refuse(&error))?;
            let shape = dictionary.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
            let shape = shape.and_then(|(shape, _)| shape.split_once(", "));
            let shape = shape.and_then(|(rows, width)| Some((rows.parse::<u64>().ok()?, width.parse::<u64>().ok()?)));
            let whole = |(rows, width): &(u64, u64)| {
                rows.checked_mul(8).and_then(|bytes| bytes.checked_mul(*width)) == Some(length.saturating_sub(header))
            };
            let (rows, width) = shape.filter(whole).ok_or_else(|| refuse(&"its length is not that of its rows"))?;
            Ok(Head { same: width.to_string(), length: header, draws: length - header, rows })
        }
        _ => {
            let (mut same, mut head, mut rows) = (String::new(), 0, 0);
            loop {
                let mut line = String::new();
                head += file.read_line(&mut line).map_err(|error| refuse(&error))? as u64;
                if let Some((before, count)) = line.split_once("num_samples = ") {
                    rows = count.trim().parse().map_err(|error| refuse(&error))?;
                    line = format!("{before}num_samples = {ROWS}\n");
                }
                same += &line;
                if !line.starts_with('#') {
                    let end = length.checked_sub(head + END.len() as u64);
                    let draws = end.ok_or_else(|| refuse(&"its end is missing"))?;
                    return Ok(Head { same, length: head, draws, rows });
                }
            }
        }
    }
}
