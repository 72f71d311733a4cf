// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of a recording's files, one after the other.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::streams::names::{Pattern, PatternError, numbered};

/// The names to come.
#[derive(Debug, Clone)]
pub struct Names {
    pattern: Pattern,
    next: u64,
    asked_for: VecDeque<String>,
}

impl Names {
    /// Names after `location`: with a `%d` in it that is replaced by 0, 1, 2...; otherwise
    /// `name.ext`, `name-00001.ext`, `name-00002.ext`...
    pub fn new(location: &str) -> Result<Self, PatternError> {
        Ok(Self {
            pattern: Pattern::new(location, 1)?,
            next: 0,
            asked_for: VecDeque::new(),
        })
    }

    /// Whether the location has a place for a number.
    pub fn is_numbered(&self) -> bool {
        self.pattern.places() > 0
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
        let name = self.pattern.fill(&[number]);
        match number > 0 && !self.is_numbered() {
            true => numbered(&name, number),
            false => name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn names(location: &str, n: usize) -> Vec<String> {
        let mut names = Names::new(location).unwrap();
        (0..n)
            .map(|_| names.next_name().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_pattern_is_numbered_from_zero() {
        assert_eq!(names("/a/p%05d.jpg", 2), ["/a/p00000.jpg", "/a/p00001.jpg"]);
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
