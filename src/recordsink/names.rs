// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of a recording's files, one after the other. Knows no GStreamer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::streams::files::CreateError;
use crate::streams::names::{Pattern, PatternError, numbered, with_suffix};
use crate::streams::pins;
use crate::streams::retention::Family;

/// The names to come.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pattern: Pattern,
    next: u64,
    asked_for: VecDeque<String>,
}

impl Names {
    /// Names after `location`: with a `%d` in it that is replaced by 0, 1, 2...; otherwise
    /// `name.ext`, `name-00001.ext`, `name-00002.ext`...
    pub(crate) fn new(location: &str) -> Result<Self, PatternError> {
        Ok(Self {
            pattern: Pattern::new(location, 1)?,
            next: 0,
            asked_for: VecDeque::new(),
        })
    }

    /// Whether the location has a place for a number.
    pub(crate) fn is_numbered(&self) -> bool {
        self.pattern.places() > 0
    }

    /// Whether it names more than one file by itself.
    pub(crate) fn makes_many(&self) -> bool {
        self.is_numbered() || self.pattern.is_timed()
    }

    /// The next file is to be called this.
    pub(crate) fn ask_for(&mut self, location: String) {
        self.asked_for.push_back(location);
    }

    /// What the next file is to be called, if that was said.
    pub(crate) fn asked_for(&mut self) -> Option<PathBuf> {
        self.asked_for.pop_front().map(PathBuf::from)
    }

    /// The next file's number.
    pub(crate) fn number(&self) -> u64 {
        self.next
    }

    /// The next file has a name of another kind, and its number is used up.
    pub(crate) fn pass(&mut self) {
        self.next += 1;
    }

    /// The pattern with a time in it.
    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The next file's name, and what it is called by; `text` has what stands for `strftime`'s letters, and so many names
    /// are `taken` of those that there were for the file.
    pub(crate) fn next_name(
        &mut self,
        text: impl Fn(char) -> Option<String>,
        taken: u64,
    ) -> (PathBuf, CalledBy) {
        let timed = self.pattern.at(text);
        if timed.is_timed() && !self.is_numbered() {
            self.next += u64::from(taken == 0);
            let name = timed.fill(&[]);
            let name = match taken {
                0 => name.into(),
                again => with_suffix(&name, &format!("-{again}")),
            };
            return (name, CalledBy::Moment);
        }
        let number = self.next;
        self.next += 1;
        let name = timed.fill(&[number]);
        match (self.is_numbered(), number) {
            (true, _) => (name.into(), CalledBy::Number),
            (false, 0) => (name.into(), CalledBy::Location),
            (false, _) => (numbered(&name, number), CalledBy::Number),
        }
    }
}

/// What a file is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CalledBy {
    /// Whoever chose its name, which is meant as it is.
    Choice,
    /// The location, which has no place for a number.
    Location,
    Number,
    /// The moment at which it begins, alone: there is one file of each such name.
    Moment,
}

impl CalledBy {
    /// Whether what is there under a file's name may be overwritten, if that is set.
    pub(crate) fn overwrites(self, overwrite: bool) -> bool {
        overwrite && self != Self::Moment
    }

    /// Whether the next name will do as well where the file cannot be made for this reason: what is to stay is passed over,
    /// and what is there or is being written too, unless it is to be overwritten.
    pub(crate) fn passes(self, error: &CreateError, overwrite: bool) -> bool {
        match self {
            Self::Choice => false,
            Self::Location => matches!(error, CreateError::Pinned(_)),
            Self::Number if self.overwrites(overwrite) => matches!(error, CreateError::Pinned(_)),
            Self::Number | Self::Moment => error.is_of_name(),
        }
    }

    /// Looks whether the name of a file that somebody else makes is to be passed over.
    ///
    /// # Errors
    /// Why it is.
    pub(crate) fn look(self, name: &Path, overwrite: bool) -> Result<(), CreateError> {
        let found = match pins::is_pinned(name) {
            true => Err(CreateError::Pinned(name.to_owned())),
            // A link that leads nowhere is there too.
            false if !self.overwrites(overwrite) && name.symlink_metadata().is_ok() => {
                Err(CreateError::Exists(name.to_owned()))
            }
            false => Ok(()),
        };
        found.or_else(|error| match self.passes(&error, overwrite) {
            true => Err(error),
            false => Ok(()),
        })
    }
}

/// Whether a recording to `location` makes files of that name.
pub(crate) fn are_of(location: &str, name: &Path) -> bool {
    // A directory without places in its name may be written in another way.
    let whole = |path: &Path| {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let directory = directory.canonicalize().unwrap_or(directory.to_owned());
        path.file_name()
            .and_then(|it| Some(directory.join(it).to_str()?.to_owned()))
    };
    let (Some(location), Some(name)) = (whole(Path::new(location)), whole(name)) else {
        return false;
    };
    let families = families(&location);
    let is_of = |family: &Family| family.names.read(&name).is_some();
    families.iter().any(is_of)
}

