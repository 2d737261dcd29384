//! The bytes between this program and a density in another process; `docs/process.md` describes them for the other side.
//!
//! A frame is a tag of four letters, the length of its payload as a `u32`, and the payload. Everything is little-endian. Nothing here
//! allocates a size that was not compared with what may come.

use super::{fault_of_names, MOST_COORDINATES};
use serde::Deserialize;

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The name by which a greeting says what it speaks.
pub const PROTOCOL: &str = "flowdistill-density";

/// Bytes of a frame before its payload.
pub const HEADER: usize = 8;

/// Bytes of a request or an answer before its numbers.
pub const PREFIX: usize = 16;

/// The longest greeting.
pub const LONGEST_GREETING: usize = 1 << 22;

/// The longest text of a failure or of a note.
pub const LONGEST_TEXT: usize = 1 << 16;

const GRADIENTS: u32 = 1;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `HELO`, from the process, first and once: who it is, as JSON.
    Hello,
    /// `EVAL`, to the process: points.
    Evaluate,
    /// `VALS`, from the process: what was asked for.
    Values,
    /// `FAIL`, from the process in the place of an answer: why there is no sense in going on.
    Failure,
}

const TAGS: [(Tag, &[u8; 4]); 4] =
    [(Tag::Hello, b"HELO"), (Tag::Evaluate, b"EVAL"), (Tag::Values, b"VALS"), (Tag::Failure, b"FAIL")];

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The number of coordinates.
    pub dim: usize,
    /// Their names.
    pub names: Vec<String>,
}

#[derive(Deserialize)]
struct WrittenGreeting {
    protocol: String,
    version: u32,
    dim: u64,
    #[serde(default)]
    names: Option<Vec<String>>,
}

impl Greeting {
    /// Reads the payload of a `HELO`.
    ///
    /// # Errors
    /// If it is not JSON, speaks something else, or does not describe coordinates.
    pub fn read(payload: &[u8]) -> Result<Self, String> {
        let written: WrittenGreeting =
            serde_json::from_slice(payload).map_err(|error| format!("its greeting is malformed: {error}"))?;
        if written.protocol != PROTOCOL {
            let found: String = written.protocol.chars().take(40).collect();
            return Err(format!("its greeting speaks the protocol {found:?}; {PROTOCOL:?} is right"));
        }
        if written.version != VERSION {
            return Err(format!("its greeting has protocol version {}; {VERSION} is right", written.version));
        }
        let dim = usize::try_from(written.dim).ok().filter(|dim| (1..=MOST_COORDINATES).contains(dim));
        let dim = dim.ok_or_else(|| {
            format!("its greeting has dim {}; 1 to {MOST_COORDINATES} coordinates are right", written.dim)
        })?;
        let names = written.names.unwrap_or_else(|| (1..=dim).map(|i| format!("x{i}")).collect());
        match fault_of_names(&names, dim) {
            Some(fault) => Err(format!("its greeting has {fault}")),
            None => Ok(Self { dim, names }),
        }
    }
}

/// What is asked: log densities of some points, and whether their gradients too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// A number that the answer repeats.
    pub sequence: u32,
    /// The number of points.
    pub rows: usize,
    /// The number of coordinates of each.
    pub dim: usize,
    /// Whether gradients are asked for.
    pub gradients: bool,
}

impl Request {
    /// Writes the request's frame for `points` (rows in order) into `frame`.
    ///
    /// # Panics
    /// If there are not `rows` points of `dim` coordinates.
    pub fn write<'a>(&self, points: impl Iterator<Item = &'a [f64]>, frame: &mut Vec<u8>) {
        let length = PREFIX + self.rows * self.dim * 8;
        frame.clear();
        frame.reserve(HEADER + length);
        frame.extend_from_slice(b"EVAL");
        for number in [length as u32, self.sequence, self.rows as u32, u32::from(self.gradients) * GRADIENTS, 0] {
            frame.extend_from_slice(&number.to_le_bytes());
        }
        for point in points {
            assert_eq!(point.len(), self.dim, "coordinates of a point");
            point.iter().for_each(|x| frame.extend_from_slice(&x.to_le_bytes()));
        }
        assert_eq!(frame.len(), HEADER + length, "points of a request");
    }

    /// The bytes of the numbers of an answer.
    fn numbers(&self) -> usize {
        8 * self.rows * (1 + if self.gradients { self.dim } else { 0 })
    }

    /// Takes apart the payload of a `VALS`.
    ///
    /// # Errors
    /// If it answers something else, or has too few or too many bytes.
    pub fn read<'a>(&self, payload: &'a [u8]) -> Result<Answer<'a>, String> {
        let Some((prefix, rest)) = payload.split_at_checked(PREFIX) else {
            return Err(format!("its answer has {} bytes; at least {PREFIX} are right", payload.len()));
        };
        let number = |i: usize| u32::from_le_bytes([prefix[i], prefix[i + 1], prefix[i + 2], prefix[i + 3]]);
        let (sequence, rows, flags, note) = (number(0), number(4), number(8), number(12) as usize);
        if sequence != self.sequence {
            return Err(format!("it answers request {sequence}; the request was {}", self.sequence));
        }
        if rows as usize != self.rows {
            return Err(format!("its answer has {rows} rows; {} points were asked for", self.rows));
        }
        if flags != u32::from(self.gradients) * GRADIENTS {
            let asked = if self.gradients { "values and gradients" } else { "values alone" };
            return Err(format!("its answer has the flags {flags}; {asked} were asked for"));
        }
        let right = self.numbers() + note;
        if note > LONGEST_TEXT || rest.len() != right {
            let (found, right) = (PREFIX + rest.len(), PREFIX + self.numbers());
            return Err(format!("its answer has {found} bytes, {note} of them a note; {right} and the note are right"));
        }
        let (numbers, note) = rest.split_at(self.numbers());
        let (values, gradients) = numbers.split_at(8 * self.rows);
        Ok(Answer { values, gradients, note })
    }

    /// The longest `VALS` that answers this.
    pub fn longest(&self) -> usize {
        PREFIX + self.numbers() + LONGEST_TEXT
    }
}

