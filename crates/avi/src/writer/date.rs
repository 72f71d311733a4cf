// SPDX-License-Identifier: MIT OR Apache-2.0
//! The date of `IDIT`, when the first picture was taken, as cameras and Windows write it and ffmpeg and
//! exiftool read it: C's `asctime`, without a time zone.

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `2026-11-28T17:30:03Z` as `Sat Nov 28 17:30:03 2026\n`; `None` if that is no time of day in UTC (a zone
/// other than `Z` would be lost).
pub(super) fn asctime(iso: &str) -> Option<String> {
    let (date, time) = iso.trim().split_once(['T', ' '])?;
    let time = time.trim_end_matches('Z');
    let (whole, part) = time.split_once('.').unwrap_or((time, ""));
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(whole, ':', [2, 2, 2])?;
    let name = MONTHS.get(month.checked_sub(1)?)?;
    if year == 0 || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let weekday = DAYS.get(weekday(year, month, day))?;
    Some(format!(
        "{weekday} {name} {day:2} {hour:02}:{minute:02}:{second:02} {year:04}\n"
    ))
}

/// Three numbers with so many digits each.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[usize; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = plain.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(found)
}

/// Days since Sunday, in the Gregorian calendar: years begin with March, so that a leap day is their last.
fn weekday(year: usize, month: usize, day: usize) -> usize {
    const BEFORE_MONTH: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = year - usize::from(month < 3);
    let before = BEFORE_MONTH.get(month - 1).copied().unwrap_or_default();
    (year + year / 4 - year / 100 + year / 400 + before + day) % 7
}

#[cfg(test)]
mod tests {
    use super::asctime;

    #[test]
    fn times_of_day_in_utc_have_their_form() {
        for (iso, expected) in [
            ("2026-11-28T17:30:03Z", Some("Sat Nov 28 17:30:03 2026\n")),
            (
                "2024-02-29T00:00:00.250Z",
                Some("Thu Feb 29 00:00:00 2024\n"),
            ),
            ("1999-12-31 23:59:59", Some("Fri Dec 31 23:59:59 1999\n")),
            ("2000-03-01T01:02:03Z", Some("Wed Mar  1 01:02:03 2000\n")),
            ("2026-11-28", None),
            ("2026-11-28T17:30:03+0100", None),
            ("2026-11-28T17:30:03.5-01", None),
            ("2026-13-28T17:30:03Z", None),
            ("0000-01-01T00:00:00Z", None),
            ("yesterday at 5", None),
            ("", None),
        ] {
            assert_eq!(asctime(iso).as_deref(), expected, "{iso}");
        }
    }
}
