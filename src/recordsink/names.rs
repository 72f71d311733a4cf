// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of a recording's files, one after the other.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A pattern that cannot be made into names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no pattern for a number: write %d or, with leading zeros, %05d; and %% for a percent sign"
)]
pub struct PatternError(String);

/// Where the number goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    before: String,
    width: usize,
    after: String,
}

/// The names to come.
#[derive(Debug, Clone)]
pub struct Names {
    location: String,
    pattern: Option<Pattern>,
    next: u64,
    asked_for: VecDeque<String>,
}

impl Names {
    /// Names after `location`: with a `%d` in it that is replaced by 0, 1, 2...; otherwise
    /// `name.ext`, `name-00001.ext`, `name-00002.ext`...
    pub fn new(location: &str) -> Result<Self, PatternError> {
        let (location, pattern) = parse(location)?;
        Ok(Self {
            location,
            pattern,
            next: 0,
            asked_for: VecDeque::new(),
        })
    }

    /// Whether the location has a place for a number.
    pub fn is_numbered(&self) -> bool {
        self.pattern.is_some()
    }

    /// The next file is to be called this.
    pub fn ask_for(&mut self, location: String) {
        self.asked_for.push_back(location);
    }

    /// The next file's name.
    pub fn next_name(&mut self) -> PathBuf {
        if let Some(location) = self.asked_for.pop_front() {
            return location.into();
        }
        let number = self.next;
        self.next += 1;
        match &self.pattern {
            Some(Pattern {
                before,
                width,
                after,
            }) => format!("{before}{number:0width$}{after}").into(),
            None if number == 0 => PathBuf::from(&self.location),
            None => {
                let path = Path::new(&self.location);
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let extension = path.extension().unwrap_or_default().to_string_lossy();
                path.with_file_name(format!("{stem}-{number:05}.{extension}"))
            }
        }
    }
}

/// The location without escapes, and its pattern.
fn parse(location: &str) -> Result<(String, Option<Pattern>), PatternError> {
    let error = || PatternError(location.to_owned());
    let mut text = String::new();
    let mut before = None;
    let mut rest = location.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut digits = String::new();
        let end = loop {
            match rest.next() {
                Some(digit) if digit.is_ascii_digit() => digits.push(digit),
                Some(end) => break end,
                None => return Err(error()),
            }
        };
        match end {
            '%' if digits.is_empty() => text.push('%'),
            'd' | 'u' if before.is_none() => {
                // Spaces in a file's name help nobody: %5d is taken as %05d.
                let width = digits.parse().unwrap_or(0).min(20);
                before = Some((std::mem::take(&mut text), width));
            }
            _ => return Err(error()),
        }
    }
    Ok(match before {
        Some((before, width)) => (
            String::new(),
            Some(Pattern {
                before,
                width,
                after: text,
            }),
        ),
        None => (text, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(location: &str, n: usize) -> Vec<String> {
        let mut names = Names::new(location).unwrap();
        (0..n)
            .map(|_| names.next_name().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_pattern_is_numbered_from_zero() {
        assert_eq!(names("/a/p%05d.jpg", 2), ["/a/p00000.jpg", "/a/p00001.jpg"]);
        assert_eq!(names("%d.ts", 2), ["0.ts", "1.ts"]);
        assert_eq!(names("100%%-%02u.ts", 1), ["100%-00.ts"]);
    }

    #[test]
    fn a_plain_name_comes_first_and_is_numbered_then() {
        assert_eq!(
            names("/a.b/clip.mp4", 3),
            [
                "/a.b/clip.mp4",
                "/a.b/clip-00001.mp4",
                "/a.b/clip-00002.mp4"
            ]
        );
    }

    #[test]
    fn a_name_that_is_asked_for_comes_next() {
        let mut names = Names::new("a.mp4").unwrap();
        names.next_name();
        names.ask_for("b.mp4".into());
        assert_eq!(names.next_name(), Path::new("b.mp4"));
        assert_eq!(names.next_name(), Path::new("a-00001.mp4"));
    }

    #[test]
    fn other_patterns_are_refused() {
        for bad in ["%s.mp4", "%d-%d.mp4", "50%", "%5%.mp4", "%-5d.mp4"] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }
}
