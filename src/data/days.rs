//! Calendar days as numbers: days since 1970-01-01, in the Gregorian calendar of ISO 8601.

/// Days from 0000-03-01 to 1970-01-01.
const TO_1970: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const CYCLE: i64 = 146_097;
/// The first and last day that four digits of a year can write.
const RANGE: (f64, f64) = (-719_528.0, 2_932_896.0);

/// The number of an ISO 8601 day such as `2024-02-29`; none if the text is no day.
pub fn day_of(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let part = |from: usize, to: usize| {
        let digits = bytes[from..to].iter().all(u8::is_ascii_digit);
        digits.then(|| bytes[from..to].iter().fold(0, |number, digit| 10 * number + i64::from(digit - b'0')))
    };
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end; five months from March have 153 days.
    let since_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * since_march + 2) / 5 + day - 1;
    let number =
        (365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - TO_1970) as f64;
    // 30 February has the number of a day in March.
    (written(number) == text).then_some(number)
}

/// The day of a number, which is rounded to a whole one between 0000-01-01 and 9999-12-31.
pub fn written(day: f64) -> String {
    let number = day.round().clamp(RANGE.0, RANGE.1) as i64 + TO_1970;
    let (cycle, rest) = (number.div_euclid(CYCLE), number.rem_euclid(CYCLE));
    // The last day of four years, and of four centuries, belongs to the year that ends with it.
    let year = (rest - rest / 1460 + rest / 36_524 - rest / 146_096) / 365;
    let of_year = rest - (365 * year + year / 4 - year / 100);
    let since_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * since_march + 2) / 5 + 1;
    let month = (since_march + 2) % 12 + 1;
    let year = 400 * cycle + year + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_follows_the_one_before() {
        // By the rules of the calendar itself, from 0000-01-01 to 9999-12-31.
        let mut number = RANGE.0;
        for year in 0..=9999 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, days) in
                [31, 28 + i32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate()
            {
                for day in 1..=days {
                    let text = format!("{year:04}-{:02}-{day:02}", month + 1);
                    assert_eq!(day_of(&text), Some(number), "{text}");
                    assert_eq!(written(number + 0.4), text);
                    number += 1.0;
                }
            }
        }
        assert_eq!(number, RANGE.1 + 1.0);
        assert_eq!(day_of("1970-01-01"), Some(0.0));
        assert_eq!(written(1e18), "9999-12-31");
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-01",
            "24-01-01",
            "2024-01-32",
            "2024/01/01",
            "2024-01-01T00",
            "+024-01-01",
            "²024-01-1",
        ] {
            assert_eq!(day_of(text), None, "{text}");
        }
    }
}
