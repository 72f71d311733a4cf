// SPDX-License-Identifier: MIT OR Apache-2.0
//! File names with numbers in them, as `printf` and with it splitmuxsink and multifilesink write
//! them: `event-%05d.mp4`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Something other than `%d`, `%5d`, `%05d`, `%u`, `%i` or `%%`.
    #[error("'{0}' is no place for a number: use %d, %5d or %05d, and %% for a percent sign")]
    Conversion(String),
    /// More places than there are numbers.
    #[error("'{pattern}' has {places} places for a number, and may have {most}")]
    TooMany {
        /// The pattern.
        pattern: String,
        /// How many it has.
        places: usize,
        /// How many it may have.
        most: usize,
    },
}

/// Numbers have 20 digits at most; a wider place is a slip of the finger.
const WIDEST: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// At least so many columns, filled with zeros or with spaces.
    Number {
        columns: usize,
        zeros: bool,
    },
}

/// A name with places for numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    places: usize,
}

impl Pattern {
    /// Reads a pattern that may have up to `most` places for numbers.
    pub fn new(pattern: &str, most: usize) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut text = String::new();
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
            rest = after;
            if place == "%%" {
                text.push('%');
                continue;
            }
            let number = number(place).ok_or_else(|| PatternError::Conversion(place.to_owned()))?;
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(number);
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        let places = parts
            .iter()
            .filter(|part| matches!(part, Part::Number { .. }));
        let places = places.count();
        if places > most {
            return Err(PatternError::TooMany {
                pattern: pattern.to_owned(),
                places,
                most,
            });
        }
        Ok(Self { parts, places })
    }

    /// How many places for numbers it has.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The name with `numbers` in its places, in order. Numbers left over are not used; places
    /// left over have a zero.
    pub fn fill(&self, numbers: &[u64]) -> String {
        let mut numbers = numbers.iter().copied();
        let mut name = String::new();
        for part in &self.parts {
            match *part {
                Part::Text(ref text) => name.push_str(text),
                Part::Number { columns, zeros } => {
                    let number = numbers.next().unwrap_or(0);
                    // A string takes everything.
                    let _ = match zeros {
                        true => write!(name, "{number:0columns$}"),
                        false => write!(name, "{number:columns$}"),
                    };
                }
            }
        }
        name
    }
}

impl std::fmt::Display for Pattern {
    /// As `printf` reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&escaped(text))?,
                Part::Number { columns: 0, .. } => f.write_str("%d")?,
                Part::Number {
                    columns,
                    zeros: true,
                } => write!(f, "%0{columns}d")?,
                Part::Number { columns, .. } => write!(f, "%{columns}d")?,
            }
        }
        Ok(())
    }
}

/// The pattern by which the pictures of a recording are named, one file each: the recording's
/// number goes into the first place, the picture's into the second. Where there is no second, one
/// is appended to the name.
pub fn sequence(location: &str, number: u64) -> Result<String, PatternError> {
    let pattern = Pattern::new(location, 2)?;
    if pattern.places < 2 {
        let name = escaped(&pattern.fill(&[number]));
        return Ok(with_suffix(&name, "-%06d").to_string_lossy().into_owned());
    }
    let mut fixed = pattern;
    let first = fixed
        .parts
        .iter_mut()
        .find(|part| matches!(part, Part::Number { .. }));
    if let Some(first) = first {
        let only = Pattern {
            parts: vec![first.clone()],
            places: 1,
        };
        *first = Part::Text(only.fill(&[number]));
    }
    Ok(fixed.to_string())
}

/// A place for a number: `%`, digits, and `d`, `u` or `i`.
fn number(place: &str) -> Option<Part> {
    let width = place.strip_prefix('%')?.strip_suffix(['d', 'u', 'i'])?;
    let columns = match width {
        "" => 0,
        digits => digits.parse().ok().filter(|&columns| columns <= WIDEST)?,
    };
    let zeros = width.starts_with('0');
    Some(Part::Number { columns, zeros })
}

/// The extension in lower case, without the dot.
pub fn extension(location: &str) -> Option<String> {
    let extension = Path::new(location).extension()?.to_str()?;
    Some(extension.to_ascii_lowercase())
}

/// The name with a number in front of the extension: `clip.mp4` becomes `clip-00001.mp4`.
pub fn numbered(location: &str, number: u64) -> PathBuf {
    with_suffix(location, &format!("-{number:05}"))
}

/// The name with `suffix` in front of the extension.
pub fn with_suffix(location: &str, suffix: &str) -> PathBuf {
    let path = Path::new(location);
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// A name as a pattern that has no place for a number in it.
pub fn escaped(name: &str) -> String {
    name.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pattern: &str, numbers: &[u64]) -> Result<String, PatternError> {
        Pattern::new(pattern, numbers.len()).map(|pattern| pattern.fill(numbers))
    }

    #[test]
    fn fills_in_numbers() {
        assert_eq!(fill("a.mp4", &[7]), Ok("a.mp4".into()));
        assert_eq!(fill("a%d.mp4", &[7]), Ok("a7.mp4".into()));
        assert_eq!(fill("é%03u%%-%2i", &[7, 8]), Ok("é007%- 8".into()));
        assert_eq!(fill("%05d", &[123_456]), Ok("123456".into()));
        let err = fill("%d%d", &[1]).unwrap_err().to_string();
        assert_eq!(err, "'%d%d' has 2 places for a number, and may have 1");
        for wrong in ["%s", "%", "a%5", "%é", "%99d", "%-3d", "%ld", "%5%"] {
            assert!(
                matches!(fill(wrong, &[1]), Err(PatternError::Conversion(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn numbers_stand_in_front_of_the_extension() {
        assert_eq!(numbered("/a.b/c.mp4", 1), Path::new("/a.b/c-00001.mp4"));
        assert_eq!(numbered("/a.b/c", 2), Path::new("/a.b/c-00002"));
        assert_eq!(with_suffix("50%.jpg", "-%d"), Path::new("50%-%d.jpg"));
    }

    #[test]
    fn names_sequences() {
        let name = |pattern| sequence(pattern, 3);
        assert_eq!(name("/x/shot.jpg"), Ok("/x/shot-%06d.jpg".into()));
        assert_eq!(name("/x/%02d.jpg"), Ok("/x/03-%06d.jpg".into()));
        assert_eq!(name("/x%%/%d/%04d.jpg"), Ok("/x%%/3/%04d.jpg".into()));
        assert!(matches!(
            name("/x/%d-%d-%d.jpg"),
            Err(PatternError::TooMany { most: 2, .. })
        ));
    }

    #[test]
    fn finds_extensions() {
        assert_eq!(extension("/a.b/c.MP4").as_deref(), Some("mp4"));
        assert_eq!(extension("/a.b/c"), None);
        assert_eq!(extension(".mp4"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_pattern_or_refused(text: String, number: u64) {
            if let Ok(pattern) = Pattern::new(&text, 1) {
                let name = pattern.fill(&[number]);
                if pattern.places() == 0 {
                    assert_eq!(escaped(&name), text);
                }
            }
            assert_eq!(Pattern::new(&escaped(&text), 0).map(|p| p.fill(&[])), Ok(text));
        }
    }
}
