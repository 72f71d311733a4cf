// SPDX-License-Identifier: MIT OR Apache-2.0
//! File names with numbers in them, as `printf` writes them: `event-%05d.mp4`.

use std::path::{Path, PathBuf};

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Something other than `%d`, `%5d`, `%05d`, `%u`, `%i` or `%%`.
    #[error("'{0}' is no number's place: use %d, %5d or %05d, and %% for a percent sign")]
    Conversion(String),
    /// More places than there are numbers.
    #[error("the pattern has more than {0} places for a number")]
    TooMany(usize),
}

/// A pattern with its numbers filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The result.
    pub text: String,
    /// How many of the numbers were used.
    pub used: usize,
}

/// Fills numbers into the places of a pattern, in order. Numbers left over are not used.
pub fn fill(pattern: &str, numbers: &[u64]) -> Result<Filled, PatternError> {
    let mut text = String::with_capacity(pattern.len() + 8);
    let mut used = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let place = &rest[at..];
        let length = place
            .char_indices()
            .skip(1)
            .find(|(_, c)| !c.is_ascii_digit())
            .map_or(place.len(), |(i, c)| i + c.len_utf8());
        let (place, after) = place.split_at(length);
        let width = &place[1..place.len()
            - place
                .chars()
                .last()
                .map_or(0, char::len_utf8)
                .min(place.len() - 1)];
        match place.chars().last() {
            Some('%') if place == "%%" => text.push('%'),
            Some('d' | 'u' | 'i') => {
                let number = numbers
                    .get(used)
                    .ok_or(PatternError::TooMany(numbers.len()))?;
                used += 1;
                // Ten digits are all that a number can have; more is a slip of the finger.
                let columns = match width {
                    "" => 0,
                    digits => digits
                        .parse::<usize>()
                        .ok()
                        .filter(|&columns| columns <= 20)
                        .ok_or_else(|| PatternError::Conversion(place.to_owned()))?,
                };
                if width.starts_with('0') {
                    text.push_str(&format!("{number:0columns$}"));
                } else {
                    text.push_str(&format!("{number:columns$}"));
                }
            }
            _ => return Err(PatternError::Conversion(place.to_owned())),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(Filled { text, used })
}

/// The extension in lower case, without the dot.
pub fn extension(location: &str) -> Option<String> {
    let extension = Path::new(location).extension()?.to_str()?;
    Some(extension.to_ascii_lowercase())
}

/// The pattern by which `multifilesink` names the pictures of a sequence: what `location` has left
/// of places after the recording's number, or one appended to the name.
pub fn sequence(location: &str, number: u64) -> Result<String, PatternError> {
    // The second place is the frame's and has to stay one: it is filled with a mark first.
    const FRAME: u64 = 918_273_645;
    let plain = fill(location, &[number, FRAME])?;
    if plain.used == 2 {
        let at = location
            .match_indices('%')
            .filter(|(i, _)| !in_percent(location, *i))
            .nth(1);
        if let Some((at, _)) = at {
            let head = fill(&location[..at], &[number])?.text.replace('%', "%%");
            return Ok(head + &location[at..]);
        }
    }
    let path = PathBuf::from(plain.text.replace('%', "%%"));
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let name = format!("{stem}-%06d.{extension}");
    Ok(path.with_file_name(name).to_string_lossy().into_owned())
}

/// Whether the percent sign at byte `at` is one of a pair `%%`.
fn in_percent(text: &str, at: usize) -> bool {
    let before = text[..at].bytes().rev().take_while(|&b| b == b'%').count();
    before % 2 == 1 || text[at + 1..].starts_with('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_numbers() {
        let text = |pattern, numbers: &[u64]| fill(pattern, numbers).map(|f| f.text);
        assert_eq!(text("a.mp4", &[7]), Ok("a.mp4".into()));
        assert_eq!(text("a%d.mp4", &[7]), Ok("a7.mp4".into()));
        assert_eq!(text("é%03u%%-%2i", &[7, 8]), Ok("é007%- 8".into()));
        assert_eq!(text("%05d", &[123_456]), Ok("123456".into()));
        assert_eq!(text("%d%d", &[1]), Err(PatternError::TooMany(1)));
        for wrong in ["%s", "%", "a%5", "%é", "%99d", "%-3d", "%ld"] {
            assert!(
                matches!(text(wrong, &[1]), Err(PatternError::Conversion(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn names_sequences() {
        let name = |pattern| sequence(pattern, 3);
        assert_eq!(name("/x/shot.jpg"), Ok("/x/shot-%06d.jpg".into()));
        assert_eq!(name("/x/%02d.jpg"), Ok("/x/03-%06d.jpg".into()));
        assert_eq!(name("/x%%/%d/%04d.jpg"), Ok("/x%%/3/%04d.jpg".into()));
        assert_eq!(name("/x/%d-%d-%d.jpg"), Err(PatternError::TooMany(2)));
    }

    #[test]
    fn finds_extensions() {
        assert_eq!(extension("/a.b/c.MP4").as_deref(), Some("mp4"));
        assert_eq!(extension("/a.b/c"), None);
    }
}