/// The names that files of a location have, from this run and from earlier ones.
pub(crate) fn families(location: &str) -> Vec<Family> {
    let family = |names: &str, suffixed: bool| {
        let names = Pattern::new(names, 1).ok()?;
        Some(Family { names, suffixed })
    };
    let Some(own) = family(location, false) else {
        return Vec::new();
    };
    let suffix = match (own.names.places(), own.names.is_timed()) {
        (0, true) => Some("-%i"),
        (0, false) => Some("-%05i"),
        _ => None,
    };
    let others = suffix.and_then(|suffix| {
        let name = with_suffix(location, suffix);
        family(&name.to_string_lossy(), true)
    });
    std::iter::once(own).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(location: &str, n: usize) -> Vec<String> {
        let mut names = Names::new(location).unwrap();
        (0..n)
            .map(|_| names.next_name(|_| None, 0).0.to_str().unwrap().to_owned())
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
        names.next_name(|_| None, 0);
        names.ask_for("b.mp4".into());
        assert_eq!(names.asked_for().as_deref(), Some(Path::new("b.mp4")));
        assert_eq!(names.asked_for(), None);
        let (next, _) = names.next_name(|_| None, 0);
        assert_eq!(next, Path::new("a-00001.mp4"));
    }

    /// The names that are tried one after the other, as long as each is passed over.
    fn tried(location: &str, overwrite: bool, why: fn(PathBuf) -> CreateError) -> Vec<String> {
        let mut names = Names::new(location).unwrap();
        let mut tried = Vec::new();
        for taken in 0..3 {
            let (name, by) = names.next_name(|letter| Some(format!("<{letter}>")), taken);
            tried.push(name.to_str().unwrap().to_owned());
            if !by.passes(&why(name), overwrite) {
                break;
            }
        }
        tried
    }

    #[test]
    fn what_is_taken_is_passed_over() {
        use CreateError::{Exists, InUse, Pinned};
        for why in [Exists, InUse, Pinned] {
            assert_eq!(tried("a%d.ts", false, why), ["a0.ts", "a1.ts", "a2.ts"]);
            for overwrite in [true, false] {
                let tried = tried("%Y.ts", overwrite, why);
                assert_eq!(tried, ["<Y>.ts", "<Y>-1.ts", "<Y>-2.ts"]);
            }
        }
        for why in [Exists, InUse] {
            assert_eq!(tried("a%d.ts", true, why), ["a0.ts"]);
            assert_eq!(tried("c.ts", false, why), ["c.ts"]);
        }
        assert_eq!(tried("a%d.ts", true, Pinned), ["a0.ts", "a1.ts", "a2.ts"]);
        assert_eq!(
            tried("c.ts", true, Pinned),
            ["c.ts", "c-00001.ts", "c-00002.ts"]
        );
        let full = |path| CreateError::Create {
            path,
            source: std::io::ErrorKind::StorageFull.into(),
        };
        assert_eq!(tried("a%d.ts", false, full), ["a0.ts"]);
    }

    #[test]
    fn a_file_of_a_moment_has_one_number_whatever_is_taken() {
        let mut names = Names::new("%Y.ts").unwrap();
        for taken in 0..3 {
            names.next_name(|_| None, taken);
        }
        assert_eq!(names.number(), 1);
    }

    #[test]
    fn a_name_for_another_sink_is_looked_at_where_another_will_do() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("there.ts"), "kept").unwrap();
        std::fs::write(at("pinned.ts"), "kept").unwrap();
        std::os::unix::fs::symlink("nothing", at("link.ts")).unwrap();
        pins::pin(&at("pinned.ts")).unwrap();
        let free = |by: CalledBy, overwrite| {
            ["there.ts", "link.ts", "pinned.ts", "none.ts"]
                .map(|name| by.look(&at(name), overwrite).is_ok())
        };
        assert_eq!(free(CalledBy::Number, false), [false, false, false, true]);
        assert_eq!(free(CalledBy::Number, true), [true, true, false, true]);
        assert_eq!(free(CalledBy::Moment, true), [false, false, false, true]);
        assert_eq!(free(CalledBy::Location, false), [true, true, false, true]);
        assert_eq!(free(CalledBy::Choice, false), [true; 4]);
    }

    #[test]
    fn names_that_a_recording_makes_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        let is = |location: &str, name: &str| are_of(at(location).to_str().unwrap(), &at(name));
        for (location, name) in [
            ("a%05d.avi", "a00007.avi"),
            ("a%05d.avi", "sub/../a00007.avi"),
            ("sub/../a.avi", "a-00001.avi"),
            ("a.avi", "a.avi"),
            ("%Y/%H.ts", "2026/12.ts"),
        ] {
            assert!(is(location, name), "{location} {name}");
        }
        for (location, name) in [
            ("a%05d.avi", "a00007.txt"),
            ("a%05d.avi", "sub/a00007.avi"),
            ("a.avi", "a.txt"),
        ] {
            assert!(!is(location, name), "{location} {name}");
        }
    }

    #[test]
    fn families_have_all_names_of_a_location() {
        let has = |location: &str, name: &str| {
            let families = families(location);
            families
                .iter()
                .any(|family| family.names.read(name).is_some())
        };
        assert!(has("clip.mp4", "clip.mp4") && has("clip.mp4", "clip-00017.mp4"));
        assert!(!has("clip.mp4", "clip-17.mp4") && !has("clip-%05d.mp4", "clip.mp4"));
        assert!(has("%F.mp4", "2026-11-28.mp4") && has("%F.mp4", "2026-11-28-3.mp4"));
    }

    #[test]
    fn other_patterns_are_refused() {
        for bad in ["%s.mp4", "%d-%d.mp4", "50%", "%5%.mp4", "%-5d.mp4"] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }
}