/// An answer, still as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    values: &'a [u8],
    gradients: &'a [u8],
    note: &'a [u8],
}

impl Answer<'_> {
    /// The log densities.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        numbers(self.values)
    }

    /// The gradients of `dim` coordinates, row by row; none where none were asked for.
    pub fn gradients(&self, dim: usize) -> impl Iterator<Item = impl Iterator<Item = f64> + '_> + '_ {
        self.gradients.chunks_exact(8 * dim).map(numbers)
    }

    /// Why the first row without a value has none, where the process says so.
    pub fn note(&self) -> Option<String> {
        (!self.note.is_empty()).then(|| String::from_utf8_lossy(self.note).trim().to_string())
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes))
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The greeting.
    Greeting,
    /// The answer to this.
    Answer(Request),
}

/// A frame that is being put together from the pieces in which a pipe delivers it.
#[derive(Debug)]
pub struct Incoming {
    expected: Expected,
    buffer: Vec<u8>,
    filled: usize,
    tag: Option<Tag>,
}

impl Incoming {
    /// Nothing yet, and what is to come.
    pub fn new(expected: Expected) -> Self {
        Self { expected, buffer: vec![0; HEADER], filled: 0, tag: None }
    }

    /// The same for another frame, in the same memory.
    pub fn expect(&mut self, expected: Expected) {
        self.buffer.resize(HEADER, 0);
        (self.expected, self.filled, self.tag) = (expected, 0, None);
    }

    /// Where the next bytes belong; never empty before the frame is whole.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// Takes note that `n` more bytes were put there; true once the frame is whole.
    ///
    /// # Errors
    /// If no frame begins like this, or it is longer than anything that may come.
    pub fn advance(&mut self, n: usize) -> Result<bool, String> {
        self.filled = (self.filled + n).min(self.buffer.len());
        if self.filled < self.buffer.len() {
            return Ok(false);
        }
        if self.tag.is_none() {
            let (tag, length) = self.header()?;
            self.tag = Some(tag);
            self.buffer.resize(HEADER + length, 0);
        }
        Ok(self.filled == self.buffer.len())
    }

    /// How many bytes of the frame are there.
    pub fn filled(&self) -> usize {
        self.filled
    }

    fn header(&self) -> Result<(Tag, usize), String> {
        let header = &self.buffer[..HEADER];
        let Some((tag, _)) = TAGS.iter().find(|(_, letters)| header.starts_with(*letters)) else {
            let text: String = header.escape_ascii().to_string();
            return Err(format!(
                "its standard output has \"{text}\" where a frame should begin; what it prints belongs on standard error"
            ));
        };
        let most = match (tag, self.expected) {
            (Tag::Hello, Expected::Greeting) => LONGEST_GREETING,
            (Tag::Values, Expected::Answer(request)) => request.longest(),
            (Tag::Failure, _) => LONGEST_TEXT,
            (_, Expected::Greeting) => return Err(format!("it begins with a frame {tag:?}; a greeting is right")),
            (_, Expected::Answer(_)) => return Err(format!("it sent a frame {tag:?} where values were asked for")),
        };
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if length > most {
            return Err(format!("it announces a frame of {length} bytes; at most {most} are right"));
        }
        Ok((*tag, length))
    }

    /// The payload of the whole frame.
    ///
    /// # Errors
    /// With its text, if it is a failure.
    pub fn payload(&self) -> Result<&[u8], String> {
        let payload = &self.buffer[HEADER..];
        match self.tag {
            Some(Tag::Failure) => Err(format!("it says: {}", String::from_utf8_lossy(payload).trim())),
            _ => Ok(payload),
        }
    }
}
