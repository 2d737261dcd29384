//! Checksums of what is kept: BLAKE3, in hexadecimal digits.

use std::io::Read;

/// Digits of a checksum.
pub const DIGITS: usize = 64;

/// The checksum of all of `bytes`.
pub fn of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The checksum of something that is still growing.
#[derive(Default)]
pub struct Running(blake3::Hasher);

impl Running {
    /// Adds what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds all that can be read.
    ///
    /// # Errors
    /// If it cannot be read to its end.
    pub fn update_from(&mut self, mut source: impl Read) -> std::io::Result<()> {
        std::io::copy(&mut source, &mut self.0).map(drop)
    }

    /// The checksum of all so far.
    pub fn digits(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_checksum_of_the_whole() {
        let mut running = Running::default();
        assert_eq!(running.digits(), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", "of nothing");
        running.update(b"one");
        running.update_from(&b"two"[..]).expect("read");
        assert_eq!(running.digits(), of(b"onetwo"));
        assert_eq!(of(b"").len(), DIGITS);
    }
}
