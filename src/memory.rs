//! What memory this process may take and what it has taken: sizes are weighed here before anything of that size is allocated.

use std::sync::atomic::{AtomicU64, Ordering};

/// The share of the memory there is that is taken without being told.
const SHARE: f64 = 0.75;

/// What is taken for all there is where the system does not tell.
const UNKNOWN: u64 = 8 << 30;

/// The limit; 0 before somebody has asked for it.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Sets the most bytes that may be taken, in place of three quarters of what there is.
pub fn set_limit(bytes: u64) {
    LIMIT.store(bytes.max(1), Ordering::Relaxed);
}

/// The most bytes that may be taken.
pub fn limit() -> u64 {
    match LIMIT.load(Ordering::Relaxed) {
        0 => {
            set_limit((available() as f64 * SHARE) as u64);
            LIMIT.load(Ordering::Relaxed)
        }
        bytes => bytes,
    }
}

/// The memory there is: that of the machine, or of the control group or the limit of address space that holds us, if that is less.
fn available() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    };
    let own_group = || {
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        number(&format!("/sys/fs/cgroup{path}/memory.max"))
    };
    let groups = [
        own_group(),
        number("/sys/fs/cgroup/memory.max"),
        number("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        address_space(),
    ];
    groups.into_iter().flatten().chain([machine().unwrap_or(UNKNOWN)]).min().unwrap_or(UNKNOWN)
}

#[cfg(unix)]
fn address_space() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(unix))]
fn address_space() -> Option<u64> {
    None
}

/// Refuses what would take more than may be taken.
///
/// # Errors
/// With what it is, how much it would take, and the limit.
pub fn weigh(what: &str, bytes: f64) -> Result<(), String> {
    let limit = limit();
    if bytes <= limit as f64 {
        return Ok(());
    }
    Err(format!(
        "{what} would take about {}; at most {} is right (--memory-limit)",
        written(bytes),
        written(limit as f64)
    ))
}

/// A number of bytes in words.
pub fn written(bytes: f64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes, 0);
    while size >= 1024.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    let digits = usize::from(size < 9.95 && unit > 0);
    format!("{size:.digits$} {}", units[unit])
}

/// A number of bytes as people write it: `8G`, `512M`, `1073741824`; units are powers of 1024.
///
/// # Errors
/// If it is something else, or less than 16 MiB.
pub fn parse(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 16 << 20;
    let trimmed = text.trim().trim_end_matches("iB").trim_end_matches(['b', 'B']);
    let (number, shift) = match trimmed.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('K') => (&trimmed[..trimmed.len() - 1], 10),
        Some('M') => (&trimmed[..trimmed.len() - 1], 20),
        Some('G') => (&trimmed[..trimmed.len() - 1], 30),
        Some('T') => (&trimmed[..trimmed.len() - 1], 40),
        _ => (trimmed, 0),
    };
    let bytes = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|&bytes| bytes >= LEAST)
        .ok_or_else(|| "a number of bytes such as 8G or 512M, 16M or more, is right".into())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!(parse("8G"), Ok(8 << 30));
        assert_eq!(parse("512 MiB"), Ok(512 << 20));
        assert_eq!(parse("1073741824"), Ok(1 << 30));
        for wrong in ["", "G", "-1", "1M", "99999999999T", "é"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (written(100.0), written(1.5e9), written(1e13)),
            ("100 bytes".into(), "1.4 GiB".into(), "9.1 TiB".into())
        );
    }

    #[test]
    fn there_is_a_limit_and_it_is_weighed_against() {
        assert!((16 << 20..1 << 50).contains(&limit()), "{}", limit());
        assert_eq!(weigh("a little", 100.0), Ok(()));
        let fault = weigh("everything", 1e30).expect_err("too much");
        assert!(fault.contains("everything would take") && fault.contains("--memory-limit"), "{fault}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_sees_a_large_buffer() {
        reset_peak();
        let before = peak().expect("Linux tells");
        let buffer = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak().expect("Linux tells") >= before + buffer.len() as u64 / 2);
    }
}
