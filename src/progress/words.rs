//! Numbers as they are said while one waits: times, rates, counts.

/// A time, as exactly as anybody who waits wants to know it.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        _ if !seconds.is_finite() || seconds > 1e8 => "an unknown time".into(),
        under if under < 9.95 => format!("{under:.1} s"),
        under if under < 99.5 => format!("{under:.0} s"),
        under if under < 5970.0 => format!("{:.0} min", under / 60.0),
        hours => {
            let minutes = (hours / 60.0).round();
            format!("{:.0} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0)
        }
    }
}

/// Steps in a second, in two figures.
pub(super) fn rate(steps: f64) -> String {
    match steps {
        _ if !steps.is_finite() => "? steps/s".into(),
        slow if slow < 9.95 => format!("{slow:.1} steps/s"),
        _ => {
            let unit = 10f64.powf((steps.log10().floor() - 1.0).max(0.0));
            format!("{:.0} steps/s", (steps / unit).round() * unit)
        }
    }
}

pub(super) fn points_of(evaluated: u64) -> String {
    match evaluated {
        few @ 0..10_000 => format!("{few} points evaluated"),
        many => format!("{:.2} million points evaluated", many as f64 / 1e6),
    }
}

/// As many of these as a line of so many characters has room for, in this order, with commas between them; the first at least.
pub(super) fn fitting(parts: &[String], room: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let more = if line.is_empty() { 0 } else { 2 } + part.chars().count();
        if !line.is_empty() && line.chars().count() + more > room {
            break;
        }
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(part);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_wants_more_figures_than_these() {
        assert_eq!(
            [0.0, 3.2, 59.9, 100.0, 3600.0, 7322.0].map(time),
            ["0.0 s", "3.2 s", "60 s", "2 min", "60 min", "2 h 2 min"]
        );
        assert_eq!(time(f64::INFINITY), "an unknown time");
        assert_eq!(
            [0.123, 9.96, 163_327.0, 1_234.0].map(rate),
            ["0.1 steps/s", "10 steps/s", "160000 steps/s", "1200 steps/s"]
        );
        let parts = ["45 %", "12 s left", "ESS 0.98"].map(String::from);
        assert_eq!(fitting(&parts, 15), "45 %, 12 s left");
        assert_eq!(fitting(&parts, 1), "45 %");
        assert_eq!(fitting(&parts, 80), "45 %, 12 s left, ESS 0.98");
    }
}
