//! The most memory that this process has held, where the system tells.

/// Forgets the peak so far. Does nothing where the system has no such thing.
pub fn reset_peak() {
    if cfg!(target_os = "linux") {
        // "5" resets VmHWM (proc(5), clear_refs). A system that refuses leaves the peak of before, which is still a bound.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}

/// The peak resident memory in bytes since the last [`reset_peak`].
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_sees_a_large_buffer() {
        reset_peak();
        let before = peak().expect("Linux tells");
        let buffer = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak().expect("Linux tells") >= before + buffer.len() as u64 / 2);
    }
}
