//! Where the bytes of a text table come from: a file, plain or compressed, or standard input.

use super::may_unfold;
use crate::error::{Error, Result};
use crate::intake;
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// What stands for standard input in the place of a path.
pub const STANDARD_INPUT: &str = "-";

/// A line that is longer than this is no line of a table, but may be a small compressed file that unfolds without end.
const LONGEST_LINE: usize = 1 << 24;

/// The same for a row, which may have many lines in a quoted cell, with the comments before it.
const LONGEST_ROW: usize = 1 << 26;

/// How a file compressed by gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens the text at `path`, `-` being standard input; what is compressed by gzip is unfolded as it is read.
pub(super) fn text(path: &Path) -> Result<Box<dyn Read>> {
    let (raw, length): (Box<dyn Read>, _) = if path == Path::new(STANDARD_INPUT) {
        (Box::new(io::stdin().lock()), None)
    } else {
        let (file, length) = intake::open(path)?;
        (Box::new(file), Some(length))
    };
    let (start, rest) = head(raw, GZIP.len()).map_err(|error| Error::input(path, error))?;
    let compressed = start == GZIP;
    let whole = BufReader::with_capacity(1 << 18, io::Cursor::new(start).chain(rest));
    let plain: Box<dyn Read> = if compressed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    Ok(Box::new(Bounded { inner: plain, line: 1, length: 0, folded: length.filter(|_| compressed), unfolded: 0 }))
}

/// Reads the first `length` bytes, fewer only where there are no more, and returns them with the rest.
pub(super) fn head<R: Read>(mut reader: R, length: usize) -> io::Result<(Vec<u8>, R)> {
    let mut start = Vec::with_capacity(length);
    reader.by_ref().take(length as u64).read_to_end(&mut start)?;
    Ok((start, reader))
}

/// A reader that refuses lines without end, and what unfolds to far more than any table does.
struct Bounded<R> {
    inner: R,
    line: usize,
    length: usize,
    /// The length of the compressed file.
    folded: Option<u64>,
    unfolded: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let found = self.inner.read(buffer)?;
        self.unfolded += found as u64;
        if let Some(folded) = self.folded.filter(|&folded| !may_unfold(self.unfolded, folded)) {
            let message = format!("unfolds from {folded} bytes to more than {}; no table does", self.unfolded);
            return Err(io::Error::other(message));
        }
        let mut lines = buffer[..found].split(|&byte| byte == b'\n');
        self.length += lines.next().map_or(0, <[u8]>::len);
        let mut longest = self.length;
        for line in lines {
            self.line += 1;
            self.length = line.len();
            longest = longest.max(self.length);
        }
        if longest > LONGEST_LINE {
            let message = format!(
                "line {} or one before it is longer than {LONGEST_LINE} bytes; a text table is right",
                self.line
            );
            return Err(io::Error::other(message));
        }
        Ok(found)
    }
}

/// Ends every line, the last one too, with a line feed, so that lines can be counted; and makes one space of each run of spaces and tabs
/// and none at the ends of lines, outside of quotes, where spaces divide cells.
pub(super) struct Lines<R> {
    inner: R,
    squeeze: bool,
    quoted: bool,
    /// Whether nothing but spaces has been seen on this line.
    blank: bool,
    /// Whether a space is still to be passed on, if anything follows on its line.
    pending: bool,
    /// Whether the byte before was a carriage return.
    returned: bool,
    ready: Vec<u8>,
    given: usize,
    ended: bool,
    /// Bytes since whoever reads rows has had one.
    since: Rc<Cell<usize>>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(inner: R, squeeze: bool) -> Self {
        let (ready, given) = (Vec::new(), 0);
        Self {
            inner,
            squeeze,
            quoted: false,
            blank: true,
            pending: false,
            returned: false,
            ready,
            given,
            ended: false,
            since: Rc::default(),
        }
    }

    /// The count of bytes since it was last set to 0; more than a row can have end the reading, since a quoted cell may have any lines in it.
    pub(super) fn since(&self) -> Rc<Cell<usize>> {
        self.since.clone()
    }

    fn pass(&mut self, byte: u8) {
        let after_return = std::mem::replace(&mut self.returned, byte == b'\r');
        match byte {
            b'\n' if after_return => {}
            b'\n' | b'\r' => {
                (self.blank, self.pending) = (true, false);
                self.ready.push(b'\n');
            }
            b' ' | b'\t' if self.squeeze && !self.quoted => self.pending = !self.blank,
            _ => {
                if std::mem::take(&mut self.pending) {
                    self.ready.push(b' ');
                }
                self.blank = false;
                self.quoted ^= byte == b'"';
                self.ready.push(byte);
            }
        }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() && !self.ended {
            self.ready.clear();
            self.given = 0;
            let mut raw = [0; 1 << 13];
            let found = self.inner.read(&mut raw)?;
            raw[..found].iter().for_each(|&byte| self.pass(byte));
            if found == 0 {
                self.ended = true;
                if !self.blank {
                    self.pass(b'\n');
                }
            }
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        self.since.set(self.since.get() + count);
        if self.since.get() > LONGEST_ROW {
            return Err(io::Error::other(format!(
                "has a row of more than {LONGEST_ROW} bytes; a quote may not be closed"
            )));
        }
        buffer[..count].copy_from_slice(&self.ready[self.given..][..count]);
        self.given += count;
        Ok(count)
    }
}
