// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dates that files have, in the forms that cameras write them.

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// A date of `ICRD` or `IDIT` as ISO 8601 has it: `2026-11-28` or `2026-11-28T17:30:03`. C's `asctime`
/// and numbers in the order of ISO 8601, whatever is between them or nothing, with `PM` too, are understood.
pub fn iso_date(text: &str) -> Option<String> {
    let text = text.trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    let month = |word: &str| {
        let word = word.to_ascii_lowercase();
        MONTHS.iter().position(|month| word.starts_with(month))
    };
    if let [_, name, day, time, year, ..] = words[..]
        && let Some(month) = month(name)
    {
        let numbers = numbers(time);
        let [hour, minute, second] = numbers[..] else {
            return None;
        };
        let (year, day) = (year.parse().ok()?, day.parse().ok()?);
        return iso([year, month as u32 + 1, day], Some([hour, minute, second]));
    }
    match numbers(text)[..] {
        [year, month, day] => iso([year, month, day], None),
        [year, month, day, hour, minute] => {
            iso([year, month, day], Some([of_day(hour, text)?, minute, 0]))
        }
        [year, month, day, hour, minute, second, ..] => {
            let hour = of_day(hour, text)?;
            iso([year, month, day], Some([hour, minute, second]))
        }
        [year] if text.len() == 4 => (year > 0).then(|| format!("{year:04}")),
        _ => close(text),
    }
}

/// The hour of the day of one that may be one of twelve, as some cameras write it.
fn of_day(hour: u32, text: &str) -> Option<u32> {
    let text = text.to_ascii_uppercase();
    match (text.ends_with("PM"), text.ends_with("AM")) {
        (false, false) => Some(hour),
        (is_afternoon, _) if (1..=12).contains(&hour) => {
            Some(hour % 12 + if is_afternoon { 12 } else { 0 })
        }
        _ => None,
    }
}

/// Numbers with nothing between them: `20261128`, `20261128173003`.
fn close(text: &str) -> Option<String> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse().ok();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let date = [number(0, 4)?, number(4, 6)?, number(6, 8)?];
    match text.len() {
        8 if is_number => iso(date, None),
        14 if is_number => iso(
            date,
            Some([number(8, 10)?, number(10, 12)?, number(12, 14)?]),
        ),
        _ => None,
    }
}

fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn iso([year, month, day]: [u32; 3], time: Option<[u32; 3]>) -> Option<String> {
    let possible =
        (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !possible {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    match time {
        None => Some(date),
        Some([hour, minute, second]) if hour < 24 && minute < 60 && second <= 60 => Some(format!(
            "{date}T{hour:02}:{minute:02}:{:02}",
            second.min(59)
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_cameras_write_them() {
        for (text, expected) in [
            ("2026-11-28", Some("2026-11-28")),
            ("2026-11-28T17:30:03Z", Some("2026-11-28T17:30:03")),
            ("Sat Nov 28 17:30:03 2026\n", Some("2026-11-28T17:30:03")),
            ("SAT NOV 28 17:30:03 2026", Some("2026-11-28T17:30:03")),
            ("Sat Nov 28 17:30:03 2026 UTC", Some("2026-11-28T17:30:03")),
            ("2026/11/28/ 17:30", Some("2026-11-28T17:30:00")),
            ("2026/ 1/27  1:42PM", Some("2026-01-27T13:42:00")),
            ("2026/ 1/27 12:42AM", Some("2026-01-27T00:42:00")),
            ("2026/ 1/27 12:42:05 pm", Some("2026-01-27T12:42:05")),
            ("2026/ 1/27 13:42PM", None),
            ("20261128", Some("2026-11-28")),
            ("20261128173003", Some("2026-11-28T17:30:03")),
            ("20261328", None),
            ("202611281", None),
            ("2026:11:28 17:30:03", Some("2026-11-28T17:30:03")),
            ("2026", Some("2026")),
            ("yesterday", None),
            ("2026-13-28", None),
            ("", None),
        ] {
            assert_eq!(iso_date(text).as_deref(), expected, "{text}");
        }
    }
}
